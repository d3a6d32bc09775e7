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


def top(of: Tensor) -> Tensor:
    """s (B,) where the last variable is largest, of cubics on which it rises at 0 and falls at 1."""
    a, b, rise, fall = of[:, :, -1].unbind(1)
    half = 3 * (b - a) - 2 * rise - fall  # its slope is rise + 2 half s + curve s^2
    curve = 6 * (a - b) + 3 * (rise + fall)
    root = (half * half - curve * rise).clamp_min(0).sqrt()
    return (rise / (root - half)).nan_to_num(0.5).clamp(0.0, 1.0)


def rises_to(value: float, of: Tensor, top: Tensor) -> Tensor:
    """s (B,) at which the last variable comes to a value, between 0 and the ``top``, where it is above that."""
    low, high = torch.zeros_like(top), top
    for _ in range(40):
        middle = (low + high) / 2
        below = at(middle, of)[:, -1] < value
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
