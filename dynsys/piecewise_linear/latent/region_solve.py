"""The zero of the latent equation within given regions, with bounds on its error, without the units' own equations.

As in ``dynsys.piecewise_linear.region_solve`` (Rump 1983), but for r unknowns: what is worked on is small, and its
errors come from the sums over all units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.piecewise_linear.latent.cone import Cone
from dynsys.piecewise_linear.region_solve import Solved
from dynsys.proof.exact import UNIT, gamma, up
from dynsys.systems.latent import Latent


def solve_latent(cone: Cone, latent: Latent, pattern: Tensor) -> Solved:
    """The zero of the affine part in each region of ``pattern`` (B, n), whether or not it lies in the region."""
    L, N, Q = cone.floats
    B, r = len(pattern), len(L)
    G = L - (pattern.to(L.dtype) @ cone.products).view(B, r, r + 1)
    A, b = G[:, :, :r], -G[:, :, r]
    off_A, off_b = cone.G_error[:, :r], cone.G_error[:, r]
    unlike = 0.0 if latent.rest is None else float(latent.rest.max())
    if latent.rest is not None:
        each = up(latent.rest / (1 - unlike))  # (1 - E)^-1 - 1 times a vector of size 1
        weight = up(N.abs().T @ each)
        off_A = up(off_A + weight.unsqueeze(1) * Q[:, :r].abs().amax(0))
        off_b = up(off_b + weight * Q[:, r].abs().max())
    R, failed = torch.linalg.inv_ex(A)
    R = R.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    off = (R @ A - torch.eye(r, dtype=L.dtype)).abs() + 16 * UNIT * (R.abs() @ A.abs())
    theta = up((off + R.abs() @ off_A).sum(2)).amax(1)
    v = (R @ b.unsqueeze(2)).squeeze(2)
    regular = (failed == 0) & (theta < 1) & torch.isfinite(v).all(1)
    v = torch.where(regular.unsqueeze(1), v, 0.0)
    v = v + (R @ (b.unsqueeze(2) - A @ v.unsqueeze(2))).squeeze(2)
    missing = (b.unsqueeze(2) - A @ v.unsqueeze(2)).abs()
    missing = missing + 16 * UNIT * (b.abs().unsqueeze(2) + A.abs() @ v.abs().unsqueeze(2))
    missing = up(missing + off_b.unsqueeze(1) + off_A @ v.abs().unsqueeze(2))
    d = up(R.abs() @ missing)
    share = torch.where(regular, theta / (1 - theta), torch.inf)[:, None, None]
    error = torch.where(regular[:, None, None], up(d + share * d.amax(1, keepdim=True)), torch.inf).squeeze(2)
    y = v @ Q[:, :r].T + Q[:, r]
    y_error = up(error @ Q[:, :r].abs().T + gamma(r + 4) * (v.abs() @ Q[:, :r].abs().T + Q[:, r].abs()))
    if latent.rest is not None:
        y_error = up(y_error + latent.rest * ((y.abs() + y_error).amax(1, keepdim=True) / (1 - unlike)))
    y_error = torch.where(regular.unsqueeze(1), y_error, torch.inf)
    x = torch.where(pattern, y, 0.0) if latent.of_rates else y
    x_error = torch.where(pattern, y_error, 0.0) if latent.of_rates else y_error
    return Solved(pattern, x, y, x_error, y_error, regular)
