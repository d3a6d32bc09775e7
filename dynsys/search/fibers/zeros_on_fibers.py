"""The crossings of directional fibers: where alpha is zero on the way from one point of a fiber to the next.

Between two points with known tangents the curve is taken for Hermite's cubic. What it shows is polished by Newton on F
and checked by its index: by Cramer's rule sign det J there is sign d alpha/ds times the sign of det [J, -c; t'], which
is the same all along the fiber (Katz & Reggia 2018, section III). So a crossing is never taken for another one that
Newton happens to reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from dynsys.numerics import hermite
from dynsys.numerics.bordered import sign_of_determinant
from dynsys.systems.system import System

ROUNDS = 3  # factorisations spent on a crossing at most
CHORDS = 3  # steps taken with each of them
POLISHED = 1e-13  # |F| per size of the state, at which no crossing needs another round
SETTLED = 1e-9  # |F| per usual size of a state, from which it counts as a zero
SAME = 1e-6  # of a usual state: two crossings of one fiber nearer than that are one
NEAR_MISS = 0.1  # of alpha's change over a step: nearer to zero than that, a minimum of |alpha| is tried as a zero
GRID = 33  # places of a step where the cubic is looked at


class Passage(NamedTuple):
    """Steps (E, ...) from z to q with tangents t and tangent, on which alpha changes sign or dips towards zero."""

    end: Tensor  # (E,) 2 * fiber, + 1 for the end that runs backwards
    side: Tensor  # (E,) the sign of det [J, -c; t']
    length: Tensor  # (E,)
    z: Tensor  # (E, n + 1)
    q: Tensor
    t: Tensor
    tangent: Tensor


class Met(NamedTuple):
    """One distinct crossing of a fiber; ``sense`` is the sign of d alpha/ds in the fiber's forward direction."""

    x: Tensor  # (n,)
    residual: float
    fiber: int
    sense: int
    is_start: bool


@dataclass
class Record:
    """The crossings of one batch of fibers: those that wait to be polished, and those entered, each once per fiber."""

    system: System
    u: Tensor  # (B, m) the input of each fiber
    size: float  # of a usual state
    waiting: list[Passage] = field(default_factory=list)
    met: list[Met] = field(default_factory=list)
    of_fiber: dict[int, list[int]] = field(default_factory=dict)  # places in ``met``

    @property
    def settled(self) -> float:
        """|F| beneath which a state counts as a zero."""
        return SETTLED * self.size

    def start(self, x: Tensor, fiber: int, sense: int) -> None:
        """A fiber that begins at a zero: coming back there is no news."""
        self._enter(Met(x, 0.0, fiber, sense, True))

    def look(self) -> list[int]:
        """Enter the crossings that wait; returns the fibers that came round to one they had, and so are loops."""
        if not self.waiting:
            return []
        steps = Passage(*map(torch.cat, zip(*self.waiting, strict=True)))
        self.waiting.clear()
        x, event, sense = located(steps)
        ends, reach, u = steps.end[event], steps.length[event], self.u[steps.end[event] // 2]
        zero, F, sign = self._polish(x, u)
        good = (F.norm(dim=1) <= self.settled) & ((zero - x).norm(dim=1) <= reach)
        good &= (sense == 0) | (sign == sense * steps.side[event])
        x = torch.where(good.unsqueeze(1), zero, x)
        residual = self.system.velocity(x, u).norm(dim=1)
        loops = []
        kept = good | (sense != 0)  # else alpha came near zero and turned
        forward = torch.where(ends % 2 == 0, sense, -sense)
        for k in kept.nonzero().squeeze(1).tolist():
            met = Met(x[k], float(residual[k]), int(ends[k]) // 2, int(forward[k]), False)
            again = self._known(met)
            if not again:
                self._enter(met)
            elif met.sense != 0 and any(other.sense == met.sense for other in again):
                loops.append(met.fiber)  # one end has gone round, or both have met
        return loops

    def _known(self, met: Met) -> list[Met]:
        places = self.of_fiber.get(met.fiber, [])
        if not places:
            return []
        apart = (torch.stack([self.met[i].x for i in places]) - met.x).norm(dim=1)
        return [self.met[places[k]] for k in (apart <= SAME * self.size).nonzero().squeeze(1).tolist()]

    def _enter(self, met: Met) -> None:
        self.of_fiber.setdefault(met.fiber, []).append(len(self.met))
        self.met.append(met)

    def _polish(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Newton from each x (K, n), every factorisation used for several steps: states, their F and sign det J."""
        F = self.system.velocity(x, u)
        for _ in range(ROUNDS):
            LU, pivots, _ = torch.linalg.lu_factor_ex(self.system.jacobian(x, u).mT)
            for _ in range(CHORDS):
                y = x - torch.linalg.lu_solve(LU, pivots, F.unsqueeze(2), adjoint=True).squeeze(2)
                G = self.system.velocity(y, u)
                better = (G.norm(dim=1) < F.norm(dim=1)).unsqueeze(1)
                x, F = torch.where(better, y, x), torch.where(better, G, F)
            if bool((F.norm(dim=1) <= POLISHED * (1 + x.norm(dim=1))).all()):
                break
        return x, F, sign_of_determinant(LU, pivots)


def located(steps: Passage) -> tuple[Tensor, Tensor, Tensor]:
    """The states (K, n) where alpha is zero, the step of each, and the sign of its change; 0 where it only came near.

    >>> one = torch.ones(1)
    >>> z, q, t = torch.tensor([[0.0, -1.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    >>> located(Passage(one, one, one, z, q, t, t))[0]
    tensor([[0.5000]])
    """
    parts = hermite.parts(steps.z, steps.q, steps.t, steps.tangent, steps.length)
    s = torch.linspace(0, 1, GRID, dtype=parts.dtype, device=parts.device)
    alpha = parts[:, :, -1] @ hermite.weights(s).T  # (E, GRID)
    alpha[:, 0], alpha[:, -1] = steps.z[:, -1], steps.q[:, -1]
    changes = (alpha[:, :-1] * alpha[:, 1:]) < 0
    event, cell = changes.nonzero(as_tuple=True)
    left, right = alpha[event, cell], alpha[event, cell + 1]
    where = s[cell] + left / (left - right) * (s[1] - s[0])
    least, at = alpha.abs().min(dim=1)
    dips = ~changes.any(dim=1) & (least < NEAR_MISS * (alpha.abs().amax(dim=1) - least))
    near = dips.nonzero().squeeze(1)
    event, where = torch.cat([event, near]), torch.cat([where, s[at[near]]])
    sense = torch.cat([torch.sign(right - left), torch.zeros_like(least[near])])
    return hermite.at(where, parts[event])[:, :-1], event, sense
