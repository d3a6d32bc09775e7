"""New starts made from the points found, which are closer to the points still missing than anything else known.

Where a network's memories make a pattern, midpoints and reflections complete it; lines through a point along the
directions in which it is slow or unstable lead to its neighbours; and states scattered between the points reach those
that no pattern tells of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.search.starts import states_in_box
from dynsys.systems.system import System

NEAR = 1e-3  # of the distance between its points, within which a start would only find a known point again
LINES, SCATTERED, THIN = 0.2, 0.2, 0.1  # shares of a round; what is left of it is for patterns
TRIED_PER_START = 4  # candidates looked at for each start that is made
STEPS = 16  # along a line, of which the minima of q are kept
DIRECTIONS = 4  # per point and round
MIDPOINT, REFLECTION, PARALLELOGRAM = 0, 1, 2

Codes = NDArray[np.int64]


@dataclass
class Closure:
    """A source of starts for one system and one held input u (1, n_input); it makes no pattern twice."""

    system: System
    u: Tensor
    rng: np.random.Generator
    fast: System  # the same in single precision where it has one: good enough to rank candidates
    _tried: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _scanned: int = 0  # points whose lines have been looked along
    _reflected: int = 0  # points whose mirror images have been tried

    def starts(self, known: Tensor, hits: list[int], n: int) -> Tensor:
        """At most n starts from the known points (k, n_state), each hit so many times so far."""
        if not len(known):
            return states_in_box(self.system, self.u, n, self.rng)
        parts = [
            self._mirrored(known),
            self._lines(known, round(LINES * n)),
            self._scattered(known, round(SCATTERED * n)),
            self._thin(known, hits, round(THIN * n)),
        ]
        x = torch.cat([*parts, self._patterns(known, max(n - sum(len(part) for part in parts), n // 4))])
        return x[torch.isfinite(x).all(dim=1)]

    def _mirrored(self, known: Tensor) -> Tensor:
        """-x of every point not mirrored before, where the origin is a fixed point: many networks are odd."""
        new, self._reflected = known[self._reflected :], len(known)
        size = known.norm(dim=1)
        if float(size.min()) > NEAR * float(size.max()):
            return known[:0]
        return -new[torch.cdist(-new, known).amin(dim=1) > NEAR * float(size.max())]

    def _speeds(self, x: Tensor) -> Tensor:
        if self.fast is not self.system:
            x = x.float()
        return self.fast.velocity(x, self.u.to(x.dtype).expand(len(x), -1)).norm(dim=1).double()

    def _patterns(self, known: Tensor, n: int) -> Tensor:
        """(a + b) / 2, 2 a - b and a + b - c, never the same twice; half of them the slowest, half at random."""
        codes = self._codes(len(known), TRIED_PER_START * n)
        if not len(codes):
            return known[:0]
        kind, a, b, c = (torch.as_tensor(part, device=known.device) for part in _decoded(codes))
        weight = torch.tensor([[0.5, 0.5, 0.0], [2.0, -1.0, 0.0], [1.0, 1.0, -1.0]]).to(known)[kind]
        x = weight[:, :1] * known[a] + weight[:, 1:2] * known[b] + weight[:, 2:] * known[c]
        apart = torch.cdist(x, known).amin(dim=1)
        new = (apart > NEAR * (known[a] - known[b]).norm(dim=1)).nonzero().squeeze(1)
        new = new[self._allowed(x[new])]
        by_speed = new[torch.argsort(self._speeds(x[new]), stable=True)]
        rest = by_speed[n // 2 :].cpu().numpy()
        others = self.rng.permutation(rest)[: n - n // 2]
        chosen = torch.cat([by_speed[: n // 2], torch.as_tensor(others, device=x.device, dtype=torch.long)])
        self._tried = np.union1d(self._tried, codes[chosen.cpu().numpy()])
        return x[chosen]

    def _codes(self, k: int, n: int) -> Codes:
        """Patterns not made before: all of them while they are few, else n drawn at random."""
        if k < 2:
            return np.zeros(0, dtype=np.int64)
        possible = k * (k - 1) // 2 * 3 + k * (k - 1) // 2 * max(k - 2, 0)
        if possible <= n:
            a, b = np.triu_indices(k, 1)
            pairs = [_encoded(MIDPOINT, a, b, a), _encoded(REFLECTION, a, b, a), _encoded(REFLECTION, b, a, a)]
            thirds = [_encoded(PARALLELOGRAM, a, b, np.full_like(a, c))[(a != c) & (b != c)] for c in range(k)]
            codes = np.concatenate([*pairs, *thirds])
        else:
            kind = self.rng.choice(3, n, p=[0.35, 0.4, 0.25])
            drawn = self.rng.integers(0, k, (3, n))
            a, b, c = drawn
            c = np.where(kind == PARALLELOGRAM, c, a)
            ordered = kind != REFLECTION
            a, b = np.where(ordered, np.minimum(a, b), a), np.where(ordered, np.maximum(a, b), b)
            distinct = (a != b) & ((kind != PARALLELOGRAM) | ((c != a) & (c != b)))
            codes = _encoded(kind, a, b, np.where(kind == PARALLELOGRAM, c, a))[distinct]
        return np.setdiff1d(codes, self._tried)

    def _allowed(self, x: Tensor) -> Tensor:
        """A pattern may lie outside the box, but not by more than the box is wide."""
        box = self.system.box(self.u)
        if box is None:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        low, high = box
        return ((x >= 2 * low - high) & (x <= 2 * high - low)).all(dim=1)

    def _lines(self, known: Tensor, n: int) -> Tensor:
        """From each point along +- its slowest and unstable directions: the minima of q beyond the point itself."""
        per_point = 2 * DIRECTIONS
        k = max(1, n // 4)  # each point's lines give a few minima
        rows = (self._scanned + torch.arange(min(k, len(known)))) % len(known)
        self._scanned += len(rows)
        origin = known[rows.to(known.device)]
        v = self._slow_directions(origin).flatten(0, 1)
        length = self._reach(known)
        s = length * torch.linspace(0.02, 1.0, STEPS, dtype=known.dtype, device=known.device)
        x = origin.repeat_interleave(per_point, dim=0).unsqueeze(1) + s[None, :, None] * v.unsqueeze(1)
        speed = self._speeds(x.flatten(0, 1)).view(len(v), STEPS)
        inner = speed[:, 1:-1]
        lowest = (inner <= speed[:, :-2]) & (inner <= speed[:, 2:])
        minima, slow = x[:, 1:-1][lowest], inner[lowest]
        return minima[torch.argsort(slow, stable=True)[:n]]

    def _slow_directions(self, x: Tensor) -> Tensor:
        """+- unit directions (B, 2 DIRECTIONS, n): after some steps of subspace iteration those along which F is least
        and greatest, with random ones among them.
        """
        B, n = x.shape
        d = min(DIRECTIONS, n)
        v = torch.as_tensor(self.rng.standard_normal((B, d, n))).to(x)
        held = self.u.expand(B * d, -1)
        states = x.repeat_interleave(d, dim=0)
        product = self.system.linearised(states, held)
        for _ in range(3):  # the flow itself, or the map, turns directions towards the slow and the unstable ones
            w = v.flatten(0, 1)
            w = w + 0.5 * product(w)
            v = torch.linalg.qr(w.view(B, d, n).mT)[0].mT.contiguous()
        v = v.repeat(1, -(-DIRECTIONS // d), 1)[:, :DIRECTIONS]
        return torch.cat([v, -v], dim=1)

    def _reach(self, known: Tensor) -> float:
        """How long a line is: as far as the points lie apart, or as the box is wide while there is only one."""
        spread = float(torch.cdist(known, known).max())
        box = self.system.box(self.u)
        width = float((box[1] - box[0]).norm()) if box is not None else 2.0 * (float(known.norm(dim=1).max()) + 1.0)
        return min(max(1.2 * spread, 0.1 * width), width) if len(known) > 1 else width

    def _scattered(self, known: Tensor, n: int) -> Tensor:
        """Half uniform in the box, half random weighted means of a few points with noise."""
        box = states_in_box(self.system, self.u, n - n // 2, self.rng)
        if len(known) < 3:
            return torch.cat([box, states_in_box(self.system, self.u, n // 2, self.rng)])
        which = torch.as_tensor(self.rng.integers(0, len(known), (n // 2, 3)), device=known.device)
        weights = torch.as_tensor(self.rng.dirichlet(np.ones(3), n // 2)).to(known)
        means = (weights.unsqueeze(2) * known[which]).sum(1)
        spread = known.std(dim=0, keepdim=True)
        noise = torch.as_tensor(self.rng.standard_normal(means.shape)).to(known)
        return torch.cat([box, means + 0.3 * spread * noise])

    def _thin(self, known: Tensor, hits: list[int], n: int) -> Tensor:
        """Around the points that were hit least, a third of the way to a random other point and with noise."""
        least = np.argsort(np.asarray(hits) + self.rng.uniform(0, 0.5, len(hits)))[: max(n, 1)]
        a = known[torch.as_tensor(np.resize(least, n), device=known.device)]
        b = known[torch.as_tensor(self.rng.integers(0, len(known), n), device=known.device)]
        spread = known.std(dim=0, keepdim=True) if len(known) > 1 else torch.ones_like(known[:1])
        noise = torch.as_tensor(self.rng.standard_normal(a.shape)).to(known)
        return a + (b - a) / 3 + 0.2 * spread * noise


BASE = 2**20  # more points than any search holds


def _encoded(kind: int | Codes, a: Codes, b: Codes, c: Codes) -> Codes:
    return ((np.asarray(kind, dtype=np.int64) * BASE + a) * BASE + b) * BASE + c


def _decoded(codes: Codes) -> tuple[Codes, Codes, Codes, Codes]:
    return codes // BASE**3, codes // BASE**2 % BASE, codes // BASE % BASE, codes % BASE
