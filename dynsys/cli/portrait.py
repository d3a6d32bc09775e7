"""``dynsys portrait``: a run's pictures."""

from __future__ import annotations

import click


@click.command()
@click.argument("run")
@click.option("-o", "--out", "path", default="portrait.html", show_default=True, help="The HTML file to write.")
@click.option("--png", help="A PNG file to write as well; needs the extra 'static'.")
@click.option(
    "--picture",
    default="phase",
    show_default=True,
    type=click.Choice(["phase", "spectrum", "training", "plane"]),
    help="Phase portrait, eigenvalues, training curves, or the phase plane of a 2-D system.",
)
@click.option("--points", "chosen", help="Points to show the eigenvalues of, like 0,3,5; all if not given.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the trajectories shown.")
def portrait(run: str, path: str, png: str | None, picture: str, chosen: str | None, seed: int) -> None:
    """Draw the phase portrait of a RUN (a folder that 'dynsys find' wrote) into one self-contained HTML file.

    \b
    Example:
      dynsys portrait runs/flipflop -o portrait.html
    """
    from dynsys.analyses.flipflop import draw

    draw(picture, run, path, png, _ids(chosen), seed)
    click.echo(f"Wrote {path}" + (f" and {png}" if png else "") + ". Open it in a browser.")


def _ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of ids like 0,3,5", param_hint="--points") from error
