"""Manifolds of marginal fixed points, traced from one of their points.

A line attractor has a fixed point everywhere along it, so that a search meets hundreds, each with a Jacobian that is
singular along the line. One of them tells of the whole: from it the line is walked
(``dynsys.continuous_attractors.continuation``) to where it ends, leaves the reachable states or closes, and the others
are found to lie on it. A marginal point beside which there are no zeros, as at a fold, stays what it is. So does a
curve along which F is small, but not zero to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.continuous_attractors.continuation import NULL, SAME, WALK, End, Place, Walker
from dynsys.continuous_attractors.manifold import REPRESENTATIVES, Manifold, spread
from dynsys.numerics.eigenvalues import eigvals
from dynsys.numerics.rounding import EPS, rate
from dynsys.stability.spectrum import excess
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System

LEAST_EXTENT = 0.02  # in units of the state, beneath which it is no line but one point that float64 cannot place
FARTHEST = 10.0  # in units of the state, walked where no box ends a line
FARTHEST_OF_SURFACE = 5.0  # the same in each direction of a surface: half round a sphere as large as a usual state
FARTHEST_OF_MORE = 2.0  # and of more dimensions; what lies farther is reached when it is asked for
HALVINGS = 80  # of the last step before an end
MOST_STEPS = 2000
OPERATIONS = 2e11  # of one trace, by which the steps of a large system are limited
LEAST_STEPS = 40
OF_TERMS = 1e4  # units in the last place of the terms that cancel in a component of F, beneath which it is zero
DIRECTIONS = 4  # walked on a plane, besides two for each dimension
TOWARDS = 100  # steps on a manifold towards a state that may lie on it
MOST_TRACES = 64  # of one search
BESIDE, WAYS = 1e-3, 32  # in units of the state, and directions, in which a point on a kink may have more tangents
DENSE_LIMIT = 2048  # units, up to which marginal points are traced
BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Traced(Manifold):
    """One that was walked, with all ``places`` met."""

    walker: Walker = field(repr=False)
    places: Place = field(repr=False)

    def holds(self, x: Tensor) -> Tensor:
        """Whether (B,) each of the fixed points x (B, n) lies on it: a walk on the manifold comes to it."""
        n, d = self.places.T.shape[1:]
        together = max(1, BATCH_BYTES // (8 * (n + d) ** 2))
        parts = []
        for some in torch.split(x, together):
            nearest = torch.cdist(some, self.places.x).argmin(dim=1)
            parts.append(self.walker.reaches(self.places[nearest], some, TOWARDS if d > 1 else 2))
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)

    def _size(self) -> str:
        """A surface is followed in some directions only, and its corners lie in others."""
        return super()._size() if self.dimension == 1 else f"followed over {self.extent:.4g}"


@dataclass(frozen=True, eq=False)
class Manifolds:
    """Those among k marginal points: ``membership`` (k,) numbers each point's, -1 for an isolated one.

    ``left_out`` says what was not looked at.
    """

    found: list[Traced]
    membership: NDArray[np.int64]
    left_out: list[str]


def manifolds(
    system: System,
    states: Tensor,
    groups: Sequence[int],
    inputs: Tensor,
    unit: float,
    most_traces: int = MOST_TRACES,
    on_kink: Sequence[int] = (),
) -> Manifolds:
    """The manifolds on which the marginal fixed points ``states`` (k, n) lie, each under ``inputs[groups]``; those of
    the numbers ``on_kink`` are on kinks.

    ``unit`` is the usual size of a state, which may be next to nothing where most trajectories end at zero; of points
    farther out their own distance counts.
    """
    found: list[Traced] = []
    membership = np.full(len(states), -1, dtype=np.int64)
    if system.n_state > DENSE_LIMIT and len(states):
        left = f"whether {len(states)} marginal points form lines: not traced above {DENSE_LIMIT} units"
        return Manifolds(found, membership, [left])
    waiting, traces = list(range(len(states))), 0
    while waiting and traces < most_traces:
        first, *waiting = waiting
        group, traces = groups[first], traces + 1
        size = max(unit, float(states[first].norm()))
        x, held = states[first : first + 1], Held(system, inputs[group : group + 1], size)
        manifold = trace(held, _widest(held, x) if first in on_kink else x, group)
        if manifold is None:
            continue
        mine = torch.tensor([i for i in waiting if groups[i] == group], dtype=torch.long)
        membership[[first, *mine[manifold.holds(states[mine]).cpu()].tolist()]] = len(found)
        found.append(manifold)
        waiting = [i for i in waiting if membership[i] < 0]
    left_out = [f"whether {len(waiting)} of {len(states)} marginal points form lines"] if waiting else []
    return Manifolds(found, membership, left_out)


def trace(held: Held, x: Tensor, group: int = 0) -> Traced | None:
    """The manifold of fixed points through the marginal fixed point x (1, n); None where it has no others beside it."""
    walker = Walker(held)
    U, S, V = walker.singular_values(x)
    F = held.velocity(x)
    if not bool(torch.isfinite(S).all()) or not bool(walker.is_zero(x, F)):
        return None
    scale = max(float(S[-1]), float(rate(held, x, F)))
    for d in range(int((NULL * scale >= S).sum()), 0, -1):
        start = Place(x, V[:, :d].unsqueeze(0), U[:, :d].unsqueeze(0))
        manifold = _curve(walker, start, group) if d == 1 else _surface(walker, start, group)
        if manifold is not None and _vanishes(walker, manifold.representatives):
            return manifold
    return None


def _widest(held: Held, x: Tensor) -> Tensor:
    """Of x (1, n), on a kink, and the zeros beside it that with most null directions: x may be at the edge of a plane,
    and its Jacobian that of the other side.
    """
    walker, generator = Walker(held), torch.Generator().manual_seed(0)
    v = torch.randn(WAYS, x.shape[1], generator=generator, dtype=torch.float64).to(x)
    v *= BESIDE * held.unit / v.norm(dim=1, keepdim=True)
    _, S, Vh = torch.linalg.svd(held.expand(WAYS).jacobian(x + v))
    steepest = NULL * S.max()
    along = (Vh.mT @ ((steepest >= S).unsqueeze(2) * (Vh @ v.unsqueeze(2)))).squeeze(2)
    beside = torch.cat([x, x + along])
    held = held.expand(len(beside))
    zero = walker.is_zero(beside, held.velocity(beside))
    null = (torch.linalg.svdvals(held.jacobian(beside)) <= steepest).sum(1)
    best = int(torch.where(zero, null, -1).argmax())
    return beside[best : best + 1]


def _vanishes(walker: Walker, x: Tensor) -> bool:
    """Whether every component of F vanishes at the states x (m, n), to the rounding of its own terms.

    The norm of F alone would not tell where variables have very different units, as the largest hides the others. The
    terms are those of all the states, as a row of J may vanish at one of them where large terms cancel.
    """
    held = walker.held.expand(len(x))
    terms = (held.jacobian(x).abs() @ x.abs().unsqueeze(2)).squeeze(2).amax(dim=0)
    return bool((held.velocity(x).abs() <= OF_TERMS * EPS * terms).all())


def _curve(walker: Walker, start: Place, group: int) -> Traced | None:
    steps, t = _most_steps(start), start.T[0, :, 0]
    farthest = FARTHEST * walker.held.unit if walker.held.system.box(walker.held.u) is None else float("inf")
    ahead, end = walker.walk(start, t, farthest, steps)
    ahead += _end(walker, [start, *ahead], t) if end is End.BLOCKED else []
    ends, behind = {end}, list[Place]()
    if end is not End.CLOSED:
        behind, end = walker.walk(start, -t, farthest, steps)
        behind += _end(walker, [start, *behind], -t) if end is End.BLOCKED else []
        ends.add(end)
    path = Place.joined([*reversed(behind), start, *ahead])
    lengths = _arcs(path, closed=End.CLOSED in ends)
    if float(lengths.sum()) < LEAST_EXTENT * walker.held.unit:
        return None
    ended = "half-line" if End.FAR in ends else "segment"
    kind = "ring" if End.CLOSED in ends else ended if End.BLOCKED in ends else "line"
    chosen = _along(walker, path, lengths, closed=kind == "ring")
    return _manifold(walker, path, chosen, kind, float(lengths.sum()), ends, group)


def _end(walker: Walker, path: list[Place], direction: Tensor) -> list[Place]:
    """The last zero straight ahead of a path whose steps became too short: an end, as on a kink, to rounding."""
    here = path[-1]
    t = here.x[0] - path[-2].x[0] if len(path) > 1 else direction
    t = here.T[0] @ (here.T[0].mT @ t)
    t = t / t.norm()

    def good(x: Tensor) -> bool:
        on_it = bool(walker.is_zero(x, walker.held.velocity(x)))
        return on_it and bool(walker.held.is_inside(x)) and _vanishes(walker, x)

    low, high = 0.0, 2 * WALK.shortest_step * walker.held.unit
    if good(here.x + high * t):
        return []
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if good(here.x + middle * t) else (low, middle)
    return [Place(here.x + low * t, here.T, here.A)] if low > 0 else []


def _arcs(path: Place, closed: bool) -> Tensor:
    """The lengths (m,) of the arcs between neighbours, each a circle's by its chord and the angle of its tangents."""
    a, b = (path, path[torch.arange(1, len(path.x) + 1) % len(path.x)]) if closed else (path[:-1], path[1:])
    cosine = (a.T[:, :, 0] * b.T[:, :, 0]).sum(1).abs()
    angle = torch.arccos(cosine.clamp(max=1.0))
    return (b.x - a.x).norm(dim=1) / torch.sinc(angle / (2 * torch.pi))


