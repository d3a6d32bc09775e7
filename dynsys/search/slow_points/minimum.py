"""One local minimum of q, from a state near it: where it is, how well it is known, and which bounds hold it.

Newton's method on grad q in a trust region does the descent (scipy). With a reachable box a minimum may lie on its
boundary: there the gradient points outwards in the variables that a bound holds, and vanishes in the others
(Kuhn and Tucker); ``dynsys.search.slow_points.constrained`` and ``projected_newton`` beside it go there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.rounding import EPS
from dynsys.search.descent import descend
from dynsys.search.solvers import GaussNewton
from dynsys.search.solvers.newton import dense_direction
from dynsys.systems.angles import unwound
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, hessians, speed

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TRUST_LIMIT = 128  # units, up to which every step of the descent uses the full Hessian
HESSIAN_LIMIT = 2048  # units, up to which it is formed at all
PATIENCE, LEAST_GAIN = 15, 0.999  # steps of a large system's descent that may hardly lower |F|
NEARLY_STATIONARY = 0.01  # relative gradient where that ends, above which there is no minimum near
FLAT = 1e-6  # of the largest curvature of q: where the least one is below, q is looked at along its direction
DOUBLINGS = 50  # of a bound, within which q has to rise
PROBES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # in units of the state
LOWER = 1e-3  # of q, by which a neighbour has to be lower to count
GRADIENT_TOLERANCE = 1e-8  # of |grad q| * unit / q, beneath which q is stationary


class NotFinite(ArithmeticError):
    """A derivative of q is NaN, infinite or next to it at the displacement ``s`` (n,), as that of sqrt is at 0."""

    def __init__(self, s: Array) -> None:
        self.s = s
        super().__init__("a derivative of q is not finite")


@dataclass(frozen=True)
class Minimum:
    """A state (1, n) near which q has a local minimum: its relative gradient, least curvature and error bound.

    ``active`` (n,) is -1 for a variable held by the lower bound of the reachable box, +1 by the upper, else 0; gradient
    and curvature are those of the other variables.
    """

    x: Tensor
    q: float
    relative_gradient: float
    least_curvature: float  # of the Hessian of q, relative to the largest
    error_bound: float
    active: NDArray[np.int8]

    @property
    def is_stationary(self) -> bool:
        return self.relative_gradient <= GRADIENT_TOLERANCE

    @property
    def is_minimum(self) -> bool:
        """A zero curvature is allowed: along a valley of equal speed."""
        return self.is_stationary and self.least_curvature >= -1e-8


def descend_to_minimum(held: Held, x: Tensor, max_steps: int = 200) -> Minimum:
    """The local minimum of q below the state x (1, n), wherever it lies.

    A small system goes down by Newton on grad q in a trust region; a large one first by damped Gauss-Newton, whose
    steps need no second derivatives. Newton on grad q finishes both.
    """
    if x.shape[1] > TRUST_LIMIT:
        solver = GaussNewton(max_steps=max_steps // 2, patience=PATIENCE, least_gain=LEAST_GAIN)
        x = descend(solver, held, x).x
    objective = Objective(held, x)
    try:
        return _below(objective, np.zeros(x.shape[1]), max_steps)
    except NotFinite as there:
        return objective.nothing(there.s)


def _below(objective: Objective, s: Array, max_steps: int) -> Minimum:
    if len(s) <= TRUST_LIMIT:
        s = _trusted(objective, s, max_steps)
    elif norm(objective.gradient(s)) > NEARLY_STATIONARY:
        return objective.nothing(s)  # a valley without end
    return objective.minimum(objective.polished(s))


def _trusted(objective: Objective, s: Array, max_steps: int) -> Array:
    options = {"gtol": 0.01 * GRADIENT_TOLERANCE, "maxiter": max_steps}
    with np.errstate(all="ignore"):  # where weights are huge scipy's own model overflows, and its step is refused
        try:
            end = scipy.optimize.minimize(
                objective.value,
                s,
                jac=objective.gradient,
                method="trust-exact",
                hess=objective.hessian,
                options=options,
            )
        except (UnboundLocalError, ValueError):  # scipy's trust-exact, where derivatives beyond 1e30 leave it no step
            raise NotFinite(s) from None
    return np.asarray(end.x)


def minimum_at(held: Held, x: Tensor) -> Minimum:
    """The local minimum of q within the reachable box at the state x (1, n), which is all but there."""
    box = _bounds(held)
    objective = Objective(held, x if box is None else torch.clamp(x, *box), bounded=True)
    s = np.clip(np.zeros(x.shape[1]), objective.low, objective.high)
    try:
        g = objective.gradient(s)
        if len(s) > TRUST_LIMIT and norm(g[~objective.pressed(s, g)]) > NEARLY_STATIONARY:
            return objective.nothing(s)  # and not worth a Hessian of that size
        return objective.minimum(objective.polished(s))
    except NotFinite as there:
        return objective.nothing(there.s)


def _bounds(held: Held) -> tuple[Tensor, Tensor] | None:
    box = held.system.box(held.u)
    return None if box is None else unwound(*box, held.system.periods)


class Objective:
    """q over its value at the start, as a function of the displacement in units of the state: all of order one.

    ``low`` and ``high`` (n,) are the bounds of the displacement, infinite without a reachable box or with
    ``bounded=False``.
    """

    def __init__(self, held: Held, x: Tensor, bounded: bool = False) -> None:
        self.held, self.x, self.unit = held, x, held.unit
        self.scale = max(float(speed(held, x)), 1e-300)
        self._box = _bounds(held) if bounded else None
        n = x.shape[1]
        self.low, self.high = np.full(n, -np.inf), np.full(n, np.inf)
        if self._box is not None:
            self.low, self.high = (np.asarray(((bound - x) / held.unit)[0].cpu()) for bound in self._box)

    def at(self, s: Array) -> Tensor:
        x = self.x + self.unit * torch.as_tensor(s, device=self.x.device).unsqueeze(0)
        if self._box is None:
            return x
        active = self.active(s)
        for side, bound in zip((-1, 1), self._box, strict=True):  # to the last digit, which s does not have
            x = torch.where(torch.as_tensor(active == side, device=x.device), bound, x)
        return x

    def active(self, s: Array) -> NDArray[np.int8]:
        """Which variables (n,) are at their lower (-1) and upper (+1) bounds."""
        return (s >= self.high).astype(np.int8) - (s <= self.low).astype(np.int8)

    def pressed(self, s: Array, g: Array) -> Mask:
        """The variables at a bound beyond which q is lower still."""
        return self.active(s) * g < 0

    def value(self, s: Array) -> float:
        q = float(speed(self.held, self.at(s))) / self.scale
        return q if np.isfinite(q) else np.inf  # so that a step into NaN is refused

    def gradient(self, s: Array) -> Array:
        g = gradient(self.held, self.at(s))[0] * (self.unit / self.scale)
        return _finite(np.asarray(g.cpu()), s)

    def hessian(self, s: Array) -> Array:
        H = hessians(self.held, self.at(s))[0] * (self.unit**2 / self.scale)
        return _finite(np.asarray(H.cpu()), s)

    def hessian_product(self, s: Array, p: Array) -> Array:
        v = torch.as_tensor(np.asarray(p).reshape(1, -1), device=self.x.device, dtype=self.x.dtype)
        Hv = self.held.gradient_product(self.at(s), v)
        return _finite(np.asarray(Hv[0].cpu()) * (self.unit**2 / self.scale), s)

    def polished(self, s: Array, steps: int = 8) -> Array:
        """Plain Newton steps on the gradient: near the minimum q itself is flat to rounding and guides no search."""
        g = self.gradient(s)
        for _ in range(steps):
            free = ~self.pressed(s, g)
            d = np.zeros_like(s)
            d[free] = self._newton_step(s, g, free)
            s_new = np.clip(s + d, self.low, self.high)
            g_new = self.gradient(s_new)
            if not norm(g_new[free]) < norm(g[free]):
                break
            s, g = s_new, g_new
        return s

    def _newton_step(self, s: Array, g: Array, free: Mask) -> Array:
        if not free.any():
            return g[free]
        if len(s) <= HESSIAN_LIMIT:
            H = torch.as_tensor(self.hessian(s)[np.ix_(free, free)]).unsqueeze(0)
            return np.asarray(dense_direction(H, torch.as_tensor(g[free]).unsqueeze(0))[0])
        d: Array = scipy.sparse.linalg.cg(self.operator(s, free), -g[free], rtol=1e-8, maxiter=200)[0]
        return d

    def operator(self, s: Array, free: Mask) -> scipy.sparse.linalg.LinearOperator:
        """The Hessian in the free variables, by products."""

        def product(p: Array) -> Array:
            full = np.zeros(len(s))
            full[free] = np.ravel(p)
            return self.hessian_product(s, full)[free]

        return scipy.sparse.linalg.LinearOperator((int(free.sum()),) * 2, matvec=product, dtype=np.float64)

    def nothing(self, s: Array) -> Minimum:
        """No minimum near here."""
        x = self.at(s)
        return Minimum(x, float(speed(self.held, x)), np.inf, np.nan, np.inf, self.active(s))

    def minimum(self, s: Array) -> Minimum:
        """What is known of the minimum at s, a state where the free part of the gradient is small."""
        x, g = self.at(s), self.gradient(s)
        q, pressed = float(speed(self.held, x)), self.pressed(s, g)
        active = np.where(pressed, self.active(s), 0).astype(np.int8)
        if pressed.all():  # a corner: to first order q is higher everywhere else in the box
            return Minimum(x, q, 0.0, 1.0, 0.0, active)
        slope = norm(g[~pressed])
        least, largest, v = self._curvatures(s, ~pressed)
        bound = 2 * (slope + self._rounding(x, g, ~pressed)) / least if least > 1e-10 * largest else float("inf")
        bound = self._bracketed(s, v, least, bound) if np.isfinite(bound) else bound
        bound = self.unit * bound if self._stays_curved(s, v, least, bound, ~pressed) else float("inf")
        relative = slope * self.scale / max(q, 1e-300)
        if abs(least) <= FLAT * largest and self._falls(s, v):
            least = -largest  # flat to second order, and yet a saddle of q
        return Minimum(x, q, relative, least / max(largest, 1e-300), bound, active)

    def _rounding(self, x: Tensor, g: Array, free: Mask) -> float:
        """The error of the gradient in float64: what it changes by when the state is moved by its last digits.

        Or by those of a usual state, where x is next to zero: dF/dx of a map is what is left of dG/dx beside 1.
        """
        digits = EPS * (2 * x.abs() + self.unit / x.shape[1] ** 0.5)
        moved = (gradient(self.held, x + sign * digits)[0] * (self.unit / self.scale) for sign in (1, -1))
        return max(norm((np.asarray(there.cpu()) - g)[free]) for there in moved) + EPS * norm(g)

    def _bracketed(self, s: Array, v: Array, least: float, bound: float) -> float:
        """The bound, or as much more as it takes for q to rise to both sides along v, where it curves least.

        A gradient that rounds to zero all around, as that of the map x + 1e-4 + x^4 does, has no rounding to be seen.
        """
        bound = max(bound, EPS * (norm(s) + norm(np.asarray(self.x.cpu())) / self.unit))
        for _ in range(DOUBLINGS):
            ends = [np.clip(s + step * v, self.low, self.high) - s for step in (bound, -bound)]
            if all(self.gradient(s + d) @ d >= least / 4 * (d @ d) for d in ends):
                return bound
            bound *= 2
        return float("inf")

    def _stays_curved(self, s: Array, v: Array, least: float, bound: float, free: Mask) -> bool:
        """Whether all over the bound the least curvature is half of what it is at s, as the bound takes for granted.

        It is looked at to both sides along its direction v, and along two others, and nearer along v.
        """
        if not np.isfinite(bound):
            return False
        others = np.random.default_rng(0).standard_normal((2, len(s))) * free
        try:
            for d, shares in ((v, (1.0, 0.5, 0.25)), *((d, (1.0,)) for d in others)):
                for step in (sign * share * bound for share in shares for sign in (1, -1)):
                    there = np.clip(s + step / norm(d) * d, self.low, self.high)
                    small = len(s) <= TRUST_LIMIT
                    curved = self._curvatures(there, free)[0] if small else v @ self.hessian_product(there, v)
                    if not curved >= least / 2:
                        return False
        except NotFinite:
            return False
        return True

    def _falls(self, s: Array, v: Array) -> bool:
        """Whether q is lower anywhere near along +-v, as it is between two zeros that are about to meet."""
        probes = [np.clip(s + sign * length * v, self.low, self.high) for length in PROBES for sign in (1.0, -1.0)]
        return min(self.value(p) for p in probes) < (1 - LOWER) * self.value(s)

    def _curvatures(self, s: Array, free: Mask) -> tuple[float, float, Array]:
        """The least and the largest curvature of q in the free variables, and the unit direction (n,) of the least."""
        v = np.zeros(len(s))
        if len(s) <= HESSIAN_LIMIT:
            values, vectors = torch.linalg.eigh(torch.as_tensor(self.hessian(s)[np.ix_(free, free)]))
            v[free] = np.asarray(vectors[:, 0])
            return float(values[0]), float(values.abs().max()), v
        H, start = self.operator(s, free), np.ones(int(free.sum()))
        least, vector = scipy.sparse.linalg.eigsh(H, k=1, which="SA", v0=start, tol=1e-6)
        largest = scipy.sparse.linalg.eigsh(H, k=1, which="LM", v0=start, tol=1e-6, return_eigenvectors=False)
        v[free] = vector[:, 0]
        return float(least[0]), float(abs(largest[0])), v


def _finite(values: Array, s: Array) -> Array:
    """The derivative taken at s; raises NotFinite where scipy could do nothing with it."""
    if not np.isfinite(values).all():
        raise NotFinite(s)
    return values


def norm(values: Array) -> float:
    """By a sum of squares that is scaled: NumPy's overflows beyond 1e154, and warns."""
    return float(scipy.linalg.norm(values, check_finite=False))
