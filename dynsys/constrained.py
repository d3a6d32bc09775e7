"""Down to the minima of q within the reachable box, along its boundary where q falls beyond it.

Gates saturate outside the box, so that q descends there for ever; the network never goes there. First all states
together by projected Gauss-Newton: damped steps in the variables that no bound holds, cut off at the box (Kanzow,
Yamashita and Fukushima 2004). Then each by projected Newton with the whole Hessian (Bertsekas 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.minimum import GRADIENT_TOLERANCE, TRUST_LIMIT, Array, Mask, Minimum, Objective
from dynsys.rounding import rate
from dynsys.speed import q_of
from dynsys.system import System

NEARLY_ZERO = 1e-10  # of the usual speed |F|, beneath which a state is plainly on its way to a zero, or at its minimum
STATIONARY = 1e-6  # of the free |grad q| * unit / q, beneath which Newton takes over
PATIENCE, LEAST_GAIN = 15, 0.999  # steps in a row that may hardly lower |F| of a slow state
PATIENCE_FAST, LEAST_GAIN_FAST = 4, 0.9  # the same while it is faster than a slow point may be
CG_STEPS = 20  # of a large system's step, each two products with J
NEWTON_STEPS = 60
NEWTON_CG_STEPS = 100
NEAR_BOUND = 1e-3  # in units of the state: the most by which a step goes to a bound that q pushes it against
LONGEST = 1.0  # in units of the state
BACKTRACKS = 30
SUFFICIENT = 1e-4  # of the decrease that the gradient promises (Armijo)
FLAT_TO_ROUNDING = 1e-12  # relative change of q, beneath which the gradient decides on a step


@dataclass(frozen=True)
class Box:
    """Bounds (B, n) or (1, n), infinite where there are none."""

    low: Tensor
    high: Tensor

    @staticmethod
    def of(system: System, u: Tensor) -> Box:
        box = system.box(u)
        if box is not None:
            return Box(*box)
        free = u.new_full((1, system.n_state), torch.inf)
        return Box(-free, free)

    def __getitem__(self, rows: Tensor) -> Box:
        return Box(self.low[rows], self.high[rows]) if len(self.low) > 1 else self

    def cut(self, x: Tensor) -> Tensor:
        return torch.maximum(torch.minimum(x, self.high), self.low)

    def free(self, x: Tensor, g: Tensor) -> Tensor:
        """The variables (B, n) that no bound holds against the gradient g of q."""
        return ~(((x <= self.low) & (g > 0)) | ((x >= self.high) & (g < 0)))


def lowered(system: System, x: Tensor, u: Tensor, unit: float, slow_q: float, max_steps: int = 60) -> Tensor:
    """The states x (B, n), each held at its u (B, m), brought down within the box; most end near a minimum of q.

    Those that stay faster than ``slow_q`` are given up early.
    """
    box = Box.of(system, u)
    x = box.cut(x)
    out, rows = x.clone(), torch.arange(len(x), device=x.device)
    F = system.velocity(x, u)
    enough = 0.5 * (NEARLY_ZERO * rate(system, x, u, F, unit) * unit) ** 2
    damping = torch.full_like(F[:, 0], torch.nan)  # to be set by the first step
    growth, idle = torch.full_like(damping, 2.0), torch.zeros_like(damping)
    for _ in range(max_steps):
        g = system.transposed_product(x, u, F)
        free = box.free(x, g)
        g = torch.where(free, g, 0.0)
        slow = q_of(F) <= slow_q
        going = (vector_norm(g, dim=1) * unit > STATIONARY * q_of(F)) & (q_of(F) > enough)
        going &= (idle < torch.where(slow, PATIENCE, PATIENCE_FAST)) & torch.isfinite(g).all(dim=1)
        if not bool(going.any()):
            break
        box, rows = box[going], rows[going]
        x, F, u, g, free, slow = (part[going] for part in (x, F, u, g, free, slow))
        damping, growth, idle, enough = (part[going] for part in (damping, growth, idle, enough))
        d, damping = _damped_step(system, x, u, g, free, damping)
        x_try = box.cut(x + d)
        F_try = system.velocity(x_try, u)
        d = x_try - x
        promised = -(g * d).sum(1) - 0.5 * (system.jacobian_product(x, u, d) ** 2).sum(1)
        gain = (q_of(F) - q_of(F_try)) / promised.clamp_min(1e-300)
        good = (q_of(F_try) < q_of(F)) & torch.isfinite(F_try).all(dim=1)
        least = torch.where(slow, LEAST_GAIN, LEAST_GAIN_FAST)
        idle = torch.where(good & (q_of(F_try) <= least**2 * q_of(F)), 0.0, idle + 1)
        x, F = torch.where(good.unsqueeze(1), x_try, x), torch.where(good.unsqueeze(1), F_try, F)
        shrunk = (1 - (2 * gain - 1) ** 3).clamp(1 / 3, 2.0)  # Nielsen 1999
        damping = torch.where(good, damping * shrunk, damping * growth).clamp_min(1e-30)
        growth = torch.where(good, 2.0, 2 * growth)
        out[rows] = x
    return out


def _damped_step(
    system: System, x: Tensor, u: Tensor, g: Tensor, free: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor]:
    """-(J'J + m)^-1 g in the free variables, and the damping m, which begins as 1e-3 of the largest |J e|^2."""
    if x.shape[1] > TRUST_LIMIT:
        return _damped_step_by_products(system, x, u, g, free, damping)
    J = system.jacobian(x, u) * free.unsqueeze(1)
    A = J.mT @ J
    damping = torch.where(damping.isnan(), 1e-3 * A.diagonal(dim1=1, dim2=2).amax(1), damping).clamp_min(1e-30)
    A.diagonal(dim1=1, dim2=2).add_(damping.unsqueeze(1))
    L, _ = torch.linalg.cholesky_ex(A)
    d = torch.cholesky_solve(-g.unsqueeze(2), L).squeeze(2)
    return torch.where(free & torch.isfinite(d), d, 0.0), damping


def _damped_step_by_products(
    system: System, x: Tensor, u: Tensor, g: Tensor, free: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor]:
    """The same by conjugate gradients, without a Jacobian."""
    forward = system.linearised(x, u)
    along = torch.where(vector_norm(g, dim=1, keepdim=True) > 0, g, 1.0)
    stretch = (forward(along) ** 2).sum(1) / (along * along).sum(1)
    damping = torch.where(damping.isnan(), 1e-3 * stretch, damping).clamp_min(1e-30)
    d, r = torch.zeros_like(g), -g
    p, rr = r, (r * r).sum(1)
    for _ in range(CG_STEPS):
        Ap = system.transposed_product(x, u, forward(p)) * free + damping.unsqueeze(1) * p
        length = rr / (p * Ap).sum(1).clamp_min(1e-300)
        d, r = d + length.unsqueeze(1) * p, r - length.unsqueeze(1) * Ap
        rr_new = (r * r).sum(1)
        p, rr = r + (rr_new / rr.clamp_min(1e-300)).unsqueeze(1) * p, rr_new
    return torch.where(free & torch.isfinite(d), d, 0.0), damping


def is_held(system: System, x: Tensor, u: Tensor) -> bool:
    """Whether q at the state x (1, n) falls beyond the bounds of the box that x lies on."""
    box = Box.of(system, u)
    return not bool(box.free(x, system.transposed_product(x, u, system.velocity(x, u))).all())


def descend_in_box(system: System, x: Tensor, u: Tensor, unit: float) -> Minimum:
    """The local minimum of q within the box below the state x (1, n), its boundary included."""
    objective = Objective(system, Box.of(system, u).cut(x), u, unit, bounded=True)
    s = np.clip(np.zeros(x.shape[1]), objective.low, objective.high)
    value, g = objective.value(s), objective.gradient(s)
    for _ in range(NEWTON_STEPS):
        if _free_slope(objective, s, g) <= GRADIENT_TOLERANCE * 0.01 * value:
            break
        step = _step(objective, s, value, g)
        if step is None:
            break
        s, value, g = step
    if x.shape[1] > TRUST_LIMIT and not _free_slope(objective, s, g) <= 1e-3 * value:
        return objective.nothing(s)
    return objective.minimum(objective.polished(s))


def _free_slope(objective: Objective, s: Array, g: Array) -> float:
    return float(np.linalg.norm(g[~objective.held(s, g)]))


def _step(objective: Objective, s: Array, value: float, g: Array) -> tuple[Array, float, Array] | None:
    """A projected Newton step that lowers q, or the gradient where q is flat to rounding; None where there is none."""
    slope = _free_slope(objective, s, g)
    near = min(NEAR_BOUND, slope)  # a variable so near to a bound that q pushes it there goes all the way
    pushed = ((s - objective.low <= near) & (g > 0)) | ((objective.high - s <= near) & (g < 0))
    free = ~pushed
    d = np.where(pushed, np.where(g > 0, objective.low - s, objective.high - s), 0.0)
    d[free] = _direction(objective, s, g, free)
    d[free] *= min(1.0, LONGEST / max(float(np.linalg.norm(d[free])), 1e-300))
    for k in range(BACKTRACKS):
        scaled = np.where(pushed, d, 0.5**k * d)
        s_try = np.clip(s + scaled, objective.low, objective.high)
        promised = float(g @ (s_try - s))
        value_try = objective.value(s_try)
        if value_try <= value + SUFFICIENT * promised and promised < 0:
            return s_try, value_try, objective.gradient(s_try)
        if abs(value_try - value) <= FLAT_TO_ROUNDING * value:
            g_try = objective.gradient(s_try)
            if _free_slope(objective, s_try, g_try) < 0.5 * slope:
                return s_try, value_try, g_try
            return None
    return None


def _direction(objective: Objective, s: Array, g: Array, free: Mask) -> Array:
    """-|H|^-1 g in the free variables: Newton's step where q curves upwards, downhill in any case."""
    if not free.any():
        return g[free]
    if len(s) > TRUST_LIMIT:
        return _direction_by_products(objective, s, g, free)
    values, V = np.linalg.eigh(objective.hessian(s)[np.ix_(free, free)])
    size = np.abs(values)
    size = np.maximum(size, 1e-12 * max(float(size.max()), 1e-300))
    d: Array = -(V @ ((V.T @ g[free]) / size))
    return d


def _direction_by_products(objective: Objective, s: Array, g: Array, free: Mask) -> Array:
    """Conjugate gradients until the curvature is not positive (Steihaug 1983)."""
    H, r = objective.operator(s, free), -g[free]
    d, p = np.zeros_like(r), r
    first = float(r @ r)
    rr = first
    for k in range(NEWTON_CG_STEPS):
        Hp = H @ p
        curvature = float(p @ Hp)
        if curvature <= 0:
            return r if k == 0 else d
        d, r = d + rr / curvature * p, r - rr / curvature * Hp
        rr_new = float(r @ r)
        if rr_new <= 1e-10 * first:
            break
        p, rr = r + rr_new / rr * p, rr_new
    return d
