"""The phase portrait of a run: its points, where trajectories go among them, and what attracts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.recorded import Trials
from dynsys.attractors.attractor import Attractor
from dynsys.attractors.ends import Ends, iterated
from dynsys.models.registry import MODELS
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.starts import first_starts, states_in_box
from dynsys.systems.held import Held
from dynsys.systems.system import System
from dynsys.trajectories.recorded import Recorded
from dynsys.trajectories.simulate import relax

if TYPE_CHECKING:
    from dynsys.attractors.connections import Connections
    from dynsys.continuous_attractors.slow_curve import SlowCurve

Array = NDArray[np.float64]
Fit = Literal["points", "trajectories"]

RELEASES = 24  # trajectories let go from random states inside and outside the memory cube (Jang's figure 6)
RELEASE_STEPS = 300  # of a tenth of a time constant, or of a map
OUTSIDE = 1.8  # how far the random outputs reach, the memories being at +-1
TASK_STEPS, TASK_RUNS = 2500, 4
DRIVEN_STEPS = 1000  # of a network whose task is not known: more would hide the points
OF_TASK, DRIVEN = "trajectories of the task", "runs under random pulses (no task is known)"
FOLLOWED, ATTEMPTS = 64, 8  # states followed at a time to attractors that are none of the points, and how often


def portrait(
    points: FixedPoints,
    system: System,
    seed: int = 0,
    fit: Fit = "points",
    connections: Connections | None = None,
    recorded: Recorded | Trials | None = None,
    starts: bool = False,
    names: Sequence[str] = (),
    epochs: Mapping[str, int] | None = None,
    curves: Sequence[SlowCurve] = (),
) -> Any:
    """The phase portrait as a plotly figure: trajectories, releases from random states, and the points.

    The trajectories are those ``recorded`` where there are any, else runs of the task, else under random pulses; the
    legend says which; those of conditions are coloured by them, and ``epochs`` marked on them. With ``starts`` those of
    the search are drawn; ``names`` are said of the points. Where the search saw trajectories settle at something that
    is no point of it, as in an orbit, that is looked for and drawn as well.
    """
    from dynsys.plots import phase_portrait

    u = torch.as_tensor(points.inputs[:1]) if len(points) else torch.zeros(1, system.n_input, dtype=torch.float64)
    parts = _parts(points)
    with alone():
        passed, called = (recorded.runs, recorded.called) if recorded else _runs(system, seed)
        # Where points are of several inputs, those let go under one of them would be in the way of the others.
        released = [] if len(parts) > 1 else releases(system, u, seed)
        others = {} if connections is not None else {key: beside(*part, system, seed) for key, part in parts.items()}
    return phase_portrait(
        points,
        trajectories=passed,
        releases=released,
        time_axis=0,
        called=called,
        starts=starts,
        connections=connections,
        beside=others,
        fit=fit,
        names=names,
        conditions=recorded.conditions if isinstance(recorded, Trials) else None,
        epochs=epochs,
        curves=curves,
        notes=[recorded.told] if recorded and recorded.told else [],
        title=title_of(system),
    )


def _runs(system: System, seed: int) -> tuple[Any, str]:
    """Trajectories (T, B, n) of the system itself, and what they are called."""
    if getattr(system, "task", None) is not None:
        return system.task_trajectories(TASK_STEPS, TASK_RUNS, seed), OF_TASK
    runs = system.task_trajectories(DRIVEN_STEPS, TASK_RUNS, seed)
    if runs is None:
        return runs, OF_TASK
    # Driven at random: every other run by pulses, the rest by what shows no order.
    return runs[:, ::2], DRIVEN if system.n_input else "runs from random states"


def _parts(points: FixedPoints) -> dict[str, tuple[FixedPoints, torch.Tensor, int]]:
    """By label the points of each input, that input, and how many attractors beside them the search of it met."""
    if len(points.search.inputs) != len(points.about.get("parts", ())):
        u = points.inputs[:1] if len(points) else np.zeros((1, points.inputs.shape[1]))
        return {"": (points, torch.as_tensor(u), points.search.met_beside)}
    held = torch.split(torch.tensor(points.search.inputs, dtype=torch.float64), 1)
    return {
        part["label"]: (points[points.label == part["label"]], u, part["beside"])
        for part, u in zip(points.about["parts"], held, strict=True)
    }


def beside(points: FixedPoints, u: torch.Tensor, met: int, system: System, seed: int) -> list[Attractor]:
    """As many attractors that are none of the points as the search met: from states like those it started from."""
    ends = Ends(iterated(points), points)
    for attempt in range(ATTEMPTS):
        if len(ends.others) >= met:
            break
        x = first_starts(system, u, FOLLOWED, seed + attempt)
        ends.of(x, u.expand(len(x), -1))
    return ends.others


def title_of(system: System) -> str:
    """The kind of network and its size."""
    counted = "state variables" if system.name == "lstm" else "units"  # an LSTM's unit has two
    return f"{title_of_kind(system.name)}, {system.n_state} {counted}"


def title_of_kind(name: str) -> str:
    """What people call networks of that name."""
    title = MODELS[name].kind.title if name in MODELS else ""
    return title[:1].upper() + title[1:] or name


def releases(system: System, u: torch.Tensor, seed: int) -> list[Array]:
    """Trajectories, each (T, n), let go where random outputs put the network, or in its box.

    Each ends where it has left the scene: a picture has no room for infinity.
    """
    x = states_released(system, u, RELEASES, seed)
    paths = torch.cat([x.unsqueeze(0), relax(Held(system, u), x, RELEASE_STEPS)])
    inside = (paths.norm(dim=2) <= 3 * float(x.norm(dim=1).max())).cummin(dim=0).values
    return [np.asarray(paths[inside[:, i], i]) for i in range(len(x))]


def states_released(system: System, u: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """Where random outputs drive the network, or states of its box: the same ones for each of one size."""
    rng = np.random.default_rng(seed)
    x = system.states_of_outputs(torch.as_tensor(rng.uniform(-OUTSIDE, OUTSIDE, (n, system.n_output))))
    return states_in_box(system, u, n, rng) if x is None else x


def together(
    parts: Sequence[FixedPoints], labels: Sequence[str], recorded: Sequence[Recorded | None], fit: Fit = "points"
) -> Any:
    """The points of several runs in one portrait, each in its colour, with the trajectories recorded for each."""
    from dynsys.plots import phase_portrait

    return phase_portrait(
        list(parts),
        [one.runs if one else None for one in recorded] if any(recorded) else None,
        labels=labels,
        fit=fit,
        notes=[f"{label}: {one.told}" for label, one in zip(labels, recorded, strict=True) if one and one.told],
        title=", ".join(dict.fromkeys(title_of_kind(part.about["name"]) for part in parts)),
    )
