"""Pseudo-arclength continuation: curves of zeros of H: R^(n+1) -> R^n, many at once, each by its own steps.

    predictor     p = z + h t + h^2/2 dt/ds      along the tangent t, and its change over the step before
    corrector     M d = -(H(q), 0)               chord steps from p at right angles to t, with M = [H'; t']
    step control  by the first correction, the contraction of those after it and the angle between two tangents
    orientation   the sign of det M, which only a branch point changes

M is regular where a curve turns back in one of the variables (Keller 1977; Allgower & Georg 1990, chapters 6 and 10).
The checks refuse leaps to another branch in practice; they are not a proof.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import pad

from dynsys.numerics import hermite
from dynsys.numerics.bordered import Factored, Workspace
from dynsys.numerics.newton import NewtonSettings, chord_newton

GOES_ON = -1


class Ending(enum.IntEnum):
    """How a curve ended."""

    CLOSED = 0
    LEFT = 1
    OUT_OF_STEPS = 2
    STUCK = 3
    BRANCH_POINT = 4
    RANGE = 5
    OTHER = 6

    @property
    def message(self) -> str:
        return _MESSAGES[self]


_MESSAGES = {
    Ending.CLOSED: "it came back to where it began",
    Ending.LEFT: "it left the states that can be reached",
    Ending.OUT_OF_STEPS: "it used up its steps",
    Ending.STUCK: "no step was short enough to be sure of the curve",
    Ending.BRANCH_POINT: "branch point",
    Ending.RANGE: "it came to the end of the range of its parameter",
    Ending.OTHER: "its problem has ended it",
}


@dataclass(frozen=True)
class ArclengthSettings:
    """How curves are followed; ``first_step``, ``shortest_step`` and ``longest_step`` are lengths of z.

    A step is taken if corrections contract (``newton``, whose lengths are of the step), the tangent turns by no more
    than ``turn`` radians and the orientation is kept, which may change over a step of ``branch_step`` at most, on which
    the tangent turns by ``branch_turn``. Where a step of one smooth curve leads from one tangent to the other, the
    chord lies between them: it may be ``straight`` radians off either, or else ``uneven`` of the turn. Otherwise the
    step is tried again at less than half its length. Steps are chosen such that the first correction, the contraction
    and the turn are what is ``aimed`` at.
    """

    first_step: float = 1e-2
    shortest_step: float = 1e-7
    longest_step: float = float("inf")
    max_steps: int = 2000  # tried, of each curve
    turn: float = 0.8
    branch_step: float = 0.0
    branch_turn: float = 0.1
    straight: float = float("inf")
    uneven: float = 0.8
    newton: NewtonSettings = field(default_factory=NewtonSettings)
    floor: float = 1e-10  # length of z, beneath which no correction counts
    aimed: tuple[float, float, float] = (0.075, 0.09, 0.4)
    growth: float = 2.0  # of the next step, at most
    shrinking: float = 0.45  # of a step refused, at most: no half, as what stands in the way is often half-way
    curved: bool = True  # whether steps are foreseen along a parabola, or else straight
    width: int = 64  # curves of a batch at once

    def scaled(self, unit: float) -> ArclengthSettings:
        """With lengths that were in this unit."""
        lengths = ("first_step", "shortest_step", "longest_step", "branch_step", "floor")
        return dataclasses.replace(self, **{name: unit * getattr(self, name) for name in lengths})


class Front(NamedTuple):
    """Where R curves stand, one row each."""

    curve: Tensor  # (R,) its number
    z: Tensor  # (R, n + 1)
    t: Tensor  # (R, n + 1) unit tangent, onwards
    bend: Tensor  # (R, n + 1) change of t per length over the step before
    h: Tensor  # (R,) length of the next step
    side: Tensor  # (R,) the sign of det [H'; t'], 0 where it is not known
    steps: Tensor  # (R,) tried

    @staticmethod
    def at(curve: Tensor, z: Tensor, t: Tensor, side: Tensor, h: float) -> Front:
        """Curves that begin at z with the tangents t."""
        return Front(
            curve, z, t, torch.zeros_like(t), torch.full_like(z[:, 0], h), side, torch.zeros_like(curve)
        )  # fmt: skip

    def rows(self, which: Tensor) -> Front:
        return Front(*(part[which] for part in self))


class Step(NamedTuple):
    """A step of R curves from ``before`` to ``after``, where it was ``taken`` (R,); ``lands`` where at its goal."""

    before: Front
    after: Front
    taken: Tensor
    lands: Tensor
    length: Tensor  # (R,) of the chord

    def passes(self, z0: Tensor, t0: Tensor, near: float = 0.05) -> Tensor:
        """Whether (R,) the curves go through z0 (R, n + 1) in the direction t0, within ``near`` of the step."""
        a, b = self.before, self.after
        start, end = (t0 * (a.z - z0)).sum(1), (t0 * (b.z - z0)).sum(1)
        found = self.taken & (start < 0) & (end >= 0) & (vector_norm(b.z - z0, dim=1) <= 2 * self.length)
        if not bool(found.any()):
            return found
        cubic = hermite.parts(a.z, b.z, a.t, b.t, self.length)
        off = vector_norm(hermite.at(start / (start - end), cubic) - z0, dim=1)
        return found & (off <= near * self.length) & ((t0 * b.t).sum(1) > 0)


class Problem(abc.ABC):
    """Curves H(z) = 0, of which H at a state of a curve is known by that curve's number.

    For developers: a new problem gives ``residual`` and ``derivative``, and says in ``after`` what it looks for on its
    curves and when they end. One that knows a cheaper way than LU of M gives ``bordered``; where that may be an M of
    another state and border, ``is_fresh`` is False.
    """

    is_fresh = True

    @abc.abstractmethod
    def residual(self, z: Tensor, curve: Tensor) -> Tensor:
        """H (R, n) at z (R, n + 1) of the curves (R,)."""

    @abc.abstractmethod
    def derivative(self, z: Tensor, curve: Tensor, out: Tensor) -> None:
        """Writes H' into ``out`` (R, n, n + 1)."""

    def product(self, z: Tensor, curve: Tensor, v: Tensor) -> Tensor:
        """H' v (R, n) for v (R, n + 1)."""
        out = z.new_empty(len(z), z.shape[1] - 1, z.shape[1])
        self.derivative(z, curve, out)
        return (out @ v.unsqueeze(2)).squeeze(2)

    def bordered(self, z: Tensor, curve: Tensor, border: Tensor) -> Factored:
        """M = [H'; border'] at z, ready to be solved with."""
        if not hasattr(self, "_memory"):
            self._memory = Workspace()
        M = self._memory.matrices(z)
        self.derivative(z, curve, M[:, :-1])
        M[:, -1] = border
        return self._memory.factorised(M)

    def tangent(self, z: Tensor, curve: Tensor, guess: Tensor, M: Factored, ok: Tensor) -> tuple[Tensor, Tensor]:
        """Unit tangents at z, near a guess, and the orientation (R,): by M of a state nearby; those that are ``ok``."""
        guess = M.tangent(guess)
        t = guess - M.solve(pad(self.product(z, curve, guess), (0, 1)))
        return t / vector_norm(t, dim=1, keepdim=True), M.side

    def goal(self, front: Front) -> Tensor | None:
        """The value (R,) of the last variable at which a step that would come to it ends."""
        return None

    def allows(self, step: Step) -> Tensor:
        """Whether (R,) what a step would come to is on the curve for all that the problem knows besides."""
        return torch.ones_like(step.taken)

    def after(self, step: Step) -> tuple[Front, Tensor]:
        """The front to go on from, and how curves ended (R,): an ``Ending``, or ``GOES_ON``."""
        return step.after, torch.full_like(step.after.curve, GOES_ON)


