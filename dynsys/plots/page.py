"""Figures as parts of a page: their titles and captions become text of the page, which wraps at any width and can be
read aloud, and a few lines of script make scenes fit into narrow windows."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from importlib.resources import files

import plotly.graph_objects as go

TITLE = 35  # pixels that a title takes above the axes
UNDER = 12  # pixels left below what stands under the axes
NARROWEST = {1: 0, 2: 560, 3: 760}  # pixels of a figure by its panels from left to right; more: 900
LABELLED = 620  # pixels that a graph with names at its nodes needs
MANY = 8  # names, from which on a graph is one of those
MARKUP = re.compile(r"&lt;(/?(?:b|i|sub|sup)|br)&gt;")
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True, "toImageButtonOptions": {"scale": 2}}


@dataclass(frozen=True)
class Part:
    """A figure without its words: ``title`` and ``caption`` are HTML, ``alt`` is plain, ``least`` its least width."""

    figure: go.Figure
    title: str
    caption: list[str]
    alt: str
    least: int


def part(figure: go.Figure) -> Part:
    """The figure for a page; where it has a height that is lessened by what its words took.

    The title of an animation stays, as it changes from frame to frame.
    """
    title = figure.layout.title.text or ""
    notes = [note for note in figure.layout.annotations if note.name == "caption"]
    bare = wordless(figure, title=not figure.frames)
    margins = [sum(one.layout.margin.to_plotly_json().values()) for one in (figure, bare)]
    if bare.layout.height:
        bare.layout.height -= margins[0] - margins[1]
    caption = [line for note in notes for line in unbroken(note.text or "")]
    plain = html.unescape(re.sub(r"<[^>]*>", "", " ".join([f"{title}." if title else "", *caption]))).strip()
    return Part(
        bare,
        "" if figure.frames else safe(title),
        [safe(line) for line in caption],
        plain or "A figure.",
        least(figure),
    )


def wordless(figure: go.Figure, *, title: bool = True) -> go.Figure:
    """The figure without caption and ``title``, and without the room that they took."""
    bare, given = go.Figure(figure), figure.layout.margin.to_plotly_json()
    notes = [note for note in figure.layout.annotations if note.name == "caption"]
    if title and figure.layout.title.text and "t" in given:
        bare.layout.margin.t = max(given["t"] - TITLE, UNDER)
    if notes and "b" in given:
        bare.layout.margin.b = min(given["b"], max(int(-(note.yshift or 0)) for note in notes) + UNDER)
    if title:
        bare.layout.title = None
    bare.layout.annotations = [note for note in bare.layout.annotations if note.name != "caption"]
    return bare


def unbroken(caption: str) -> list[str]:
    """The sentences of a caption, whose lines were broken to fit a figure.

    >>> unbroken("One sentence that<br>goes on.<br>Another.")
    ['One sentence that goes on.', 'Another.']
    """
    notes: list[str] = []
    for line in filter(None, caption.split("<br>")):
        if notes and not notes[-1].endswith((".", ":", "!", "?")):
            notes[-1] += f" {line}"
        else:
            notes.append(line)
    return notes


def safe(text: str) -> str:
    """Text for a page in which the markup that plotly knows is markup, and nothing else.

    >>> safe("log<sub>10</sub> q <script>")
    'log<sub>10</sub> q &lt;script&gt;'
    """
    return MARKUP.sub(r"<\1>", html.escape(html.unescape(text), quote=False))


def least(figure: go.Figure) -> int:
    """Pixels of width below which its panels would be too narrow to read: a narrower page scrolls them."""
    axes = [axis for key, axis in figure.layout.to_plotly_json().items() if key.startswith("xaxis")]
    starts = {round(float(axis.get("domain", (0, 1))[0]), 3) for axis in axes if "overlaying" not in axis}
    if sum(note.name == "label" for note in figure.layout.annotations) >= MANY:
        return LABELLED
    return NARROWEST.get(max(len(starts), 1), 900)


def script() -> str:
    """What a page needs once, after its figures: it fits scenes into narrow windows, and all figures into print."""
    return (files("dynsys.plots") / "page.js.jinja").read_text()
