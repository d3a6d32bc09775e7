"""The rounding error of a velocity in float64, measured: below it, |F| cannot be told from zero.

A formula from the sizes of x and F would not know in what units F is, nor what large terms cancel inside it. So F is
evaluated again a few units in the last place away from x: what it changes by there is noise for any practical purpose.

Where the terms of F cancel, and x is small beside what they are made of, such neighbours say nothing:
100 exp(-0.03 x) - 100 is exactly 0 for all |x| < 3e-15. So F is looked at along a line from x as well, at four
distances far apart. Where it is not straight there within the error found so far, rows of states that reach ever
farther tell why. What separates F from its tangent at x, which is known without cancellation, grows with the length of
a row where F bends or has a kink; where it stays the same from one row to one 64 times as long, it is noise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.held import Held
from dynsys.systems.system import Kind

EPS = torch.finfo(torch.float64).eps
FAR = 0.01  # of a state's usual size, over which the rate of F is taken
SAFETY = 2.0
ZERO = 4.0  # times the rounding error, within which |F| counts as zero
STRAIGHT = (1e-9, 7e-12, 1.1e-13, 1.7e-15)  # of a variable's size: F is linear over these, but for noise
FROM_ZERO = 50.0  # times as large as it bends there, F is not zero whatever its noise
FLAT, LEAST = 0.1, 1e-4  # of what F should change by there, and of its usual size: flat, it may be all noise up to that
TOGETHER = 2**22  # numbers in the states and inputs of one call of F
ROW = (0.53, 1.71, 2.38, 3.90, 4.77, 5.61, 7.23, 8.0)  # places of a row: uneven, as F may come in even steps
STEPS = (2e-16, 1.3e-14, 8e-13, 5e-11, 3e-9, 2e-7, 1.3e-5)  # units of these places
SAME = 4.0  # ratio of the distances from the tangent on one row and on the next, up to which they are noise
ROUGH = 0.01  # of what F can change by on the shortest row: where it is nearer to its tangent, it is smooth


def rounding(held: Held, x: Tensor, F: Tensor, samples: int = 2) -> Tensor:
    """The error (B,) that float64 makes in F at x (B, n), which is ``held.velocity(x)``.

    A change of x by eps times the unit, the usual size of a state, counts as rounding for a state near zero, too.
    """
    noise, worth, steps = _at_once(held, x, F, samples)
    rows = vector_norm(F, dim=1) <= worth
    return SAFETY * _with_cancellation(held, x, F, noise, steps, rows)


def is_zero(held: Held, x: Tensor, F: Tensor, times: float = ZERO, by_unit: bool = True) -> Tensor:
    """Whether (B,) F at x (B, n) is within ``times`` its rounding error, which is measured no better than that asks.

    Without ``by_unit`` only what was seen of that error counts, and not the change of F by eps times the unit.
    """
    noise, worth, steps = _at_once(held, x, F, by_unit=by_unit)
    size = vector_norm(F, dim=1)
    rows = (size > times * SAFETY * noise) & (size <= worth)
    return size <= times * SAFETY * _with_cancellation(held, x, F, noise, steps, rows)


def _at_once(held: Held, x: Tensor, F: Tensor, samples: int = 2, by_unit: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The noise (B,) that the last digits of x show, the size of F (B,) up to which it is worth to look at more of it,
    and the steps (B, n) for that; -1 where F is straight, so that there is no more noise.
    """
    signs, size, unit = _signs(x, 0), x.abs(), held.unit
    steps = size.amax(dim=1, keepdim=True).clamp_min(unit / x.shape[1] ** 0.5) * signs
    last_digits = 2 * EPS * size * torch.stack([_signs(x, k) for k in range(samples)]).unsqueeze(1)
    along = _column(STRAIGHT, x) * steps
    moved = _velocities(held, torch.cat([_far(x, unit).unsqueeze(0), x + last_digits, x + along]))
    pace = _rate(moved[0], F, unit)
    noise = by_unit * EPS * unit * pace
    if (
        held.system.kind is Kind.MAP
    ):  # F = G(x) - x, and G(x) is rounded itself, which a change of both by a digit would hide
        noise = torch.maximum(noise, EPS * vector_norm(x, dim=1))
    away = moved[1:] - F
    noise = torch.maximum(noise, vector_norm(away[:samples], dim=2).nan_to_num(0.0).amax(dim=0))
    bend = _bend(away[samples:])
    flat = vector_norm(away[samples], dim=1) < FLAT * STRAIGHT[0] * pace * vector_norm(steps, dim=1)
    worth = torch.where(bend > noise, FROM_ZERO * bend, -1.0)
    return noise, torch.where(flat, torch.maximum(worth, LEAST * pace * unit), worth), steps


def _with_cancellation(held: Held, x: Tensor, F: Tensor, noise: Tensor, steps: Tensor, rows: Tensor) -> Tensor:
    some = rows.nonzero().squeeze(1)
    if len(some):
        more = _unevenness(held[some], x[some], F[some], steps[some])
        noise = noise.index_copy(0, some, torch.maximum(noise[some], more))
    return noise


