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

from dynsys.relu.complementary import Candidates, Unfit, candidate_regions
from dynsys.relu.flats import Flat
from dynsys.relu.pieces import Pieces, iterated, unrolled
from dynsys.relu.region_zeros import SAME, SINGULAR_LIMIT, Zeros, zeros_in
from dynsys.relu.wander import Wanderer
from dynsys.system import Kind, System
from dynsys.threads import alone

Progress = Callable[[str, int, int], None]

BUDGET = 50_000  # nodes of the tree, and again regions solved on the way, fewer of them above TREE_LIMIT units
TREE_LIMIT = 64  # units, above which excluding regions is hopeless and not tried
ENUMERATED = 14  # units up to which all regions are solved where the tree is no use
PARTS = 1000  # of the progress


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
    >>> from dynsys.relu.regions import search_regions
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
        zeros, flats, singular = zeros_in(whole, torch.unique(patterns, dim=0), proof.left == 0)
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
    return lambda stage, share: (
        None if progress is None else progress(stage, int(PARTS * min(max(share, 0.0), 1.0)), PARTS)
    )


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


def _orbits(zeros: Zeros, n: int, period: int) -> tuple[Tensor, Tensor]:
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
