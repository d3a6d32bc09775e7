"""Do the fixed points of a system survive a perturbation that grows, and how far do they drift?

A hyperbolic point moves smoothly with a small perturbation (implicit function theorem): to first order by -J^-1 dF,
where dF is what the perturbation adds to F at the old point. It goes on doing so until it meets another in a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.continuation.track import FATES, FORCING, SURVIVES, Fate, carry
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.unstable import unstable_directions
from dynsys.systems.held import Held
from dynsys.systems.homotopy import Blend
from dynsys.systems.system import System

Array = NDArray[np.float64]

HISTORY = 4  # places of a curve, through which the next is foreseen
TELLING = 0.1  # of the largest output at any point: one below it says neither yes nor no at a memory
PROPORTIONAL = 1e-9  # relative, within which dF has to grow like the level for one solve to serve all levels
LOST = -1  # n_unstable of a point that is no more, or was not asked for


@dataclass(frozen=True, eq=False)
class Survival:
    """k points of a system at L rising levels of one perturbation.

    ``levels`` (L,); ``points`` (k,) the rows of these among the points given; ``states`` (L, k, n), NaN from where a
    point is lost; ``drift`` (L, k) how far each is from where it was without the perturbation, NaN likewise, and
    ``predicted`` (L, k) the length of -J^-1 dF. ``n_unstable`` (L, k), -1 where lost or not asked for; ``memory``
    (L, k) whether it is still a memory: there, stable, and with the outputs' signs it had. ``before`` (k,) is
    n_unstable without the perturbation, ``was_memory`` (k,) whether it was one then. ``fate`` (k,) says what became
    of it in the end, in the words of ``dynsys.continuation.track.Fate``, and ``lost_at`` (k,) at which level (infinite
    where it survives): within a step of the levels by interpolation.
    """

    levels: Array
    points: NDArray[np.int64]
    states: Array
    drift: Array
    predicted: Array
    n_unstable: NDArray[np.int64]
    memory: NDArray[np.bool_]
    before: NDArray[np.int64]
    was_memory: NDArray[np.bool_]
    fate: NDArray[np.str_]
    lost_at: Array

    @property
    def exists(self) -> NDArray[np.bool_]:
        """(L, k) where the point is still there."""
        return ~np.isnan(self.drift)

    @property
    def same_stability(self) -> NDArray[np.bool_]:
        """(L, k) where it is there with as many unstable directions as it had."""
        return self.exists & (self.n_unstable == self.before)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(L, k) where it is not known whether the point is still there: from where it could not be followed."""
        return ~self.exists & (self.fate == Fate.UNKNOWN)

    @property
    def first_loss(self) -> tuple[float, float]:
        """Levels between which the first memory was lost.

        Below the first level it is (0, first); (last, inf) where none was lost. A memory that could not be followed
        may have been lost since the last level at which it was known, or not: the interval holds both.
        """
        kept, unknown = (values[:, self.was_memory] for values in (self.memory, self.unknown))
        lost = ~kept & ~unknown
        edges = np.concatenate([[0.0], self.levels, [np.inf]])
        return float(edges[_first(~kept)]), float(edges[_first(lost) + 1])

    def counts(self) -> dict[str, list[int]]:
        """Per level: points that exist, that have their stability besides, and memories kept."""
        kept = {"exist": self.exists, "same_stability": self.same_stability, "memories": self.memory}
        return {key: values.sum(axis=1).tolist() for key, values in kept.items()}


def _first(values: NDArray[np.bool_]) -> int:
    """The first row of (L, k) in which any is so, L where none is."""
    rows = np.flatnonzero(values.any(axis=1))
    return int(rows[0]) if len(rows) else len(values)


Perturbed = Callable[[float], System] | Sequence[System]


