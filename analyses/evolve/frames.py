"""What is seen at each snapshot of a training: trajectories from the same states, and the eigenvalues of the origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.analyses.portrait import states_released
from dynsys.continuation.diagram import Diagram
from dynsys.continuation.events.readings import precisely
from dynsys.io.errors import CheckpointError
from dynsys.io.progress import Progress
from dynsys.io.record import Record, axes
from dynsys.numerics.deadline import ENDLESS, CutShort, Deadline, Part
from dynsys.numerics.threads import alone
from dynsys.stability.spectrum import excess, spectra
from dynsys.systems.family import Family
from dynsys.systems.held import Held
from dynsys.systems.system import Kind
from dynsys.trajectories.projection import Projection
from dynsys.trajectories.simulate import simulate

Array = NDArray[np.float64]
RUNS, RELEASES = 3, 12  # trajectories of the task, and releases from other states
TASK_STEPS = {Kind.FLOW: 1000, Kind.MAP: 300}
RELEASE_STEPS = {Kind.FLOW: 150, Kind.MAP: 40}
SHOWN, RELEASE_SHOWN = 250, 50  # states of each that are kept, evenly
FAR = 10.0  # times the largest norm of the states that are released, where a run has left and ends
FIT_EVERY = 5  # of the states that are kept, the share that the axes are fitted to
FULL = 1200  # state variables, up to which every eigenvalue of the origin is computed
ORIGIN = 1e-12  # of |F(0)|, up to which 0 counts as a fixed point


@dataclass(frozen=True, eq=False)
class Frames:
    """Trajectories of the task (S, B, T, 3) and releases (S, B', T', 3), NaN where they have ended, on ``axes``."""

    axes: Projection
    trajectories: NDArray[np.float32]
    releases: NDArray[np.float32]

    def runs(self, which: str) -> list[list[Array]]:
        """For each snapshot the runs (T_i, 3), as pictures take them; ``which`` is the name of either array."""
        return [
            [run[np.isfinite(run).all(axis=1)] for run in runs if np.isfinite(run[:1]).all()]
            for runs in getattr(self, which)
        ]


@dataclass(frozen=True, eq=False)
class Origin:
    """The origin over the snapshots or, where 0 is no fixed point, the branch that begins nearest to it.

    ``branch`` is that branch's id, None where 0 itself is a fixed point at every snapshot. ``eigenvalues`` (S, m),
    leading first, are NaN and ``n_unstable`` (S,) is -1 where the branch is no more.
    """

    branch: int | None
    eigenvalues: NDArray[np.complex128]
    n_unstable: NDArray[np.int64]

    @property
    def is_zero(self) -> bool:
        return self.branch is None


def make_frames(
    family: Family, diagram: Diagram, seed: int, progress: Progress, deadline: Deadline = ENDLESS
) -> Frames:
    """Simulate at every snapshot, from the same states under the same inputs; all snapshots share their axes.

    Raises CutShort where time is over before the last of them.
    """
    first = family.at(float(family.steps[0]))
    starts = states_released(first, family.u, RELEASES, seed)
    size = float(starts.norm(dim=1).max())
    task: list[NDArray[np.float32]] = []
    released: list[NDArray[np.float32]] = []
    with alone():
        for i, step in enumerate(family.steps):
            _check_time(deadline, "snapshots simulated", i, len(family.steps))
            progress("trajectories", i, len(family.steps))
            system = family.at(float(step))
            paths = system.task_trajectories(TASK_STEPS[system.kind], RUNS, seed)
            task.append(_kept(paths, size, SHOWN, family.n_state))
            held = family.u.expand(RELEASE_STEPS[system.kind], -1)
            paths = torch.cat([starts.unsqueeze(0), simulate(system, starts, held)])
            released.append(_kept(paths, size, RELEASE_SHOWN, family.n_state))
        progress("trajectories", len(family.steps), len(family.steps))
    points = [branch.states[branch.snapshot >= 0] for branch in diagram.branches]
    axes = Projection.fit(np.concatenate([*points, *map(_sample, [*task, *released])]))
    return Frames(
        axes, *(np.stack([axes.transform(one).astype(np.float32) for one in part]) for part in (task, released))
    )


def _check_time(deadline: Deadline, what: str, done: int, of: int) -> None:
    cut = deadline.cut(Part(done, of, what)) if deadline.is_over else None
    if cut is not None:
        raise CutShort(cut)


def origin_of(family: Family, diagram: Diagram, progress: Progress, deadline: Deadline = ENDLESS) -> Origin | None:
    """Its eigenvalues at every snapshot, all of them up to ``FULL`` state variables; None without any point. Raises
    CutShort where time is over before the last."""
    states, branch = _origin_states(family, diagram)
    if states is None:
        return None
    found: list[NDArray[np.complex128]] = []
    for i, (step, x) in enumerate(zip(family.steps, states, strict=True)):
        _check_time(deadline, "snapshots looked at", i, len(states))
        progress("eigenvalues of the origin", i, len(states))
        if x is None:
            found.append(np.zeros(0, dtype=np.complex128))
            continue
        system = family.at(float(step))
        found.append(_eigenvalues(Held(system, family.u), x[None]))
    progress("eigenvalues of the origin", len(states), len(states))
    table = np.full((len(states), max(map(len, found))), np.nan, dtype=np.complex128)
    for row, values in zip(table, found, strict=True):
        row[: len(values)] = values
    beyond = excess(torch.as_tensor(table), family.kind).numpy()
    there = np.array([x is not None for x in states])
    return Origin(branch, table, np.where(there, (beyond > 0).sum(axis=1), -1))


def _eigenvalues(held: Held, x: Tensor) -> NDArray[np.complex128]:
    """Leading first; without the vectors and condition numbers that ``spectra`` would compute beside all of them."""
    if held.system.n_state > FULL:
        return spectra(held, x)[0].eigenvalues.numpy()
    return precisely(held, x).eigenvalues


def _origin_states(family: Family, diagram: Diagram) -> tuple[list[Tensor | None] | None, int | None]:
    """The state at each snapshot, None where there is none any more, and the branch it is on."""
    zero = torch.zeros(family.n_state, dtype=torch.float64)
    if all(bool(family.at(float(s)).velocity(zero[None], family.u).abs().max() <= ORIGIN) for s in family.steps):
        return [zero] * len(family.steps), None
    first = diagram.points_at(0)
    if not len(first):
        return None, None
    nearest = int(first.branch[np.linalg.norm(first.states, axis=1).argmin()])
    (branch,) = (branch for branch in diagram.branches if branch.id == nearest)
    rows = [branch.at(i) for i in range(len(family.steps))]
    return [None if row is None else torch.as_tensor(branch.states[row]) for row in rows], nearest


def _ended(paths: Tensor, size: float) -> Tensor:
    """The paths (T, B, n) with NaN from where one has left for infinity."""
    inside = (paths.norm(dim=2) <= FAR * size).cummin(dim=0).values
    return torch.where(inside.unsqueeze(2), paths, torch.nan)


def _kept(paths: Tensor | None, size: float, states: int, n_state: int) -> NDArray[np.float32]:
    """Up to where each has left, evenly thinned to so many states, in single precision, (B, T, n)."""
    if paths is None:
        return np.zeros((0, 0, n_state), dtype=np.float32)
    paths = _ended(paths, size)
    rows = np.unique(np.linspace(0, len(paths) - 1, min(states, len(paths))).round().astype(np.int64))
    return np.ascontiguousarray(paths[rows].numpy().swapaxes(0, 1), dtype=np.float32)


def _sample(passed: NDArray[np.float32]) -> NDArray[np.float32]:
    """States that the axes are fitted to; of a run that left the first only, as its way out would outweigh all else."""
    n = passed.shape[-1]
    left = ~np.isfinite(passed).all(axis=(1, 2))
    rows = np.concatenate([passed[~left, ::FIT_EVERY].reshape(-1, n), passed[left, :1].reshape(-1, n)])
    return rows[np.isfinite(rows).all(axis=1)]


@dataclass(frozen=True, eq=False)
class _Seen(Record, schema="dynsys.evolution_frames/1", what="set of frames", remedy="run 'dynsys evolve' again"):
    """Frames and origin as one file has them; no ``origin`` where there is none."""

    mean: Array = field(metadata=axes("f n"))
    components: Array = field(metadata=axes("f c n"))
    explained: Array = field(metadata=axes("f c"))
    trajectories: NDArray[np.float32] = field(metadata=axes("f S B T 3"))
    releases: NDArray[np.float32] = field(metadata=axes("f S R U 3"))
    made_from: str
    branch: int | None
    origin: NDArray[np.complex128] | None = field(default=None, metadata=axes("c S m"))
    origin_unstable: NDArray[np.int64] | None = field(default=None, metadata=axes("i S"))


def save_frames(path: Path, frames: Frames, origin: Origin | None, made_from: str) -> None:
    """Write both; raises OutputError."""
    _Seen(
        mean=frames.axes.mean,
        components=frames.axes.components,
        explained=frames.axes.explained_variance_ratio,
        trajectories=frames.trajectories,
        releases=frames.releases,
        made_from=made_from,
        branch=None if origin is None else origin.branch,
        origin=None if origin is None else origin.eigenvalues,
        origin_unstable=None if origin is None else origin.n_unstable,
    ).save(path)


def load_frames(path: Path, made_from: str) -> tuple[Frames, Origin | None] | None:
    """What was written for the same snapshots; None where there is nothing of the kind."""
    try:
        seen = _Seen.load(path)
    except CheckpointError:
        return None
    if seen.made_from != made_from:
        return None
    frames = Frames(Projection(seen.mean, seen.components, seen.explained), seen.trajectories, seen.releases)
    if seen.origin is None or seen.origin_unstable is None:
        return frames, None
    return frames, Origin(seen.branch, seen.origin, seen.origin_unstable)
