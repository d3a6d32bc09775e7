"""What strings do to a network that has learned associative retrieval: its states, and what each query holds it at."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dynsys.models.fast_weights.system import FastWeights, resting
from dynsys.models.tasks.retrieval import CHARACTERS, Retrieval, Strings
from dynsys.systems.system import System
from dynsys.trajectories.simulate import simulate


def task_of(system: System) -> Retrieval:
    """Its task; raises ValueError where that is not retrieval."""
    task = getattr(system, "task", None)
    if not isinstance(task, Retrieval):
        raise ValueError(f"strings are asked of a network that learned retrieval; this one, {system.name!r}, did not")
    return task


def states_of(system: System, strings: Strings) -> Tensor:
    """The states (T + 1, B, n) that the strings lead to, the first before anything is read; of fast weights h alone.

    The last state of a string that is shorter than others is repeated to the end.
    """
    task_of(system)
    if isinstance(system, FastWeights):
        return system.states_of(strings)[0]
    first: Tensor | None = getattr(system, "initial_state", None)
    x = torch.zeros(system.n_state, dtype=torch.float64) if first is None else first
    x = x.expand(len(strings), -1)
    inputs = torch.eye(len(CHARACTERS), dtype=torch.float64)[torch.as_tensor(strings.characters.T)]
    return resting(torch.cat([x.unsqueeze(0), simulate(system, x, inputs)]), torch.as_tensor(strings.ends))


def queries(system: System, strings: Strings, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs (n, n_input) that the queries of the strings hold the network at, and starts (n, n_state), each in turn.

    Every string's own start comes first. Of fast weights the input is A with what drives the loop, of any other network
    the letter that is asked for. Raises ValueError as ``task_of`` does.
    """
    if isinstance(system, FastWeights):
        return system.contexts(strings, n, seed)
    states = states_of(system, strings)
    which = np.arange(n) % len(strings)
    letters = torch.eye(len(CHARACTERS), dtype=torch.float64)[torch.as_tensor(strings.asked[which])]
    x = states[strings.ends[which], which]
    visited = states.flatten(0, 1)
    others = torch.as_tensor(np.random.default_rng(seed).integers(len(visited), size=max(n - len(strings), 0)))
    x[len(strings) :] = visited[others]
    return letters, x


def queries_named(system: System, texts: list[str], n: int, seed: int) -> tuple[Tensor, Tensor, dict[str, list[str]]]:
    """``queries`` of strings like c9k8j3f1??c, at least one start for each, and what to note of them in a result.

    Raises ValueError for a text that is no string of the task.
    """
    strings = task_of(system).parse(*texts)
    return *queries(system, strings, max(n, len(strings)), seed), {"strings": strings.texts()}
