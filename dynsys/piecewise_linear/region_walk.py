"""From region to region of a piecewise-linear system: solve, go where the solution lies, and again.

After SCYFI (Eisenmann, Monfared, Goering & Durstewitz 2023, *Bifurcations and loss jumps in RNN training*): where the
solution lies in its own region, it is a zero. What region follows which is fixed, so no region is ever solved twice:
a start that comes to a known one has the fate of those before it. This finds zeros and does not prove that there are
no others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.systems.pieces import Pieces

ROUND = 256  # starts
QUIET = 1024  # starts without a new zero after which it is over, or as many as it took to find the last one
NEAR = 1e-9  # of the largest preactivation: a wrong sign this small is left to the exact judge
CHUNK = 2**22  # numbers in the matrices of one batch
FLIPPED = 3  # units at most in a start beside a known zero


class Wanderer:
    """Goes from region to region; ``found`` are patterns whose zero may lie in them, ``solved`` counts regions."""

    def __init__(self, pieces: Pieces, seed: int) -> None:
        self.pieces, self.rng = pieces, np.random.default_rng(seed)
        self.found: list[NDArray[np.bool_]] = []
        self._seen: set[bytes] = set()

    @property
    def solved(self) -> int:
        return len(self._seen)

    def run(self, first: Tensor, budget: int, progress: Callable[[float], None] = lambda share: None) -> bool:
        """From the patterns ``first`` (B, m), then from others, until discovery is flat or ``budget`` regions solved.

        Discovery is flat after ``QUIET`` starts without anything new, and after as many as were needed to find the last
        zero. Returns whether it was.
        """
        starts, last = 0, 0
        waiting = first.cpu().numpy()
        while starts - last < max(QUIET, last) or len(waiting):
            if self.solved >= budget:
                return False
            batch, waiting = waiting[:ROUND], waiting[ROUND:]
            known = len(self.found)
            self._follow(batch if len(batch) else self._starts(), budget)
            starts += ROUND
            last = starts if len(self.found) > known else last
            progress(max(self.solved / budget, (starts - last) / max(QUIET, last)))
        return True

    def _starts(self) -> NDArray[np.bool_]:
        """A third anywhere, with any share of active units; a third beside known zeros; a third between two of them."""
        m = self.pieces.n_units
        anywhere = self.rng.random((ROUND, m)) < self.rng.random((ROUND, 1))
        if not self.found:
            return anywhere
        known = np.array(self.found)
        one, other = (known[self.rng.integers(len(known), size=ROUND)] for _ in range(2))
        beside = one ^ (self.rng.random((ROUND, m)) < self.rng.integers(1, FLIPPED + 1, (ROUND, 1)) / m)
        between = np.where(self.rng.random((ROUND, m)) < 0.5, one, other)
        kind = np.arange(ROUND)[:, None] % 3
        return np.where(kind == 0, anywhere, np.where(kind == 1, beside, between))

    def _follow(self, patterns: NDArray[np.bool_], budget: int) -> None:
        """All the way to a zero, or to a region already seen."""
        while len(patterns := self._new(patterns)):
            patterns = patterns[: max(0, budget - self.solved)]
            self._seen.update(pattern.tobytes() for pattern in patterns)
            following = []
            together = max(1, CHUNK // ((self.pieces.n_state + self.pieces.n_units) * self.pieces.n_units))
            for some in torch.split(torch.as_tensor(patterns), together):
                after, stays = self._step(some)
                self.found += list(some[stays].numpy())
                following.append(after[~stays].numpy())
            patterns = np.concatenate(following) if following else patterns[:0]

    def _new(self, patterns: NDArray[np.bool_]) -> NDArray[np.bool_]:
        fresh = {pattern.tobytes(): pattern for pattern in patterns if pattern.tobytes() not in self._seen}
        return np.array(list(fresh.values())).reshape(-1, self.pieces.n_units)

    def _step(self, patterns: Tensor) -> tuple[Tensor, Tensor]:
        """The patterns at the zeros of the affine parts, and whether each may lie in its own region.

        A region whose part is singular stays what it is: what it holds is told by ``flats``.
        """
        A, b = self.pieces.affine(patterns)
        x, failed = torch.linalg.solve_ex(A, -b)
        singular = (failed != 0) | ~torch.isfinite(x).all(1)
        y = self.pieces.margins(torch.where(singular.unsqueeze(1), 0.0, x))
        wrong = torch.where(patterns, -y, y) > NEAR * y.abs().amax(1, keepdim=True)
        return y > 0, ~wrong.any(1) | singular
