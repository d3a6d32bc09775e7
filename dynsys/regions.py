"""The fixed points and cycles of a piecewise-linear network, region by region, and whether these are all.

candidate regions: all but those excluded by a proof (``complementary``) -> the zero of F in each (``region_solve``)
where the budget does not allow that: from region to region (``wander``), which finds and does not prove.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.complementary import Candidates, Unfit, candidate_regions
from dynsys.exact_product import length, up
from dynsys.flats import Flat, flat_in
from dynsys.kinks import sides_of
from dynsys.pieces import Pieces, iterated, unrolled
from dynsys.region_solve import Solved, lies_within, residual, solve_regions
from dynsys.system import Kind, System
from dynsys.threads import alone
from dynsys.wander import Wanderer

Progress = Callable[[str, int, int], None]

BUDGET = 50_000  # nodes of the tree, and again regions solved on the way, fewer of them above TREE_LIMIT units
TREE_LIMIT = 64  # units, above which excluding regions is hopeless and not tried
ENUMERATED = 14  # units up to which all regions are solved where the tree is no use
SINGULAR_LIMIT = 1024  # singular regions that are looked into
PARTS = 1000  # of the progress
SAME = 10.0  # times the error bounds, within which the solutions of two sides of a kink are one point


@dataclass(frozen=True)
class RegionSearch:
    """The k zeros found, and what is known of the rest.

    ``states`` (k, n); ``patterns`` and ``kinks`` (k, m * period) bool, of the steps of the cycle that begins there;
    ``bound`` (k,) the distance within which the true point lies, inf where there is none; ``certified`` (k,): proved to
    exist, and to be the only one within the bound; ``reasons`` for the others. ``orbit`` (k,) says which points form
    one cycle, in the order of time. ``flats`` are lines, planes, ... of zeros (of whole cycles, n * period numbers) in
    regions where F does not determine its zero.
    ``complete``: every other region was proved to hold no zero with |x| and |y| below ``reach``. Of ``total`` regions
    ``left`` were neither excluded nor solved by the proof; ``left_out`` says it in words, and is empty if complete. In
    ``singular`` regions F does not determine its zero, to within rounding; what they hold is judged to 1e-10.
    ``nodes`` of the proof's tree were worked on, and ``solved`` regions solved.
    """

    states: Tensor
    patterns: Tensor
    kinks: Tensor
    bound: Tensor
    certified: Tensor
    reasons: list[str]
    orbit: Tensor
    flats: list[Flat]
    period: int
    complete: bool
    left_out: str
    total: int
    left: int
    singular: int
    nodes: int
    solved: int
    reach: float
    seconds: float

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True)
class _Zeros:
    """Distinct zeros of pieces: what they are, with their certificates."""

    at: Solved
    kinks: Tensor
    bound: Tensor
    certified: Tensor
    reasons: list[str]


def search_regions(
    system: System,
    u: Tensor | None = None,
    *,
    period: int = 1,
    seed: int = 0,
    budget: int = BUDGET,
    prove: bool = True,
    starts: Tensor | None = None,
    progress: Progress | None = None,
) -> RegionSearch:
    """The fixed points of a piecewise-linear ``system`` under the held input u (1, n_input), or its cycles of a period.

    Points of the divisors of ``period`` are left out. ``starts`` (B, n) are states whose regions come first where the
    ``budget`` does not allow a proof, or none is wanted (``prove=False``). Raises ValueError for a system that
    is not piecewise linear, for a flow with a period above 1, and for a budget or period below 1.

    >>> from dynsys.models.vanilla import RNN
    >>> from dynsys.regions import search_regions
    >>> two = RNN({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[-3.0]], "bias_ih_l0": [1.0]}, nonlinearity="relu")
    >>> search_regions(two).states.tolist(), search_regions(two, period=2).states.tolist()
    ([[0.25]], [[0.0], [1.0]])
    """
    began = time.perf_counter()
    for name, value in {"period": period, "budget": budget}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it has to be 1 or more")
    u = torch.zeros(1, system.n_input, dtype=torch.float64) if u is None else u
    one = system.pieces(u)
    if one is None:
        raise ValueError(f"{system.name} is not piecewise linear, so it has no regions; search it by find_fixed_points")
    if period > 1 and system.kind is Kind.FLOW:
        raise ValueError(f"period is {period}, but {system.name} is a flow; only the points of a map have a period")
    one = one.to("cpu")
    tell = _teller(progress)
    with alone():
        whole = unrolled(one, period)
        proof = _proved(whole, budget, lambda share: tell("regions", share)) if prove else _nothing(whole)
        wanderer, flat = Wanderer(whole, seed), True
        patterns = proof.patterns
        if proof.left:
            first = patterns if starts is None else torch.cat([patterns, iterated(one, period).pattern(starts.cpu())])
            affordable = max(1, int(budget * min(1.0, (TREE_LIMIT / whole.n_units) ** 3)))
            flat = wanderer.run(first, affordable, lambda share: tell("from region to region", share))
            patterns = torch.cat(
                [patterns, torch.as_tensor(np.array(wanderer.found, dtype=bool)).reshape(-1, whole.n_units)]
            )
        zeros, flats, singular = _zeros(whole, torch.unique(patterns, dim=0), proof.left == 0)
        rows, orbit = _orbits(zeros, one.n_state, period)
    which, total = rows[:, 0], 2**whole.n_units
    left_out = _left_out(proof.left, total, flat, wanderer.solved, max(0, singular - SINGULAR_LIMIT))
    return RegionSearch(
        states=_turned(zeros.at.x, rows, one.n_state)[:, : one.n_state],
        patterns=_turned(zeros.at.pattern, rows, one.n_units),
        kinks=_turned(zeros.kinks, rows, one.n_units),
        bound=zeros.bound[which],
        certified=zeros.certified[which],
        reasons=[zeros.reasons[i] for i in which.tolist()],
        orbit=orbit,
        flats=[flat for flat in flats if not _repeats(flat.x, flat.directions, one.n_state, period)],
        period=period,
        complete=left_out == "",
        left_out=left_out,
        total=total,
        left=proof.left,
        singular=singular,
        nodes=proof.nodes,
        solved=wanderer.solved + len(patterns),
        reach=proof.reach,
        seconds=time.perf_counter() - began,
    )


def _teller(progress: Progress | None) -> Callable[[str, float], None]:
    return lambda stage, share: None if progress is None else progress(stage, int(PARTS * min(share, 1.0)), PARTS)


def _proved(pieces: Pieces, budget: int, tell: Callable[[float], None]) -> Candidates:
    """The regions that may hold a zero, by the tree; or all, of a small system that is not fit for it; or none yet."""
    m, bent = pieces.n_units, pieces.n_units - int(pieces.constant.sum())
    if bent == 0:
        return Candidates((pieces.e > 0).unsqueeze(0), 0, 1, float("inf"))
    if bent <= TREE_LIMIT:
        try:
            return candidate_regions(pieces, budget, tell)
        except Unfit:
            if m <= ENUMERATED:
                every = (torch.arange(2**m).unsqueeze(1) >> torch.arange(m)) & 1
                return Candidates(every.bool(), 0, 2**m, float("inf"))
    return _nothing(pieces)


def _nothing(pieces: Pieces) -> Candidates:
    m = pieces.n_units
    return Candidates(torch.zeros(0, m, dtype=torch.bool), 2**m, 0, float("inf"))


def _zeros(pieces: Pieces, patterns: Tensor, complete: bool) -> tuple[_Zeros, list[Flat], int]:
    """The distinct zeros in the regions of ``patterns``, the flats, and the number of singular regions."""
    solved = solve_regions(pieces, patterns)
    inside, kinks = lies_within(pieces, solved)
    singular = patterns[~solved.regular]
    found = [flat_in(pieces, pattern) for pattern in singular[:SINGULAR_LIMIT]]
    flats = _distinct_flats(pieces, [flat for flat in found if flat is not None])
    homogeneous = not bool(torch.cat([pieces.c, pieces.e]).any())
    if homogeneous:
        zeros = _origin(pieces, complete and not flats and len(singular) <= SINGULAR_LIMIT)
    else:
        first, kinks = _merged(solved[inside], kinks[inside])
        zeros = _certified(pieces, solved[inside][first], kinks)
    apart = torch.ones(len(zeros.at), dtype=torch.bool)
    for flat in flats:
        apart &= ~flat.holds(pieces, zeros.at.x) | (flat.dimension == 0)
    zeros = _those(zeros, apart)
    if not homogeneous:
        zeros = _with_touched(pieces, zeros, [flat for flat in flats if flat.dimension == 0])
    return zeros, [flat for flat in flats if flat.dimension], len(singular)


def _with_touched(pieces: Pieces, zeros: _Zeros, flats: list[Flat]) -> _Zeros:
    """The zeros, and those at which a flat of solutions only touches its region, where they are not known yet."""
    for flat in flats:
        x, y = flat.x.unsqueeze(0), pieces.margins(flat.x.unsqueeze(0))
        if bool(flat.holds(pieces, zeros.at.x).any()):
            continue
        unknown, no = torch.full_like(x[:, 0], torch.inf), torch.zeros(1, dtype=torch.bool)
        error = torch.full_like(x, torch.inf), torch.full_like(y, torch.inf)
        at = Solved(flat.pattern.unsqueeze(0), x, y, *error, unknown, no, torch.zeros_like(unknown))
        zeros = _Zeros(
            Solved.joined([zeros.at, at]),
            torch.cat([zeros.kinks, flat.kinks.unsqueeze(0)]),
            torch.cat([zeros.bound, unknown]),
            torch.cat([zeros.certified, no]),
            [*zeros.reasons, "the system is singular in its region"],
        )
    return zeros


def _origin(pieces: Pieces, only: bool) -> _Zeros:
    """x = 0 of a system without drive, where every kink passes through it and F is exactly zero."""
    x, y = pieces.c.new_zeros(1, pieces.n_state), pieces.c.new_zeros(1, pieces.n_units)
    none, yes = torch.zeros(1, dtype=x.dtype), torch.ones(1, dtype=torch.bool)
    at = Solved(y > 0, x, y, x, y, none, yes, none)
    reason = "" if only else "on the kinks of all units"
    return _Zeros(at, ~pieces.constant.unsqueeze(0), none if only else none + torch.inf, yes & only, [reason])


def _merged(solved: Solved, kinks: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of distinct zeros, each one on a kink once and not once for each side, and the kinks of each."""
    kept, kinks = torch.ones(len(solved), dtype=torch.bool), kinks.clone()
    for i in kinks.any(1).nonzero().squeeze(1).tolist():
        apart = (solved.x - solved.x[i]).abs()
        same = (apart <= SAME * (solved.x_error + solved.x_error[i])).all(1) & kept
        same[i] = False
        if bool(same.any()):
            kept[i] = False
            kinks[int(same.nonzero()[0])] |= kinks[i]
    return kept.nonzero().squeeze(1), kinks[kept]


