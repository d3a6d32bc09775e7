"""What may be said of exponents: whether their sum is right, what their signs say, and what is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.exponents.attractors import EIGENVALUES, LONGEST_ORBIT, Together
from dynsys.exponents.frames import Frames
from dynsys.exponents.spectrum import AT_REST, OF_ITSELF, OF_SPECTRUM, ROUNDING_OFF
from dynsys.exponents.statistics import ENOUGH, Batches, batched
from dynsys.systems.system import Kind

if TYPE_CHECKING:
    from dynsys.exponents.lyapunov import _Run

Array = NDArray[np.float64]

SLIGHT = 1e-3  # of the largest exponent: one as small as this is taken for 0 where a flow has to have such
RULE = 1e-9  # relative, that a sum may be off
SMALLEST = 1e-6  # per step, that exponents count for in the rule where all are 0, and only rounding is left
STILL = 0.3  # correlation of neighbouring batches that makes intervals too narrow
HALVES, SETTLED = 5.0, 1e-6  # standard errors, and share of the largest exponent, between the two halves of a run
FAINT = 1e-6  # of the size of a state, that a trajectory comes along in a run which does not show how it moves
UNLIKELY = (  # as of x -> 2 x mod 1, which takes every float64 to 0 within 1,100 steps
    "trajectories came exactly to an orbit that others beside it leave, by rounding or from where they began; those "
    "that do not may grow otherwise"
)
CLEARLY = 5.0  # half-widths above 0, for a first exponent to be positive in a run that has not converged


def told_from(run: _Run) -> float:
    """The rate that rounding makes, per unit of the user's time, from which no exponent is told."""
    return ROUNDING_OFF / (run.asked.step * run.asked.system.time_constant)


def motion_of(run: _Run, group: Together, series: Array, batches: Batches, half: Array) -> tuple[str, list[str]]:
    """What the trajectories of an attractor do, in a word, and why the exponents are not to be relied on yet.

    ``series`` (T, b, k), ``batches`` and the half-widths ``half`` (k,) are of the exponents in their order.
    """
    asked, values = run.asked, batches.mean()
    if group.orbit is not None:
        word = AT_REST if len(group.orbit.states) == 1 else "periodic orbit"
        if values[0] <= 0:
            return word, []
        return f"unstable {word}", [UNLIKELY] if run.span > 0 else []
    moving_flow = asked.system.kind is Kind.FLOW and asked.inputs is None
    motion = _by_signs(values, half, moving_flow, told_from(run), asked.k == asked.system.n_state)
    doubts = _doubts(run, series, batches, values, half)
    if moving_flow and _hardly_moves(run, group):
        doubts.append("some hardly move, and have gone nowhere in the time of the run")
    if motion == "contracting" and group.alone and len(group.x) > 1:
        motion = "forgets"
    elif motion == "contracting" and asked.inputs is None:
        doubts.append(f"all are negative, and no orbit of up to {LONGEST_ORBIT} steps has been reached yet")
    if doubts and not (motion == "chaotic" and values[0] > CLEARLY * half[0] and not _is_drifting(doubts)):
        motion = "undecided"
    return motion, doubts


def as_zero(values: Array, half: Array, is_moving_flow: bool) -> NDArray[np.bool_]:
    """Which exponents (k,) count as 0: of a flow that does not rest those whose interval, or a slight one, holds 0."""
    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    allowed = np.maximum(half, SLIGHT * scale) if is_moving_flow else SETTLED * scale
    return np.asarray(np.abs(values) <= allowed)


def _by_signs(values: Array, half: Array, has_zero: bool, rounding: float, complete: bool) -> str:
    """What the signs of the first exponents say, where they are certain; ``complete`` where these are all."""
    if not has_zero:
        return "chaotic" if values[0] > half[0] else "contracting" if values[0] < -half[0] else "undecided"
    slight = max(SLIGHT * np.abs(values[np.isfinite(values)]).max(initial=0.0), rounding)
    if values[0] > max(half[0], slight):
        return "chaotic"
    zero = np.abs(values) <= np.maximum(half, slight)
    if (half[zero] > slight).any() or (zero.all() and not complete):
        return "undecided"
    return {1: "periodic", 2: "neutral"}.get(int(zero.sum()), "undecided")


def _hardly_moves(run: _Run, group: Together) -> bool:
    """Whether any of the trajectories of a flow is so slow that it cannot have gone round an orbit."""
    asked = run.asked
    way = asked.system.velocity(group.x, asked.held.expand(len(group.x), -1)).abs().amax(dim=1)
    return bool((way * asked.step * asked.steps <= FAINT * group.x.abs().amax(dim=1)).any())


def _is_drifting(reasons: list[str]) -> bool:
    """Whether any of the reasons is more than a wide interval."""
    return any("wider than" not in reason for reason in reasons)


