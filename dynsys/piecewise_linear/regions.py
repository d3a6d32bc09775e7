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

from dynsys.io.progress import Progress
from dynsys.numerics.threads import alone
from dynsys.piecewise_linear.exact.complementary import Candidates, candidate_regions
from dynsys.piecewise_linear.exact.equations import Equations
from dynsys.piecewise_linear.exact.flats import Flat
from dynsys.piecewise_linear.region_walk import Wanderer
from dynsys.piecewise_linear.region_zeros import Found, Zeros, zeros_in
from dynsys.systems.pieces import Pieces, iterated, unrolled
from dynsys.systems.system import Kind, System

BUDGET = 50_000  # nodes of the tree, and again regions solved on the way, fewer of them above TREE_LIMIT units
TREE_LIMIT = 64  # units, above which excluding regions is hopeless and not tried
ENUMERATED = 7  # units with a kink, up to which it is quickest to solve every region
PARTS = 1000  # of the progress


@dataclass(frozen=True)
class RegionSearch:
    """The k zeros found, and what is known of the rest.

    ``states`` (k, n); ``patterns`` and ``kinks`` (k, m * period) bool, of the steps of the cycle that begins there;
    ``bound`` (k,) the distance within which the true point lies, inf where there is none; ``certified`` (k,): proved to
    exist, and to be the only one within the bound; ``reasons`` for the others. ``orbit`` (k,) says which points form
    one cycle, in the order of time. ``flats`` are lines, planes, ... of zeros (of whole cycles, n * period numbers) in
    regions where F does not determine its zero.
    ``complete``: there is no other zero. Of ``total`` regions ``left`` were neither excluded nor solved by the proof,
    and those excluded hold no zero with a preactivation below ``reach``, which is inf where they hold none at all;
    ``left_out`` says in words what keeps it from being complete, and is empty if it is. In ``singular`` regions F does
    not determine its zero, to within rounding. ``nodes`` of the proof's tree were worked on, and ``solved`` regions
    solved.
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

    >>> from dynsys.models.recurrent.vanilla import RNN
    >>> from dynsys.piecewise_linear.regions import search_regions
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
        found = zeros_in(whole, torch.unique(patterns, dim=0), proof.left == 0 and proof.reach == np.inf)
        zeros = found.zeros
        rows, orbit = _orbits(zeros, one.n_state, period)
    which, total = rows[:, 0], 2**whole.n_units
    left_out = "; ".join([*_not_excluded(proof, total, flat, wanderer.solved), *_not_known(found)])
    return RegionSearch(
        states=_turned(zeros.x, rows, one.n_state)[:, : one.n_state],
        patterns=_turned(zeros.pattern, rows, one.n_units),
        kinks=_turned(zeros.kinks, rows, one.n_units),
        bound=zeros.bound[which],
        certified=zeros.certified[which],
        reasons=[zeros.reasons[i] for i in which.tolist()],
        orbit=orbit,
        flats=[flat for flat in found.flats if not _repeats(flat, one.n_state, period)],
        period=period,
        complete=left_out == "",
        left_out=left_out,
        total=total,
        left=proof.left,
        singular=found.singular,
        nodes=proof.nodes,
        solved=wanderer.solved + len(patterns),
        reach=proof.reach,
        seconds=time.perf_counter() - began,
    )


def _teller(progress: Progress | None) -> Callable[[str, float], None]:
    return lambda stage, share: (
        None if progress is None else progress(stage, int(PARTS * min(max(share, 0.0), 1.0)), PARTS)
    )


def _proved(pieces: Pieces, budget: int, tell: Callable[[float], None]) -> Candidates:
    """The regions that may hold a zero: all of a small system, else by the tree; or none yet."""
    free = (~pieces.constant).nonzero().squeeze(1)
    if len(free) <= ENUMERATED:
        every = (pieces.e > 0).repeat(2 ** len(free), 1)
        every[:, free] = ((torch.arange(len(every)).unsqueeze(1) >> torch.arange(len(free))) & 1).bool()
        tell(1.0)
        return Candidates(every, 0, len(every), float("inf"))
    if len(free) <= TREE_LIMIT:
        return candidate_regions(pieces, Equations(pieces), budget, tell)
    return _nothing(pieces)


def _nothing(pieces: Pieces) -> Candidates:
    m = pieces.n_units
    return Candidates(torch.zeros(0, m, dtype=torch.bool), 2**m, 0, float("inf"))


def _orbits(zeros: Zeros, n: int, period: int) -> tuple[Tensor, Tensor]:
    """Rows (k, 2) of every point of each cycle: which zero, and how many steps later; and the cycle (k,) that it is of.

    A cycle is found once from each of its points, or only from some; its points are in the order of time, from the
    least one on, and cycles in the order of their least points. An isolated zero is alone in its region, so that the
    pattern tells whether it is another's; on kinks, where it has several patterns, its state does.
    """
    rows: list[tuple[int, int]] = []
    seen: set[bytes] = set()
    known = zeros.x[:0]
    for i in range(len(zeros)):
        x, pattern, on_kink = zeros.x[i], zeros.pattern[i], bool(zeros.kinks[i].any())
        turns = _turns(x, n, period)
        keys = [turn.numpy().tobytes() for turn in _turns(pattern, len(pattern) // period, period)]
        shorter = [d for d in range(1, period) if period % d == 0]
        if any(keys[d] == keys[0] or (on_kink and torch.equal(turns[d], x)) for d in shorter):
            continue
        if keys[0] in seen or (on_kink and bool((known == x).all(1).any())):
            continue
        seen.update(keys)
        known = torch.cat([known, turns])
        rows.append((i, min(range(period), key=lambda j: tuple(turns[j].tolist()))))
    rows.sort(key=lambda row: tuple(zeros.x[row[0]].roll(-n * row[1]).tolist()))
    each = [(i, (first + j) % period) for i, first in rows for j in range(period)]
    return torch.tensor(each, dtype=torch.long).reshape(-1, 2), torch.arange(len(rows)).repeat_interleave(period)


def _turns(values: Tensor, width: int, period: int) -> Tensor:
    """(period, period * width): of one cycle, as it is from each of its steps on."""
    return torch.stack([values.roll(-width * j) for j in range(period)])


def _repeats(flat: Flat, n: int, period: int) -> bool:
    """Whether all cycles of a flat have a shorter period."""
    parts = torch.cat([flat.corners, flat.rays, flat.lines])
    return any(torch.equal(parts, parts.roll(-n * d, dims=1)) for d in range(1, period) if period % d == 0)


def _turned(values: Tensor, rows: Tensor, width: int) -> Tensor:
    """(k, period * width): values of the zeros, each from the step on that ``rows`` says."""
    turned = [values[i].roll(-width * j) for i, j in rows.tolist()]
    return torch.stack(turned) if turned else values[:0]


def _not_excluded(proof: Candidates, total: int, flat: bool, solved: int) -> list[str]:
    """What the proof did not exclude, in words."""
    every = f"2^{total.bit_length() - 1}"
    if proof.left:
        share = proof.left / total
        size = f"none of {every} regions was" if proof.left == total else f"{share:.2g} of {every} regions were not"
        ended = "until starts brought nothing new" if flat else "until the budget was used up"
        return [f"{size} excluded by a proof; {solved} were solved one after the other {ended}"]
    if proof.reach < np.inf:
        return [f"some of {every} regions were excluded for preactivations below {proof.reach:.2g} only"]
    return []


def _not_known(found: Found) -> list[str]:
    """What was not found out about single regions, in words."""
    parts = []
    if found.unknown:
        parts.append(f"{found.unknown} regions were not looked into, as they are too large for whole numbers")
    if found.nearly:
        parts.append(
            f"in {found.nearly} regions the system is singular to within rounding: what is one point there, or none, "
            "cannot be told from a line of them"
        )
    return parts
