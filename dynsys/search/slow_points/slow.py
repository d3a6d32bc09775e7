"""Slow points: local minima of q that are not zero (Sussillo & Barak 2013), within the states that can be reached.

There grad q = J^T F vanishes while F does not, so J is singular, Newton's method on F fails, and the full Hessian of q
(its second term included) decides. A minimum on the boundary of the reachable box counts, with the bounds that hold it.

Newton's method leaps away from slow points, and so does a reduction that has the same zeros only. So besides the slow
states that a search ends at, its starts are looked at again: those that are slow themselves, or come to where the
system is slow by its own motion, far from every point found; and where many were lost, some of those.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import is_zero, rate
from dynsys.numerics.threads import in_order
from dynsys.search.landing import Rejection, accepted
from dynsys.search.slow_points.constrained import NEARLY_ZERO, lowered
from dynsys.search.slow_points.minimum import GRADIENT_TOLERANCE, TRUST_LIMIT, Minimum, descend_to_minimum, minimum_at
from dynsys.search.slow_points.projected_newton import newton_in_box
from dynsys.search.slow_points.slow_manifold import along_slow_manifold
from dynsys.systems.angles import distances, nearest, wrapped
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, q_of, speed
from dynsys.systems.system import System
from dynsys.trajectories.simulate import relax

MOST_FOLLOWED = 64  # slow states followed to their minimum, the slowest first
MOST_FOLLOWED_LARGE = 16  # the same above TRUST_LIMIT, where each takes seconds
MOST_SEEN = 1024  # starts remembered for a second look
LOST_SHARE = 0.05  # of the starts: fewer that lead nowhere are not looked at again
SECOND_LOOKS, SECOND_LOOKS_LARGE = 64, 8  # starts that are let go on their own, and as many lost ones looked at again
RELAXING, RELAXING_STEP = 30, 0.2  # steps for which they go, and their length for a flow, in its time constants
STEPS, STEPS_LARGE = 60, 30  # in which they are brought down together
NEWTON_STEPS, NEWTON_STEPS_LARGE = 60, 12  # and from there to the minimum
TOGETHER, ENTRIES = 512, 2**21  # slow states lowered at once, and the entries of their Jacobians
ALONG = 2**20  # entries of the Jacobians of states that are followed along a slow manifold
LED_TOGETHER = 1e-9  # in units of the state: states led to zeros this near to each other were led to one
NEAR = 1e-3  # in units of the state: a slow state this near to a minimum already followed is not followed again
ARRIVING = 1e-2  # in units of the state: a slow state this near to a known point is taken to be on its way there
HALVINGS = 24  # of the way to a known point, at which it is seen whether q falls all along
FAR = 0.1  # in units of the state: a slow start this far from every point may be at a slow point


@dataclass(frozen=True)
class _State:
    """A state (1, n) to be followed; ``counted`` tells whether what became of its start has been said already."""

    x: Tensor
    group: int
    counted: bool


@dataclass
class Minima:
    """The slow states that a search met, and the distinct local minima of q that they lead to."""

    system: System
    inputs: Tensor  # (G, n_input)
    unit: float
    slow_q: float
    within_reach: Callable[[Tensor, Tensor], Tensor]  # which states (B, n), by the inputs (B,) that they belong to
    workers: int = 1
    points: list[Minimum] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    zeros: list[tuple[Tensor, int]] = field(default_factory=list)  # minima whose velocity cannot be told from zero
    _waiting: list[_State] = field(default_factory=list)
    _seen: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def add(self, x: Tensor, groups: Tensor) -> None:
        """Remember slow states x (B, n), to be followed when the search for zeros is over."""
        self._waiting += [_State(x[i : i + 1], int(groups[i]), False) for i in range(len(x))]

    def consider(self, x: Tensor, groups: Tensor, lost: Tensor) -> None:
        """Remember starts x (B, n) that knew nothing of the points, and which of them (B,) led to none."""
        room = MOST_SEEN - sum(len(seen) for seen, _, _ in self._seen)
        if room > 0:
            self._seen.append((x[:room], groups[:room], lost[:room]))

    def follow(
        self, progress: Callable[[int, int], None], known: Tensor, known_groups: Sequence[int]
    ) -> Counter[Rejection]:
        """Follow the states to their minima; returns the count of those that lead to no slow point, by reason.

        ``known`` (k, n) are the fixed points found, each under the input ``known_groups``.
        """
        rejected: Counter[Rejection] = Counter()
        most = MOST_FOLLOWED if self.system.n_state <= TRUST_LIMIT else MOST_FOLLOWED_LARGE
        followed: list[tuple[Tensor, int]] = []
        waiting = self._lowered() + self._second_looks(known, torch.tensor(known_groups, device=known.device))
        for i, state in enumerate(waiting):
            if any(g == state.group and self._apart(state.x, y) <= NEAR * self.unit for y, g in followed):
                continue
            if len(followed) >= 2 * most:
                rejected[Rejection.NOT_FOLLOWED] += not state.counted
                continue
            minimum = self._minimum(state)
            minimum = dataclasses.replace(minimum, x=wrapped(minimum.x, self.system.periods))
            followed += [(state.x, state.group), (minimum.x, state.group)]
            here = [row for row, group in enumerate(known_groups) if group == state.group]
            if self._falls_to(known[here], minimum.x, state.group):
                continue
            reason = self._judge(minimum, state.group)
            if reason is not None and not state.counted:
                rejected[reason] += 1
            progress(i + 1, len(waiting))
        return +rejected

    def _lowered(self) -> list[_State]:
        """The waiting states, slowest first; of a small system all are lowered together, as many lead to one place."""
        if not self._waiting:
            return []
        x = torch.cat([state.x for state in self._waiting])
        groups = torch.tensor([state.group for state in self._waiting], device=x.device)
        order = torch.arange(len(x), device=x.device)
        if self.system.n_state <= TRUST_LIMIT:
            x = self._finished(self._down(x, groups), groups)
            order = order[~self._led_to_zeros(x, groups)]
        order = order[torch.argsort(speed(self._held(groups[order]), x[order]), stable=True)]
        return [_State(x[i : i + 1], int(groups[i]), self._waiting[i].counted) for i in order.tolist()]

    def _down(self, x: Tensor, groups: Tensor) -> Tensor:
        steps = STEPS if self.system.n_state <= TRUST_LIMIT else STEPS_LARGE
        rows = torch.split(torch.arange(len(x), device=x.device), self._together())

        def down(r: Tensor) -> Tensor:
            return lowered(self._held(groups[r]), x[r], self.slow_q, steps)

        return torch.cat(list(in_order(down, rows, self.workers)))

    def _finished(self, x: Tensor, groups: Tensor) -> Tensor:
        """Newton for those that are slow, and not all but at a zero, where it would have nothing to add."""
        held = self._held(groups)
        F = held.velocity(x)
        pace = rate(held, x, F)
        slow = (q_of(F) <= self.slow_q) & (F.norm(dim=1) > NEARLY_ZERO * pace * self.unit)
        x = x.clone()
        steps = NEWTON_STEPS if self.system.n_state <= TRUST_LIMIT else NEWTON_STEPS_LARGE
        for rows in torch.split(slow.nonzero().squeeze(1), self._together()):
            x[rows] = newton_in_box(held[rows], x[rows], steps)
        return x

    def _led_to_zeros(self, x: Tensor, groups: Tensor) -> Tensor:
        """Which of the slow states x (B, n) are at no minimum, but on a slow manifold on which there are zeros; those
        are kept.
        """
        slope = vector_norm(gradient(self._held(groups), x), dim=1)
        going = slope * self.unit > GRADIENT_TOLERANCE * speed(self._held(groups), x)
        rows = going.nonzero().squeeze(1)[: max(MOST_FOLLOWED, ALONG // self.system.n_state**2)]
        led = torch.zeros_like(going)
        for some in torch.split(rows, self._together()):
            held = self._held(groups[some])
            there = along_slow_manifold(held, x[some])
            zero = is_zero(held, there, held.velocity(there))
            zero, _ = accepted(held, there, zero & self.within_reach(there, groups[some]))
            led[some] = zero
            for i in zero.nonzero().squeeze(1).tolist():
                y, g = there[i : i + 1], int(groups[some[i]])
                if not any(g == group and self._apart(y, x) <= LED_TOGETHER * self.unit for x, group in self.zeros):
                    self.zeros.append((y, g))
        return led

    def _together(self) -> int:
        return max(8, min(TOGETHER, ENTRIES // self.system.n_state**2))

    def _second_looks(self, known: Tensor, known_groups: Tensor) -> list[_State]:
        """What starts lead to that no solver for zeros would show: slow states away from every point found."""
        x, groups = self._worth_a_look(known, known_groups)
        if len(x):
            x = self._down(x, groups)
            slow = speed(self._held(groups), x) <= self.slow_q
            slow &= self._away(x, groups, known, known_groups, ARRIVING)
            x, groups = x[slow], groups[slow]
        if len(x) == 0:
            return []
        x = self._finished(x, groups)
        left = self._away(x, groups, known, known_groups, NEAR).nonzero().squeeze(1)
        order = left[torch.argsort(speed(self._held(groups[left]), x[left]), stable=True)]
        return [_State(x[i : i + 1], int(groups[i]), True) for i in order.tolist()]

    def _worth_a_look(self, known: Tensor, known_groups: Tensor) -> tuple[Tensor, Tensor]:
        """States and their groups: some lost starts where they are many, and slow ones far from the known points."""
        if not self._seen:
            return self.inputs.new_zeros(0, self.system.n_state), torch.zeros(0, dtype=torch.long)
        x, groups, lost = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        most = SECOND_LOOKS if self.system.n_state <= TRUST_LIMIT else SECOND_LOOKS_LARGE
        again = lost.nonzero().squeeze(1)[:most] if float(lost.double().mean()) >= LOST_SHARE else groups[:0]
        some = torch.arange(min(most, len(x)), device=x.device)
        later = relax(Held(self.system, self.inputs[groups[some]]), x[some], RELAXING, RELAXING_STEP)[-1]
        moved, moved_groups = torch.cat([later, x]), torch.cat([groups[some], groups])
        slow = (speed(self._held(moved_groups), moved) <= self.slow_q) & torch.isfinite(moved).all(dim=1)
        slow &= self._away(moved, moved_groups, known, known_groups, FAR)
        rows = slow.nonzero().squeeze(1)[:most]
        return torch.cat([x[again], moved[rows]]), torch.cat([groups[again], moved_groups[rows]])

    def _away(self, x: Tensor, groups: Tensor, known: Tensor, known_groups: Tensor, far: float) -> Tensor:
        """Whether (B,) each state is farther than ``far`` from every known point of its input."""
        if len(known) == 0:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        near = (distances(x, known, self.system.periods) <= far * self.unit) & (groups.unsqueeze(1) == known_groups)
        return ~near.any(dim=1)

    def _minimum(self, state: _State) -> Minimum:
        """Where the state leads. Of a small system, and at a second look, all are all but there already; a large one is
        followed as far as it will go, and along the boundary of its box where that leaves it.
        """
        group = torch.tensor([state.group], device=state.x.device)
        held = self._held(group)
        if state.counted or self.system.n_state <= TRUST_LIMIT:
            return minimum_at(held, state.x)
        minimum = descend_to_minimum(held, state.x)
        if self._inside(minimum.x, state.group):
            return minimum
        return minimum_at(held, self._finished(self._down(state.x, group), group))

    def _falls_to(self, known: Tensor, x: Tensor, group: int) -> bool:
        """Whether q falls all the way from x (1, n) straight to the nearest of the ``known`` points: x is no minimum,
        but a descent to that point has stopped short, as where |F| is of the size of the distance from zero.
        """
        if not len(known):
            return False
        ways = nearest(known - x, self.system.periods)
        way = ways[vector_norm(ways, dim=1).argmin()]
        shares = 2.0 ** -torch.arange(HALVINGS, dtype=x.dtype, device=x.device).unsqueeze(1)
        q = speed(self._held(slice(group, group + 1)).expand(HALVINGS + 1), torch.cat([x, x + shares * way]))
        return bool((q[1:] < q[0]).all() and (q[1:-1] <= q[2:]).all())

    def _inside(self, x: Tensor, group: int) -> bool:
        return bool(self.within_reach(x, torch.tensor([group], device=x.device)))

    def _held(self, groups: Tensor | slice) -> Held:
        return Held(self.system, self.inputs[groups], self.unit)

    def _judge(self, minimum: Minimum, group: int) -> Rejection | None:
        """Keep it as a point, or say why not. A zero is kept apart, for the catalogue."""
        held = self._held(slice(group, group + 1))
        if not self._inside(minimum.x, group):
            return Rejection.OUTSIDE
        if bool(is_zero(held, minimum.x, held.velocity(minimum.x))):
            zero, refused = accepted(held, minimum.x, torch.ones(1, dtype=torch.bool, device=held.u.device))
            if bool(zero):
                self.zeros.append((minimum.x, group))
            return next(iter(refused), None)
        if not minimum.is_stationary:
            return Rejection.NOT_CONVERGED
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
        return self._apart(a.x, b.x) <= sum(bounds)

    def _apart(self, x: Tensor, y: Tensor) -> float:
        return float(nearest(x - y, self.system.periods).norm())
