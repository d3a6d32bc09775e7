"""Whether two zeros of F are one point: where what is known of their errors lets them be one.

Of a point with an error bound, |J^-1| there and |F| at another state bound how far that is from its own zero. Of a
point without one it tells whether F stays zero to rounding all along the way: one degenerate point, or one line.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import ZERO, is_zero, rounding
from dynsys.proof.kantorovich import Assessed
from dynsys.systems.angles import distances, nearest
from dynsys.systems.held import Held

JOINED = 4 * ZERO  # times the rounding error, as its samples come from below and a line has many
SHARES = (0.25, 0.5, 0.75)  # of the way between two states, where F is looked at


def belongs(held: Held, x: Tensor, F: Tensor, points: Assessed, same_input: Tensor, near: float) -> Tensor:
    """Whether (A, B) the states x (A, n), zeros of F but for rounding, are the points, where ``same_input`` (A, B).

    A point without a bound and a state farther than ``near`` from it are not one.
    """
    if not len(points) or not len(x):
        return torch.zeros(len(x), len(points), dtype=torch.bool, device=x.device)
    error = vector_norm(F, dim=1) + rounding(held, x, F)
    apart = distances(x, points.x, held.system.periods)
    none = torch.isinf(points.error_bound)
    reach = torch.where(none, 0.0, points.error_bound + 2 * points.inverse_norm * error.unsqueeze(1))
    same = (apart <= reach) & same_input
    for j in none.nonzero().squeeze(1).tolist():
        rows = (same_input[:, j] & ~same[:, j] & (apart[:, j] <= near)).nonzero().squeeze(1)
        same[rows, j] = joined(held[rows], points.x[j : j + 1], x[rows])
    return same


def overlap(apart: Tensor, bounds: Tensor, others: Tensor) -> Tensor:
    """Whether error bounds meet over these distances; where there is none nothing does."""
    return apart <= torch.where(torch.isfinite(bounds), bounds, 0.0) + torch.where(torch.isfinite(others), others, 0.0)


def joined(held: Held, a: Tensor, x: Tensor) -> Tensor:
    """Where (A,) F is zero to rounding all along the way from a (A or 1, n) to x (A, n)."""
    found = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for share in SHARES if len(x) else ():
        between = a + share * nearest(x - a, held.system.periods)
        found &= is_zero(held, between, held.velocity(between), JOINED)
    return found
