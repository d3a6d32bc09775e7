"""The piecewise-linear recurrent network (Durstewitz 2017; Koppe et al. 2019) and its kin, as maps.

    z' = A z + W phi(z) + h + C u               phi = relu, or the identity on ``linear`` units (Brenner et al. 2024)
    z' = A z + W1 relu(W2 z + h2) + h1 + C u    the shallow one (Hess et al. 2023), low-rank where W1 is narrow
    z' = A z + W1 (relu(W2 z + h2) - relu(W2 z)) + h1 + C u     the same clipped, so that states stay bounded

with the readout W_out z + b_out. All three are z' = A z + B relu(V z + e) + h + C u: between the places where some
V z + e changes sign they are linear, so that their fixed points and cycles are found region by region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.models.driven.random_drive import driven_trajectories
from dynsys.proof.exact import affine_terms, exact_sum
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind, Product, System

Array = NDArray[np.float64]

PLAIN, SHALLOW = ("A", "W", "h"), ("A", "W1", "W2", "h1", "h2")
AROUND = ("C", "W_out", "b_out", "initial")


class PLRNN(System):
    """Arrays by name: A (M,) or (M, M), W (M, M) and h (M,), or W1 (M, L), W2 (L, M), h1 (M,) and h2 (L,); besides
    C (M, inputs), W_out (outputs, M), b_out (outputs,) and initial (M,), a first state. What is not there is 0.

    ``linear`` says on which units phi is the identity, (M,) of bool or a number of them, from the first on; ``clipped``
    is a matter of the shallow form. Raises ValueError for arrays that are missing, unknown, misshapen or not finite,
    and for a setting that the form does not have.
    """

    kind = Kind.MAP
    name = "plrnn"
    title = "piecewise-linear RNN"
    equation = "z' = A z + W relu(z) + h + C u, or A z + W_1 relu(W_2 z + h_2) + h_1 + C u"
    recurrent_weights = "W1?"
    single_precision = True
    many_directions = True

    def __init__(self, arrays: Mapping[str, Any], *, linear: Any = 0, clipped: bool = False) -> None:
        self._arrays = {key: torch.tensor(np.asarray(value), dtype=torch.float64) for key, value in arrays.items()}
        self.shallow = "W1" in arrays or "W2" in arrays
        _check_names(self._arrays, self.shallow)
        self.n_state = M = len(self._arrays["A"]) if self._arrays["A"].ndim else 0
        _check_shapes(self._arrays, M, self.shallow)
        held = self._arrays
        if clipped and not self.shallow:
            raise ValueError("clipped is set, but only the shallow form, with W1 and W2, has a clipped variant")
        self.clipped, self.linear = bool(clipped), _mask(linear, M)
        if self.shallow and bool(self.linear.any()):
            raise ValueError("linear is set, but the shallow form, with W1 and W2, has no linear units")
        zero = held["A"].new_zeros(M)
        self.A = held["A"] if held["A"].ndim == 2 else torch.diag(held["A"])
        self.h = held.get("h1" if self.shallow else "h", zero)
        self.C = held.get("C", zero.new_zeros(M, 0))
        self.W_out = held.get("W_out", zero.new_zeros(0, M))
        self.b_out = held.get("b_out", zero.new_zeros(len(self.W_out)))
        self.initial_state = held.get("initial")
        self.B, self.V, self.e, self.straight = self._hidden()
        self.M = self.A + self.straight
        self.box_is_trapping = self.box(zero.new_zeros(1, self.C.shape[1])) is not None
        self.n_input, self.n_output = self.C.shape[1], len(self.W_out)

    def _hidden(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """B, V and e of B relu(V z + e), and the weights that act on the linear units as they are."""
        held, M = self._arrays, self.n_state
        if not self.shallow:
            one, W = torch.eye(M, dtype=torch.float64), held["W"]
            bent = ~self.linear
            return W[:, bent], one[bent], held["A"].new_zeros(int(bent.sum())), W * self.linear
        V, e = held["W2"], held.get("h2", held["A"].new_zeros(len(held["W2"])))
        none = held["A"].new_zeros(M, M)
        if not self.clipped:
            return held["W1"], V, e, none
        return torch.cat([held["W1"], -held["W1"]], 1), torch.cat([V, V]), torch.cat([e, torch.zeros_like(e)]), none

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        held = {key: value.numpy().copy() for key, value in self._arrays.items()}
        return held if self._first_linear is not None else held | {"linear": self.linear.numpy().astype(np.float64)}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        if self.shallow:
            return {"clipped": self.clipped}
        return {} if self._first_linear is None else {"linear": self._first_linear}

    @property
    def _first_linear(self) -> int | None:
        """How many units are linear, if these are the first ones."""
        count = int(self.linear.sum())
        return count if bool(self.linear[:count].all()) else None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        """``arrays`` may hold what the settings hold as a number, ``linear``, as one for each unit."""
        each = {"linear": arrays["linear"]} if "linear" in arrays else {}
        return cls({key: value for key, value in arrays.items() if key != "linear"}, **{**settings, **each})

    def with_weights(self, changed: Mapping[str, Any]) -> Self:
        """The same network with some of its ``arrays`` changed."""
        return type(self).from_arrays({**self.arrays(), **changed}, self.settings())

    @classmethod
    def random(cls, units: int = 8, seed: int = 0, *, hidden: int = 0, linear: int = 0, clipped: bool = False) -> PLRNN:
        """Normal weights, and A between 0.3 and 0.9, with two inputs and two outputs; shallow with ``hidden`` units."""
        rng = np.random.default_rng(seed)
        held: dict[str, Array] = {"A": rng.uniform(0.3, 0.9, units), "C": rng.standard_normal((units, 2))}
        if hidden:
            held["W1"] = rng.standard_normal((units, hidden)) / np.sqrt(hidden)
            held["W2"] = rng.standard_normal((hidden, units)) / np.sqrt(units)
            held["h1"], held["h2"] = rng.standard_normal(units), rng.standard_normal(hidden)
        else:
            held["W"], held["h"] = rng.standard_normal((units, units)) / np.sqrt(units), rng.standard_normal(units)
        held["W_out"], held["b_out"] = rng.standard_normal((2, units)) / np.sqrt(units), np.ones(2)
        return cls(held, linear=linear, clipped=clipped)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.relu(x @ self.V.T + self.e) @ self.B.T + x @ self.M.T + (u @ self.C.T + self.h) - x

    def _active(self, x: Tensor) -> Tensor:
        return (x @ self.V.T + self.e > 0).to(x.dtype)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = (self.B * self._active(x).unsqueeze(1)) @ self.V + self.M
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        active = self._active(x)
        return lambda v: (active * (v @ self.V.T)) @ self.B.T + v @ self.M.T - v

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.linearised(x, u)(v)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return (self._active(x) * (w @ self.B)) @ self.V + w @ self.M - w

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.C.repeat(len(x), 1, 1)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        bent = y.affine(self.V, self.e).relu().affine(self.B)
        return bent + y.affine(self.A) + y.affine(self.straight) - y + y.constant(u).affine(self.C, self.h)

    def pieces(self, u: Tensor) -> Pieces:
        A = exact_sum(self.A, self.straight, -torch.eye(self.n_state, dtype=u.dtype, device=u.device))
        m = len(self.e)
        c, none = affine_terms([(self.C, u[0])], [self.h]), self.e.new_zeros(m, m)
        return Pieces.summed(A, (self.B,), c, (self.V,), (none,), (self.e,))

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """None but for a clipped network that only leaks, A diagonal and within +-1, and for a contraction.

        With z' = a z + g and g between two numbers, z ends up between two numbers. Of a contraction by L < 1 in the
        largest component no state stays beyond |G(0)| / (1 - L).
        """
        drive, wide = u @ self.C.T + self.h, 1 + 1e-12  # for the rounding
        if self.clipped and bool((self.A.abs() < 1).all()) and torch.equal(self.A, torch.diag(self.A.diagonal())):
            a, jump = self.A.diagonal(), self.e[: len(self.e) // 2] * self.B[:, : len(self.e) // 2]
            low, high = drive + jump.clamp_max(0.0).sum(1), drive + jump.clamp_min(0.0).sum(1)
            least = torch.where(a < 0, (low + a * high) / (1 - a * a), low / (1 - a))
            most = torch.where(a < 0, (high + a * low) / (1 - a * a), high / (1 - a))
            room = (wide - 1) * (most - least + least.abs())
            return least - room, most + room
        shrinks = float((self.M.abs() + self.B.abs() @ self.V.abs()).sum(1).max()) * wide
        if shrinks >= 1:
            return None
        at_zero = (drive + torch.relu(self.e) @ self.B.T).abs().amax(1, keepdim=True)
        reach = (at_zero / (1 - shrinks) * wide).expand(-1, self.n_state)
        return -reach, reach

    def readout(self, x: Tensor) -> Tensor:
        return x @ self.W_out.T + self.b_out

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs under random inputs from the first state and from random ones, (steps, runs, n_state)."""
        first = self.h.new_zeros(self.n_state) if self.initial_state is None else self.initial_state
        return driven_trajectories(self, first.expand(runs, -1), steps, seed)


