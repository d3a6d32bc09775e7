"""The least pulse of the input that flips a memory: one step of a map, or held for a time of a flow.

From above by a pulse that does it. The edge of the other basin is pulled back once more, from the state that a pulse
leads to into the space of pulses, by the transposed derivative with respect to the input. From below by the proved
basin: how far a pulse can move the state is bounded by the network's own formula, with rounding inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.attractors.edge import STEP, Edges
from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.lyapunov.contraction import Form, Frame, improved
from dynsys.lyapunov.ellipsoid import ENOUGH, SWEEPS
from dynsys.proof.exact import length, up
from dynsys.proof.functions.elementary import widened
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.proof.functions.sector import Channels, Sector, padded
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

LENGTHS = 2.0 ** np.arange(-5, 8)  # of the first pulses tried, in units of what moves the state by the way to the other
RANDOM = 24  # directions tried first, besides each input and those that move the state towards the other
AXES = 16  # inputs, up to which each is tried by itself
FINER = 8  # times as many steps, in which a pulse is followed once more
HALVINGS = 14  # of the length of a pulse that is proved to be held
MORE = 3  # steps after which the state is looked for in what is proved
GROWTH, FEW = 1.4, 5  # of such a length, as a whole form proves it, and halvings of its logarithm
LIKE = 1e-6  # relative, to which the bound of a pulse's effect has to have the input's own derivative


@dataclass(frozen=True)
class Pulses(Edges):
    """Pushes are pulses p (B, m): the input is u + p for a step of a map, ``duration`` time constants of a flow."""

    duration: float = 1.0
    finer: int = 1

    @property
    def steps(self) -> int:
        return 1 if self.system.kind is Kind.MAP else max(1, round(self.duration / STEP)) * self.finer

    def reached(self, start: Tensor, push: Tensor) -> Tensor:
        x, u = start, self.u + push
        for _ in range(self.steps):
            x = self.step(x, u, self.duration / self.steps)
        return x

    def finely(self, start: Tensor, push: Tensor) -> Tensor:
        return replace(self, finer=FINER).reached(start, push)

    @property
    def width(self) -> int:
        return self.u.shape[1]

    def pulled(self, start: Tensor, push: Tensor, normal: Tensor) -> Tensor:
        x, u, way = start, self.u + push, [start]
        h = 1.0 if self.system.kind is Kind.MAP else self.duration / self.steps
        for _ in range(self.steps - 1):
            x = self.step(x, u, h)
            way.append(x)
        found, w = torch.zeros_like(push), normal
        for x in reversed(way):
            found = found + h * (self.system.input_jacobian(x, u).mT @ w.unsqueeze(2)).squeeze(2)
            w = w + h * self.system.transposed_product(x, u, w)
        return found

    def first(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        start, m = self.homes[pairs[:, 0]], self.u.shape[1]
        away = self.homes[pairs[:, 1]] - start
        J = self.system.input_jacobian(start, self.u.expand(len(start), -1))
        towards = [(J.mT @ away.unsqueeze(2)).squeeze(2), (torch.linalg.pinv(J) @ away.unsqueeze(2)).squeeze(2)]
        rays = torch.stack(towards, 1)
        fixed = torch.randn(RANDOM, m, generator=torch.Generator().manual_seed(0), dtype=start.dtype)
        fixed = torch.cat([torch.eye(m, dtype=start.dtype), fixed]) if m <= AXES else fixed
        rays = torch.cat([rays, torch.cat([fixed, -fixed]).expand(len(pairs), -1, -1)], 1)
        size = vector_norm(rays, dim=2, keepdim=True)
        rays = rays / torch.where(size > 0, size, 1.0)  # (P, R, m)
        unit = vector_norm(away, dim=1) / torch.linalg.matrix_norm(J, 2).clamp_min(1e-300)
        lengths = unit.unsqueeze(1) * torch.as_tensor(LENGTHS)  # (P, L)
        pushes = rays.unsqueeze(2) * lengths[:, None, :, None]
        there = self._ends(start, pushes.flatten(1, 2)) == pairs[:, 1:]
        reach = torch.where(there.view(pushes.shape[:3]), lengths.unsqueeze(1), torch.inf).flatten(1)
        least, which = reach.min(1)
        return rays[torch.arange(len(rays)), which // len(LENGTHS)], least


def held_pulses(system: System, proved: CertifiedBasins, inputs: Array, duration: float = 1.0) -> Array:
    """(k,) lengths of pulses up to which every one is proved to leave its memory in its basin; 0 where none is.

    ``inputs`` (k, m) are held besides. Of a map any network with a closed form will do; of a flow the input has to be
    added to F, as in rate networks.
    """
    held = [
        _of_map(system, proved, i, inputs[i : i + 1])
        if system.kind is Kind.MAP
        else _of_flow(system, proved, i, duration)
        for i in range(len(proved))
    ]
    return np.array(held, dtype=np.float64)


def _of_flow(system: System, proved: CertifiedBasins, i: int, duration: float) -> float:
    """While p is held |y|' <= -rate |y| + |X^-1 B p|, from y = 0."""
    B = system.input_matrix()
    if B is None or not proved.has_ellipsoid[i]:
        return 0.0
    felt = np.linalg.norm(np.linalg.solve(proved.ellipsoids[i], B.numpy()), 2)
    time = -np.expm1(-proved.rate[i] * duration) / proved.rate[i]
    return float((1 - 1e-9) / (felt * time)) if felt > 0 else float("inf")


