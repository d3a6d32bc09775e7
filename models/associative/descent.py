"""A net for any number of real patterns: descent of a scalar function that has a minimum at each (the lecture notes).

Each stored S_i has a level f_i, the same for the same target. The state descends f to rest, and the level there names
the target. The notes leave f open; here it is one of two, with r_i = |x - S_i|, d_ij = |S_i - S_j|:

    shepard      f(x) = sum_i w_i (f_i + k r_i^2) / sum_i w_i,  w_i = 1 / r_i^2
                 Hessian at S_i: 2 (k P + sum_{j != i} (f_j - f_i) / d_ij^2) times the identity
    paraboloids  f(x) = min_i (f_i + k r_i^2),  Hessian 2 k; S_i is where it says if k > max_ij (f_j - f_i) / d_ij^2

Shepard's f is smooth and may have minima besides the patterns: spurious ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.energy import Energy
from dynsys.models.associative.landscapes import FUNCTIONS
from dynsys.models.associative.patterns import Array, checked_rows, checked_states
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.system import Kind, System

ROOM = 2.0  # times the least k, where none is given
STEPS, REST = 20_000, 1e-10  # of a descent, and the gradient at its end over k times the least distance of patterns
ROUNDING = 1e-15  # of f, by which a step may seem to climb
EPS = float(np.finfo(np.float64).eps)


class PatternDescent(System):
    """Patterns S (P, n) with a target each, as the flow dx/dt = -grad f(x); its readout is f.

    ``levels`` (P,) are equal exactly where the targets are; without them the targets count from 0 in the order of
    their appearance. ``k`` is twice the least that makes every pattern a minimum where it is not given. Raises
    ValueError for patterns that are equal, levels that do not fit the targets, and a k below the least.
    """

    kind = Kind.FLOW
    name = "pattern-descent"
    title = "descent to patterns"
    equation = "dx/dt = -grad f(x), f with a minimum at each pattern"
    recurrent_weights = "S"
    n_output = 1
    box_is_trapping = True

    def __init__(
        self,
        S: Any,
        targets: Sequence[Hashable],
        levels: Any = None,
        *,
        function: str = "shepard",
        k: float | None = None,
    ) -> None:
        patterns = checked_rows(S, "S")
        if len(targets) != len(patterns):
            raise ValueError(f"there are {len(patterns)} patterns and {len(targets)} targets; each has its own")
        if function not in FUNCTIONS:
            raise ValueError(f"function is {function!r}; it can be {', '.join(FUNCTIONS)}")
        self.targets, heights = list(targets), _levels(targets, levels)
        squares = ((patterns[:, None] - patterns[None]) ** 2).sum(-1)
        twins = np.argwhere(np.triu(squares == 0, 1))
        if len(twins):
            raise ValueError(f"the patterns {twins[0].tolist()} (from 0) are one and the same; store it once")
        self._bowl, self.function, self._given = FUNCTIONS[function], function, k
        self.least_k = self._bowl.least(heights, squares)
        self.k = (ROOM * self.least_k or 1.0) if k is None else float(k)
        if not max(self.least_k, 0.0) < self.k < np.inf:
            raise ValueError(f"k is {k}; for every pattern to be a minimum of f it must be above {self.least_k:.6g}")
        self.S, self.levels = torch.as_tensor(patterns), torch.as_tensor(heights)
        self.curvatures = self._bowl.curvature(heights, squares, self.k)
        self.n_state = patterns.shape[1]
        others = squares[~np.eye(len(patterns), dtype=bool)]  # of one pattern there are none: its size is the scale
        self.apart = float(np.sqrt(others.min()) if len(others) else np.abs(patterns).max() or 1.0)

    @classmethod
    def random(cls, P: int = 5, n: int = 2, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        return cls(rng.standard_normal((P, n)), [int(t) for t in rng.integers(0, 3, P)])

    def arrays(self) -> dict[str, Array]:
        """The patterns and levels, by the names that a checkpoint gives them."""
        return {"S": np.asarray(self.S), "levels": np.asarray(self.levels)}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides."""
        return {"targets": self.targets, "function": self.function, "k": self._given}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        given = dict(settings)
        return cls(arrays["S"], given.pop("targets"), arrays["levels"], **given)

    # the dynamics

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._bowl.downhill(x, self.S, self.levels, self.k)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self._bowl.slope(x, self.S, self.levels, self.k)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (self.jacobian(x, u) @ v.unsqueeze(2)).squeeze(2)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.jacobian_product(x, u, w)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed | None:
        enclosed = self._bowl.enclosed
        return None if enclosed is None else enclosed(y, self.S, self.levels, self.k)

    def readout(self, x: Tensor) -> Tensor:
        return self._bowl.value(x, self.S, self.levels, self.k).unsqueeze(1)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The patterns' own box, wider by sqrt((max f_i - min f_i) / k) on every side.

        Where no pattern is as near as that, f is above every level, and descent leads towards a mean of the patterns.
        """
        room = float(torch.sqrt((self.levels.max() - self.levels.min()) / self.k))
        low, high = self.S.amin(0) - room, self.S.amax(0) + room
        return low.expand(len(u), -1), high.expand(len(u), -1)

    def energy_function(self, u: Tensor) -> Energy | None:
        return Energy(self.value) if self.function == "shepard" else None  # paraboloids meet in kinks

    # in numpy

    def value(self, x: Any) -> Array:
        """f of states (n,) or (B, n)."""
        return np.asarray(self.readout(self._tensor(x)))[:, 0].reshape(np.shape(x)[:-1])

    def gradient(self, x: Any) -> Array:
        """grad f of states (n,) or (B, n)."""
        return -np.asarray(self.velocity(self._tensor(x), torch.zeros(1, 0))).reshape(np.shape(x))

    def descend(self, x: Any) -> Array:
        """Where descent from x (n,) or (B, n) comes to rest, by steps that never climb; ValueError if it does not."""
        return self._descended(self._tensor(x)).reshape(np.shape(x))

    def _descended(self, x: Tensor) -> Array:
        """In the patterns' own units, whatever those of x are: from a pattern, by ``apart`` and by the range of f."""
        S, range_of_f = (self.S - self.S[0]) / self.apart, float(self.levels.max() - self.levels.min())
        unit = max(range_of_f, self.k * self.apart**2)
        f, k = (self.levels - self.levels.min()) / unit, self.k * self.apart**2 / unit
        y, steepest = (x - self.S[0]) / self.apart, float(self.curvatures.max()) * self.apart**2 / unit
        rate = torch.full((len(y), 1), 1 / steepest, dtype=torch.float64)
        small = REST * k + 4 * EPS * steepest * float(S.abs().max())  # the second: a step that the last bits hide
        for _ in range(STEPS):
            down = self._bowl.downhill(y, S, f, k)
            moving = down.norm(dim=1, keepdim=True) > small
            if not moving.any():
                return np.asarray(self.S[0] + self.apart * y)
            further, height = y + rate * down, self._bowl.value(y, S, f, k).unsqueeze(1)
            enough = height - 0.1 * rate * (down * down).sum(1, keepdim=True) + ROUNDING * (1 + height.abs())
            lower = self._bowl.value(further, S, f, k).unsqueeze(1) <= enough
            y = torch.where(lower & moving, further, y)
            rate = torch.where(lower, (1.5 * rate).clamp_max(1 / steepest), rate / 2)
        worst = float(down.norm(dim=1).max()) * unit / self.apart
        raise ValueError(f"descent did not come to rest within {STEPS} steps; |grad f| is {worst:.3g}")

    def nearest(self, x: Any, within: float = 1e-6) -> NDArray[np.int64]:
        """Which stored pattern each state (B, n) is at, -1 for none: a spurious state.

        At one is ``within`` of the least distance between two patterns, and the rounding of their components.
        """
        S = np.asarray(self.S)
        distance = np.linalg.norm(np.asarray(x)[..., None, :] - S, axis=-1)
        least = within * self.apart + 4 * EPS * float(np.linalg.norm(S, axis=1).max())
        return np.where(distance.min(axis=-1) <= least, distance.argmin(axis=-1), -1)

    def recall(self, x: Any) -> list[Hashable | None]:
        """The target that each cue (B, n) ends at, None for a spurious state."""
        where = self.nearest(self.descend(np.atleast_2d(x)))
        return [None if i < 0 else self.targets[i] for i in where]

    def _tensor(self, x: Any) -> Tensor:
        return torch.as_tensor(np.atleast_2d(checked_states(x, self.n_state)))


def _levels(targets: Sequence[Hashable], levels: Any) -> Array:
    """One number for each pattern, the same exactly where the targets are."""
    order = {target: float(k) for k, target in enumerate(dict.fromkeys(targets))}
    if levels is None:
        return np.array([order[target] for target in targets])
    heights = np.array(levels, dtype=np.float64)
    if heights.shape != (len(targets),) or not np.isfinite(heights).all():
        raise ValueError(f"levels has shape {heights.shape}; each of the {len(targets)} patterns needs a finite one")
    for i in range(len(targets)):
        for j in range(i):
            if (heights[i] == heights[j]) != (targets[i] == targets[j]):
                same = "one target and two levels" if targets[i] == targets[j] else "two targets and one level"
                raise ValueError(f"the patterns {j} and {i} (from 0) have {same}; levels name the targets")
    return heights
