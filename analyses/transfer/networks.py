"""The three networks of ``dynsys transfer``, each in a run's folder: trained and searched, unless they are there.

All share W_r. ``small`` learns b - 1 bits. ``transfer`` goes on from it with one more input and output, of random
weights. ``scratch`` has the same random weights (or, where that is asked for, feedback and input weights of its own),
and a W_out of zero. The two see the same pulses, noise and first state.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.run import POINTS, at_rest, load_run, search_and_save
from dynsys.analyses.transfer.comparison import SCRATCH, SMALL, TRANSFER, Transfer
from dynsys.io.errors import CheckpointError
from dynsys.io.progress import Progress
from dynsys.models.loading.checkpoint import load, read_checkpoint, save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.grow import drawn_anew, grown, load_start, unlearned
from dynsys.models.training.by_force.recipes import PRESETS, Recipe, held_out
from dynsys.models.training.run import run_training
from dynsys.numerics.deadline import ENDLESS, Deadline
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.known.stopping import Stop
from dynsys.systems.system import System

UNITS, ACTIVATION = 1000, "tanh"
UNFINISHED = (Stop.TIME, Stop.INTERRUPTED)  # searches that are made again

Scored = tuple[EchoStateNetwork, dict[str, float]]


def trained(settings: Transfer, folder: Path, progress: Progress, deadline: Deadline = ENDLESS) -> dict[str, Scored]:
    """The three networks by name, with their scores on held-out pulses; what is there already is not trained again.

    Without those for which there was no time.
    """
    found_small = _small(settings, folder / SMALL, progress, deadline)
    if found_small is None:
        return {}
    small, config, metrics = found_small
    recipe = settings.recipe(settings.bits, small.n_state, small.activation)
    ranges = dataclasses.replace(config, n_input=settings.bits, n_output=settings.bits, seed=settings.seed)
    recipe = dataclasses.replace(recipe, network=ranges)
    larger = grown(small, recipe.task, ranges)
    begin = drawn_anew(larger, ranges) if settings.fresh else larger
    found = {SMALL: (small, metrics)}
    known = read_checkpoint(folder / SMALL)[2]["sha256"]
    for name, start in ((SCRATCH, unlearned(begin)), (TRANSFER, larger)):
        noted = {"from": {"small": known, "as": name, "fresh": settings.fresh and name == SCRATCH}}
        scored = _train(recipe, folder / name, start, noted, partial(progress, f"train {name}"), deadline)
        if scored is None:
            break
        found[name] = scored
    return found


def _small(
    settings: Transfer, folder: Path, progress: Progress, deadline: Deadline
) -> tuple[EchoStateNetwork, EchoStateConfig, dict[str, float]] | None:
    """The network of one bit less, in its folder; what it was drawn from; its scores. None where time was over."""
    bits = settings.bits - 1
    if settings.start is None:
        recipe = settings.recipe(bits, settings.units or UNITS, settings.activation or ACTIVATION)
        scored = _train(recipe, folder, None, {}, partial(progress, f"train {SMALL}"), deadline)
        return None if scored is None else (scored[0], recipe.network, scored[1])
    network, config = load_start(settings.start, bits)
    recipe = dataclasses.replace(
        PRESETS[settings.preset](bits, network.n_state, network.activation, settings.seed), network=config
    )
    test, output = held_out(network, recipe)
    metrics = recipe.task.scores(test, output)
    if not (folder / FILE_NAME).exists():
        save_checkpoint(folder / FILE_NAME, network, {"recipe": recipe.describe(), "metrics": metrics})
    elif not _same_weights(load(folder), network):
        raise ValueError(f"{folder} holds another network than {settings.start}; choose another folder with -o")
    return network, config, metrics


def _same_weights(one: System, other: EchoStateNetwork) -> bool:
    return isinstance(one, EchoStateNetwork) and all(
        np.array_equal(weights, other.arrays()[key]) for key, weights in one.arrays().items()
    )


def _train(
    recipe: Recipe[FlipFlop],
    folder: Path,
    start: EchoStateNetwork | None,
    noted: dict[str, Any],
    progress: Callable[[int, int], None],
    deadline: Deadline,
) -> Scored | None:
    """What the folder holds already, if it was trained in this way, to its end; else ValueError, of the bits first.

    None where time was over before that end.
    """
    if not _is_whole(folder):
        if deadline.is_over:
            return None
        trained = run_training(recipe, folder, progress, start, noted, deadline)
        return (trained.network, trained.metrics) if trained.cut is None else None
    about = read_checkpoint(folder)[2].get("about") or {}
    there = about.get("recipe", {}).get("network", {}).get("n_output")
    if there is not None and there != recipe.network.n_output:
        raise ValueError(
            f"{folder} holds a network of {there} bit{'s' if there > 1 else ''}, and one of {recipe.network.n_output} "
            "is asked for; give --bits as before, or another folder with -o"
        )
    for key, wanted in _flat({"recipe": recipe.describe(), **noted}):
        there = dict(_flat(about)).get(key)
        if there != wanted:
            name = key.removeprefix("recipe.")
            raise ValueError(
                f"{folder} holds a network trained with {name} {there}, and {name} {wanted} is asked for; give the "
                "settings of before, or another folder with -o"
            )
    network = load(folder)
    if not isinstance(network, EchoStateNetwork):
        raise CheckpointError(folder, f"it holds a network of the kind {network.name}", "choose another folder with -o")
    return network, about["metrics"]


def _is_whole(folder: Path) -> bool:
    """Whether the folder holds a network whose training was not cut by time."""
    return (folder / FILE_NAME).exists() and not (read_checkpoint(folder)[2].get("about") or {}).get("cut")


def _flat(settings: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every value of nested settings with the path to it, as JSON holds it."""
    if isinstance(settings, dict):
        return [pair for key, value in settings.items() for pair in _flat(value, f"{prefix}{key}.")]
    return [(prefix.removesuffix("."), list(settings) if isinstance(settings, tuple) else settings)]


def searched(
    settings: Transfer, folder: Path, network: EchoStateNetwork, progress: Progress, deadline: Deadline = ENDLESS
) -> FixedPoints | None:
    """The points that the folder holds already, if they are those of this network and of such a search; None where time
    is over before they are found."""
    asked: dict[str, Any] = {"n_starts": settings.n_starts, "seed": settings.seed}
    if settings.memories_only:
        asked = {"memories_only": True, "seed": settings.seed}
    if (folder / f"{POINTS}.safetensors").exists():
        with contextlib.suppress(CheckpointError):  # of a network that has been trained again since: searched again
            points, _ = load_run(folder)
            if points.about.get("asked") == asked and points.search.stopped not in UNFINISHED:
                return points
    if deadline.is_over:
        return None
    how = at_rest(network, settings.seed) | {"seed": settings.seed} if settings.memories_only else asked
    given = {"noted": {"asked": asked}, "seconds": deadline, **how}
    points = search_and_save(network, folder, folder / FILE_NAME, progress, **given)
    return None if points.search.stopped in UNFINISHED else points
