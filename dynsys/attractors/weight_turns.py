"""The least change of the weights in one direction that turns one memory into another, by an example each.

The weights are changed, the state is left to come to rest, and the weights are put back: what counts is the memory at
which it ends then. Nothing is proved of smaller changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.edge import NEAR, STEPS, Edges
from dynsys.numerics.deadline import Deadline
from dynsys.systems.system import System

Array = NDArray[np.float64]

SIZES = 2.0 ** np.arange(-8, 2)  # of the first changes tried, in units of the weights themselves (Frobenius)
HALVINGS = 12
REST = 1e-3  # of the least distance of two memories, below which a step moves no state that still goes anywhere


@dataclass(frozen=True)
class Direction:
    """``changed`` is the network with a matrix (n, n) added to its recurrent weights, whose norm is ``size``, and
    ``rates`` are what its weights act on, (B, n) of states (B, n).
    """

    changed: Callable[[Array], System]
    size: float
    rates: Callable[[Tensor], Tensor]

    def hebb(self, start: Tensor, end: Tensor) -> Array:
        """Of unit norm: by which rates like those of ``start`` (n,) drive the state towards ``end``."""
        D = np.outer((end - start).numpy(), self.rates(start[None])[0].numpy())
        return np.asarray(D / np.linalg.norm(D))


def weight_turns(edges: Edges, weights: Direction, deadline: Deadline) -> Array:
    """(k, k) the least signed multiples found of Hebb's directions that turn home i into home j; infinite: none.

    Pairs whose turn does not come are infinite too.
    """
    k = len(edges.homes)
    found = np.full((k, k), np.inf)
    for i in range(k):
        for j in range(k):
            if i == j or deadline.is_over:
                continue
            D = weights.hebb(edges.homes[i], edges.homes[j])
            both = [sign * _least(edges, weights, sign * D, i, j) for sign in (1.0, -1.0)]
            found[i, j] = min(both, key=abs)
    return found


def _least(edges: Edges, weights: Direction, D: Array, i: int, j: int) -> float:
    """A multiple of D that turns home i into home j, by halving below the first one that does; infinite: none does."""

    def turns(multiple: float) -> bool:
        held = replace(edges, system=weights.changed(multiple * D))
        return int(edges.home(_rested(held, edges.homes[i : i + 1]))) == j

    sizes = weights.size * SIZES
    first = next((p for p, multiple in enumerate(sizes) if turns(multiple)), None)
    if first is None:
        return float("inf")
    low, high = (sizes[first - 1] if first else 0.0), sizes[first]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if turns(middle) else (middle, high)
    return float(high)


def _rested(edges: Edges, x: Tensor) -> Tensor:
    """Where states (1, n) have come in ``STEPS``, or sooner to rest."""
    small = REST * NEAR * edges.unit
    for _ in range(STEPS):
        after = edges.step(x)
        if not bool(torch.isfinite(after).all()):
            return x
        if bool((vector_norm(after - x, dim=1) < small).all()):
            return after
        x = after
    return x
