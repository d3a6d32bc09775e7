"""The bifurcation diagram: what every fixed point says, or where it lies, against the parameter of its family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.continuation.diagram import Bifurcation, Branch, Diagram, Event
from dynsys.continuation.events.stable import of_stable_points
from dynsys.io.text import sentence
from dynsys.plots import style, thinning
from dynsys.plots.training.training_time import TrainingTime
from dynsys.trajectories.projection import Projection

Array = NDArray[np.float64]

ROW_HEIGHT = 210  # pixels
ROWS = 4  # readouts or components, each in a row of its own, that one figure shows
MANY = 60  # events, from which on those at which no point is stable are hidden at first
OTHERS = "events of unstable points only"
SYMBOLS = {
    Bifurcation.FOLD: "triangle-right",
    Bifurcation.PITCHFORK: "star-triangle-down",
    Bifurcation.TRANSCRITICAL: "x",
    Bifurcation.BRANCH_POINT: "hexagon2",
    Bifurcation.HOPF: "circle-open-dot",
    Bifurcation.FLIP: "diamond-tall-open",
    Bifurcation.NEIMARK_SACKER: "circle-open-dot",
}


def bifurcation_diagram(
    diagram: Diagram,
    *,
    projection: Projection | None = None,
    events: bool = True,
    title: str | None = None,
) -> go.Figure:
    """Every branch against the parameter, one row for each readout, coloured by stability, events marked.

    With ``projection`` the rows are its components instead, as they are for a network without a readout, for which the
    axes are fitted to the points. Of more readouts the first ``ROWS`` are shown.
    """
    outputs, rows = _width(diagram), _rows(diagram, projection)
    of_more = projection is None and outputs > len(rows)
    notes = [f"The first {len(rows)} of {outputs} readouts are shown."] if of_more else []
    return over_parameter(diagram, rows, events=events, notes=notes, title=title)


def over_parameter(
    diagram: Diagram,
    rows: Sequence[tuple[str, list[Array]]],
    *,
    events: bool = True,
    notes: Sequence[str] = (),
    title: str | None = None,
) -> go.Figure:
    """Rows of a label and, for each branch, its values (K,) against the parameter, coloured by stability."""
    time = TrainingTime.of_diagram(diagram)
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.1 / len(rows))
    kinds = sorted({int(n) for branch in diagram.branches for n in branch.n_unstable.clip(0, len(style.SHAPES) - 1)})
    limit = thinning.LIMIT // max(len(rows), 1)
    step = max(1, -(-sum(len(b) + 1 for b in diagram.branches) // limit))
    for row, (label, values) in enumerate(rows, 1):
        for kind in reversed(kinds):  # what is stable is drawn last and so on top
            figure.add_trace(_pieces(diagram, values, kind, time, step, row == 1), row, 1)
        if events:
            for kind_of, some in _groups(diagram).items():
                figure.add_trace(_events(diagram, kind_of, some, values, time, row == 1), row, 1)
        last = row == len(rows)
        figure.update_yaxes(style.axis(label, nticks=5), row=row, col=1)
        figure.update_xaxes(time.axis(showticklabels=last, named=last), row=row, col=1)
    told = [f"{_counted(diagram)} {time.note}", *notes]
    if events and OTHERS in _groups(diagram):
        told.append("Events at which no point is stable are hidden; a click on their name in the legend shows them.")
    if step > 1:
        told.append(f"Thinned out evenly: 1 in {step} of the points that were computed is drawn.")
    return style.under(figure, title, told, hovermode="closest", height=ROW_HEIGHT * len(rows) + 220)


def _rows(diagram: Diagram, projection: Projection | None) -> list[tuple[str, list[Array]]]:
    """A label and, for each branch, its values (K,)."""
    outputs = _width(diagram)
    if projection is None and outputs:
        return [
            (f"readout {i + 1}", [branch.readouts[:, i] for branch in diagram.branches])
            for i in range(min(outputs, ROWS))
        ]
    everything = [branch.states for branch in diagram.branches if len(branch)]
    axes = projection or Projection.fit(np.concatenate(everything) if everything else np.zeros((1, 1)))
    seen = [axes.transform(branch.states) for branch in diagram.branches]
    return [(f"PC {i + 1}", [places[:, i] for places in seen]) for i in range(max(axes.n_shown, 1))]


def _width(diagram: Diagram) -> int:
    return max((branch.readouts.shape[1] for branch in diagram.branches), default=0)


def _pieces(
    diagram: Diagram,
    values: Sequence[Array],
    kind: int,
    time: TrainingTime,
    step: int,
    named: bool,
) -> go.Scatter:
    """All stretches of all branches with that many unstable directions: one line with breaks, dots at snapshots."""
    label, _, colour = style.SHAPES[kind]
    size = 3.2 if kind == 0 else 2.4
    parts: list[Array] = []
    texts: list[str] = []
    dots: list[float] = []
    most = len(style.SHAPES) - 1
    for branch, value in zip(diagram.branches, values, strict=True):
        for first, last in _stretches(branch.n_unstable.clip(0, most) == kind):
            end = min(last + 1, len(branch))  # the next row too: the line goes on to where its stability has changed
            rows = np.unique([*range(first, end, step), end - 1])
            parts.append(np.stack([time.place(branch.s[rows]), value[rows]], axis=1))
            texts += [_hover(branch, int(k), time) for k in rows] + [""]
            dots += [size if branch.snapshot[k] >= 0 else 0.0 for k in rows] + [0.0]
    line = {
        "color": colour,
        "width": 2.4 if kind == 0 else 1.5,
        "dash": "solid" if kind == 0 else ("4px,2px", "1.5px,2px")[kind - 1],
    }
    lines = thinning.joined(parts)
    return go.Scatter(
        x=lines[:, 0] if len(lines) else [],
        y=lines[:, 1] if len(lines) else [],
        mode="lines+markers",
        marker={"size": dots[:-1], "color": colour, "line": {"width": 0}},
        line=line,
        name=label,
        legendgroup=label,
        legendrank=900 + kind,
        showlegend=named,
        text=texts[:-1],
        hovertemplate="%{text}<extra></extra>",
    )


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _groups(diagram: Diagram) -> dict[str, list[Event]]:
    """Events by kind; where they are many, those at which no point is stable are a group of their own."""
    shown = of_stable_points(diagram) | (len(diagram.events) <= MANY)
    found: dict[str, list[Event]] = {}
    for event, near in zip(diagram.events, shown, strict=True):
        found.setdefault(str(event.kind) if near else OTHERS, []).append(event)
    return {key: found[key] for key in sorted(found, key=lambda key: key == OTHERS)}


def _events(
    diagram: Diagram,
    kind: str,
    events: Sequence[Event],
    values: Sequence[Array],
    time: TrainingTime,
    named: bool,
) -> go.Scatter:
    """Those events, each on the first of its branches that is there at its time."""
    places, texts = [], []
    by_id = {branch.id: (branch, value) for branch, value in zip(diagram.branches, values, strict=True)}
    for event in events:
        for name in event.branches:
            branch, value = by_id[name]
            if len(branch):
                places.append((event.time, float(np.interp(event.time, branch.s, value))))
                texts.append(f"<b>{event.kind}</b> at {time.said(event.time)}<br>{event.sentence}")
                break
    at = np.array(places).reshape(-1, 2)
    symbol, size = ("circle", 4) if kind == OTHERS else (SYMBOLS[Bifurcation(kind)], 9)
    return go.Scatter(
        x=time.place(at[:, 0]),
        y=at[:, 1],
        mode="markers",
        marker={"symbol": symbol, "color": style.INK, "size": size, "line": {"color": "white", "width": 1}},
        name=kind,
        legendgroup=kind,
        showlegend=named,
        visible="legendonly" if kind == OTHERS else True,
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(branch: Branch, k: int, time: TrainingTime) -> str:
    leading = branch.eigenvalues[k, 0] if branch.eigenvalues.shape[1] else np.nan
    return (
        f"<b>branch {branch.id}</b>, {time.said(branch.s[k])}<br>unstable directions: {branch.n_unstable[k]}"
        f"<br>leading eigenvalue: {style.complex_text(complex(leading))}<br>readout: {style.vector(branch.readouts[k])}"
    )


def _counted(diagram: Diagram) -> str:
    kinds = Counter(str(event.kind) for event in diagram.events)
    known = [(str(kind), kinds[kind]) for kind in Bifurcation if kinds[kind]]
    return sentence(style.TEXT, "bifurcations", len(diagram.branches), known)
