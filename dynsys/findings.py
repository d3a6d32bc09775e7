"""What a search has found, before it is described: each zero once, with its proof, its cycle, its manifold.

zeros of the catalogue -> whole cycles -> certificates -> those whose balls meet become one -> marginal ones on one
line, ring or plane become a few representatives of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from torch import Tensor

from dynsys.attractors.cycles import orbits
from dynsys.budget import MATRIX_FREE_ABOVE
from dynsys.catalogue import Catalogue
from dynsys.iterated import Iterated
from dynsys.marginal.blur import blur, vanishes_between
from dynsys.marginal.continuation import SAME as SAME_PLACE
from dynsys.marginal.manifold import Manifold, manifolds
from dynsys.proof.certainty import Assessed, assess
from dynsys.proof.certificate import Reason, certify
from dynsys.relu.kinks import Sides, one_sided_jacobians
from dynsys.relu.pieces import Pieces
from dynsys.relu.regions import RegionSearch
from dynsys.rounding import rounding
from dynsys.speed import q_of
from dynsys.system import System

SAME = 1e-8  # in units of the state: a zero this near to one of a linear region is that
KINK = 1e-13  # of the largest preactivation, within which another is zero

MOST_BLURRED = 64  # marginal points whose uncertainty is measured

NOT_TRIED = "no proof was asked for: the bound is an estimate"
UNBOUNDED = "no bound: the Jacobian is singular, or changes too much within reach"


@dataclass(frozen=True)
class Zeros:
    """k distinct zeros: ``points`` (whose error bounds are proved where ``certified``), the input of each by number,
    and by row the reason for a missing certificate, the number of units on a kink, of the cycle and of the manifold.
    """

    points: Assessed
    groups: list[int]
    certified: NDArray[np.bool_]
    reasons: list[str]
    kinks: NDArray[np.int64]
    orbit: NDArray[np.int64]
    manifold: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    sides: tuple[Sides | None, ...] = ()  # the Jacobians around a point on a kink
    manifolds: tuple[dict[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, rows: list[int]) -> Zeros:
        return dataclasses.replace(
            self,
            points=self.points[torch.tensor(rows, dtype=torch.long)],
            groups=[self.groups[i] for i in rows],
            reasons=[self.reasons[i] for i in rows],
            sides=tuple(self.sides[i] for i in rows) if self.sides else (),
            **{key: getattr(self, key)[rows] for key in ("certified", "kinks", "orbit", "manifold", "uncertainty")},
        )


def zeros_of(system: System, catalogue: Catalogue, prove: bool, regions: Mapping[int, RegionSearch]) -> Zeros:
    """The zeros in the catalogue of a search of ``system``, which may be a map applied several times.

    Without ``prove`` every error bound is an estimate. ``regions`` are what is known of the linear regions of a network
    of ReLUs, for the inputs at which they were searched.
    """
    points, groups = catalogue.points, list(catalogue.groups)
    orbit = np.full(len(points), -1, dtype=np.int64)
    if isinstance(system, Iterated) and system.k > 1:
        u = catalogue.inputs[torch.tensor(groups, dtype=torch.long, device=points.x.device)]
        cycles = orbits(system.system, system.k, points.x, u, catalogue.unit, catalogue.together, given=points)
        points, groups, orbit = cycles.points, [groups[i] for i in cycles.of], cycles.orbit
    none = np.zeros(len(points), dtype=np.int64)
    zeros = Zeros(
        points, groups, none > 0, [NOT_TRIED] * len(points), none, orbit, none - 1, np.full(len(points), np.nan)
    )
    if prove:
        zeros = _apart(_certified(system, zeros, catalogue))
    for group, found in regions.items():
        zeros = _listed(system, zeros, catalogue, group, found)
    zeros = _by_regions(system, zeros, catalogue, regions)
    return _with_blur(system, _with_manifolds(system, zeros, catalogue, regions), catalogue)


def _certified(system: System, zeros: Zeros, catalogue: Catalogue) -> Zeros:
    """A proved bound takes the place of the estimated one, be it larger or smaller."""
    points = zeros.points
    u = catalogue.inputs[torch.tensor(zeros.groups, dtype=torch.long, device=points.x.device)]
    proof = certify(system, points.x, u, catalogue.unit)
    bound = torch.where(proof.certified, proof.error_bound, points.error_bound)
    reasons = [
        UNBOUNDED if reason in (Reason.NO_CLOSED_FORM, Reason.TOO_LARGE) and not finite else str(reason)
        for reason, finite in zip(proof.reasons, torch.isfinite(bound).tolist(), strict=True)
    ]
    points = dataclasses.replace(points, error_bound=bound)
    return dataclasses.replace(zeros, points=points, certified=np.asarray(proof.certified.cpu()), reasons=reasons)


def _by_regions(system: System, zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> Zeros:
    """Inside a linear region the bound is that of a linear solve, and it is known which units are on their kink."""
    bound, certified, reasons = zeros.points.error_bound.clone(), zeros.certified.copy(), list(zeros.reasons)
    kinks, sides = zeros.kinks.copy(), list[Sides | None]()
    for i, group in enumerate(zeros.groups):
        pieces = system.pieces(catalogue.inputs[group : group + 1])
        x = zeros.points.x[i : i + 1]
        if pieces is None:
            sides.append(None)
            continue
        pattern, on = pieces.pattern(x)[0], _on_kink(pieces, x, float(bound[i]))
        found = regions.get(group)
        j, apart = _nearest(x, found)
        if found is not None and apart <= SAME * catalogue.unit:
            its_bound = float(found.bound[j])
            bound[i] = its_bound + apart if np.isfinite(its_bound) else bound[i]
            certified[i], reasons[i] = bool(found.certified[j]), found.reasons[j]
            pattern, on = found.patterns[j], found.kinks[j]
        kinks[i] = int(on.sum())
        sides.append(one_sided_jacobians(pieces, pattern, on) if kinks[i] else None)
    points = dataclasses.replace(zeros.points, error_bound=bound)
    return dataclasses.replace(
        zeros, points=points, certified=certified, reasons=reasons, kinks=kinks, sides=tuple(sides)
    )


def _listed(system: System, zeros: Zeros, catalogue: Catalogue, group: int, found: RegionSearch) -> Zeros:
    """With every certified zero of the linear regions that a search would take for another or not find again.

    Zeros that lie nearer to each other than ``SAME`` stand as the regions gave them, and nothing else beside them.
    """
    x = found.states.to(zeros.points.x)
    if found.period > 1 or not len(x):
        return zeros
    near = SAME * catalogue.unit
    mine = torch.tensor([g == group for g in zeros.groups], dtype=torch.bool, device=x.device)
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    to_known = torch.cdist(x, zeros.points.x, compute_mode="donot_use_mm_for_euclid_dist")
    to_known[:, ~mine] = torch.inf
    crowded = (apart <= 2 * near).any(1)
    lacking = found.certified.to(x.device) & ((to_known > near).all(1) | crowded)
    if not bool(lacking.any()):
        return zeros
    gone = ((to_known <= near) & (lacking & crowded).unsqueeze(1)).any(0)
    kept = zeros[(~gone).nonzero().squeeze(1).tolist()]
    rows = lacking.nonzero().squeeze(1)
    held = catalogue.inputs[group : group + 1].expand(len(rows), -1)
    added = dataclasses.replace(
        _unmoved(system, x[rows], held, catalogue), error_bound=found.bound.to(x)[rows], index=0 * x[rows, 0]
    )
    return _joined(kept, added, [group] * len(rows), [""] * len(rows))


def _joined(zeros: Zeros, points: Assessed, groups: list[int], reasons: list[str]) -> Zeros:
    """And these points, of no cycle and no manifold, with no certificate yet."""
    n = len(points)
    none = np.zeros(n, dtype=np.int64)
    return dataclasses.replace(
        zeros,
        points=Assessed.joined([zeros.points, points]),
        groups=[*zeros.groups, *groups],
        reasons=[*zeros.reasons, *reasons],
        certified=np.concatenate([zeros.certified, none > 0]),
        kinks=np.concatenate([zeros.kinks, none]),
        orbit=np.concatenate([zeros.orbit, none - 1]),
        manifold=np.concatenate([zeros.manifold, none - 1]),
        uncertainty=np.concatenate([zeros.uncertainty, np.full(n, np.nan)]),
    )


def _nearest(x: Tensor, found: RegionSearch | None) -> tuple[int, float]:
    """The zero of a search of the linear regions that is nearest to the state x (1, n), and how far that is."""
    if found is None or not len(found):
        return -1, np.inf
    apart = (found.states.to(x) - x).norm(dim=1)
    return int(apart.argmin()), float(apart.min())


def _on_kink(pieces: Pieces, x: Tensor, bound: float) -> Tensor:
    """The units (m,) whose preactivation may be zero at x (1, n), as far as that is known."""
    y = pieces.margins(x)[0]
    reach = (bound if np.isfinite(bound) else 0.0) * float(pieces.C.norm()) + KINK * (1 + float(y.abs().max()))
    return (y.abs() <= reach) & ~pieces.constant


def _apart(zeros: Zeros) -> Zeros:
    """Of points whose balls meet the one with the smallest; cycles, which have been told apart already, all stay."""
    bound = torch.where(torch.isfinite(zeros.points.error_bound), zeros.points.error_bound, 0.0)
    groups = torch.tensor(zeros.groups, device=bound.device)
    near = torch.cdist(zeros.points.x, zeros.points.x, compute_mode="donot_use_mm_for_euclid_dist")
    meet = (near <= bound + bound.unsqueeze(1)) & (groups == groups.unsqueeze(1))
    meet &= torch.as_tensor(zeros.orbit < 0, device=bound.device).unsqueeze(1)
    meet.fill_diagonal_(False)
    gone: set[int] = set()
    for i in torch.argsort(bound, stable=True).tolist() if bool(meet.any()) else []:
        if i not in gone:
            gone |= set(meet[i].nonzero().squeeze(1).tolist())
    return zeros[[i for i in range(len(zeros)) if i not in gone]] if gone else zeros


def _with_manifolds(system: System, zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> Zeros:
    """The marginal points, those without a bound, by the manifolds they lie on; and those on kinks that end one."""
    marginal = torch.isinf(zeros.points.error_bound).nonzero().squeeze(1).tolist()
    if not marginal:
        return zeros
    of = [zeros.groups[i] for i in marginal]
    found = manifolds(system, zeros.points.x[marginal], of, catalogue.inputs, catalogue.unit)
    on = {marginal[i] for i in np.flatnonzero(found.membership >= 0)}
    ending = _ending(system, zeros, catalogue, regions, found.found)
    on |= set(ending)
    ends = [[i for i, of_it in ending.items() if of_it == k] for k in range(len(found.found))]
    lines = [_ended_at(line, zeros.points.x[rows]) for line, rows in zip(found.found, ends, strict=True)]
    kept = zeros[[i for i in range(len(zeros)) if i not in on]] if on else zeros
    parts, groups, number = [kept.points], list(kept.groups), [kept.manifold]
    for k, manifold in enumerate(lines):
        x = manifold.representatives
        u = catalogue.inputs[manifold.group : manifold.group + 1].expand(len(x), -1)
        parts.append(_unmoved(system, x, u, catalogue))
        groups += [manifold.group] * len(x)
        number.append(np.full(len(x), k, dtype=np.int64))
    new = len(groups) - len(kept)
    told = tuple(
        {
            **manifold.to_dict(),
            "members": int((found.membership == k).sum()) + len(ends[k]),
            "sentence": str(manifold),
        }
        for k, manifold in enumerate(lines)
    )
    return Zeros(
        Assessed.joined(parts),
        groups,
        np.concatenate([kept.certified, np.zeros(new, dtype=np.bool_)]),
        kept.reasons + ["it lies on a line, ring or plane of fixed points"] * new,
        np.concatenate([kept.kinks, np.zeros(new, dtype=np.int64)]),
        np.concatenate([kept.orbit, np.full(new, -1, dtype=np.int64)]),
        np.concatenate(number),
        np.concatenate([kept.uncertainty, np.full(new, np.nan)]),
        (*kept.sides, *[None] * new),
        told,
        tuple(found.left_out),
    )


def _ending(
    system: System, zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch], found: list[Manifold]
) -> dict[int, int]:
    """Which points on a kink end or bound a manifold, and which one: the Jacobian of one side alone does not tell."""
    rows: dict[int, int] = {}
    on_kink = (zeros.kinks > 0) & ~zeros.certified & torch.isfinite(zeros.points.error_bound).cpu().numpy()
    for i in np.flatnonzero(on_kink).tolist() if found else []:
        x, group = zeros.points.x[i : i + 1], zeros.groups[i]
        pieces, search = system.pieces(catalogue.inputs[group : group + 1]), regions.get(group)
        for k, manifold in enumerate(found):
            if manifold.group == group and (_is_place(manifold, x) or _share(pieces, search, manifold, x)):
                rows[i] = k
                break
    return rows


def _is_place(manifold: Manifold, x: Tensor) -> bool:
    """Whether a walk on the manifold met the state x (1, n)."""
    return float((manifold.places.x - x).norm(dim=1).min()) <= SAME_PLACE * manifold.walker.unit


def _share(pieces: Pieces | None, search: RegionSearch | None, manifold: Manifold, x: Tensor) -> bool:
    """Whether x (1, n) and a representative are in the same flat of zeros of one linear region, its faces included."""
    if pieces is None or search is None or search.period > 1:
        return False
    pieces, x, others = pieces.to("cpu"), x.cpu(), manifold.representatives.cpu()
    return any(bool(flat.holds(pieces, x)) and bool(flat.holds(pieces, others).any()) for flat in search.flats)


def _ended_at(manifold: Manifold, x: Tensor) -> Manifold:
    """With the states x (m, n), where they are ends that were met, in place of what the walk took for them."""
    representatives = manifold.representatives.clone()
    for end in x:
        apart = (representatives - end).norm(dim=1)
        if float(apart.min()) <= SAME_PLACE * manifold.walker.unit:
            representatives[int(apart.argmin())] = end
    return dataclasses.replace(manifold, representatives=representatives)


def _with_blur(system: System, zeros: Zeros, catalogue: Catalogue) -> Zeros:
    """Of marginal points that are on no manifold, how far they may be from where they were found."""
    alone = torch.isinf(zeros.points.error_bound).cpu().numpy() & (zeros.manifold < 0)
    uncertainty, left_out = zeros.uncertainty.copy(), list(zeros.left_out)
    rows = np.flatnonzero(alone).tolist()[:MOST_BLURRED] if system.n_state <= MATRIX_FREE_ABOVE else []
    for i in rows:
        u = catalogue.inputs[zeros.groups[i] : zeros.groups[i] + 1]
        uncertainty[i] = blur(system, zeros.points.x[i : i + 1], u, catalogue.unit)
    if int(alone.sum()) > len(rows):
        left_out.append(f"how uncertain {int(alone.sum()) - len(rows)} marginal points are")
    zeros = dataclasses.replace(zeros, uncertainty=uncertainty, left_out=tuple(left_out))
    return _told_apart(system, zeros, alone, catalogue)


def _told_apart(system: System, zeros: Zeros, alone: NDArray[np.bool_], catalogue: Catalogue) -> Zeros:
    """Of marginal points whose uncertainties meet, which may all be one, that whose place is known best.

    Two are one only if every component of F is as small between them as at them: an uncertainty is a norm, in which the
    largest variable hides the others where they have very different units.
    """
    rows = np.flatnonzero(alone & (zeros.orbit < 0))
    if len(rows) < 2:
        return zeros
    radius, x = np.nan_to_num(zeros.uncertainty[rows]), zeros.points.x[torch.as_tensor(rows)].cpu().numpy()
    groups = np.asarray(zeros.groups)[rows]
    meet = (cdist(x, x) <= radius + radius[:, None]) & (groups == groups[:, None])
    for i, j in zip(*np.nonzero(np.triu(meet, 1)), strict=True):
        u = catalogue.inputs[groups[i] : groups[i] + 1]
        a, b = (zeros.points.x[k : k + 1] for k in (rows[i], rows[j]))
        meet[i, j] = meet[j, i] = vanishes_between(system, a, b, u)
    component = connected_components(meet, directed=False)[1]
    best_first = np.argsort(np.where(np.isnan(zeros.uncertainty[rows]), np.inf, zeros.uncertainty[rows]), kind="stable")
    kept = rows[best_first[np.unique(component[best_first], return_index=True)[1]]]
    gone = set(rows.tolist()) - set(kept.tolist())
    return zeros[[i for i in range(len(zeros)) if i not in gone]] if gone else zeros


def _unmoved(system: System, x: Tensor, u: Tensor, catalogue: Catalogue) -> Assessed:
    """States x (B, n) of a manifold, assessed where they are: a step to refine one would lead along the manifold."""
    F = system.velocity(x, u)
    noise = rounding(system, x, u, F, catalogue.unit)
    near = assess(system, x, u, catalogue.unit, catalogue.together > 0)
    unbounded = torch.full_like(noise, torch.inf)
    return dataclasses.replace(near, x=x, F=F, q=q_of(F), noise=noise, error_bound=unbounded, index=0 * noise)
