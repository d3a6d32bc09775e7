"""Marginal points put together: those of one line, ring or plane, and those that rounding cannot tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from torch import Tensor

from dynsys.budget import MATRIX_FREE_ABOVE
from dynsys.catalogue import Catalogue
from dynsys.marginal.blur import blur, vanishes_between
from dynsys.marginal.continuation import SAME as SAME_PLACE
from dynsys.marginal.manifold import Manifold, manifolds
from dynsys.proof.certainty import unmoved
from dynsys.relu.pieces import Pieces
from dynsys.relu.regions import RegionSearch
from dynsys.system import System
from dynsys.zeros import Zeros

MOST_BLURRED = 64  # marginal points whose uncertainty is measured
ON_MANIFOLD = "it lies on a line, ring or plane of fixed points"


def with_manifolds(system: System, zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> Zeros:
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
    number, told = [kept.manifold], []
    for k, manifold in enumerate(lines):
        x = manifold.representatives
        u = catalogue.inputs[manifold.group : manifold.group + 1].expand(len(x), -1)
        added = unmoved(system, x, u, catalogue.unit, catalogue.together > 0)
        kept = kept.joined(added, [manifold.group] * len(x), [ON_MANIFOLD] * len(x))
        number.append(np.full(len(x), k, dtype=np.int64))
        members = int((found.membership == k).sum()) + len(ends[k])
        told.append({**manifold.to_dict(), "members": members, "sentence": str(manifold)})
    return dataclasses.replace(
        kept, manifold=np.concatenate(number), manifolds=tuple(told), left_out=tuple(found.left_out)
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


def with_blur(system: System, zeros: Zeros, catalogue: Catalogue) -> Zeros:
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
