"""A slow curve: states along which a network hardly moves, with their speed and drift, and what happens across them.

``dynsys.continuous_attractors.least_speed`` finds it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dynsys.io.record import Record, axes
from dynsys.io.text import sentence

Array = NDArray[np.float64]

LEAST_DRAWN = 1e-4
WHOLE = 0.5  # of a curve that has to be slow in one piece, for a line attractor
TINY = 1e-9  # of the span, and told as 0
ROUNDINGS = 32  # in the velocity of a state at rest, of its size


@dataclass(frozen=True, eq=False)
class SlowCurve(Record, schema="dynsys.slow_curve/1", what="slow curve", remedy="look for it again"):
    """m states of a curve of n state variables, in the order of the constraint's ``values`` (m,).

    ``speed`` (m,) is |F| per unit of time, a step of a map; ``drift`` (m,) its part along the curve, positive towards
    higher values. At the states ``nodes`` (e,) the ``eigenvalues`` (e, j) are known, leading first. ``ends`` say why
    the curve ends at its lower and at its upper value, ``along`` what was held, ``limit`` is a speed.
    """

    states: Array = field(metadata=axes("f m n"))
    values: Array = field(metadata=axes("f m"))
    q: Array = field(metadata=axes("f m"))
    speed: Array = field(metadata=axes("f m"))
    drift: Array = field(metadata=axes("f m"))
    nodes: NDArray[np.int64] = field(metadata=axes("i e"))
    eigenvalues: NDArray[np.complex128] = field(metadata=axes("c e j"))
    input: Array = field(metadata=axes("f u"))
    along: str
    ends: list[str]
    kind: Literal["map", "flow"]
    limit: float

    def __repr__(self) -> str:
        low, high = self.values[[0, -1]]
        return f"<SlowCurve along {self.along} from {low:.4g} to {high:.4g}: {len(self.values)} states>"

    @property
    def length(self) -> float:
        return float(self._arc[-1])

    @property
    def next_eigenvalue(self) -> NDArray[np.complex128]:
        """(e,) the leading one besides the curve's own, which is that nearest to how its drift changes along it."""
        own = np.gradient(self.drift, self._arc)[self.nodes] + (self.kind == "map")
        rows = zip(self.eigenvalues, own, strict=True)
        return np.array(
            [np.delete(row, np.argmin(np.abs(row - at)))[0] if row.size > 1 else np.nan for row, at in rows]
        )

    @property
    def _arc(self) -> Array:
        """(m,) the length of the curve up to each state."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.states, axis=0), axis=1))])

    def _excess(self, values: Any) -> Array:
        """Beyond the boundary where positive: the real part of a flow, log |.| of a map."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.abs(values)) if self.kind == "map" else np.real(values))

    @property
    def growth_across(self) -> Array:
        """(e,) the rate of growth of ``next_eigenvalue``."""
        return self._excess(self.next_eigenvalue)

    @property
    def rates(self) -> Array:
        """(e, j) of growth of the leading eigenvalues, per unit of time or step; negative where they decay."""
        return self._excess(self.eigenvalues)

    @property
    def drawn(self) -> Array:
        """(m,) speeds for a logarithmic scale: beneath ``LEAST_DRAWN`` of the largest there is nothing to be seen."""
        return np.maximum(self.speed, LEAST_DRAWN * self.speed.max(initial=1e-300))

    def slow_parts(self, limit: float | None = None) -> list[tuple[float, float]]:
        """Between which values the speed is at most ``limit``, as it runs between the states."""
        limit = self.limit if limit is None else limit
        return _below(self.values, self.speed, limit)

    def is_attractor(self, limit: float | None = None, share: float = WHOLE) -> bool:
        """Whether a part of that ``share`` of the curve is that slow, and all directions across it decay at its nodes.

        Less than that is the neighbourhood of a fixed point, as any fixed point has.
        """
        least = share * float(self.values[-1] - self.values[0])
        return any(high - low >= least and self._draws(low, high) for low, high in self.slow_parts(limit))

    def _draws(self, low: float, high: float) -> bool:
        """Whether all directions across the curve decay between these values."""
        at, excess = self.values[self.nodes], self.growth_across
        inside = (low <= at) & (at <= high)
        return bool(inside.any()) and bool((excess[inside] < 0).all())

    @property
    def draws(self) -> bool:
        """Whether they do in every slow part in which there are nodes."""
        at = self.values[self.nodes]
        parts = [(low, high) for low, high in self.slow_parts() if ((low <= at) & (at <= high)).any()]
        return all(self._draws(low, high) for low, high in parts)

    @property
    def rests(self) -> list[tuple[float, bool]]:
        """Where the drift changes its sign: the value, and whether the drift leads there from both sides."""
        d, s = self.drift, self.values
        some = np.flatnonzero(np.abs(d) > self._rounding)
        found = []
        for i, j in itertools.pairwise(some):
            if d[i] * d[j] < 0:
                crossed = s[i] - d[i] * (s[j] - s[i]) / (d[j] - d[i]) if j == i + 1 else s[i + 1 : j].mean()
                found.append((float(crossed) if abs(crossed) > TINY * (s[-1] - s[0]) else 0.0, bool(d[i] > 0)))
        return found

    @property
    def _rounding(self) -> float:
        """A drift that says nothing: what is left of terms as large as the state and what J makes of it."""
        rates = np.abs(self.eigenvalues).max(initial=1.0, where=np.isfinite(self.eigenvalues))
        return float(ROUNDINGS * np.finfo(float).eps * rates * np.abs(self.states).max())

    @property
    def is_still(self) -> bool:
        """Whether there is no drift along it, to rounding."""
        return bool((np.abs(self.drift) <= self._rounding).all())

    @property
    def sentence(self) -> str:
        excess = self._excess(self.next_eigenvalue)
        return sentence("dynsys.continuous_attractors", "slow_curve", self, self.slow_parts(), float(np.nanmax(excess)))

    def to_json(self) -> dict[str, Any]:
        names = ("values", "q", "speed", "drift")
        return {
            "along": self.along,
            **{name: getattr(self, name).tolist() for name in names},
            "slow_parts": self.slow_parts(),
            "is_attractor": self.is_attractor(),
            "limit": self.limit,
            "ends": self.ends,
            "sentence": self.sentence,
        }

    def check(self) -> None:
        if len(self.values) < 2 or len(self.ends) != 2:
            raise ValueError("a curve has two states at least, and two ends")


def _below(s: Array, speed: Array, limit: float) -> list[tuple[float, float]]:
    """The intervals of s in which the broken line through (s, speed) is at most ``limit``."""
    found: list[tuple[float, float]] = []
    begun: float | None = float(s[0]) if speed[0] <= limit else None
    for i in range(len(s) - 1):
        a, b = speed[i], speed[i + 1]
        if (a <= limit) != (b <= limit):
            at = float(s[i] + (limit - a) * (s[i + 1] - s[i]) / (b - a))
            if begun is None:
                begun = at
            else:
                found.append((begun, at))
                begun = None
    return [*found, (begun, float(s[-1]))] if begun is not None else found