def _of_map(system: System, proved: CertifiedBasins, i: int, inputs: Array) -> float:
    """By halving: the step after the pulse must lie in the proved ball, or in the proved ellipsoid."""
    radius = proved.radius[i] - 2 * proved.error_bound[i]
    x, u = torch.as_tensor(proved.states[i]), torch.as_tensor(inputs)
    if not radius > 0 or not _is_seen(system, x, u):
        return 0.0
    low, high = 0.0, 1.0
    while high < 1e9 and _moved(system, x, u, float(proved.error_bound[i]), high) <= radius:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _moved(system, x, u, float(proved.error_bound[i]), middle) <= radius
        low, high = (middle, high) if fits else (low, middle)
    into = [radius * torch.eye(len(x), dtype=x.dtype)]
    if proved.has_ellipsoid[i]:
        into.append(torch.as_tensor(proved.ellipsoids[i]))
    for steps in range(1, MORE + 1):
        for X in into:
            low = _longer(system, x, u, float(proved.error_bound[i]), X, steps, low)
    return low


def _longer(system: System, x: Tensor, u: Tensor, error: float, X: Tensor, steps: int, low: float) -> float:
    """The length up to which pulses lead, in so many steps, into the ellipsoid x* + X y, |y| <= 1; or ``low``.

    All inputs together decide it, as one quadratic form: units that one direction of pulses moves most are not those
    that another does. What the weights forget at once is gone after the second step.
    """
    R = torch.linalg.inv(X)

    def holds(size: float) -> bool:
        moved = _after(system, x, u, error, size, steps)
        if moved is None:
            return False
        p = moved.channels.total
        frame = Frame.of(x, error, size * R, X / size)
        form = Form.seen(Kind.MAP, frame, padded(moved.rows, p), padded(moved.off, p), moved.channels)
        value, t = improved(form, form.balanced(), SWEEPS, ENOUGH)
        return value < ENOUGH and form.weighed(t).proved_below() <= 1

    high = GROWTH * low
    while 0 < high < 1e9 and holds(high):
        low, high = high, GROWTH * high
    for _ in range(FEW):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class _Held(Sector):
    """The state, held still: beside it the input u is no constant but moves by p, |p| at most the channels' radius."""

    u: Tensor | None = None

    def constant(self, value: Tensor, error: Tensor | None = None) -> Sector:  # type: ignore[override]  # no _Held
        if self.u is None or value.shape != self.u.shape or not bool((value == self.u).all()):
            return super().constant(value, error)
        m = value.shape[1]
        one = torch.eye(m, dtype=value.dtype)
        ends = widened(value, torch.full_like(value, self.channels.radius * (1 + 1e-9)))
        return Sector(self.channels, value, torch.zeros_like(value), *ends, one, torch.zeros_like(one))


def _after(system: System, x: Tensor, u: Tensor, error: float, size: float, steps: int) -> Sector | None:
    """The state so many steps after the point, a pulse |p| <= size being added to u in the first of them."""
    y = _held(x, u, error, size)
    state: Sector = y
    for step in range(steps):
        F: Any = system.enclosure(cast(Enclosed, y if step == 0 else state), u)
        if F is None:
            return None
        state = state + F
    return state


def _held(x: Tensor, u: Tensor, error: float, size: float) -> _Held:
    n, m = len(x), u.shape[1]
    off, none = torch.full_like(x, error)[None], x.new_zeros(n, m)
    return _Held(Channels(size, m), x[None], off, *widened(x[None], off), none, none, u)


def _effect(system: System, x: Tensor, u: Tensor, error: float, size: float) -> Sector | None:
    """F(x, u + p) - F(x, u) for |p| <= size, at the true point within ``error`` of x (n,)."""
    F: Any = system.enclosure(cast(Enclosed, _held(x, u, error, size)), u)
    return cast("Sector | None", F)


def _moved(system: System, x: Tensor, u: Tensor, error: float, size: float) -> float:
    """Not below the distance by which such a pulse moves the state in a step."""
    F = _effect(system, x, u, error, size)
    if F is None:
        return float("inf")
    by_rows = F.channels.reach(F.rows, F.off)
    by_range = up(torch.maximum(F.high - F.value, F.value - F.low)[0] + F.error[0])
    return float(length(torch.minimum(by_rows, by_range)))


def _is_seen(system: System, x: Tensor, u: Tensor) -> bool:
    """Whether the formula has u where the network has it: its linear part must be the network's own derivative."""
    F = _effect(system, x, u, 0.0, 1e-12)
    if F is None or not u.shape[1]:
        return False
    J = system.input_jacobian(x[None], u)[0]
    return bool((F.rows[:, : u.shape[1]] - J).abs().max() <= LIKE * (1 + J.abs().max()))
