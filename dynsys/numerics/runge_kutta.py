"""Flows followed by the pair of Dormand and Prince (1980), each state of a batch with a step of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.held import Held
from dynsys.systems.system import System

# The method as data: stage i starts from x + h (A[i] . slopes); the last row is the fifth-order end, which is also the
# first stage of the next step. E is the difference between the fifth-order and the fourth-order end.
A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
TOLERANCE = 1e-6  # error of a step, relative to the size of the state
LARGEST = (
    10.0  # usual sizes of a state, or lengths of the step, up to which that counts: far out states may move little
)
LEAST, MOST, SAFETY = 0.2, 5.0, 0.9  # change of step length from one to the next
FIRST = 0.01  # of a state's size, moved in the first step
PART_OF_TURN = 1 / 8  # that an angle moves by in one step
MOST_STEPS = 10_000
SHORTEST = 1e-30  # time constants: no step is shorter, nor too short to be added to the time that has passed


@dataclass
class Course:
    """States x (B, n) at times t (B,) with their velocities F and the steps h (B,) that they would take next."""

    x: Tensor
    F: Tensor
    h: Tensor
    t: Tensor

    @classmethod
    def starting(cls, held: Held, x: Tensor) -> Course:
        F = held.velocity(x)
        h = FIRST * (vector_norm(x, dim=1) + FIRST * held.unit) / vector_norm(F, dim=1).clamp_min(1e-300)
        return cls(x.clone(), F, h.clamp(1e-6, 1.0), torch.zeros_like(h))

    def __getitem__(self, rows: Tensor) -> Course:
        return Course(self.x[rows], self.F[rows], self.h[rows], self.t[rows])

    @property
    def is_stuck(self) -> Tensor:
        """Whether (B,) the next step is too short to be taken, or no number."""
        return ~(self.h >= (torch.finfo(self.t.dtype).eps * self.t).clamp_min(SHORTEST))

    def put(self, rows: Tensor, new: Course) -> None:
        """Set the states of ``rows``."""
        for name in ("x", "F", "h", "t"):
            getattr(self, name)[rows] = getattr(new, name)


def step(held: Held, now: Course, until: Tensor) -> Course:
    """One step of each state, not beyond the times ``until`` (B,); where the error is too large only h gets shorter."""
    h, unit = torch.minimum(_not_round(held.system, now), until - now.t), held.unit
    slopes, x = [now.F], now.x
    for weights in A:
        x = now.x + h.unsqueeze(1) * _combined(weights, slopes)
        slopes.append(held.velocity(x))
    error = h * vector_norm(_combined(E, slopes), dim=1)
    size = torch.maximum(vector_norm(now.x, dim=1), vector_norm(x, dim=1))
    if unit:
        size = torch.minimum(size, LARGEST * vector_norm(x - now.x, dim=1).clamp_min(unit))
    allowed = TOLERANCE * (size + FIRST * unit)
    ratio = error / allowed
    good = ratio <= 1  # NaN is not
    factor = (SAFETY * ratio.clamp_min(1e-10) ** -0.2).clamp(LEAST, MOST).nan_to_num(LEAST)
    clipped = good & (h < now.h)  # the time ran out, not the accuracy: keep the longer step
    column = good.unsqueeze(1)
    return Course(
        torch.where(column, x, now.x),
        torch.where(column, slopes[-1], now.F),
        torch.where(clipped, torch.maximum(now.h, h * factor), h * factor),
        torch.where(good, torch.where(h == until - now.t, until, now.t + h), now.t),
    )


def _not_round(system: System, now: Course) -> Tensor:
    """The steps (B,) that the states would take, no angle by more than a part of its turn: two of half a turn each look
    like rest.
    """
    if system.periods is None:
        return now.h
    return torch.minimum(now.h, (PART_OF_TURN * system.periods.to(now.x) / now.F.abs().clamp_min(1e-300)).amin(dim=1))


def advance(
    held: Held,
    now: Course,
    until: float | Tensor,
    *,
    most_steps: int | Tensor = MOST_STEPS,
    whole: bool = False,
    watch: Callable[[Tensor, Course, Course], None] | None = None,
) -> Tensor:
    """Take the states to the times ``until``, or as far as ``most_steps`` of each take it; returns the steps made (B,).

    Those that are stuck are left where they are. ``watch(rows, before, after)`` is told of every
    step. ``whole`` says that the system belongs to this batch, and cannot take some of its rows alone.
    """
    until = torch.as_tensor(until, dtype=now.t.dtype, device=now.t.device).expand_as(now.t)
    made = torch.zeros_like(now.t, dtype=torch.long)
    while True:
        going = (now.t < until) & ~now.is_stuck & (made < most_steps)
        rows = going.nonzero().squeeze(1) if not whole else torch.arange(len(going), device=going.device)
        if not bool(going.any()):
            return made
        before = now[rows]
        after = step(held[rows], before, until[rows])
        if watch is not None:
            watch(rows, before, after)
        now.put(rows, after)
        made[rows] += 1


def _combined(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            total = total.add(slope, alpha=weight)
    return total
