"""Where the memory of a run flows: branches from its saddles to the attractors, and how much belongs to each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.run import BASINS, CERTIFIED, CONNECTIONS, FLIPS, MEMORY, load_run
from dynsys.attractors.basins import Basins, basins
from dynsys.attractors.connections import Connections, connections
from dynsys.attractors.flip import Flips, flips
from dynsys.attractors.weight_turns import Direction
from dynsys.io.errors import CheckpointError
from dynsys.io.files import check_writable, write_json
from dynsys.io.progress import Progress
from dynsys.lyapunov.basins import CertifiedBasins, certified_basins
from dynsys.models.driven.perturbation import perturbed, weights_chosen, weights_of
from dynsys.models.rate.rate_network import RateNetwork
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MemoryFlow:
    """Settings: starts of each kind for the basins, the seconds that the branches, and again
    the samples, may take (None: no limit), the seed."""

    samples: int = 1024
    seconds: float | None = None
    seed: int = 0


def run(settings: MemoryFlow, folder: str | Path, progress: Progress) -> tuple[Connections, Basins]:
    """Follow the branches of the points in a run's folder, sample the basins, and write both beside the points."""
    folder = Path(folder)
    points, _ = load_run(folder)
    if not folder.is_dir():
        raise CheckpointError(folder, "it is a file", "give the folder that 'dynsys find' wrote")
    check_writable(folder)
    found = branches(settings, points, folder, progress)
    return found, shares(settings, points, found, folder, progress)


def branches(settings: MemoryFlow, points: FixedPoints, folder: Path, progress: Progress) -> Connections:
    """The branches of the points, written beside them."""
    progress("branches", 0, 1)
    found = connections(points, budget_seconds=settings.seconds)
    progress("branches", 1, 1)
    found.save(folder / CONNECTIONS)
    return found


def shares(settings: MemoryFlow, points: FixedPoints, found: Connections, folder: Path, progress: Progress) -> Basins:
    """How much of the state space belongs to each attractor, written beside the points, and both in words."""
    progress("basins", 0, 1)
    sampled = basins(
        points,
        settings.samples,
        others=found.others,
        seed=settings.seed,
        budget_seconds=settings.seconds,
    )
    progress("basins", 1, 1)
    sampled.save(folder / BASINS)
    write_json(folder / MEMORY, {"connections": found.to_json(), "basins": sampled.to_json()})
    return sampled


def prove(folder: str | Path, seconds: float | None, progress: Progress, lmi: bool = False) -> CertifiedBasins:
    """Prove a basin around each stable point in a run's folder, and write them beside the points."""
    folder = Path(folder)
    points, _ = load_run(folder)
    check_writable(folder)
    progress("proofs", 0, 1)
    proved = certified_basins(points, lmi=lmi, budget_seconds=seconds)
    progress("proofs", 1, 1)
    proved.save(folder / CERTIFIED)
    return proved


def flipped(folder: str | Path, seconds: float | None, pulse: float | None = None, with_weights: bool = False) -> Flips:
    """Bound the pushes between the memories in a run's folder, and write them beside the points.

    With ``pulse`` those of the input too, ``with_weights`` changes of the recurrent weights.
    """
    folder = Path(folder)
    points, system = load_run(folder)
    check_writable(folder)
    found = flips(points, pulse=pulse, weights=hebb_direction(system) if with_weights else None, budget_seconds=seconds)
    found.save(folder / FLIPS)
    return found


def hebb_direction(system: System) -> Direction:
    """How the one matrix that takes rates (n) to states (n) is changed; ValueError for a network without such a one."""
    weights = weights_of(system)
    names = [name for name in weights_chosen(system) if weights[name].shape == (system.n_state, system.n_state)]
    if len(names) != 1:
        raise ValueError(
            f"{system.name} has {len(names)} recurrent matrices of {system.n_state} x {system.n_state}; weights are "
            "changed along Hebb's direction in networks that have one, as vanilla and rate networks do"
        )
    rates = system.rates if isinstance(system, RateNetwork) else lambda x: x
    return Direction(
        lambda D: perturbed(system, {names[0]: D}, 1.0),
        float(np.linalg.norm(weights[names[0]])),
        rates,
    )
