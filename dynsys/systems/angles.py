"""State variables that are angles: those with a period, of which 0 and a whole turn are one.

The states of such a system lie on a cylinder or a torus. A state is written with each angle within one turn, two states
are as far apart as the shorter way round, and a step of a map is the shorter way as well, so that a rotation by whole
turns is rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dynsys.systems.held import Held

SEAM = 1e-6  # of a turn: how far below 0 an angle may lie, so that rounding does not take 0 for a whole turn
PERIODIC = 1e-6  # of the size of F, by which it may differ a turn further
ROUND = 1e-2  # of a turn, that the least and greatest values seen may lack of a whole one
TRIED = 8  # states at which that is looked at


def checked_periods(given: Any, n: int) -> Tensor | None:
    """The periods (n,) of the variables, infinite for those that are no angles; None where there are none.

    ``given`` is a number for each variable, 0, None or infinite for no angle, or a dict {variable: period}. Raises
    ValueError for anything else.

    >>> checked_periods({1: 6.25}, 2).tolist(), checked_periods([None, 0.0], 2)
    ([inf, 6.25], None)
    """
    if given is None:
        return None
    try:
        pairs = given if isinstance(given, Mapping) else dict(enumerate(given))
        if not isinstance(given, Mapping) and len(pairs) != n:
            raise ValueError
        if any(i != int(i) or not -n <= int(i) < n for i in pairs):
            raise ValueError
        numbers = {int(i): float(period or 0.0) for i, period in pairs.items()}
        if any(not period >= 0 for period in numbers.values()):
            raise ValueError
    except (TypeError, ValueError):
        legal = f"a dict {{variable: period}}, or {n} numbers, one for each variable, 0 for one that is no angle"
        raise ValueError(f"periods is {given!r}; give {legal}") from None
    periods = torch.full((n,), torch.inf, dtype=torch.float64)
    for i, period in numbers.items():
        periods[i] = period or torch.inf
    return periods if bool(torch.isfinite(periods).any()) else None


def nearest(difference: Tensor, periods: Tensor | None) -> Tensor:
    """The difference (..., n) of two states, of each angle the shorter way."""
    if periods is None:
        return difference
    turn = torch.where(torch.isfinite(periods), periods, 0.0).to(difference)
    return difference - turn * torch.round(difference / periods.to(difference))


def wrapped(x: Tensor, periods: Tensor | None) -> Tensor:
    """The states x (..., n) with every angle within one turn from 0."""
    if periods is None:
        return x
    turn = torch.where(torch.isfinite(periods), periods, 0.0).to(x)
    return x - turn * torch.floor(x / periods.to(x) + SEAM)


def distances(x: Tensor, y: Tensor, periods: Tensor | None) -> Tensor:
    """How far each state of x (A, n) is from each of y (B, n), (A, B)."""
    if periods is None:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.linalg.vector_norm(nearest(x.unsqueeze(1) - y, periods), dim=2)


def rough_distances(x: Tensor, y: Tensor, periods: Tensor | None) -> Tensor:
    """The same by matrix products, to about 1e-8 of how far the states are spread, however far out they all lie."""
    if periods is not None or not len(y):
        return distances(x, y, periods)
    middle = y.nanmedian(dim=0).values  # squares of what is common to all would leave no digit of their differences
    return torch.cdist(x - middle, y - middle)


def within_a_turn(low: Tensor, high: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
    """Bounds (B, n) of states, whose angles go once round."""
    if periods is None:
        return low, high
    angle, turn = torch.isfinite(periods).to(low.device), periods.to(low)
    return torch.where(angle, -SEAM * turn, low), torch.where(angle, (1 - SEAM) * turn, high)


def unwound(low: Tensor, high: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
    """Bounds (B, n) without those of the angles, which end nowhere."""
    if periods is None:
        return low, high
    angle = torch.isfinite(periods).to(low.device)
    return torch.where(angle, -torch.inf, low), torch.where(angle, torch.inf, high)


def once_round(low: Tensor, high: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
    """The least and the greatest values (B, n) on an orbit, within one turn; of an angle that goes round, the turn."""
    if periods is None:
        return low, high
    turn = periods.to(low)
    round_ = (high - low >= (1 - ROUND) * turn) & torch.isfinite(turn)
    first = wrapped(low, periods)
    first = torch.where(round_, 0.0, first)
    return first, torch.where(round_, turn, first + high - low)


def check_periodic(held: Held, x: Tensor) -> None:
    """Raise ValueError where F is not the same a turn further."""
    system = held.system
    if system.periods is None:
        return
    x, held = x[:TRIED], held.expand(len(x[:TRIED]))
    F = held.velocity(x)
    for i in torch.isfinite(system.periods).nonzero().squeeze(1).tolist():
        turned = x.clone()
        turned[:, i] += system.periods[i]
        off = (held.velocity(turned) - F).abs().amax()
        if float(off) > PERIODIC * (1 + float(F.abs().amax())):
            period = float(system.periods[i])
            raise ValueError(
                f"periods says that variable {i} of {system.name} is an angle of period {period:.6g}, but its velocity "
                f"changes by {float(off):.2g} when the angle is a turn further; give the period that it has, or none"
            )
