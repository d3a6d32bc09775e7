"""The paths of a phase portrait: trajectories by condition or result, releases, branches, loops, few enough to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.connections import Connections
from dynsys.plots import style, thinning
from dynsys.plots.portrait import manifolds, trials
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

MODES_SHOWN = 3  # of each point, the leading ones: more hide the point itself


@dataclass(frozen=True)
class Paths:
    """The paths that are drawn, each (T_i, 3) on the axes; ``states`` are those there were, ``shown`` those left."""

    runs: dict[str, list[Array]]  # by condition
    means: dict[str, Array]  # (T, n) of the conditions that have several runs; none without conditions
    shades: dict[str, str]  # the colour of each condition
    released: list[Array]
    branches: list[Array]
    loops: list[Array]
    states: int
    shown: int

    @property
    def everything(self) -> list[Array]:
        return [*(run for some in self.runs.values() for run in some), *self.released, *self.branches, *self.loops]


def thinned_paths(
    points: FixedPoints,
    groups: dict[str, list[Array]],
    called: str,
    released: list[Array],
    connections: Connections | None,
    others: list[Attractor],
    axes: Projection,
) -> Paths:
    """All paths, as many of their states as leave room for the points, their modes and the loops."""
    branches, loops = manifolds.branches(connections), manifolds.loops(others)
    n_modes = int(points.n_unstable.clip(0, min(MODES_SHOWN, points.modes.shape[1])).sum())
    limit = thinning.LIMIT - len(points) - len(released) - 6 * n_modes  # two segments of two ends and a break
    limit -= thinning.size(loops) + 2 * len(branches)
    parts = (*groups.values(), released, branches)
    share = min(1.0, max(limit, 0) / max(sum(map(thinning.size, parts)), 1))
    kept = [thinning.thinned(part, int(share * thinning.size(part))) for part in parts]
    *seen, seen_released, seen_branches = ([axes.transform(run) for run in part] for part in kept)
    states, shown = (sum(len(run) for part in all_parts for run in part) for all_parts in (parts, kept))
    apart = list(groups) != [called]
    return Paths(
        dict(zip(groups, seen, strict=True)),
        {name: trials.mean(some) for name, some in groups.items() if apart and len(some) > 1},
        _shades(groups, style.of_labels(points), apart),
        seen_released,
        seen_branches,
        [axes.transform(loop) for loop in loops],
        states,
        shown,
    )


def _shades(groups: dict[str, list[Array]], of_labels: dict[str, str], apart: bool) -> dict[str, str]:
    """The colour of each group: that of its label, where points are labelled."""
    if not apart:
        return dict.fromkeys(groups, style.GREY)
    return of_labels | trials.colours([name for name in groups if name not in of_labels], style.CONDITIONS)


def grouped(
    points: FixedPoints | Sequence[FixedPoints],
    labels: Sequence[str] | None,
    trajectories: Any,
    conditions: Sequence[Any] | None,
    time_axis: int | None,
    called: str,
) -> tuple[FixedPoints, dict[str, list[Array]]]:
    """All points as one result, and the runs by condition: of several results by the label of each."""
    if isinstance(points, FixedPoints):
        if labels is not None:
            raise ValueError("labels are those of several results; give a list of them, or names for single points")
        n_state = points.states.shape[1]
        return points, trials.by_condition(thinning.runs_of(trajectories, n_state, time_axis), conditions, called)
    whole = FixedPoints.concatenate(points, labels)
    if conditions is not None:
        raise ValueError("several results colour their trajectories by label; leave out conditions")
    if trajectories is None:
        return whole, {}
    if not isinstance(trajectories, list | tuple) or len(trajectories) != len(points):
        raise ValueError(f"with {len(points)} results, trajectories is a list of as many: those of each, or None")
    parts = [part["label"] for part in whole.about["parts"]]
    some = (thinning.runs_of(one, whole.states.shape[1], time_axis) for one in trajectories)
    return whole, {name: runs for name, runs in zip(parts, some, strict=True) if runs}
