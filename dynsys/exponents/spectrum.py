"""What a spectrum of Lyapunov exponents is, with the error of each and what can be said of the motion by it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dynsys.exponents.covariant import Covariant
from dynsys.io.record import PARTS, Record, axes
from dynsys.io.shown import Shown, Sight

Array = NDArray[np.float64]

CONVERGED, NOT_YET = "converged", "not yet"
OF_SPECTRUM = 0.002  # of the largest exponent: an interval of this half-width is narrow, whatever the exponent
OF_ITSELF = 0.05  # of an exponent, or of the first, likewise
ROUNDING_OFF = 1e-12  # of growth per step, which float64 does not tell from none
AT_REST = "at rest"


@dataclass(frozen=True, eq=False, repr=False)
class Exponents(
    Shown,
    Record,
    schema="dynsys/exponents/1",
    what="a file of Lyapunov exponents",
    remedy="dynsys exponents CHECKPOINT -o FILE makes one",
):
    """The k leading Lyapunov exponents of one attractor, per unit of time (a map's: per step), the greatest first.

    ``interval`` (k, 2) are their confidence intervals of the given ``level``. Exponents of minus infinity, ``lost``
    in number, belong to directions that a step sends to nothing (to within rounding). ``kaplan_yorke`` and
    ``entropy`` are NaN where the exponents computed do not define them. ``sum_rule`` is how far the sum of all
    exponents lies from the mean of log |det DG|, or of the divergence, relative to the sum of their sizes; NaN
    where exponents are lost. ``curve`` (T, k) are the running means at the times ``times`` (T,). ``motion`` is what
    the trajectories do (``period`` steps of an orbit that they end on, 0 where they end on none), ``kind`` whether
    the system is autonomous, driven or closed in a loop. ``others`` are those of other attractors that were met;
    ``ends`` (B, n) are the last states of the ``starts`` trajectories of this one.
    """

    values: Array = field(metadata=axes("f k"))
    interval: Array = field(metadata=axes("f k 2"))
    curve: Array = field(metadata=axes("f T k"))
    times: Array = field(metadata=axes("f T"))
    ends: Array = field(metadata=axes("f B n"))
    level: float
    kaplan_yorke: float
    kaplan_yorke_interval: tuple[float, float]
    entropy: float
    entropy_interval: tuple[float, float]
    sum_rule: float
    volume_rate: float
    lost: int
    kind: str
    is_map: bool
    motion: str
    period: int
    reasons: tuple[str, ...]
    name: str
    n_state: int
    steps: int
    burn_in: int
    step_time: float
    correlation: float
    asked: int
    gone: int
    seconds: float
    stopped: str = ""
    euler: bool = False
    others: list[Exponents] = field(default_factory=list, metadata=PARTS)
    covariant: Covariant | None = field(default=None, metadata={"saved": False})

    def __len__(self) -> int:
        return len(self.values)

    def headline(self) -> str:
        return f"of {self.name!r}: {self.sentence}"

    def sight(self) -> Sight:
        """A row for each exponent, with the ends of its interval."""
        columns = ("exponent", "value", "from", "to")
        rows = [
            dict(zip(columns, (str(i + 1), *(f"{v:+#.4g}" for v in (value, *ends))), strict=True))
            for i, (value, ends) in enumerate(zip(self.values, self.interval, strict=True))
        ]
        return Sight(rows, [self.sentence], right=columns)

    @property
    def starts(self) -> int:
        """Trajectories of this attractor."""
        return len(self.ends)

    @property
    def verdict(self) -> str:
        """ "converged" or "not yet"; ``reasons`` has what is not."""
        return NOT_YET if self.reasons else CONVERGED

    @property
    def complete(self) -> bool:
        """Whether all exponents were computed."""
        return len(self) == self.n_state

    @property
    def half_width(self) -> Array:
        """Of the intervals, (k,); NaN where the run was too short for one."""
        with np.errstate(invalid="ignore"):
            half = (self.interval[:, 1] - self.interval[:, 0]) / 2
        return np.where(np.isneginf(self.values), 0.0, half)

    @property
    def sentence(self) -> str:
        from dynsys.exponents.words import sentence

        return sentence(self)
