"""Slow points: local minima of q that are not zero (Sussillo & Barak 2013).

There grad q = J^T F vanishes while F does not, so J is singular, Newton's method on F fails, and the full Hessian of q
(its second term included) decides. Newton's method on grad q in a trust region does the descent, by scipy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg, eigsh
from torch import Tensor

from dynsys.descent import descend
from dynsys.rounding import ZERO, rounding
from dynsys.solvers import GaussNewton, Problem
from dynsys.solvers.newton import dense_direction
from dynsys.speed import gradient, hessian, speed
from dynsys.system import System
from dynsys.wave import Rejection

Array = NDArray[np.float64]

TRUST_LIMIT = 128  # units, up to which every step of the descent uses the full Hessian
HESSIAN_LIMIT = 2048  # units, up to which it is formed at all
MOST_FOLLOWED = 64  # slow states followed to their minimum, the slowest first
MOST_FOLLOWED_LARGE = 16  # the same above TRUST_LIMIT, where each takes seconds
LOWERING_STEPS = 60
PATIENCE, LEAST_GAIN = 15, 0.999  # steps of a large system's descent that may hardly lower |F|
NEARLY_STATIONARY = 0.01  # relative gradient where that ends, above which there is no minimum near
TOGETHER = 64  # slow states lowered at once
NEAR = 1e-3  # in units of the state: a slow state this near to a minimum already followed is not followed again
FLAT = 1e-6  # of the largest curvature of q: where the least one is below, q is looked at along its direction
PROBES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # in units of the state
LOWER = 1e-3  # of q, by which a neighbour has to be lower to count
GRADIENT_TOLERANCE = 1e-8  # of |grad q| * unit / q, beneath which q is stationary


@dataclass(frozen=True)
class Minimum:
    """A state (1, n) near which q has a local minimum: its relative gradient, least curvature and error bound."""

    x: Tensor
    q: float
    relative_gradient: float
    least_curvature: float  # of the Hessian of q, relative to the largest
    error_bound: float

    @property
    def is_stationary(self) -> bool:
        return self.relative_gradient <= GRADIENT_TOLERANCE

    @property
    def is_minimum(self) -> bool:
        """A zero curvature is allowed: along a valley of equal speed."""
        return self.is_stationary and self.least_curvature >= -1e-8


@dataclass
class Minima:
    """The slow states that a search met, and the distinct local minima of q that they lead to."""

    system: System
    inputs: Tensor  # (G, n_input)
    unit: float
    slow_q: float
    points: list[Minimum] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    zeros: list[tuple[Tensor, int]] = field(default_factory=list)  # minima whose velocity cannot be told from zero
    _waiting: list[tuple[Tensor, int]] = field(default_factory=list)

    def add(self, x: Tensor, groups: Tensor) -> None:
        """Remember slow states x (B, n), to be followed when the search for zeros is over."""
        self._waiting += [(x[i : i + 1], int(groups[i])) for i in range(len(x))]

    def follow(self, progress: Callable[[int, int], None]) -> Counter[Rejection]:
        """Follow the states to their minima; returns the count of those that lead to no slow point, by reason."""
        rejected: Counter[Rejection] = Counter()
        most = MOST_FOLLOWED if self.system.n_state <= TRUST_LIMIT else MOST_FOLLOWED_LARGE
        followed: list[tuple[Tensor, int]] = []
        waiting = self._lowered()
        for i, (x, group) in enumerate(waiting):
            if any(g == group and float((x - y).norm()) <= NEAR * self.unit for y, g in followed):
                continue
            if len(followed) >= 2 * most:
                rejected[Rejection.NOT_FOLLOWED] += 1
                continue
            minimum = descend_to_minimum(self.system, x, self._held(group), self.unit)
            followed += [(x, group), (minimum.x, group)]
            reason = self._judge(minimum, group)
            if reason is not None:
                rejected[reason] += 1
            progress(i + 1, len(waiting))
        return rejected

    def _lowered(self) -> list[tuple[Tensor, int]]:
        """The waiting states, slowest first; of a small system all are lowered together, as many lead to one place."""
        if not self._waiting:
            return []
        x = torch.cat([state for state, _ in self._waiting])
        groups = torch.tensor([group for _, group in self._waiting], device=x.device)
        if self.system.n_state <= TRUST_LIMIT:
            problem = Problem(self.system, self.inputs[groups])
            rows = torch.split(torch.arange(len(x), device=x.device), TOGETHER)
            solver = GaussNewton(max_steps=LOWERING_STEPS)
            x = torch.cat([descend(solver, problem.at(some), x[some], self.unit).x for some in rows])
        order = torch.argsort(speed(self.system, x, self.inputs[groups]), stable=True)
        return [(x[i : i + 1], int(groups[i])) for i in order.tolist()]

    def _held(self, group: int) -> Tensor:
        return self.inputs[group : group + 1]

    def _judge(self, minimum: Minimum, group: int) -> Rejection | None:
        """Keep it as a point, or say why not. A zero is kept apart, for the catalogue."""
        u = self._held(group)
        box = self.system.box(u)
        if box is not None and not bool(((minimum.x >= box[0]) & (minimum.x <= box[1])).all()):
            return Rejection.OUTSIDE
        noise = rounding(self.system, minimum.x, u, self.system.velocity(minimum.x, u), self.unit)
        if (2 * minimum.q) ** 0.5 <= ZERO * float(noise):
            self.zeros.append((minimum.x, group))
            return None
        if not minimum.is_minimum:
            return Rejection.NO_MINIMUM
        if minimum.q > self.slow_q:
            return Rejection.TOO_FAST
        if not any(
            g == group and self._same(minimum, other) for other, g in zip(self.points, self.groups, strict=True)
        ):
            self.points.append(minimum)
            self.groups.append(group)
        return None

    def _same(self, a: Minimum, b: Minimum) -> bool:
        bounds = [m.error_bound if np.isfinite(m.error_bound) else NEAR * self.unit for m in (a, b)]
        return float((a.x - b.x).norm()) <= sum(bounds)


def descend_to_minimum(system: System, x: Tensor, u: Tensor, unit: float, max_steps: int = 200) -> Minimum:
    """The local minimum of q below the state x (1, n).

    A small system goes down by Newton on grad q in a trust region; a large one first by damped Gauss-Newton, whose
    steps need no second derivatives. Newton on grad q finishes both.
    """
    if x.shape[1] > TRUST_LIMIT:
        solver = GaussNewton(max_steps=max_steps // 2, patience=PATIENCE, least_gain=LEAST_GAIN)
        x = descend(solver, Problem(system, u), x, unit).x
    objective = _Objective(system, x, u, unit)
    s = np.zeros(x.shape[1])
    if len(s) <= TRUST_LIMIT:
        options = {"gtol": 0.01 * GRADIENT_TOLERANCE, "maxiter": max_steps}
        with np.errstate(all="ignore"):  # where weights are huge scipy's own model overflows, and its step is refused
            s = minimize(
                objective.value,
                s,
                jac=objective.gradient,
                method="trust-exact",
                hess=objective.hessian,
                options=options,
            ).x
    elif np.linalg.norm(objective.gradient(s)) > NEARLY_STATIONARY:
        return Minimum(x, float(speed(system, x, u)), float("inf"), float("nan"), float("inf"))  # a valley without end
    return objective.minimum(objective.polished(s))


class _Objective:
    """q over its value at the start, as a function of the displacement in units of the state: all of order one."""

    def __init__(self, system: System, x: Tensor, u: Tensor, unit: float) -> None:
        self.system, self.x, self.u, self.unit = system, x, u, unit
        self.scale = max(float(speed(system, x, u)), 1e-300)

    def at(self, s: Array) -> Tensor:
        return self.x + self.unit * torch.as_tensor(s, device=self.x.device).unsqueeze(0)

    def value(self, s: Array) -> float:
        return float(speed(self.system, self.at(s), self.u)) / self.scale

    def gradient(self, s: Array) -> Array:
        g = gradient(self.system, self.at(s), self.u)[0] * (self.unit / self.scale)
        return np.asarray(g.cpu())

    def hessian(self, s: Array) -> Array:
        H = hessian(self.system, self.at(s), self.u) * (self.unit**2 / self.scale)
        return np.asarray(H.cpu())

    def hessian_product(self, s: Array, p: Array) -> Array:
        v = torch.as_tensor(np.asarray(p).reshape(1, -1), device=self.x.device, dtype=self.x.dtype)
        Hv = torch.func.jvp(lambda y: gradient(self.system, y, self.u), (self.at(s),), (v,))[1]
        return np.asarray(Hv[0].cpu()) * (self.unit**2 / self.scale)

    def polished(self, s: Array, steps: int = 8) -> Array:
        """Plain Newton steps on the gradient: near the minimum q itself is flat to rounding and guides no search."""
        g = self.gradient(s)
        for _ in range(steps):
            if len(s) <= HESSIAN_LIMIT:
                H, g_row = torch.as_tensor(self.hessian(s)).unsqueeze(0), torch.as_tensor(g).unsqueeze(0)
                d = np.asarray(dense_direction(H, g_row)[0])
            else:
                d, _ = cg(self._operator(s), -g, rtol=1e-8, maxiter=200)
            g_new = self.gradient(s + d)
            if not np.linalg.norm(g_new) < np.linalg.norm(g):
                break
            s, g = s + d, g_new
        return s

    def _operator(self, s: Array) -> LinearOperator:
        return LinearOperator((len(s), len(s)), matvec=lambda p: self.hessian_product(s, p), dtype=np.float64)

    def minimum(self, s: Array) -> Minimum:
        x = self.at(s)
        q = float(speed(self.system, x, self.u))
        slope = float(np.linalg.norm(self.gradient(s)))
        least, largest, v = self._curvatures(s)
        bound = 2 * self.unit * slope / least if least > 1e-10 * largest else float("inf")
        relative = slope * self.scale / max(q, 1e-300)
        if abs(least) <= FLAT * largest and self._falls(s, v):
            least = -largest  # flat to second order, and yet a saddle of q
        return Minimum(x, q, relative, least / max(largest, 1e-300), bound)

    def _falls(self, s: Array, v: Array) -> bool:
        """Whether q is lower anywhere near along +-v, as it is between two zeros that are about to meet."""
        probes = [s + sign * length * v for length in PROBES for sign in (1.0, -1.0)]
        return min(self.value(p) for p in probes) < (1 - LOWER) * self.value(s)

    def _curvatures(self, s: Array) -> tuple[float, float, Array]:
        """The least and the largest curvature of q, and the unit direction of the least."""
        n = len(s)
        if n <= HESSIAN_LIMIT:
            values, vectors = torch.linalg.eigh(torch.as_tensor(self.hessian(s)))
            return float(values[0]), float(values.abs().max()), np.asarray(vectors[:, 0])
        H, start = self._operator(s), np.ones(n)
        least, v = eigsh(H, k=1, which="SA", v0=start, tol=1e-6)
        largest = eigsh(H, k=1, which="LM", v0=start, tol=1e-6, return_eigenvectors=False)
        return float(least[0]), float(abs(largest[0])), np.asarray(v[:, 0])
