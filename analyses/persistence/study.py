"""How long networks remember: gradients and products along trajectories, beside exponents, slow modes and capacity.

Each network is driven by random inputs, by its own task where it has one, and by recorded inputs where they are given;
its run is cut into windows, and of each it is told what is left of the state at its beginning. A run's snapshots show
how that came about in training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.analyses.noise.networks import Network, networks_of
from dynsys.analyses.run import POINTS, load_run
from dynsys.exponents.fading import Fading, fading, trajectory
from dynsys.exponents.lyapunov import lyapunov_exponents
from dynsys.exponents.memory_curve import memory_curve
from dynsys.exponents.tangent import Stepper
from dynsys.io.files import check_writable
from dynsys.io.progress import Progress
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.snapshot import FOLDER as SNAPSHOTS
from dynsys.models.loading.trajectories import inputs_from_file
from dynsys.models.networks.recurrent import CELLS, RecurrentNetwork
from dynsys.models.rate.leaky_map import LeakyMap
from dynsys.models.training.snapshots import read_snapshots
from dynsys.search.find import find_fixed_points
from dynsys.stability.modes import linear_modes
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]
SCHEMA = "dynsys.persistence/1"
RANDOM, TASK, RECORDED, NONE = "random input", "its task", "recorded input", "no input"
MATRICES = ("orthogonal", "random")  # of tanh networks, beside the cells of torch
BESIDE = (*CELLS, *MATRICES)
BURN_IN = 100
WINDOWS = ((128, 16), (512, 4))  # state variables, up to which so many windows are taken; one above
SNAPSHOTS_OF = 8  # a run of as many variables as more than one window is taken of; none of a larger one
FIRST = 0.1  # standard deviation of a first state where the network has none of its own
STARTS = 64  # of a search for the points whose slow modes are told
MODES = 3


@dataclass(frozen=True)
class Persistence:
    """Settings: products over ``delay`` steps in each of so many ``windows`` (None: by size); ``scale`` of random
    inputs; so many ``snapshots`` of a run, evenly chosen (None: by size); whether slow modes at
    ``points`` and the memory ``capacity`` are told."""

    delay: int = 100
    windows: int | None = None
    scale: float = 1.0
    snapshots: int | None = None
    points: bool = True
    capacity: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.delay < 1:
            raise ValueError(f"delay is {self.delay}; a product is over 1 step at least")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale is {self.scale}; the standard deviation of random inputs is above 0")

    def windows_of(self, system: System) -> int:
        if self.windows is not None:
            return self.windows
        return next((count for most, count in WINDOWS if system.n_state <= most), 1)


def compare(
    settings: Persistence,
    given: Sequence[Any],
    *,
    beside: Sequence[str] = (),
    inputs: str | Path | None = None,
    loading: Mapping[str, Any] | None = None,
    progress: Progress = lambda stage, done, total: None,
    finished: Callable[[Mapping[str, Any]], None] = lambda entry: None,
) -> dict[str, Any]:
    """What ``results.json`` holds, of checkpoints, systems or modules, with fresh networks ``beside`` them.

    ``finished`` gets the entry of each network as it is done. Raises ValueError for names that ``BESIDE`` lacks,
    and for networks that no sequence of inputs drives.
    """
    networks = networks_of(given, loading)
    _check_driven(networks)
    first = networks[0].system
    networks += [Network(f"{name} (fresh)", fresh(name, first, settings.seed), name) for name in beside]
    entries = []
    for network in networks:
        entries.append(_entry(settings, network, inputs, progress))
        finished(entries[-1])
    return results_of(settings, entries)


def _check_driven(networks: Sequence[Network]) -> None:
    for network in networks:
        if isinstance(network.system, FastWeights):
            raise ValueError(
                f"{network.name} is a network of kind {network.system.name!r}, whose fast weights are held like an "
                "input: it is the step within one moment, and no sequence of inputs drives it; leave it out"
            )


def results_of(settings: Persistence, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"schema": SCHEMA, "settings": dataclasses.asdict(settings), "networks": list(entries)}


def run(
    settings: Persistence, given: Sequence[Any], folder: str | Path, *, command: str = "", **how: Any
) -> dict[str, Any]:
    """``compare`` with its report in ``folder``; on Ctrl-C that of the networks that are done."""
    from dynsys.analyses.persistence.report import write

    check_writable(Path(folder))
    done: list[Mapping[str, Any]] = []
    try:
        results = compare(settings, given, finished=done.append, **how)
    except KeyboardInterrupt:
        if not done:
            raise
        write(results_of(settings, done), Path(folder), command)
        raise KeyboardInterrupt(f"stopped after {len(done)} of the networks") from None
    write(results, Path(folder), command)
    return results


def fresh(name: str, like: System, seed: int) -> System:
    """An untrained network with as many units, inputs and outputs as another.

    A cell begins as it does before training. "orthogonal" and "random" are h' = tanh(W h + B u) with W orthogonal, or
    normal with the variance 1 / n, and B normal with the variance 1 / m.
    """
    if name not in BESIDE:
        raise ValueError(f"{name!r} is no network to put beside another; there are {', '.join(BESIDE)}")
    layers = getattr(like, "layers", None)
    units = layers[-1].weight_hh.shape[1] if layers else like.n_state
    if name in CELLS:
        network = RecurrentNetwork(name, max(like.n_input, 1), units, max(like.n_output, 1), seed=seed)
        system: System = network.system()
        return system
    rng, m = np.random.default_rng(seed), max(like.n_input, 1)
    W = rng.standard_normal((units, units)) / np.sqrt(units)
    W = np.linalg.qr(W)[0] if name == "orthogonal" else W
    return LeakyMap(W, rng.standard_normal((units, m)) / np.sqrt(m), alpha=1.0)


def _entry(settings: Persistence, network: Network, inputs: str | Path | None, progress: Progress) -> dict[str, Any]:
    system = network.system
    stepper = stepper_of(system)
    drives = {}
    for name, u, target in _drives(settings, network, inputs):
        drives[name] = _driven(settings, network.name, stepper, u, target, progress)
    return {
        "name": network.name,
        "model": system.name,
        "checkpoint": None if network.path is None else str(network.path),
        "state_variables": system.n_state,
        "kind": str(system.kind),
        "step": stepper.time,
        "assumed": list(system.assumed),
        "drives": drives,
        "slow_modes": _slow_modes(settings, network, progress) if settings.points else None,
        "memory": _memory(settings, network.name, stepper) if settings.capacity and system.n_input else None,
        "snapshots": _snapshots(settings, network, progress),
    }


def stepper_of(system: System) -> Stepper:
    """Steps of a map, or of a flow over one unit of its user's time, a tenth of its time constant at most."""
    return Stepper(system, 1.0 if system.kind is Kind.MAP else min(1 / system.time_constant, 0.1))


