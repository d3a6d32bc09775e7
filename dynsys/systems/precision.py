"""Whether a velocity that comes as float64 has been computed in single precision on the way.

``F = G(x) - x`` is float64 wherever x is, though G be float32, and then every error bound would be wrong. It shows in
steps: single precision sees a relative change of the state of 1e-4 and of 1e-5, and is blind to one of 1e-9, which
double precision is not unless its terms are 1e6 times their sum. Whether it is that is told by what is computed: a
tensor of single precision on the way, or, from NumPy, values that all are numbers of single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dynsys.numerics.rounding import EPS
from dynsys.systems.held import Held

LARGE, MIDDLE, SMALL = 1e-4, 1e-5, 1e-9  # relative changes of a state; single precision rounds to 6e-8
CLEAR = 100.0  # times the rounding error in float64, that the change expected of the small one has to be
LINEAR = 0.5  # of its size, up to which the middle change may differ from a tenth of the large one
BLIND = 0.5  # of the values that should change, from where it is not chance


def computes_in_single(held: Held, x: Tensor) -> bool:
    """Whether F, or the map F + x, changes with the states x (B, n) in steps of float32.

    Values that hardly change, as in saturation, or not in proportion, as by a kink or a jump, say nothing.
    """
    F = held.velocity(x)
    noise = EPS * (F.abs() + x.abs())
    dF, dx = zip(*(_changes(held, x, F, h) for h in (LARGE, MIDDLE, SMALL)), strict=True)
    steps = any(_in_steps([a + part * b for a, b in zip(dF, dx, strict=True)], noise) for part in (0.0, 1.0))
    return steps and _is_single(held, x)


def _is_single(held: Held, x: Tensor) -> bool:
    """Whether F is computed by way of tensors of single precision, or is, as it is or with x, of such numbers."""
    with _Lowest() as lowest:  # type: ignore[no-untyped-call]
        F = held.velocity(x)
    return lowest.single or any(bool((G.float().double() == G).all()) for G in (F, F + x))


class _Lowest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, notes whether an operation of torch returns numbers of less than double precision."""

    single = False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.is_floating_point())
        self.single = self.single or any(tensor.dtype != torch.float64 for tensor in tensors)
        return result


def _changes(held: Held, x: Tensor, F: Tensor, h: float) -> tuple[Tensor, Tensor]:
    y = x * (1 + h)
    return held.velocity(y) - F, y - x


def _in_steps(changes: list[Tensor], noise: Tensor) -> bool:
    large, middle, small = changes
    telling = (large.abs() * (SMALL / LARGE) > CLEAR * noise) & torch.isfinite(large)
    telling &= (middle - large * (MIDDLE / LARGE)).abs() <= LINEAR * middle.abs()
    blind = telling & (small.abs() <= 4 * noise)
    return int(blind.sum()) > BLIND * int(telling.sum())
