"""``dynsys find``: the fixed and slow points of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dynsys.cli.named import OneOf
from dynsys.cli.numbers import Numbers
from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.output import print_json, print_points
from dynsys.cli.place import PLACE
from dynsys.io.errors import typed
from dynsys.io.progress import progress


@click.command()
@click.argument("checkpoint", type=PLACE)
@click.option("-o", "--out", "folder", type=PLACE, required=True, help="Folder for fixed_points.safetensors and .json.")
@click.option("--starts", default=512, show_default=True, type=click.IntRange(1), help="States to start from.")
@click.option(
    "--input",
    "held",
    multiple=True,
    type=Numbers(float, "0,0,1"),
    help="Input held, like 0,0,1, again for the next: each is searched at, and its points are labelled. Those of the "
    "network's task, or zeros, if not given.",
)
@click.option(
    "--inputs", "table", type=PLACE, metavar="FILE", help="The inputs as rows: .csv, .txt, .npy, .npz, .mat, .pt."
)
@click.option(
    "--searches",
    type=click.IntRange(1),
    help="Search at so many of several inputs, and carry points from these to the rest.  [all]",
)
@click.option(
    "--solver",
    default="auto",
    show_default=True,
    type=OneOf("dynsys.search.solvers", "SOLVERS", more=("auto",), checked=False),
    help="How points are found from the starts.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto, or fiber to follow directional fibers whatever was found.",
)
@click.option(
    "--period", default=1, show_default=True, type=click.IntRange(1), help="Search a map for cycles of so many steps."
)
@click.option("--slow-q", default=1e-4, show_default=True, type=click.FloatRange(0), help="Largest q of a slow point.")
@click.option(
    "--tol-q",
    type=click.FloatRange(0, min_open=True),
    help="Count points by tolerance: a solver stops at this q, and there is a fixed point.  [1e-12 with the others]",
)
@click.option(
    "--tol-dq",
    type=click.FloatRange(0, 1, max_open=True),
    help="By tolerance: a solver stops where a step changes q by no more than this share.  [0, never]",
)
@click.option(
    "--tol-unique",
    type=click.FloatRange(0),
    help="By tolerance: states within this distance are the same point.  [0.001]",
)
@click.option("--full-spectrum", is_flag=True, help="All eigenvalues, however large the network.")
@click.option("--modes", "with_modes", is_flag=True, help="Left and right modes, what an input does to them, growth.")
@click.option(
    "--curve",
    metavar="K|mode",
    help="The curve of least speed along the readout K, from 0 on, or along the slowest point's leading mode.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Prove the points, and follow trajectories to where they settle.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything random.")
@click.option(
    "--trajectories", type=PLACE, metavar="FILE", help="Recorded states to start from: .npz, .npy, .mat, .pt, .csv."
)
@click.option(
    "--states", "keys", metavar="KEY[,KEY]", help="Which arrays of that file are the state, like hidden,cell."
)
@click.option("--strings", metavar="STRING[,STRING]", help="Retrieval: hold the network at the queries of these.")
@click.option(
    "--noise",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0),
    help="Standard deviation of what is added to recorded states.",
)
@loading_options
@click.option("--memory", help="What the search may use at most, like 4GiB.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="End the search after so long with what it has; without it, a search that still finds points ends by itself.",
)
@click.option("--device", help="cpu or cuda.")
@click.option("--csv", "csv_path", type=PLACE, metavar="FILE", help="A row for each point as well, states with them.")
@click.option("--mat", "mat_path", type=PLACE, metavar="FILE", help="All arrays as a .mat file as well.")
@click.option("-v", "--verbose", is_flag=True, help="Say how the search went as well: starts, solver, why it stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def find(
    checkpoint: str,
    folder: str,
    starts: int,
    held: tuple[list[float], ...],
    table: str | None,
    searches: int | None,
    solver: str,
    engine: str,
    period: int,
    slow_q: float,
    tol_q: float | None,
    tol_dq: float | None,
    tol_unique: float | None,
    full_spectrum: bool,
    with_modes: bool,
    curve: str | None,
    verify: bool,
    seed: int,
    trajectories: str | None,
    keys: str | None,
    strings: str | None,
    noise: float,
    memory: str | None,
    seconds: float | None,
    device: str | None,
    csv_path: str | None,
    mat_path: str | None,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find and classify the fixed and slow points of the network in CHECKPOINT.

    CHECKPOINT is a file or folder of dynsys, or trained weights of another tool: 'dynsys info' tells how they are
    recognised.

    \b
    Examples:
      dynsys find runs/flipflop/checkpoint.safetensors -o runs/flipflop
      dynsys find model.pt -o runs/model --trajectories trials.npz
      dynsys find runs/flipflop -o runs/pushed --input 0,0,0 --input 1,0,0
      dynsys find runs/retrieval -o runs/retrieval --strings c9k8j3f1??c,c9k8j3f1??f
    """
    from dynsys.analyses.run import save_curve, save_modes, search_and_save
    from dynsys.models.loading.checkpoint import load_and_tell
    from dynsys.result.export import check_csv, check_mat, write_csv, write_mat
    from dynsys.search.tolerances import Tolerances
    from dynsys.stability.of_flow import told_of_flow
    from dynsys.trajectories.recorded import recorded_in

    given = {"q": tol_q, "dq": tol_dq, "unique": tol_unique}
    asked = {key: value for key, value in given.items() if value is not None}
    if keys is not None and trajectories is None:
        raise click.UsageError("--states names arrays of a file; give it with --trajectories FILE")
    if held and table is not None:
        raise click.UsageError("--input and --inputs FILE are two ways to say the same; give one of them")
    if strings is not None and (held or table is not None or trajectories is not None):
        raise click.UsageError("--strings bring inputs and starts of their own; leave out --input and --trajectories")
    if curve is not None:
        _along(curve)
    exports = [(csv_path, check_csv, write_csv), (mat_path, check_mat, write_mat)]
    for path, check, _ in exports:
        if path is not None:
            check(path)
    choices = choices_given(options)
    system, found = load_and_tell(checkpoint, **choices)
    if curve is not None and curve != "mode" and int(curve) >= system.n_output:
        raise click.UsageError(f"--curve {curve}: this network has {system.n_output} readouts, numbered from 0")
    if found is not None and found.choices is not None:
        choices = dict(found.choices)
    for line in system.remarks():
        click.echo(line, err=True)
    begun = _from_strings(system, strings, starts, seed) if strings is not None else _held(system, held, table)
    if trajectories is not None:
        begun |= _from_trajectories(system, trajectories, keys, starts, noise, seed)
    elif system.recorded is not None:
        begun["recorded"] = recorded_in(checkpoint)
        click.echo(f"Starts from the trials that {checkpoint} keeps.", err=True)
    with progress() as show:
        points = search_and_save(
            system,
            folder,
            checkpoint,
            show,
            loading=choices,
            **begun,
            searches=searches,
            n_starts=starts,
            solver=solver,
            engine=engine,
            period=period,
            slow_q=slow_q,
            full_spectrum=full_spectrum,
            verify=verify,
            tolerances=Tolerances(**asked) if asked else None,
            seed=seed,
            memory=memory,
            seconds=seconds,
            device=device,
        )
        modes = save_modes(points, folder, show) if with_modes else None
        slow = save_curve(points, folder, _along(curve), show) if curve is not None else None
    for path, _, write in exports:
        if path is not None:
            write(points, path)
    if as_json:
        _print_as_json(points, modes, slow)
        return
    lines = [*points.summary(course=verbose).split("\n"), *told_of_flow(points), *system.remarks()]
    click.echo("\n".join(lines) + "\n")
    print_points(points)
    click.echo()
    if with_modes:
        picture = typed("portrait", folder, "--picture", "modes", "-o", "modes.html")
        click.echo(f"Wrote {folder}/modes.safetensors. Its picture: {picture}")
    if slow is not None:
        click.echo(
            f"{slow.sentence}\nIts picture: {typed('portrait', folder, '--picture', 'curve', '-o', 'curve.html')}"
        )
    following = typed("portrait", folder, "-o", "portrait.html")
    click.echo(f"Wrote {folder}/fixed_points.safetensors and .json. Next: {following}")


