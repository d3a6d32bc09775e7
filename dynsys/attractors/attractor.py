"""Attractors and their names, the same in every picture and table of one system.

"point 3" is a point of the result; attractors that are none of them are named as they are met: "orbit 0" of a map,
"oscillation 0" of a flow, "state 0" that attracts and was not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dynsys.io.record import ABSENT, NOT_SAVED, axes, said
from dynsys.io.shown import Shown

Array = NDArray[np.float64]

POINT, ORBIT, OSCILLATION, STATE = "point", "orbit", "oscillation", "state"


class Node(str):
    """Where trajectories end, a node of the graph of connections: a name of its ``kind`` and ``number``.

    It is the string that people read as well; what has no number is what it is called.

    >>> Node("point", 3), Node("point 3").number, Node("escaped").number
    ('point 3', 3, None)
    """

    kind: str
    number: int | None

    def __new__(cls, kind: str, number: int | None = None) -> Self:
        if number is None:
            word, _, digits = kind.rpartition(" ")
            kind, number = (word, int(digits)) if digits.isdecimal() and word else (kind, None)
        made = super().__new__(cls, kind if number is None else f"{kind} {number}")
        made.kind, made.number = kind, number
        return made

    @property
    def point(self) -> int | None:
        """The number of a point of the result; None where it is none."""
        return self.number if self.kind == POINT else None

    @property
    def order(self) -> tuple[bool, str, int]:
        """Points by number, then the others by name and number, then those without a number."""
        return self.number is None, self.kind, self.number or 0


UNNAMED = Node("")
UNSETTLED, ESCAPED, RESTING = Node("unsettled"), Node("escaped"), Node("resting")
NO_ATTRACTOR = {
    UNSETTLED: "did not settle in the steps given",
    ESCAPED: "ran off to infinity",
    RESTING: "came to rest where nothing draws it in",
}


@dataclass(frozen=True, eq=False, repr=False)
class Attractor(Shown):
    """Where trajectories end: ``period`` is 0 at a point of a flow or map, the number of steps of a cycle, or the time
    of a flow's oscillation: in time constants, and in the system's own unit once it has a name.

    ``states`` (p, n) are the point, all phases of the cycle in their order, or states along an oscillation (one, or a
    whole turn once it has a name); ``input`` (n_input,) is the one held. ``index`` is the row of ``points`` handed in,
    -1 for one found on the way. ``excess`` is how far its leading eigenvalue lies beyond the boundary of stability, for
    all ``period`` steps; NaN for an oscillation. One that is none of a result's points has a ``name``, a ``kind`` that
    says in words what it is, and a ``readout`` (n_output,), the mean over the states.
    """

    period: float
    states: Array = field(metadata=axes("f p n"))
    input: Array = field(metadata=axes("f u"))
    index: int = field(default=-1, metadata=NOT_SAVED)
    excess: float = field(default=np.nan, metadata=NOT_SAVED)
    name: Node = field(default=UNNAMED, metadata=said(needed=True))
    kind: str = field(default="", metadata=said(needed=True))
    readout: Array = field(default=ABSENT, metadata=axes("f o", needed=True))

    def headline(self) -> str:
        what = "a point" if self.period == 0 else f"period {self.period:.4g}"
        return f"{self.name or self.kind or 'unnamed'}: {what} with {self.states.shape[1]} state variables"
