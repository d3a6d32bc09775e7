"""Down to the minima of q within the reachable box, along its boundary where q falls beyond it.

Gates saturate outside the box, so that q descends there for ever; the network never goes there. First all states
together by projected Gauss-Newton: damped steps in the variables that no bound holds, cut off at the box (Kanzow,
Yamashita and Fukushima 2004). ``dynsys.search.slow_points.projected_newton`` finishes that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import rate
from dynsys.search.slow_points.minimum import TRUST_LIMIT
from dynsys.search.solvers.gauss_newton import damped_next, damped_step
from dynsys.systems.angles import unwound
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of

NEARLY_ZERO = 1e-10  # of the usual speed |F|, beneath which a state is plainly on its way to a zero, or at its minimum
STATIONARY = 1e-6  # of the free |grad q| * unit / q, beneath which Newton takes over
PATIENCE, LEAST_GAIN = 15, 0.999  # steps in a row that may hardly lower |F| of a slow state
PATIENCE_FAST, LEAST_GAIN_FAST = 4, 0.9  # the same while it is faster than a slow point may be
CG_STEPS = 20  # of a large system's step, each two products with J


@dataclass(frozen=True)
class Box:
    """Bounds (B, n) or (1, n), infinite where there are none."""

    low: Tensor
    high: Tensor

    @staticmethod
    def of(held: Held) -> Box:
        system, box = held.system, held.system.box(held.u)
        if box is not None:
            return Box(*unwound(*box, system.periods))
        free = held.u.new_full((1, system.n_state), torch.inf)
        return Box(-free, free)

    def __getitem__(self, rows: Tensor) -> Box:
        return Box(self.low[rows], self.high[rows]) if len(self.low) > 1 else self

    def cut(self, x: Tensor) -> Tensor:
        return torch.maximum(torch.minimum(x, self.high), self.low)

    def free(self, x: Tensor, g: Tensor) -> Tensor:
        """The variables (B, n) that no bound holds against the gradient g of q."""
        return ~(((x <= self.low) & (g > 0)) | ((x >= self.high) & (g < 0)))


def lowered(held: Held, x: Tensor, slow_q: float, max_steps: int = 60) -> Tensor:
    """The states x (B, n) brought down within the box; most end near a minimum of q.

    Those that stay faster than ``slow_q`` are given up early.
    """
    box, unit = Box.of(held), held.unit
    x = box.cut(x)
    out, rows = x.clone(), torch.arange(len(x), device=x.device)
    F = held.velocity(x)
    enough = 0.5 * (NEARLY_ZERO * rate(held, x, F) * unit) ** 2
    damping = torch.full_like(F[:, 0], torch.nan)  # to be set by the first step
    growth, idle = torch.full_like(damping, 2.0), torch.zeros_like(damping)
    for _ in range(max_steps):
        g = held.transposed_product(x, F)
        free = box.free(x, g)
        g = torch.where(free, g, 0.0)
        q = q_of(F)
        slow = q <= slow_q
        going = (vector_norm(g, dim=1) * unit > STATIONARY * q) & (q > enough)
        going &= (idle < torch.where(slow, PATIENCE, PATIENCE_FAST)) & torch.isfinite(g).all(dim=1)
        if not bool(going.any()):
            break
        held, box, rows = held[going], box[going], rows[going]
        x, F, q, g, free, slow = (part[going] for part in (x, F, q, g, free, slow))
        damping, growth, idle, enough = (part[going] for part in (damping, growth, idle, enough))
        d, damping = _damped_step(held, x, g, free, damping)
        x_try = box.cut(x + d)
        F_try = held.velocity(x_try)
        d = x_try - x
        promised = -(g * d).sum(1) - 0.5 * (held.jacobian_product(x, d) ** 2).sum(1)
        q_try = q_of(F_try)
        gain = (q - q_try) / promised.clamp_min(1e-300)
        good = q_try < q  # which NaN is not
        least = torch.where(slow, LEAST_GAIN, LEAST_GAIN_FAST)
        idle = torch.where(good & (q_try <= least**2 * q), 0.0, idle + 1)
        x, F = torch.where(good.unsqueeze(1), x_try, x), torch.where(good.unsqueeze(1), F_try, F)
        damping, growth = damped_next(gain, good, damping, growth)
        out[rows] = x
    return out


def _damped_step(held: Held, x: Tensor, g: Tensor, free: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """-(J'J + m)^-1 g in the free variables, and the damping m, which begins as 1e-3 of the largest |J e|^2."""
    if x.shape[1] > TRUST_LIMIT:
        return _damped_step_by_products(held, x, g, free, damping)
    J = held.jacobian(x) * free.unsqueeze(1)
    A = J.mT @ J
    damping = torch.where(damping.isnan(), 1e-3 * A.diagonal(dim1=1, dim2=2).amax(1), damping).clamp_min(1e-30)
    return torch.where(free, damped_step(A, g, damping), 0.0), damping


def _damped_step_by_products(held: Held, x: Tensor, g: Tensor, free: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The same by conjugate gradients, without a Jacobian."""
    forward = held.linearised(x)
    along = torch.where(vector_norm(g, dim=1, keepdim=True) > 0, g, 1.0)
    stretch = (forward(along) ** 2).sum(1) / (along * along).sum(1)
    damping = torch.where(damping.isnan(), 1e-3 * stretch, damping).clamp_min(1e-30)
    d, r = torch.zeros_like(g), -g
    p, rr = r, (r * r).sum(1)
    for _ in range(CG_STEPS):
        Ap = held.transposed_product(x, forward(p)) * free + damping.unsqueeze(1) * p
        length = rr / (p * Ap).sum(1).clamp_min(1e-300)
        d, r = d + length.unsqueeze(1) * p, r - length.unsqueeze(1) * Ap
        rr_new = (r * r).sum(1)
        p, rr = r + (rr_new / rr.clamp_min(1e-300)).unsqueeze(1) * p, rr_new
    return torch.where(free & torch.isfinite(d), d, 0.0), damping
