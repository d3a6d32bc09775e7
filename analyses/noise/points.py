"""The fixed points whose survival is followed: those that are known already, or those found now."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynsys.analyses.noise.networks import Network
from dynsys.analyses.run import POINTS, Progress, load_run, search_and_save
from dynsys.errors import CheckpointError
from dynsys.starts import first_starts
from dynsys.system import Kind, System
from dynsys.threads import alone
from dynsys.trajectory import relax

STARTS = 512  # of a search for all points
LEAST, MOST, NUMBERS = 64, 512, 2**15  # states that are let go for the memories: as many as make up such numbers
ITERATED = 300  # steps of a map that comes to rest
RELAXED, COARSE = 30.0, 0.25  # time constants of a flow that does, and in one step of it
MOST_OUTPUTS = 6  # whose corners, 2 to that power, are all visited


def points_file(network: Network, which: str, folder: Path, progress: Progress, seed: int = 0) -> Path:
    """The file of the points of a network: of ``dynsys find`` beside the checkpoint, of an earlier run here, or new.

    ``which`` is "all", or "memories": where the network comes to rest from its task and from every corner of its
    outputs, which takes seconds and finds no saddles. Weights that are in no file are searched again every time.
    """
    own = folder / which
    beside = [network.path.parent] if network.path is not None else []
    for place in (*beside, own):
        if _belongs(place, network):
            return _in(place)
    kept: dict[str, Any] = {"loading": dict(network.loading), "seed": seed}
    source = network.path or network.name
    if which == "all":
        search_and_save(network.system, own, source, progress, n_starts=STARTS, **kept)
    else:
        starts = resting_states(network.system, seed)
        search_and_save(network.system, own, source, progress, starts=starts, closure=False, verify=False, **kept)
    return _in(own)


def resting_states(system: System, seed: int) -> Tensor:
    """States (k, n) near which the network comes to rest without input, in single precision where it has one."""
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    begun = first_starts(system, u, min(MOST, max(LEAST, NUMBERS // system.n_state)), seed)
    if 0 < system.n_output <= MOST_OUTPUTS:
        corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=system.n_output)), dtype=torch.float64)
        driven = system.states_of_outputs(corners)
        begun = begun if driven is None else torch.cat([driven, begun])
    dtype = torch.float32 if system.single_precision else torch.float64
    steps = ITERATED if system.kind is Kind.MAP else round(RELAXED / COARSE)
    with alone():
        return relax(system.to(dtype=dtype), begun.to(dtype), u.to(dtype), steps, COARSE)[-1].double()


def _in(folder: Path) -> Path:
    return (folder / f"{POINTS}.safetensors").resolve()


def _belongs(folder: Path, network: Network) -> bool:
    """Whether the points in the folder are of this very file, at zero input and of no cycles."""
    if network.path is None or not _in(folder).is_file():
        return False
    try:
        points, _ = load_run(folder)
    except CheckpointError:
        return False
    same = points.about.get("sha256") == network.sha256 and points.about.get("loading", {}) == dict(network.loading)
    return same and points.search.period == 1 and not points.inputs.any()
