"""Folds continued in two inputs: the curve in their plane across which two fixed points are born or lost.

A fold is where F(x, u) = 0 and J is singular, which a bordered system tells by one number (Govaerts 2000, section 4.1):

    [J  p] [v]   [0]
    [q' 0] [g] = [1]        g = 0 where J is singular, with dg = -w' dJ v and w the same of the transposed system.

With two inputs free, F = 0 and g = 0 are n + 1 equations for n + 2 unknowns: a curve, smooth at a cusp too, which is
followed by pseudo-arclength. No second derivative is needed: w' dJ v is how w' J changes along v.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.systems.system import System

Array = NDArray[np.float64]

FIRST, LONGEST, SHORTEST = 0.01, 1 / 60, 1e-6  # steps, in extents of the rectangle and in sizes of a state
TURN = 0.1  # between the tangents of two nodes, at most
NEWTON, CONVERGED = 8, 1e-11  # corrections, and the size of the last
DIFFERENCE = 1e-5  # of the size of a state, over which J changes along v
MOST_NODES = 2000  # to each side


@dataclass(frozen=True, eq=False)
class FoldCurve:
    """K folds along a curve: ``inputs`` (K, 2), ``states`` (K, n); ``lost`` says why an end lies inside the rectangle,
    and is empty where none does."""

    inputs: Array
    states: Array
    lost: str = ""

    def passes(self, state: Array, at: Array, extent: Array, near: float = 1e-3) -> bool:
        """Whether a fold known by its state (n,) and its two inputs (2,) lies on the curve, to ``near`` of the extents
        (2,) and of the size of states, beside the bend between two nodes."""
        size = max(float(np.abs(self.states).max()), 1e-12)
        nodes = np.concatenate([self.states / size, self.inputs / extent], axis=1)
        z = np.concatenate([state / size, at / extent])
        a, b = (nodes[:-1], nodes[1:]) if len(nodes) > 1 else (nodes, nodes)
        way = b - a
        part = ((z - a) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1e-300)
        nearest = a + np.clip(part, 0, 1)[:, None] * way
        return bool((np.linalg.norm(nearest - z, axis=1) <= near + TURN * np.linalg.norm(way, axis=1)).any())


def fold_curve(system: System, state: Array, input: Array, axes: tuple[int, int], low: Array, high: Array) -> FoldCurve:
    """The folds through that at ``state`` (n,) under ``input`` (m,), as far as the two inputs ``axes`` stay between
    ``low`` and ``high`` (2,)."""
    folds = _Folds(system, torch.as_tensor(input), list(axes), torch.as_tensor(low), torch.as_tensor(high), state)
    start = folds.corrected(folds.start, None)
    if start is None:
        return FoldCurve(input[list(axes)][None], np.asarray(state)[None], "no fold is near it")
    t = folds.tangent(start)
    if t is None:
        return FoldCurve(input[list(axes)][None], np.asarray(state)[None], "its direction is not told")
    ahead, lost, closed = folds.walk(start, t)
    back, also_lost, _ = ([], "", True) if closed else folds.walk(start, -t)
    z = torch.stack([*back[::-1], start, *ahead])
    inputs = folds.low + z[:, -2:] * folds.extent
    return FoldCurve(inputs.numpy(), (z[:, :-2] * folds.unit).numpy(), lost or also_lost)


class _Folds:
    """Places z = (x / unit, (u - low) / extent), with the border p, q that the last node has left."""

    def __init__(self, system: System, u: Tensor, axes: list[int], low: Tensor, high: Tensor, state: Array) -> None:
        self.system, self.u, self.axes, self.low, self.extent = system, u, axes, low, high - low
        x = torch.as_tensor(state)
        self.unit = max(float(x.norm()), 1.0)
        self.start = torch.cat([x / self.unit, (u[axes] - low) / self.extent])
        J = system.jacobian(x[None], u[None])[0]
        left, _, right = torch.linalg.svd(J)
        self.p, self.q = left[:, -1], right[-1]
        self.null = self.p, self.q  # of J where the equations were last looked at, nearly

    def _place(self, z: Tensor) -> tuple[Tensor, Tensor]:
        u = self.u.clone()
        u[self.axes] = self.low + z[-2:] * self.extent
        return z[:-2] * self.unit, u

    def equations(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(F, g) at z (n + 1,), and their derivatives (n + 1, n + 2)."""
        x, u = self._place(z)
        n = len(x)
        x3, u3 = x[None], u[None]
        J, B = self.system.jacobian(x3, u3)[0], self.system.input_jacobian(x3, u3)[0][:, self.axes]
        M = torch.zeros(n + 1, n + 1, dtype=x.dtype)
        M[:n, :n], M[:n, n], M[n, :n] = J, self.p, self.q
        one = torch.zeros(n + 1, 1, dtype=x.dtype)
        one[n] = 1
        right, left = torch.linalg.solve(M, one)[:, 0], torch.linalg.solve(M.T, one)[:, 0]
        v, w, g = right[:n], left[:n], right[n]
        self.null = w / w.norm(), v / v.norm()
        h = DIFFERENCE * self.unit / v.norm()
        both, held = torch.stack([x + h * v, x - h * v]), u3.expand(2, -1)
        dJ = (w @ self.system.jacobian(both, held).diff(dim=0)[0]) / (2 * h)  # of the second less the first: -w' dJ v
        dB = (w @ self.system.input_jacobian(both, held)[:, :, self.axes].diff(dim=0)[0]) / (2 * h)
        rows = torch.cat([torch.cat([J, B], dim=1), torch.cat([dJ, dB])[None]])
        scale = torch.cat([torch.full((n,), self.unit, dtype=x.dtype), self.extent])
        values = torch.cat([self.system.velocity(x3, u3)[0] / self.unit, g[None]])
        rows = rows * scale
        rows[:n] /= self.unit
        return values, rows

    def corrected(self, z: Tensor, row: tuple[Tensor, float] | None) -> Tensor | None:
        """Newton's method to the curve, where row . z stays at a value; by the least step where none is given."""
        for _ in range(NEWTON):
            try:
                values, rows = self.equations(z)
                if row is None:
                    step = torch.linalg.lstsq(rows, values[:, None]).solution[:, 0]
                else:
                    M, right = torch.cat([rows, row[0][None]]), torch.cat([values, (row[0] @ z - row[1])[None]])
                    step = torch.linalg.solve(M, right[:, None])[:, 0]
            except RuntimeError:  # a singular matrix
                return None
            z = z - step
            if not bool(torch.isfinite(z).all()):
                return None
            if float(step.norm()) <= CONVERGED * (1 + float(z.norm())):
                return z
        return None

    def tangent(self, z: Tensor, before: Tensor | None = None) -> Tensor | None:
        """The way on at z, as ``before`` went; None where it is not told."""
        _, rows = self.equations(z)
        if before is None:
            return torch.linalg.svd(rows, full_matrices=True)[2][-1]
        one = torch.zeros(len(z), 1, dtype=z.dtype)
        one[-1] = 1
        t, failed = torch.linalg.solve_ex(torch.cat([rows, before[None]]), one)
        return t[:, 0] / t.norm() if not bool(failed) and bool(torch.isfinite(t).all()) else None

    def walk(self, start: Tensor, t: Tensor) -> tuple[list[Tensor], str, bool]:
        """The nodes after ``start`` along t, why they end inside the rectangle, and whether at ``start`` again."""
        z, h, found = start, FIRST, list[Tensor]()
        while len(found) < MOST_NODES:
            predicted = z + h * t
            new = self.corrected(predicted, (t, float(t @ predicted)))
            turned = None if new is None else self.tangent(new, t)
            if new is None or turned is None or float(t @ turned) < np.cos(TURN) or float((new - z).norm()) > 2 * h:
                h /= 2
                if h < SHORTEST:
                    return found, "the curve could be followed no further", False
                continue
            if not bool(((new[-2:] >= 0) & (new[-2:] <= 1)).all()):
                edge = self._to_edge(z, new)
                return (found if edge is None else [*found, edge]), "", False
            if len(found) > 2 and float((start - z).norm()) <= 1.5 * h and float((start - z) @ t) >= 0:
                return [*found, start], "", True
            found.append(new)
            z, t, h = new, turned, min(1.5 * h, LONGEST)
            self.p, self.q = self.null
        return found, f"{MOST_NODES} places were followed", False

    def _to_edge(self, inside: Tensor, outside: Tensor) -> Tensor | None:
        """The fold on the side of the rectangle between two nodes."""
        ends = torch.stack([inside[-2:], outside[-2:]])
        parts = [
            (float((bound - ends[0, k]) / (ends[1, k] - ends[0, k])), k, bound)
            for k in range(2)
            for bound in (0.0, 1.0)
            if float((ends[0, k] - bound) * (ends[1, k] - bound)) < 0
        ]
        if not parts:
            return None
        part, k, bound = min(parts)
        row = torch.zeros_like(inside)
        row[k - 2] = 1
        return self.corrected(inside + part * (outside - inside), (row, bound))
