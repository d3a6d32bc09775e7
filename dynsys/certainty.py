"""How far the true fixed point can lie from a computed one, after Newton and Kantorovich.

If b bounds |J^-1|, L bounds the change of J per distance and e = |F(x)| + rounding, then for 2 b L (b e) <= 1/2 a true
zero lies within 2 b e of x. Here b is computed from an LU factorisation and L is sampled along a few directions,
so the bound is a sound estimate and not yet a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.rounding import rounding
from dynsys.speed import q_of
from dynsys.system import System

REFINEMENTS = 2
SAFETY = 2.0  # on |J^-1|, whose power iteration comes from below
SAFETY_SAMPLED = 8.0  # on L, which a few directions show only in part


@dataclass(frozen=True)
class Assessed:
    """Refined states x (B, n) with F, q, |J^-1|, the change L of J, the rounding error of F, the error bound and
    the index, sign det(-J) (B,).
    """

    x: Tensor
    F: Tensor
    q: Tensor
    inverse_norm: Tensor
    curvature: Tensor
    noise: Tensor
    error_bound: Tensor
    index: Tensor


def assess(system: System, x: Tensor, u: Tensor, unit: float) -> Assessed:
    """Refine each x by chord steps that lower |F|, then bound its distance from the true zero.

    One factorisation of J serves the steps and |J^-1|.
    """
    J = system.jacobian(x, u)
    LU, pivots, _ = torch.linalg.lu_factor_ex(J)
    x, F = _refined(system, x, u, LU, pivots)
    inverse_norm = SAFETY * _inverse_norm(J, LU, pivots)
    curvature = SAFETY_SAMPLED * _curvature(system, x, u, J, unit)
    noise = rounding(system, x, u, F, unit)
    reach = 2 * inverse_norm * (F.norm(dim=1) + noise)
    proven = torch.isfinite(reach) & (2 * inverse_norm * curvature * reach <= 0.5)
    bound = torch.where(proven, reach, torch.inf)
    return Assessed(x, F, q_of(F), inverse_norm, curvature, noise, bound, _index(LU, pivots))


def _refined(system: System, x: Tensor, u: Tensor, LU: Tensor, pivots: Tensor) -> tuple[Tensor, Tensor]:
    F = system.velocity(x, u)
    for _ in range(REFINEMENTS):
        x_new = x - torch.linalg.lu_solve(LU, pivots, F.unsqueeze(2)).squeeze(2)
        F_new = system.velocity(x_new, u)
        better = F_new.norm(dim=1) < 0.5 * F.norm(dim=1)
        if not bool(better.any()):
            break
        x, F = torch.where(better.unsqueeze(1), x_new, x), torch.where(better.unsqueeze(1), F_new, F)
    return x, F


def _index(LU: Tensor, pivots: Tensor) -> Tensor:
    """sign det(-J) from a factorisation: the signs of the pivots, and of the row exchanges."""
    n = LU.shape[-1]
    signs = (-LU.diagonal(dim1=-2, dim2=-1)).sign().prod(dim=-1)
    exchanges = (pivots != torch.arange(1, n + 1, device=pivots.device)).sum(dim=-1)
    return torch.where(exchanges % 2 == 0, signs, -signs)


def _inverse_norm(J: Tensor, LU: Tensor, pivots: Tensor, iterations: int = 6) -> Tensor:
    """|J^-1| in the 2-norm: by singular values while they are cheap, else by power iteration on the factorisation."""
    if J.shape[-1] <= 256:
        return 1 / torch.linalg.svdvals(J)[:, -1]
    v = torch.ones_like(J[:, :, :1])
    size = v.norm(dim=(1, 2))
    for _ in range(iterations):
        w = torch.linalg.lu_solve(LU, pivots, v / size[:, None, None])
        v = torch.linalg.lu_solve(LU, pivots, w, adjoint=True)
        size = v.norm(dim=(1, 2))
    return torch.where(torch.isfinite(size), size.sqrt(), torch.inf)


def _curvature(system: System, x: Tensor, u: Tensor, J: Tensor, unit: float, samples: int = 3) -> Tensor:
    """The largest sampled |(J(x + h v) - J(x)) v| / h over random directions v of length h."""
    generator = torch.Generator().manual_seed(0)
    h = 1e-4 * (unit + x.norm(dim=1, keepdim=True)) / x.shape[1] ** 0.5
    largest = torch.zeros_like(x[:, 0])
    for _ in range(samples):
        v = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        change = system.jacobian(x + h * v, u) - J
        largest = torch.maximum(largest, torch.linalg.matrix_norm(change) / (h.squeeze(1) * v.norm(dim=1)))
    return largest
