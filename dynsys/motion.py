"""Trajectories followed from one look to the next: the steps of a map, or a flow with checked steps."""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dynsys.returns import Returns
from dynsys.runge_kutta import SHORTEST, Course, advance
from dynsys.system import Kind, System

FIRST = {Kind.MAP: 16, Kind.FLOW: 4}  # steps, or time constants, up to the first look; then twice as many at each
LONGEST = {Kind.MAP: 512, Kind.FLOW: 128}
HELD = 2**22  # numbers in the states of one look
STEPS_PER_TIME = 50  # of a flow, on average: a stiffer one is not followed to its end


@dataclass(frozen=True)
class Followed:
    """What happened to the trajectories ``rows`` (B,) since the look before: ``history`` (T + 1, B, n) at equal times
    within ``duration``, whether each has ``escaped``, and of a flow's returns the ``period`` (B,) and ``span`` (B, 2,
    n) where they tell one.
    """

    rows: Tensor
    history: Tensor
    escaped: Tensor
    period: Tensor
    span: Tensor
    duration: float

    def __getitem__(self, some: Tensor) -> Followed:
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Followed(
            **{k: v if k == "duration" else v[:, some] if k == "history" else v[some] for k, v in parts.items()}
        )


class Motion(abc.ABC):
    """The trajectories that are still followed; ``time`` is how far they have come."""

    @staticmethod
    def of(system: System, x: Tensor, u: Tensor, unit: float, max_steps: int) -> Motion:
        return (MapMotion if system.kind is Kind.MAP else FlowMotion)(system, x, u, unit, max_steps)

    def __init__(self, system: System, x: Tensor, u: Tensor, unit: float, max_steps: int) -> None:
        self.system, self.u, self.unit, self.max_steps = system, u, unit, max_steps
        self.rows, self.time, self.span = torch.arange(len(x), device=x.device), 0, FIRST[system.kind]
        self.spent = False  # on steps that were shorter than expected

    @property
    def is_over(self) -> bool:
        """Whether all have been dropped, or the time is up."""
        return len(self.rows) == 0 or self.spent or self.time >= self.max_steps

    @abc.abstractmethod
    def follow(self) -> Followed:
        """On to the next look."""

    @abc.abstractmethod
    def drop(self, gone: Tensor) -> None:
        """Follow the trajectories ``gone`` (B,) no further."""

    def _next(self) -> int:
        """The time up to the next look."""
        now = min(self.span, self.max_steps - self.time)
        self.span = min(2 * self.span, LONGEST[self.system.kind])
        self.time += now
        return now


class MapMotion(Motion):
    """A map iterated, every state kept up to the next look."""

    def __init__(self, system: System, x: Tensor, u: Tensor, unit: float, max_steps: int) -> None:
        super().__init__(system, x, u, unit, max_steps)
        self.x = x

    def follow(self) -> Followed:
        fits = max(FIRST[Kind.MAP], HELD // max(1, self.x.numel()))
        self.span = min(self.span, fits)
        T, x, u = self._next(), self.x, self.u
        history = x.new_empty(T + 1, *x.shape)
        history[0] = x
        for t in range(T):
            x = torch.add(x, self.system.velocity(x, u), out=history[t + 1])
        self.x = x
        never = torch.full_like(x[:, 0], torch.nan)
        return Followed(self.rows, history, never > 0, never, x.new_zeros(len(x), 2, 0), T)

    def drop(self, gone: Tensor) -> None:
        self.rows, self.x, self.u = self.rows[~gone], self.x[~gone], self.u[~gone]


class FlowMotion(Motion):
    """A flow by Runge-Kutta steps, and its returns since the look before."""

    def __init__(self, system: System, x: Tensor, u: Tensor, unit: float, max_steps: int) -> None:
        super().__init__(system, x, u, unit, max_steps)
        self.now = Course.starting(system, x, u, unit)
        self.steps_left = STEPS_PER_TIME * max_steps

    def follow(self) -> Followed:
        T, states = self._next(), [self.now.x.clone()]
        returns = Returns.starting(self.now)
        start = self.time - T
        for until in (start + T / 2, float(self.time)):
            left = self.steps_left
            made = advance(self.system, self.now, self.u, self.unit, until, most_steps=left, watch=returns.watch)
            self.steps_left, self.spent = left - made, made == left
            states.append(self.now.x.clone())
        escaped = ~torch.isfinite(self.now.x).all(dim=1) | (self.now.h < SHORTEST)
        return Followed(self.rows, torch.stack(states), escaped, returns.period, returns.span, T)

    def drop(self, gone: Tensor) -> None:
        self.rows, self.u, self.now = self.rows[~gone], self.u[~gone], self.now[~gone]
