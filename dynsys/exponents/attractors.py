"""Which trajectories belong together: on one point or orbit, at one state of a driven system, or by growing alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.exponents.spectrum import OF_ITSELF, ROUNDING_OFF
from dynsys.exponents.statistics import ENOUGH, Batches, batched
from dynsys.numerics.eigenvalues import eigvals
from dynsys.systems.system import Kind

if TYPE_CHECKING:
    from dynsys.exponents.lyapunov import _Run

Array = NDArray[np.float64]

RESTS = 1e-9  # of the way that a trajectory has gone, that it may still be from the orbit which draws it in
ROUNDING = 4 * 2.0**-52  # of the size of a state, that it may move by where it rests
TELLING = 1e-6  # of the way that a trajectory has gone, below which rounding errors tell rest from motion
LONGEST_ORBIT = 64  # steps of a map, after which a state may be back
SAME_POINT = 1e-6  # of the way that trajectories have gone, between two states on one orbit
UNLIKE = 6.0  # standard errors between the exponents of two trajectories of two attractors
EIGENVALUES = 1024  # variables, up to which a point is told, and its exponents are those of its whole spectrum


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


def together(run: _Run, rates: Array) -> list[Together]:
    """The trajectories by attractor, that of most of them first; ``rates`` (T, B, k) are those of the B that moved."""
    x, rows = run.x[: rates.shape[1]], np.arange(rates.shape[1])
    late = orbits(run, x, run.spread)
    on_orbits = [*zip(run.orbits, run.rested, strict=True), *((late[row], x[row]) for row in late)]
    groups = [
        Together(torch.stack(ends), rows[:0], rates[:, :0], orbit) for orbit, ends in _same_orbits(on_orbits, run.span)
    ]
    free = np.array([row for row in rows if row not in late], dtype=int)
    forget, told = _forgetting(run, rates, x), ROUNDING_OFF / (run.asked.step * run.asked.system.time_constant)
    if forget is None:
        groups += [Together(x[group], group, rates[:, group]) for group in _alike(rates, free, told)]
    else:
        groups += [Together(x[group], group, rates[:, group], alone=len(forget) == 1) for group in forget]
    return sorted(groups, key=lambda group: -len(group.x))  # stable: the first met of equals


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
    if system.kind is Kind.FLOW:  # or it does not move by a digit in all the time that there is
        told |= (back[0] - x).abs().amax(dim=1) * (asked.steps + asked.burn_in) * asked.step <= rounding / 8
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


def _alike(rates: Array, rows: NDArray[np.int64], rounding: float) -> list[NDArray[np.int64]]:
    """Trajectories by their first exponents: of one attractor unless these differ by more than chance, all along.

    Rates are known to ``rounding`` at the best.
    """
    groups: list[list[int]] = []
    first = rates[:, :, : min(3, rates.shape[2])]
    middle = len(rates) // 2
    of = {int(row): [batched(part[:, [row]]) for part in (first, first[:middle], first[middle:])] for row in rows}
    for row in map(int, rows):
        for group in groups:
            if not all(_differ(*pair, rounding) for pair in zip(of[row], of[group[0]], strict=True)):
                group.append(row)
                break
        else:
            groups.append([row])
    return [np.array(group) for group in groups]


def _differ(one: Batches, other: Batches, rounding: float) -> bool:
    if min(len(one.means), len(other.means)) < ENOUGH:
        return False
    a, b = one.mean(), other.mean()
    finite = np.isfinite(a) & np.isfinite(b)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return True
    error = np.hypot(*(each.means[:, finite].std(axis=0, ddof=1) / np.sqrt(len(each.means)) for each in (one, other)))
    scale = np.abs(a[finite]).max(initial=0.0)
    return bool((np.abs(a[finite] - b[finite]) > UNLIKE * error + OF_ITSELF * scale + rounding).any())
