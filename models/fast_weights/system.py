"""The fast-weights network as a dynamical system (Ba et al. 2016; Wayman, section 7), seen in three ways.

``inner``  h -> f(LN(z + A h)): the settling loop, with z and the fast weights A held;
``step``   h -> h_t(h, A): one step of the network with its S inner steps, C x + b and A held;
``joint``  (h, A) -> (h', lambda A + eta h' h'^T): the whole network, C x + b held.

With layer normalisation around z alone ("slow") the loop is f(LN(z) + A h). LN(a) = gain * n + shift with
n = (a - mean a) / sigma, sigma^2 = var a + 1e-5, over the units of one sample, so

    dLN/da = diag(gain) (I - 1 1^T / R - n n^T / R) / sigma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.fast_weights.attention import EPSILON, attended
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.recurrent.base import checked
from dynsys.models.tasks.retrieval import DIGITS, Retrieval, Strings
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

VIEWS = ("inner", "step", "joint")
STRINGS = 8  # at whose queries a search looks where none are named


class FastWeights(System):
    """A trained network, seen as ``view``. Inputs: (z, A) or (C x + b, A) row by row, R + R^2 values; of "joint" R.

    ``context`` gives the inputs that strings lead to. Raises ValueError for weights that are missing or misshapen.
    """

    kind = Kind.MAP
    name = "fast-weights"
    title = "fast-weights network"
    papers = ("ba2016", "kingma2015")
    equation = "h' = relu(LN(W h + C x + b + A h)), A' = lambda A + eta h h^T"
    recurrent_weights = "W"
    n_output = len(DIGITS)
    single_precision = True

    embedding_weight: Tensor
    W: Tensor
    C_weight: Tensor
    C_bias: Tensor
    gain: Tensor
    shift: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor

    def __init__(
        self, weights: Mapping[str, Any], config: FastWeightsConfig, *, view: str = "inner", task: Any = None
    ) -> None:
        if view not in VIEWS:
            raise ValueError(f"view is {view!r}; a fast-weights network is seen as {', '.join(VIEWS)}")
        expected = {key: tuple(value.shape) for key, value in FastWeightsNetwork(config).state_dict().items()}
        for key, shape in expected.items():
            if key not in weights:
                raise ValueError(f"{key} is missing; a fast-weights network has {', '.join(expected)}")
            setattr(self, _attribute(key), checked(key, weights[key]))
            if tuple(getattr(self, _attribute(key)).shape) != shape:
                raise ValueError(f"{key} has shape {tuple(getattr(self, _attribute(key)).shape)}; it needs {shape}")
        self._names = tuple(expected)
        self.config, self.view, self.task = config, view, task or Retrieval()
        R = config.units
        self.n_state = R + R * R if view == "joint" else R
        self.n_input = R if view == "joint" else R + R * R
        self.inner_steps = 1 if view == "inner" else config.inner

    @classmethod
    def of(cls, network: FastWeightsNetwork, view: str = "inner", task: Any = None) -> Self:
        """The system that a trained network is, in float64."""
        return cls(network.state_dict(), network.config, view=view, task=task)

    def seen_as(self, view: str) -> Self:
        """The same network, another view."""
        return type(self)(self.arrays(), self.config, view=view, task=self.task)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        given = dict(settings)
        view = given.pop("view", "inner")
        return cls(arrays, FastWeightsConfig(**given), view=view, task=task)

    def arrays(self) -> dict[str, Array]:
        return {key: getattr(self, _attribute(key)).cpu().numpy().copy() for key in self._names}

    def settings(self) -> dict[str, Any]:
        return {**vars(self.config), "view": self.view}

    @classmethod
    def random(cls, units: int = 6, inner: int = 2, seed: int = 0, *, view: str = "inner") -> FastWeights:
        """Untrained, with a rate at which the fast weights matter."""
        config = FastWeightsConfig(units, inner, rate=0.5, embedding=5, hidden=7, seed=seed)
        return cls.of(FastWeightsNetwork(config), view)

    # the dynamics

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        h, drive, A = self._parts(x, u)
        new = self._states(h, drive, A)[-1].h
        if self.view != "joint":
            return new - h
        outer = new.unsqueeze(2) * new.unsqueeze(1)
        return torch.cat([new, (self.config.decay * A + self.config.rate * outer).flatten(1)], dim=1) - x

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self._pushed(x, u, torch.eye(self.n_state, dtype=x.dtype, device=x.device).expand(len(x), -1, -1))

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self._pushed(x, u, v.unsqueeze(2)).squeeze(2)

    def readout(self, x: Tensor) -> Tensor:
        """The logits of the ten digits."""
        hidden = torch.relu(x[:, : self.config.units] @ self.hidden_weight.T + self.hidden_bias)
        return hidden @ self.output_weight.T + self.output_bias

    @property
    def box_is_trapping(self) -> bool:  # type: ignore[override]
        return self.config.normalise == "all"

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """|n_i| is at most sqrt(R - 1), so h is bounded where the last thing done to it is to normalise it."""
        if self.config.normalise == "slow":
            return None
        high = torch.relu(self.gain.abs() * (self.config.units - 1) ** 0.5 + self.shift)
        if self.view == "joint":
            largest = self.config.rate / (1 - self.config.decay) * torch.outer(high, high)
            high = torch.cat([high, largest.flatten()])
        return torch.zeros_like(high).expand(len(u), -1), high.expand(len(u), -1)

    # strings

    def states_of(self, strings: Strings) -> tuple[Tensor, Tensor, Tensor]:
        """h_0 ... h_T (T + 1, B, R), C x + b (T, B, R) of each step, and A (B, R, R) before the last, in float64.

        The last state of a string that is shorter than others is repeated to the end.
        """
        drive = (self.embedding_weight @ self.C_weight.T + self.C_bias)[torch.as_tensor(strings.characters.T)]
        states = attended(drive, self.W, self.gain, self.shift, self.config.constants)
        past, ends = states[:-1], torch.as_tensor(strings.ends)
        ages = (ends - 1 - torch.arange(len(past)).unsqueeze(1)).unsqueeze(2)  # (T - 1, B, 1), below 0 from the end on
        weights = self.config.rate * self.config.decay ** ages.clamp_min(0).to(past) * (ages >= 0)
        A = torch.einsum("tbi,tbj->bij", weights * past, past)
        states = torch.cat([torch.zeros_like(states[:1]), states])
        return resting(states, ends), drive, A

    def context(self, strings: Strings) -> tuple[Tensor, Tensor]:
        """What the query of each string holds the system at (B, n_input), and the state (B, n_state) it begins in."""
        return self._context(torch.as_tensor(strings.ends), *self.states_of(strings))

    def _context(self, ends: Tensor, states: Tensor, drive: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
        each = torch.arange(len(ends))
        h, d = states[ends, each], drive[ends, each]
        if self.view == "joint":
            return d, torch.cat([h, A.flatten(1)], dim=1)
        if self.view == "step":
            return torch.cat([d, A.flatten(1)], dim=1), h
        z = d + h @ self.W.T
        return torch.cat([z, A.flatten(1)], dim=1), self._settle(z, A, 0)[-1].h

    def contexts(self, strings: Strings, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Inputs (n, n_input) and starts (n, n_state) at the queries of the strings, each string in turn.

        Every string's own start comes first; then h is one that the network visits or lies anywhere in its box.
        """
        R, rng = self.config.units, np.random.default_rng(seed)
        known = self.states_of(strings)
        inputs, own = self._context(torch.as_tensor(strings.ends), *known)
        which = torch.arange(n) % len(strings)
        u, x = inputs[which], own[which]
        visited = known[0].flatten(0, 1)
        h = visited[torch.as_tensor(rng.integers(len(visited), size=n))]
        box = self.box(u)
        if box is not None:
            anywhere = torch.as_tensor(rng.uniform(0, 1, (n, R))) * box[1][:, :R]
            h = torch.where(torch.as_tensor(rng.random((n, 1)) < 0.5), anywhere, h)
        x[len(strings) :, :R] = h[len(strings) :]
        return u, x

    def task_strings(self, n: int, seed: int) -> Strings:
        """n strings of the task, at whose queries the network is looked at where none are named."""
        return self.task.sets(seed, some=n)["some"]

    def task_contexts(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        return self.contexts(self.task_strings(min(STRINGS, n), seed), n, seed)

    # one step, and its derivative

    def _parts(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h, the drive and A (B, R, R)."""
        R = self.config.units
        if self.view == "joint":
            return x[:, :R], u, x[:, R:].view(-1, R, R)
        return x, u[:, :R], u[:, R:].view(-1, R, R)

    def _states(self, h: Tensor, drive: Tensor, A: Tensor) -> list[Stage]:
        """The stages of one step of this view."""
        if self.view == "inner":
            return [self._stage(h, drive, A, self._normal(drive))]
        return self._settle(drive + h @ self.W.T, A, self.config.inner)

    def _settle(self, z: Tensor, A: Tensor, steps: int) -> list[Stage]:
        """h^0 and the inner steps after it."""
        normal = self._normal(z)
        stages = [Stage(torch.relu(normal.scaled), normal, normal.scaled > 0)]
        for _ in range(steps):
            stages.append(self._stage(stages[-1].h, z, A, normal))
        return stages

    def _stage(self, h: Tensor, z: Tensor, A: Tensor, slow: Normal) -> Stage:
        """f(LN(z + A h)), or f(LN(z) + A h)."""
        recalled = (A @ h.unsqueeze(2)).squeeze(2)
        normal = self._normal(z + recalled) if self.config.normalise == "all" else slow
        a = normal.scaled if self.config.normalise == "all" else slow.scaled + recalled
        return Stage(torch.relu(a), normal, a > 0)

    def _normal(self, a: Tensor) -> Normal:
        centred = a - a.mean(1, keepdim=True)
        sigma = (centred.square().mean(1, keepdim=True) + EPSILON).sqrt()
        n = centred / sigma
        return Normal(n, sigma, self.gain, self.gain * n + self.shift)

    def _pushed(self, x: Tensor, u: Tensor, V: Tensor) -> Tensor:
        """dF/dx V for directions V (B, n_state, m)."""
        R, joint = self.config.units, self.view == "joint"
        h, drive, A = self._parts(x, u)
        stages = self._states(h, drive, A)
        into_A = V[:, R:].view(len(x), R, R, V.shape[2]) if joint else None
        before = [h] if self.view == "inner" else [stage.h for stage in stages[:-1]]
        if self.view == "inner":
            dz, D = torch.zeros_like(V), V
        else:
            dz = self.W @ V[:, :R]
            D = stages[0].through(dz)
        for earlier, stage in zip(before, stages if self.view == "inner" else stages[1:], strict=True):
            recalled = A @ D
            if into_A is not None:
                recalled = recalled + (into_A * earlier[:, None, :, None]).sum(2)
            D = stage.through(dz + recalled) if self.config.normalise == "all" else stage.beside(dz, recalled)
        if not joint or into_A is None:
            return D - V
        new, kept = stages[-1].h, self.config.decay * into_A
        outer = D.unsqueeze(2) * new[:, None, :, None]
        dA = kept + self.config.rate * (outer + outer.transpose(1, 2))
        return torch.cat([D, dA.flatten(1, 2)], dim=1) - V


def resting(states: Tensor, ends: Tensor) -> Tensor:
    """States (T + 1, B, n) of which those of each string after its ``ends`` (B,) are the last of its own."""
    steps = torch.minimum(torch.arange(len(states)).unsqueeze(1), ends + 1)
    return states[steps, torch.arange(len(ends))]


@dataclass(frozen=True, eq=False)
class Normal:
    """Layer normalisation at a: n (B, R), sigma (B, 1), and gain * n + shift."""

    n: Tensor
    sigma: Tensor
    gain: Tensor
    scaled: Tensor

    def slope(self, D: Tensor) -> Tensor:
        """dLN/da D for directions D (B, R, m)."""
        n = self.n.unsqueeze(2)
        across = D - D.mean(1, keepdim=True) - n * (n * D).mean(1, keepdim=True)
        return self.gain.unsqueeze(1) * across / self.sigma.unsqueeze(2)


@dataclass(frozen=True, eq=False)
class Stage:
    """h after one inner step, the normalisation it came through, and which units (B, R) are active."""

    h: Tensor
    normal: Normal
    active: Tensor

    def through(self, D: Tensor) -> Tensor:
        """What becomes of directions D (B, R, m) of the normalised sum."""
        return self.active.unsqueeze(2) * self.normal.slope(D)

    def beside(self, dz: Tensor, recalled: Tensor) -> Tensor:
        """The same where A h is added after the normalisation."""
        return self.active.unsqueeze(2) * (self.normal.slope(dz) + recalled)


def _attribute(key: str) -> str:
    return key.replace(".", "_")
