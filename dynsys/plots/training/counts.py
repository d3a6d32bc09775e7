"""How many points there are over a parameter, by their unstable directions, and how many the origin has."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.continuation.diagram import Diagram
from dynsys.io.text import paragraphs
from dynsys.plots import style
from dynsys.plots.training.training_time import TrainingTime

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

FEW = 5  # unstable directions, up to which each has a tick of its own
DARKER = ("#7A2F6E", "#4A1B43")  # than the purple of 2 or more unstable directions in other pictures: 3, and more
KINDS = (
    *((name, colour) for name, _, colour in style.SHAPES[:2]),
    ("2 unstable directions", style.SHAPES[2][2]),
    ("3 unstable directions", DARKER[0]),
    ("4 or more unstable directions", DARKER[1]),
)
STEPS = "hvh"  # a count holds half way to the snapshots beside it, so that the last one is seen too


def point_counts(
    diagram: Diagram, origin: Integers | None = None, *, name: str = "the origin", title: str | None = None
) -> go.Figure:
    """The number of points by unstable directions, stacked, over the snapshots.

    ``origin`` (S,) is the number of unstable directions of one point, called ``name``, -1 where it is no more: it is
    drawn in a second row.
    """
    time, table = TrainingTime.of_diagram(diagram), diagram.counts()
    rows = 1 if origin is None else 2
    figure = make_subplots(
        rows=rows,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.07,
        row_heights=[0.64, 0.36][:rows] if origin is not None else [1.0],
    )
    x = time.place(diagram.steps)
    for kind, (label, shade) in enumerate(KINDS):
        most = kind == len(KINDS) - 1
        count = table[:, kind:].sum(axis=1) if most else table[:, kind : kind + 1].sum(axis=1)
        if not count.any():
            continue
        figure.add_trace(
            go.Scatter(
                x=x,
                y=count,
                mode="lines",
                stackgroup="points",
                line={"color": shade, "width": 1.2, "shape": STEPS},
                fillcolor=_pale(shade),
                name=label,
                text=[
                    f"{style.plural(n, 'point')} with {label}, {time.said(step)}"
                    for n, step in zip(count, diagram.steps, strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
            ),
            1,
            1,
        )
    notes = _completeness(diagram, time)
    if diagram.index_known and (wrong := diagram.index_sums != 1).any():
        totals = table.sum(axis=1)[wrong]
        figure.add_trace(
            go.Scatter(
                x=x[wrong],
                y=totals,
                mode="markers",
                marker={"symbol": "x-thin", "size": 8, "line": {"color": style.INK, "width": 1.6}},
                name="points are missing",
                text=[f"index sum {value}: points are missing" for value in diagram.index_sums[wrong]],
                hovertemplate="%{text}<extra></extra>",
            ),
            1,
            1,
        )
    if origin is not None:
        figure.add_trace(_steps_of(x, origin, diagram.steps, time), 2, 1)
        few = {"dtick": 1} if origin.max() <= FEW else {}
        figure.update_yaxes(style.axis(f"unstable directions<br>of {name}", rangemode="tozero", **few), row=2, col=1)
    figure.update_yaxes(style.axis("fixed points", rangemode="tozero"), row=1, col=1)
    for row in range(1, rows + 1):
        figure.update_xaxes(time.axis(named=row == rows, showticklabels=row == rows), row=row, col=1)
    figure.update_layout(legend_traceorder="normal")
    return style.under(figure, title, [*notes, f"Counts change half way between two {time.place_word}s.", time.note])


def _steps_of(x: Array, origin: Integers, steps: Array, time: TrainingTime) -> go.Scatter:
    there = origin >= 0
    return go.Scatter(
        x=x,
        y=np.where(there, origin, np.nan),
        mode="lines+markers",
        line={"color": style.RED, "width": 1.6, "shape": STEPS},
        marker={"size": 4},
        name="unstable directions",
        showlegend=False,
        text=[f"{n} unstable directions, {time.said(step)}" for n, step in zip(origin, steps, strict=True)],
        hovertemplate="%{text}<extra></extra>",
    )


def _completeness(diagram: Diagram, time: TrainingTime) -> list[str]:
    total = diagram.counts().sum(axis=1)
    ends = [time.said(step) for step in (diagram.steps[0], diagram.steps[-1])]
    wrong = int((diagram.index_sums != 1).sum()) if diagram.index_known else None
    return paragraphs(style.TEXT, "counts", int(total[0]), int(total[-1]), *ends, wrong, time.place_word)


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.45)"
