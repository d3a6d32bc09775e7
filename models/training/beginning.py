"""Where the matrices of a network begin: as is usual for it, uniform, or all at a multiple of the identity.

Seed 001, section 7, begins the matrices U, W and V of its IRNN uniform, and those of its fast-weights network as a
scaled identity: a(t) = b + W h(t-1) + U x(t), o(t) = c + V h(t). It names neither the range nor the scale.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

USUAL, UNIFORM, IDENTITY = BEGINNINGS = ("usual", "uniform", "identity")


def check_beginning(begin: str, identity: float | None, reach: float | None) -> None:
    """Raises ValueError for a beginning that there is not, and for what it does not use."""
    if begin not in BEGINNINGS:
        raise ValueError(f"begin is {begin!r}; weights begin {', '.join(BEGINNINGS)}")
    if reach is not None and begin != UNIFORM:
        raise ValueError(f"a range of {reach:g} is given with begin {begin!r}; only uniform weights have one")
    if reach is not None and not reach > 0:
        raise ValueError(f"the range of uniform weights is {reach:g}; it has to be above 0")
    if identity is not None and begin == UNIFORM:
        raise ValueError(f"identity {identity:g} is given with begin 'uniform'; leave one of them out")


def begin_matrices(matrices: Iterable[Tensor], begin: str, *, identity: float, reach: float | None) -> None:
    """U, W and V, each in place, unless they begin as is usual.

    Uniform: between -``reach`` and ``reach``, by default the root of 6 / (rows + columns), at which a large square
    matrix has the spectral radius 1 (Glorot & Bengio 2010). Identity: ``identity`` times a 1 wherever row and column
    have one number, be the matrix square or not.
    """
    with torch.no_grad():
        for matrix in matrices if begin != USUAL else ():
            if begin == UNIFORM:
                bound = (6 / sum(matrix.shape)) ** 0.5 if reach is None else reach
                matrix.uniform_(-bound, bound)
            else:
                torch.nn.init.eye_(matrix).mul_(identity)
