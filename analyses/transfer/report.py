"""The page in which transfer ends: portraits side by side, learning, and the tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dynsys.analyses.flipflop_memories import CLEAR
from dynsys.analyses.report import Report, Section, write_report
from dynsys.analyses.transfer.claims import TIE, Claim, claims
from dynsys.analyses.transfer.comparison import LARGE, SMALL, Comparison, Transfer, in_words
from dynsys.analyses.transfer.cube_projection import ALIKE, NEAR, SHOWN
from dynsys.analyses.transfer.tables import corner_rows, distance_rows, network_rows, shape_rows, survival_rows
from dynsys.analyses.transfer.words import HERE, results, sentences
from dynsys.io.errors import typed
from dynsys.io.text import capital, paragraphs, sentence
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.training.run import CURVES, read_curves

PORTRAITS = "portraits.html"
TASK_STEPS, TASK_RUNS = 2500, 2  # of the task, drawn behind the points


def write_comparison(compared: Comparison, folder: Path) -> None:
    """``results.json``, ``report.html`` and ``portraits.html``, from the runs in the folder."""
    from dynsys.plots import save_html

    portraits = picture(compared)
    figures = [portraits] if portraits is not None else []
    if portraits is not None:
        save_html(portraits, folder / PORTRAITS)
    settings, claimed = compared.settings, claims(compared)
    report = Report(
        title(settings),
        command(settings, folder),
        sentences(compared),
        _settings(compared),
        [
            Section("Portraits", figures=figures),
            Section("Networks", paragraphs(HERE, "networks", settings.fresh, CLEAR), table=network_rows(compared)),
            Section("Claims of the paper", paragraphs(HERE, "claimed", TIE), table=_claim_rows(claimed)),
            Section("Learning", figures=_learning(compared, folder)),
            Section("Distances between memories", paragraphs(HERE, "lengths"), table=distance_rows(compared)),
            Section("What becomes of the cube", paragraphs(HERE, "survival"), table=survival_rows(compared)),
            Section(
                "Shape on three principal components",
                paragraphs(HERE, "axes", settings.bits == SHOWN + 1, NEAR, ALIKE),
                table=shape_rows(compared),
            ),
            Section("Each memory of the cube", paragraphs(HERE, "corners"), table=corner_rows(compared)),
        ],
        ["jang", "sussillo2013", "sussillo2009"],
        [folder / name / FILE_NAME for name in compared.networks],
    )
    write_report(report, results(compared), folder)


def _settings(compared: Comparison) -> dict[str, Any]:
    """As they came to be, where they were left to the recipe or to the network to start from."""
    settings, small = compared.settings, compared.networks[SMALL].network
    steps = settings.recipe(settings.bits, small.n_state, small.activation).steps
    became = {"units": small.n_state, "activation": small.activation, "steps": steps}
    return {name: value for name, value in (dataclasses.asdict(settings) | became).items() if value is not None}


def _claim_rows(claimed: list[Claim]) -> list[dict[str, Any]]:
    return [{"claim": claim.claim, "holds": claim.verdict, "found": claim.found} for claim in claimed]


def picture(compared: Comparison) -> Any:
    """The portraits of the larger networks side by side (Jang, figure 8), the cube of before in both; or None."""
    from dynsys.plots import memory_solids
    from dynsys.plots.portrait.solids import Panel, Solid

    solids = {
        name: Solid(network.memories.states, network.memories.names, network.memories.edges)
        for name, network in compared.networks.items()
    }
    before = solids[SMALL] if len(solids[SMALL].corners) > 1 else None
    panels = []
    for name in LARGE:
        network = compared.networks[name]
        if len(network.memories) < 2:
            return None
        runs = network.network.task_trajectories(TASK_STEPS, TASK_RUNS, compared.settings.seed)
        numbers = network.memories.numbers.tolist()
        panels.append(Panel(capital(in_words(compared, name)), network.points, solids[name], numbers, before, runs, 0))
    return memory_solids(panels, caption=sentence(HERE, "portraits", compared.settings.bits - 1))


def _learning(compared: Comparison, folder: Path) -> list[Any]:
    """Error and weights of the larger networks as they learned, where the folders have them."""
    from dynsys.plots import readout_learning

    runs = {capital(in_words(compared, n)): read_curves(folder / n) for n in LARGE if (folder / n / CURVES).is_file()}
    return [readout_learning(runs)] if runs else []


def title(settings: Transfer) -> str:
    return f"{settings.bits} bits from scratch, and on top of {settings.bits - 1}"


def command(settings: Transfer, folder: Path) -> str:
    """The command that makes this page."""
    words: list[object] = ["-o", folder]
    named_options = {"start": "start", "bits": "bits", "units": "units", "activation": "activation", "seed": "seed"}
    named_options |= {"steps": "steps", "n_starts": "starts", "snapshots": "snapshots"}
    plain = type(settings)()
    for field, option in named_options.items():
        value = getattr(settings, field)
        if value != getattr(plain, field):
            words += [f"--{option}", value]
    return typed("transfer", *words, *["--fresh"] * settings.fresh)
