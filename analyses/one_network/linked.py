"""Pictures that answer to a click: what the page tells of a single point, and the lines of script that show it.

A click on a point in the portrait, among the eigenvalues, the modes or in the graph, or on its row, chooses that point
everywhere: its spectrum, its modes, its share of the starts, its row, and a ring around it in the portrait.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from dynsys.analyses.one_network.study import Told
from dynsys.attractors.attractor import POINT, Node
from dynsys.io.text import some
from dynsys.plots import style
from dynsys.stability.modes import Modes

EIGENVALUES = 128  # of a point that are drawn when it is chosen, the leading ones
MOST = 1_000  # points with a spectrum of their own: more would make the page heavy
DIGITS = 5


def panel(told: Told, names: dict[Node, str]) -> str:
    """The HTML below the portrait; empty where there is no point to choose."""
    if not len(told.points):
        return ""
    from jinja2 import Environment, PackageLoader

    data = {
        "map": told.points.about["kind"] == "map",
        "points": [_point(told, names, i) for i in range(min(len(told.points), MOST))],
    }
    environment = Environment(loader=PackageLoader("dynsys.analyses.one_network", ""), autoescape=True)
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return environment.get_template("linked.html.jinja").render(data=text, colours=style)


def _point(told: Told, names: dict[Node, str], i: int) -> dict[str, Any]:
    points, name = told.points, names.get(Node(POINT, i), "")
    name = "" if name == str(i) else name
    word = "slow point" if points.verdict[i] == "slow" else str(points.stability[i])
    values = points.eigenvalues[i][~np.isnan(points.eigenvalues[i])]
    return {
        "name": f"Point {i}{f', {name}' if name else ''}: {word}",
        "facts": [[name, value] for name, value in _facts(told, names, i).items() if value],
        "eigenvalues": [[_short(v.real), _short(v.imag)] for v in values[:EIGENVALUES].tolist()],
        "known": len(values) == points.states.shape[1],
        "modes": _modes(told, i),
    }


def _facts(told: Told, names: dict[Node, str], i: int) -> dict[str, str]:
    points = told.points
    node = Node(POINT, i)
    shares = [] if told.basins is None else [s for s in told.basins.all_shares if node in s.counts]
    ends = [] if told.connections is None else told.connections.ends_of(i)
    bound = points.error_bound[i]
    return {
        "unstable directions": str(points.n_unstable[i]),
        "readout": style.vector(points.readouts[i]) if points.readouts.shape[1] else "",
        **{f"share of {s.of}": f"{s.share(node):.1%} ({_percents(*s.interval(node))})" for s in shares},
        "its branches lead to": some([names.get(Node(end), end) for end in ends]) if ends else "",
        "q = |F|² / 2": f"{points.q[i]:.1e}",
        "known to within": (f"{bound:.0e}" if np.isfinite(bound) else "") + (", proved" if points.certified[i] else ""),
    }


def _percents(low: float, high: float) -> str:
    return f"95 %: {100 * low:.1f} to {100 * high:.1f}"


def _modes(told: Told, i: int) -> list[list[str]]:
    """Eigenvalue, time constant and frequency of the leading modes; one of each complex pair."""
    known = told.modes
    rows = [] if known is None else np.flatnonzero(known.ids == i).tolist()
    if not rows:
        return []
    assert known is not None
    row = rows[0]
    kept = once(known, row)
    return [
        [
            style.complex_text(known.eigenvalues[row, j]),
            time_text(float(known.time_constants[row, j])),
            f"{known.frequencies[row, j]:.3g}" if known.frequencies[row, j] else "",
        ]
        for j in kept
    ]


def once(known: Modes, row: int) -> list[int]:
    """The modes of a row, one of each complex pair."""
    values = known.eigenvalues[row]
    return np.flatnonzero(~np.isnan(values) & (values.imag >= 0)).tolist()


def time_text(value: float) -> str:
    """A time constant in words; those of growth are negative."""
    if np.isinf(value):
        return "for ever"
    return f"{value:.3g}" if value >= 0 else f"grows in {-value:.3g}"


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