def _doubts(run: _Run, series: Array, batches: Batches, values: Array, half: Array) -> list[str]:
    """Why the exponents are not to be relied on yet."""
    doubts: list[str] = []
    finite = np.isfinite(values)
    scale = np.abs(values[finite]).max(initial=0.0)
    if len(batches.means) < ENOUGH:
        doubts.append(f"{len(batches.means)} pieces of the run are too few for an interval; {ENOUGH} are needed")
        return doubts
    sizes = np.abs(np.where(finite, values, 0.0))
    allowed = np.maximum(OF_ITSELF * np.maximum(sizes, sizes[0]), OF_SPECTRUM * scale).clip(told_from(run))
    wide = np.flatnonzero(half > allowed)
    if len(wide):
        worst = int(wide[np.argmax(half[wide] / allowed[wide])])
        more = int(np.ceil(run.asked.steps * ((half[worst] / allowed[worst]) ** 2 - 1)))
        doubts.append(
            f"the interval of exponent {worst + 1} is ±{half[worst]:.2g}, wider than ±{allowed[worst]:.2g}: "
            f"about {float(f'{more:.2g}'):,.0f} steps more"
        )
    if batches.correlation > STILL:
        doubts.append(
            f"neighbouring batches are still correlated ({batches.correlation:.2f}): intervals are too narrow"
        )
    middle = len(series) // 2
    if middle >= 8 and finite.any():
        first, second = batched(series[:middle, :, finite]), batched(series[middle:, :, finite])
        error = np.hypot(first.half_width(0.68), second.half_width(0.68))
        drift = np.abs(first.mean() - second.mean()) > HALVES * error + SETTLED * scale + told_from(run)
        if drift.any():
            doubts.append("the two halves of the run differ by more than chance: it had not come to its attractor")
    if run.asked.system.kind is Kind.FLOW and run.asked.inputs is None and values[-1] < 0:
        nearest = int(np.argmin(np.abs(values)))
        if np.abs(values[nearest]) > max(3 * half[nearest], OF_SPECTRUM * scale):
            doubts.append(
                f"a flow that does not rest has an exponent of 0; "
                f"the nearest is {values[nearest]:+.2g} ± {half[nearest]:.1g}"
            )
    return doubts


def sum_rule(run: _Run, group: Together) -> tuple[float, float]:
    """How far the growth of all directions is from that of volume, relative to all growth; and the rate of volume."""
    if not run.volumes:
        return _pilot_rule(run, group.x[:1])
    grown, volume = (torch.stack(parts).numpy()[:, group.rows] for parts in zip(*run.volumes, strict=True))
    each = torch.stack(run.logs).abs().sum(dim=2).numpy()[:, group.rows]
    rounding = torch.cat([frames.rounding for frames in run.groups]).numpy()[group.rows].mean() / len(run.volumes)
    return _judged(run, float(grown.mean()), float(volume.mean()), float(each.mean()), float(rounding))


def _pilot_rule(run: _Run, x: Tensor) -> tuple[float, float]:
    """The same over a few steps more with as many directions as there are, where fewer were followed."""
    n = run.asked.system.n_state
    if n > EIGENVALUES:
        return float("nan"), float("nan")
    generator = torch.Generator().manual_seed(run.asked.seed)
    Q = torch.linalg.qr(torch.randn(1, n, n, generator=generator, dtype=x.dtype))[0]
    frames = Frames(run.stepper, x, Q, run.inputs, max(run.t - 4, 0) * run.parts)
    logs, volume = frames.grow(4 * run.parts, volume=True)
    rule, _ = _judged(
        run, float(logs.sum()), float(volume.sum()), float(logs.abs().sum()), float(frames.rounding.sum())
    )
    return rule, float("nan")


def _judged(run: _Run, grown: float, volume: float, size: float, rounding: float) -> tuple[float, float]:
    """``rounding`` is what it may take off, which is more than the rule where directions nearly vanish."""
    length = float(np.mean(run.lengths)) * run.asked.step * run.asked.system.time_constant
    if not np.isfinite(grown):
        return float("nan"), -np.inf
    size = max(size, SMALLEST * run.asked.system.n_state * float(np.mean(run.lengths)))
    rule = abs(grown - volume) / size
    if rule > RULE + rounding / size:
        what = "mean of log |det DG|" if run.asked.system.kind is Kind.MAP else "mean divergence"
        raise ArithmeticError(
            f"the exponents of {run.asked.system.name} sum to {grown / length:.12g}, and the {what} is "
            f"{volume / length:.12g}: they differ by {rule:.1e} of their sizes, {RULE + rounding / size:.1e} is "
            "allowed. "
            + (
                "F or its Jacobian is not smooth or not exact"
                if run.asked.system.kind is Kind.MAP
                else "A shorter step may help (step=...), or F is not smooth"
            )
        )
    return rule, volume / length
