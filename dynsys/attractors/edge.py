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
    """For P pairs of memories: the shortest pushes (P, m) found, which lead to the other memory, their lengths (P,),
    infinite where none was found, and the slowest states (P, n) of their ways along the edge.
    """

    pushes: Tensor
    lengths: Tensor
    slowest: Tensor


@dataclass(frozen=True)
class Edges:
    """The edges between the stable points ``homes`` (k, n) of a system under one input u (1, m).

    A push is one of the state; ``dynsys.attractors.pulses`` has another kind. For developers: a kind of push says which
    states it leads to, how a normal of the edge there looks among pushes, and where to begin.
    """

    system: System
    homes: Tensor
    u: Tensor

    def step(self, x: Tensor, u: Tensor | None = None, h: float = STEP) -> Tensor:
        """One step of a map; of a flow one by Runge and Kutta."""
        u = self.u.expand(len(x), -1) if u is None else u
        F = self.system.velocity
        if self.system.kind is Kind.MAP:
            return x + F(x, u)
        a = F(x, u)
        b = F(x + h / 2 * a, u)
        c = F(x + h / 2 * b, u)
        return x + h / 6 * (a + 2 * b + 2 * c + F(x + h * c, u))

    def reached(self, start: Tensor, push: Tensor) -> Tensor:
        """The states (B, n) to which pushes lead from states (B, n)."""
        return start + push

    def finely(self, start: Tensor, push: Tensor) -> Tensor:
        """The same without an error that counts."""
        return self.reached(start, push)

    @property
    def width(self) -> int:
        """Of a push."""
        return self.homes.shape[1]

    def pulled(self, start: Tensor, push: Tensor, normal: Tensor) -> Tensor:
        """A direction among pushes, of any length, along which the states reached move along the normal (B, n) most."""
        return normal

    def first(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Unit directions (P, m), and lengths (P,) at which the target is reached; infinite where none is known."""
        away = self.homes[pairs[:, 1]] - self.homes[pairs[:, 0]]
        length = vector_norm(away, dim=1)
        return away / length.unsqueeze(1), length

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
        direction, reach = self.first(pairs)
        known = torch.isfinite(reach)
        slowest = torch.full((len(pairs), self.homes.shape[1]), torch.nan, dtype=self.homes.dtype)
        found = torch.full_like(direction, torch.nan), torch.full_like(reach, torch.inf), slowest
        if bool(known.any()):
            best = self._shortest(self.homes[pairs[known, 0]], pairs[known, 1], direction[known], reach[known])
            for whole, part in zip(found, best, strict=True):
                whole[known] = part
        return Pushes(*found)

    def _shortest(
        self, start: Tensor, target: Tensor, direction: Tensor, length: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
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
        return length.unsqueeze(1) * direction, length, slowest

    def _ends(self, start: Tensor, pushes: Tensor) -> Tensor:
        """(P, L) the homes at which pushes (P, L, m) from states (P, n) end."""
        each = start.repeat_interleave(pushes.shape[1], 0)
        return self.home(self.reached(each, pushes.flatten(0, 1))).view(pushes.shape[:2])

    def _sectioned(self, start: Tensor, direction: Tensor, target: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """On each ray a length just below and one at which the target is reached; it is known to be at ``high``."""
        low, high = torch.zeros_like(high), high.clone()
        share = torch.arange(1, SECTIONS + 1, dtype=high.dtype) / (SECTIONS + 1)
        for _ in range(ROUNDS):
            lengths = low.unsqueeze(1) + (high - low).unsqueeze(1) * share
            there = self._ends(start, lengths.unsqueeze(2) * direction.unsqueeze(1)) == target.unsqueeze(1)
            first = torch.where(there.any(1), there.int().argmax(1), SECTIONS)
            ends = torch.cat([low.unsqueeze(1), lengths, high.unsqueeze(1)], 1)
            low, high = (ends.gather(1, (first + k).unsqueeze(1)).squeeze(1) for k in (0, 1))
        return low, high

    def _normal(self, start: Tensor, direction: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Of the edge that the push crosses, outward (P, n), and the slowest state of the way beside it."""
        x, y = (self.reached(start, length.unsqueeze(1) * direction) for length in (high, low))
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
        w = self.pulled(start, high.unsqueeze(1) * direction, w)
        w = w / vector_norm(w, dim=1, keepdim=True).clamp_min(1e-300)
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
        there = self._ends(start, lengths.unsqueeze(2) * rays) == target.unsqueeze(1)
        best, which = torch.where(there, lengths, torch.inf).min(1)
        better = best < length
        kept = torch.where(better.unsqueeze(1), rays[torch.arange(len(rays)), which], direction)
        return kept, torch.where(better, best, length)