class Endings(NamedTuple):
    """Of N curves: an ``Ending`` (N,), the steps tried (N,), and how many of all were refused."""

    ending: Tensor
    steps: Tensor
    refused: int


def follow(problem: Problem, batches: Iterator[Front], n: int, settings: ArclengthSettings) -> Endings:
    """Follow ``n`` curves to their ends; they begin in the order of the batches, as there is room for them."""
    ending = torch.full((n,), GOES_ON)
    steps, refused, front = torch.zeros(n, dtype=torch.long), 0, None
    while True:
        while (front is None or len(front.curve) <= settings.width) and (fresh := next(batches, None)) is not None:
            front = fresh if front is None else Front(*map(torch.cat, zip(front, fresh, strict=True)))
        if front is None:
            return Endings(ending, steps, refused)
        step = advance(problem, front, settings)
        refused += int((~step.taken).sum())
        front, ended = problem.after(step)
        late = torch.where(front.steps >= settings.max_steps, int(Ending.OUT_OF_STEPS), GOES_ON)
        late = torch.where(front.h < settings.shortest_step, int(Ending.STUCK), late)
        ended = torch.where(ended == GOES_ON, late, ended)
        ending[front.curve], steps[front.curve] = ended.to(ending.device), front.steps.to(ending.device)
        going = ended == GOES_ON
        if not bool(going.any()):
            front = None
        elif not bool(going.all()):
            front = front.rows(going)


