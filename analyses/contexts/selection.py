"""Lines of slow points under each context, and which input moves the state along them (Mante et al. 2013).

Near a slow point the state deviates by a sum of modes. The slowest of them, r, is the direction in which nothing pulls
it back, and its left partner l (l . r = 1) says how far any push moves it there. A network that integrates has a line
of such points with r along it; l is its selection vector, and what an input b = dF/du adds is l . b. An input is
ignored where its b is orthogonal to l.

The line is where F is along r: F - (l . F) r = 0, which Newton's method brings each state to, from where trajectories
are while the input is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.models.driven.of_task import held_inputs
from dynsys.numerics.threads import alone
from dynsys.search.find import checked_input
from dynsys.search.starts import first_starts
from dynsys.stability.classification import time_constants
from dynsys.stability.modes import plain
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]

SCHEMA = "dynsys.selection/1"
STATES, SPREAD = 200, 50  # let go under each input, and of where they come to those that are farthest apart
RELAXED = {Kind.MAP: 30, Kind.FLOW: 100}  # steps, of a tenth of a time constant: what is fast has gone by then
NEWTON, ON_LINE = 30, 1e-9  # steps, and |F - (l . F) r| over the size of a state, at which it is on the line
GAP = 3.0  # times as slow as the next mode, from which on a mode has a line of its own
SHOWN = 25  # points of a line that are kept, evenly along it
APART = 1e-6  # of the size of a state, below which two are one point


@dataclass(frozen=True, eq=False)
class Line:
    """k points along the line of slow points under one ``input`` (m,), from its end of least readout.

    ``states`` (k, n), ``speed`` (k,) = |F|, ``readouts`` (k, o); ``time_constant`` (k,) of the slowest mode, ``next``
    (k,) of the one after it. Unit vectors: ``direction`` (k, n) of that mode, ``tangent`` (k, n) of the line,
    ``selection`` (k, n), its left partner. ``push`` (k, m) is l . dF/du, with l . r = 1: how far along the line each
    input moves the state in a unit of time; ``overlap`` (k, m) is the cosine of the angle between l and dF/du, NaN
    where dF/du is 0.
    """

    input: Array
    states: Array
    speed: Array
    readouts: Array
    time_constant: Array
    next: Array
    direction: Array
    tangent: Array
    selection: Array
    push: Array
    overlap: Array

    def __len__(self) -> int:
        return len(self.states)

    @property
    def length(self) -> float:
        return float(np.linalg.norm(np.diff(self.states, axis=0), axis=1).sum())

    def to_json(self) -> dict[str, Any]:
        """Without the states and vectors; ``mode_along_line`` is the cosine of direction and tangent."""
        named = ("input", "speed", "readouts", "time_constant", "next", "push", "overlap")
        arrays = {name: plain(getattr(self, name)) for name in named}
        along = np.sum(self.direction * self.tangent, axis=1)
        return {**arrays, "points": len(self), "length": self.length, "mode_along_line": plain(along)}

    def row(self) -> dict[str, Any]:
        """Medians along the line, for a table."""
        told = {"held input": ", ".join(f"{value:g}" for value in self.input), "points": len(self)}
        if not len(self):
            return told
        told |= {"length": self.length, "readout from": float(self.readouts[0, 0]) if self.readouts.size else None}
        told |= {"to": float(self.readouts[-1, 0]) if self.readouts.size else None}
        told |= {"|time constant|": float(np.median(np.abs(self.time_constant)))}
        told |= {"of the next mode": float(np.median(self.next))}
        overlaps = np.median(self.overlap, axis=0)
        return told | {f"overlap, input {j + 1}": float(value) for j, value in enumerate(overlaps)}


@dataclass(frozen=True)
class Selections:
    """One line for each input held."""

    name: str  # of the kind of network
    lines: list[Line]

    def rows(self) -> list[dict[str, Any]]:
        return [line.row() for line in self.lines]

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "network": self.name, "lines": [line.to_json() for line in self.lines]}


def selections(system: System, inputs: Any = None, *, seed: int = 0) -> Selections:
    """The line of slow points under each of the ``inputs`` (G, n_input), empty where there is none.

    Without ``inputs`` those at which the task of the network holds it, or zero.
    """
    held = checked_input(system, held_inputs(system) if inputs is None else inputs)
    with alone():
        return Selections(system.name, [_line(system, u, seed) for u in torch.split(held, 1)])


def drawn(system: System, found: Selections) -> Any:
    """The lines with their selection vectors, beside the inputs that no context holds: those bring the evidence."""
    from dynsys.analyses.portrait import title_of
    from dynsys.plots import selection_vectors

    held = np.array([line.input for line in found.lines])
    free = np.flatnonzero(~held.any(axis=0)).tolist() or list(range(system.n_input))
    longest = max(found.lines, key=len)
    if not len(longest):
        raise ValueError("under none of these inputs is there a line of slow points; there is nothing to draw")
    x, u = torch.as_tensor(longest.states), torch.as_tensor(longest.input)
    b = system.input_jacobian(x, u.expand(len(x), -1)).mean(dim=0)[:, free]
    names = [f"under {', '.join(f'{value:g}' for value in line.input)}" for line in found.lines]
    return selection_vectors(found.lines, names, free, np.asarray(b.T), title=title_of(system))


def _line(system: System, u: Tensor, seed: int) -> Line:
    x = first_starts(system, u, STATES, seed)
    held = Held(system, u)
    x = relax(held, x, RELAXED[system.kind])[-1]
    x = x[torch.isfinite(x).all(dim=1)]
    x = _onto_line(held, _spread(x, SPREAD)) if len(x) else x
    x = _in_order(system, x)
    slow = _Slow.at(held, x)
    return _described(system, slow[_is_slow(slow)], u)


@dataclass(frozen=True)
class _Slow:
    """States x (B, n) with F, J = dF/dx, the rates (B, 2) of the slowest two modes and, of the slowest, l and r; both
    NaN where its rate is not real."""

    x: Tensor
    F: Tensor
    J: Tensor
    rates: Tensor
    left: Tensor
    right: Tensor

    @staticmethod
    def at(held: Held, x: Tensor) -> _Slow:
        held = held.expand(len(x))
        J = held.jacobian(x)
        values, R = torch.linalg.eig(J)
        first, second = values.abs().argsort(dim=1)[:, :2].unbind(1)
        rows = torch.arange(len(x))
        L = torch.linalg.inv(R)[rows, first]  # a row of R^-1 is l^T, with l . r = 1
        real = (values[rows, first].imag == 0).unsqueeze(1)
        r = torch.where(real, R[rows, :, first].real, torch.nan)
        size = vector_norm(r, dim=1, keepdim=True)
        rates = torch.stack([values[rows, first], values[rows, second]], dim=1)
        return _Slow(x, held.velocity(x), J, rates, torch.where(real, L.real, torch.nan) * size, r / size)

    def __getitem__(self, rows: Tensor) -> _Slow:
        return _Slow(*(value[rows] for value in vars(self).values()))

    @property
    def across(self) -> Tensor:
        """F without its part along the slowest mode, (B, n)."""
        return self.F - (self.left * self.F).sum(dim=1, keepdim=True) * self.right


def _onto_line(held: Held, x: Tensor) -> Tensor:
    """The states at which Newton's method ends: it solves for the part of F that is across the slowest mode."""
    done = [x[:0]]
    for _ in range(NEWTON):
        slow = _Slow.at(held, x)
        there = vector_norm(slow.across, dim=1) <= ON_LINE * vector_norm(x, dim=1).clamp_min(1.0)
        done.append(x[there])
        x, slow = x[~there], slow[~there]
        # A singular J would do no harm, as what is along r is taken out: a multiple of r l^T fills the gap.
        filled = slow.J - slow.J.abs().amax(dim=(1, 2), keepdim=True) * slow.right.unsqueeze(2) * slow.left.unsqueeze(1)
        step, failed = torch.linalg.solve_ex(filled, slow.across)
        x = (x - step)[(failed == 0) & torch.isfinite(step).all(dim=1)]
        if len(x) == 0:
            break
    x = torch.cat(done)
    return x[held.is_inside(x, share=0.0)]


