"""Regions of a piecewise-linear system in which F does not determine its zero: none, or a line, plane, ... of them.

There the unfolded matrix K is singular to within rounding. Its zeros in the region are an affine flat cut by the signs
of the preactivations; linear programs tell whether the cut is empty, and what dimension it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import linprog
from torch import Tensor

from dynsys.relu.pieces import Pieces

Array = NDArray[np.float64]

SINGULAR = 2.0**-48  # times the size of K, relative to its largest singular value
ZERO = 1e-10  # in units of the drive: rounding of what a singular system can give
LONGEST = 1e3  # in units of the drive, how far along the flat a representative may lie


@dataclass(frozen=True)
class Flat:
    """A ``dimension``-dimensional set of zeros in the region of ``pattern`` (m,), through the state x (n,).

    ``directions`` (dimension, n) are orthonormal. ``kinks`` (m,) marks units on their kink all over it. Dimension 0 is
    a single zero, where the flat only touches the region.
    """

    pattern: Tensor
    x: Tensor
    directions: Tensor
    kinks: Tensor

    @property
    def dimension(self) -> int:
        return len(self.directions)

    def holds(self, pieces: Pieces, x: Tensor) -> Tensor:
        """Which of the states x (B, n) lie in it, to within rounding."""
        away = x - self.x
        away = away - away @ self.directions.T @ self.directions
        y, tolerance = pieces.margins(x), 10 * ZERO * drive_of(pieces) * (1 + x.abs().amax(1, keepdim=True))
        right = torch.where(self.pattern, y, -y) >= -tolerance
        return (away.abs() <= tolerance).all(1) & (right | pieces.constant).all(1)


def drive_of(pieces: Pieces) -> float:
    """The size of what drives the system; 1 where nothing does."""
    return float(torch.cat([pieces.c, pieces.e]).abs().max()) or 1.0


def flat_in(pieces: Pieces, pattern: Tensor) -> Flat | None:
    """The zeros of F in the region of ``pattern`` (m,) where K is singular there; None where there are none."""
    n = pieces.n_state
    if bool((pattern != (pieces.e > 0))[pieces.constant].any()):
        return None
    K, h = (part.cpu().numpy() for part in pieces.unfolded(pattern.unsqueeze(0)))
    drive, sign = drive_of(pieces), np.where(pattern.cpu().numpy(), 1.0, -1.0)
    bends = ~pieces.constant.cpu().numpy()
    U, S, Vt = np.linalg.svd(K[0])
    rank = min(int((S / S[0] > SINGULAR * len(h)).sum()), len(h) - 1)
    v, N = Vt[:rank].T @ ((U[:, :rank].T @ h) / S[:rank]), Vt[rank:].T
    if np.abs(K[0] @ v - h).max() > ZERO * (drive + np.abs(v).max() * S[0]):
        return None
    while True:
        y, Y = v[n:], N[n:]
        varies = bends & (np.abs(Y).max(axis=1, initial=0.0) > ZERO)
        if (sign * y < -ZERO * drive * (1 + np.abs(v).max()))[bends & ~varies].any():
            return None
        slack, t = _inside(sign[varies] * y[varies], sign[varies, None] * Y[varies], drive)
        if slack < -ZERO * drive * 10:
            return None
        v = v + N @ t
        if slack > ZERO * drive * 100:
            break
        tight = _always_zero(sign[varies] * v[n:][varies], sign[varies, None] * Y[varies], drive)
        if not tight.any():
            break
        N = N @ null_space(Y[varies][tight])
    kinks = bends & ~varies & (np.abs(v[n:]) <= 10 * ZERO * drive * (1 + np.abs(v).max()))
    directions = np.linalg.qr(N[:n])[0].T if N.shape[1] else np.zeros((0, n))
    like = pieces.e
    return Flat(pattern, torch.as_tensor(v[:n]).to(like), torch.as_tensor(directions).to(like), torch.as_tensor(kinks))


def _inside(y: Array, Y: Array, drive: float) -> tuple[float, Array]:
    """The largest s <= drive with y + Y t >= s for some t, and that t; it says how far inside the flat can be."""
    d = Y.shape[1]
    if len(y) == 0 or d == 0:
        return drive, np.zeros(d)
    size = LONGEST * (drive + np.abs(y).max())
    solved = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([-Y, np.ones(len(y))]),
        b_ub=y,
        bounds=[(-size, size)] * d + [(None, drive)],
    )
    slack = float(solved.x[-1])
    near = linprog(  # of all that lie so far inside, or half as far, one that is not far away
        np.append(np.zeros(d), 1.0),
        A_ub=np.block([[-Y, np.zeros((len(y), 1))], [np.eye(d), -np.ones((d, 1))], [-np.eye(d), -np.ones((d, 1))]]),
        b_ub=np.concatenate([y - min(slack, slack / 2), np.zeros(2 * d)]),
        bounds=[(None, None)] * (d + 1),
    )
    return slack, (solved if near.x is None else near).x[:d]


def _always_zero(y: Array, Y: Array, drive: float) -> NDArray[np.bool_]:
    """Which rows of y + Y t >= 0 hold with equality for every t that satisfies them all."""
    tight = np.zeros(len(y), dtype=bool)
    size = LONGEST * (drive + np.abs(y).max())
    for i, row in enumerate(Y):
        solved = linprog(-row, A_ub=-Y, b_ub=y + ZERO * drive * 10, bounds=[(-size, size)] * Y.shape[1])
        tight[i] = not (solved.x is not None and y[i] + row @ solved.x > 1e-6 * drive)
    return tight
