"""The page in which a study of training ends: the animated portrait, stills, the diagram, counts, the origin."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.citations import of_network
from dynsys.analyses.evolve.completeness import HERE
from dynsys.analyses.evolve.evolution import Evolution, Evolve, studied
from dynsys.analyses.evolve.frames import Frames
from dynsys.analyses.evolve.words import event_rows, of_the_list, results, sentences, snapshot_rows, stable_rows
from dynsys.analyses.flipflop_memories import CLEAR
from dynsys.analyses.portrait import title_of_kind
from dynsys.analyses.report import Report, Section, write_report
from dynsys.continuation.diagram import Diagram
from dynsys.io.errors import typed
from dynsys.io.text import paragraphs
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.systems.system import Kind
from dynsys.trajectories.projection import Projection

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = NDArray[np.float64]

FOLLOWING = ("keller1977", "kuznetsov2004", "govaerts2000")  # of points through a parameter, and what happens to them
EVENTS_SHOWN = 400  # rows of the page's table; the files hold all


def write_evolution(evolution: Evolution, settings: Evolve, run: Path) -> None:
    """``report.html`` and ``results.json``; raises OutputError."""
    title = f"{title_of_kind(evolution.network)}: how its phase portrait forms"
    report = Report(
        title=title,
        command=command(evolution.folder, settings, run),
        summary=sentences(evolution),
        settings={key: value for key, value in dataclasses.asdict(settings).items() if value is not None},
        sections=sections(evolution),
        citations=["jang", "sussillo2013", *FOLLOWING, *of_network(evolution.network)],
        networks=[run / FILE_NAME],
    )
    write_report(report, results(evolution), evolution.folder)


def command(folder: Path, settings: Evolve, run: Path) -> str:
    """What to type for the same again."""
    usual, words = Evolve(), ["evolve", str(run), "-o", str(folder)]
    if settings.input is not None:
        words += ["--input", ",".join(f"{value:g}" for value in settings.input)]
    for name in ("searches", "seed"):
        if getattr(settings, name) != getattr(usual, name):
            words += [f"--{name}", str(getattr(settings, name))]
    return typed(*words)


def sections(evolution: Evolution) -> list[Section]:
    from dynsys.plots import (
        bifurcation_diagram,
        origin_eigenvalues,
        origin_spectrum,
        point_counts,
        portrait_animation,
        portrait_stills,
    )

    diagram, origin, frames = evolution.diagram, evolution.origin, evolution.frames
    name = "the origin" if origin is None or origin.is_zero else f"branch {origin.branch}, first nearest the origin"
    found = []
    if frames is not None:
        moving = portrait_animation(diagram, *_seen(frames))
        stills = portrait_stills(diagram, *_seen(frames), which=chosen_stills(diagram))
        found.append(Section("The phase portrait over training", _text("portrait"), figures=[moving, stills]))
    found += [
        Section("Bifurcations", _text("diagram"), figures=[bifurcation_diagram(diagram)]),
        Section(
            "How many points",
            figures=[point_counts(diagram, None if origin is None else origin.n_unstable, name=name)],
        ),
    ]
    if origin is not None:
        kind = Kind(diagram.about["kind"])
        found.append(
            Section(
                f"Eigenvalues of {name}",
                figures=[
                    origin_eigenvalues(diagram.steps, origin.eigenvalues, kind),
                    origin_spectrum(diagram.steps, origin.eigenvalues, kind),
                ],
            )
        )
    events = event_rows(diagram)
    return [
        *found,
        Section(
            "Points that are stable at the end, and how they came to be",
            _text("memories", CLEAR),
            table=stable_rows(evolution),
        ),
        Section(
            "Events at which a point is stable",
            [of_the_list(diagram), *_text("branches")],
            table=event_rows(diagram, stable_only=True),
        ),
        Section("All events", _text("all_events", EVENTS_SHOWN, len(events)), table=events[:EVENTS_SHOWN]),
        Section("Snapshots", table=snapshot_rows(evolution)),
        Section("Notes of the search", [f"{note[0].upper()}{note[1:].rstrip('.')}." for note in diagram.notes]),
    ]


def _text(about: str, *facts: Any) -> list[str]:
    return paragraphs(HERE, about, *facts)


def moving_portrait(folder: Path) -> go.Figure:
    """The animated portrait of a study that is finished; raises CheckpointError."""
    from dynsys.plots import portrait_animation

    diagram, frames = studied(folder)
    return portrait_animation(diagram, *_seen(frames), title=_name(diagram))


def still_portraits(folder: Path) -> go.Figure:
    """A few of its frames beside each other; raises CheckpointError."""
    from dynsys.plots import portrait_stills

    diagram, frames = studied(folder)
    return portrait_stills(diagram, *_seen(frames), which=chosen_stills(diagram), title=_name(diagram))


def drawn_bifurcations(folder: Path) -> go.Figure:
    """Its bifurcation diagram; raises CheckpointError."""
    from dynsys.plots import bifurcation_diagram

    diagram, _ = studied(folder)
    return bifurcation_diagram(diagram, title=_name(diagram))


def _seen(frames: Frames) -> tuple[list[list[Array]], list[list[Array]], Projection]:
    return frames.runs("trajectories"), frames.runs("releases"), frames.axes


def _name(diagram: Diagram) -> str:
    name = diagram.about["name"]
    return f"{title_of_kind(name)}, {diagram.about['n_state']} state variables"


def chosen_stills(diagram: Diagram) -> list[int]:
    """Up to four snapshots, as in Jang's figure 7: the first; that from which on the stable points lie half as far
    apart as in the end; that from which on three quarters as many are stable; the last.

    Where that is so from the first on, the snapshot at a quarter or three quarters of the way stands in.
    """
    last = len(diagram.steps) - 1
    chosen = {0, last}
    for measure, share, way in ((_extents(diagram), 0.5, 0.25), (diagram.counts()[:, 0], 0.75, 0.75)):
        short = np.flatnonzero(measure < share * measure[last])
        chosen.add(int(short[-1]) + 1 if len(short) else round(way * last))
    return sorted(chosen)


def _extents(diagram: Diagram) -> Array:
    """How far (S,) the stable points of each snapshot lie from their middle, root mean square."""
    found = []
    for i in range(len(diagram.steps)):
        points = diagram.points_at(i)
        x = points.states[points.n_unstable == 0]
        found.append(float(np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())) if len(x) else 0.0)
    return np.array(found)
