"""Which derivatives of a user's step can be relied on, told at a few random states.

<w, J v> = <J^T w, v> tells: a derivative that torch cannot take is sometimes zero instead of an error. The slope of the
values tells where something inside is detached.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Field = Callable[[Tensor, Tensor], Tensor]  # F(x, u)
Directed = Callable[[Tensor, Tensor, Tensor], Tensor]  # a derivative of F at (x, u) along or against a direction
Bent = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # the derivative of J^T w along v

TRIED = 8  # states
EXACT, ROUGH = 1e-8, 1e-4  # relative: of two derivatives, of central differences
STEP = 1e-6


class DerivativeTests:
    """States and directions with J^T w there, against which other ways are held."""

    def __init__(self, field: Field, pulled_back: Directed, n_state: int, n_input: int) -> None:
        draw = torch.Generator().manual_seed(0)
        x, v, w = (torch.randn(TRIED, n_state, generator=draw, dtype=torch.float64) / 2 for _ in range(3))
        u = torch.randn(TRIED, n_input, generator=draw, dtype=torch.float64) / 2
        self.at, self.v, self.w = (x, u), v, w
        self.expected = (pulled_back(x, u, w) * v).sum(1)
        with torch.no_grad():
            rise = field(x + STEP * v, u) - field(x - STEP * v, u)
        self.slope = (w * rise / (2 * STEP)).sum(1)
        self.lengths = w.norm(dim=1) * v.norm(dim=1)
        self.size = self.lengths + self.slope.abs()
        self.known = torch.isfinite(self.slope) & torch.isfinite(self.expected)

    def hidden(self) -> bool:
        """Whether most derivatives are not the slope of the values."""
        off = self.known & ((self.slope - self.expected).abs() > ROUGH * self.size)
        return 2 * int(off.sum()) > int(self.known.sum())

    def agrees(self, pushed: Directed, dtype: torch.dtype = torch.float64, tolerance: float = EXACT) -> bool:
        """Whether ``pushed`` gives J v, in ``dtype``."""
        try:
            found = pushed(*(part.to(dtype) for part in (*self.at, self.v))).double()
        except Exception:
            return False
        off = ((self.w * found).sum(1) - self.expected).abs() > tolerance * self.size
        return not bool(off[self.known].any())

    def bends(self, exact: Bent, rough: Bent) -> bool:
        """Whether the derivative of J^T w along v that is ``exact``, where there is one, is that by differences."""
        try:
            found, near = exact(*self.at, self.w, self.v), rough(*self.at, self.w, self.v)
        except Exception:
            return False
        off = (found - near).norm(dim=1) > ROUGH * near.norm(dim=1) + EXACT * self.lengths
        return not bool(off[self.known].any())
