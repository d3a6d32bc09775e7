"""Newton's method on grad q within the reachable box, for many states at once (Bertsekas 1982).

In the variables that no bound holds a step solves |H| d = -g, with the whole Hessian H of q and its eigenvalues made
positive: Newton's step at a minimum, away from a saddle, downhill in any case. It is cut off at the box and halved
until q falls. Where q is flat to rounding the gradient decides.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.search.slow_points.constrained import Box
from dynsys.search.slow_points.minimum import GRADIENT_TOLERANCE, TRUST_LIMIT
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, hessians, speed

CLOSE = 0.01  # of the gradient at which q counts as stationary
LEAST_CURVATURE = 1e-12  # relative to the largest
NEAR_BOUND = 1e-3  # in units of the state: the most by which a step goes to a bound that q pushes it against
LONGEST = 1.0  # in units of the state
BACKTRACKS = 30
SUFFICIENT = 1e-4  # of the decrease that the gradient promises (Armijo)
FLAT = 1e-12  # relative change of q, beneath which the gradient decides on a step
CG_STEPS = 60  # of a large system's direction


def newton_in_box(held: Held, x: Tensor, max_steps: int = 60) -> Tensor:
    """The states x (B, n) brought to the minima of q in the box that they are near to."""
    box = Box.of(held)
    x = box.cut(x)
    out, rows = x.clone(), torch.arange(len(x), device=x.device)
    q, g = speed(held, x), gradient(held, x)
    moving = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for _ in range(max_steps):
        slope = _slope(box, x, g)
        moving &= torch.isfinite(slope) & (slope * held.unit > CLOSE * GRADIENT_TOLERANCE * q)
        if not bool(moving.any()):
            break
        held, box, rows = held[moving], box[moving], rows[moving]
        x, q, g, slope = (part[moving] for part in (x, q, g, slope))
        d, pushed = _direction(held, box, x, q, g, slope)
        x, q, g, moving = _line_search(held, box, x, q, g, slope, d, pushed)
        out[rows] = x
    return out


def _slope(box: Box, x: Tensor, g: Tensor) -> Tensor:
    """|grad q| (B,) in the variables that no bound holds."""
    return vector_norm(torch.where(box.free(x, g), g, 0.0), dim=1)


def _direction(held: Held, box: Box, x: Tensor, q: Tensor, g: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """The step d (B, n), and the variables ``pushed`` (B, n) that go all the way to a bound close by."""
    unit = held.unit
    near = unit * (slope * unit / q.clamp_min(1e-300)).clamp(max=NEAR_BOUND).unsqueeze(1)
    low, high = box.low - x, box.high - x
    pushed = ((-low <= near) & (g > 0)) | ((high <= near) & (g < 0))
    free_g = torch.where(pushed, 0.0, g)
    d = (_by_products if x.shape[1] > TRUST_LIMIT else _by_hessian)(held, x, free_g, ~pushed)
    d = d * (LONGEST * unit / vector_norm(d, dim=1, keepdim=True).clamp_min(1e-300)).clamp(max=1.0)
    return torch.where(pushed, torch.where(g > 0, low, high), d), pushed


def _by_hessian(held: Held, x: Tensor, g: Tensor, free: Tensor) -> Tensor:
    n = x.shape[1]
    H = hessians(held, x)
    both = free.unsqueeze(1) & free.unsqueeze(2)
    H = torch.where(both, H, 0.0)
    H = torch.where(torch.isfinite(H).all(dim=2).all(dim=1)[:, None, None], H, torch.eye(n).to(H))
    values, V = torch.linalg.eigh(H)
    size = values.abs()
    size = size.clamp_min(1e-300).maximum(LEAST_CURVATURE * size.amax(dim=1, keepdim=True))
    d: Tensor = -(V @ ((V.mT @ g.unsqueeze(2)) / size.unsqueeze(2))).squeeze(2)
    return torch.where(free, d, 0.0)


def _by_products(held: Held, x: Tensor, g: Tensor, free: Tensor) -> Tensor:
    """Conjugate gradients, each row until it meets a direction along which q does not curve upwards (Steihaug 1983)."""
    d, r = torch.zeros_like(g), -g
    p, rr = r, (r * r).sum(1)
    enough, going = 1e-12 * rr, rr > 0
    for k in range(CG_STEPS):
        Hp = held.gradient_product(x, p) * free
        curvature = (p * Hp).sum(1)
        going &= curvature > 0
        if k == 0:
            d = torch.where(going.unsqueeze(1), d, r)  # no Newton step at all: downhill
        if not bool(going.any()):
            break
        length = torch.where(going, rr / curvature, 0.0).unsqueeze(1)
        d, r = d + length * p, r - length * Hp
        rr_new = (r * r).sum(1)
        p, rr = r + (rr_new / rr.clamp_min(1e-300)).unsqueeze(1) * p, rr_new
        going &= rr > enough
    return torch.where(free & torch.isfinite(d), d, 0.0)


def _line_search(
    held: Held, box: Box, x: Tensor, q: Tensor, g: Tensor, slope: Tensor, d: Tensor, pushed: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The new states with their q and gradients, and which of them (B,) have moved."""
    x, q, g = x.clone(), q.clone(), g.clone()
    rows = torch.arange(len(x), device=x.device)
    moved = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for k in range(BACKTRACKS):
        here = x[rows]
        there = box[rows].cut(here + torch.where(pushed[rows], d[rows], 0.5**k * d[rows]))
        q_there, promised = speed(held[rows], there), (g[rows] * (there - here)).sum(1)
        good = (q_there <= q[rows] + SUFFICIENT * promised) & (promised < 0)
        flat = ~good & ((q_there - q[rows]).abs() <= FLAT * q[rows])
        if bool((good | flat).any()):
            g_there = gradient(held[rows], there)
            good |= flat & (_slope(box[rows], there, g_there) < 0.5 * slope[rows])
            x[rows[good]], q[rows[good]], g[rows[good]] = there[good], q_there[good], g_there[good]
            moved[rows[good]] = True
        rows = rows[~good & ~flat]
        if len(rows) == 0:
            break
    return x, q, g, moved
