"""``dynsys portrait``: a run's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.numbers import Numbers
from dynsys.cli.place import PLACE


@click.command()
@click.argument("runs", metavar="RUN...", type=PLACE, nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    "path",
    type=PLACE,
    default="portrait.html",
    show_default=True,
    help="The page to write, .html; or a still, .png, .pdf or .svg by its name.",
)
@click.option("--png", type=PLACE, help="A still as well, .png, .pdf or .svg by its name; needs the extra 'static'.")
@click.option(
    "--picture",
    type=OneOf("dynsys.analyses.pictures", "PICTURES"),
    help="Phase portrait, eigenvalues, modes by time constant, the graph of 'dynsys basins' or the Lyapunov surfaces "
    "of its proofs, training curves, what "
    "'dynsys evolve' found as an animation or a bifurcation diagram, or the phase plane of a 2-D system; of a "
    "retrieval network where strings lead, whether its settling loop retrieves, or its wrong answers; of an "
    "associative memory its energy in the plane of some patterns.  [phase; of a retrieval network: retrieval]",
)
@click.option("--points", "chosen", type=Numbers(int, "0,3,5"), help="Points to show, like 0,3,5; all if not given.")
@click.option(
    "--fit",
    type=click.Choice(["points", "trajectories"]),
    help="What the principal components of the phase portrait are fitted to.  [points]",
)
@click.option("--starts", is_flag=True, help="Draw the states that the search began from, in the phase portrait.")
@click.option("--patterns", type=Numbers(int, "0,1"), help="Two or three stored patterns, for the landscape.  [first]")
@click.option(
    "--trajectories",
    type=PLACE,
    metavar="FILE",
    help="Recorded trials to show: .npz, .npy, .mat, .pt, .csv.  [those of find]",
)
@click.option("--states", "keys", metavar="KEY[,KEY]", help="Which arrays of that file are the state.")
@click.option(
    "--conditions",
    metavar="KEY|FILE",
    help="Colour the recorded trials by an array of their file, or by a file with a condition in each line, and draw "
    "the mean of each.",
)
@click.option(
    "--plane",
    type=click.Choice(["components", "modes", "readouts"]),
    help="What the phase plane of a large network is spanned by.  [components, of the points]",
)
@click.option("--through", type=click.IntRange(0), help="The point that this plane goes through.  [their middle]")
@click.option("--shading", type=click.Choice(["speed", "energy"]), help="What is shaded in the phase plane.  [speed]")
@click.option("--epochs", metavar="NAME=STEP,...", help="Mark where epochs begin, like cue=20,go=80.")
@click.option("--camera", help="Where a scene is seen from: oblique, 12, 13, 23, or AZIMUTH,ELEVATION in degrees.")
@click.option("--size", metavar="85mm[x60mm]", help="How large a still is in print: mm, cm, in, or px on a screen.")
@click.option(
    "--font", type=click.FloatRange(0, min_open=True), metavar="POINTS", help="Text of a still.  [8 in print]"
)
@click.option("--caption/--no-caption", default=True, help="Title and caption.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the trajectories shown.  [0]")
def portrait(
    runs: tuple[str, ...],
    path: str,
    png: str | None,
    picture: str | None,
    chosen: list[int] | None,
    starts: bool,
    seed: int | None,
    fit: Any,
    patterns: list[int] | None,
    trajectories: str | None,
    keys: str | None,
    conditions: str | None,
    epochs: str | None,
    plane: str | None,
    through: int | None,
    shading: str | None,
    camera: str | None,
    size: str | None,
    font: float | None,
    caption: bool,
) -> None:
    """Draw the phase portrait of a RUN (a folder that 'dynsys find' wrote) into one self-contained HTML file, or a
    still: .png, .pdf or .svg.

    Several runs of networks of one size stand in one portrait, each in a colour of its own.

    \b
    Examples:
      dynsys portrait runs/flipflop -o portrait.html
      dynsys portrait runs/context_1 runs/context_2 -o contexts.html
      dynsys portrait runs/flipflop -o figure.pdf --size 85mm --font 7 --no-caption --camera 12
      dynsys portrait runs/model --conditions choice --epochs cue=20,go=80
    """
    from dynsys.analyses.pictures import Look, draw

    if keys is not None and trajectories is None:
        raise click.UsageError("--states names arrays of a file; give it with --trajectories FILE")
    shown: dict[str, Any] = {
        "trajectories": Path(trajectories) if trajectories is not None else None,
        "states": keys.split(",") if keys is not None else None,
        "conditions": conditions,
        "plane": plane,
        "through": through,
        "shading": shading,
        "epochs": None if epochs is None else _epochs(epochs),
        "beside": tuple(map(Path, runs[1:])),
        "look": Look(camera, caption, size, font),
    }
    click.echo(draw(picture, runs[0], path, png, chosen, seed, fit, starts, patterns, **shown))
    click.echo(f"Wrote {path}{f' and {png}' if png else ''}.{' Open it in a browser.' if '.htm' in path else ''}")


def _epochs(given: str) -> dict[str, int]:
    """The steps at which epochs begin, of 'cue=20,go=80'."""
    found = {}
    for part in given.split(","):
        name, _, step = part.rpartition("=")
        if not name.strip() or not step.strip().isdigit():
            raise click.BadParameter(f"{part!r} is no NAME=STEP, like cue=20", param_hint="--epochs")
        found[name.strip()] = int(step)
    return found
