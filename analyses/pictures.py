"""The pictures of a run's folder, by name. A new one is a function below, under ``@picture``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.analyses.portrait import Fit, portrait, title_of, together
from dynsys.analyses.recorded import trials_drawn
from dynsys.analyses.run import BASINS, CERTIFIED, CONNECTIONS, CURVE, FLIPS, load_run
from dynsys.io.errors import CheckpointError, typed
from dynsys.io.files import told_apart
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.result.fixed_points import FixedPoints
from dynsys.trajectories.recorded import recorded_in


@dataclass(frozen=True)
class Asked:
    """What is to be drawn of the folder ``run``: everything of it, unless the user chose."""

    run: Path
    points: list[int] | None = None  # the numbers of those that are shown
    seed: int | None = None  # of the trajectories shown
    fit: Fit | None = None  # what the principal components are fitted to
    starts: bool = False  # whether the states that the search began from are shown
    patterns: list[int] | None = None  # the numbers of the stored patterns whose plane is shown
    trajectories: Path | None = None  # recorded trials that are shown, instead of those of the search
    states: list[str] | None = None  # their arrays that are the state
    conditions: str | None = None  # by what they are coloured: an array of theirs, or a file
    epochs: dict[str, int] | None = None  # the steps at which something begins
    plane: str | None = None  # of a slice, what it is spanned by
    through: int | None = None  # the number, of those shown, of the point that it goes through
    shading: str | None = None  # speed or energy
    beside: tuple[Path, ...] = ()  # further runs, whose points stand in the same picture

    @property
    def given(self) -> list[str]:
        """The names of what the user chose."""
        chosen = {"points": self.points, "seed": self.seed, "fit": self.fit, "starts": self.starts or None}
        chosen |= {key: getattr(self, key) for key in ("patterns", "trajectories", "states", "conditions", "epochs")}
        chosen |= {key: getattr(self, key) for key in ("plane", "through", "shading")}
        return [name for name, value in chosen.items() if value is not None]


@dataclass(frozen=True)
class Picture:
    """``figure`` draws what is asked; ``uses`` are the choices that make a difference to it.

    ``still`` draws what stands for it in print, where it moves.
    """

    figure: Callable[[Asked], Any]
    uses: tuple[str, ...]
    still: Callable[[Path], Any] | None = None


TOGETHER = ("phase",)  # pictures of several runs
MEMORIES = ("continuous-hopfield", "dense-memory")  # whose points have names
PICTURES: dict[str, Picture] = {}


def picture(
    name: str, *uses: str, still: Callable[[Path], Any] | None = None
) -> Callable[[Callable[[Asked], Any]], Any]:
    """Makes a function one of ``PICTURES``."""

    def entered(figure: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
        PICTURES[name] = Picture(figure, uses, still)
        return figure

    return entered


@dataclass(frozen=True)
class Look:
    """How a picture looks: where a scene is seen from, whether title and caption are there, and in a still the size
    that it has in print, like 85mm, and the points of its text."""

    camera: str | None = None
    caption: bool = True
    size: str | None = None
    font: float | None = None


def draw(
    name: str | None,
    run: str | Path,
    path: str | Path,
    png: str | Path | None = None,
    points: list[int] | None = None,
    seed: int | None = None,
    fit: Fit | None = None,
    starts: bool = False,
    patterns: list[int] | None = None,
    below: Sequence[str] = (),
    look: Look | None = None,
    **shown: Any,
) -> str:
    """Draw one of ``PICTURES`` of a run into a self-contained page, and a still where asked; returns the caption.

    Where ``path`` is the name of a still there is no page. Those named ``below`` follow on the page; ``shown`` are
    further choices of ``Asked``.

    None is the phase portrait, or the portrait of retrieval for a network that learned it. Raises ValueError for a
    choice that the picture does not use.
    """
    from dynsys.plots import save_html, save_picture
    from dynsys.plots.export import check_drawings, is_page
    from dynsys.plots.page import unbroken, wordless

    look = look or Look()
    check_drawings(path, png)
    page, stills = (path, []) if is_page(path) else (None, [path])
    stills += [png] if png is not None else []
    if (look.size or look.font) and not stills:
        raise ValueError("--size and --font are those of a still: name one, .png, .pdf or .svg, with -o or --png")
    figure, chosen = figure_of(name, Asked(Path(run), points, seed, fit, starts, patterns, **shown))
    told = [line for note in figure.layout.annotations if note.name == "caption" for line in unbroken(note.text)]
    printed = chosen.still(Path(run)) if chosen.still and stills else figure
    for one in {id(figure): figure, id(printed): printed}.values():
        _seen(one, look)
    if page is not None:
        under = [figure_of(other, Asked(Path(run)))[0] for other in below]
        save_html(figure if look.caption else wordless(figure), page, under)
    for place in stills:
        save_picture(printed, place, size=look.size, font=look.font, caption=look.caption)
    return "\n".join(told)


def _seen(figure: Any, look: Look) -> None:
    if look.camera is not None:
        from dynsys.plots.portrait.turned import turned

        turned(figure, look.camera)


def figure_of(name: str | None, asked: Asked) -> tuple[Any, Picture]:
    """The figure, and which of ``PICTURES`` it is."""
    name = name or _usual(asked.run)
    if asked.beside and name not in TOGETHER:
        raise ValueError(f"the picture {name!r} is of one run; several stand together in {' and '.join(TOGETHER)}")
    for choice in asked.given:
        if choice not in PICTURES[name].uses:
            those = ", ".join(repr(other) for other, of in PICTURES.items() if choice in of.uses)
            raise ValueError(f"--{choice} makes no difference to the picture {name!r}; it does to {those}")
    return PICTURES[name].figure(asked), PICTURES[name]


def _usual(run: Path) -> str:
    return "retrieval" if isinstance(getattr(load_run(run)[1], "task", None), Retrieval) else "phase"


@picture("phase", "points", "seed", "fit", "starts", "trajectories", "states", "conditions", "epochs")
def _phase(asked: Asked) -> Any:
    from dynsys.attractors.connections import Connections
    from dynsys.continuous_attractors.slow_curve import SlowCurve

    if asked.beside:
        return _together(asked)
    run = asked.run
    points, system = load_run(run)
    followed = Connections.load(run / CONNECTIONS) if asked.points is None and (run / CONNECTIONS).is_file() else None
    known = followed is not None and followed.are_of(points)
    shown = _some(points, asked.points)
    trials = trials_drawn(recorded_in(run), system, asked.trajectories, asked.states, asked.conditions)
    return portrait(
        shown,
        system,
        asked.seed or 0,
        asked.fit or "points",
        followed if known else None,
        trials,
        asked.starts,
        _names(system, shown, run),
        asked.epochs,
        [SlowCurve.load(run / CURVE)] if (run / CURVE).is_file() else [],
    )


def _together(asked: Asked) -> Any:
    """Several runs in one portrait, under the names of their folders."""
    for choice in ("points", "seed", "starts", "trajectories", "states", "conditions", "epochs"):
        if choice in asked.given:
            raise ValueError(f"--{choice} is a choice for the portrait of one run; draw these runs one by one for it")
    runs = (asked.run, *asked.beside)
    kept = [recorded_in(run) for run in runs]
    return together([load_run(run)[0] for run in runs], told_apart(runs), kept, asked.fit or "points")


def _names(system: Any, points: FixedPoints, run: Path) -> list[str]:
    """What the points of an associative memory are to its patterns; nothing of other networks."""
    if system.name not in MEMORIES:
        return []
    from dynsys.analyses.landscape import names_in, point_names

    return point_names(system, points, names_in(run))


@picture("spectrum", "points")
def _spectrum(asked: Asked) -> Any:
    from dynsys.plots import spectrum

    points, system = load_run(asked.run)
    return spectrum(points, _numbers(points, asked.points), title=title_of(system))


@picture("modes", "points")
def _modes(asked: Asked) -> Any:
    from dynsys.plots import modes

    points, system = load_run(asked.run)
    return modes(points, _numbers(points, asked.points), title=title_of(system))


@picture("graph")
def _graph(asked: Asked) -> Any:
    from dynsys.attractors.basins import Basins
    from dynsys.attractors.connections import Connections
    from dynsys.plots import memory_graph

    run = asked.run
    if not (run / CONNECTIONS).is_file():
        raise CheckpointError(run, "nobody has followed its saddles yet", f"first: {typed('basins', run)}")
    basins = Basins.load(run / BASINS) if (run / BASINS).is_file() else None
    _, system = load_run(run)
    return memory_graph(Connections.load(run / CONNECTIONS), basins, title=title_of(system))


@picture("surface", "points")
def _surface(asked: Asked) -> Any:
    from dynsys.lyapunov.basins import CertifiedBasins
    from dynsys.plots import lyapunov_surface

    run = asked.run
    if not (run / CERTIFIED).is_file():
        raise CheckpointError(run, "nobody has proved its basins yet", f"first: {typed('basins', run)} --certify")
    points, system = load_run(run)
    chosen = _numbers(points, asked.points) or []
    if len(chosen) > 2:
        raise ValueError(f"{len(chosen)} points are given; a surface is that of a memory, and of a saddle beside it")
    return lyapunov_surface(CertifiedBasins.load(run / CERTIFIED), points, *chosen, title=title_of(system))


@picture("curve")
def _curve(asked: Asked) -> Any:
    from dynsys.continuous_attractors.slow_curve import SlowCurve
    from dynsys.plots import speed_along

    path = asked.run / CURVE
    if not path.is_file():
        raise CheckpointError(
            asked.run, "no slow curve was looked for", "first: dynsys find with --curve mode, or a readout's number"
        )
    return speed_along(SlowCurve.load(path), title=title_of(load_run(asked.run)[1]))


@picture("flip")
def _flip(asked: Asked) -> Any:
    from dynsys.attractors.flip import Flips
    from dynsys.plots import flip_matrix

    run = asked.run
    if not (run / FLIPS).is_file():
        raise CheckpointError(run, "nobody has flipped its memories yet", f"first: {typed('flip', run)}")
    return flip_matrix(Flips.load(run / FLIPS), title=title_of(load_run(run)[1]))


@picture("training")
def _training(asked: Asked) -> Any:
    from dynsys.models.training.run import read_curves
    from dynsys.plots import learning_curves, training_curves

    curves = read_curves(asked.run)
    if "test_output" in curves:
        return training_curves(curves)
    return learning_curves({"": {asked.run.resolve().name: curves}})


def _still_evolution(run: Path) -> Any:
    from dynsys.analyses.evolve.report import still_portraits

    return still_portraits(run)


@picture("evolution", still=_still_evolution)
def _evolution(asked: Asked) -> Any:
    from dynsys.analyses.evolve.report import moving_portrait

    return moving_portrait(asked.run)


@picture("bifurcations")
def _bifurcations(asked: Asked) -> Any:
    from dynsys.analyses.evolve.report import drawn_bifurcations

    return drawn_bifurcations(asked.run)


@picture("plane", "points", "plane", "through", "shading")
def _plane(asked: Asked) -> Any:
    from dynsys.plots import phase_plane

    points, system = load_run(asked.run)
    cut = {key: getattr(asked, key) for key in ("plane", "through", "shading") if getattr(asked, key) is not None}
    return phase_plane(system, _some(points, asked.points), title=title_of(system), **cut)


@picture("retrieval", "points", "seed", "fit")
def _retrieval(asked: Asked) -> Any:
    from dynsys.analyses.retrieval.settling_pictures import retrieval_picture

    points, system = load_run(asked.run)
    chosen, seed = _some(points, asked.points), asked.seed or 0
    return retrieval_picture(chosen, system, seed, "states" if asked.fit == "trajectories" else "readouts")


@picture("convergence")
def _convergence(asked: Asked) -> Any:
    from dynsys.analyses.retrieval.settling_pictures import convergence_picture

    return convergence_picture(asked.run)


@picture("confusion")
def _confusion(asked: Asked) -> Any:
    from dynsys.models.training.run import read_curves
    from dynsys.plots import confusions

    return confusions({asked.run.resolve().name: read_curves(asked.run)})


@picture("landscape", "points", "seed", "patterns")
def _landscape(asked: Asked) -> Any:
    from dynsys.analyses.landscape import landscape, names_in

    points, system = load_run(asked.run)
    return landscape(system, names_in(asked.run), _some(points, asked.points), asked.patterns, asked.seed or 0)


def _some(points: FixedPoints, chosen: list[int] | None) -> FixedPoints:
    return points if chosen is None else points[_numbers(points, chosen)]


def _numbers(points: FixedPoints, chosen: list[int] | None) -> list[int] | None:
    wrong = [i for i in chosen or () if not 0 <= i < len(points)]
    if wrong:
        raise ValueError(f"there is no point {wrong[0]}; this run has points 0 to {len(points) - 1}")
    return chosen
