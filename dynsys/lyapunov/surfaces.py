"""Lyapunov surfaces as a plane cuts them: the levels of V around a memory, and trajectories that cross them inwards.

Of two variables it is the phase plane. Of more it goes through the memory and a saddle next to it; its other direction
is the longest half-axis of the proved ellipsoid, off the line between the two. Trajectories leave such a plane; they
are drawn at the level of V that they are at, in the direction of their shadow, orthogonal in the sense of V: states of
the plane lie where they are, and no trajectory crosses a proved level outwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.shown import Shown
from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import System
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]

STARTS = 20  # trajectories, on a level
STEPS = 400  # of a map, or tenths of a time constant
THERE = 1e-3  # of V, from where a trajectory is not followed
ANGLES = 181  # of a level


@dataclass(frozen=True, eq=False, repr=False)
class Surface(Shown):
    """Of memory number ``memory``: the plane E (2, n) through its state ``middle`` (n,), and V = |X^-1 (x - middle)|^2.

    ``inward`` are trajectories (T, n) from the border of the proved ellipsoid, ``outside`` some from the level at which
    the saddle lies, of which nothing is proved. ``saddle`` is its number, -1 where there is none. ``energy`` is that of
    the network, a function of states (B, n), where it has one; from ``highest`` on, that of the memory and what is
    proved above it, it proves nothing (NaN: it proves nothing at all).
    """

    memory: int
    saddle: int
    middle: Array
    E: Array
    X: Array
    radius: float
    beyond: float  # the level at which the outer trajectories begin
    inward: list[Array]
    outside: list[Array]
    energy: Callable[[Array], Array] | None = None
    highest: float = float("nan")

    def V(self, x: Array) -> Array:
        """At states (..., n)."""
        y = np.linalg.solve(self.X, (x - self.middle)[..., None])[..., 0]
        return np.asarray((y * y).sum(-1))

    def places(self, x: Array) -> Array:
        """Where states (..., n) are drawn, (..., 2), from the memory."""
        y = np.linalg.solve(self.X, (x - self.middle)[..., None])[..., 0]
        Q, R = self._upright()
        shadow = y @ Q
        size, left = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (y, shadow))
        return np.asarray(np.linalg.solve(R, (shadow * size / np.maximum(left, 1e-300))[..., None])[..., 0])

    def level(self, V: float, angles: int = ANGLES) -> Array:
        """Places (angles, 2) along a level."""
        turn = np.linspace(0, 2 * np.pi, angles)
        circle = np.sqrt(V) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return np.asarray(np.linalg.solve(self._upright()[1], circle.T).T)

    def states(self, places: Array) -> Array:
        """(..., 2) as (..., n)."""
        return np.asarray(self.middle + places @ self.E)

    def _upright(self) -> tuple[Array, Array]:
        Q, R = np.linalg.qr(np.linalg.solve(self.X, self.E.T))
        return Q, R


def surfaces(
    certified: CertifiedBasins,
    points: FixedPoints,
    memory: int | None = None,
    saddle: int | None = None,
    system: System | None = None,
) -> list[Surface]:
    """Of a plane system those of all proved points, of any other that of one.

    ``memory`` is its number, that of the largest ball where it is not given; ``saddle`` that of an unstable point, the
    one of the least V where it is not given. Raises ValueError for points that have no proof or no system, and numbers
    of other kinds of points.
    """
    held = system or points.system
    if held is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if points.search.period > 1 and not isinstance(held, Iterated):
        held = Iterated(held, points.search.period)
    if not np.array_equal(certified.states, points.states):
        raise ValueError("these basins were proved of other points; prove them again: dynsys.certified_basins(points)")
    proved = np.flatnonzero(certified.has_ellipsoid)
    if not len(proved):
        raise ValueError(f"no ellipsoid is proved, so there is no Lyapunov surface to draw. {certified.summary()}")
    if points.states.shape[1] < 2:
        raise ValueError("the system has one state variable; Lyapunov surfaces are drawn of 2 and more")
    if memory is not None and memory not in proved:
        why = certified.reasons[memory] if 0 <= memory < len(points) else f"there are {len(points)} points"
        why = why or certified.proofs[memory]
        raise ValueError(f"point {memory} has no proved ellipsoid ({why}); points that have one: {_listed(proved)}")
    chosen = [int(proved[certified.radius[proved].argmax()])] if memory is None else [memory]
    if points.states.shape[1] <= 2 and memory is None:
        chosen = proved.tolist()
    return [_surface(certified, points, held, i, saddle) for i in chosen]


def _listed(numbers: NDArray[np.int64]) -> str:
    return ", ".join(map(str, numbers[:12])) + (" and others" if len(numbers) > 12 else "")


def _surface(certified: CertifiedBasins, points: FixedPoints, system: System, i: int, saddle: int | None) -> Surface:
    X, middle, u = certified.ellipsoids[i], points.states[i], torch.as_tensor(points.inputs[i : i + 1])
    levels = certified.V(i, points.states)
    other = _saddle(points, i, levels, saddle)
    beyond = float(levels[other]) if other >= 0 else 2.0
    found = system.energy_function(u)
    energy = None if found is None else found.value
    highest = float("nan") if energy is None else float(energy(middle[None])[0] + certified.levels[i])
    bare = Surface(i, other, middle, _plane(X, middle, points.states[other] if other >= 0 else None), X, 0.0, 1, [], [])
    inward, outside = (_runs(system, u, bare, level) for level in (1.0, beyond))
    return Surface(i, other, middle, bare.E, X, float(certified.radius[i]), beyond, inward, outside, energy, highest)


def _saddle(points: FixedPoints, i: int, levels: Array, asked: int | None) -> int:
    """The unstable point under the same input that is asked for, or that of the least V; -1 where there is none."""
    unstable = (points.n_unstable > 0) & (points.verdict == "fixed") & (points.inputs == points.inputs[i]).all(axis=1)
    if asked is not None:
        if not 0 <= asked < len(points) or not unstable[asked]:
            others = _listed(np.flatnonzero(unstable)) or "none"
            raise ValueError(f"point {asked} is no unstable point under the input of point {i}; there are {others}")
        return asked
    return int(np.where(unstable, levels, np.inf).argmin()) if unstable.any() else -1


def _plane(X: Array, middle: Array, saddle: Array | None) -> Array:
    """Two orthonormal directions (2, n): to the saddle, and the longest half-axis off it, first the one along which the
    levels are longer; of two variables theirs.
    """
    n = len(middle)
    if n <= 2:
        return np.eye(2)[:, :n]
    axes = np.linalg.svd(X)[0].T
    first = axes[0] if saddle is None else (saddle - middle) / np.linalg.norm(saddle - middle)
    off = axes - np.outer(axes @ first, first)
    sizes = np.linalg.norm(off, axis=1)
    k = int(np.argmax(sizes > 0.5))  # of three orthonormal directions one at the least is so far off any line
    E = np.stack([first, off[k] / sizes[k]])
    cut = np.linalg.inv((U := np.linalg.solve(X, E.T)).T @ U)  # the ellipse that the plane cuts out
    return E if cut[0, 0] >= cut[1, 1] else E[::-1]


def _runs(system: System, u: torch.Tensor, surface: Surface, level: float) -> list[Array]:
    """Trajectories from places around a level, each until it is at the memory, in tenths of a time constant."""
    starts = surface.states(surface.level(level, STARTS + 1)[:-1])
    x = torch.as_tensor(starts)
    path = np.concatenate([starts[None], relax(Held(system, u), x, STEPS).numpy()])
    V = surface.V(path)
    ends = np.where((V < THERE).any(axis=0), (V < THERE).argmax(axis=0), STEPS)
    return [path[: end + 1, b] for b, end in enumerate(ends)]
