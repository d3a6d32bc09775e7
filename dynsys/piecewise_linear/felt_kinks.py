"""Kinks of a system that does not tell its pieces, felt by how its Jacobian differs between the sides of a zero.

Where F is smooth the difference falls with the distance from the zero. At a kink it is the same however near one looks.
States all round are compared with each other: those at opposite ends of a line have one Jacobian where F is odd. Along
the axes as well, since the sectors that maxima and absolute values of single variables cut out may be narrow. In a
plane no sector of more than a degree is missed; in more dimensions a cone that none of the lines meets is. At a jump it
is F itself that differs as much however near one looks: states next to the zero on the other side may go anywhere.

A point on kinks attracts where it does so on every side of them, those told and those felt.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from dynsys.numerics.rounding import EPS
from dynsys.piecewise_linear.kinks import Sides, one_sided_jacobians, stability_at_kink
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.systems.angles import nearest
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System

NEAR, FARTHER = 1e-10, 100.0  # of a state, where sides are taken of a zero without a bound, and times that to compare
DIGITS = 256.0  # units in the last place, within which no side is told from another
WITHIN = 10.0  # times the error bound, beyond which a side is that of the true zero
LINES, MANY = 4, 32  # through each zero, along which a kink is felt; the latter where there are few variables
DEGREES, BESIDE = 180, 0.3  # half a turn, and off round angles, at which kinks are
FEW = 16  # variables, up to which it is felt along the axes as well
ALL_ROUND, LARGE = 8, 256  # lines by which all sides are found, up to so many variables; one line above
JUMP = 1e-6  # of the largest derivative farther out, beneath which a difference is rounding
FALLS = 0.15  # of a difference, that at most is left of it nearer by ``FARTHER``: |x|^1.5 leaves a tenth
LEFT = 0.5  # of a change of F, that more is left of nearer by ``FARTHER`` at a jump: |x|^(1/3) leaves a fifth
SAME = 1e-5  # of the largest derivative, within which two Jacobians are of one side
KINK = 1e-12  # of the largest preactivation, within which another is zero


def felt_sides(held: Held, x: Tensor, bound: Tensor) -> tuple[Tensor, list[Sides | None]]:
    """Whether each of the zeros x (B, n) is on a kink, (B,), and the sides of those that are.

    ``bound`` (B,) is what each may be off. There are no sides where a Jacobian would not be formed.
    """
    if not len(x):
        return x[:, 0] > 0, []
    size = held.unit + x.norm(dim=1)  # where x lies far out, F may bend within a small part of it
    known = torch.isfinite(bound)
    length = torch.where(known, torch.maximum(WITHIN * bound, DIGITS * EPS * size), NEAR * size)
    (near, _), (far, derivative) = (_jump(held, x, share * length) for share in (1.0, FARTHER))
    felt = (near > JUMP * derivative) & (near > FALLS * far)
    near, far = (_leap(held, x, share * length) for share in (1.0, FARTHER))
    leaps = (near > JUMP * derivative * size) & (near > LEFT * far)
    felt = felt | leaps
    sides: list[Sides | None] = [
        _sides(held[i : i + 1], x[i : i + 1], float(length[i])) if on and x.shape[1] <= MATRIX_FREE_ABOVE else None
        for i, on in enumerate(felt.tolist())
    ]
    for i in leaps.nonzero().squeeze(1).tolist():  # whose sides have no state in common
        found = sides[i]
        sides[i] = found and dataclasses.replace(found, all_of_them=False)
    return felt, sides


def _leap(held: Held, x: Tensor, length: Tensor) -> Tensor:
    """The largest change (B,) of F around a zero, but by whole turns of its angles; NaN counts as no change."""
    v = _lines(x, MANY if x.shape[1] <= FEW else LINES, seed=0)
    ends = torch.cat([v, -v]).unsqueeze(1) * length.unsqueeze(1)  # (E, B, n)
    around = held.repeat(len(ends)).velocity((x + ends).flatten(0, 1)).view_as(ends)
    change = nearest(around - held.velocity(x), held.system.periods)
    return torch.where(torch.isfinite(change), change, 0.0).norm(dim=2).amax(0)


def _jump(held: Held, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """The largest change (B,) of a derivative around a zero, and the largest derivative; NaN counts as no change."""
    (w,) = _directions(x, 1, seed=1)
    v = _lines(x, MANY if x.shape[1] <= FEW else LINES, seed=0)
    ends = torch.cat([v, -v]).unsqueeze(1) * length.unsqueeze(1)  # (E, B, n)
    rows = (x + ends).flatten(0, 1)
    around = held.repeat(len(ends)).jacobian_product(rows, w.expand_as(rows)).view_as(ends)
    told = torch.isfinite(around)
    high, low = (torch.where(told, around, end) for end in (-torch.inf, torch.inf))
    change = (high.amax(0) - low.amin(0)).clamp_min(0.0).norm(dim=1)
    size = around.norm(dim=2).nan_to_num(0.0, posinf=0.0).amax(0)
    return change, size + (held.system.kind is Kind.MAP) * w.norm()


def _sides(held: Held, x: Tensor, length: float) -> Sides:
    """Every different Jacobian around x (1, n): two of them, if it is one kink that parts them."""
    v = _lines(x, ALL_ROUND if x.shape[1] <= LARGE else 1, seed=2)
    v = torch.cat([v, -v])
    J, v = held.expand(len(v)).jacobian(x + length * v).cpu(), v.cpu()
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
    untold = jacobians.new_full((len(distinct), 1, x.shape[1]), torch.nan)
    normals = normal.Vh[0].expand_as(untold) if alone else untold
    signs = torch.stack([along[side == k][0].sign() for k in range(len(distinct))]).unsqueeze(1)
    patterns = torch.arange(len(distinct)).unsqueeze(1) > 0
    return Sides(patterns, jacobians, normals, signs, torch.full_like(jacobians[0], torch.inf), alone)


def _lines(x: Tensor, count: int, seed: int) -> Tensor:
    """Unit vectors: ``count`` random ones, and those along the axes where they are few; in a plane one per degree."""
    axes = torch.eye(x.shape[1] if x.shape[1] <= FEW else 0, x.shape[1]).to(x)
    if x.shape[1] == 2:
        angle = (torch.arange(DEGREES, dtype=x.dtype, device=x.device) + BESIDE).deg2rad()
        return torch.cat([torch.stack([angle.cos(), angle.sin()], dim=1), axes])
    return torch.cat([_directions(x, count, seed), axes])


def _directions(x: Tensor, count: int, seed: int) -> Tensor:
    """Random unit vectors (count, n), the same for every zero."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(count, x.shape[1], generator=generator, dtype=torch.float64).to(x)
    return v / v.norm(dim=1, keepdim=True)


def attracts_on_every_side(held: Held, x: Tensor) -> list[bool]:
    """Whether each x (B, n), which attracts on one side of its kinks, does so on all of them."""
    if len(x) and held.system.pieces(held.u[:1]) is None:
        felt, sides = felt_sides(held, x, torch.zeros_like(x[:, 0]))
        return [_all_attract(held.system, each, on) for each, on in zip(sides, felt.tolist(), strict=True)]
    return [_attracts(held[i : i + 1], x[i : i + 1]) for i in range(len(x))]


def _all_attract(system: System, sides: Sides | None, on_kink: bool) -> bool:
    return not on_kink if sides is None else stability_at_kink(sides, system.kind).word.startswith("stable")


def _attracts(held: Held, x: Tensor) -> bool:
    pieces = held.system.pieces(held.u)
    assert pieces is not None
    margins = pieces.margins(x)[0]
    kinks = (margins.abs() <= KINK * (1 + float(margins.abs().max()))) & ~pieces.constant
    return not bool(kinks.any()) or _all_attract(
        held.system, one_sided_jacobians(pieces, pieces.pattern(x)[0], kinks), True
    )
