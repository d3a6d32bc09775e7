"""What a search has found, before it is described: each zero once, with its proof, its cycle, its manifold.

zeros of the catalogue -> whole cycles -> certificates -> those whose balls meet become one -> marginal ones on one
line, ring or plane become a few representatives of it. What boxes of latent variables prove stands with their bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dynsys.attractors.cycles import orbits
from dynsys.continuous_attractors.of_marginal_points import with_blur, with_manifolds
from dynsys.piecewise_linear.regions import RegionSearch
from dynsys.piecewise_linear.zeros_in_regions import by_regions, listed
from dynsys.proof.certificate import Reason, certify
from dynsys.proof.kantorovich import unmoved
from dynsys.proof.latent_boxes import BoxSearch
from dynsys.search.known.distinct import Catalogue
from dynsys.search.known.zeros import Zeros
from dynsys.systems.angles import distances
from dynsys.systems.iterated import Iterated

NOT_TRIED = "no proof was asked for: the bound is an estimate"
UNBOUNDED = "no bound: the Jacobian is singular, or changes too much within reach"


def zeros_of(
    catalogue: Catalogue,
    prove: bool,
    regions: Mapping[int, RegionSearch],
    boxes: Mapping[int, BoxSearch],
    slow_q: float,
) -> Zeros:
    """The zeros in the catalogue of a search, whose system may be a map applied several times.

    Without ``prove`` every error bound is an estimate. ``regions`` are what is known of the linear regions of a network
    of ReLUs, for the inputs at which they were searched, ``boxes`` of the latent variables of one of low rank;
    ``slow_q`` is the largest q of a slow point.
    """
    system = catalogue.system
    zeros = Zeros.of(catalogue.points, list(catalogue.groups), NOT_TRIED)
    if isinstance(system, Iterated) and system.k > 1:
        points, held = zeros.points, catalogue.held(_rows(zeros)).of(system.system)
        cycles = orbits(held, system.k, points.x, catalogue.together, given=points)
        zeros = Zeros.of(cycles.points, [zeros.groups[i] for i in cycles.of], NOT_TRIED)
        zeros = dataclasses.replace(zeros, orbit=cycles.orbit)
    for group, proof in boxes.items():
        zeros = in_boxes(zeros, catalogue, group, proof)
    if prove:
        zeros = _apart(_certified(zeros, catalogue), system.periods)
    for group, found in regions.items():
        zeros = listed(zeros, catalogue, group, found)
    zeros = by_regions(zeros, catalogue, regions)
    return with_blur(with_manifolds(zeros, catalogue, regions), catalogue, slow_q)


def _certified(zeros: Zeros, catalogue: Catalogue) -> Zeros:
    """A proved bound takes the place of the estimated one, be it larger or smaller, where there is none yet."""
    rows = np.flatnonzero(~zeros.certified)
    points, held = zeros.points[torch.as_tensor(rows)], catalogue.held(_rows(zeros)[rows])
    proof = certify(held, points.x, workers=catalogue.workers)
    bound = zeros.points.error_bound.clone()
    bound[rows] = torch.where(proof.certified, proof.error_bound, points.error_bound)
    reasons, certified = list(zeros.reasons), zeros.certified.copy()
    certified[rows] = proof.certified.cpu().numpy()
    for i, reason in zip(rows.tolist(), proof.reasons, strict=True):
        unbounded = reason in (Reason.NO_CLOSED_FORM, Reason.TOO_LARGE) and not bool(torch.isfinite(bound[i]))
        reasons[i] = UNBOUNDED if unbounded else str(reason)
    known = dataclasses.replace(zeros.points, error_bound=bound)
    return dataclasses.replace(zeros, points=known, certified=certified, reasons=reasons)


def _rows(zeros: Zeros) -> Tensor:
    """The input of each zero, by number; empty where there are none, and an index all the same."""
    return torch.tensor(zeros.groups, dtype=torch.long, device=zeros.points.x.device)


def _apart(zeros: Zeros, periods: Tensor | None) -> Zeros:
    """Of points whose balls meet the one with the smallest; cycles, which have been told apart already, all stay."""
    bound = torch.where(torch.isfinite(zeros.points.error_bound), zeros.points.error_bound, 0.0)
    groups = torch.tensor(zeros.groups, device=bound.device)
    near = distances(zeros.points.x, zeros.points.x, periods)
    meet = (near <= bound + bound.unsqueeze(1)) & (groups == groups.unsqueeze(1))
    meet &= torch.as_tensor(zeros.orbit < 0, device=bound.device).unsqueeze(1)
    meet.fill_diagonal_(False)
    gone: set[int] = set()
    for i in torch.argsort(bound, stable=True).tolist() if bool(meet.any()) else []:
        if i not in gone:
            gone |= set(meet[i].nonzero().squeeze(1).tolist())
    return zeros[[i for i in range(len(zeros)) if i not in gone]] if gone else zeros


def in_boxes(zeros: Zeros, catalogue: Catalogue, group: int, proof: BoxSearch) -> Zeros:
    """The zeros that boxes prove in place of those that a search met near them; where all boxes were decided, of all.

    A zero that was met belongs to a proved one where it lies within the latent box that holds no other.
    """
    mine = np.flatnonzero([g == group for g in zeros.groups])
    known = proof.owners(zeros.points.x[torch.as_tensor(mine)].cpu())
    gone = set(mine.tolist() if proof.complete else mine[known.numpy() >= 0].tolist())
    kept = zeros[[i for i in range(len(zeros)) if i not in gone]]
    if not len(proof):
        return kept
    x = proof.states.to(catalogue.inputs)
    held = catalogue.held(slice(group, group + 1)).expand(len(x))
    added = unmoved(held, x, catalogue.together > 0)
    added = dataclasses.replace(added, error_bound=proof.bound.to(x))
    joined = kept.joined(added, [group] * len(x), [""] * len(x))
    certified = joined.certified.copy()
    certified[len(kept) :] = True
    return dataclasses.replace(joined, certified=certified)
