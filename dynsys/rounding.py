"""The rounding error of a velocity in float64, measured: below it, |F| cannot be told from zero.

A formula from the sizes of x and F would not know in what units F is, nor what large terms cancel inside it. So F is
evaluated again a few units in the last place away from x: what it changes by there is noise for any practical purpose.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.system import Kind, System

EPS = torch.finfo(torch.float64).eps
FAR = 0.01  # of a state's usual size, over which the rate of F is taken
SAFETY = 2.0
ZERO = 4.0  # times the rounding error, within which |F| counts as zero


def rounding(system: System, x: Tensor, u: Tensor, F: Tensor, unit: float, samples: int = 2) -> Tensor:
    """The error (B,) that float64 makes in F at x (B, n), which is ``system.velocity(x, u)``.

    ``unit`` is the usual size of a state; a change of x by eps times it counts as rounding for a state near zero, too.
    """
    noise = EPS * unit * rate(system, x, u, F, unit)
    if (
        system.kind is Kind.MAP
    ):  # F = G(x) - x, and G(x) is rounded itself, which a change of both by a digit would hide
        noise = torch.maximum(noise, EPS * vector_norm(x, dim=1))
    for k in range(samples):
        moved = system.velocity(x + 2 * EPS * x.abs() * _signs(x, k), u)
        noise = torch.maximum(noise, vector_norm(moved - F, dim=1).nan_to_num(0.0))
    return SAFETY * noise


def rate(system: System, x: Tensor, u: Tensor, F: Tensor, unit: float) -> Tensor:
    """How much F changes per distance (B,), over a hundredth of a state's usual size: it turns lengths to speeds."""
    length = FAR * unit
    change = system.velocity(x + length / x.shape[1] ** 0.5 * _signs(x, 0), u) - F
    return (vector_norm(change, dim=1) / length).nan_to_num(0.0, posinf=0.0)


def _signs(x: Tensor, k: int) -> Tensor:
    """The k-th of a fixed row of random signs (n,), so that a state's noise does not depend on its batch."""
    generator = torch.Generator().manual_seed(k)
    return (2.0 * torch.randint(0, 2, (x.shape[1],), generator=generator) - 1).to(x)
