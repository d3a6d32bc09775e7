"""The adjugate of small matrices: adj(A) A = det(A) I, whether or not A is regular."""

from __future__ import annotations

import torch
from torch import Tensor


def adjugate(A: Tensor) -> Tensor:
    """Of matrices A (B, r, r), r from 1 to 3."""
    r = A.shape[1]
    if r == 1:
        return torch.ones_like(A)
    if r == 2:
        (a, b), (c, d) = A[:, 0].unbind(1), A[:, 1].unbind(1)
        return torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    x, y, z = A.unbind(1)
    cross = torch.linalg.cross
    return torch.stack([cross(y, z), cross(z, x), cross(x, y)], 2)
