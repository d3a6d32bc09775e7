"""The axis of a family's parameter. Training time is logarithmic where the snapshots are spaced geometrically, with
step 0 on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.continuation.diagram import Diagram
from dynsys.continuation.inputs import InputDiagram
from dynsys.plots import style
from dynsys.systems.family import TRAINING

Array = NDArray[np.float64]

UNEVEN = 5.0  # times the median gap, from which on the longest tells that snapshots are spaced geometrically
APART = 0.05  # of the axis, the least between two labels
WIDER = 1.5  # times the first gap, from which on a gap is a wider one


@dataclass(frozen=True)
class TrainingTime:
    """Where a step is drawn: at itself, or on a logarithmic axis at step + ``shift``, so that step 0 has a place.

    The shift is the step up to which snapshots follow each other evenly: they lie evenly on the axis then. Along a
    straight path of inputs of which one changes a place s is drawn at the input itself, ``scale`` (a, b): a + b s.
    """

    first: float
    last: float
    shift: float | None = None
    name: str = TRAINING
    scale: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of_diagram(cls, diagram: Diagram) -> TrainingTime:
        """By what the diagram says of its parameter, or of the snapshots that it was made from."""
        if isinstance(diagram, InputDiagram) and len(diagram.path) == 2:
            begin, end = diagram.path
            changed = np.flatnonzero(begin != end).tolist()
            if len(changed) == 1:
                low, high = float(begin[changed[0]]), float(end[changed[0]])
                return cls(low, high, None, f"input {changed[0] + 1}", (low, high - low))
        usual = TRAINING if "made_from" in diagram.about else "parameter"
        return cls.of(diagram.steps, str(diagram.about.get("parameter", usual)))

    @classmethod
    def of(cls, steps: Array, name: str = TRAINING) -> TrainingTime:
        """The axis on which snapshots at these steps lie best apart."""
        at = np.sort(np.asarray(steps, dtype=np.float64))
        gaps = np.diff(at)
        if name != TRAINING:
            return cls(float(at[0]), float(at[-1]), None, name)
        if len(gaps) < 3 or at[0] < 0 or not gaps.max() > UNEVEN * np.median(gaps):
            return cls(float(at[0]), float(at[-1]))
        wider = int(np.argmax(gaps > WIDER * gaps[0]))
        return cls(float(at[0]), float(at[-1]), max(float(at[wider] - at[0]), 1.0))

    @property
    def log(self) -> bool:
        return self.shift is not None

    @property
    def place_word(self) -> str:
        """What one of the values is called at which points were looked for."""
        return "snapshot" if self.name == TRAINING else "place"

    def place(self, steps: Any) -> Array:
        """Coordinates on the axis."""
        return self.scale[0] + self.scale[1] * np.asarray(steps, dtype=np.float64) + (self.shift or 0.0)

    def axis(self, *, named: bool = True, **settings: Any) -> dict[str, Any]:
        """The axis of a figure; ``named`` where it is the one that has the title."""
        title = self.name if named else ""
        if self.shift is None:
            room = 0.02 * ((self.last - self.first) or 1.0)
            return style.axis(title, range=[self.first - room, self.last + room], **settings)
        low, high = np.log10(self.first + self.shift), np.log10(self.last + self.shift)
        ticks: list[float] = []
        for tick in (0, *(digit * 10**power for power in range(int(high) + 1) for digit in (1, 2, 5))):
            apart = np.log10((tick + self.shift) / (ticks[-1] + self.shift)) if ticks else 1.0
            if self.first <= tick <= self.last and apart > APART * (high - low):
                ticks.append(tick)
        return style.axis(
            title,
            type="log",
            range=[low - 0.02 * (high - low), high + 0.02 * (high - low)],
            tickvals=[tick + self.shift for tick in ticks],
            ticktext=[f"{tick:,.0f}" for tick in ticks],
            **settings,
        )

    def said(self, value: float) -> str:
        """A value of the parameter in words: 'step 1,200', 'gain 0.95', 'input 2 = 0.3'."""
        if self.name.startswith("input "):
            return f"{self.name} = {float(self.place(value)):.6g}"
        return f"{'step' if self.name == TRAINING else self.name} {value:,.6g}"

    @property
    def note(self) -> str:
        """For a caption."""
        return "" if self.shift is None else f"The scale of steps is logarithmic (of step + {self.shift:,.0f})."