def _held(system: Any, held: tuple[list[float], ...], table: str | None) -> dict[str, Any]:
    """The inputs that are searched at: those given, those of a file, or those of the network's task."""
    from dynsys.models.driven.of_task import held_inputs
    from dynsys.models.loading.trajectories import inputs_from_file

    if table is not None:
        return {"inputs": inputs_from_file(table, system.n_input)}
    return {"inputs": list(held) or held_inputs(system)}


def _from_strings(system: Any, strings: str, n: int, seed: int) -> dict[str, Any]:
    """Starts and inputs of a search at the queries of some strings, and what its result notes of them."""
    from dynsys.models.tasks.queries import queries_named

    return dict(zip(("input", "starts", "noted"), queries_named(system, strings.split(","), n, seed), strict=True))


def _from_trajectories(system: Any, path: str, keys: str | None, n: int, noise: float, seed: int) -> dict[str, Any]:
    """Starts of a search from recorded states, and the trajectories that are kept with the run."""
    import numpy as np
    import torch

    from dynsys.models.loading.trajectories import noisy_starts, runs_from_file
    from dynsys.trajectories.recorded import Recorded, Recording

    named = keys.split(",") if keys else None
    runs = runs_from_file(path, system, named)
    system.recorded = torch.as_tensor(np.concatenate(runs))
    recorded = Recorded.of(Recording(runs, Path(path), named), system.kind)
    return {"starts": noisy_starts(runs, n, noise=noise, seed=seed), "recorded": recorded}


def _along(curve: str) -> int | str:
    """What a slow curve goes along: the number of a readout, or the leading mode."""
    if curve != "mode" and not curve.isdigit():
        raise click.BadParameter(f"{curve!r} is neither 'mode' nor the number of a readout", param_hint="--curve")
    return curve if curve == "mode" else int(curve)


def _print_as_json(points: Any, modes: Any, slow: Any) -> None:
    from dynsys.analyses.run import modes_to_json
    from dynsys.stability.of_flow import stability_of_flow

    told = points.to_json() | ({"modes": modes_to_json(modes)} if modes is not None else {})
    told |= {"slow_curve": slow.to_json()} if slow is not None else {}
    of_flow = stability_of_flow(points)
    print_json(told | ({"stability_of_flow": of_flow} if of_flow is not None else {}))
