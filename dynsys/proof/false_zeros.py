"""Zeros that only rounding makes: a shut gate leaves h' = h to the last bit, and still the network moves.

Where a closed form of F is known with all its rounding errors (``dynsys.proof.functions.enclosure``),
|F_i(x)| - error - S_i r > 0 for one component i, with S_i not below |grad F_i| in the ball of radius r around x,
proves that the ball holds no zero. A fold or a higher degeneracy, whose F is as small, is never excluded: it lies much
closer than the radius asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.proof.certificate import MATRICES, MEMORY
from dynsys.proof.exact import up
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.systems.held import Held

RADIUS = 1e-4  # of a state's usual size: rounding hides a zero of order 2 to 7 to within 1e-8 to 1e-4


def only_rounding(held: Held, x: Tensor) -> Tensor:
    """Whether (B,) it is proved that F has no zero within ``RADIUS`` units of x (B, n).

    False throughout where no closed form is known, or none is affordable.
    """
    n = x.shape[1]
    if not len(x) or n > MATRIX_FREE_ABOVE:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    rows = torch.split(torch.arange(len(x), device=x.device), max(1, int(MEMORY // (8 * MATRICES * n**2))))
    return torch.cat([_excluded(held[some], x[some], RADIUS * held.unit) for some in rows])


def _excluded(held: Held, x: Tensor, radius: float) -> Tensor:
    F = held.system.enclosure(Enclosed.state(x, x.new_tensor([radius])), held.u)
    if F is None:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    reach = up(F.error + F.steepness[0] * radius)
    return (F.value.abs() > reach).expand(len(x), -1).any(dim=1)