Drive = tuple[str, Array, Array | None]  # its name, inputs (T, m), and targets (T, o) where there are any


def _drives(settings: Persistence, network: Network, path: str | Path | None) -> list[Drive]:
    system = network.system
    steps = BURN_IN + settings.delay * settings.windows_of(system)
    if not system.n_input:
        return [(NONE, np.zeros((steps, 0)), None)]
    rng = np.random.default_rng(settings.seed)
    found: list[Drive] = [(RANDOM, rng.standard_normal((steps, system.n_input)) * settings.scale, None)]
    if hasattr(network.task, "trial"):
        found.append(_of_task(network, steps, settings.seed))
    if path is not None:
        u = inputs_from_file(path, system.n_input)
        if len(u) < settings.delay + 1:
            raise ValueError(f"{path} holds {len(u)} steps; products over {settings.delay} need {settings.delay + 1}")
        found.append((RECORDED, u, None))
    return found


def _of_task(network: Network, steps: int, seed: int) -> Drive:
    trial = network.task.trial(steps, seed)
    judged = bool(np.any(trial.settled)) and trial.target.shape[1] == network.system.n_output
    return TASK, trial.inputs, trial.target if judged else None


def _driven(
    settings: Persistence, name: str, stepper: Stepper, u: Array, target: Array | None, progress: Progress
) -> dict[str, Any]:
    """What is left along a run, and the first exponent under the same inputs; the reason where the run diverges."""
    system, burn_in = stepper.system, min(BURN_IN, len(u) - settings.delay)
    loss = ("squared error of the outputs" if target is not None else "squared outputs") if system.n_output else None
    told: dict[str, Any] = {"steps": len(u) - burn_in, "loss": loss or "squared state"}
    inputs, x = torch.as_tensor(u)[:, None], _first(system, settings.seed)
    try:
        states = trajectory(stepper, x, inputs)
        found = fading(
            stepper,
            states[burn_in:],
            inputs[burn_in:],
            settings.delay,
            lambda h, rows: loss_gradient(
                system, h, None if target is None else torch.as_tensor(target)[rows + burn_in - 1]
            ),
            lambda done, total: progress(name, done, total),
        )
        how = {"inputs": u, "burn_in": burn_in} if system.n_input else {"steps": len(u) - burn_in, "burn_in": burn_in}
        exponent = lyapunov_exponents(system, 1, starts=x.numpy(), step=stepper.length, **how)
    except ArithmeticError as error:
        return {**told, "reason": str(error)}
    half = float(exponent.half_width[0])
    return {**told, **_told(found), "exponent": _plain(exponent.values[0]), "exponent_half_width": _plain(half)}


