"""Inverses by halves: of [[a, b], [c, d]] from those of a and of s = d - c a^-1 b (Schur), down to small blocks.

Nearly all of the work is matrix products, several times faster than LAPACK's inverse. Rows are exchanged within the
blocks only, so an inverse may lose digits where a leading block is nearly singular: whoever asks has to see how good it
is, as a proof does.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALL = 32  # rows, up to which LAPACK is as fast


def rough_inverse(J: Tensor) -> Tensor:
    """The inverse of each of J (B, n, n), or what comes near it; not finite where a block is singular."""
    n = J.shape[-1]
    if n <= SMALL:
        return torch.linalg.inv_ex(J)[0]
    h = n // 2
    of_a = rough_inverse(J[:, :h, :h])
    right, below = of_a @ J[:, :h, h:], J[:, h:, :h] @ of_a
    of_s = rough_inverse(torch.baddbmm(J[:, h:, h:], J[:, h:, :h], right, alpha=-1))
    corner = of_s @ below
    A = torch.empty_like(J)
    torch.baddbmm(of_a, right, corner, out=A[:, :h, :h])
    A[:, :h, h:] = (right @ of_s).neg_()
    A[:, h:, :h] = corner.neg_()
    A[:, h:, h:] = of_s
    return A
