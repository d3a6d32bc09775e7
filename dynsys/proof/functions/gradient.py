"""The gradients of the components of a vector function, one row each, in the form that costs least.

Where component i depends on the state variable first + i alone (the state itself, a rate of it) only the slopes are
kept; where it depends on none, nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, gamma, length, up


@dataclass(frozen=True)
class Gradient:
    """``entries`` are rows (B or 1, m, n), or slopes (B or 1, m) where ``first`` is given, or None for zero."""

    n: int  # of the state
    entries: Tensor | None = None
    first: int | None = None

    @property
    def separate(self) -> bool:
        """Whether different components depend on different state variables, so that their gradients are orthogonal."""
        return self.first is not None

    def scaled(self, slopes: Tensor) -> Gradient:
        """Row i times slopes[:, i]."""
        if self.entries is None:
            return self
        return Gradient(self.n, self.entries * (slopes if self.separate else slopes.unsqueeze(2)), self.first)

    def plus(self, other: Gradient) -> Gradient:
        if self.entries is None:
            return other
        if other.entries is None:
            return self
        if self.first == other.first:
            return Gradient(self.n, self.entries + other.entries, self.first)
        if other.first is None:
            return other.plus(self) if self.separate else Gradient(self.n, self.entries + other.entries)
        B, m = max(len(self.entries), len(other.entries)), self.entries.shape[1]
        rows = self.dense().expand(B, -1, -1).clone()
        rows[:, :, other.first : other.first + m].diagonal(dim1=1, dim2=2).add_(other.entries)
        return Gradient(self.n, rows)

    def through(self, W: Tensor) -> Gradient:
        """Those of W f, for W (k, m)."""
        if self.entries is None:
            return self
        if self.first is None:
            return Gradient(self.n, W @ self.entries)
        own = self.entries.unsqueeze(1) * W
        if own.shape[2] == self.n:
            return Gradient(self.n, own)
        rows = own.new_zeros(len(own), len(W), self.n)
        rows[:, :, self.first : self.first + W.shape[1]] = own
        return Gradient(self.n, rows)

    def error_through(self, size: Tensor, error: Tensor, W: Tensor, squares: Tensor) -> Tensor:
        """What ``through`` may be wrong by, per row, for rows of length up to ``size`` that are wrong by ``error``.

        ``W`` and ``squares`` are the sizes of its entries, transposed, and their squares.
        """
        if self.separate:
            return up(up((error + UNIT * size) ** 2 @ squares).sqrt())
        return up((error + gamma(len(W)) * (size + error)) @ W)

    def lengths(self) -> Tensor:
        """Not below the 2-norm of each computed row, (B or 1, m)."""
        if self.entries is None:
            raise ValueError("a constant has no gradient to measure")
        return self.entries.abs() if self.separate else length(self.entries)

    def part(self, rows: slice) -> Gradient:
        if self.entries is None:
            return self
        return Gradient(self.n, self.entries[:, rows], None if self.first is None else self.first + rows.start)

    def dense(self) -> Tensor:
        """(B or 1, m, n)."""
        if self.entries is None:
            raise ValueError("a constant has no gradient to write out")
        if self.first is None:
            return self.entries
        before = torch.nn.functional.pad(torch.diag_embed(self.entries), (self.first, 0))
        return torch.nn.functional.pad(before, (0, self.n - before.shape[2]))
