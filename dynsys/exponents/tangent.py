"""States moved together with a frame of directions: x -> G(x), V -> DG(x) V, for maps and flows.

A flow and its variational equation, tau dV/dt = J(x) V, go by the method of order 8 of Dormand and Prince (Hairer,
Norsett & Wanner 1993, II.5), so that the derivative of a step is that of the flow to far more digits than any mean has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

from dynsys.systems.system import FORMED, Kind, System

Applied = Callable[[Tensor], Tensor]

WIDE = 200  # variables, from which a Jacobian no longer stays in the nearest cache


class Moved(NamedTuple):
    """States (B, n), frames (B, n, k), and log |det| of the derivative of the step (B,), 0 unless it is asked for."""

    x: Tensor
    V: Tensor | None
    log_volume: Tensor


@dataclass(frozen=True)
class Stepper:
    """Takes steps of a system: of 1 for a map, of ``length`` in a flow's own unit of time."""

    system: System
    length: float = 1.0

    def step(self, x: Tensor, V: Tensor | None, u: Tensor, volume: bool = False) -> Moved:
        """States x (B, n), frames V (B, n, k) or None, inputs u (B, m), one step on.

        With ``volume`` the logarithm of |det| of the step's derivative is told: of a map by the LU factors of DG, of a
        flow by the integral of the divergence.
        """
        if self.system.kind is Kind.MAP:
            return _mapped(self.system, x, V, u, volume)
        return _flowed(self.system, x, V, u, self.length, volume)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """The derivative of the step from x (B, n) under u (B, m), a matrix (B, n, n)."""
        one = torch.eye(self.system.n_state, dtype=x.dtype, device=x.device)
        if self.system.kind is Kind.MAP:
            return self.system.jacobian(x, u) + one
        moved = self.step(x, one.expand(len(x), -1, -1), u)
        assert moved.V is not None
        return moved.V

    @property
    def time(self) -> float:
        """How long a step is in the user's time."""
        return self.length * self.system.time_constant


def _mapped(system: System, x: Tensor, V: Tensor | None, u: Tensor, volume: bool) -> Moved:
    F = system.velocity(x, u)
    if volume:
        D = system.jacobian(x, u) + torch.eye(system.n_state, dtype=x.dtype, device=x.device)
        return Moved(x + F, None if V is None else D @ V, torch.linalg.slogdet(D)[1])
    if V is not None:
        V = V + derivative(system, x, u, V.shape[2])(V)
    return Moved(x + F, V, x.new_zeros(len(x)))


def derivative(system: System, x: Tensor, u: Tensor, k: int) -> Applied:
    """V -> J(x) V for frames V (B, n, k), by J itself where it has a closed form or is small.

    A large J is not formed where the weights can act on all directions of a state at once: writing it down costs as
    much as a third of the product.
    """
    if system.many_directions and system.n_state >= WIDE:
        each = [system.linearised(*one) for one in zip(torch.split(x, 1), torch.split(u, 1), strict=True)]
        if len(each) == 1:
            return lambda V: each[0](V[0].mT).mT[None]
        return lambda V: torch.stack([at(v.mT) for at, v in zip(each, V, strict=True)]).mT
    if has_closed_form(system) or system.n_state <= FORMED:
        return system.jacobian(x, u).__matmul__

    def products(V: Tensor) -> Tensor:
        B, n, _ = V.shape
        rows = V.transpose(1, 2).reshape(B * k, n)
        ends = system.jacobian_product(x.repeat_interleave(k, 0), u.repeat_interleave(k, 0), rows)
        return ends.view(B, k, n).transpose(1, 2)

    return products


def has_closed_form(system: System) -> bool:
    """Whether the system gives its Jacobian by a formula of its own, and not by differentiating a function."""
    return not system.jacobian.__func__.__module__.endswith("systems.system")  # type: ignore[attr-defined]


@cache
def _tableau() -> tuple[np.ndarray, np.ndarray]:
    method = scipy.integrate.DOP853
    return np.asarray(method.A), np.asarray(method.B)


def _flowed(system: System, x: Tensor, V: Tensor | None, u: Tensor, h: float, volume: bool) -> Moved:
    A, weights = _tableau()
    slopes: list[Tensor] = []
    turns: list[Tensor] = []
    grown = x.new_zeros(len(x))
    for stage, weight in enumerate(weights):
        here = _ahead(x, slopes, A[stage], h)
        slopes.append(system.velocity(here, u))
        if volume:
            J = system.jacobian(here, u)
            grown = grown + h * float(weight) * torch.diagonal(J, dim1=1, dim2=2).sum(dim=1)
        if V is not None:
            applied = J.__matmul__ if volume else derivative(system, here, u, V.shape[2])
            turns.append(applied(_ahead(V, turns, A[stage], h)))
    return Moved(_ahead(x, slopes, weights, h), None if V is None else _ahead(V, turns, weights, h), grown)


def _ahead(begin: Tensor, slopes: list[Tensor], weights: np.ndarray, h: float) -> Tensor:
    """begin + h sum of weights times slopes."""
    end = begin
    for slope, weight in zip(slopes, weights, strict=False):
        if weight:
            end = torch.add(end, slope, alpha=h * float(weight))
    return end
