"""Whether a point attracts on every side of the kinks that it lies on."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.piecewise_linear.felt_kinks import felt_sides
from dynsys.piecewise_linear.kinks import Sides, one_sided_jacobians, stability_at_kink
from dynsys.systems.held import Held
from dynsys.systems.system import System

KINK = 1e-12  # of the largest preactivation, within which another is zero


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
