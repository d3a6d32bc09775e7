"""How much of the state space belongs to each attractor: by random starts in the reachable box, and by the task's own
states, each with the 95 % interval of the share (Wilson 1927)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scipy.stats import binomtest

from dynsys.ends import Other

SCHEMA = "dynsys.basins/1"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Shares:
    """Of n starts of one kind (``of`` says which), how many ended at each node; ``asked`` were wanted."""

    of: str
    n: int
    asked: int
    counts: dict[str, int]

    def share(self, node: str) -> float:
        return self.counts.get(node, 0) / self.n if self.n else float("nan")

    def interval(self, node: str) -> tuple[float, float]:
        """The ends of Wilson's 95 % interval of the share: of no start at all it is (0, 1)."""
        if not self.n:
            return 0.0, 1.0
        found = binomtest(self.counts.get(node, 0), self.n).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    def to_json(self) -> dict[str, Any]:
        rows = {
            node: {"count": count, "share": self.share(node), "interval": list(self.interval(node))}
            for node, count in self.counts.items()
        }
        return {"of": self.of, "starts": self.n, "asked": self.asked, "ends": rows}


@dataclass(frozen=True, eq=False)
class Basins:
    """Shares of the random starts (``box``) and of the task's states (``task``): None where there are none.

    Every attractor handed in has a row, reached or not; what did not settle and what escaped are rows of their own.
    """

    box: Shares | None
    task: Shares | None
    attractors: list[str]
    others: list[Other] = field(default_factory=list)  # attractors that are none of the points

    @property
    def all_shares(self) -> list[Shares]:
        return [shares for shares in (self.box, self.task) if shares is not None]

    @property
    def shares(self) -> Shares:
        """Of the random starts where there are any, else of the task's states."""
        return self.all_shares[0]
