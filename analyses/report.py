"""The one page in which a study ends, ``report.html``, and its numbers beside it, ``results.json``.

The page needs no network: plotly.js is in it once, or in a file beside it that several pages share. It holds what was
found in sentences, tables and pictures, and what is needed to find it again: the networks with their checksums, the
settings, the command, the versions, the date, and whom to cite.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynsys.analyses.citations import CITATIONS, Citation
from dynsys.io.files import write_drawn, write_json
from dynsys.io.provenance import digest_of
from dynsys.numerics.deadline import Cut, CutShort

if TYPE_CHECKING:
    import plotly.graph_objects as go

REPORT, RESULTS = "report.html", "results.json"
MOST_SCENES = 8  # three-dimensional, on one page: a browser has so many WebGL contexts
PACKAGES = ("dynsys-rnn", "numpy", "scipy", "torch", "plotly", "joblib")
SHORT = 32  # letters of a cell that stay on one line
HEIGHT = 640  # pixels of a figure that says none
SOLID = ("scatter3d", "surface", "mesh3d", "cone", "streamtube", "isosurface", "volume")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: paragraphs, a table (one mapping of column to value a row), figures.

    ``links`` lead from the cells of the first column elsewhere, one for each row. ``more`` is HTML that follows.
    """

    title: str
    text: str | Sequence[str] = ()
    table: Sequence[Row] = ()
    figures: Sequence[go.Figure] = ()
    links: Sequence[str] = ()
    more: str = ""

    @property
    def paragraphs(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else list(self.text)

    @property
    def columns(self) -> list[str]:
        """Of the table: every key of any row, in the order in which they come."""
        return list(dict.fromkeys(key for row in self.table for key in row))

    @property
    def is_short(self) -> bool:
        """Whether no cell of the table needs a second line."""
        return all(len(in_words(value)) <= SHORT for row in self.table for value in row.values())

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Report:
    """A study's page. ``summary`` are the sentences to read first; ``networks`` are the files that it is about, which
    are told with their checksums; ``citations`` are names in ``CITATIONS``."""

    title: str
    command: str
    summary: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    citations: Sequence[str] = ()
    networks: Sequence[str | Path] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.citations if name not in CITATIONS]
        if unknown:
            raise ValueError(f"there is no citation {unknown[0]!r}; the names are {', '.join(CITATIONS)}")
        scenes = sum(map(scenes_of, self.figures))
        if scenes > MOST_SCENES:
            raise ValueError(f"the report has {scenes} three-dimensional scenes; a page holds {MOST_SCENES} at most")

    @property
    def figures(self) -> list[go.Figure]:
        return [figure for section in self.sections for figure in section.figures]

    @property
    def references(self) -> list[Citation]:
        return [CITATIONS[name] for name in dict.fromkeys(self.citations)]


def write_report(report: Report, results: Mapping[str, Any], folder: str | Path) -> Path:
    """Write ``report.html`` and ``results.json`` into ``folder``; returns the page. Raises OutputError.

    ``results`` (with its "schema") gains the settings, the command and the versions where it does not name them.
    """
    found = {"settings": dict(report.settings), "command": report.command, "versions": versions(), **results}
    write_json(Path(folder) / RESULTS, found)
    return write_drawn(Path(folder) / REPORT, page(report).encode())


def cut_short(
    cut: Cut, title: str, command: str, settings: Mapping[str, Any], schema: str, folder: str | Path
) -> CutShort:
    """Write the page of a study that has nothing to show yet, and give what it raises."""
    write_report(Report(title, command, [cut.sentence], settings), {"schema": schema, "cut": cut.to_json()}, folder)
    return CutShort(cut)


def page(report: Report, plotly_js: str | None = None) -> str:
    """The report as a whole HTML page, with plotly.js in it or from the file ``plotly_js`` beside it."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    from dynsys.plots.page import script

    environment = Environment(loader=PackageLoader("dynsys.analyses", "."), autoescape=True, trim_blocks=True)
    environment.filters["value"] = in_words
    drawn = [[_drawn(figure) for figure in section.figures] for section in report.sections]
    return environment.get_template("report.html.jinja").render(
        report=report,
        sections=list(zip(report.sections, drawn, strict=True)),
        plotly=Markup(get_plotlyjs()) if report.figures and plotly_js is None else "",
        plotly_js=plotly_js if report.figures else None,
        script=Markup(script()) if report.figures else "",
        networks=[(str(path), digest_of(Path(path))) for path in report.networks if Path(path).exists()],
        versions=versions(),
        date=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
    )


def scenes_of(figure: go.Figure) -> int:
    """How many three-dimensional scenes a figure has."""
    return len({trace.scene or "scene" for trace in figure.data if trace.type in SOLID})


def versions() -> dict[str, str]:
    """Of Python and of what computes here."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def in_words(value: Any) -> str:
    """A value of a table or of the settings as it is shown.

    >>> in_words(0.000123456), in_words(12345), in_words((1, 2)), in_words(True)
    ('0.0001235', '12,345', '1, 2', 'yes')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(in_words, value))
    return str(value)


def _drawn(figure: go.Figure) -> dict[str, Any]:
    """What the template needs of a figure, whose words it puts into its own text."""
    from markupsafe import Markup

    from dynsys.plots.page import CONFIG, part

    one = part(figure)
    html: str = one.figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        default_width="100%",
        default_height=f"{one.figure.layout.height or HEIGHT:g}px",
        config=CONFIG,
        auto_play=False,
    )
    caption = [Markup(line) for line in one.caption]
    return {"html": Markup(html), "title": Markup(one.title), "caption": caption, "alt": one.alt, "least": one.least}
