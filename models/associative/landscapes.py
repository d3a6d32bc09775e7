"""The two functions that a ``PatternDescent`` goes down: each has a minimum of a given level at every pattern.

With r_i = |x - S_i| and w_i = 1 / r_i^2, Shepard's is sum_i w_i (f_i + k r_i^2) / sum_i w_i. Near a pattern its weight
is infinite; everything here is divided by the weight of the nearest pattern first, and what would be 0 / 0 is written
out: with q_i = w_i / w_near the shares are q_i / sum q, and g_i = (f_i - f) w_i of the nearest is
(sum_{j != i} (f_i - f_j) w_j - k P) / sum q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.models.associative.elementary import MINUS_RECIPROCAL
from dynsys.models.associative.patterns import Array
from dynsys.proof.functions.enclosure import Enclosed, joined


@dataclass(frozen=True)
class Bowl:
    """One choice of f: its value, minus its gradient, minus its Hessian, the least k, its curvature at each pattern."""

    value: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    downhill: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    slope: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    least: Callable[[Array, Array], float]
    curvature: Callable[[Array, Array, float], Array]
    enclosed: Callable[[Enclosed, Tensor, Tensor, float], Enclosed] | None = None


def _parts(x: Tensor, S: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x - S_i (B, P, n), r_i^2, the least of them (B, 1), and which is the least (B, P)."""
    away = x.unsqueeze(1) - S
    squares = (away * away).sum(2)
    nearest = torch.zeros_like(squares).scatter(1, squares.argmin(1, keepdim=True), 1.0) > 0
    return away, squares, squares.amin(1, keepdim=True), nearest


def _shares(squares: Tensor, least: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """q_i = least / r_i^2, 1 for the nearest, and their sum: w_i / sum w without its infinities."""
    q = torch.where(nearest, 1.0, least / torch.where(nearest, 1.0, squares))
    return q, q.sum(1, keepdim=True)


def _shepard(x: Tensor, S: Tensor, f: Tensor, k: float) -> Tensor:
    _, squares, least, nearest = _parts(x, S)
    q, total = _shares(squares, least, nearest)
    return ((q * f).sum(1) + k * len(S) * least[:, 0]) / total[:, 0]


def _weighed(x: Tensor, S: Tensor, f: Tensor, k: float) -> tuple[Tensor, Tensor, Tensor]:
    """x - S_i, w_i / sum w and g_i = (f_i - f) w_i; of the nearest pattern g is written without 0 / 0."""
    away, squares, least, nearest = _parts(x, S)
    q, total = _shares(squares, least, nearest)
    w = torch.where(nearest, 0.0, 1 / torch.where(nearest, 1.0, squares))  # of all but the nearest
    here = (nearest * f).sum(1, keepdim=True)
    value = ((q * f).sum(1, keepdim=True) + k * len(S) * least) / total
    at_nearest = (((here - f) * w).sum(1, keepdim=True) - k * len(S)) / total
    return away, q / total, torch.where(nearest, at_nearest, (f - value) * w)


def _down_shepard(x: Tensor, S: Tensor, f: Tensor, k: float) -> Tensor:
    """-grad f = 2 sum_i g_i (w_i / sum w) (x - S_i)."""
    away, share, g = _weighed(x, S, f, k)
    return 2 * ((g * share).unsqueeze(2) * away).sum(1)


def _slope_shepard(x: Tensor, S: Tensor, f: Tensor, k: float) -> Tensor:
    """With e_i the direction of x - S_i and b = sum_i (w_i / sum w) e_i / r_i, minus the Hessian is

    2 sum_i g_i (w_i / sum w) (I - 4 e_i e_i^T) + 2 (d b^T + b d^T), d = -grad f; the terms in e of a pattern that is
    near cancel, and at the pattern itself they are left out.
    """
    away, share, g = _weighed(x, S, f, k)
    squares = (away * away).sum(2, keepdim=True)
    inverse = torch.where(squares > 0, 1 / torch.where(squares > 0, squares, 1.0).sqrt(), 0.0)
    e, weight = away * inverse, (g * share).unsqueeze(2)
    d, b = 2 * (weight * away).sum(1), (share.unsqueeze(2) * e * inverse).sum(1)
    outer = torch.einsum("bpi,bpj->bij", weight * e, e)
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    crossed = d.unsqueeze(2) * b.unsqueeze(1)
    return 2 * (weight.sum(1).unsqueeze(2) * eye - 4 * outer + crossed + crossed.mT)


def _enclosed_shepard(y: Enclosed, S: Tensor, f: Tensor, k: float) -> Enclosed:
    """-grad f by the same formulas, the nearest pattern of each state first."""
    away = y.value.unsqueeze(1) - S
    order = (away * away).sum(2).argsort(1)
    P, one = len(S), torch.ones(1, y.value.shape[1], dtype=S.dtype)
    parts = [y - y.constant(S[order[:, i]]) for i in range(P)]
    squares = [(part * part).affine(one) for part in parts]
    pull = y.constant(torch.full_like(y.value[:1, :1], k)) * float(P)
    if P == 1:
        return (pull * -2.0).affine(one.T) * parts[0]
    w = -joined(squares[1:]).through(MINUS_RECIPROCAL)
    levels, here = y.constant(f[order[:, 1:]]), y.constant(f[order[:, :1]])
    row, spread = one.new_ones(1, P - 1), one.new_ones(P - 1, 1)
    total = squares[0] * w.affine(row)
    share = -(total + y.constant(torch.ones_like(total.value[:1]))).through(MINUS_RECIPROCAL)
    level = (levels * w).affine(row) + pull
    value = (here + squares[0] * level) * share
    near = (here * w.affine(row) - level) * share * share
    far = (levels - value.affine(spread)) * w * w * (squares[0] * share).affine(spread)
    terms = near.affine(one.T) * parts[0]
    for i in range(P - 1):
        terms = terms + far.part(slice(i, i + 1)).affine(one.T) * parts[i + 1]
    return terms * 2.0


def _least_shepard(f: Array, squares: Array) -> float:
    return float(_steepness(f, squares).sum(axis=1).max() / len(f))


def _least_paraboloids(f: Array, squares: Array) -> float:
    return float(_steepness(f, squares).max())


def _steepness(f: Array, squares: Array) -> Array:
    """(f_i - f_j) / d_ij^2, 0 on the diagonal."""
    return (f[:, None] - f[None]) / np.where(np.eye(len(f), dtype=bool), 1.0, squares)


def _paraboloids(x: Tensor, S: Tensor, f: Tensor, k: float) -> Tensor:
    return (f + k * (x.unsqueeze(1) - S).square().sum(2)).amin(1)


def _down_paraboloids(x: Tensor, S: Tensor, f: Tensor, k: float) -> Tensor:
    away = x.unsqueeze(1) - S
    lowest = (f + k * away.square().sum(2)).argmin(1)
    return -2 * k * (x - S[lowest])


FUNCTIONS = {
    "shepard": Bowl(
        _shepard,
        _down_shepard,
        _slope_shepard,
        _least_shepard,
        lambda f, squares, k: 2 * (k * len(f) - _steepness(f, squares).sum(axis=1)),
        _enclosed_shepard,
    ),
    "paraboloids": Bowl(
        _paraboloids,
        _down_paraboloids,
        lambda x, S, f, k: (-2 * k * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)).expand(len(x), -1, -1),
        _least_paraboloids,
        lambda f, squares, k: np.full(len(f), 2 * k),
    ),
}
