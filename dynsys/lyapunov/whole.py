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

from dynsys.lyapunov.contraction import Form, improved
from dynsys.lyapunov.ellipsoid import ENOUGH, SWEEPS, Array, falls, forms, rate_of
from dynsys.systems.system import Kind, System

FORGOTTEN = 1e-3  # of the first distance between two states, when they count as one


def contraction_rate(system: System, u: Tensor, A: Array) -> float | None:
    """The factor by which any two states of the box come nearer in a step (map), or the rate (flow), in some norm.

    Tried are the 2-norm and norms from the linear system ``A`` of a point, under the input u (1, m). None where no
    contraction is proved: that says nothing about the network.
    """
    box = system.box(u)
    if box is None or not system.box_is_trapping or not all(bool(torch.isfinite(edge).all()) for edge in box):
        return None
    for P in (np.eye(system.n_state), *forms(A, system.kind)):
        R = scipy.linalg.cholesky(P)
        if not falls(R, A, system.kind):
            continue
        form = Form.between(system, u, torch.as_tensor(R), box[0][0], box[1][0])
        if form is None:
            return None
        value, t = improved(form, form.balanced(), SWEEPS, 0.0)
        if value < ENOUGH:
            weighed = form.weighed(t)
            below = weighed.proved_below()
            if below < 1:
                return rate_of(weighed, below)
    return None


def horizon(rate: float, kind: Kind) -> float:
    """Steps, or units of the network's time, after which ``FORGOTTEN`` is left of the distance of any two states."""
    return math.log(FORGOTTEN) / math.log(rate) if kind is Kind.MAP else -math.log(FORGOTTEN) / rate
