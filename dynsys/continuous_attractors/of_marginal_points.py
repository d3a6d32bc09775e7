"""Marginal points put together: those of one line, ring or plane, and those that rounding cannot tell apart.

A marginal point on no manifold has no error bound, but an uncertainty of its place: how far from it F cannot be told
from zero. At a fold F grows with the square of the distance along the null vector v of J, so a rounding error e hides
the place to within sqrt(2 e / curvature); at a cusp with the third root. So the distance is looked for and not computed
from a formula: the farthest at which the part of F along the left null vector w is within rounding. The other parts
follow the point's centre manifold, which bends away from v, and say nothing about the place along it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.continuous_attractors.continuation import ON_IT
from dynsys.continuous_attractors.continuation import SAME as SAME_PLACE
from dynsys.continuous_attractors.manifold import REPRESENTATIVES, Manifold
from dynsys.continuous_attractors.trace import Traced, manifolds
from dynsys.numerics.rounding import EPS, is_zero, rounding
from dynsys.piecewise_linear.flat_manifolds import FlatManifold, flat_manifold
from dynsys.piecewise_linear.regions import RegionSearch
from dynsys.proof.kantorovich import joined, unmoved
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.search.known.distinct import Catalogue
from dynsys.search.known.zeros import Zeros
from dynsys.systems.held import Held

MOST_SHOWN, LEAST_SHOWN = 512, 2  # representatives of all that the linear regions hold, and of each
MOST_BLURRED = 64  # marginal points whose uncertainty is measured
LAST_DIGITS = 100 * torch.finfo(torch.float64).eps
MUCH_SMALLER = 1e-3  # of the usual size of a state
ON_MANIFOLD = "it lies on a line, ring or plane of fixed points"
PER_DECADE, DECADES = 8, 16  # distances looked at, down from the usual size of a state
OF_ENDS = 4.0  # times F at two states, that it may be between them if they are to be one
OF_TERMS = 1e4  # units in the last place of the terms that cancel in a component of F, beneath which it is zero


def with_manifolds(zeros: Zeros, catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> Zeros:
    """The marginal points, those without a bound, by the manifolds they lie on; and those on kinks that end one.

    What the linear regions of a network hold is known, and only of other points it is traced.
    """
    flats = _flats(catalogue, regions)
    on_flats = [_on(zeros, catalogue, flat) for flat in flats]
    zeros = _without(zeros, {i for rows in on_flats for i in rows})
    marginal = torch.isinf(zeros.points.error_bound).nonzero().squeeze(1).tolist()
    traced = manifolds(
        catalogue.system,
        zeros.points.x[marginal],
        [zeros.groups[i] for i in marginal],
        catalogue.inputs,
        catalogue.unit,
        on_kink=np.flatnonzero(zeros.kinks[marginal] > 0).tolist(),
    )
    ends = [_ending(zeros, line) for line in traced.found]
    lines = [_ended_at(line, zeros.points.x[rows]) for line, rows in zip(traced.found, ends, strict=True)]
    members = [len(rows) for rows in on_flats]
    members += [int((traced.membership == k).sum()) + len(rows) for k, rows in enumerate(ends)]
    on = {marginal[i] for i in np.flatnonzero(traced.membership >= 0)}.union(*ends)
    zeros = _represented(_without(zeros, on), catalogue, [*flats, *lines])
    told = [
        {**line.to_dict(), "members": count, "sentence": str(line)}
        for line, count in zip([*flats, *lines], members, strict=True)
    ]
    return dataclasses.replace(zeros, manifolds=tuple(told), left_out=tuple(traced.left_out))


def _flats(catalogue: Catalogue, regions: Mapping[int, RegionSearch]) -> list[FlatManifold]:
    """Those that the linear regions hold, of cycles by their states at one step."""
    system = catalogue.system
    shown = max(LEAST_SHOWN, min(REPRESENTATIVES, MOST_SHOWN // (1 + sum(len(r.flats) for r in regions.values()))))
    found = []
    for group, search in regions.items():
        pieces = system.pieces(catalogue.inputs[group : group + 1])
        assert pieces is not None
        for flat in search.flats:
            part = flat if search.period == 1 else flat.first(system.n_state)
            found.append(
                flat_manifold(part, pieces.to("cpu"), system.kind, catalogue.unit, group, search.period, shown)
            )
    return found


def _on(zeros: Zeros, catalogue: Catalogue, line: FlatManifold) -> list[int]:
    """The zeros on a flat, but for those known to be alone."""
    pieces = catalogue.system.pieces(catalogue.inputs[line.group : line.group + 1])
    assert pieces is not None
    mine = [i for i, group in enumerate(zeros.groups) if group == line.group and not zeros.certified[i]]
    held = line.flat.holds(pieces.to("cpu"), zeros.points.x[mine].cpu()).tolist() if mine else []
    return [i for i, on in zip(mine, held, strict=True) if on]


def _without(zeros: Zeros, rows: set[int]) -> Zeros:
    return zeros[[i for i in range(len(zeros)) if i not in rows]] if rows else zeros


def _represented(zeros: Zeros, catalogue: Catalogue, lines: Sequence[Manifold]) -> Zeros:
    """And a few states for each manifold."""
    number, kinks, sides = [zeros.manifold], [zeros.kinks], [*zeros.sides]
    for k, line in enumerate(lines):
        x = line.representatives.to(zeros.points.x)
        held = catalogue.held(slice(line.group, line.group + 1)).expand(len(x))
        added = unmoved(held, x, catalogue.together > 0)
        zeros = zeros.joined(added, [line.group] * len(x), [ON_MANIFOLD] * len(x))
        number.append(np.full(len(x), k, dtype=np.int64))
        on_kinks = int(line.flat.kinks.sum()) if isinstance(line, FlatManifold) else 0
        kinks.append(np.full(len(x), on_kinks, dtype=np.int64))
        sides += [line.sides if isinstance(line, FlatManifold) else None] * len(x)
    return dataclasses.replace(zeros, manifold=np.concatenate(number), kinks=np.concatenate(kinks), sides=tuple(sides))


def _ending(zeros: Zeros, line: Traced) -> list[int]:
    """The points on a kink that end it, the ways to which are zeros: the Jacobian of one side alone does not tell."""
    on_kink = (zeros.kinks > 0) & ~zeros.certified & torch.isfinite(zeros.points.error_bound).cpu().numpy()
    rows = [i for i in np.flatnonzero(on_kink).tolist() if zeros.groups[i] == line.group]
    places, walker = line.places.x, line.walker
    ending = []
    for i in rows:
        x = zeros.points.x[i : i + 1]
        nearest = int((places - x).norm(dim=1).argmin())
        near = float((places[nearest] - x).norm()) <= SAME_PLACE * walker.held.unit
        if near or bool(joined(walker.held, places[nearest : nearest + 1], x)):
            ending.append(i)
    return ending


def _ended_at(line: Traced, x: Tensor) -> Traced:
    """With the states x (m, n), where they are ends that were met, in place of what the walk took for them."""
    representatives = line.representatives.clone()
    for end in x:
        apart = (representatives - end).norm(dim=1)
        if float(apart.min()) <= SAME_PLACE * line.walker.held.unit:
            representatives[int(apart.argmin())] = end
    return dataclasses.replace(line, representatives=representatives)


def with_blur(zeros: Zeros, catalogue: Catalogue, slow_q: float) -> Zeros:
    """Of marginal points that are on no manifold, how far they may be from where they were found."""
    zeros = _without_slow(zeros, catalogue, slow_q)
    alone = torch.isinf(zeros.points.error_bound).cpu().numpy() & (zeros.manifold < 0)
    uncertainty, left_out = zeros.uncertainty.copy(), list(zeros.left_out)
    rows = np.flatnonzero(alone).tolist()[:MOST_BLURRED] if catalogue.system.n_state <= MATRIX_FREE_ABOVE else []
    for i in rows:
        held = catalogue.held(slice(zeros.groups[i], zeros.groups[i] + 1))
        uncertainty[i] = blur(held, zeros.points.x[i : i + 1])
    if int(alone.sum()) > len(rows):
        left_out.append(f"how uncertain {int(alone.sum()) - len(rows)} marginal points are")
    zeros = dataclasses.replace(zeros, uncertainty=uncertainty, left_out=tuple(left_out))
    return _told_apart(zeros, alone, catalogue)


def _without_slow(zeros: Zeros, catalogue: Catalogue, slow_q: float) -> Zeros:
    """Without those at which F is small beside its size at the starts only, which may lie far out.

    Of a state much smaller than these F has to be zero beside the state's own size, or at the origin, or nothing
    beside the speed of the slowest that counts as slow: the ghost of a fold so near is a marginal point.
    """
    size = zeros.points.x.norm(dim=1)
    doubtful = torch.isinf(zeros.points.error_bound) & (size < MUCH_SMALLER * catalogue.unit)
    doubtful &= torch.as_tensor((zeros.manifold < 0) & (zeros.orbit < 0) & (zeros.kinks == 0), device=size.device)
    gone = set()
    doubtful &= zeros.points.F.norm(dim=1) > LAST_DIGITS * (2 * slow_q) ** 0.5
    for i in doubtful.nonzero().squeeze(1).tolist():
        x, held = zeros.points.x[i : i + 1], catalogue.held(slice(zeros.groups[i], zeros.groups[i] + 1))
        own, at_origin = (
            dataclasses.replace(held, unit=unit) for unit in (float(size[i]) / MUCH_SMALLER, float(size[i]))
        )
        zero = is_zero(own, x, own.velocity(x), ON_IT)
        if not bool(zero | is_zero(at_origin, 0 * x, own.velocity(0 * x), ON_IT, by_unit=False)):
            gone.add(i)
    if not gone:
        return zeros
    told = (
        f"{len(gone)} state{'s' * (len(gone) > 1)} where F is small, but not zero, beside that at starts of the size "
    )
    told += f"{catalogue.unit:.2g}: give starts nearer to the origin"
    return dataclasses.replace(_without(zeros, gone), left_out=(*zeros.left_out, told))


def _told_apart(zeros: Zeros, alone: NDArray[np.bool_], catalogue: Catalogue) -> Zeros:
    """Of marginal points whose uncertainties meet, which may all be one, that whose place is known best.

    Two are one only if every component of F is as small between them as at them: an uncertainty is a norm, in which the
    largest variable hides the others where they have very different units.
    """
    rows = np.flatnonzero(alone & (zeros.orbit < 0))
    if len(rows) < 2:
        return zeros
    radius, x = np.nan_to_num(zeros.uncertainty[rows]), zeros.points.x[torch.as_tensor(rows)].cpu().numpy()
    groups = np.asarray(zeros.groups)[rows]
    meet = (scipy.spatial.distance.cdist(x, x) <= radius + radius[:, None]) & (groups == groups[:, None])
    for i, j in zip(*np.nonzero(np.triu(meet, 1)), strict=True):
        held = catalogue.held(slice(groups[i], groups[i] + 1))
        a, b = (zeros.points.x[k : k + 1] for k in (rows[i], rows[j]))
        meet[i, j] = meet[j, i] = vanishes_between(held, a, b)
    component = scipy.sparse.csgraph.connected_components(meet, directed=False)[1]
    best_first = np.argsort(np.where(np.isnan(zeros.uncertainty[rows]), np.inf, zeros.uncertainty[rows]), kind="stable")
    kept = rows[best_first[np.unique(component[best_first], return_index=True)[1]]]
    gone = set(rows.tolist()) - set(kept.tolist())
    return zeros[[i for i in range(len(zeros)) if i not in gone]] if gone else zeros


def blur(held: Held, x: Tensor) -> float:
    """The distance from the marginal fixed point x (1, n) along its null vector up to which F is zero to rounding.

    It is that to the far side, as x may be anywhere where F is hidden: the true place is within it. An eigenvalue of J
    there is uncertain by this times the change of J per distance. 0 where even the nearest look tells F from zero: then
    the point is not marginal at all.
    """
    U, _, Vh = torch.linalg.svd(held.jacobian(x)[0])
    w, v = U[:, -1], Vh[-1]
    lengths = held.unit * 10.0 ** (-torch.arange(PER_DECADE * DECADES + 1, dtype=x.dtype, device=x.device) / PER_DECADE)
    lengths = lengths.flip(0)
    F = held.velocity(x)
    noise = ON_IT * float(rounding(held, x, F))
    hides = max(noise, float((F[0] @ w).abs()))  # what is as small as F at x is as good a zero
    return max(_hidden(held, x, w, sign * v, lengths, hides) for sign in (1.0, -1.0))


def vanishes_between(held: Held, a: Tensor, b: Tensor) -> bool:
    """Whether every component of F is as small between the states a and b (1, n) as at them, or as its own rounding."""
    x = torch.cat([a + share * (b - a) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
    held = held.expand(len(x))
    F = held.velocity(x).abs()
    terms = (held.jacobian(x).abs() @ x.abs().unsqueeze(2)).squeeze(2)
    return bool((F[1:-1] <= OF_ENDS * torch.maximum(F[0], F[-1]) + OF_TERMS * EPS * terms[1:-1]).all())


def _hidden(held: Held, x: Tensor, w: Tensor, v: Tensor, lengths: Tensor, noise: float) -> float:
    """The first of the ``lengths`` (k,) along v at which w F is seen, or 0 where that is the very first."""
    there = x + lengths.unsqueeze(1) * v
    seen = ~((held.expand(len(there)).velocity(there) @ w).abs() <= noise)
    first = int(seen.to(torch.uint8).argmax()) if bool(seen.any()) else len(lengths) - 1
    return float(lengths[first]) if first else 0.0
