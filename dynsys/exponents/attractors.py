"""Which trajectories belong together, and what the exponents of each such attractor are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.exponents.frames import Frames
from dynsys.exponents.spectrum import AT_REST, OF_ITSELF, OF_SPECTRUM, Exponents
from dynsys.exponents.statistics import Batches, batched, entropy_rate, kaplan_yorke
from dynsys.numerics.eigenvalues import eigvals
from dynsys.systems.system import Kind

if TYPE_CHECKING:
    from dynsys.exponents.lyapunov import _Run

Array = NDArray[np.float64]

RESTS = 1e-9  # of the way that a trajectory has gone, that it may still be from the orbit which draws it in
EPS = 2.0**-52
ROUNDING = 4 * EPS  # of the size of a state, that it may move by where it rests
TELLING = 1e-6  # of the way that a trajectory has gone, below which rounding errors tell rest from motion
LONGEST_ORBIT = 64  # steps of a map, after which a state may be back
SAME_POINT = 1e-6  # of the way that trajectories have gone, between two states on one orbit
UNLIKE = 6.0  # standard errors between the exponents of two trajectories of two attractors
EIGENVALUES = 1024  # variables, up to which a point is told, and its exponents are those of its whole spectrum
ENOUGH = 16  # batches, below which an interval is not to be trusted
SLIGHT = 1e-3  # of the largest exponent: one as small as this is taken for 0 where a flow has to have such
RULE = 1e-9  # relative, that a sum may be off
SMALLEST = 1e-6  # per step, that exponents count for in the rule where all are 0, and only rounding is left
STILL = 0.3  # correlation of neighbouring batches that makes intervals too narrow
HALVES, SETTLED = 5.0, 1e-6  # standard errors, and share of the largest exponent, between the two halves of a run
CLEARLY = 5.0  # half-widths above 0, for a first exponent to be positive in a run that has not converged


@dataclass(frozen=True)
class Orbit:
    """A periodic orbit (p, n) of a map, or a fixed point (1, n), and what it grows by in each direction, (n,)."""

    states: Tensor
    rates: Array


@dataclass(frozen=True)
class Together:
    """Trajectories of one attractor: their last states (b, n), their rows among those that moved and their rates
    (T, b, k), or, of an orbit, that.
    """

    x: Tensor
    rows: NDArray[np.int64]
    rates: Array
    orbit: Orbit | None = None
    alone: bool = False  # whether all trajectories of a driven system have come to the same states


def apart(run: _Run, seconds: float, stopped: str) -> Exponents:
    """The exponents of the attractor that most trajectories are on, with those of the others."""
    lengths = np.asarray(run.lengths) * run.asked.step * run.asked.system.time_constant
    moved = torch.stack(run.logs).numpy() if run.logs else np.zeros((0, 0, run.asked.k))
    rates = moved / lengths[:, None, None]  # (T, B, k)
    x, rows = run.x[: rates.shape[1]], np.arange(rates.shape[1])
    late = orbits(run, x, run.spread)
    groups = [
        Together(torch.stack(ends), rows[:0], rates[:, :0], orbit)
        for orbit, ends in _same_orbits(
            [*zip(run.orbits, run.rested, strict=True), *((late[row], x[row]) for row in late)], run.span
        )
    ]
    free = np.array([row for row in rows if row not in late], dtype=int)
    forget = _forgetting(run, rates, x)
    if forget is None:
        groups += [Together(x[group], group, rates[:, group]) for group in _alike(rates, free)]
    else:
        groups += [Together(x[group], group, rates[:, group], alone=len(forget) == 1) for group in forget]
    groups.sort(key=lambda group: -len(group.x))  # stable: the first met of equals
    found = [_exponents(run, group, lengths, seconds, stopped) for group in groups]
    found[0].others.extend(found[1:])
    return found[0]


def _forgetting(run: _Run, rates: Array, x: Tensor) -> list[NDArray[np.int64]] | None:
    """Trajectories of a driven system that contracts, by the states that they have come to; None of any other."""
    if run.asked.inputs is None or not len(x) or not (rates[:, :, 0].mean(axis=0) < 0).all():
        return None
    groups: list[list[int]] = []
    for row in range(len(x)):
        for group in groups:
            if (x[row] - x[group[0]]).abs().max() <= SAME_POINT * run.span + ROUNDING * x[row].abs().max():
                group.append(row)
                break
        else:
            groups.append([row])
    return [np.array(group) for group in groups]


def orbits(run: _Run, x: Tensor, spread: Tensor) -> dict[int, Orbit]:
    """By row of the states (B, n) those that are at rest, or, of a map, come back after a few steps.

    A state rests where only rounding moves it, or where it is drawn to an orbit and is as good as there, by the way
    ``spread`` (B,) that its trajectory has gone.
    """
    asked, system = run.asked, run.asked.system
    if asked.inputs is not None or system.n_state > EIGENVALUES or not len(x):
        return {}
    u = asked.held.expand(len(x), -1)
    if system.kind is Kind.FLOW:
        back = [x + system.velocity(x, u)]
        course = [x]
    else:
        course = [x]
        for _ in range(LONGEST_ORBIT):
            course.append(course[-1] + system.velocity(course[-1], u))
        back = course[1:]
    rounding = ROUNDING * x.abs().amax(dim=1)
    told = (rounding <= TELLING * spread) | (spread <= rounding)
    found: dict[int, Orbit] = {}
    for row in range(len(x)):
        away = [float((y[row] - x[row]).abs().max()) for y in back]
        near = max(RESTS * float(spread[row]), float(rounding[row]))
        period = next((p for p, d in enumerate(away, 1) if d <= near), 0)
        if not period:
            continue
        states = torch.stack([y[row] for y in course[:period]])
        rates = _of_orbit(run, states)
        rests = bool(told[row]) and away[period - 1] <= float(rounding[row])
        if rates is not None and (rates[0] < 0 or rests):
            found[row] = Orbit(states, rates)
    return found


def _of_orbit(run: _Run, states: Tensor) -> Array | None:
    """What the eigenvalues of a fixed point, or the multipliers of an orbit, grow by, the greatest first.

    None where the multipliers of an orbit are too far apart for the product of its Jacobians.
    """
    system, p = run.asked.system, len(states)
    J = system.jacobian(states, run.asked.held.expand(p, -1))
    if system.kind is Kind.FLOW:
        return np.sort(eigvals(J[0]).real.numpy() / system.time_constant)[::-1].copy()
    product = torch.eye(system.n_state, dtype=J.dtype)
    for D in J + product:
        product = D @ product
    sizes = np.abs(eigvals(product).numpy())
    if p > 1 and sizes.min() < 1e-10 * sizes.max():
        return None
    nothing = ROUNDING * max(1.0, float(torch.linalg.matrix_norm(product)))  # as G is taken apart into x and G - x
    with np.errstate(divide="ignore"):
        return np.sort(np.where(sizes < nothing, -np.inf, np.log(sizes) / p))[::-1].copy()


def _same_orbits(found: list[tuple[Orbit, Tensor]], span: float) -> list[tuple[Orbit, list[Tensor]]]:
    """Each orbit once, with the states that are on it; ``span`` is how far trajectories have gone."""
    each: list[tuple[Orbit, list[Tensor]]] = []
    for orbit, x in found:
        for other, ends in each:
            near = (other.states - x).abs().amax(dim=1).min()
            if len(other.states) == len(orbit.states) and near <= SAME_POINT * span + 16 * ROUNDING * x.abs().max():
                ends.append(x)
                break
        else:
            each.append((orbit, [x]))
    return each


def _alike(rates: Array, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Trajectories by their first exponents: of one attractor unless these differ by more than chance, all along."""
    groups: list[list[int]] = []
    first = rates[:, :, : min(3, rates.shape[2])]
    middle = len(rates) // 2
    of = {int(row): [batched(part[:, [row]]) for part in (first, first[:middle], first[middle:])] for row in rows}
    for row in map(int, rows):
        for group in groups:
            if not all(map(_differ, of[row], of[group[0]])):
                group.append(row)
                break
        else:
            groups.append([row])
    return [np.array(group) for group in groups]


