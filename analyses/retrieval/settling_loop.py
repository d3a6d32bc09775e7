"""Is retrieval convergence? What the settling loop of a fast-weights network does at the queries of many strings.

With A and z held, h -> f(LN(z + A h)) is iterated far beyond the S steps that the network takes. Asked of each query:
does the loop settle, at a stable point, does the point say the right digit, is it reached from elsewhere too, and does
it move to the right place when another letter is asked for?
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.io.errors import CheckpointError
from dynsys.io.files import write_json
from dynsys.io.record import Record, axes
from dynsys.io.text import sentence
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import load
from dynsys.models.tasks.retrieval import LETTERS, Strings
from dynsys.models.training.retrieval import strings
from dynsys.numerics.eigenvalues import eigvals
from dynsys.systems.held import Held
from dynsys.trajectories.settling import Ending, settle
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

SCHEMA = "dynsys.settling_loop/1"
RECORD = "settling_loop"  # .safetensors and .json, in the folder of a run
TOGETHER = 100  # queries followed at once: each is compared with what the others of its part settle at
SAME, AT_REST = 1e-6, 1e-9  # of a state's norm: how near to a point it has arrived, how short its last step is at rest
LOOK, PATIENCE = 20, 50  # iterations between two looks at who has arrived, and looks until the rest are given up


@dataclass(frozen=True)
class SettlingLoop:
    """Settings: how many queries of the test set, inner iterations shown, other starts of each query, the seed."""

    queries: int = 800
    iterations: int = 30
    elsewhere: int = 4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Settlings(Record, schema=SCHEMA, what="record of a settling loop", remedy="study it again"):
    """n queries. ``right`` (T + 1, n): whether h^0 ... h^T say the right digit; ``distance`` (T + 1, n) to the stable
    point, NaN where the loop settles at none.

    ``at_point`` (n,): the loop settles at a stable point, ``points`` (n, R), whose spectral radius is ``radius``
    (n,) and which is right where ``right_at_point`` (n,). ``everywhere`` (n,): all other starts went there as well.
    ``moved`` (n,): asked for another of its letters, the loop settles at a stable point that says that letter's digit.
    """

    inner: int
    units: int
    right: Bools = field(metadata=axes("b T n"))
    distance: Array = field(metadata=axes("f T n"))
    points: Array = field(metadata=axes("f n R"))
    at_point: Bools = field(metadata=axes("b n"))
    radius: Array = field(metadata=axes("f n"))
    right_at_point: Bools = field(metadata=axes("b n"))
    everywhere: Bools = field(metadata=axes("b n"))
    moved: Bools = field(metadata=axes("b n"))

    @property
    def shares(self) -> dict[str, float]:
        """What the study comes to, each a share of the queries."""
        good = self.at_point & self.right_at_point
        after = self.right[self.inner] if self.inner < len(self.right) else self.right_at_point
        return {
            "right_after_the_inner_steps": float(after.mean()),
            "settle_at_a_stable_point": float(self.at_point.mean()),
            "stable_and_right": float(good.mean()),
            "reached_from_everywhere": float(self.everywhere.mean()),
            "follow_the_letter": float(self.moved.mean()),
        }

    def sentence(self) -> str:
        """In words, for people."""
        return sentence("dynsys.analyses.retrieval", "settling", self.right.shape[1], self.inner, self.shares)

    def save(self, folder: str | Path) -> Path:
        """Into ``settling_loop.safetensors`` and ``.json``; raises OutputError."""
        told = {"inner": self.inner, "units": self.units, "queries": self.right.shape[1], "shares": self.shares}
        write_json(Path(folder) / f"{RECORD}.json", {"schema": SCHEMA, **told, "sentence": self.sentence()})
        return super().save(Path(folder) / f"{RECORD}.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What ``save`` wrote; raises CheckpointError."""
        return super().load(Path(folder) / f"{RECORD}.safetensors")


def run(settings: SettlingLoop, checkpoint: str | Path, folder: str | Path | None = None) -> Settlings:
    """Study the network in a checkpoint or run, on strings that it has not been trained on, and write into ``folder``.

    Raises CheckpointError where the network is no fast-weights network.
    """
    system = fast_weights_in(checkpoint)
    test = strings(system.task, 0)["test"]
    found = study(system, test[: settings.queries], settings)
    if folder is not None:
        found.save(folder)
    return found


