"""The rounding error of a velocity in float64: below it, |F| cannot be told from zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps


def rounding(x: Tensor, F: Tensor, unit: float) -> Tensor:
    """The error (B,) that float64 makes in evaluating F at x: two sums of n terms the size of x, a safe factor on top.

    ``unit`` is the usual size of a state; what is a rounding error for it is one for a state near zero as well.
    """
    n = x.shape[1]
    size = x.norm(dim=1) + (x + F).norm(dim=1)
    return EPS * ((2 + math.log2(n + 1)) * size + unit)
