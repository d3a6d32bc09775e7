"""Contraction of a whole network: any two states of its reachable box come nearer to each other, for ever.

It is proved like the shrinking of an ellipsoid, with secants between any two states of the box. Where it holds there is
one fixed point, it is globally asymptotically stable in the box, and the network forgets where it began.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from dynsys.lyapunov.contraction import UNHEARD, Form, improved
from dynsys.lyapunov.ellipsoid import ENOUGH, SWEEPS, Array, falls, forms, rate_of
from dynsys.lyapunov.inequality import solved
from dynsys.systems.system import Kind, System

FORGOTTEN = 1e-3  # of the first distance between two states, when they count as one


def contraction_rate(system: System, u: Tensor, A: Array, *, lmi: bool = False) -> float | None:
    """The factor by which any two states of the box come nearer in a step (map), or the rate (flow), in some norm.

    Tried are the 2-norm, one of scaled units, and norms from the linear system ``A`` of a point, under the input
    u (1, m), and with ``lmi`` one that a linear matrix inequality finds (``dynsys.lyapunov.inequality``). None where no
    contraction is proved: that says nothing about the network.
    """
    box = system.box(u)
    if box is None or not system.box_is_trapping or not all(bool(torch.isfinite(edge).all()) for edge in box):
        return None
    low, high = box[0][0], box[1][0]
    for P in (np.eye(system.n_state), _balanced(A), *forms(A, system.kind)):
        if not falls(scipy.linalg.cholesky(P), A, system.kind):
            continue
        rate = _rate(system, u, P, low, high)
        if rate is not None:
            return rate
    return _by_inequality(system, u, low, high) if lmi else None


def _balanced(A: Array) -> Array:
    """P of units in scales in which rows and columns of A are equally long (Osborne 1960)."""
    scale = scipy.linalg.matrix_balance(A, permute=False, separate=True)[1][0]
    return np.diag((scale.min() / scale) ** 2)


def _by_inequality(system: System, u: Tensor, low: Tensor, high: Tensor) -> float | None:
    form = Form.between(system, u, torch.eye(system.n_state, dtype=low.dtype), low, high)
    found = None if form is None else solved(form)
    if found is None or not np.linalg.eigvalsh(found[0])[0] > 0:
        return None
    return _rate(system, u, found[0], low, high, torch.as_tensor(found[1]))


def _rate(
    system: System, u: Tensor, P: Array, low: Tensor, high: Tensor, squares: Tensor | None = None
) -> float | None:
    """In the norm d^T P d, with all rounding; ``squares`` (q,) of the channels' weights are where to begin."""
    form = Form.between(system, u, torch.as_tensor(scipy.linalg.cholesky(P)), low, high)
    if form is None:
        return None
    begun = form.balanced()
    if squares is not None:
        h = form.h if system.kind is Kind.FLOW else 1.0
        begun = (h * squares).sqrt().clamp_min(float((h * squares).max().sqrt()) * UNHEARD)
    value, t = improved(form, begun, SWEEPS if squares is None else 5 * SWEEPS, 0.0)
    if value >= ENOUGH:
        return None
    weighed = form.weighed(t)
    below = weighed.proved_below()
    return rate_of(weighed, below) if below < 1 else None


def horizon(rate: float, kind: Kind) -> float:
    """Steps, or units of the network's time, after which ``FORGOTTEN`` is left of the distance of any two states."""
    return math.log(FORGOTTEN) / math.log(rate) if kind is Kind.MAP else -math.log(FORGOTTEN) / rate
