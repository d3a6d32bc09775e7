"""What Jang claims of its networks (sections 6.1 to 8), each on several random seeds, reported as found.

For each seed: a 3-bit network, its points followed through training; 4 bits from scratch and on top of it; and the
4-bit networks, a logistic one among them, under the same noise. Every part is an ordinary study in a folder of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.claims.words import verdicts
from dynsys.analyses.evolve import study as evolve
from dynsys.analyses.evolve.evolution import Evolve
from dynsys.analyses.evolve.words import results as evolve_results
from dynsys.analyses.noise import study as noise
from dynsys.analyses.report import Report, Section, cut_short, write_report
from dynsys.analyses.transfer import study as transfer
from dynsys.analyses.transfer.comparison import SCRATCH, TRANSFER, Transfer
from dynsys.analyses.transfer.words import results as transfer_results
from dynsys.continuation.diagram import Diagram
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress, silent
from dynsys.models.training.learners import learner
from dynsys.models.training.schedule import read_schedule
from dynsys.numerics.deadline import Deadline, Part
from dynsys.sweep import DONE, Row, Task, of_shard, run_sweep

Piece = Callable[[Path, dict[str, Any], int], dict[str, Any]]

SCHEMA = "dynsys.claims/1"
TITLE = "What the claims of the paper come to on other networks"
ROWS = "rows.jsonl"
LOGISTIC = "logistic"
AT_ORIGIN = 1e-6  # of the largest state


@dataclass(frozen=True)
class Claims:
    """``seeds`` networks of ``units`` for each claim, trained by the recipe ``preset``. ``gains`` are those of the
    networks that are followed through training at ``snapshots``: above 1 an untrained network is chaotic, and its
    origin unstable."""

    units: int = 500
    seeds: int = 5
    bits: int = 4
    gains: tuple[float, ...] = (1.2, 0.9)
    snapshots: tuple[str, ...] = ("600", "log:60")  # of the training of each gain
    levels: tuple[float, ...] = noise.FIGURE_9
    trials: int = 10
    steps: int = 5000
    preset: str = "default"
    memories_only: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.units < 10 or self.bits < 2:
            raise ValueError(
                f"seeds is {self.seeds}, units {self.units}, bits {self.bits}; they have to be 1, 10, 2 or more"
            )


def run(
    settings: Claims,
    folder: str | Path,
    progress: Progress,
    *,
    seconds: float | Deadline | None = None,
    **sweeping: Any,
) -> dict[str, Any]:
    """Do all, or go on with it, and write ``results.json`` and ``report.html``; returns the results.

    ``sweeping`` are ``jobs``, ``cluster``, ``shard`` and ``retry_failed`` of ``run_sweep``. After so many ``seconds``
    no network is begun: the results are of those that are done, "cut" says how many, and the same call goes on. Raises
    CutShort where there are none yet.
    """
    deadline = Deadline.of(seconds)
    folder = Path(folder)
    check_writable(folder)
    size = {"units": settings.units, "bits": settings.bits, "preset": settings.preset}
    only = {"memories_only": settings.memories_only}
    under = {"levels": settings.levels, "trials": settings.trials, "steps": settings.steps}

    asked: list[Task] = []

    def sweep(part: Piece, tasks: list[Task], stage: str) -> list[Row]:
        asked.extend(of_shard(tasks, sweeping.get("shard")))
        given = {"deadline": deadline, "progress": progress, "stage": stage, **sweeping}
        return run_sweep(partial(part, folder.resolve()), tasks, folder / ROWS, **given)

    seeds = range(settings.seeds)
    rows = sweep(
        formation,
        [
            Task(
                f"formation/gain={gain:g}/seed={seed}",
                {**size, "gain": gain, "snapshots": snapshots, "network": seed},
            )
            for gain, snapshots in zip(settings.gains, settings.snapshots, strict=True)
            for seed in seeds
        ],
        "formation",
    )
    moved = [Task(f"transfer/seed={seed}", {**size, **only, "network": seed}) for seed in seeds]
    rows += sweep(transferred, moved, "transfer")
    there = {row["id"] for row in rows if row["status"] == DONE}
    ready = [seed for seed in seeds if f"transfer/seed={seed}" in there]
    rows += sweep(noisy, [Task(f"noise/seed={seed}", {**size, **under, "network": seed}) for seed in ready], "noise")
    cut = deadline.cut(Part(len(rows), len(asked), "networks and studies of them"))
    if cut is not None and not rows:
        raise cut_short(cut, TITLE, _command(settings, folder), dataclasses.asdict(settings), SCHEMA, folder)
    told = None if cut is None else cut.to_json()
    results = {"schema": SCHEMA, "cut": told, "settings": dataclasses.asdict(settings), **verdicts(rows)}
    if sweeping.get("shard") is None:
        _write(settings, results, folder)
    return results


def formation(folder: Path, arguments: dict[str, Any], seed: int) -> dict[str, Any]:
    """How the phase portrait of one network forms; it is drawn from its own seed, as all of them, not the task's."""
    home = _home(folder, arguments) / f"gain_{arguments['gain']:g}"
    trained = learner("flipflop", "esn")(
        home,
        snapshots=read_schedule(arguments["snapshots"]),
        preset=arguments["preset"],
        bits=arguments["bits"] - 1,
        units=arguments["units"],
        gain=arguments["gain"],
        seed=arguments["network"],
    )
    evolution = evolve.run(Evolve(jobs=1), home, None, silent)
    found = evolve_results(evolution)
    return {
        "accuracy": trained.metrics["settled_bit_accuracy"],
        "at_the_origin": at_the_origin(evolution.diagram),
        **{key: found[key] for key in ("steps", "counts", "origin", "memories", "claims", "sentences")},
    }


