"""Trajectories followed from one look to the next: the steps of a map, or a flow with checked steps."""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.rounding import rate
from dynsys.numerics.runge_kutta import LEAST, Course, advance
from dynsys.numerics.threads import in_order
from dynsys.systems.angles import wrapped
from dynsys.systems.held import Held
from dynsys.systems.system import Kind
from dynsys.trajectories.sections import Returns

FIRST = {Kind.MAP: 16, Kind.FLOW: 4}  # steps, or time constants, up to the first look; then twice as many at each
LONGEST = {Kind.MAP: 512, Kind.FLOW: 512}  # an oscillation has to come back several times between two looks
FIRST_RATES = 40.0  # of a flow faster than its time constant: the first look is after this many times 1 / |dF/dx|
HELD = 2**22  # numbers in the states of one look
SIDE, ALONE_UP_TO = 32, 256  # trajectories of a flow that one thread follows, of networks with more units than that
DIVERGES = 1e-3, 10.0  # of its size, that a diverging state moves in its last step; usual sizes beyond which it is one
MOST_STEPS, STEPS_PER_TIME = 5_000, 5  # of a flow's trajectory in all, whichever are more: a stiffer one is given up


@dataclass(frozen=True)
class Followed:
    """What happened to the trajectories ``rows`` (B,) since the look before: ``history`` (T + 1, B, n) at equal times
    within ``duration``, whether each has ``escaped``, is ``stuck`` as its steps have become too short, or ``given_up``
    for as many as it needs, and of a flow's returns the ``period`` (B,) and ``span`` (B, 2, n) where they tell one.
    """

    rows: Tensor
    history: Tensor
    escaped: Tensor
    stuck: Tensor
    given_up: Tensor
    period: Tensor
    span: Tensor
    duration: float

    def __getitem__(self, some: Tensor) -> Followed:
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Followed(
            **{k: v if k == "duration" else v[:, some] if k == "history" else v[some] for k, v in parts.items()}
        )


def steps_given(max_steps: int) -> int:
    """Runge-Kutta steps that each trajectory of a flow is given for ``max_steps`` time constants."""
    return max(MOST_STEPS, STEPS_PER_TIME * max_steps)


class Motion(abc.ABC):
    """The trajectories that are still followed; ``time`` is how far they have come."""

    @staticmethod
    def of(held: Held, x: Tensor, max_steps: int, workers: int = 1) -> Motion:
        if held.system.kind is Kind.MAP:
            return MapMotion(held, x, max_steps)
        return FlowMotion(held, x, max_steps, workers)

    def __init__(self, held: Held, x: Tensor, max_steps: int) -> None:
        self.held, self.system, self.max_steps = held, held.system, max_steps
        self.rows, self.time = torch.arange(len(x), device=x.device), 0.0
        self.span: float = FIRST[held.system.kind]

    @property
    def is_over(self) -> bool:
        """Whether all have been dropped, or the time is up."""
        return len(self.rows) == 0 or self.time >= self.max_steps

    @abc.abstractmethod
    def follow(self) -> Followed:
        """On to the next look."""

    @abc.abstractmethod
    def drop(self, gone: Tensor) -> None:
        """Follow the trajectories ``gone`` (B,) no further."""

    def _next(self) -> float:
        """The time up to the next look."""
        now = min(self.span, self.max_steps - self.time)
        self.span = min(2 * self.span, LONGEST[self.system.kind])
        self.time += now
        return now


class MapMotion(Motion):
    """A map iterated, every state kept up to the next look."""

    def __init__(self, held: Held, x: Tensor, max_steps: int) -> None:
        super().__init__(held, x, max_steps)
        self.x = x

    def follow(self) -> Followed:
        fits = max(FIRST[Kind.MAP], HELD // max(1, self.x.numel()))
        self.span = min(self.span, fits)
        T, x = int(self._next()), self.x
        history = x.new_empty(T + 1, *x.shape)
        history[0] = x
        for t in range(T):
            x = torch.add(x, self.held.velocity(x), out=history[t + 1])
            if self.system.periods is not None:
                x = history[t + 1] = wrapped(x, self.system.periods)
        self.x = x
        never = torch.full_like(x[:, 0], torch.nan)
        no = never > 0
        return Followed(self.rows, history, no, no, no, never, x.new_zeros(len(x), 2, 0), T)

    def drop(self, gone: Tensor) -> None:
        self.rows, self.x, self.held = self.rows[~gone], self.x[~gone], self.held[~gone]


class FlowMotion(Motion):
    """A flow by Runge-Kutta steps, and its returns since the look before."""

    def __init__(self, held: Held, x: Tensor, max_steps: int, workers: int = 1) -> None:
        super().__init__(held, x, max_steps)
        self.workers = workers
        self.now = Course.starting(held, x)
        self.steps_left = torch.full_like(self.rows, steps_given(max_steps))
        self.span = min(self.span, FIRST_RATES / _usual_rate(held, x))

    def follow(self) -> Followed:
        periods = self.system.periods
        self.now.x = wrapped(self.now.x, periods)
        T, x = self._next(), self.now.x.clone()
        size = SIDE if self.system.n_state > ALONE_UP_TO else max(len(x), 1)
        sides = torch.split(torch.arange(len(x), device=x.device), size)
        found = list(in_order(lambda some: self._onward(some, T), sides, self.workers))
        halfway, period, span = (torch.cat(parts) for parts in zip(*found, strict=True))
        stuck = self.now.is_stuck
        escaped = stuck & self._diverges(stuck)
        given_up = (self.steps_left <= 0) & (self.now.t < self.time)
        return Followed(self.rows, torch.stack([x, halfway, self.now.x]), escaped, stuck, given_up, period, span, T)

    def _diverges(self, some: Tensor) -> Tensor:
        """Whether the states ``some`` (B,) run off, far out and ever faster, or have no velocity ahead; others that are
        stuck are too stiff, or jump.
        """
        far = torch.zeros_like(some)
        if not bool(some.any()):
            return far
        x, F, h = self.now.x[some], self.now.F[some], self.now.h[some].unsqueeze(1)
        ahead = [self.held[some].velocity(x + part * h * F) for part in (1.0, 1 / LEAST)]
        number = torch.isfinite(torch.cat([x, F, *ahead], dim=1)).all(dim=1)
        size, moved = vector_norm(x, dim=1), (h * (x * F).sum(dim=1, keepdim=True)).squeeze(1)
        fastest, usual_sizes = DIVERGES
        far[some] = ~number | ((moved > fastest * size**2) & (size > usual_sizes * self.held.unit))
        return far

    def _onward(self, some: Tensor, T: float) -> tuple[Tensor, Tensor, Tensor]:
        """Take some of the trajectories to the next look: their states halfway, and what their returns tell."""
        now, left = self.now[some], self.steps_left[some]
        returns, halfway = Returns.starting(now, self.held.unit, self.system.periods), now.x
        for until in (self.time - T / 2, self.time):
            halfway = now.x.clone()
            left -= advance(self.held[some], now, until, most_steps=left, watch=returns.watch)
        self.now.put(some, now)
        self.steps_left[some] = left
        return halfway, returns.period, returns.span

    def drop(self, gone: Tensor) -> None:
        self.rows, self.held, self.now = self.rows[~gone], self.held[~gone], self.now[~gone]
        self.steps_left = self.steps_left[~gone]


def _usual_rate(held: Held, x: Tensor) -> float:
    """The median over the states x (B, n) of how much F changes per distance; tiny where none is known."""
    rates = rate(held, x, held.velocity(x))
    return max(float(rates.median()), 1e-300) if len(rates) else 1e-300
