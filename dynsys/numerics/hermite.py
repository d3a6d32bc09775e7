"""Hermite's cubic: between two points of a curve with known tangents, what the curve is taken for."""

from __future__ import annotations

import torch
from torch import Tensor


def weights(s: Tensor) -> Tensor:
    """Weights (..., 4) of the cubic at s in [0, 1]: of its values at 0 and 1, and of its slopes there.

    >>> weights(torch.tensor(0.5))
    tensor([ 0.5000,  0.5000,  0.1250, -0.1250])
    """
    r = 1 - s
    return torch.stack([(1 + 2 * s) * r * r, s * s * (3 - 2 * s), s * r * r, -s * s * r], dim=-1)


def parts(z: Tensor, q: Tensor, t: Tensor, tangent: Tensor, length: Tensor) -> Tensor:
    """What the weights are of (B, 4, n): the points z and q (B, n), and the unit tangents times the length (B,)."""
    scale = length.unsqueeze(1)
    return torch.stack([z, q, scale * t, scale * tangent], dim=1)


def at(s: Tensor, of: Tensor) -> Tensor:
    """The points (B, n) at s (B,) of the cubics made of the ``parts`` (B, 4, n)."""
    return (weights(s).unsqueeze(1) @ of).squeeze(1)
