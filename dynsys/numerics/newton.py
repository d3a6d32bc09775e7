"""Newton's method where it starts near its zero: steps that have to contract, or the zero found is not the one beside.

The derivative may be that of a place nearby (a chord step): what it is off shows in the contraction. All problems of a
batch go together, each until it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

Residual = Callable[[Tensor, Tensor], Tensor]  # x (b, n) and which rows of the batch these are -> F (b, n)
Solve = Callable[[Tensor, Tensor, Tensor], Tensor]  # -F (b, n), x and rows -> steps (b, n)

STALLED = 0.7  # of a correction that may be the work of rounding: two in a row are no smaller than the one before
ALIKE = 0.01  # of a correction, that it is less than the one before: nothing is learned there, as rounding made both


@dataclass(frozen=True)
class NewtonSettings:
    """When corrections are trusted, and when they are enough. A length is given with each x: of a step, of a jump."""

    stray: float = 0.3  # of the length, that the first correction may be
    contraction: float = 0.3  # of a correction, that the next may be
    converged: float = 0.0  # of the length, a correction after which no more is made
    corrections: int = 8  # at most
    at_once: float = 0.0  # of the length, a first correction after which no second is needed to show contraction
    rounding: float = 0.0  # a correction, after which the next may be the work of rounding and needs not contract
    learns: bool = (
        False  # the derivative, from the corrections (Broyden 1965): then the last one is not made but foreseen
    )


class Corrected(NamedTuple):
    """Where corrections led: x (B, n), whether (B,) each is to be trusted, the first correction, the worst contraction.

    The first correction is 0 where it was within the floor, and so is what was beneath it in a contraction.
    """

    x: Tensor
    ok: Tensor
    first: Tensor
    contraction: Tensor


@np.errstate(invalid="ignore", over="ignore")
def chord_newton(
    F: Residual, solve: Solve, x: Tensor, length: Tensor, floor: Tensor, settings: NewtonSettings
) -> Corrected:
    """Zeros of F beside x (B, n), where corrections contract; ``floor`` (B,) is a length beneath which none counts."""
    x, rows = x.clone(), torch.arange(x.shape[0], device=x.device)
    span, least = length.numpy(force=True), floor.numpy(force=True)  # whose few numbers are dealt with on the host
    ok = torch.isfinite(x).all(dim=1).numpy(force=True)
    done, first, slack, last = np.zeros_like(ok), np.zeros_like(span), np.zeros_like(span), np.full_like(span, np.inf)
    stalled, going, made = np.zeros_like(ok), ok.nonzero()[0], list[Tensor]()
    for k in range(settings.corrections):
        if not len(going):
            break
        whole = len(going) == len(ok)
        which = rows if whole else rows[torch.from_numpy(going)]
        here = x if whole else x[which]
        chord = solve(-F(here, which), here, which)
        d = _learned(chord, made) if settings.learns else chord
        x = here + d if whole else x.index_copy_(0, which, here + d)
        size, before = vector_norm(chord, dim=1).numpy(force=True), last[going]
        beyond = np.maximum(size - least[going], 0.0)
        if k == 0:
            first[going] = np.where(beyond > 0, size, beyond)
            good = beyond <= settings.stray * span[going]
            enough = (size <= least[going]) | (size <= settings.at_once * span[going])
        else:
            ratio = beyond / before
            good = ratio <= settings.contraction
            enough = (size * ratio if settings.learns else size) <= settings.converged * span[going] + least[going]
            small = before <= settings.rounding
            slow = small & ~(ratio < STALLED)  # once: by a derivative that is off, which has been learned now
            good, enough, ratio = good | small, enough | (slow & stalled[going]), np.where(small, 0.0, ratio)
            stalled[going] = slow
            slack[going] = np.maximum(slack[going], ratio)
        on = good & ~enough
        last[going], ok[going], done[going] = size, good, good & enough
        going = going[on]
        if settings.learns:
            made.append(d)
            made = made if on.all() else [step[torch.from_numpy(on)] for step in made]
    return Corrected(x, *(torch.from_numpy(part).to(x.device) for part in (ok & done, first, slack)))


def _learned(d: Tensor, made: list[Tensor]) -> Tensor:
    """The correction by Broyden's formula, of the one d (b, n) by the derivative at first and of those made before."""
    for step, after in pairwise(made):
        d = torch.addcmul(d, after, _along(step, d))
    if not made:
        return d
    less = 1 - _along(made[-1], d)
    return d / torch.where(less.abs() < ALIKE, 1.0, less)


def _along(step: Tensor, d: Tensor) -> Tensor:
    """The parts (b, 1) of d along a step, of its length."""
    return (step * d).sum(1, keepdim=True) / (step * step).sum(1, keepdim=True)
