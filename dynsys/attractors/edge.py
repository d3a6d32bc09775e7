"""The least push of the state found that turns one memory into another: along a ray, then down along the edge.

On the ray from memory A to memory B a state is sought just beyond the edge of B's basin, by sections. The edge is the
stable manifold of a saddle: two states that straddle it follow each other there and part along the unstable mode.
Its normal is that parting, pulled back to the push by the transposed Jacobians of the way. A push no longer than its
neighbours is parallel to the normal, so the ray is turned towards it (the iteration of Hasofer & Lind 1974, in the form
of Rackwitz & Fiessler 1978) for as long as the push becomes shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.system import Kind, System

STEP = 0.2  # of a flow's time constant
STEPS = 600  # in which a start has to come home
NEAR = 1e-3  # of the distance between two memories: as near counts as home, where the memory attracts
SECTIONS, ROUNDS = 7, 9  # of a ray, each round an eighth of the one before
TURNS = ((1.0, 0.5, 0.2), (0.995, 0.97, 0.9, 0.75))  # how far the ray is turned, and lengths tried there
ITERATIONS = 8
WAY, PARTED = 200, 0.02  # steps that two states are followed, and of the distance of memories, when they have parted


@dataclass(frozen=True)
class Pushes:
    """For P pairs of memories: the states (P, n) that the shortest pushes found lead to, which end at the other memory,
    their lengths (P,), infinite where none was found, and the slowest states (P, n) of their ways along the edge.
    """

    states: Tensor
    lengths: Tensor
    slowest: Tensor


@dataclass(frozen=True)
class Edges:
    """The edges between the stable points ``homes`` (k, n) of a system under one input u (1, m)."""

    system: System
    homes: Tensor
    u: Tensor

    def step(self, x: Tensor) -> Tensor:
        """One step of a map; of a flow one by Runge and Kutta."""
        u = self.u.expand(len(x), -1)
        F = self.system.velocity
        if self.system.kind is Kind.MAP:
            return x + F(x, u)
        a = F(x, u)
        b = F(x + STEP / 2 * a, u)
        c = F(x + STEP / 2 * b, u)
        return x + STEP / 6 * (a + 2 * b + 2 * c + F(x + STEP * c, u))

    @property
    def unit(self) -> float:
        """The distance between the two nearest memories."""
        apart = torch.cdist(self.homes, self.homes)
        apart.fill_diagonal_(torch.inf)
        return float(apart.min())

    def home(self, x: Tensor) -> Tensor:
        """At which of the homes states (B, n) arrive, (B,); -1 where at none in ``STEPS``."""
        found = torch.full((len(x),), -1)
        left, near = torch.arange(len(x)), NEAR * self.unit
        for k in range(STEPS):
            if k % 4 == 0:
                distance, which = torch.cdist(x, self.homes).min(1)
                arrived = distance < near
                found[left[arrived]] = which[arrived]
                stays = ~arrived & torch.isfinite(distance)
                left, x = left[stays], x[stays]
                if not len(left):
                    break
            x = self.step(x)
        return found

    def pushes(self, pairs: Tensor) -> Pushes:
        """For pairs (P, 2) of numbers of homes, from the first to the second."""
        start, target = self.homes[pairs[:, 0]], pairs[:, 1]
        away = self.homes[target] - start
        length = vector_norm(away, dim=1)
        direction = away / length.unsqueeze(1)
        low, length = self._sectioned(start, direction, target, length)
        for _ in range(ITERATIONS):
            normal, _ = self._normal(start, direction, low, length)
            turned, shorter = self._turned(start, direction, normal, target, length)
            better = shorter < length
            if not bool(better.any()):
                break
            direction = torch.where(better.unsqueeze(1), turned, direction)
            b = torch.nonzero(better).squeeze(1)
            low[b], length[b] = self._sectioned(start[b], direction[b], target[b], shorter[b])
        _, slowest = self._normal(start, direction, low, length)
        return Pushes(start + length.unsqueeze(1) * direction, length, slowest)

    def _sectioned(self, start: Tensor, direction: Tensor, target: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """On each ray a length just below and one at which the target is reached; it is known to be at ``high``."""
        low, high = torch.zeros_like(high), high.clone()
        share = torch.arange(1, SECTIONS + 1, dtype=high.dtype) / (SECTIONS + 1)
        for _ in range(ROUNDS):
            lengths = low.unsqueeze(1) + (high - low).unsqueeze(1) * share
            states = start.unsqueeze(1) + lengths.unsqueeze(2) * direction.unsqueeze(1)
            there = (self.home(states.flatten(0, 1)) == target.repeat_interleave(SECTIONS)).view(-1, SECTIONS)
            first = torch.where(there.any(1), there.int().argmax(1), SECTIONS)
            ends = torch.cat([low.unsqueeze(1), lengths, high.unsqueeze(1)], 1)
            low, high = (ends.gather(1, (first + k).unsqueeze(1)).squeeze(1) for k in (0, 1))
        return low, high

    def _normal(self, start: Tensor, direction: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Of the edge that the push crosses, outward (P, n), and the slowest state of the way beside it."""
        x, y = (start + length.unsqueeze(1) * direction for length in (high, low))
        way, together, last = [x], [torch.ones(len(x), dtype=torch.bool)], x - y
        for _ in range(WAY):
            x, y = self.step(x), self.step(y)
            together.append(together[-1] & (vector_norm(x - y, dim=1) < PARTED * self.unit))
            way.append(torch.where(together[-1].unsqueeze(1), x, way[-1]))
            last = torch.where(together[-2].unsqueeze(1), x - y, last)
            if not bool(together[-1].any()):
                break
        h = 1.0 if self.system.kind is Kind.MAP else STEP
        w, u = last, self.u.expand(len(x), -1)
        for k in reversed(range(len(way) - 1)):
            back = w + h * self.system.transposed_product(way[k], u, w)
            w = torch.where(together[k].unsqueeze(1), back / vector_norm(back, dim=1, keepdim=True), w)
        outward = torch.where((w * direction).sum(1, keepdim=True) < 0, -w, w)
        speeds = torch.stack([vector_norm(self.system.velocity(state, u), dim=1) for state in way])
        slowest = torch.stack(way)[speeds.argmin(0), torch.arange(len(x))]
        return outward, slowest

    def _turned(
        self, start: Tensor, direction: Tensor, normal: Tensor, target: Tensor, length: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The best of some directions nearer to the normal, and a shorter length that reaches the target there."""
        turns, shares = (torch.tensor(each, dtype=start.dtype) for each in TURNS)
        rays = torch.lerp(direction.unsqueeze(1), normal.unsqueeze(1), turns[:, None])  # (P, turns, n)
        rays = rays / vector_norm(rays, dim=2, keepdim=True)
        rays = rays.repeat_interleave(len(shares), 1)
        lengths = length.unsqueeze(1) * shares.repeat(len(turns))
        states = start.unsqueeze(1) + lengths.unsqueeze(2) * rays
        there = self.home(states.flatten(0, 1)).view(lengths.shape) == target.unsqueeze(1)
        best, which = torch.where(there, lengths, torch.inf).min(1)
        better = best < length
        kept = torch.where(better.unsqueeze(1), rays[torch.arange(len(rays)), which], direction)
        return kept, torch.where(better, best, length)
