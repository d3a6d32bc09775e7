"""What the linear regions of a network of ReLUs tell of its zeros: bounds, kinks, zeros that a search takes for one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dynsys.piecewise_linear.felt_kinks import felt_sides
from dynsys.piecewise_linear.kinks import Sides, one_sided_jacobians
from dynsys.piecewise_linear.regions import RegionSearch
from dynsys.proof.kantorovich import unmoved
from dynsys.search.known.distinct import Catalogue
from dynsys.search.known.zeros import Zeros
from dynsys.systems.pieces import Pieces

SAME = 1e-8  # in units of the state: a zero this near to one of a linear region is that
KINK = 1e-13  # of the largest preactivation, within which another is zero


def by_regions(zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> Zeros:
    """Inside a linear region the bound is that of a linear solve, and it is known which units are on their kink.

    Where a system does not tell its regions, and a zero is not proved to have none beside it, kinks are felt for.
    """
    bound, certified, reasons = zeros.points.error_bound.clone(), zeros.certified.copy(), list(zeros.reasons)
    kinks, sides = zeros.kinks.copy(), list[Sides | None]()
    of_input = [catalogue.system.pieces(catalogue.inputs[g : g + 1]) for g in range(len(catalogue.inputs))]
    for i, group in enumerate(zeros.groups):
        pieces = of_input[group]
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
    rows = [i for i, group in enumerate(zeros.groups) if of_input[group] is None and not certified[i]]
    held = catalogue.held(torch.tensor([zeros.groups[i] for i in rows], dtype=torch.long))
    felt, around = felt_sides(held, zeros.points.x[rows], bound[rows])
    kinks[rows] = felt.cpu().numpy()
    for i, sides_of_it in zip(rows, around, strict=True):
        sides[i] = sides_of_it
    points = dataclasses.replace(zeros.points, error_bound=bound)
    return dataclasses.replace(
        zeros, points=points, certified=certified, reasons=reasons, kinks=kinks, sides=tuple(sides)
    )


def listed(zeros: Zeros, catalogue: Catalogue, group: int, found: RegionSearch) -> Zeros:
    """With the zeros of the linear regions in place of those that a search met, where every region was solved.

    Else with every certified one that a search would take for another or not find again; those that lie nearer to each
    other than ``SAME`` stand as the regions gave them, and nothing else beside them.
    """
    mine = np.array([g == group for g in zeros.groups], dtype=bool)
    if found.complete:
        return _with(zeros[np.flatnonzero(~mine).tolist()], catalogue, group, found, list(range(len(found))))
    x = found.states.to(zeros.points.x)
    if found.period > 1 or not len(x):
        return zeros
    near = SAME * catalogue.unit
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    to_known = torch.cdist(x, zeros.points.x, compute_mode="donot_use_mm_for_euclid_dist")
    to_known[:, torch.as_tensor(~mine, device=x.device)] = torch.inf
    crowded = (apart <= 2 * near).any(1)
    lacking = found.certified.to(x.device) & ((to_known > near).all(1) | crowded)
    gone = ((to_known <= near) & (lacking & crowded).unsqueeze(1)).any(0)
    kept = zeros[(~gone).nonzero().squeeze(1).tolist()] if bool(gone.any()) else zeros
    return _with(kept, catalogue, group, found, lacking.nonzero().squeeze(1).tolist())


def _with(zeros: Zeros, catalogue: Catalogue, group: int, found: RegionSearch, rows: list[int]) -> Zeros:
    """And some of those of the linear regions, their cycles numbered after those that there are."""
    if not rows:
        return zeros
    x = found.states.to(zeros.points.x)[rows]
    held = catalogue.held(slice(group, group + 1)).expand(len(rows))
    added = unmoved(held, x, catalogue.together > 0)
    added = dataclasses.replace(added, error_bound=found.bound.to(x)[rows])
    orbit = 1 + zeros.orbit.max(initial=-1) + found.orbit.numpy()[rows]
    orbit = np.concatenate([zeros.orbit, orbit if found.period > 1 else np.full(len(rows), -1)])
    joined = zeros.joined(added, [group] * len(rows), [found.reasons[i] for i in rows])
    return dataclasses.replace(joined, orbit=orbit)


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