def _certified(pieces: Pieces, at: Solved, kinks: Tensor) -> _Zeros:
    """Bounds and certificates: inside a region from its own inverse, on kinks from those of all sides.

    A point whose ball reaches a kink counts as on it: what is unique in its region need not be in the ball.
    """
    bound = length(at.x_error)
    reached = at.y.abs() <= up(at.y_error + 2 * bound.unsqueeze(1) * pieces.steepness)
    kinks = kinks | (reached & ~pieces.constant)
    certified, reasons = torch.ones(len(at), dtype=torch.bool), [""] * len(at)
    for i in kinks.any(1).nonzero().squeeze(1).tolist():
        reasons[i], distance = _around(pieces, at, i, kinks[i])
        certified[i], bound[i] = reasons[i] == "", distance
    return _Zeros(at, kinks, bound, certified, reasons)


def _around(pieces: Pieces, at: Solved, i: int, kinks: Tensor) -> tuple[str, float]:
    """Why the zero i on ``kinks`` (m,) has no certificate, or "" and its bound.

    Where all 2^k sides have determinants of one sign, they are those of a P-matrix, so that the function made of these
    pieces has exactly one zero (Samelson, Thrall & Wesler 1958), and its inverse is no steeper than that of some side.
    """
    count = int(kinks.sum())
    patterns, complete = sides_of(at.pattern[i], kinks)
    if not complete:
        return f"on the kinks of {count} units, too many to look at every side", float("inf")
    sides = solve_regions(pieces, patterns)
    if not bool(sides.regular.all()):
        return "on a kink with a singular side", float("inf")
    if len(set(sides.orientation.tolist())) > 1:
        return "on a kink where two points meet, or none is", float("inf")
    y = at.y[i : i + 1]
    missing, unsure = residual(pieces, at.x[i : i + 1], y, y > 0)
    distance = float(up(sides.inverse_norm.max() * (missing.abs() + unsure).max()))
    bound = distance * (pieces.n_state**0.5 + 1e-6)
    if bool((at.y[i].abs() <= distance + 3 * bound * pieces.steepness)[~kinks & ~pieces.constant].any()):
        return "on a kink, and another one is within its bound", float("inf")
    return "", bound


