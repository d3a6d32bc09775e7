"""W x + b to nearly the last digit, with a bound on what is missing, by matrix products without rounding.

Ozaki, Ogita, Oishi & Rump (2012): W and x are cut into slices of so few bits that the products of slices are whole
numbers below 2^53, which a matrix product adds without error in any order. A plain product of n terms would be known to
n units in the last place of its largest terms only, and the error bound of a fixed point with it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dynsys.proof.exact_sum import two_sum

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
