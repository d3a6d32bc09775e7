"""Whether a flow's state is at rest beside a line or ring of fixed points, as far as an integrator can tell.

There nothing damps the errors of its steps along the line, and those across it are damped only as fast as the steps,
which grow as long as they are stable, make new ones. So F does not go down to rounding, although a zero is near.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.eigenvalues import eigvals
from dynsys.numerics.rounding import is_zero
from dynsys.numerics.runge_kutta import TOLERANCE
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.search.solvers import DENSE_LIMIT
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

SLOW = 1e-5  # of a state's usual size per time constant: faster states are on their way,
JITTER = 100 * TOLERANCE  # or of it times the rate |dF/dx|, where that is more: what the integrator's errors make
WORTH = 1e-2  # of that size per time constant, up to which |dF/dx| is computed in small systems
NEAR = 1e-3  # of that size, within which the zero has to be
SINGULAR = 1e-6  # of the largest singular value: directions in which no step is made
STEPS = 4
NEUTRAL = 1e-6  # real part of an eigenvalue, up to which nothing leads away


def hovers(held: Held, x: Tensor) -> Tensor:
    """Whether (B,) a marginal zero of F, from which nothing leads away, is next to the states x (B, n) of a flow.

    It is looked for by minimal steps of Newton's method, which leave out the directions along the line.
    """
    hovering = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    system = held.system
    if system.kind is not Kind.FLOW or system.n_state > MATRIX_FREE_ABOVE:
        return hovering
    worth = WORTH if system.n_state <= DENSE_LIMIT else SLOW
    slow = vector_norm(held.velocity(x), dim=1) <= worth * held.unit
    for i in slow.nonzero().squeeze(1).tolist():
        hovering[i] = _hovers(held[i : i + 1], x[i : i + 1])
    return hovering


def _hovers(held: Held, x: Tensor) -> bool:
    y, speed, unit = x, float(vector_norm(held.velocity(x))), held.unit
    if speed > SLOW * unit and speed > JITTER * unit * float(torch.linalg.matrix_norm(held.jacobian(x), 2)):
        return False
    for _ in range(STEPS):
        inverse = torch.linalg.pinv(held.jacobian(y), rtol=SINGULAR)
        y = y - (inverse @ held.velocity(y).unsqueeze(2)).squeeze(2)
    F = held.velocity(y)
    at_rest = is_zero(held, y, F)
    if not bool(at_rest) or float(vector_norm(y - x)) > NEAR * unit:
        return False
    J = held.jacobian(y)
    values = torch.linalg.svdvals(J)
    if float(values[0, -1]) > SINGULAR * float(values[0, 0]):
        return False  # no line leads through it
    return abs(float(eigvals(J).real.max())) <= NEUTRAL * max(1.0, float(values[0, 0]))
