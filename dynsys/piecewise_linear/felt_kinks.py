"""Kinks of a system that does not tell its pieces, felt by how its Jacobian differs between the sides of a zero.

Where F is smooth the difference falls with the distance from the zero. At a kink it is the same however near one looks.
What lies between two states at opposite ends of a short line are the sides of every kink that goes through its middle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.piecewise_linear.kinks import Sides
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.systems.system import Kind, System

NEAR, FARTHER = 1e-10, 100.0  # in units of the state, where the sides are taken, and times that for comparison
WITHIN = 10.0  # times the error bound, beyond which a side is that of the true zero
LINES = 4  # through each zero, along which a kink is felt
ALL_ROUND, LARGE = 8, 256  # lines by which all sides are found, up to so many variables; one line above
JUMP = 1e-6  # of the largest derivative farther out, beneath which a difference is rounding
FALLS = 0.1  # of a difference, that at most is left of it nearer by ``FARTHER`` where F is smooth
SAME = 1e-5  # of the largest derivative, within which two Jacobians are of one side


def felt_sides(system: System, x: Tensor, u: Tensor, bound: Tensor, unit: float) -> tuple[Tensor, list[Sides | None]]:
    """Whether each of the zeros x (B, n) under u (B, m) is on a kink, (B,), and the sides of those that are.

    ``bound`` (B,) is what each may be off, ``unit`` the usual size of a state. There are no sides where a Jacobian
    would not be formed.
    """
    if not len(x):
        return x[:, 0] > 0, []
    length = NEAR * (unit + x.norm(dim=1))
    length = torch.maximum(length, torch.where(torch.isfinite(bound), WITHIN * bound, 0.0))
    (near, _), (far, size) = (_jump(system, x, u, share * length) for share in (1.0, FARTHER))
    felt = (near > JUMP * size) & (near > FALLS * far)
    sides = [
        _sides(system, x[i : i + 1], u[i : i + 1], float(length[i])) if on and x.shape[1] <= MATRIX_FREE_ABOVE else None
        for i, on in enumerate(felt.tolist())
    ]
    return felt, sides


def _jump(system: System, x: Tensor, u: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """The largest change (B,) of a derivative across a zero, and the largest derivative; NaN counts as no change."""
    (w,) = _directions(x, 1, seed=1)
    largest, size = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
    for v in _directions(x, LINES, seed=0):
        there = [system.jacobian_product(x + sign * length.unsqueeze(1) * v, u, w.expand_as(x)) for sign in (1, -1)]
        size = torch.maximum(size, there[0].norm(dim=1) + (system.kind is Kind.MAP) * w.norm())
        largest = torch.maximum(largest, (there[0] - there[1]).norm(dim=1).nan_to_num(0.0, posinf=0.0))
    return largest, size


def _sides(system: System, x: Tensor, u: Tensor, length: float) -> Sides:
    """Every different Jacobian around x (1, n): two of them, if it is one kink that parts them."""
    v = _directions(x, ALL_ROUND if x.shape[1] <= LARGE else 1, seed=2)
    v = torch.cat([v, -v])
    J, v = system.jacobian(x + length * v, u.expand(len(v), -1)).cpu(), v.cpu()
    scale = SAME * float(J.abs().max())
    side = torch.full((len(v),), -1)
    distinct: list[Tensor] = []
    for i in range(len(v)):
        known = [k for k, other in enumerate(distinct) if float((J[i] - other).abs().max()) <= scale]
        side[i] = known[0] if known else len(distinct)
        distinct += [] if known else [J[i]]
    jacobians = torch.stack(distinct)
    normal = torch.linalg.svd(jacobians[-1] - jacobians[0])
    along = v @ normal.Vh[0]
    parted = len(distinct) == 2 and bool(((along > 0) == (along[0] > 0)).eq(side == side[0]).all())
    alone = parted and float(normal.S[1:].max() if len(normal.S) > 1 else 0.0) <= scale * x.shape[1]
    normals = (
        normal.Vh[0].repeat(len(distinct), 1, 1) if alone else jacobians.new_full((len(distinct), 1, 1), torch.nan)
    )
    signs = torch.stack([along[side == k][0].sign() for k in range(len(distinct))]).unsqueeze(1)
    patterns = torch.arange(len(distinct)).unsqueeze(1) > 0
    return Sides(patterns, jacobians, normals, signs, torch.full_like(jacobians[0], torch.inf), alone)


def _directions(x: Tensor, count: int, seed: int) -> Tensor:
    """Random unit vectors (count, n), the same for every zero."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(count, x.shape[1], generator=generator, dtype=torch.float64).to(x)
    return v / v.norm(dim=1, keepdim=True)