def rate(held: Held, x: Tensor, F: Tensor) -> Tensor:
    """How much F changes per distance (B,), over a hundredth of a state's usual size: it turns lengths to speeds."""
    return _rate(held.velocity(_far(x, held.unit)), F, held.unit)


def at_origin(held: Held, x: Tensor, F: Tensor) -> Tensor:
    """Whether (B,) F cannot tell x (B, n) from the origin: half way to it, it is no larger, or only noise."""
    half = vector_norm(held.velocity(x / 2), dim=1)
    size = vector_norm(x, dim=1, keepdim=True).clamp_min(1e-300) / x.shape[1] ** 0.5
    noise = _unevenness(held, x, F, size / STEPS[-2] * _signs(x, 0))
    return half <= torch.maximum(vector_norm(F, dim=1), SAFETY * ZERO * noise)


def _far(x: Tensor, unit: float) -> Tensor:
    return x + FAR * unit / x.shape[1] ** 0.5 * _signs(x, 0)


def _rate(far: Tensor, F: Tensor, unit: float) -> Tensor:
    return (vector_norm(far - F, dim=1) / (FAR * unit)).nan_to_num(0.0, posinf=0.0)


def _bend(away: Tensor) -> Tensor:
    """How far (B,) F is from the straight line to the farthest of the states along ``STRAIGHT``, by how far it is
    ``away`` from F(x) there, (4, B, n); NaN shows nothing."""
    straight = _column([share / STRAIGHT[0] for share in STRAIGHT[1:]], away) * away[0]
    return vector_norm(away[1:] - straight, dim=2).amax(dim=0).nan_to_num(0.0, posinf=0.0)


def _unevenness(held: Held, x: Tensor, F: Tensor, step: Tensor) -> Tensor:
    """The noise (B,) of F by rows of states to both sides of x, ``STEPS`` times ``step`` long; the less noisy side
    counts for each component, as there may be a step of F itself on the other.

    A variable may be small beside the others, so that F is smooth over the shortest row and saturates over the next.
    """
    tangent = held.linearised(x)(step)
    lengths = _column([length * place for length in STEPS for place in ROW], x)
    both = torch.cat([lengths, -lengths])
    change = _velocities(held, x + both * step) - F
    off = (change - both * tangent).abs().nan_to_num(0.0, posinf=0.0)
    change = change.abs().nan_to_num(0.0, posinf=0.0)
    sides = []
    for off_here, change_here in zip(off.chunk(2), change.chunk(2), strict=True):
        noise = _plateau(off_here.view(len(STEPS), len(ROW), *F.shape).amax(dim=1), tangent)
        sides.append(torch.maximum(noise, _grain(change_here, tangent)))
    return vector_norm(torch.minimum(*sides), dim=1)


def _grain(changes: Tensor, tangent: Tensor) -> Tensor:
    """The least ``changes`` (k, B, n) of F, where F stays what it is to the last digit over a row on which its tangent
    does not; else 0. So it is where large terms cancel: sqrt(1 + x^2) - 1 comes in steps of 2e-16, and at x = 1e-8 it
    is 0 and its slope 1e-8.

    On the first row x itself may stay what it is, and says nothing.
    """
    still = (changes[len(ROW) : 2 * len(ROW)] == 0).all(dim=0) & (tangent != 0)
    grain = torch.where(changes > 0, changes, torch.inf).amin(dim=0)
    return torch.where(still & torch.isfinite(grain), grain, 0.0)


def _plateau(off: Tensor, tangent: Tensor) -> Tensor:
    """What each component is ``off`` its tangent, on rows (k, B, n) ever longer, where that stays the same; else 0."""
    steepest = torch.maximum((off / (off.new_tensor(STEPS)[:, None, None] * ROW[-1])).amax(dim=0), tangent.abs())
    less, more = torch.minimum(off[1:], off[:-1]), torch.maximum(off[1:], off[:-1])
    noise = torch.where(more <= SAME * less, less, 0.0).amax(dim=0)
    smooth = off[0] < ROUGH * torch.minimum(noise, STEPS[0] * ROW[-1] * steepest)
    return torch.where(smooth, 0.0, noise)


def _velocities(held: Held, states: Tensor) -> Tensor:
    """F at several batches of states (k, B, n) under the same inputs, by as few calls as memory allows."""
    together = max(1, TOGETHER // max(1, states[0].numel() + held.u.numel()))
    found = [held.repeat(len(some)).velocity(some.flatten(0, 1)) for some in torch.split(states, together)]
    return torch.cat(found).view_as(states)


def _column(values: Sequence[float], x: Tensor) -> Tensor:
    """Numbers (k, 1, 1), to multiply states by."""
    return x.new_tensor(values)[:, None, None]


def _signs(x: Tensor, k: int) -> Tensor:
    """The k-th of a fixed row of random signs (n,), so that a state's noise does not depend on its batch."""
    return _random_signs(x.shape[1], k).to(x)


@functools.cache
def _random_signs(n: int, k: int) -> Tensor:
    return 2.0 * torch.randint(0, 2, (n,), generator=torch.Generator().manual_seed(k)) - 1
