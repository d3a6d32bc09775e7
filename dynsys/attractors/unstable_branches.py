"""The branches of an unstable manifold: where each leaves its point, along a mode, and what it passes on its way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.spectrum import excess
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

FARTHEST = 0.01  # of the distance to the nearest other point: where the search for a linear neighbourhood begins
NONLINEAR = 0.05  # of the linear growth, that the rest may have where a branch starts
QUARTERINGS = 20  # until the displacement is lost in rounding
CLEAR = 1e3  # error bounds of the point, that a branch starts away from it at least


@dataclass(frozen=True, eq=False)
class Leaving:
    """b branches about to leave: ``source``, ``mode``, ``part`` ("real", "imaginary"), ``sign`` and ``start`` (b, n).

    ``flips`` (b,) is true where a map's eigenvalue is real and negative: the states change sides at every step.
    ``left_out`` counts branches without a start by the reason.
    """

    source: NDArray[np.int64]
    mode: NDArray[np.int64]
    part: NDArray[np.str_]
    sign: NDArray[np.int64]
    start: Tensor
    flips: NDArray[np.bool_]
    rate: Array  # (b,) of growth, per step of a map or time constant of a flow
    left_out: dict[str, int]


def leaving(system: System, points: FixedPoints, limit: int) -> Leaving:
    """Both ways along every unstable mode that is known, of the points with the fewest unstable directions first.

    A branch starts where F(x + e v) = e J v holds to ``NONLINEAR`` of what the mode grows in one unit of time. Of a
    complex pair the real and the imaginary part of the vector are followed. ``limit`` is the most branches.
    """
    rows, left_out = _directions(points)
    if len(rows) > limit // 2:
        left_out["beyond the limit"] = 2 * len(rows) - 2 * (limit // 2)
        rows = rows[: limit // 2]
    source, mode = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    part = np.array([row[2] for row in rows], dtype="<U9")
    values = points.eigenvalues[source, mode]
    vectors = points.modes[source, mode]
    along = np.where((part == "real")[:, None], vectors.real, vectors.imag)
    v = torch.as_tensor(along / np.linalg.norm(along, axis=1, keepdims=True))
    x, u = torch.as_tensor(points.states[source]), torch.as_tensor(points.inputs[source])
    growth = excess(torch.as_tensor(values), system.kind)
    first = torch.as_tensor(FARTHEST * nearest(points, system)[source])
    least = torch.as_tensor(CLEAR * np.where(np.isfinite(points.error_bound), points.error_bound, 0.0)[source])
    size = _displacements(Held(system, u), x, v, growth, first, least)
    good = torch.isfinite(size)
    if not bool(good.all()):
        left_out["along which growth is lost in rounding"] = 2 * int((~good).sum())
    both = torch.tensor([1.0, -1.0], dtype=x.dtype)
    start = (x.unsqueeze(1) + both[None, :, None] * (size[:, None] * v).unsqueeze(1))[good]
    kept = np.repeat(np.flatnonzero(good.numpy()), 2)
    flips = (values.real < 0) & (values.imag == 0) & (system.kind is Kind.MAP)
    sign = np.tile(np.array([1, -1]), int(good.sum()))
    with np.errstate(divide="ignore"):  # an eigenvalue of 0 to rounding, beside huge ones
        rate = growth.numpy() if system.kind is Kind.FLOW else np.log1p(growth.numpy())
    return Leaving(source[kept], mode[kept], part[kept], sign, start.flatten(0, 1), flips[kept], rate[kept], left_out)


def _directions(points: FixedPoints) -> tuple[list[tuple[int, int, str]], dict[str, int]]:
    """(point, mode, part) of each direction to follow, and what is left out by the reason."""
    rows: list[tuple[int, int, str]] = []
    left_out: dict[str, int] = {}
    for i in np.argsort(points.n_unstable, kind="stable").tolist():
        n_unstable = int(points.n_unstable[i])
        if points.verdict[i] != "fixed":
            _count(left_out, "of slow points", 2 * n_unstable)
            continue
        known = points.modes[i, : min(n_unstable, points.modes.shape[1])]
        known = known[~np.isnan(known).any(axis=1)]
        _count(left_out, "along modes that are not known", 2 * (n_unstable - len(known)))
        for m in range(len(known)):
            value = points.eigenvalues[i, m]
            if value.imag >= 0:
                rows.append((i, m, "real"))
                if value.imag > 0:
                    rows.append((i, m, "imaginary"))
    return rows, left_out


def _count(left_out: dict[str, int], reason: str, n: int) -> None:
    if n:
        left_out[reason] = left_out.get(reason, 0) + n


def nearest(points: FixedPoints, system: System) -> Array:
    """The distance of each point to the nearest other of its input (k,); of a single one, the size of the box or 1."""
    distance = torch.cdist(torch.as_tensor(points.states), torch.as_tensor(points.states)).numpy()
    distance[(points.inputs[:, None] != points.inputs[None]).any(axis=2)] = np.inf
    np.fill_diagonal(distance, np.inf)
    found = distance.min(axis=1, initial=np.inf)
    box = system.box(torch.as_tensor(points.inputs))
    size = np.full(len(points), np.nan) if box is None else (box[1] - box[0]).norm(dim=1).numpy() / 2
    return np.where(np.isfinite(found), found, np.where(np.isfinite(size), size, 1.0))


def _displacements(held: Held, x: Tensor, v: Tensor, growth: Tensor, size: Tensor, least: Tensor) -> Tensor:
    """How far from x (b, n) along v a branch starts (b,); NaN where none from ``size`` to ``least`` is linear."""
    linear, F = held.jacobian_product(x, v), held.velocity(x)
    found = torch.full_like(size, torch.nan)
    for _ in range(QUARTERINGS):
        open_ = torch.isnan(found) & (size > least)
        if not bool(open_.any()):
            break
        e = size.unsqueeze(1)
        rest = torch.stack([(held.velocity(x + s * e * v) - F - s * e * linear).norm(dim=1) for s in (1, -1)])
        found = torch.where(open_ & (rest.amax(0) <= NONLINEAR * growth * size), size, found)
        size = size / 4
    return found