def _distinct_flats(pieces: Pieces, flats: list[Flat]) -> list[Flat]:
    """Without those that are part of another, such as the faces of a cell, seen from the regions beside it."""
    kept: list[Flat] = []
    for flat in sorted(flats, key=lambda flat: -flat.dimension):
        ends = torch.cat([flat.x.unsqueeze(0), flat.x + flat.directions])
        if not any(bool(other.holds(pieces, ends[:1])) and _within(ends[1:] - flat.x, other) for other in kept):
            kept.append(flat)
    return kept


def _within(directions: Tensor, flat: Flat) -> bool:
    return bool(((directions - directions @ flat.directions.T @ flat.directions).abs() < 1e-8).all())


def _those(zeros: _Zeros, which: Tensor) -> _Zeros:
    reasons = [reason for reason, kept in zip(zeros.reasons, which.tolist(), strict=True) if kept]
    return _Zeros(zeros.at[which], zeros.kinks[which], zeros.bound[which], zeros.certified[which], reasons)


def _orbits(zeros: _Zeros, n: int, period: int) -> tuple[Tensor, Tensor]:
    """Rows (k, 2) of every point of each cycle: which zero, and how many steps later; and the cycle (k,) that it is of.

    A cycle is found once from each of its points, or only from some; its points are in the order of time, from the
    least one on, and cycles in the order of their least points.
    """
    rows: list[tuple[int, int]] = []
    known = unsure = torch.zeros(0, n * period, dtype=zeros.at.x.dtype)
    for i in range(len(zeros.at)):
        x, error = zeros.at.x[i], SAME * zeros.at.x_error[i].nan_to_num(posinf=1e-9)
        if _repeats(x, x[:0].reshape(0, len(x)), n, period, float(error.max())):
            continue
        if period > 1 and bool(((known - x).abs() <= unsure + error).all(1).any()):
            continue
        turns = torch.stack([x.roll(-n * j) for j in range(period)])
        known, unsure = torch.cat([known, turns]), torch.cat([unsure, error.amax().expand(turns.shape)])
        rows.append((i, min(range(period), key=lambda j: tuple(turns[j].tolist()))))
    rows.sort(key=lambda row: tuple(zeros.at.x[row[0]].roll(-n * row[1]).tolist()))
    each = [(i, (first + j) % period) for i, first in rows for j in range(period)]
    return torch.tensor(each, dtype=torch.long).reshape(-1, 2), torch.arange(len(rows)).repeat_interleave(period)


