"""Lines of slow points under each context beside what moves the state along them (Mante et al. 2013, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from dynsys.plots import style

Array = NDArray[np.float64]

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN)
DASHES = ("solid", "dash", "dot", "dashdot")
ARROWS, ARROW = 5, 0.12  # selection vectors drawn along a line, and their length as a share of the whole picture


class Line(Protocol):
    """What is drawn of a line: see ``dynsys.analyses.contexts.selection``."""

    states: Array
    selection: Array
    tangent: Array
    readouts: Array
    overlap: Array

    def __len__(self) -> int: ...


def selection_vectors(
    lines: Sequence[Line],
    names: Sequence[str],
    inputs: Sequence[int],
    directions: Array,
    *,
    title: str | None = None,
) -> go.Figure:
    """The lines in a plane, and along each of them the overlap of its selection vector with some inputs.

    ``names`` are those of the lines, ``inputs`` the numbers of the inputs drawn, ``directions`` (len(inputs), n) what
    they add to the state. The plane is that of the mean tangent and, orthogonal to it, of the first input's direction
    less the second's where there are two.
    """
    drawn = [i for i, line in enumerate(lines) if len(line) > 1]
    if not drawn:
        raise ValueError("there is no line of slow points to draw")
    plane = _plane([lines[i] for i in drawn], directions)
    figure = make_subplots(1, 2, column_widths=[0.5, 0.5], horizontal_spacing=0.12)
    places = {i: lines[i].states @ plane.T for i in drawn}
    size = float(np.ptp(np.concatenate(list(places.values())), axis=0).max())
    for i in drawn:
        line, colour, place = lines[i], COLOURS[i % len(COLOURS)], places[i]
        marker = {"color": colour, "size": 6}
        texts = [f"{names[i]}<br>readout {style.vector(z)}" for z in line.readouts]
        hover = {"text": texts, "hovertemplate": "%{text}<extra></extra>"}
        figure.add_trace(
            go.Scatter(x=place[:, 0], y=place[:, 1], mode="lines+markers", marker=marker, name=names[i], **hover), 1, 1
        )
        figure.add_trace(_arrows(line, place, plane, ARROW * size, colour, i == drawn[0]), 1, 1)
        for k, j in enumerate(inputs):
            stroke = {"color": colour, "dash": DASHES[k % len(DASHES)], "width": 2}
            label = f"input {j + 1}, {names[i]}"
            figure.add_trace(
                go.Scatter(x=line.readouts[:, 0], y=line.overlap[:, j], mode="lines", line=stroke, name=label), 1, 2
            )
    figure.update_xaxes(style.axis("along the lines"), row=1, col=1)
    figure.update_yaxes(style.axis("along the inputs, across the lines", scaleanchor="x"), row=1, col=1)
    figure.update_xaxes(style.axis("readout on the line"), row=1, col=2)
    figure.update_yaxes(style.axis("cosine of selection vector and input", range=[-1.05, 1.05]), row=1, col=2)
    notes = [
        "Left, the slow points under each context and, as strokes, the part of their selection vectors in this plane: "
        "the left eigenvector of the slowest mode, along which a push moves the state on the line.",
        "Right, how far the selection vector points along what each input adds to the state: an input is integrated "
        "where that is far from 0, and ignored where it is 0.",
    ]
    return style.under(figure, title, notes)


def _plane(lines: Sequence[Line], directions: Array) -> Array:
    """Two orthonormal rows (2, n)."""
    along = np.mean([line.tangent.mean(axis=0) for line in lines], axis=0)
    across = directions[0] - directions[1] if len(directions) > 1 else directions[0]
    basis, _ = np.linalg.qr(np.stack([along, across], axis=1))
    signs = np.sign([along @ basis[:, 0], across @ basis[:, 1]])
    return (basis * signs).T


def _arrows(line: Line, places: Array, plane: Array, length: float, colour: str, legend: bool) -> go.Scatter:
    rows = np.unique(np.linspace(0, len(places) - 1, ARROWS).round().astype(int))
    ends = places[rows] + length * line.selection[rows] @ plane.T
    strokes = np.stack([places[rows], ends, np.full_like(ends, np.nan)], axis=1).reshape(-1, 2)
    stroke = {"color": style.paler(colour, 0.35), "width": 3}
    name = "selection vectors"
    return go.Scatter(
        x=strokes[:, 0], y=strokes[:, 1], mode="lines", line=stroke, name=name, showlegend=legend, hoverinfo="skip"
    )
