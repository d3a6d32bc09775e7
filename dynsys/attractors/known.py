"""Points and cycles that draw trajectories in: those known so far, and how new ones are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.cycles import first_phase
from dynsys.numerics.krylov import gmres
from dynsys.piecewise_linear.felt_kinks import attracts_on_every_side
from dynsys.proof.kantorovich import Assessed, assess
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.search.solvers.newton import dense_direction
from dynsys.stability.spectrum import excess, spectra
from dynsys.systems.angles import nearest, rough_distances, wrapped
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated, divisors
from dynsys.systems.system import System
from dynsys.trajectories.approach import CLOSE, KRYLOV_RESIDUAL, KRYLOV_VECTORS, Linearisation, Phase, arrived

NOT_MARGINAL = 1e-9  # excess of an eigenvalue, below which a point attracts for sure
NEWTON_STEPS, NEWTON_PATIENCE = 30, 3
FAR = 10  # times the first step of Newton's method, beyond which it has lost its way
ENTRIES = 2**17  # of the matrices of attractors that trajectories are compared with at once
CONVERGED = 1e-9  # last step of Newton's method, relative to the state; the rest is done by ``assess``


@dataclass
class Known:
    """The attractors known so far: ``owners`` tells a state's, ``discover`` finds a new one near a state."""

    system: System
    unit: float
    attractors: list[Attractor] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def hand_in(self, points: Tensor, u: Tensor, leading: NDArray[np.complex128] | None) -> None:
        """Enter stable points (k, n), each under its input u (k, m); ``leading`` (k,) are their eigenvalues."""
        beyond = None if leading is None else excess(torch.as_tensor(leading), self.system.kind).tolist()
        linear = _linearisations(Held(self.system, u), points)
        for i in range(len(points)):
            known = None if beyond is None else beyond[i]
            self.enter(points[i : i + 1], u[i : i + 1], 1, known, i, linear[i : i + 1])

    def enter(
        self,
        x: Tensor,
        u: Tensor,
        period: int,
        beyond: float | None,
        index: int = -1,
        linear: Sequence[Linearisation] | None = None,
    ) -> None:
        """An attractor that holds x (1, n); ``beyond`` is the excess of its leading eigenvalue, None if unknown.

        ``linear`` is J of each of its phases and its factors, computed unless given.
        """
        system = self._applied(period)
        states = torch.cat(Iterated(self.system, period).phases(x, u)[:period]) if period > 1 else x
        states = states.roll(-first_phase(states), 0) if period > 1 else states
        held = Held(system, u)
        if beyond is None:
            (beyond,) = _excess(held, x)
        linear = linear or _linearisations(held.expand(period), states)
        for state, (J, LU) in zip(states, linear, strict=True):
            self.phases.append(Phase(len(self.attractors), state, u[0], system, J, LU, beyond))
        kept = 0 if period == 1 else period
        self.attractors.append(Attractor(kept, _array(states), _array(u[0]), index, beyond))

    def owners(self, history: Tensor, duration: float, u: Tensor, since: int = 0) -> Tensor:
        """The attractor (B,) to which each trajectory has come near, -1 for none; of the phases from ``since`` on.

        ``history`` (T + 1, B, n) are the states at equal times within ``duration``, the last T steps of a map.
        """
        x, phases = history[-1], self.phases[since:]
        owner = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        if not phases or not len(x):
            return owner
        at = torch.stack([phase.x for phase in phases])
        apart = rough_distances(x, at, self.system.periods)
        other = (u.unsqueeze(1) != torch.stack([phase.u for phase in phases])).any(dim=2)
        nearest = torch.where(other, torch.inf, apart).min(dim=1)
        reached = torch.isfinite(nearest.values)
        for some in self._alike(torch.unique(nearest.indices[reached]).tolist(), phases):
            place = torch.full((len(phases),), -1, device=x.device)
            place[some] = torch.arange(len(some), device=x.device)
            rows = (reached & (place[nearest.indices] >= 0)).nonzero().squeeze(1)
            of = place[nearest.indices[rows]]
            here = [phases[j] for j in some]
            there = arrived(Held(here[0].system, u[rows], self.unit), here, of, history[:, rows], duration)
            owner[rows[there]] = torch.tensor([phase.owner for phase in here], device=x.device)[of[there]]
        return owner

    def _alike(self, which: list[int], phases: Sequence[Phase]) -> list[list[int]]:
        """Phases by number, those of one period together while their matrices are small."""
        together = max(1, ENTRIES // self.system.n_state**2)
        found = []
        for period in sorted({phases[j].period for j in which}):
            same = [j for j in which if phases[j].period == period]
            found += [same[k : k + together] for k in range(0, len(same), together)]
        return found

    def discover(self, x: Tensor, u: Tensor, k: int) -> None:
        """Enter the attractors, not known before, to which Newton's method on G^k leads from the states x (B, n)."""
        held = Held(self._applied(k), u, self.unit)
        p, ended = _newton(held, x)
        p = wrapped(p, self.system.periods)
        found = _assessed(held[ended], p[ended])
        found, u = found[found.converged], u[ended][found.converged]
        period = torch.full((len(found),), k)
        for d in divisors(k):
            small = vector_norm(self._applied(d).velocity(found.x, u), dim=1) <= CLOSE * self.unit
            rows = ((period == k) & small).nonzero().squeeze(1)
            if len(rows):
                shorter = _assessed(Held(self._applied(d), u[rows], self.unit), found.x[rows])
                apart = vector_norm(self._way(shorter.x, found.x[rows]), dim=1)
                period[rows[shorter.converged & (apart <= shorter.error_bound + found.error_bound[rows])]] = d
        new = self._distinct(found, u)
        for d in sorted(set(period[new].tolist())):
            rows = new[period[new] == d]
            held = Held(self._applied(d), u[rows], self.unit)
            excesses, attracts = _excess(held, found.x[rows]), attracts_on_every_side(held, found.x[rows])
            for i, beyond, attracting in zip(rows.tolist(), excesses, attracts, strict=True):
                row = slice(i, i + 1)
                known = self._has(found.x[row], u[row], float(found.error_bound[i]))
                if beyond < -NOT_MARGINAL and attracting and not known:
                    self.enter(found.x[row], u[row], d, beyond)

    def _distinct(self, found: Assessed, u: Tensor) -> Tensor:
        """The first of each distinct point found (B,), without those of attractors known already."""
        kept: list[int] = []
        near = found.error_bound + CONVERGED * self.unit
        for i in range(len(found)):
            same = vector_norm(self._way(found.x[kept], found.x[i]), dim=1) <= near[kept] + near[i]
            row = slice(i, i + 1)
            if not bool((same & (u[kept] == u[i]).all(dim=1)).any()) and not self._has(found.x[row], u[row], 0.0):
                kept.append(i)
        return torch.tensor(kept, dtype=torch.long, device=u.device)

    def _way(self, x: Tensor, y: Tensor) -> Tensor:
        return nearest(x - y, self.system.periods)

    def _applied(self, k: int) -> System:
        return self.system if k == 1 else Iterated(self.system, k)

    def _has(self, x: Tensor, u: Tensor, bound: float) -> bool:
        """Whether x (1, n) is a phase of a known attractor; points handed in come without their bounds."""
        if not self.phases:
            return False
        near = 2 * bound + CONVERGED * self.unit
        same = (torch.stack([phase.u for phase in self.phases]) == u).all(dim=1)
        way = self._way(torch.stack([phase.x for phase in self.phases]), x)
        return bool((same & (vector_norm(way, dim=1) <= near)).any())


def _linearisations(held: Held, x: Tensor) -> list[Linearisation]:
    """J at each state x (B, n) and its factors, where they are affordable."""
    if not _is_factorised(held.system):
        return [(None, None)] * len(x)
    J = held.jacobian(x)
    LU, pivots, _ = torch.linalg.lu_factor_ex(J)
    return list(zip(J, zip(LU, pivots, strict=True), strict=True))


def _excess(held: Held, x: Tensor) -> list[float]:
    """How far the leading eigenvalue of each point is beyond the boundary of stability."""
    return [float(excess(spectrum.eigenvalues[:1], held.system.kind)) for spectrum in spectra(held, x)]


def _assessed(held: Held, x: Tensor) -> Assessed:
    return assess(held, x, dense=_is_factorised(held.system))


def _newton(held: Held, x: Tensor) -> tuple[Tensor, Tensor]:
    """Where undamped Newton steps from x (B, n) end, and whether (B,) they do, and get shorter, and stay near."""
    start, sizes = x, list[Tensor]()
    going, ended = torch.ones(len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.bool)
    for step in range(NEWTON_STEPS):
        rows = going.nonzero().squeeze(1)
        if not len(rows):
            break
        d = torch.zeros_like(x)
        d[rows] = _direction(held[rows], x[rows])
        x, size = x + d, vector_norm(d, dim=1)
        sizes.append(size)
        lost = ~(vector_norm(x - start, dim=1) <= FAR * sizes[0] + CONVERGED * held.unit)
        if step >= NEWTON_PATIENCE:
            lost |= size > sizes[step - NEWTON_PATIENCE]
        ended |= going & ~lost & (size <= CONVERGED * (held.unit + vector_norm(x, dim=1)))
        going &= ~lost & ~ended
    return x, ended


def _direction(held: Held, x: Tensor) -> Tensor:
    F = held.velocity(x)
    if _is_factorised(held.system):
        return dense_direction(held.jacobian(x), F)
    return gmres(held.linearised(x), -F, torch.full_like(F[:, 0], KRYLOV_RESIDUAL), KRYLOV_VECTORS)[0]


def _is_factorised(system: System) -> bool:
    return system.n_state <= min(MATRIX_FREE_ABOVE, system.factorised_up_to)


def _array(x: Tensor) -> NDArray[np.float64]:
    return np.asarray(x.detach().cpu())
