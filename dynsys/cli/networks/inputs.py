"""``dynsys inputs``: the points of a network while its held input changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dynsys.cli.numbers import Numbers
from dynsys.cli.options import choices_given, loading_options, seconds_option
from dynsys.cli.output import print_json, print_rows
from dynsys.cli.place import PLACE
from dynsys.io.progress import progress

INPUT = Numbers(float, "0,0,1")


class Shape(click.ParamType[tuple[int, int]]):
    """AxB, like 9x7."""

    name = "axb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        one, _, other = str(value).partition("x")
        if not (one.isdecimal() and other.isdecimal()):
            self.fail(f"{value!r} is not of the form AxB, like 9x7", param, ctx)
        return int(one), int(other)


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder for the diagram and its page.")
@click.option("--from", "first", type=INPUT, help="Input at which the path begins; zeros if not given.")
@click.option("--to", "last", type=INPUT, help="Input at which it ends; where it began if not given, a closed path.")
@click.option("--through", type=INPUT, multiple=True, help="A vertex between, again for the next.")
@click.option(
    "--grid",
    "shape",
    type=Shape(),
    help="A grid of so many cells, like 9x7, between the corners --from and --to, which differ in two inputs.",
)
@click.option(
    "--trajectories",
    type=PLACE,
    metavar="FILE",
    help="A recorded trial instead, its states and inputs: the points at each step, as an animation.",
)
@click.option("--trial", type=click.IntRange(0), help="Which trial of that file.  [0]")
@click.option("--states", "keys", metavar="KEY[,KEY]", help="Which of its arrays are the state, like hidden,cell.")
@click.option("--searches", default=3, show_default=True, type=click.IntRange(2), help="Places that are searched.")
@click.option("--verify", is_flag=True, help="Prove the points of these searches.")
@click.option("--jobs", type=click.IntRange(1), help="Threads; all cores if not given.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@seconds_option("the points followed by then make the result.")
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inputs(
    checkpoint: str,
    folder: str,
    first: list[float] | None,
    last: list[float] | None,
    through: tuple[list[float], ...],
    shape: tuple[int, int] | None,
    trajectories: str | None,
    trial: int | None,
    keys: str | None,
    searches: int,
    verify: bool,
    jobs: int | None,
    seed: int,
    seconds: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Follow the fixed points of the network in CHECKPOINT while the input that it is held at changes along a path:
    what is born, lost or changes its stability, and at which input.

    \b
    Examples:
      dynsys inputs runs/flipflop --to 1,0,0 -o runs/pulse
      dynsys inputs model.pt --from 0,0 --through 1,0 -o runs/loop
      dynsys inputs model.pt --from=-1,-1 --to 1,1 --grid 9x9 -o runs/map
      dynsys inputs model.pt --trajectories trials.npz --trial 3 -o runs/trial
    """
    from dynsys.continuation.inputs import follow_inputs
    from dynsys.io.files import check_writable, write_json
    from dynsys.models.loading.checkpoint import load_and_tell

    choices = choices_given(options)
    how: dict[str, Any] = {"searches": searches, "verify": verify, "workers": jobs, "seed": seed}
    system, recognised = load_and_tell(checkpoint, **choices)
    if trajectories is not None:
        if last is not None or first is not None or through or shape is not None:
            raise click.UsageError("--trajectories brings the inputs; leave out --from, --through, --to and --grid")
        if recognised is not None and recognised.choices is not None:
            choices = dict(recognised.choices)
        given = (trajectories, trial or 0, keys.split(",") if keys else None)
        _trial(system, checkpoint, given, Path(folder), as_json, loading=choices, seconds=seconds, **how)
        return
    if trial is not None or keys is not None:
        raise click.UsageError("--trial and --states belong to a file of trials; give it with --trajectories FILE")
    begin = [0.0] * system.n_input if first is None else first
    path = [begin, *through, begin if last is None else last]
    if shape is not None:
        if last is None or through:
            raise click.UsageError("a grid lies between --from and --to INPUT, and goes through nothing else")
        _grid(system, (begin, last), shape, Path(folder), as_json, seconds=seconds, **how)
        return
    if last is None and not through:
        raise click.UsageError("a path needs --to INPUT, or --through INPUT to come back from")
    place = Path(folder)
    check_writable(place)
    with progress() as show:
        found = follow_inputs(system, path, seconds=seconds, progress=show, **how)
    found.save(place / "inputs.safetensors")
    write_json(place / "inputs.json", found.to_json())
    _draw(system, found, place)
    if as_json:
        print_json(found.to_json())
        return
    sight = found.sight()
    print_rows(sight.rows, sight.right)
    for line in sight.sentences:
        click.echo(line)
    for line in system.remarks():
        click.echo(line, err=True)
    click.echo(f"Wrote {place}/inputs.safetensors, .json and .html, portrait.html, points.html and times.html.")


def _draw(system: Any, found: Any, place: Path) -> None:
    """The bifurcation diagram, the portrait with a slider over the input, all points in one, and time constants."""
    from dynsys.analyses.portrait import title_of
    from dynsys.plots import bifurcation_diagram, decay_times, moving_portrait, points_by_input, save_html

    title = title_of(system)
    save_html(bifurcation_diagram(found, title=title), place / "inputs.html")
    at = [found.at_place(i) for i in range(len(found.steps))]
    names = [", ".join(f"{value:.3g}" for value in found.input_at(s)) for s in found.steps]
    curves = [branch.states for branch in found.branches if len(branch)]
    notes = [f"The slider goes over {len(at)} places on the path."]
    save_html(moving_portrait(at, names, "input", branches=curves, title=title, notes=notes), place / "portrait.html")
    save_html(points_by_input(found, title=title), place / "points.html")
    save_html(decay_times(found, system.time_constant, title=title), place / "times.html")


def _grid(
    system: Any, corners: tuple[Any, Any], shape: tuple[int, int], place: Path, as_json: bool, **how: Any
) -> None:
    """The points of each cell of a grid, into ``grid.json`` and ``grid.html``."""
    from dynsys.analyses.contexts.input_grid import drawn, input_grid
    from dynsys.io.files import check_writable, write_json
    from dynsys.plots import save_html

    check_writable(place)
    with progress() as show:
        grid = input_grid(system, *corners, shape, progress=show, **how)
    write_json(place / "grid.json", grid.to_json())
    save_html(drawn(system, grid), place / "grid.html")
    if as_json:
        print_json(grid.to_json())
        return
    print_rows(grid.rows())
    for line in (grid.sentence, *grid.notes):
        click.echo(line)
    click.echo(f"Wrote {place}/grid.json and .html.")


def _trial(
    system: Any, checkpoint: str, given: tuple[str, int, list[str] | None], place: Path, as_json: bool, **how: Any
) -> None:
    """The points under each input of a recorded trial, into ``trial.json``, ``trial.html`` and a run's own files."""
    from dynsys.analyses.contexts.trial import drawn, trial_portrait
    from dynsys.io.files import write_json
    from dynsys.models.loading.trajectories import trial_from_file
    from dynsys.plots import save_html

    path, number, keys = given
    states, held = trial_from_file(path, system, number, keys)
    with progress() as show:
        found = trial_portrait(system, states, held, place, checkpoint, show, **how)
    write_json(place / "trial.json", found.to_json())
    save_html(drawn(system, found), place / "trial.html")
    if as_json:
        print_json(found.to_json())
        return
    print_rows(found.rows())
    click.echo(found.sentence)
    click.echo(f"Wrote {place}/trial.json and .html, and the points of every input as 'dynsys find' writes them.")
