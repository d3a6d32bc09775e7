"""Newton's method where it starts near its zero: steps that have to contract, or the zero found is not the one beside.

The derivative may be that of a place nearby (a chord step): what it is off shows in the contraction. All problems of a
batch go together, each until it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

Residual = Callable[[Tensor, Tensor], Tensor]  # x (b, n) and which rows of the batch these are -> F (b, n)
Solve = Callable[[Tensor, Tensor, Tensor], Tensor]  # -F (b, n), x and rows -> steps (b, n)

STALLED = 0.7  # of a correction that may be the work of rounding: the next is no smaller


@dataclass(frozen=True)
class NewtonSettings:
    """When corrections are trusted, and when they are enough. A length is given with each x: of a step, of a jump."""

    stray: float = 0.3  # of the length, that the first correction may be
    contraction: float = 0.3  # of a correction, that the next may be
    converged: float = 0.0  # of the length, a correction after which no more is made
    corrections: int = 8  # at most
    at_once: float = 0.0  # of the length, a first correction after which no second is needed to show contraction
    rounding: float = 0.0  # a correction, after which the next may be the work of rounding and needs not contract


class Corrected(NamedTuple):
    """Where corrections led: x (B, n), whether (B,) each is to be trusted, the first correction, the worst contraction.

    The first correction is 0 where it was within the floor, and so is what was beneath it in a contraction.
    """

    x: Tensor
    ok: Tensor
    first: Tensor
    contraction: Tensor


def chord_newton(
    F: Residual, solve: Solve, x: Tensor, length: Tensor, floor: Tensor, settings: NewtonSettings
) -> Corrected:
    """Zeros of F beside x (B, n), where corrections contract; ``floor`` (B,) is a length beneath which none counts."""
    x, rows = x.clone(), torch.arange(len(x), device=x.device)
    ok = torch.isfinite(x).all(dim=1)
    first, slack, last = torch.zeros_like(length), torch.zeros_like(length), torch.full_like(length, torch.inf)
    done = torch.zeros_like(ok)
    going: Tensor | slice = slice(None) if bool(ok.all()) else rows[ok]
    for k in range(settings.corrections):
        here, which = x[going], rows[going]
        if not len(here):
            break
        d = solve(-F(here, which), here, which)
        x[going] = here + d
        size, span, least, before = vector_norm(d, dim=1), length[going], floor[going], last[going]
        beyond = (size - least).clamp_min(0.0)
        if k == 0:
            first[going] = torch.where(beyond > 0, size, beyond)
            good = beyond <= settings.stray * span
            enough = (size <= least) | (size <= settings.at_once * span)
        else:
            ratio = beyond / before
            good, enough = ratio <= settings.contraction, size <= settings.converged * span + least
            if settings.rounding:
                small = before <= settings.rounding
                good, enough, ratio = (
                    good | small,
                    enough | (small & ~(ratio < STALLED)),
                    torch.where(small, 0.0, ratio),
                )
            slack[going] = torch.maximum(slack[going], ratio)
        last[going], ok[going], done[going] = size, good, good & enough
        on = good & ~enough
        if not bool(on.all()):
            going = which[on]
    return Corrected(x, ok & done, first, slack)
