"""The portrait that a network sees at each step of a recorded trial: its fixed points under the input of that step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.portrait import title_of
from dynsys.analyses.run import search_and_save
from dynsys.io.progress import Progress
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

Array = NDArray[np.float64]

SCHEMA = "dynsys.trial/1"
FRAMES = 120  # steps of a trial that are looked at, evenly: more are too many for a page


@dataclass(frozen=True, eq=False)
class TrialPortrait:
    """``states`` (T, n) and ``inputs`` (T, m) of a trial, the ``steps`` (F,) that are looked at, ``points`` under the
    input of each of them. Of the inputs so many were ``searched`` at; to the rest points were carried."""

    states: Array
    inputs: Array
    steps: NDArray[np.int64]
    points: FixedPoints
    searched: int

    @property
    def sentence(self) -> str:
        """At how many of the inputs points were sought."""
        n = len(np.unique(self.inputs[self.steps], axis=0))
        told = f"{self.searched} of {n} inputs were searched at"
        if self.searched == n:
            return f"{told}."
        return f"{told}; to the others points were carried: unstable ones may be missing there."

    def points_at(self, frame: int) -> FixedPoints:
        """Those under the input of a frame."""
        held = self.inputs[self.steps[frame]]
        return self.points[(self.points.inputs == held).all(axis=1)]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each stretch of steps in which the input is the same, as far as they are looked at."""
        found: list[dict[str, Any]] = []
        for frame, step in enumerate(self.steps.tolist()):
            held = ", ".join(f"{value:g}" for value in self.inputs[step])
            if found and found[-1]["input"] == held:
                found[-1]["to"] = step
                continue
            points = self.points_at(frame)
            stable = int((points.n_unstable == 0).sum())
            found.append({"from": step, "to": step, "input": held, "points": len(points), "stable": stable})
        return found

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "steps": len(self.states), "looked_at": self.steps.tolist(), "rows": self.rows()} | {
            "searched": self.searched,
            "sentence": self.sentence,
        }


def trial_portrait(
    system: System,
    states: Array,
    inputs: Array,
    folder: str | Path,
    checkpoint: str | Path,
    progress: Progress,
    *,
    searches: int = 1,
    loading: dict[str, Any] | None = None,
    **settings: Any,
) -> TrialPortrait:
    """The points under each input of a trial, states (T, n) under inputs (T, m), which are left in ``folder`` as a
    search leaves them. At most ``searches`` of the inputs are searched at, the weakest first, as it has the most points
    as a rule, and others evenly between it and the strongest; to the rest points are carried."""
    steps = np.unique(np.linspace(0, len(states) - 1, min(FRAMES, len(states))).round().astype(np.int64))
    held = np.unique(inputs[steps], axis=0)
    held = held[np.linalg.norm(held, axis=1).argsort(kind="stable")]
    searches = min(searches, len(held))
    few: dict[str, Any] = {"searches": searches} if len(held) > 1 else {}
    points = search_and_save(
        system, folder, checkpoint, progress, loading=loading, inputs=held.tolist(), slow_q=0.0, **few, **settings
    )
    return TrialPortrait(states, inputs, steps, points, searches)


def drawn(system: System, found: TrialPortrait) -> Any:
    """The animation, with inputs and outputs beside it."""
    from dynsys.plots import moving_portrait
    from dynsys.plots.inputs.moving import Trial

    signals = {"input": found.inputs}
    if system.n_output:
        signals["output"] = np.asarray(system.readout(torch.as_tensor(found.states)))
    frames = [found.points_at(k) for k in range(len(found.steps))]
    names = [str(step) for step in found.steps]
    trial = Trial(found.states, found.steps, signals)
    return moving_portrait(frames, names, "step", trial=trial, title=title_of(system))
