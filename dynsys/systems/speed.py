"""The speed of a system, q(x) = |F(x)|^2 / 2 (Sussillo & Barak 2013; Jang, eq. 4 to 13).

Fixed points are its zeros; slow points are its other low minima.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.systems.held import Held


def speed(held: Held, x: Tensor) -> Tensor:
    """q of each state, shape (B,) (eq. 4)."""
    return q_of(held.velocity(x))


def q_of(F: Tensor) -> Tensor:
    """q from velocities that are known already, (B, n) -> (B,)."""
    return 0.5 * (F * F).sum(-1)


def gradient(held: Held, x: Tensor) -> Tensor:
    """grad q = J^T F, shape (B, n) (eq. 9)."""
    return held.transposed_product(x, held.velocity(x))


def hessians(held: Held, x: Tensor) -> Tensor:
    """The whole Hessians of q, (B, n, n), at the states x (B, n): J^T J + sum_k F_k d2F_k (eq. 11, its slip put right).

    Away from a zero of F the second term decides whether a state is a minimum of q, so slow points need it.
    """
    B, n = x.shape
    directions = torch.eye(n, dtype=x.dtype, device=x.device).repeat(B, 1)
    rows = torch.arange(B, device=x.device).repeat_interleave(n)
    H = held[rows].gradient_product(x[rows], directions).view(B, n, n)
    return 0.5 * (H + H.mT)