def _mask(linear: Any, M: int) -> Tensor:
    """Which units are linear, (M,) bool."""
    values = np.asarray(linear)
    if values.ndim == 0 and values == int(values) and 0 <= values <= M:
        return torch.arange(M) < int(values)
    if values.shape == (M,) and bool(np.isin(values, (0, 1)).all()):
        return torch.as_tensor(values.astype(bool))
    raise ValueError(f"linear is {linear!r}; it is a number of units from 0 to {M}, or ({M},) of 0 and 1")


def _check_names(held: Mapping[str, Tensor], shallow: bool) -> None:
    form, needed = (SHALLOW, SHALLOW[:3]) if shallow else (PLAIN, PLAIN[:2])
    unknown = [key for key in held if key not in form + AROUND]
    missing = [key for key in needed if key not in held]
    if missing or unknown:
        wrong = f"{', '.join(missing)} is missing" if missing else f"{', '.join(unknown)} is no part of it"
        raise ValueError(f"{wrong}; a PLRNN has {', '.join(PLAIN)}, or {', '.join(SHALLOW)}, and {', '.join(AROUND)}")


def _check_shapes(held: Mapping[str, Tensor], M: int, shallow: bool) -> None:
    of_hidden = held["W2"].shape[:1] if shallow else (0,)
    hidden = int(of_hidden[0]) if of_hidden else 0
    outputs = int(held["W_out"].shape[0]) if "W_out" in held and held["W_out"].ndim else 0
    legal: dict[str, tuple[tuple[Any, ...], ...]] = {"A": ((M,), (M, M)), "W": ((M, M),), "C": ((M, "inputs"),)}
    legal |= {"W1": ((M, hidden),), "W2": ((hidden, M),), "h2": ((hidden,),), "b_out": ((outputs,),)}
    legal |= {"W_out": ((outputs, M),)} | dict.fromkeys(("h", "h1", "initial"), ((M,),))
    for key, value in held.items():
        shape = tuple(value.shape)
        if M == 0 or not any(_fits(shape, s) for s in legal[key]):
            needs = " or ".join(str(s) for s in legal[key]).replace("'", "")
            raise ValueError(f"{key} has shape {shape}; a PLRNN of {M or 'M'} units needs {needs}")
        if not torch.isfinite(value).all():
            raise ValueError(f"{key} holds {int((~torch.isfinite(value)).sum())} values that are NaN or infinite")


def _fits(shape: tuple[int, ...], legal: tuple[Any, ...]) -> bool:
    return len(shape) == len(legal) and all(a in (b, "inputs") for a, b in zip(legal, shape, strict=True))
