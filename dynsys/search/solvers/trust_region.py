"""Trust-region Newton-CG on q with the Gauss-Newton Hessian J^T J (Steihaug 1983; Nocedal & Wright 2006, section 7.1).

It is of the kind that Jang's term paper uses: MATLAB's ``fminunc`` with a trust region, the gradient J^T F and the
Hessian J^T J (that looks for its step in a plane which conjugate gradients span). Each step minimises the model
q + g.p + |J p|^2 / 2 within a radius by conjugate gradients, which stop at the edge, and needs only products with J and
J^T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.search.solvers.base import Info, Solver
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of


class TrustRegionState(NamedTuple):
    x: Tensor
    F: Tensor
    g: Tensor  # grad q
    radius: Tensor  # (B,)


@dataclass(frozen=True)
class TrustRegion(Solver):
    """``radius`` is the first one and ``largest`` its bound; a step is taken where q falls by more than ``accepted`` of
    what the model promised, with the rules and values of scipy's trust-ncg. ``inner`` bounds the CG steps of one step,
    the number of variables where it is None."""

    name: ClassVar[str] = "trust-region"
    max_steps: int = 400
    radius: float = 1.0
    largest: float = 1000.0
    accepted: float = 0.15
    inner: int | None = None

    def init(self, held: Held, x: Tensor) -> TrustRegionState:
        F = held.velocity(x)
        return TrustRegionState(x, F, held.transposed_product(x, F), x.new_full((len(x),), self.radius))

    def step(self, held: Held, state: TrustRegionState) -> tuple[TrustRegionState, Info]:
        x, F, g, radius = state
        p, promised, at_edge = steihaug(held, x, g, radius, self.inner or x.shape[1])
        F_try = held.velocity(x + p)
        gain = (q_of(F) - q_of(F_try)) / promised.clamp_min(1e-300)
        gain = torch.where(torch.isfinite(F_try).all(dim=1) & (promised > 0), gain, -1.0)
        good = gain > self.accepted
        taken = good.unsqueeze(1)
        x_new, F_new = torch.where(taken, x + p, x), torch.where(taken, F_try, F)
        g_new = torch.where(taken, held.transposed_product(x_new, F_new), g)
        grown = torch.where((gain > 0.75) & at_edge, (2 * radius).clamp_max(self.largest), radius)
        new = TrustRegionState(x_new, F_new, g_new, torch.where(gain < 0.25, radius / 4, grown))
        length = vector_norm(p, dim=1)
        small = 1e-15 * (vector_norm(x, dim=1) + 1e-300)
        stuck = ~good & ((length <= small) | (new.radius <= small)) | ~torch.isfinite(length)
        return new, Info(torch.where(good, length, 0.0), stuck)


def steihaug(held: Held, x: Tensor, g: Tensor, radius: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """p (B, n) that lowers g.p + |J p|^2 / 2 within |p| <= radius, by how much it does, and whether p is at the edge.

    Conjugate gradients end where the residual has fallen to min(1/2, sqrt|g|) |g|, or where they leave the region.
    """
    product = held.linearised(x)
    size = vector_norm(g, dim=1)
    enough = size * torch.minimum(size.sqrt(), torch.full_like(size, 0.5))
    p, Jp = torch.zeros_like(x), torch.zeros_like(x)
    r, d = g.clone(), -g
    going, at_edge = size > 0, torch.zeros_like(size, dtype=torch.bool)
    for _ in range(steps):
        if not bool(going.any()):
            break
        Jd = product(d)
        curved = (Jd * Jd).sum(1)
        rr = (r * r).sum(1)
        a = rr / curved.clamp_min(1e-300)
        edge = _to_the_edge(p, d, radius)
        leaves = ~(a < edge)
        a = torch.where(going, torch.where(leaves, edge, a), 0.0).unsqueeze(1)
        p, Jp = p + a * d, Jp + a * Jd
        at_edge |= going & leaves
        r_new = r + a * held.transposed_product(x, Jd)
        going = going & ~leaves & (vector_norm(r_new, dim=1) > enough)
        beta = ((r_new * r_new).sum(1) / rr.clamp_min(1e-300)).unsqueeze(1)
        d = torch.where(going.unsqueeze(1), -r_new + beta * d, d)
        r = r_new
    return p, -((g * p).sum(1) + 0.5 * (Jp * Jp).sum(1)), at_edge


def _to_the_edge(p: Tensor, d: Tensor, radius: Tensor) -> Tensor:
    """The a >= 0 with |p + a d| = radius."""
    dd, pd = (d * d).sum(1).clamp_min(1e-300), (p * d).sum(1)
    rest = (radius * radius - (p * p).sum(1)).clamp_min(0.0)
    root = (pd * pd + dd * rest).sqrt()
    return torch.where(pd > 0, rest / (pd + root).clamp_min(1e-300), (root - pd) / dd)
