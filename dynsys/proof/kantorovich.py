"""How far the true fixed point can lie from a computed one, after Newton and Kantorovich.

If b bounds |J^-1|, L bounds the change of J per distance and e = |F(x)| + rounding, then for 2 b L (b e) <= 1/2 a true
zero lies within 2 b e of x. Here b is computed from a factorisation or from Krylov solves and L is sampled along a few
directions, so the bound is a sound estimate and not yet a proof.

So two zeros are one point where what is known of their errors lets them be one. Of a point with an error bound, |J^-1|
there and |F| at another state bound how far that is from its own zero. Of a point without one it tells whether F stays
zero to rounding all along the way: one degenerate point, or one line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.krylov import gmres
from dynsys.numerics.rounding import EPS, ZERO, is_zero, rounding
from dynsys.systems.angles import distances, nearest
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of
from dynsys.systems.system import Kind, Product, System

REFINEMENTS = 6
SAME_JACOBIAN = (
    1.0  # b L |dx|, with their safety, up to which |J^-1| at the start of the chord steps speaks for their end
)
SAFETY = 2.0  # on |J^-1|, whose power iteration comes from below
SAFETY_SAMPLED = 8.0  # on L, which a few directions show only in part
SINGULAR_VALUES_LIMIT = 32  # units, up to which norms are taken of whole matrices, and not of products
UNLIKE = 1e3, 1e10  # |J| |J^-1|, from and up to which a bound is looked for in the coordinates in which J is 1
POWER_STEPS = 6
NEAR = 1e-4  # in units of the state: the distance over which L is sampled
NEARER = 1e-2  # times that, where F bends too much within it: the unit of a state may be much too large
SAMPLES = 3
INVERSE_VECTORS = 128  # of a Krylov solve for |J^-1|
JOINED = 4 * ZERO  # times the rounding error, as its samples come from below and a line has many
SHARES = (0.25, 0.5, 0.75)  # of the way between two states, where F is looked at


@dataclass(frozen=True)
class Assessed:
    """Refined states x (B, n) with F, q, |J^-1|, the change L of J, the rounding error of F, the error bound and the
    index, sign det(-J), 0 where it is unknown; (B,) each.
    """

    x: Tensor
    F: Tensor
    q: Tensor
    inverse_norm: Tensor
    curvature: Tensor
    noise: Tensor
    error_bound: Tensor
    index: Tensor
    converged: Tensor  # bool: |F| is within rounding, there is a bound, and the one Jacobian speaks for x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> Assessed:
        return Assessed(*(getattr(self, field.name)[rows] for field in fields(self)))

    def replaced(self, rows: Tensor, by: Assessed) -> Assessed:
        """With other states in those rows."""
        parts = ((getattr(self, field.name), getattr(by, field.name)) for field in fields(self))
        return Assessed(*(old.index_copy(0, rows, new) for old, new in parts))

    @staticmethod
    def joined(parts: Sequence[Assessed]) -> Assessed:
        return Assessed(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Assessed)))


def assess(held: Held, x: Tensor, dense: bool = True) -> Assessed:
    """Refine each x by chord steps that lower |F|, to rounding if they can, then bound its distance from the true zero.

    With ``dense`` one factorisation of J serves the steps and |J^-1|; without, Krylov solves do and no J is formed.
    L is sampled over a distance that suits a state of the usual size, and where it is too large for a bound, ever
    nearer: zeros that lie close together far from the origin are told apart on their own scale.
    """
    near = NEAR
    found = _within(held, x, dense, near)
    while True:
        near *= NEARER
        reach = 2 * found.inverse_norm * (vector_norm(found.F, dim=1) + found.noise)
        worth = torch.isinf(found.error_bound) & (reach <= near * (held.unit + vector_norm(found.x, dim=1)))
        rows = worth.nonzero().squeeze(1)
        if not len(rows):
            return _levelled(held, found) if dense else found
        found = found.replaced(rows, _within(held[rows], found.x[rows], dense, near))


def _levelled(held: Held, found: Assessed) -> Assessed:
    """Bounds where J is very unlike in different directions: those of A F, with A = J^-1, whose zeros are the same.

    Noise and bends are in the directions in which F is steep, where they count for little, and |J^-1| is of others.
    """
    rows = torch.isinf(found.error_bound).nonzero().squeeze(1)
    if not len(rows) or found.x.shape[1] > SINGULAR_VALUES_LIMIT:
        return found
    bound, index = found.error_bound.clone(), found.index.clone()
    J = held[rows].jacobian(found.x[rows])
    inverse = torch.linalg.inv_ex(J)[0]
    unlike = torch.linalg.matrix_norm(J) * torch.linalg.matrix_norm(inverse)
    step = vector_norm((inverse @ found.F[rows].unsqueeze(2)).squeeze(2), dim=1)
    worth = (unlike >= UNLIKE[0]) & (unlike <= UNLIKE[1])  # nor where J is singular, and it is no number
    worth &= 2 * step <= NEAR * (held.unit + vector_norm(found.x[rows], dim=1))  # beyond which no bound is sought
    for i, A in zip(rows[worth].tolist(), inverse[worth], strict=True):
        x = found.x[i : i + 1]
        levelled = assess(held[i : i + 1].of(_Levelled(held.system, A)), x)
        if bool(levelled.converged):
            moved = vector_norm(levelled.x - x) + found.inverse_norm[i] * EPS * vector_norm(x)
            bound[i] = levelled.error_bound[0] + moved
            index[i] = torch.linalg.det(-A).sign()
    return dataclasses.replace(found, error_bound=bound, index=index)


class _Levelled(System):
    """The flow A F(x), whose Jacobian is all but 1 at one state."""

    kind = Kind.FLOW

    def __init__(self, system: System, A: Tensor) -> None:
        self.system, self.A, self.name = system, A, system.name
        self.n_state, self.n_input = system.n_state, system.n_input

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.system.velocity(x, u) @ self.A.T

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.A @ self.system.jacobian(x, u)


def _within(held: Held, x: Tensor, dense: bool, near: float) -> Assessed:
    """The same with L sampled ``near``, in units of the state."""
    start = x
    if dense:
        J = held.jacobian(x)
        LU, pivots, _ = torch.linalg.lu_factor_ex(J)
        x, F = _refined(held, x, LU, pivots)
        inverse_norm, index = _inverse_norm(J, LU, pivots), _index(LU, pivots)
        far = near * (held.unit + vector_norm(x, dim=1))
        small = J.shape[-1] <= SINGULAR_VALUES_LIMIT
        curvature = _curvature(held, x, J, far) if small else _curvature_by_products(held, x, far)
    else:
        F = held.velocity(x)
        inverse_norm, index = _inverse_norm_by_products(held, x), torch.zeros_like(F[:, 0])
        far = near * (held.unit + vector_norm(x, dim=1))
        curvature = _curvature_by_products(held, x, far)
    inverse_norm, curvature = SAFETY * inverse_norm, SAFETY_SAMPLED * curvature
    noise = rounding(held, x, F)
    reach = 2 * inverse_norm * (vector_norm(F, dim=1) + noise)
    proven = torch.isfinite(reach) & (2 * inverse_norm * curvature * reach <= 0.5)
    proven &= reach <= far  # L is not known further away
    proven &= inverse_norm * curvature * vector_norm(x - start, dim=1) <= SAME_JACOBIAN
    converged = (vector_norm(F, dim=1) <= ZERO * noise) & proven
    bound, index = torch.where(proven, reach, torch.inf), torch.where(proven, index, 0)
    return Assessed(x, F, q_of(F), inverse_norm, curvature, noise, bound, index, converged)


def _refined(held: Held, x: Tensor, LU: Tensor, pivots: Tensor) -> tuple[Tensor, Tensor]:
    """x and F after chord steps."""
    F = held.velocity(x)
    size = vector_norm(F, dim=1)
    for _ in range(REFINEMENTS):
        x_new = x - torch.linalg.lu_solve(LU, pivots, F.unsqueeze(2)).squeeze(2)
        F_new = held.velocity(x_new)
        size_new = vector_norm(F_new, dim=1)
        better = size_new < 0.5 * size
        if not bool(better.any()):
            break
        column = better.unsqueeze(1)
        x, F, size = torch.where(column, x_new, x), torch.where(column, F_new, F), torch.where(better, size_new, size)
    return x, F


def _index(LU: Tensor, pivots: Tensor) -> Tensor:
    """sign det(-J) from a factorisation: the signs of the pivots, and of the row exchanges."""
    n = LU.shape[-1]
    signs = (-LU.diagonal(dim1=-2, dim2=-1)).sign().prod(dim=-1)
    exchanges = (pivots != torch.arange(1, n + 1, device=pivots.device)).sum(dim=-1)
    return torch.where(exchanges % 2 == 0, signs, -signs)


def _inverse_norm(J: Tensor, LU: Tensor, pivots: Tensor) -> Tensor:
    """|J^-1| in the 2-norm: by singular values while they are cheap, else by power iteration on the factorisation."""
    if J.shape[-1] <= SINGULAR_VALUES_LIMIT:
        finite = torch.isfinite(J).all(dim=-1, keepdim=True).all(dim=-2, keepdim=True)
        return 1 / torch.linalg.svdvals(torch.where(finite, J, 0))[:, -1]  # infinite where a slope is, or none
    v = _directions(J[:, 0], 0).unsqueeze(2)
    size = v.norm(dim=(1, 2))
    for _ in range(POWER_STEPS):
        w = torch.linalg.lu_solve(LU, pivots, v / size[:, None, None])
        v = torch.linalg.lu_solve(LU, pivots, w, adjoint=True)
        size = v.norm(dim=(1, 2))
    return torch.where(torch.isfinite(size), size.sqrt(), torch.inf)


def _inverse_norm_by_products(held: Held, x: Tensor) -> Tensor:
    """The same power iteration, each solve by GMRES; a percent of accuracy is enough for a bound with ``SAFETY``."""
    rtol = torch.full_like(x[:, 0], 1e-2)
    v = _directions(x, 0)
    size, reached = v.norm(dim=1), torch.zeros_like(x[:, 0])
    forward = held.linearised(x)

    def transposed(w: Tensor) -> Tensor:
        return held.transposed_product(x, w)

    for _ in range(POWER_STEPS):
        w, first = gmres(forward, v / size.unsqueeze(1), rtol, INVERSE_VECTORS)
        v, second = gmres(transposed, w, rtol, INVERSE_VECTORS)
        size, reached = v.norm(dim=1), torch.maximum(first, second)
    return torch.where(torch.isfinite(size) & (reached <= 0.1), size.sqrt(), torch.inf)


def _curvature(held: Held, x: Tensor, J: Tensor, h: Tensor) -> Tensor:
    """The largest sampled |J(x + h v) - J(x)| / h over random directions v, at the distances h (B,)."""
    largest = torch.zeros_like(x[:, 0])
    for v in _displacements(x, h):
        change = torch.linalg.matrix_norm(held.jacobian(x + v) - J)
        largest = torch.maximum(largest, change / h)
    return largest


def _curvature_by_products(held: Held, x: Tensor, h: Tensor, samples: int = 4) -> Tensor:
    """The same; the Frobenius norm of a change is sqrt(n) times the mean of what it does to random unit vectors."""
    largest, here = torch.zeros_like(x[:, 0]), held.linearised(x)
    for v in _displacements(x, h):
        there: Product = held.linearised(x + v)
        squares = torch.zeros_like(largest)
        for k in range(samples):
            w = _directions(x, 10 + k)
            squares += ((there(w) - here(w)) ** 2).sum(1)
        largest = torch.maximum(largest, (squares / samples * x.shape[1]).sqrt() / h)
    return largest


def _displacements(x: Tensor, h: Tensor) -> list[Tensor]:
    """Random displacements of each state, of the lengths h (B,)."""
    return [_directions(x, k) * h.unsqueeze(1) for k in range(SAMPLES)]


def _directions(x: Tensor, seed: int) -> Tensor:
    """A random unit vector, the same for every state, so that a state's figures do not depend on its batch."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(x.shape[1], generator=generator, dtype=torch.float64)
    return (v / v.norm()).to(x).expand_as(x)