def _repeats(x: Tensor, directions: Tensor, n: int, period: int, error: float = 1e-8) -> bool:
    """Whether a cycle (n * period,), or all of a flat of them, has a shorter period."""
    shorter = [d for d in range(1, period) if period % d == 0]
    return any(
        bool(((each - each.roll(-n * d, dims=-1)).abs() <= 2 * error).all())
        for d in shorter
        for each in [torch.cat([x.unsqueeze(0), directions])]
    )


def _turned(values: Tensor, rows: Tensor, width: int) -> Tensor:
    """(k, period * width): values of the zeros, each from the step on that ``rows`` says."""
    turned = [values[i].roll(-width * j) for i, j in rows.tolist()]
    return torch.stack(turned) if turned else values[:0]


def _left_out(left: int, total: int, flat: bool, solved: int, unseen: int) -> str:
    """What was not done, in words; empty where everything was."""
    parts = []
    if left:
        every = f"2^{total.bit_length() - 1}"
        size = f"none of {every} regions was" if left == total else f"{left / total:.2g} of {every} regions were not"
        ended = "until starts brought nothing new" if flat else "until the budget was used up"
        parts.append(f"{size} excluded by a proof; {solved} were solved one after the other {ended}")
    if unseen:
        parts.append(f"{unseen} regions in which the system is singular were not looked into")
    return "; ".join(parts)
