"""Trials by condition: one colour each, its mean in front of its single trials, marks where epochs begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.plots import style, thinning
from dynsys.plots.portrait import scene
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

MEAN_WIDTH, TRIAL_WIDTH, TRIAL_OPACITY = 5.0, 1.5, 0.5
MARK = 5.0  # pixels of an epoch's mark


def by_condition(runs: Sequence[Array], conditions: Sequence[Any] | None, called: str) -> dict[str, list[Array]]:
    """The runs under the names of their conditions, in the order of their values; all under ``called`` without any.

    Raises ValueError where there is not one condition for each run.
    """
    if conditions is None:
        return {called: list(runs)} if runs else {}
    given = np.asarray(conditions).ravel().tolist()
    if len(given) != len(runs):
        raise ValueError(f"there are {len(given)} conditions for {len(runs)} trajectories; give one for each")
    order = sorted(set(given), key=lambda value: (isinstance(value, str), value))
    return {named(value): [run for run, of in zip(runs, given, strict=True) if of == value] for value in order}


def named(condition: Any) -> str:
    """A condition as a legend says it.

    >>> named(2.0), named(-0.5), named("left")
    ('2', '-0.5', 'left')
    """
    return condition if isinstance(condition, str) else f"{condition:g}"


def colours(names: Sequence[str], palette: Sequence[str]) -> dict[str, str]:
    """One of each, from the same few over and over."""
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def mean(runs: Sequence[Array]) -> Array:
    """The mean at each step over the runs that last so long, for as long as half of them do.

    >>> mean([np.array([[0.0], [2.0]]), np.array([[2.0], [4.0], [9.0]]), np.array([[4.0]])]).ravel().tolist()
    [2.0, 3.0]
    """
    lengths = np.array([len(run) for run in runs])
    longest = int(np.sort(lengths)[(len(lengths) - 1) // 2])
    return np.stack([np.mean([run[t] for run in runs if len(run) > t], axis=0) for t in range(longest)])


def traces(
    seen: Mapping[str, list[Array]], means: Mapping[str, Array], shades: Mapping[str, str]
) -> list[go.Scatter3d]:
    """Single trials (T_i, 3) of each condition, thin, and before them its mean where there are several."""
    found = []
    for name, runs in seen.items():
        alone = name not in means
        width, opacity = (2.2, 0.9) if alone else (TRIAL_WIDTH, TRIAL_OPACITY)
        trials = scene.lines(name, runs, shades[name], width=width, opacity=opacity)
        found.append(trials.update(legendgroup=name, showlegend=alone))
    for name, path in means.items():
        found.append(scene.lines(name, [path], shades[name], MEAN_WIDTH, 1.0).update(legendgroup=name))
    return found


def checked_epochs(epochs: Mapping[str, int] | None, longest: int) -> dict[str, int]:
    """The step at which each begins; raises ValueError for one that no trajectory reaches."""
    beyond = {name: at for name, at in (epochs or {}).items() if not 0 <= at < longest}
    if beyond:
        name, at = next(iter(beyond.items()))
        raise ValueError(f"the epoch {name!r} begins at step {at}; the longest trajectory has steps 0 to {longest - 1}")
    return dict(epochs or {})


def marks(epochs: Mapping[str, int], paths: Mapping[str, list[Array]], axes: Projection) -> list[go.Scatter3d]:
    """A mark where each epoch begins on the paths (T_i, n) of each condition that last so long."""
    found = []
    for i, (epoch, at) in enumerate(epochs.items()):
        places = [axes.transform(path[at]) for some in paths.values() for path in some if len(path) > at]
        marker = {
            "size": MARK,
            "symbol": ("cross", "square-open", "diamond-open", "circle-open")[i % 4],
            "color": style.INK,
        }
        found.append(
            go.Scatter3d(
                **thinning.xyz(np.stack(places)),
                mode="markers",
                marker=marker,
                name=f"{epoch} (step {at})",
                hovertemplate=f"{epoch}, step {at}<extra></extra>",
            )
        )
    return found