def unmoved(held: Held, x: Tensor, dense: bool) -> Assessed:
    """States x (B, n), assessed where they are: a step to refine one would lead along the manifold that it is on."""
    F = held.velocity(x)
    noise = rounding(held, x, F)
    near = assess(held, x, dense)
    unbounded = torch.full_like(noise, torch.inf)
    return dataclasses.replace(near, x=x, F=F, q=q_of(F), noise=noise, error_bound=unbounded, index=0 * noise)


def belongs(held: Held, x: Tensor, F: Tensor, points: Assessed, same_input: Tensor, near: float) -> Tensor:
    """Whether (A, B) the states x (A, n), zeros of F but for rounding, are the points, where ``same_input`` (A, B).

    A point without a bound and a state farther than ``near`` from it are not one.
    """
    if not len(points) or not len(x):
        return torch.zeros(len(x), len(points), dtype=torch.bool, device=x.device)
    error = vector_norm(F, dim=1) + rounding(held, x, F)
    apart = distances(x, points.x, held.system.periods)
    none = torch.isinf(points.error_bound)
    reach = torch.where(none, 0.0, points.error_bound + 2 * points.inverse_norm * error.unsqueeze(1))
    same = (apart <= reach) & same_input
    for j in none.nonzero().squeeze(1).tolist():
        rows = (same_input[:, j] & ~same[:, j] & (apart[:, j] <= near)).nonzero().squeeze(1)
        same[rows, j] = joined(held[rows], points.x[j : j + 1], x[rows])
    return same


def overlap(apart: Tensor, bounds: Tensor, others: Tensor) -> Tensor:
    """Whether error bounds meet over these distances; where there is none nothing does."""
    return apart <= torch.where(torch.isfinite(bounds), bounds, 0.0) + torch.where(torch.isfinite(others), others, 0.0)


def joined(held: Held, a: Tensor, x: Tensor) -> Tensor:
    """Where (A,) F is zero to rounding all along the way from a (A or 1, n) to x (A, n)."""
    found = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for share in SHARES if len(x) else ():
        between = a + share * nearest(x - a, held.system.periods)
        found &= is_zero(held, between, held.velocity(between), JOINED)
    return found
