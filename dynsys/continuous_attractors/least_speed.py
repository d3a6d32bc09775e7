"""Slow curves: where q is least while a readout, or the part along a direction, is held at each of a range of values.

Networks that integrate keep what they integrate on a curve along which they hardly move, though few of its states are
fixed points, or none. On it F has no part but along the curve and what the constraint balances:
grad q = J^T F = -lambda grad c, with c(x) = s the constraint (Sussillo & Barak 2013 look for the minima of q alone;
Mante et al. 2013 for the slow points of each context by hand).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.continuous_attractors.slow_curve import SlowCurve
from dynsys.numerics.eigenvalues import eigvals
from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.spectrum import leading_first
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

STEPS = 61  # values of the constraint
NODES = 25  # states at which eigenvalues are computed
KEPT = 6  # eigenvalues of each, the leading ones
MOST = 100  # Gauss-Newton steps to one minimum
LEAST_DAMPING = 1e-6  # of the mean of the diagonal of J^T J
CLOSE = 1e-10  # a step relative to the state, at which the minimum is reached
HALVINGS = 6  # of a step along the curve, before it ends
LEAP = 4.0  # times the last step, beyond which another minimum was found
WIDER = 0.1  # of the span of the points' readouts, on each side of it
TASK_STEPS, TASK_RUNS = 500, 8  # of the network's own task, which tell what its readouts are
SHARE = 0.01  # of the curve's length that a state moves at the speed limit while what is across it decays e-fold

Constraint = Callable[[Tensor], tuple[Tensor, Tensor]]


def slow_curve(
    points: FixedPoints,
    along: int | Literal["mode"] | Any = 0,
    *,
    system: System | None = None,
    span: tuple[float, float] | None = None,
    steps: int = STEPS,
    start: int | None = None,
    limit: float | None = None,
) -> SlowCurve:
    """The curve of least speed through a point, along a readout (its number), the point's leading mode, or a direction.

    A direction (n,) is measured from the origin in its own units; "mode" from the point. ``start`` is the number of the
    point that the curve is sought from, by default the slowest, of several at rest that in the middle; ``span`` is by
    default that of the points and of the task's trajectories. ``limit`` is the speed at which it counts as at rest,
    by default that at which a state moves by a hundredth of its length while what is across it decays e-fold. Raises
    ValueError where there is no point, no such readout, or nothing to tell the span.
    """
    system = system or points.system
    if system is None:
        raise ValueError("these points were loaded without their system; give it: system=...")
    if not len(points):
        raise ValueError("there is no point to seek a curve from")
    if steps < 3:
        raise ValueError(f"steps is {steps}; a curve needs at least 3")
    first = _first(points, along) if start is None else int(start)
    if not 0 <= first < len(points):
        raise ValueError(f"start is {start}; there are points 0 to {len(points) - 1}")
    x, u = torch.as_tensor(points.states[first]), torch.as_tensor(points.inputs[first])
    held = Held(system, u[None])
    constraint, told = _constraint(system, along, points, first)
    low, high = span if span is not None else _span(points, system, constraint)
    if not low < high:
        raise ValueError(f"the span is {low:g} to {high:g}; give two different values, the lower one first")
    at = float(np.clip(float(constraint(x)[0]), low, high))
    search = _Search(held, constraint)
    begun = search.minimum(x, at)
    if begun is None:
        raise ValueError(f"q has no minimum at {told} = {at:g} that can be reached from point {first}")
    step = (high - low) / (steps - 1)
    down, end_low = search.walk(begun, at, low, -step)
    up, end_high = search.walk(begun, at, high, step)
    found = [*reversed(down), (at, begun), *up]
    if len(found) < 2:
        raise ValueError(f"the curve along {told} ends at once, on both sides: {end_low}")
    return _described(held, found, told, [end_low, end_high], limit)


class _Search:
    """Minima of q under the constraint, at one held input."""

    def __init__(self, held: Held, constraint: Constraint) -> None:
        self.held, self.constraint = held, constraint

    def minimum(self, x: Tensor, s: float) -> Tensor | None:
        """By Gauss-Newton steps with the constraint linearised, damped where they do not lower q; None: not reached."""
        n, damping, q = len(x), 0.0, np.inf
        for _ in range(MOST):
            F, J = self.held.velocity(x[None])[0], self.held.jacobian(x[None])[0]
            c, g = self.constraint(x)
            size = g.norm()
            H = torch.zeros(n + 1, n + 1, dtype=x.dtype)
            H[:n, :n] = J.mT @ J
            scale = float(H.diagonal()[:n].mean())
            H.diagonal()[:n] += damping * scale
            H[:n, n] = H[n, :n] = g / size * scale
            wanted = torch.cat([-(J.mT @ F), (scale * (s - c) / size)[None]])
            step = torch.linalg.solve_ex(H, wanted).result[:n]
            q = float(q_of(F)) if abs(float(s - c)) <= CLOSE * (1 + abs(s)) else np.inf
            there = float(q_of(self.held.velocity((x + step)[None]))[0])
            at_rest = float(step.norm()) <= CLOSE * (1 + float(x.norm()))
            if there <= q * (1 + 1e-9):  # which no comparison with NaN is
                x, damping = x + step, damping / 10 if damping > LEAST_DAMPING else 0.0
            else:
                damping = max(10 * damping, LEAST_DAMPING)
            if at_rest and np.isfinite(q):
                return x
        return None

    def walk(self, x: Tensor, s: float, end: float, step: float) -> tuple[list[tuple[float, Tensor]], str]:
        """The minima from s on to the end, and why there are no more."""
        found: list[tuple[float, Tensor]] = []
        before: tuple[float, Tensor] | None = None
        stride = step
        while (end - s) / step > 1e-9:
            target = end if abs(end - s) <= 1.5 * abs(stride) else s + stride
            guess = x if before is None else x + (x - before[1]) * ((target - s) / (s - before[0]))
            if before is None:
                _, g = self.constraint(x)
                guess = x + g * (target - s) / (g @ g)
            there = self.minimum(guess, target)
            moved = float((there - x).norm()) if there is not None else np.inf
            usual = float((guess - x).norm())
            if there is None or (before is not None and moved > LEAP * usual):
                stride /= 2
                if abs(stride) < abs(step) / 2**HALVINGS:
                    return found, "a state beyond which no minimum of q was found"
                continue
            if not bool(self.held.is_inside(there[None], share=1e-6)):
                return found, "the edge of the states that can be reached"
            before, x, s, stride = (s, x), there, target, step
            found.append((s, x))
        return found, "the end of the span"


def _constraint(system: System, along: Any, points: FixedPoints, first: int) -> tuple[Constraint, str]:
    """The value and gradient of what is held, and what it is called."""
    n = system.n_state
    if isinstance(along, int | np.integer) and not isinstance(along, bool):
        number = int(along)
        if not 0 <= number < system.n_output:
            readouts = (
                f"readouts 0 to {system.n_output - 1}" if system.n_output else "no readout: give a direction (n,)"
            )
            raise ValueError(f"there is no readout {number}; this network has {readouts}")

        def of_readout(x: Tensor) -> tuple[Tensor, Tensor]:
            rows = x.expand(n, n).contiguous()
            g = system.readout_product(rows, torch.eye(n, dtype=x.dtype))[:, number]
            return system.readout(x[None])[0, number].detach(), g

        return of_readout, f"readout {number}"
    if isinstance(along, str):
        if along != "mode":
            raise ValueError(f"along is {along!r}; it is the number of a readout, 'mode', or a direction ({n},)")
        mode = np.real(points.modes[first, 0])
        if not np.isfinite(mode).all():
            raise ValueError(f"the leading mode of point {first} is not known; search with full_spectrum=True")
        w, origin = torch.as_tensor(mode / np.linalg.norm(mode)), torch.as_tensor(points.states[first])
        return (lambda x: (w @ (x - origin), w)), f"the leading mode of point {first}"
    w = torch.as_tensor(np.asarray(along, dtype=np.float64))
    if w.shape != (n,) or not bool(torch.isfinite(w).all()) or not bool(w.any()):
        raise ValueError(f"along has shape {tuple(w.shape)}; a direction is ({n},), finite and not zero")
    return (lambda x: (w @ x, w)), "the direction given"


def _first(points: FixedPoints, along: Any) -> int:
    """The slowest of the points, of several at rest the one in the middle of what they say."""
    resting = np.flatnonzero(points.q <= max(float(points.q.min()), 1e-20))
    if isinstance(along, int | np.integer) and points.readouts.shape[1] > int(along) >= 0:
        said = points.readouts[resting, int(along)]
        return int(resting[np.argsort(said, kind="stable")[(len(said) - 1) // 2]])
    return int(resting[0])


def _span(points: FixedPoints, system: System, constraint: Constraint) -> tuple[float, float]:
    """What the points say, and what the task's trajectories do, with some room on both sides."""
    said = [float(constraint(torch.as_tensor(state))[0]) for state in points.states]
    visited = system.states_visited(TASK_STEPS, TASK_RUNS, 0)
    if visited is not None:
        states = visited[:: max(1, len(visited) // 200)]
        said += np.quantile([float(constraint(state)[0]) for state in states], [0.02, 0.98]).tolist()
    low, high = min(said), max(said)
    if not low < high:
        raise ValueError("one point and no task do not tell over which values the curve goes; give span=(low, high)")
    return low - WIDER * (high - low), high + WIDER * (high - low)


def _described(
    held: Held, found: Sequence[tuple[float, Tensor]], told: str, ends: list[str], limit: float | None
) -> SlowCurve:
    x = torch.stack([state for _, state in found])
    values = np.array([value for value, _ in found])
    system, F = held.system, held.expand(len(x)).velocity(x)
    tau = system.time_constant if system.kind == Kind.FLOW else 1.0
    tangents = np.gradient(np.asarray(x), values, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    nodes = np.unique(np.linspace(0, len(x) - 1, min(len(x), NODES)).round().astype(np.int64))
    J = held.expand(len(nodes)).jacobian(x[nodes])
    of = eigvals(J + torch.eye(system.n_state, dtype=x.dtype) if system.kind == Kind.MAP else J / tau)
    rows = [row[leading_first(row, system.kind)][:KEPT] for row in of]
    curve = SlowCurve(
        states=np.asarray(x),
        values=values,
        q=np.asarray(q_of(F)),
        speed=np.asarray(F.norm(dim=1)) / tau,
        drift=(np.asarray(F) * tangents).sum(axis=1) / tau,
        nodes=nodes,
        eigenvalues=np.asarray(torch.stack(rows)),
        input=np.asarray(held.u[0]),
        along=told,
        ends=ends,
        kind="map" if system.kind == Kind.MAP else "flow",
        limit=np.inf if limit is None else float(limit),
    )
    if limit is not None:
        return curve
    decay = -curve.growth_across
    slowest = float(decay[decay > 0].min()) if (decay > 0).any() else 1 / tau
    return dataclasses.replace(curve, limit=SHARE * curve.length * slowest)