def _differ(one: Batches, other: Batches) -> bool:
    if min(len(one.means), len(other.means)) < ENOUGH:
        return False
    a, b = one.mean(), other.mean()
    finite = np.isfinite(a) & np.isfinite(b)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return True
    error = np.hypot(*(each.means[:, finite].std(axis=0, ddof=1) / np.sqrt(len(each.means)) for each in (one, other)))
    scale = np.abs(a[finite]).max(initial=0.0)
    return bool((np.abs(a[finite] - b[finite]) > UNLIKE * error + OF_ITSELF * scale).any())


def _exponents(run: _Run, group: Together, lengths: Array, seconds: float, stopped: str) -> Exponents:
    asked, system = run.asked, run.asked.system
    series, motion, reasons = group.rates, "", []
    if group.orbit is not None:
        values, period = group.orbit.rates[: asked.k], len(group.orbit.states)
        motion = "periodic orbit" if period > 1 else AT_REST
        motion = motion if values[0] <= 0 else f"unstable {motion}"
        series, lengths = np.broadcast_to(values, (1, 1, len(values))), np.ones(1)
        batches = Batches(np.repeat(values[None], ENOUGH, axis=0), 0.0)
        rule, rate = 0.0, float(group.orbit.rates.sum())
    else:
        batches = batched(series)
        rule, rate = _sum_rule(run, group)
    order = np.argsort(-batches.mean(), kind="stable")
    batches, series = Batches(batches.means[:, order], batches.correlation), series[:, :, order]
    values, half = batches.mean(), batches.half_width(asked.level)
    whole = asked.k == system.n_state
    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    zero = np.abs(values) <= SETTLED * scale
    if system.kind is Kind.FLOW and not motion:
        zero |= np.abs(values) <= np.maximum(half, SLIGHT * scale)
    ky, ky_interval = batches.of(lambda row: kaplan_yorke(np.where(zero, 0.0, row), whole), asked.level)
    entropy, entropy_interval = batches.of(lambda row: entropy_rate(np.where(zero, 0.0, row), whole), asked.level)
    with np.errstate(invalid="ignore"):
        interval = np.stack([values - half, values + half], axis=1)
    if not motion:
        motion = _motion(values, half, system.kind is Kind.FLOW and asked.inputs is None)
        reasons = _doubts(run, series, batches, values, half)
        if motion == "contracting" and group.alone and len(group.x) > 1:
            motion = "forgets"
        elif motion == "contracting" and asked.inputs is None:
            reasons.append(f"all are negative, and no orbit of up to {LONGEST_ORBIT} steps has been reached yet")
        if reasons and not (motion == "chaotic" and values[0] > CLEARLY * half[0] and not _is_drifting(reasons)):
            motion = "undecided"
    return Exponents(
        values=values,
        interval=interval,
        curve=np.cumsum(series.mean(axis=1) * lengths[:, None], axis=0) / np.cumsum(lengths)[:, None],
        times=np.cumsum(lengths),
        ends=group.x.numpy(),
        level=asked.level,
        kaplan_yorke=ky,
        kaplan_yorke_interval=ky_interval,
        entropy=entropy,
        entropy_interval=entropy_interval,
        sum_rule=rule,
        volume_rate=rate,
        lost=int(np.isneginf(values).sum()),
        kind="driven" if asked.inputs is not None else "closed loop" if system.closed_loop else "autonomous",
        is_map=system.kind is Kind.MAP,
        motion=motion,
        period=0 if group.orbit is None else len(group.orbit.states),
        reasons=tuple(reasons),
        name=system.name,
        n_state=system.n_state,
        steps=int(np.sum(run.lengths)),
        burn_in=asked.burn_in,
        step_time=asked.step * system.time_constant,
        correlation=batches.correlation,
        asked=run.begun,
        gone=run.begun - len(run.x) - len(run.rested),
        seconds=seconds,
        stopped=stopped,
        euler=system.flow() is not None,
    )


