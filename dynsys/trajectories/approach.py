"""The test that a trajectory is on its way to an attractor, made before it has come to rest there.

A state x near the attractor p, with e = x - p, belongs to it where F is linear between the two, where that holds for
the slow directions as well, where the trajectory has come nearer at the pace of the slowest mode, and where it has come
nearer as the linearised system has from the same state. With J the Jacobian of F (of G^k - 1 for a phase of a cycle of
period k) the first two say

    |J^-i F(x) - J^(1-i) e| <= |J^(1-i) e| / 4,    i = 1, 2, 3:

every power of J^-1 gives more weight to the slow directions, in which a saddle or another basin may be near. They do
not see what is slow but turns fast, such as the way in to a focus. So half of the last steps are made again by the
linearised system, from the same state e', and where it ends the two may differ by a quarter of what it came nearer:

    |e - A e'| <= (|e'| - |A e'|) / 4.

Beside a line or ring of fixed points nothing damps the errors of an integrator's steps along the line, and those across
it are damped only as fast as the steps, which grow as long as they are stable, make new ones. So F does not go down to
rounding, although a zero is near; whether a flow's state is at rest there is told by that zero and its Jacobian.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.eigenvalues import eigvals
from dynsys.numerics.krylov import gmres
from dynsys.numerics.rounding import EPS, is_zero
from dynsys.numerics.runge_kutta import TOLERANCE, Course, advance
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.search.solvers import DENSE_LIMIT
from dynsys.systems.angles import nearest
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, Product, System

LINEAR = 0.25  # of the distance, seen through a power of J^-1, that F may deviate from its linearisation
POWERS = 3  # of J^-1
PACE = 0.5  # of the decay of the slowest mode, that the distance must have kept up with
UNDONE = 0.25  # of what the linearised system came nearer, that may be undone
CLOSE = 1e-6  # of a state's usual size: farther off, rest is not rest at this attractor,
ROUNDED = 1e4  # nor if it is farther off than these units in its last place
STEP_ERROR = 1e-5  # of a state's size: nearer than this a flow's steps tell nothing
KRYLOV_RESIDUAL, KRYLOV_VECTORS = 1e-3, 128
Linearisation = tuple[Tensor | None, tuple[Tensor, Tensor] | None]  # J (n, n), and its factors
SLOW = 1e-5  # of a state's usual size per time constant: faster states are on their way,
JITTER = 100 * TOLERANCE  # or of it times the rate |dF/dx|, where that is more: what the integrator's errors make
WORTH = 1e-2  # of that size per time constant, up to which |dF/dx| is computed in small systems
NEAR = 1e-3  # of that size, within which the zero has to be
SINGULAR = 1e-6  # of the largest singular value: directions in which no step is made
STEPS = 4
NEUTRAL = 1e-6  # real part of an eigenvalue, up to which nothing leads away


@dataclass(frozen=True)
class Phase:
    """One phase of an attractor under the held input u (m,): its state x (n,), and J of ``system`` with its factors.

    ``J`` and ``LU`` are None where the state is too large for them; Krylov solves are made instead. ``excess`` is how
    far the leading eigenvalue lies beyond the boundary of stability; it is negative.
    """

    owner: int
    x: Tensor
    u: Tensor
    system: System
    J: Tensor | None
    LU: tuple[Tensor, Tensor] | None
    excess: float

    @property
    def period(self) -> int:
        """Steps of the map in one of ``system``."""
        return self.system.k if isinstance(self.system, Iterated) else 1

    def pace(self, duration: float) -> float:
        """By how much the slowest mode shrinks in ``duration`` (steps, or time constants)."""
        if self.system.kind is Kind.FLOW:
            return float(np.exp(self.excess * duration))
        return float(np.power(max(1.0 + self.excess, 0.0), duration / self.period))


@dataclass(frozen=True, eq=False)
class _Together:
    """Phases of one period, and their matrices as one batch; None where they are too large for any."""

    phases: Sequence[Phase]

    @functools.cached_property
    def J(self) -> Tensor | None:
        known = [phase.J for phase in self.phases if phase.J is not None]
        return _stacked(known) if known else None

    @functools.cached_property
    def LU(self) -> tuple[Tensor, Tensor] | None:
        known = [phase.LU for phase in self.phases if phase.LU is not None]
        return (_stacked([LU for LU, _ in known]), _stacked([pivots for _, pivots in known])) if known else None


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(list(parts))


@dataclass(frozen=True, eq=False)
class _Linearised:
    """The linearised systems, row i of a batch (B, n) under that of the phase ``of[i]``."""

    together: _Together
    of: Tensor

    def __getitem__(self, rows: Tensor) -> _Linearised:
        return _Linearised(self.together, self.of[rows])

    def product(self) -> Product:
        """v -> J v."""
        J, phases = self.together.J, self.together.phases
        if J is None:
            x, u = (_stacked(parts)[self.of] for parts in ([p.x for p in phases], [p.u for p in phases]))
            return phases[0].system.linearised(x, u)
        return lambda v: self._by_phase(lambda block: block @ J.mT, v)

    def solve(self, b: Tensor) -> Tensor:
        """J^-1 b for each row of b."""
        factors = self.together.LU
        if factors is None:
            return gmres(self.product(), b, torch.full_like(b[:, 0], KRYLOV_RESIDUAL), KRYLOV_VECTORS)[0]
        return self._by_phase(lambda block: torch.linalg.lu_solve(*factors, block.mT).mT, b)

    def _by_phase(self, f: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
        """f of the rows of each phase at once, (phases, k, n), which are filled up with zeros."""
        if len(self.together.phases) == 1:
            return f(v.unsqueeze(0)).squeeze(0)
        block = v.new_zeros(len(self.together.phases), int(self._place.max()) + 1, v.shape[1])
        block[self.of, self._place] = v
        return f(block)[self.of, self._place]

    @functools.cached_property
    def _place(self) -> Tensor:
        """Of each row among those of its phase."""
        taken = torch.nn.functional.one_hot(self.of, len(self.together.phases)).cumsum(dim=0)
        return taken.gather(1, self.of.unsqueeze(1)).squeeze(1) - 1


def arrived(held: Held, phases: Sequence[Phase], of: Tensor, history: Tensor, duration: float) -> Tensor:
    """Whether (B,) trajectories, the ``history`` (T + 1, B, n) of which took ``duration``, are on their way to the
    phases ``of`` (B,), or at rest there; all phases have one period, and the system that is held.
    """
    system, unit, period = held.system, held.unit, phases[0].period
    x, T = history[-1], len(history) - 1
    back = (T // 2) // period * period
    if back == 0 or not len(x):
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    near = _Linearised(_Together(phases), of)
    p = _stacked([phase.x for phase in phases])[of]
    e, e_before = nearest(x - p, system.periods), nearest(history[-1 - back] - p, system.periods)
    F = held.velocity(x)
    distance, time = vector_norm(e, dim=1), duration * back / T
    pace = x.new_tensor([phase.pace(time) ** PACE for phase in phases])[of]
    linear = _is_linear(near, e, F)
    there = linear & (distance <= vector_norm(e_before, dim=1) * pace)
    rows = there.nonzero().squeeze(1)
    if len(rows):
        there[rows] = _comes_nearer(near[rows], e_before[rows], e[rows], time)
    size = vector_norm(p, dim=1)
    if system.kind is Kind.FLOW:
        there |= linear & (distance <= STEP_ERROR * (unit + size))
    close = (~there & (distance <= CLOSE * unit + ROUNDED * EPS * size)).nonzero().squeeze(1)
    if len(close):  # at rest they may come no nearer
        there[close] = is_zero(held[close], x[close], F[close])
    return there


def _is_linear(near: _Linearised, e: Tensor, F: Tensor) -> Tensor:
    """Whether (B,) J^-i F is J^(1-i) e to a quarter, for the first powers."""
    linear = torch.ones(len(e), dtype=torch.bool, device=e.device)
    both = near[torch.arange(len(e), device=e.device).repeat(2)]
    off = near.solve(F) - e
    for i in range(POWERS):
        if i:
            off, e = both.solve(torch.cat([off, e])).chunk(2)
        linear &= vector_norm(off, dim=1) <= LINEAR * vector_norm(e, dim=1)
    return linear


def _comes_nearer(near: _Linearised, before: Tensor, after: Tensor, time: float) -> Tensor:
    """Whether the linearised systems, from ``before``, come nearer and end by ``after``."""
    first = near.together.phases[0]
    tangent = _Tangent(near.product(), before.shape[1], first.system.kind)
    none = before[:, :0]
    if first.system.kind is Kind.MAP:
        alone = before
        for _ in range(round(time) // first.period):
            alone = alone + tangent.velocity(alone, none)
    else:
        held = Held(tangent, none, 0.0)
        course = Course.starting(held, before)
        advance(held, course, time, whole=True)
        alone = course.x
    nearer = vector_norm(before, dim=1) - vector_norm(alone, dim=1)
    return vector_norm(after - alone, dim=1) <= UNDONE * nearer


class _Tangent(System):
    """The linearised system of a fixed batch, whose state is the distance from the point."""

    def __init__(self, product: Product, n: int, kind: Kind) -> None:
        self._product, self.n_state, self.kind = product, n, kind

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._product(x)


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