def _along(walker: Walker, path: Place, lengths: Tensor, closed: bool) -> Tensor:
    """States (m, n) at even distances along a curve, both ends among them where it has any."""
    s = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    total = float(s[-1])
    targets = torch.linspace(0, total, REPRESENTATIVES + closed, dtype=s.dtype, device=s.device)[:REPRESENTATIVES]
    nearest = (targets.unsqueeze(1) - s[: len(path.x)]).abs().argmin(dim=1)
    places, beyond = path[nearest], targets - s[nearest]
    there, good = walker.corrected(places.x + beyond.unsqueeze(1) * places.T[:, :, 0], places)
    return torch.where(good.unsqueeze(1), there.x, places.x)


def _surface(walker: Walker, start: Place, group: int) -> Traced | None:
    """All directions among its tangents lead on, or it is no manifold of that dimension."""
    d, generator = start.T.shape[2], torch.Generator().manual_seed(0)
    steps, farthest = _most_steps(start), (FARTHEST_OF_SURFACE if d == 2 else FARTHEST_OF_MORE) * walker.held.unit
    met, ends = [start], set[End]()
    random = torch.randn(d + DIRECTIONS, d, generator=generator, dtype=torch.float64).to(start.x)
    for a in torch.cat([torch.eye(d).to(random), random]):
        t = start.T[0] @ (a / a.norm())
        way: list[Place] = []
        for direction in (t, -t):
            path, end = walker.walk(start, direction, farthest, steps)
            way += path
            ends.add(end)
            if end is End.CLOSED:
                break
        if not way or float((Place.joined(way).x - start.x).norm(dim=1).max()) < LEAST_EXTENT * walker.held.unit:
            return None
        met += way
    places = Place.joined(met)
    chosen, extent = spread(places.x)
    kind = _shape(walker, places, ends) if d == 2 else f"{d}-dimensional"
    return _manifold(walker, places, chosen, kind, extent, ends, group)