def _sum_rule(run: _Run, group: Together) -> tuple[float, float]:
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


def _motion(values: Array, half: Array, has_zero: bool) -> str:
    """What the signs of the first exponents say, where they are certain."""
    if not has_zero:
        return "chaotic" if values[0] > half[0] else "contracting" if values[0] < -half[0] else "undecided"
    slight = SLIGHT * np.abs(values[np.isfinite(values)]).max(initial=0.0)
    if values[0] > max(half[0], slight):
        return "chaotic"
    zero = np.abs(values) <= np.maximum(half, slight)
    if (half[zero] > slight).any():
        return "undecided"
    return {1: "periodic", 2: "quasi-periodic"}.get(int(zero.sum()), "undecided")


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
    allowed = np.maximum(OF_ITSELF * np.maximum(sizes, sizes[0]), OF_SPECTRUM * scale)
    wide = np.flatnonzero(half > allowed)
    if len(wide):
        worst = int(wide[np.argmax(half[wide] / allowed[wide])])
        more = int(np.ceil(run.asked.steps * ((half[worst] / allowed[worst]) ** 2 - 1)))
        doubts.append(
            f"the interval of exponent {worst + 1} is +-{half[worst]:.2g}, wider than +-{allowed[worst]:.2g}: "
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
        drift = np.abs(first.mean() - second.mean()) > HALVES * error + SETTLED * scale
        if drift.any():
            doubts.append("the two halves of the run differ by more than chance: it had not come to its attractor")
    if run.asked.system.kind is Kind.FLOW and run.asked.inputs is None and values[-1] < 0:
        nearest = int(np.argmin(np.abs(values)))
        if np.abs(values[nearest]) > max(3 * half[nearest], OF_SPECTRUM * scale):
            doubts.append(
                f"a flow that does not rest has an exponent of 0; "
                f"the nearest is {values[nearest]:+.2g} +-{half[nearest]:.1g}"
            )
    return doubts
