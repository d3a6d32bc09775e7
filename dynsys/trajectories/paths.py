"""Many trajectories followed side by side, each at its own pace, with every state on the way kept for drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.numerics.runge_kutta import Course, step
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

STRIDE = 0.05  # of the scale: the farthest that one step of a flow goes, so that the path can be drawn

Stop = Callable[[Tensor, Tensor], Tensor]  # (rows, x of these rows) -> (len(rows),) bool


class Walk:
    """b trajectories from x (b, n).

    ``x`` and ``time`` (b,) are where each is now, in steps of a map or in time constants of a flow. ``scale`` (b,) is
    the length in which a flow's strides are measured, or the distance from the start where that is longer.
    """

    def __init__(self, held: Held, x: Tensor, scale: Tensor) -> None:
        self.held = replace(held, unit=float(scale.median()) if len(x) else 1.0)
        self._start, self._scale = x, scale
        self._now = Course.starting(self.held, x.clone())
        self._kept = [(torch.arange(len(x)), self._now.t.clone(), x.to(torch.float32))]

    @property
    def x(self) -> Tensor:
        return self._now.x

    @property
    def time(self) -> Tensor:
        return self._now.t

    def advance(self, rows: Tensor, steps: int, stop: Stop) -> Tensor:
        """Let ``rows`` go on until ``stop`` says so, for at most ``steps`` steps; returns those that it stopped."""
        stopped = []
        for _ in range(steps):
            if not len(rows):
                break
            if self.held.system.kind is Kind.MAP:
                self._iterate(rows)
            else:
                self._integrate(rows)
            self._kept.append((rows, self.time[rows], self.x[rows].to(torch.float32)))
            done = stop(rows, self.x[rows])
            stopped.append(rows[done])
            rows = rows[~done]
        return torch.cat(stopped) if stopped else rows[:0]

    def paths(self) -> list[tuple[Tensor, Tensor]]:
        """The times (t,) and states (t, n), in single precision, of each trajectory so far."""
        rows, times, states = (torch.cat([part[i] for part in self._kept]) for i in range(3))
        order = torch.argsort(rows, stable=True)
        counts = torch.bincount(rows, minlength=len(self.x)).tolist()
        parts = torch.split(times[order], counts), torch.split(states[order], counts)
        return list(zip(*parts, strict=True))

    def _iterate(self, rows: Tensor) -> None:
        x = self.x[rows]
        self.x[rows] = x + self.held[rows].velocity(x)
        self.time[rows] += 1

    def _integrate(self, rows: Tensor) -> None:
        """One try of a step of at most a stride."""
        now = self._now[rows]
        scale = torch.maximum(self._scale[rows], vector_norm(now.x - self._start[rows], dim=1))
        farthest = STRIDE * scale / vector_norm(now.F, dim=1).clamp_min(1e-300)
        self._now.put(rows, step(self.held[rows], now, now.t + farthest))