def survival(
    points: FixedPoints | ArrayLike,
    system: System,
    perturbed: Perturbed,
    levels: ArrayLike,
    *,
    inputs: ArrayLike | None = None,
    which: str = "all",
    memories: ArrayLike | None = None,
    stability: str = "memories",
    progress: Callable[[int, int], Any] | None = None,
) -> Survival:
    """Follow fixed points of ``system`` while a perturbation rises through ``levels`` (L,), positive and rising.

    ``points`` are FixedPoints (slow points are left out) or states (k, n) with ``inputs`` (k, m) or (m,) held, zero if
    not given. ``perturbed`` gives the system at a level, or is one system per level. ``memories`` are the numbers of
    those stable points that are memories, all of them if not given. ``which`` are followed: "all" or "memories";
    ``stability`` says likewise whose unstable directions are counted at every level. ``progress(done, L)`` is told of
    every level. Raises ValueError for levels that are not such and for systems that do not fit.

    >>> from dynsys import Flow
    >>> bistable = lambda level: Flow(lambda x, u: x - x**3 + level, n_state=1)
    >>> found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1, 0.3, 0.5])
    >>> found.counts()["exist"], found.lost_at[0].round(3) == (2 / 27**0.5).__round__(3)
    ([3, 3, 1], np.True_)
    """
    rising = _levels(levels)
    with alone():
        followed = _Followed.of(points, system, inputs, which, memories)
        counted = followed.memories | (_chosen("stability", stability) == "all")
        return followed.through(rising, _family(perturbed, rising), counted, progress)


def _chosen(option: str, value: str) -> str:
    if value not in ("all", "memories"):
        raise ValueError(f"{option} is {value!r}; it is 'all' or 'memories'")
    return value


def _levels(levels: ArrayLike) -> Array:
    rising = np.asarray(levels, dtype=np.float64)
    if (
        rising.ndim != 1
        or not len(rising)
        or not np.isfinite(rising).all()
        or not (np.diff(rising, prepend=0) > 0).all()
    ):
        raise ValueError(f"levels are {levels!r}; they have to be positive and rising, like 0.001, 0.01, 0.1")
    return rising


def _family(perturbed: Perturbed, levels: Array) -> Callable[[int], System]:
    if callable(perturbed):
        return lambda i: perturbed(float(levels[i]))
    if len(perturbed) != len(levels):
        raise ValueError(f"{len(perturbed)} perturbed systems for {len(levels)} levels; give one for each")
    return lambda i: perturbed[i]