def at_the_origin(diagram: Diagram) -> list[dict[str, Any]]:
    """The events of the origin, in the order of time."""
    unit = max(float(np.abs(branch.states).max()) for branch in diagram.branches)
    there = [event for event in diagram.events if float(np.abs(event.state).max()) <= AT_ORIGIN * unit]
    return [{"step": event.time, "kind": str(event.kind)} for event in sorted(there, key=lambda event: event.time)]


def transferred(folder: Path, arguments: dict[str, Any], seed: int) -> dict[str, Any]:
    """One more bit, from scratch and on top of the others, and a logistic network of as many bits."""
    home, number = _home(folder, arguments), arguments["network"]
    kind = {key: arguments[key] for key in ("bits", "units", "preset")}
    asked = Transfer(**kind, seed=number, memories_only=arguments["memories_only"])
    compared = transfer.run(asked, home / "transfer", silent)
    logistic = learner("flipflop", "esn")(home / LOGISTIC, **kind, activation="logistic", seed=number)
    return {**transfer_results(compared), "logistic": logistic.metrics}


def noisy(folder: Path, arguments: dict[str, Any], seed: int) -> dict[str, Any]:
    """The three networks under the same noise on their recurrent weights."""
    home = _home(folder, arguments)
    networks = [home / "transfer" / SCRATCH, home / "transfer" / TRANSFER, home / LOGISTIC]
    study = noise.NoiseStudy(
        levels=tuple(arguments["levels"]),
        trials=arguments["trials"],
        steps=arguments["steps"],
        seed=arguments["network"],
    )
    return noise.run(study, [str(network) for network in networks], home / "noise", silent)


def _home(folder: Path, arguments: dict[str, Any]) -> Path:
    return folder / f"seed_{arguments['network']}"


def _command(settings: Claims, folder: Path) -> str:
    asked = f"--preset {settings.preset} --units {settings.units} --seeds {settings.seeds}"
    return f"python benchmarks/claims.py {folder} {asked}"


def _write(settings: Claims, results: dict[str, Any], folder: Path) -> None:
    rows = [{key: claim[key] for key in ("claim", "section", "verdict", "found")} for claim in results["claims"]]
    report = Report(
        TITLE,
        _command(settings, folder),
        [
            *([results["cut"]["sentence"]] if results["cut"] else []),
            *(f"{claim['claim']} {claim['verdict'].capitalize()}: {claim['found']}" for claim in results["claims"]),
        ],
        dataclasses.asdict(settings),
        [Section("Claims", table=rows), *(Section(name, table=table) for name, table in results["tables"].items())],
        ["jang", "sussillo2013", "sussillo2009"],
    )
    write_report(report, results, folder)