def fast_weights_in(checkpoint: str | Path) -> FastWeights:
    """The settling loop of the network in a checkpoint or run; raises CheckpointError where it has none."""
    system = load(checkpoint)
    if not isinstance(system, FastWeights):
        wrong = f"it holds a network of kind {system.name!r}, and only fast weights have a settling loop"
        raise CheckpointError(Path(checkpoint), wrong, "give a run of 'dynsys train retrieval fast-weights'")
    return system.seen_as("inner")


def study(system: FastWeights, asked: Strings, settings: SettlingLoop) -> Settlings:
    """The settling loop of ``system`` at the queries of the strings."""
    inputs, x = system.context(asked)
    path = torch.cat([x.unsqueeze(0), relax(Held(system, inputs), x, settings.iterations)])
    answers = torch.as_tensor(asked.answers)
    points, at_point = stable_points(system, x, inputs)
    J = system.jacobian(points, inputs) + torch.eye(system.n_state, dtype=x.dtype)
    radius = eigvals(J).abs().amax(1)
    return Settlings(
        inner=system.config.inner,
        units=system.config.units,
        right=np.asarray(_said(system, path) == answers),
        distance=np.asarray((path - points).norm(dim=2).where(at_point, torch.nan)),
        points=np.asarray(points.where(at_point.unsqueeze(1), torch.nan)),
        at_point=np.asarray(at_point),
        radius=np.asarray(radius.where(at_point, torch.nan)),
        right_at_point=np.asarray(at_point & (_said(system, points) == answers)),
        everywhere=np.asarray(at_point & _reached(system, asked, points, settings)),
        moved=np.asarray(_moved(system, asked)),
    )


def stable_points(system: FastWeights, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Where the loop goes from x (B, R) at the inputs (B, n_input), (B, R), and whether (B,) at a stable point.

    Of a loop that settles at none it is the last state that was followed.
    """
    ends, settled = [], []
    for rows in torch.split(torch.arange(len(x)), TOGETHER):
        found = settle(system, x[rows], inputs[rows])
        here = found.kind == str(Ending.POINT)
        known = [attractor.states[0] for attractor in found.attractors]
        ends.append(np.stack([known[k] if here[i] else found.end[i] for i, k in enumerate(found.attractor)]))
        settled.append(here)
    return torch.as_tensor(np.concatenate(ends)), torch.as_tensor(np.concatenate(settled))


def _said(system: FastWeights, states: Tensor) -> Tensor:
    """The digits that states (..., R) say."""
    return system.readout(states.flatten(0, -2)).argmax(1).view(states.shape[:-1])


def _reached(system: FastWeights, asked: Strings, points: Tensor, settings: SettlingLoop) -> Tensor:
    """Whether (n,) the loop goes to the same point from other states: visited ones, and some anywhere in its box."""
    n = len(asked)
    inputs, x = (rows[n:] for rows in system.contexts(asked, n * (1 + settings.elsewhere), settings.seed))
    goals = points.repeat(settings.elsewhere, 1)
    arrived, going = torch.zeros(len(x), dtype=torch.bool), torch.arange(len(x))
    for _ in range(PATIENCE):  # A is large: it pays to drop often what has come to rest
        before, x = relax(Held(system, inputs[going]), x, LOOK)[-2:]
        size = goals[going].norm(dim=1)
        arrived[going] = (x - goals[going]).norm(dim=1) <= SAME * size
        left = ~arrived[going] & ((x - before).norm(dim=1) > AT_REST * size)
        x, going = x[left], going[left]
        if not len(going):
            break
    return arrived.view(settings.elsewhere, n).all(0)


def _moved(system: FastWeights, asked: Strings) -> Tensor:
    """Whether (n,) the loop settles at the digit of the next letter in the string when that one is asked for."""
    others = swapped(asked)
    inputs, x = system.context(others)
    points, settled = stable_points(system, x, inputs)
    return settled & (_said(system, points) == torch.as_tensor(others.answers))


def swapped(asked: Strings) -> Strings:
    """The same strings, the letter after the one asked for now being asked for; A is the same, as it is made before.

    In a string of one pair that is the same letter.
    """
    rows, n = asked.characters.copy(), np.arange(len(asked))
    which = (rows[:, ::2] == asked.asked[:, None]).argmax(axis=1)  # of a string's letters it is the first
    following = (which + 1) % asked.pairs
    rows[n, asked.ends] = rows[n, 2 * following]
    digits = rows[n, 2 * following + 1]
    return dataclasses.replace(asked, characters=rows, answers=digits - len(LETTERS))