@dataclass(frozen=True)
class _Followed:
    """The points x (k, n) of ``system`` that are followed, with inputs u (k, m)."""

    system: System
    rows: NDArray[np.int64]
    x: Tensor
    u: Tensor
    n_unstable: NDArray[np.int64]
    memories: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        points: FixedPoints | ArrayLike,
        system: System,
        inputs: ArrayLike | None,
        which: str,
        memories: ArrayLike | None,
    ) -> _Followed:
        if isinstance(points, FixedPoints):
            rows = np.flatnonzero(points.verdict == "fixed")
            x, u = torch.as_tensor(points.states[rows]), torch.as_tensor(points.inputs[rows])
            n_unstable, words = points.n_unstable[rows], points.stability[rows]
            stable = np.char.startswith(words, "stable")
        else:
            x = torch.as_tensor(np.array(points, dtype=np.float64))
            u = torch.zeros(len(x), system.n_input, dtype=x.dtype)
            if inputs is not None:
                u = u + torch.as_tensor(np.asarray(inputs, dtype=np.float64))
            rows, n_unstable = np.arange(len(x)), unstable_directions(Held(system, u), x)
            stable = n_unstable == 0
        if x.ndim != 2 or x.shape[1] != system.n_state:
            raise ValueError(f"states have shape {tuple(x.shape)}; a system of {system.n_state} variables needs (k, n)")
        if memories is not None:
            stable &= np.isin(rows, np.asarray(memories, dtype=np.int64))
        chosen = stable | (_chosen("which", which) == "all")
        return cls(system, rows[chosen], x[chosen], u[chosen], n_unstable[chosen], stable[chosen])

    def through(
        self,
        levels: Array,
        at: Callable[[int], System],
        counted: NDArray[np.bool_],
        progress: Callable[[int, int], Any] | None,
    ) -> Survival:
        """Level by level; the unstable directions of the ``counted`` (k,) points are."""
        L, (k, n) = len(levels), self.x.shape
        unit = float(vector_norm(self.x, dim=1).max()) if k else 1.0
        unit = unit or 1.0
        path = torch.full((L + 1, k, n), torch.nan, dtype=self.x.dtype)
        path[0] = self.x
        predicted, n_unstable = np.full((L, k), np.nan), np.full((L, k), LOST)
        fate, lost_at = np.full(k, SURVIVES), np.full(k, np.inf)
        going, before, first = torch.arange(k), self.system, _FirstOrder(self)
        for i, level in enumerate(levels):
            after = at(i)
            self._check(after)
            foreseen = first.drift(after, float(level))
            predicted[i] = np.asarray(vector_norm(foreseen, dim=1))
            if len(going):
                known = np.concatenate([[0.0], levels[:i]])
                guess = _ahead(path[: i + 1, going], known, float(level)) if i else self.x[going] + foreseen[going]
                arrival = carry(Blend(before, after, self.u[going]), path[i, going], guess, unit)
                there = arrival.fate == SURVIVES
                gone = going[~there].numpy()
                fate[gone] = arrival.fate[~there]
                lost_at[gone] = known[-1] + arrival.s[~there].numpy() * (level - known[-1])
                path[i + 1, going[there]] = arrival.x[there]
                going = going[there]
                asked = going[torch.as_tensor(counted)[going]]
                n_unstable[i, asked.numpy()] = unstable_directions(Held(after, self.u[asked]), path[i + 1, asked])
            before = after
            if progress is not None:
                progress(i + 1, L)
        states = path[1:].numpy()
        memory = (n_unstable == 0) & self.memories & self._same_signs(path[1:])
        drift = np.linalg.norm(states - self.x.numpy(), axis=2)
        words = np.array([FATES[f] for f in fate], dtype=np.str_)
        return Survival(
            levels,
            self.rows,
            states,
            drift,
            predicted,
            n_unstable,
            memory,
            self.n_unstable,
            self.memories,
            words,
            lost_at,
        )

    def _check(self, after: System) -> None:
        here, there = self.system, after
        if (here.n_state, here.n_input, here.kind) != (there.n_state, there.n_input, there.kind):
            raise ValueError(
                f"the perturbed system is a {there.kind} of {there.n_state} variables and {there.n_input} inputs, "
                f"the system itself a {here.kind} of {here.n_state} and {here.n_input}; they have to agree"
            )

    def _same_signs(self, states: Tensor) -> NDArray[np.bool_]:
        """(L, k) whether the outputs that say something at a point have the sign that they had."""
        before = self.system.readout(self.x)
        if not before.numel():
            return np.ones(states.shape[:2], dtype=bool)
        says = before.abs() >= TELLING * before.abs().max()
        same = torch.stack([((self.system.readout(x) * before > 0) | ~says).all(dim=1) for x in states])
        return np.asarray(same)


class _FirstOrder:
    """-J^-1 dF at the old points: one solve serves all levels while dF grows in proportion to the level."""

    def __init__(self, followed: _Followed) -> None:
        self.followed = followed
        self.dF: Tensor | None = None  # at a level of 1
        self.solved = torch.zeros(0)

    def drift(self, after: System, level: float) -> Tensor:
        """(k, n) at this level."""
        f = self.followed
        dF = (after.velocity(f.x, f.u) - f.system.velocity(f.x, f.u)) / level
        if self.dF is None or not bool(((dF - self.dF).norm(dim=1) <= PROPORTIONAL * dF.norm(dim=1)).all()):
            self.dF, self.solved = dF, self._solve(dF)
        return level * self.solved

    def _solve(self, dF: Tensor) -> Tensor:
        f, rows = self.followed, torch.arange(len(dF))
        blend = Blend(f.system, f.system, f.u)
        d = torch.zeros_like(dF)
        for _ in range(3):  # the second and third are corrections, each of a thousandth of the one before
            Jd = f.system.jacobian_product(f.x, f.u, d)
            d = d + blend.solve(f.x, torch.ones_like(dF[:, 0]), rows, -dF - Jd, FORCING)
        return d


def _ahead(path: Tensor, levels: Array, level: float) -> Tensor:
    """Where curves through path (i, k, n) at ``levels`` (i,) go on to at ``level``: the last few give a polynomial."""
    path, levels = path[-HISTORY:], levels[-HISTORY:]
    weights = [np.prod([(level - b) / (a - b) for b in levels if b != a]) for a in levels]
    return torch.einsum("i,ikn->kn", torch.tensor(weights, dtype=path.dtype), path)
