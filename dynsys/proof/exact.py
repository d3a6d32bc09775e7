"""Numbers that float64 cannot hold: sums that lose nothing (Knuth, Dekker, Veltkamp), and W x + b to nearly all digits.

The product is made of matrix products without rounding, and comes with a bound on what is missing.
"""

from __future__ import annotations

import math
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


UNIT = 2.0**-53  # the relative error of one rounding
UP = 1 + 2.0**-24  # a sum of up to 2^28 rounded terms of one sign, times this, is not below the exact one
TINY = 1e-290  # above what underflow can lose in any of the sums here


def up(bound: Tensor) -> Tensor:
    """A bound >= 0 that came out of sums, products and roots of such, made safe against their rounding."""
    return bound * UP + TINY


def length(v: Tensor) -> Tensor:
    """Not below the 2-norm along the last axis; squares that underflow are below 1e-145 even when many."""
    return torch.linalg.vector_norm(v, dim=-1) * UP + 1e-145


def gamma(n: int) -> float:
    """The relative error of a sum of n products in any order, n u / (1 - n u) (Higham 2002, section 3.1)."""
    return n * UNIT / (1 - n * UNIT)


def exact_product(W: Tensor, x: Tensor, b: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x W^T + b and a bound on its error, both (B, m), for W (m, n), x (B, n) and b (m,), all float64."""
    n = max(W.shape[1], 1)
    bits = (53 - math.ceil(math.log2(n))) // 2
    (W1, W2, W3), of_W = _slices(W, bits)
    (x1, x2, x3), of_x = _slices(x, bits)
    unit = power_of_two(of_x - bits) * power_of_two(of_W - bits).T
    high = x1 @ W1.T * unit
    middle = torch.cat([x1, x2], 1) @ torch.cat([W2, W1], 1).T * (unit * 2.0**-bits)
    rest = torch.cat([x1, x2, x3], 1) @ torch.cat([W3, W2, W1], 1).T * (unit * 4.0**-bits)
    low = middle + rest
    left_out = 3 * n * 2.0**-bits * unit + 3 * UNIT * (middle.abs() + rest.abs())
    if b is not None:
        high, carried = two_sum(high, b)
        low, left_out = low + carried, left_out + UNIT * (low + carried).abs()
    value = high + low
    return value, up(left_out + UNIT * value.abs())


def _slices(W: Tensor, bits: int) -> tuple[list[Tensor], Tensor]:
    """Whole numbers W1, W2, W3 up to 2^bits and the exponents e (rows, 1) of W's rows.

    W = 2^(e - bits) (W1 + 2^-bits W2 + 4^-bits (W3 + d)) with |d| <= 1/2.
    """
    largest = W.abs().amax(1, keepdim=True) if W.shape[1] else W.new_zeros(len(W), 1)
    exponent = torch.where(largest > 0, torch.frexp(largest).exponent, -400).to(torch.int64).clamp(min=-400)
    left, slices = W * power_of_two(bits - exponent), []
    for _ in range(3):
        slices.append(left.round())
        left = (left - slices[-1]) * 2.0**bits
    return slices, exponent


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent exactly, from the bits of a float64, for exponents from -1022 to 1023."""
    return ((exponent + 1023) << 52).view(torch.float64)
