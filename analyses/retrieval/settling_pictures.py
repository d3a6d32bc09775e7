"""Pictures of retrieval: where strings lead in the state space, and whether the settling loop retrieves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.analyses.retrieval.settling_loop import SettlingLoop, fast_weights_in, run
from dynsys.io.errors import CheckpointError
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import read_checkpoint
from dynsys.models.tasks.queries import states_of, task_of
from dynsys.models.tasks.retrieval import Strings
from dynsys.plots import retrieval_convergence, retrieval_portrait
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.held import Held
from dynsys.systems.system import System
from dynsys.trajectories.simulate import relax

Space = Literal["readouts", "states"]
Array = NDArray[np.float64]

SHOWN = 300  # strings whose trajectories are drawn
LOOP = 60  # iterations of the settling loop that are drawn
QUERIES = SettlingLoop(queries=400, iterations=20, elsewhere=0)


def retrieval_picture(points: FixedPoints, system: System, seed: int = 0, space: Space = "readouts") -> Any:
    """Trajectories of strings coloured by the answer, and the points of a search at the queries of some strings.

    Raises ValueError for a network that did not learn retrieval, and for the joint system, whose state holds A.
    """
    task = task_of(system)
    asked = task.sets(seed, shown=SHOWN)["shown"]
    names, paths = list[str](), None
    if isinstance(system, FastWeights):
        if system.view == "joint":
            raise ValueError("the picture of retrieval shows h alone; search the view 'inner' or 'step'")
        held = held_strings(points, system)
        names, paths = _names(points, system, held), _settling(system, held)
    seen = [None if part is None else _seen(system, part, space) for part in (states_of(system, asked)[1:], paths)]
    return retrieval_portrait(
        seen[0], asked.answers, points, names=names, paths=seen[1], space=space, title=_title(system)
    )


def _seen(system: System, states: Tensor, space: Space) -> Array:
    """States (T, B, n), or what is read out in them."""
    shown = states if space == "states" else system.readout(states.flatten(0, 1)).view(*states.shape[:2], -1)
    return np.asarray(shown)


def held_strings(points: FixedPoints, system: Any) -> Strings:
    """The strings at whose queries the points were searched: those named then, or those of the search itself."""
    named = points.about.get("strings")
    if named:
        return system.task.parse(*named)
    return system.task_strings(len(points.search.inputs), points.search.seed)


def _names(points: FixedPoints, system: Any, held: Strings) -> list[str]:
    """Of each point the string whose query it belongs to, and the right answer."""
    inputs = system.context(held)[0].numpy()
    apart = np.linalg.norm(points.inputs[:, None] - inputs[None], axis=2)
    texts = held.texts()
    return [
        f"{texts[k]}, right: {held.answers[k]}" if apart[i, k] <= 1e-9 * np.linalg.norm(inputs[k]) else "another string"
        for i, k in enumerate(apart.argmin(axis=1))
    ]


def _settling(system: Any, held: Strings) -> Tensor:
    """The settling loop (LOOP + 1, k, R) at the queries of the strings."""
    inputs, x = system.context(held)
    return torch.cat([x.unsqueeze(0), relax(Held(system, inputs), x, LOOP)])


def _title(system: Any) -> str:
    if isinstance(system, FastWeights):
        return f"Fast weights, {system.config.units} units, S = {system.config.inner}"
    return f"Retrieval by a network of kind {system.name}, {system.n_state} state variables"


def convergence_picture(checkpoint: str | Path) -> Any:
    """Whether the settling loop of a network retrieves, beside that of the run whose weights it began from.

    Raises CheckpointError where the network has no settling loop.
    """
    networks = [Path(checkpoint)]
    before = _began_from(networks[0])
    if before is not None:
        networks.insert(0, before)
    records = {}
    for network in networks:
        found = run(QUERIES, network)
        records[f"trained with S = {found.inner}"] = vars(found)
    return retrieval_convergence(records, title=f"Fast weights, {found.units} units: is retrieval convergence?")


def _began_from(network: Path) -> Path | None:
    """The run whose weights this one began from, where that is still there and of another S; raises CheckpointError."""
    about = read_checkpoint(network)[2].get("about", {})
    start = about.get("recipe", {}).get("start")
    folder = network if network.is_dir() else network.parent
    for found in () if start is None else (Path(start), folder.parent / Path(start).name):
        try:
            if fast_weights_in(found).config.inner != fast_weights_in(network).config.inner:
                return found
        except CheckpointError:
            continue
    return None
