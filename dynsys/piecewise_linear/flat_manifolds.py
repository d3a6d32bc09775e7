"""Pieces of lines, planes, ... that the linear regions hold, told as manifolds of fixed points with their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynsys.continuous_attractors.manifold import REPRESENTATIVES, Manifold, spread
from dynsys.piecewise_linear.exact.flats import Flat
from dynsys.piecewise_linear.kinks import Sides, one_sided_jacobians, stability_and_lead
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind

SHOWN = 10.0  # in units of the state, how far representatives go where there is no end


@dataclass(frozen=True, eq=False)
class FlatManifold(Manifold):
    """One that is a ``flat`` of a linear region, with the Jacobians on all ``sides`` of the kinks that it lies on."""

    flat: Flat
    sides: Sides

    def to_dict(self) -> dict[str, Any]:
        """And its region, its corners, and the directions in which it goes on from them, to one side or to both."""
        flat = self.flat
        parts = {"corners": flat.corners, "rays": flat.rays, "lines": flat.lines}
        active = flat.pattern.nonzero().squeeze(1).tolist()
        return {**super().to_dict(), "active_units": active, **{name: part.tolist() for name, part in parts.items()}}


def flat_manifold(
    flat: Flat, pieces: Pieces, kind: Kind, unit: float, group: int, period: int, shown: int
) -> FlatManifold:
    """The ``flat`` of ``pieces``, with ``shown`` representatives at most; ``unit`` is the usual size of a state.

    The pieces are those of a map applied ``period`` times.
    """
    sides = one_sided_jacobians(pieces, flat.pattern, flat.kinks)
    across = torch.linalg.qr(flat.directions.T, mode="complete")[0][:, flat.dimension :]
    judged = [stability_and_lead(A, kind) for A in across.T @ sides.jacobians @ across] if across.shape[1] else []
    counts = [stability.n_unstable for stability, _ in judged] or [0]
    endless = len(flat.rays) + len(flat.lines) > 0
    size = max(unit, float(flat.x.norm()))
    return FlatManifold(
        dimension=flat.dimension,
        kind=_kind(flat),
        representatives=_along(flat, SHOWN * size) if flat.dimension == 1 else _over(flat, size, shown),
        extent=torch.inf if endless else float(torch.cdist(flat.corners, flat.corners).max()),
        n_unstable=max(counts),
        leading_eigenvalue=max((lead for _, lead in judged), key=_growth(kind), default=complex("nan")),
        is_whole=True,
        goes_on=endless,
        group=group,
        fewest=min(counts),
        period=period,
        flat=flat,
        sides=sides,
    )


def _growth(kind: Kind) -> Any:
    return abs if kind is Kind.MAP else lambda eigenvalue: eigenvalue.real


def _kind(flat: Flat) -> str:
    if flat.dimension == 1:
        return "line" if len(flat.lines) else "half-line" if len(flat.rays) else "segment"
    if flat.dimension > 2:
        return f"{flat.dimension}-dimensional"
    if len(flat.lines):
        return "plane" if len(flat.lines) == 2 else "half-plane" if len(flat.rays) else "strip"
    sector = "sector" if len(flat.corners) == 1 else "open polygon"
    return sector if len(flat.rays) else "polygon"


def _along(flat: Flat, length: float) -> Tensor:
    """States (m, n) at even distances along a line, its ends among them."""
    first, last = flat.corners[0], flat.corners[-1]
    for ray in flat.rays:
        last = first + length * ray
    for line in flat.lines:
        first, last = first - length * line, last + length * line
    share = torch.linspace(0, 1, REPRESENTATIVES, dtype=first.dtype).unsqueeze(1)
    return (1 - share) * first + share * last


def _over(flat: Flat, size: float, most: int) -> Tensor:
    """Some of its corners, and of states at a usual distance from one inside, in the directions without an end."""
    onward = flat.x + size * torch.cat([flat.rays, flat.lines, -flat.lines])
    return spread(torch.cat([flat.x.unsqueeze(0), flat.corners, onward]), most)[0]
