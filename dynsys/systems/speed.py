"""The speed of a system, q(x) = |F(x)|^2 / 2 (Sussillo & Barak 2013; Jang, eq. 4 to 13).

Fixed points are its zeros; slow points are its other low minima.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.systems.system import System


def speed(system: System, x: Tensor, u: Tensor) -> Tensor:
    """q of each state, shape (B,) (eq. 4)."""
    return q_of(system.velocity(x, u))


def q_of(F: Tensor) -> Tensor:
    """q from velocities that are known already, (B, n) -> (B,)."""
    return 0.5 * (F * F).sum(-1)


def gradient(system: System, x: Tensor, u: Tensor) -> Tensor:
    """grad q = J^T F, shape (B, n) (eq. 9)."""
    return system.transposed_product(x, u, system.velocity(x, u))


def hessian(system: System, x: Tensor, u: Tensor) -> Tensor:
    """The whole Hessian of q, (n, n), at one state x (1, n): J^T J + sum_k F_k d2F_k (eq. 11, its slip put right).

    Away from a zero of F the second term decides whether a state is a minimum of q, so slow points need it.
    """
    n = x.shape[1]
    columns, held = x.expand(n, n).contiguous(), u.expand(n, -1).contiguous()
    directions = torch.eye(n, dtype=x.dtype, device=x.device)
    H = system.gradient_product(columns, held, directions)
    return 0.5 * (H + H.mT)
