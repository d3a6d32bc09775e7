"""Transfer (Jang, section 7.1): b bits from scratch against b bits on top of b - 1 that are known already.

What is compared are the scores and the geometry of the memories: how far they lie apart, what becomes of the corners
of the smaller network's cube, what solid they are on three principal components (Jang's figure 8).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dynsys.analyses.flipflop_memories import memories
from dynsys.analyses.report import cut_short
from dynsys.analyses.transfer.comparison import (
    LARGE,
    NETWORKS,
    SCHEMA,
    SMALL,
    SPACES,
    Comparison,
    Network,
    Transfer,
)
from dynsys.analyses.transfer.cube_projection import projected_shape
from dynsys.analyses.transfer.cube_survival import survival
from dynsys.analyses.transfer.geometry import bit_axes, distances, principal_angles
from dynsys.analyses.transfer.networks import searched, trained
from dynsys.analyses.transfer.report import command, title, write_comparison
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.training.by_force.grow import load_start
from dynsys.numerics.deadline import Deadline, Part
from dynsys.result.fixed_points import FixedPoints


def run(
    settings: Transfer, folder: str | Path, progress: Progress, seconds: float | Deadline | None = None
) -> Comparison:
    """Train and search what the folder does not hold yet, compare, and write ``results.json`` and ``report.html``.

    After so many ``seconds`` nothing more is begun, and a training that is under way is left as it is: where networks
    or their points are missing then, they cannot be compared, CutShort is raised, and the same call goes on.

    Each network has a run's folder there, as ``dynsys train`` and ``find`` write it. Raises ValueError where the folder
    holds a network of other settings, CheckpointError for a ``start`` of another kind, OutputError.
    """
    folder, deadline = Path(folder), Deadline.of(seconds)
    if settings.start is not None:
        load_start(settings.start, settings.bits - 1)  # a mistake is told before the folder is made
    check_writable(folder)
    networks = {}
    found = trained(settings, folder, progress, deadline)
    for name, (network, metrics) in found.items():
        points = searched(settings, folder / name, network, _of(name, progress), deadline)
        if points is None:
            break
        networks[name] = described(name, network, metrics, points)
    cut = deadline.cut(
        *(Part(len(done), len(NETWORKS), what) for done, what in ((found, "trainings"), (networks, "searches")))
    )
    if cut is not None:
        raise cut_short(cut, title(settings), command(settings, folder), dataclasses.asdict(settings), SCHEMA, folder)
    compared = compare(settings, networks)
    progress("report", 0, 1)
    write_comparison(compared, folder)
    progress("report", 1, 1)
    return compared


def _of(name: str, progress: Progress) -> Progress:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def described(name: str, network: EchoStateNetwork, metrics: dict[str, float], points: FixedPoints) -> Network:
    """Which of the points are memories, and how these lie."""
    found = memories(points)
    rates = network.rates(network.W.new_tensor(found.states)).numpy()
    spaces = dict(zip(SPACES, (found.states, rates, found.readouts), strict=True))
    geometry = {key: distances(states, found.bits) for key, states in spaces.items()} if found.edges else {}
    if not found.determined:
        return Network(name, network, metrics, points, found, geometry, None, (), None)
    axes = bit_axes(found.states, found.bits)
    shape = projected_shape(found.states, axes.axes)
    feedback = tuple(principal_angles(axes.axes, network.W_fb.T.numpy()).tolist())
    return Network(name, network, metrics, points, found, geometry, axes.share, feedback, shape)


def compare(settings: Transfer, networks: dict[str, Network]) -> Comparison:
    """Where memories are missing, what cannot be compared without them is left out."""
    small = networks[SMALL].memories
    survived, angles = {}, {}
    for name in LARGE:
        new = networks[name].memories
        if small.edges:
            survived[name] = survival(small, new)
        if small.determined and new.determined:
            spans = (bit_axes(m.states, m.bits).axes for m in (small, new))
            angles[name] = tuple(principal_angles(*spans).tolist())
    return Comparison(settings, networks, survived, angles)