def advance(problem: Problem, front: Front, settings: ArclengthSettings) -> Step:
    """One step of every curve, or none where it would not be sure; the length of the next is in ``after``."""
    p, constraint, length, lands = _predicted(problem, front)
    M = problem.bordered(p, front.curve, front.t)

    held = None if constraint is None else constraint / (constraint * front.t).sum(1, keepdim=True)

    def solve(right: Tensor, q: Tensor, rows: Tensor) -> Tensor:
        some = None if len(rows) == len(p) else rows
        d = M.solve(pad(right, (0, 1)), some)
        if held is None:
            return d
        row, t = (held, front.t) if some is None else (held[some], front.t[some])
        return d - t * (row * d).sum(1, keepdim=True)

    floor = torch.full_like(length, settings.floor)
    q, ok, first, contraction = chord_newton(
        lambda q, rows: problem.residual(q, front.curve[rows]), solve, p, length, floor, settings.newton
    )
    guess = front.t + length.unsqueeze(1) * front.bend
    guess = guess / (guess * front.t).sum(1, keepdim=True)
    t, side = problem.tangent(q, front.curve, guess, M, ok)
    angle = _angle(front.t, t)
    chord = q - front.z
    size = vector_norm(chord, dim=1)
    ok &= torch.isfinite(t).all(dim=1) & _is_smooth(front, t, side, angle, chord / size.unsqueeze(1), size, settings)
    bend = (t - front.t) / size.unsqueeze(1) if settings.curved else front.bend
    after = front._replace(z=q, t=t, side=side, bend=bend, steps=front.steps + 1)
    ok &= problem.allows(Step(front, after, ok, lands, size))
    after = after._replace(h=_next_length(front.h, length, ok, first / length, contraction, angle, settings))
    return Step(front, _where(ok, after, front), ok, lands & ok, size)


def _predicted(problem: Problem, front: Front) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Where steps lead, rows (R, n + 1) along which no correction goes if not t, their lengths, and which land."""
    length, goal = front.h, problem.goal(front)
    lands = torch.zeros_like(length, dtype=torch.bool)
    if goal is not None:
        left = distance(front, goal)
        lands = left <= length
        length = torch.minimum(left, length)
    h = length.unsqueeze(1)
    p = front.z + h * front.t + 0.5 * h * h * front.bend
    if goal is None or not bool(lands.any()):
        return p, None if problem.is_fresh else front.t, length, lands
    p[:, -1] = torch.where(lands, goal, p[:, -1])
    last = torch.zeros_like(p)
    last[:, -1] = 1.0
    return p, torch.where(lands.unsqueeze(1), last, front.t), length, lands


def distance(front: Front, goal: Tensor) -> Tensor:
    """The length (R,) at which the last variable is at the goal, if curves go on bending as they do; else infinite."""
    a, b, c = 0.5 * front.bend[:, -1], front.t[:, -1], front.z[:, -1] - goal
    root = (b * b - 4 * a * c).clamp_min(0).sqrt()
    left = -2 * c / torch.where(b >= 0, b + root, b - root)
    return torch.where((b * b >= 4 * a * c) & (left >= 0), left, torch.inf)


def _is_smooth(
    front: Front, t: Tensor, side: Tensor, angle: Tensor, chord: Tensor, size: Tensor, settings: ArclengthSettings
) -> Tensor:
    """Whether (R,) the curve from the tangents of the front to t is that of one smooth branch."""
    kept = side == front.side
    good = (angle <= settings.turn) & (kept | ((size <= settings.branch_step) & (angle <= settings.branch_turn)))
    if settings.straight < torch.pi:
        off = torch.maximum(_angle(front.t, chord), _angle(chord, t))
        good &= off <= (settings.uneven * angle).clamp_min(settings.straight)
    return good


def _next_length(
    h: Tensor, length: Tensor, ok: Tensor, off: Tensor, contraction: Tensor, angle: Tensor, settings: ArclengthSettings
) -> Tensor:
    """The first correction grows with the square of a step, its contraction with the third power or so."""
    aimed_off, aimed_contraction, aimed_angle = settings.aimed
    factor = torch.minimum(aimed_angle / angle, (aimed_off / off) ** 0.5)
    factor = torch.minimum(factor, (aimed_contraction / contraction) ** (1 / 3)).nan_to_num(0.5)
    taken, failed = factor.clamp(0.5, settings.growth), factor.clamp(0.25, settings.shrinking)
    grown = torch.where(taken >= 1, torch.maximum(h, length) * taken, length * taken)
    return torch.where(ok, grown.clamp(max=settings.longest_step), length * failed)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """The angles (R,) between unit vectors, exact where they are small."""
    return 2 * torch.asin((0.5 * vector_norm(a - b, dim=1)).clamp(max=1.0))


def _where(which: Tensor, a: Front, b: Front) -> Front:
    """a where it is so, b elsewhere, but for the length of the next step and the number of steps, which are of a."""
    rows = which.unsqueeze(1)
    z, t, bend = (torch.where(rows, *pair) for pair in ((a.z, b.z), (a.t, b.t), (a.bend, b.bend)))
    return a._replace(z=z, t=t, bend=bend, side=torch.where(which, a.side, b.side))
