"""Numbers that float64 cannot hold, as sums of float64 that lose nothing (Knuth, Dekker, Veltkamp).

>>> import torch
>>> third, one = torch.tensor([1 / 3, 1.0], dtype=torch.float64).split(1)
>>> [part.item() for part in exact_sum(third, -one)]  # 1/3 has more digits than 1/3 - 1
[-0.6666666666666667, 5.551115123125783e-17]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Sum = tuple[Tensor, ...]  # of one shape; their sum is meant, and the first is that to within some roundings

SPLITTER = 2.0**27 + 1


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """a + b rounded, and the exact error (Knuth)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def two_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """a b rounded, and the exact error (Dekker), for products above 1e-290; NaN for factors above 1e300."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    """a as a sum of two numbers of 26 bits (Veltkamp)."""
    scaled = SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def exact_sum(*terms: Tensor) -> Sum:
    """Their sum; what cancels in the first pass over them is gone after the second."""
    parts = list(terms)
    for _ in range(2):
        total, left = parts[0], []
        for term in parts[1:]:
            total, error = two_sum(total, term)
            left.append(error)
        parts = [total, *(error for error in left if bool((error != 0).any()))]
    return tuple(parts)


def times(a: Sum, factor: Tensor | float) -> Sum:
    """Each entry of a sum times a number, or as ``factor`` is broadcast."""
    by = torch.as_tensor(factor, dtype=a[0].dtype, device=a[0].device)
    return exact_sum(*(part for each in a for part in two_product(each, by)))


def affine_terms(products: Sequence[tuple[Tensor, Tensor]], vectors: Sequence[Tensor]) -> Sum:
    """The sum of W x for the pairs W (k, m), x (m,), and of the vectors (k,)."""
    terms = list(vectors)
    for W, x in products:
        for column in range(W.shape[1]):
            if float(x[column]) != 0:
                terms += two_product(W[:, column], x[column])
    return exact_sum(*terms)