def _spread(x: Tensor, n: int) -> Tensor:
    """n of the states (B, n), each as far from those before it as can be."""
    chosen, distance = [0], vector_norm(x - x[0], dim=1)
    while len(chosen) < min(n, len(x)):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, vector_norm(x - x[chosen[-1]], dim=1))
    return x[chosen]


def _is_slow(slow: _Slow) -> Tensor:
    """Where the slowest mode is real, and slower than the next by as much as makes it a line's."""
    first, second = slow.rates.abs().unbind(1)
    return torch.isfinite(slow.right).all(dim=1) & (second >= GAP * first)


def _in_order(system: System, x: Tensor) -> Tensor:
    """The states along their largest extent, from the end of least readout, evenly thinned."""
    if len(x) < 2:
        return x
    middle = x - x.mean(dim=0)
    along = middle @ torch.linalg.svd(middle, full_matrices=False).Vh[0]
    x = x[along.argsort()]
    step = vector_norm(x.diff(dim=0), dim=1)
    x = torch.cat([x[:1], x[1:][step > APART * vector_norm(x, dim=1).max()]])
    if system.n_output and float(system.readout(x[:1])[0, 0]) > float(system.readout(x[-1:])[0, 0]):
        x = x.flip(0)
    passed = torch.cat([x.new_zeros(1), vector_norm(x.diff(dim=0), dim=1).cumsum(0)])
    wanted = torch.linspace(0, float(passed[-1]), min(SHOWN, len(x)), dtype=x.dtype)
    return x[torch.unique((passed - wanted.unsqueeze(1)).abs().argmin(dim=1))]


def _described(system: System, slow: _Slow, u: Tensor) -> Line:
    x, left, right = slow.x, slow.left, slow.right
    tangent = torch.gradient(x, dim=0)[0] if len(x) > 1 else right
    tangent = tangent / vector_norm(tangent, dim=1, keepdim=True)
    sign = torch.sign((right * tangent).sum(dim=1, keepdim=True))
    left, right = left * sign, right * sign
    b = system.input_jacobian(x, u.expand(len(x), -1))
    push = torch.einsum("bi,bij->bj", left, b)
    size = vector_norm(left, dim=1, keepdim=True)
    tau = time_constants(slow.rates + (system.kind is Kind.MAP), system)
    parts = (u[0], x, vector_norm(slow.F, dim=1), system.readout(x), *tau.unbind(1), right, tangent, left / size, push)
    overlap = torch.where(b.abs().amax(dim=1) > 0, push / (size * vector_norm(b, dim=1)), torch.nan)
    return Line(*(np.asarray(value) for value in (*parts, overlap)))