def _shape(walker: Walker, places: Place, ends: set[End]) -> str:
    """Of a surface: flat to rounding, closed in every direction walked, or neither."""
    values = torch.linalg.svdvals(places.x - places.x.mean(dim=0))
    if len(values) < 3 or float(values[2]) <= SAME * walker.held.unit:
        return "plane"
    return "closed surface" if ends == {End.CLOSED} else "surface"


def _manifold(
    walker: Walker, places: Place, chosen: Tensor, kind: str, extent: float, ends: set[End], group: int
) -> Traced:
    d = places.T.shape[2]
    n_unstable, leading = _across(walker, chosen, d)
    whole, goes_on = End.BUDGET not in ends, End.FAR in ends
    period = walker.held.system.k if isinstance(walker.held.system, Iterated) else 1
    return Traced(
        d, kind, chosen, extent, n_unstable, leading, whole, goes_on, group, n_unstable, period, walker, places
    )


def _across(walker: Walker, x: Tensor, d: int) -> tuple[int, complex]:
    """Unstable directions and leading eigenvalue of the modes across a manifold of dimension d; NaN without any."""
    system, n = walker.held.system, x.shape[1]
    J = walker.held.expand(len(x)).jacobian(x)
    values = eigvals(J.cpu())
    across = values.gather(1, values.abs().argsort(dim=1)[:, d:])  # those along it are the d nearest to zero
    if across.shape[1] == 0:
        return 0, complex("nan")
    across = across + 1 if system.kind is Kind.MAP else across
    beyond = excess(across, system.kind)
    noise = 8 * EPS * n * J.norm(dim=(1, 2)).cpu().unsqueeze(1)
    leading = across.flatten()[beyond.argmax()]
    return int((beyond > noise).sum(dim=1).max()), complex(leading)


def _most_steps(start: Place) -> int:
    n = start.x.shape[1]
    return int(min(MOST_STEPS, max(LEAST_STEPS, OPERATIONS / (4 * n**3))))
