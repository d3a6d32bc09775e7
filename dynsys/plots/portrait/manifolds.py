"""Connections as the phase portrait draws them: branches that darken towards their ends, orbits as loops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dynsys.attractors.attractor import Attractor
from dynsys.attractors.connections import Connections
from dynsys.continuous_attractors.slow_curve import SlowCurve
from dynsys.plots import style, thinning
from dynsys.plots.portrait import scene
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

FADING = [[0, "#DFC8A2"], [1, style.BROWN]]  # from the unstable point to the end
ASIDE = 0.06  # of a segment's half, within which a branch is hidden by it
NOUN, NOUNS = r"(orbit|oscillation|point)", r"\1s"
HEAD = 0.7  # of the way to the end, where a branch bears a marker


def branches(connections: Connections | None) -> list[Array]:
    """The paths (d, n) of all branches, without the last states repeated."""
    return [] if connections is None else [_without_repeats(path) for path in connections.paths.astype(np.float64)]


def loops(others: list[Attractor]) -> list[Array]:
    """The attractors that are none of the points: closed (p + 1, n), or one state at rest."""
    return [np.concatenate([o.states, o.states[:1]]) if len(o.states) > 1 else o.states for o in others]


def arms(points: FixedPoints, connections: Connections, axes: Projection, length: float, shown: int) -> Array:
    """The half of its mode's segment (b, 3) along which each branch leaves, zero beyond the first ``shown`` modes."""
    modes = points.modes[connections.source, connections.mode]
    vectors = np.where((connections.part == "real")[:, None], modes.real, modes.imag)
    vectors *= (length * connections.sign / np.linalg.norm(vectors, axis=1))[:, None]
    return np.where((connections.mode < shown)[:, None], axes.directions(vectors), 0.0)


def beyond(branches: list[Array], arms: Array) -> list[Array]:
    """The projected paths (d, 3) from where they leave the segments of their modes, which they would hide."""
    return [run[_leaves(run, arm) :] for run, arm in zip(branches, arms, strict=True)]


def _leaves(run: Array, arm: Array) -> int:
    length = float(np.linalg.norm(arm))
    if length == 0 or len(run) < 3:
        return 0
    away = run - run[0]
    along = away @ arm / length
    aside = np.linalg.norm(away - along[:, None] * arm / length, axis=1)
    return min(int(np.argmin((along < length) & (aside < ASIDE * length))), len(run) - 2)


def traces(branches: list[Array]) -> list[go.Scatter3d]:
    """What to draw for the branches (d, 3), as the projection shows them."""
    return [_lines(branches), _heads(branches)] if branches else []


def of_others(
    others: list[Attractor], loops: list[Array], labels: Sequence[str], shades: Mapping[str, str]
) -> list[go.Scatter3d]:
    """What to draw for the loops (p + 1, 3) of the attractors that are none of the points, in the shade of the label of
    each, "" for none.
    """
    found = []
    each = list(zip(labels, (other.kind for other in others), strict=True))
    for label, kind in dict.fromkeys(each):
        rows = [i for i, one in enumerate(each) if one == (label, kind)]
        name, shade = f"{label}: {kind}" if label else kind, shades.get(label, style.GREEN)
        found.append(_loops(name, shade, [loops[i] for i in rows], [others[i] for i in rows]))
    return found


def cycles(points: FixedPoints, places: Array) -> list[go.Scatter3d]:
    """The points of each orbit of a search with a period, which stand in the order of time, joined to a loop."""
    numbers = [number for number in dict.fromkeys(points.orbit.tolist()) if number >= 0]
    rows = [np.flatnonzero(points.orbit == number) for number in numbers]
    closed = [places[np.append(some, some[0])] for some in rows if len(some) > 1]
    return [scene.lines("orbits", closed, style.GREY, width=1.6, opacity=0.75)] if closed else []


def counted(others: list[Attractor]) -> str:
    """'8 stable orbits of period 2, 1 oscillation'."""
    kinds = Counter(other.kind for other in others)
    return ", ".join(f"{n} {re.sub(NOUN, NOUNS, kind) if n > 1 else kind}" for kind, n in kinds.items())


def _without_repeats(path: Array) -> Array:
    moved = np.flatnonzero(np.diff(path, axis=0).any(axis=1))
    return path[: moved[-1] + 2] if len(moved) else path[:1]


def _along(run: Array) -> Array:
    """How far along its way each state lies (d,), from 0 to 1."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(run, axis=0), axis=1))])
    return length / max(float(length[-1]), 1e-300)


def _lines(branches: list[Array]) -> go.Scatter3d:
    shade = np.concatenate([part for run in branches for part in (_along(run), [0.0])][:-1])  # a break has one too
    line = {"color": shade.astype(np.float32), "colorscale": FADING, "cmin": 0, "cmax": 1, "width": 2.6}
    return go.Scatter3d(
        **thinning.xyz(thinning.joined(branches)),
        mode="lines",
        line=line,
        name="branches of the unstable points",
        legendgroup="branches",
        showlegend=False,
        hoverinfo="skip",
    )


def _heads(branches: list[Array]) -> go.Scatter3d:
    """A small marker on each branch, most of the way to its end."""
    places = [run[np.searchsorted(_along(run), HEAD).clip(max=len(run) - 1)] for run in branches]
    return go.Scatter3d(
        **thinning.xyz(np.stack(places)),
        mode="markers",
        marker={"size": 2.6, "color": style.BROWN, "symbol": "circle"},
        name="branches, darker towards their ends",
        legendgroup="branches",
        hoverinfo="skip",
    )


def _loops(name: str, shade: str, loops: list[Array], others: list[Attractor]) -> go.Scatter3d:
    texts = [f"<b>{other.name}</b><br>readout: {style.vector(other.readout)}" for other in others]
    rows = [text for loop, text in zip(loops, texts, strict=True) for text in [text] * (len(loop) + 1)][:-1]
    return go.Scatter3d(
        **thinning.xyz(thinning.joined(loops)),
        mode="lines+markers",
        line={"color": shade, "width": 4},
        marker={"size": 5, "color": shade, "symbol": "circle", "line": {"color": "white", "width": 1}},
        name=name,
        text=rows,
        hovertemplate="%{text}<extra></extra>",
    )


def slow_curves(curves: Sequence[SlowCurve], axes: Projection) -> list[go.Scatter3d]:
    """Slow curves as tubes coloured by their speed, from dark, where they rest, to bright."""
    found = []
    for i, curve in enumerate(curves):
        bar = {"title": {"text": "log<sub>10</sub> speed"}, "thickness": 12, "len": 0.5, "x": 1.0, "y": 0.5}
        line = {
            "color": np.log10(curve.drawn),
            "colorscale": "Viridis",
            "width": 12,
            "showscale": i == 0,
            "colorbar": bar,
        }
        pairs = zip(curve.values, curve.speed, strict=True)
        texts = [f"{curve.along} {value:.4g}<br>speed {speed:.3g}" for value, speed in pairs]
        found.append(
            go.Scatter3d(
                **thinning.xyz(axes.transform(curve.states)),
                mode="lines",
                line=line,
                name=f"slow curve along {curve.along}",
                text=texts,
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return found
