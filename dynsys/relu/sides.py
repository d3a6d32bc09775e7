"""Whether a point attracts on every side of the kinks that it lies on."""

from __future__ import annotations

import torch
from torch import Tensor

from dynsys.relu.felt_kinks import felt_sides
from dynsys.relu.kinks import one_sided_jacobians, stability_at_kink
from dynsys.system import System

KINK = 1e-12  # of the largest preactivation, within which another is zero


def attracts_on_every_side(system: System, x: Tensor, u: Tensor, unit: float) -> bool:
    """Whether x (1, n) under the input u (1, m), which attracts on one side of its kinks, does so on all of them.

    ``unit`` is the usual size of a state.
    """
    pieces = system.pieces(u)
    if pieces is None:
        felt, (sides,) = felt_sides(system, x, u, torch.zeros_like(x[:, 0]), unit)
        if sides is None:
            return not bool(felt)
        return stability_at_kink(sides, system.kind).word.startswith("stable")
    margins = pieces.margins(x)[0]
    kinks = (margins.abs() <= KINK * (1 + float(margins.abs().max()))) & ~pieces.constant
    if not bool(kinks.any()):
        return True
    stability = stability_at_kink(one_sided_jacobians(pieces, pieces.pattern(x)[0], kinks), system.kind)
    return stability.word.startswith("stable")