def _told(found: Fading) -> dict[str, Any]:
    """Medians over windows, in powers of ten; None where all is gone, or nothing is known."""
    left = found.left()
    assert left is not None
    tens, sizes = 1 / np.log(10), np.exp(found.steps)
    with np.errstate(invalid="ignore", over="ignore"):
        known = left[:, ~np.isnan(left[0])]
        return {
            "windows": found.product.shape[1],
            "contracting": found.contracting,
            "step_norms": [float(value) for value in np.quantile(sizes, (0.05, 0.25, 0.5, 0.75, 0.95))],
            "product": _curve(np.median(found.product, axis=1) * tens),
            "bound": _curve(np.median(found.bound, axis=1) * tens),
            "gradient": _curve(np.median(known, axis=1) * tens) if known.shape[1] else None,
            "singular": _curve(np.median(found.singular, axis=0) * tens),
            "rate": _plain(np.median(found.rate)),
            "horizon": horizon(np.median(known, axis=1)) if known.shape[1] else None,
        }


def horizon(left: Array, share: float = 0.01) -> int | None:
    """The first delay from which on the gradient that is left stays below a share; None where it does not."""
    above = np.flatnonzero(left >= np.log(share))
    return None if len(above) and above[-1] == len(left) - 1 else int(above[-1] + 1) if len(above) else 0


def loss_gradient(system: System, x: Tensor, target: Tensor | None = None) -> Tensor:
    """Of C = |z - target|^2 / 2 at states x (W, n), target 0 unless given (W, o); of the state where there is no z."""
    if not system.n_output:
        return x
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        z = system.readout(leaf)
        loss = ((z if target is None else z - target) ** 2).sum() / 2
        (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def _first(system: System, seed: int) -> Tensor:
    known = getattr(system, "initial_state", None)
    if known is not None:
        return torch.as_tensor(known, dtype=torch.float64)[None]
    generator = torch.Generator().manual_seed(seed)
    return FIRST * torch.randn(1, system.n_state, generator=generator, dtype=torch.float64)


def _slow_modes(settings: Persistence, network: Network, progress: Progress) -> dict[str, Any]:
    """Time constants of the slowest modes at the stable points: of those beside the checkpoint, or found here."""
    folder = network.folder
    if folder is not None and (folder / f"{POINTS}.safetensors").is_file():
        points, searched = load_run(folder)[0], False
    else:
        points = find_fixed_points(
            network.system, n_starts=STARTS, verify=False, closure=False, seed=settings.seed, progress=progress
        )
        searched = True
    stable = np.flatnonzero((points.n_unstable == 0) & (points.verdict == "fixed"))
    slowest = linear_modes(points, stable, MODES).time_constants if len(stable) else np.empty((0, 0))
    order = sorted(range(len(slowest)), key=lambda i: -slowest[i, 0])
    return {
        "searched": searched,
        "points": len(points),
        "stable": len(stable),
        "time_constants": [[_plain(value) for value in slowest[i] if not np.isnan(value)] for i in order[:8]],
    }


def _memory(settings: Persistence, name: str, stepper: Stepper) -> dict[str, Any]:
    try:
        delays = min(2 * stepper.system.n_state, 400)
        found = memory_curve(stepper, max(delays, settings.delay), scale=settings.scale, seed=settings.seed)
    except (ArithmeticError, ValueError) as error:
        return {"reason": str(error)}
    return {
        "told": found.told.T.tolist(),
        "floor": found.floor.tolist(),
        "capacity": found.capacity.tolist(),
        "rank": found.rank,
        "steps": found.steps,
        "truncated": found.truncated,
    }


def _snapshots(settings: Persistence, network: Network, progress: Progress) -> dict[str, Any] | None:
    """How much is left at each of some snapshots of a run's training, under the same inputs."""
    folder, count = network.folder, settings.snapshots
    if count is None:
        count = SNAPSHOTS_OF if network.system.n_state <= WINDOWS[-1][0] else 0
    if not count or folder is None or len(list((folder / SNAPSHOTS).glob("step_*.safetensors"))) < 2:
        return None
    family = read_snapshots(folder)
    chosen = np.unique(np.linspace(0, len(family.steps) - 1, count).round().astype(int))
    name, u, target = _drives(settings, network, None)[-1]
    rows = []
    for number, i in enumerate(chosen):
        step = float(family.steps[i])
        found = _driven(settings, "snapshot", stepper_of(family.at(step)), u, target, lambda stage, done, total: None)
        kept = ("reason", "contracting", "rate", "horizon", "exponent", "exponent_half_width", "product", "gradient")
        rows.append({"step": step, **{key: found[key] for key in kept if key in found}})
        progress(f"{network.name}, snapshots", number + 1, len(chosen))
    return {"drive": name, "rows": rows}


def _curve(values: Array) -> list[float | None]:
    return [_plain(value) for value in values]


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
