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
from dynsys.analyses.transfer.words import capital, results, sentences
from dynsys.io.errors import typed
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
    begun = FRESH_TEXT if settings.fresh else NETWORKS_TEXT
    report = Report(
        title(settings),
        command(settings, folder),
        sentences(compared),
        _settings(compared),
        [
            Section("Portraits", figures=figures),
            Section("Networks", [begun, MEMORIES_TEXT], table=network_rows(compared)),
            Section("Claims of the paper", CLAIMS_TEXT, table=_claim_rows(claimed)),
            Section("Learning", figures=_learning(compared, folder)),
            Section("Distances between memories", DISTANCES_TEXT, table=distance_rows(compared)),
            Section("What becomes of the cube", SURVIVAL_TEXT, table=survival_rows(compared)),
            Section(
                "Shape on three principal components",
                [AXES_TEXT, SHAPE_TEXT] if settings.bits == SHOWN + 1 else [AXES_TEXT],
                table=shape_rows(compared),
            ),
            Section("Each memory of the cube", CORNER_TEXT, table=corner_rows(compared)),
        ],
        ["jang", "sussillo2013", "sussillo2009"],
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


NETWORKS_TEXT = (
    "All share the recurrent weights, and the feedback and input weights of the bits they have in common. The two "
    "larger networks see the same pulses and noise from the same first state; only the readout with which they begin "
    "differs."
)
FRESH_TEXT = (
    "All share the recurrent weights; the network from scratch has feedback and input weights of its own. The two "
    "larger networks see the same pulses and noise from the same first state."
)
MEMORIES_TEXT = (
    f"A memory is a stable fixed point with all outputs at least {CLEAR:g} from zero, their signs being its bits; of "
    "several with the same bits, that with the outputs nearest to +1 and -1. Others are stable, no memory."
)
DISTANCES_TEXT = (
    "By the number of bits in which two memories differ, in the space of the state x, the rates r and the readouts z. "
    "The spread is the standard deviation of all distances over their mean: 0 where they are equal. Neighbours all "
    "nearest: whether every pair of Hamming neighbours (one bit differs) is nearer to each other than all other pairs. "
    "Neighbours nearest: the share of memories of which every neighbour is nearer than every other memory. Pairs: of "
    "all pairs of a neighbour and another memory, as a memory sees them, those of which the neighbour is nearer."
)
SURVIVAL_TEXT = (
    "Lengths are in edges of the cube. Shift: from a memory of the cube to the nearer of the two that share its bits. "
    "Middle: from it to the middle between these. Split: between them. Disparity is that of a Procrustes fit (0: the "
    "same solid but for place, turn and size; 1: nothing in common), of the middles and of the two faces. Principal "
    "angles are those between the subspaces that the axes of the bits span: 0 where the old one lies within the new."
)
CLAIMS_TEXT = (
    "Of these networks alone: other seeds may say otherwise. Where memories are missing or the task is not learned, "
    f"nothing is said of how memories lie; lengths within {TIE:g} edges of each other are no difference."
)
CORNER_TEXT = "Shift / middle / split, as above."
AXES_TEXT = (
    "Each bit has an axis: what it adds to the state. Exact to: the share of the memories' variance that the "
    "parallelepiped of these axes explains. W_fb: the angles between the subspaces of the axes and of the feedback "
    "weights; those of random subspaces are near 90 degrees in so many dimensions. Each axis seen: the share of its "
    "length that three components show."
)
SHAPE_TEXT = (
    "Four axes on three components are linearly dependent, and the dependence v tells the shape: one axis vanishes "
    "(cell first, a cube of pairs), two fall together (face first, a cuboid), three lie in a plane and add up to "
    "nothing (edge first, a hexagonal prism), or all four (vertex first). A shape has the name of one of these within "
    f"{NEAR:g} degrees of v. Where the fourth singular value is more than {ALIKE:g} of the third, the two components "
    "are so alike that it is a toss-up which of them is left out, and with it which shape is seen."
)


def picture(compared: Comparison) -> Any:
    """The portraits of the larger networks side by side (Jang, figure 8), the cube of before in both; or None."""
    from dynsys.plots import memory_solids
    from dynsys.plots.solids import Panel, Solid

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
    return memory_solids(panels, caption=CAPTION.format(small=compared.settings.bits - 1))


CAPTION = (
    "Each network on the first three principal components of its own memories. A line joins memories that differ in "
    "one bit; those along the new bit are green. Brown: the {small}-bit memories, seen along the same components. "
    "Points that are not stable are hidden at first; 'all points' shows them."
)


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
