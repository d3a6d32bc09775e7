"""The largest ellipsoid around a stable point that can be proved to shrink: which quadratic form, and how far.

Quadratic Lyapunov functions of the linear system, A^T P A - P = -Q or A^T P + P A = -Q, prove a small ellipsoid each.
The family with Q = 1 and A replaced by A / s (map) or A - s (flow) goes from the one that the slowest mode wants to
P = 1, whose ellipsoid is a ball; A is taken at the point, and then from the middle of all the secants of the
ellipsoid proved so far. What is wanted is the ball inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.contraction import Form, Frame, improved
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

ENOUGH = 1 - 1e-6  # of the largest eigenvalue of S: the rest is left to rounding
SHIFTS = (1.0, 0.4)  # of s, from the slowest mode on, in units of the distance to the boundary of stability
SMALLEST = 2.0**-24  # of a usual state, from where an ellipsoid is no more looked for
LARGEST = 64.0  # of a usual state, beyond which no larger one is looked for
SWEEPS = 6  # of the weights of the channels
BISECTIONS = 4  # of the logarithm of the radius between one that fits and its double
SHARP = 1.12  # of the radius of that search, up to where it is sharpened in the end
TRIES, SMALLER = 4, 0.99  # radii that are tried with all rounding, each smaller by so much
DOUBLINGS = 40  # of the terms of a sum over steps: any A whose powers vanish within 1e12 steps
GAIN = 1.03  # in radius, that another form must bring to be followed


def lyapunov_matrix(A: Array, kind: Kind, Q: Array | None = None) -> Array:
    """P of the quadratic Lyapunov function V = d^T P d of a stable linear system: V falls by d^T Q d (1 if not given).

    >>> lyapunov_matrix(np.array([[-1.0, 0.0], [0.5, -1.0]]), Kind.FLOW)
    array([[0.5625, 0.125 ],
           [0.125 , 0.5   ]])
    """
    Q = np.eye(len(A)) if Q is None else Q
    P = _doubled(A, Q) if kind is Kind.MAP else scipy.linalg.solve_continuous_lyapunov(A.T, -Q)
    return np.asarray((P + P.T) / 2)


def _doubled(A: Array, Q: Array) -> Array:
    """The sum of (A^k)^T Q A^k, each time twice as many terms (Smith 1968)."""
    P = Q
    for _ in range(DOUBLINGS):
        more = A.T @ P @ A
        P, A = P + more, A @ A
        if not np.abs(more).max() > 1e-17 * np.abs(P).max():
            break
    return P


def forms(A: Array, kind: Kind) -> Iterator[Array]:
    """Quadratic forms P, the largest eigenvalue 1, that fall along the linear system A."""
    eigenvalues = np.linalg.eigvals(A)
    for shift in SHIFTS:
        if kind is Kind.MAP:
            slowest = float(np.abs(eigenvalues).max())
            P = lyapunov_matrix(A / (slowest + shift * (1 - slowest)), kind) if slowest < 1 else None
        else:
            slowest = float(eigenvalues.real.max())
            P = lyapunov_matrix(A - slowest * (1 - shift) * np.eye(len(A)), kind) if slowest < 0 else None
        if P is not None and np.isfinite(P).all():
            values = np.linalg.eigvalsh(P)
            if values[0] > 0:
                yield P / values[-1]


@dataclass(frozen=True)
class Ellipsoid:
    """The states x* + X y, |y| <= 1, of which it is proved that |y| falls: by the factor ``rate`` a step at the least
    (map), or as exp(-rate t) in units of F's time (flow). ``radius`` is that of a ball in it around the computed state.
    """

    X: Tensor
    radius: float
    rate: float


def largest_ellipsoid(
    system: System, x: Tensor, u: Tensor, error: float, A: Array, unit: float, P: Array | None = None
) -> Ellipsoid | None:
    """Around the true point within ``error`` of x (n,), at which the linear system is A; None where none is proved.

    It is a level set of d^T P d where a P (n, n) is given. ``unit`` is the usual size of a state.
    """
    search = _Search(system, x, u[None], error, A, unit)
    if P is not None:
        search.consider(P / np.linalg.eigvalsh(P)[-1])
        return search.proved()
    search.consider(np.eye(len(x)))
    for form in forms(A, system.kind):
        search.consider(form)
    if search.frame is not None:
        for form in forms(search.middle(), system.kind):
            search.consider(form)
    search.sharpen()
    return search.proved()


class _Search:
    """The best frame so far, with the radius in it and the weights of its channels."""

    def __init__(self, system: System, x: Tensor, u: Tensor, error: float, A: Array, unit: float) -> None:
        self.system, self.x, self.u, self.error, self.A, self.unit = system, x, u, error, A, unit
        self.frame: Frame | None = None
        self.radius, self.weights = 0.0, x.new_zeros(0)

    def consider(self, P: Array) -> None:
        """Another quadratic form, followed where it fits a larger ball."""
        R = scipy.linalg.cholesky(P)
        if not falls(R, self.A, self.system.kind):
            return
        frame = Frame.of(self.x, self.error, torch.as_tensor(R))
        radius = self.radius * GAIN
        if self.frame is None:
            radius = self.unit / 4
            while radius > SMALLEST * self.unit and not self._fits(frame, radius):
                radius /= 4
            if radius <= SMALLEST * self.unit:
                return
        elif not self._fits(frame, radius):
            return
        low, high = radius, 2 * radius
        while high < LARGEST * self.unit and self._fits(frame, high):
            low, high = high, 2 * high
        for _ in range(BISECTIONS if high < LARGEST * self.unit else 0):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self._fits(frame, middle) else (low, middle)

    def sharpen(self) -> None:
        """The last per cents of the radius in the best frame, by weights that are sought for longer."""
        if self.frame is None:
            return
        low, high = self.radius, SHARP * self.radius
        for _ in range(BISECTIONS):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self._fits(self.frame, middle, 5 * SWEEPS) else (low, middle)

    def _fits(self, frame: Frame, radius: float, sweeps: int = SWEEPS) -> bool:
        form = Form.of(self.system, self.u, frame, radius)
        if form is None:
            return False
        value, t = improved(form, form.balanced(), sweeps, ENOUGH)
        if value >= ENOUGH:
            return False
        self.frame, self.radius, self.weights = frame, radius, t
        return True

    def middle(self) -> Array:
        """The linear system in the middle of all secants, in the coordinates of the state."""
        assert self.frame is not None
        form = Form.of(self.system, self.u, self.frame, self.radius)
        assert form is not None
        return np.asarray(self.frame.X @ form.K[:, : form.n] @ self.frame.inverse)

    def proved(self) -> Ellipsoid | None:
        """With the radius made part of X, so that the ellipsoid is exactly what X says, and all rounding."""
        if self.frame is None:
            return None
        radius = self.radius
        for _ in range(TRIES):
            frame = Frame.of(self.x, self.error, self.frame.inverse / radius)
            form = Form.of(self.system, self.u, frame, 1.0)
            assert form is not None
            weighed = form.weighed(self.weights / radius)  # what is in units of y is now in units of the radius
            below = weighed.proved_below()
            if below < 1:
                return Ellipsoid(frame.X, _inner(frame) - self.error, rate_of(weighed, below))
            radius *= SMALLER
        return None


def falls(R: Array, A: Array, kind: Kind) -> bool:
    """Whether |R d| falls along the linear system."""
    M = R @ A @ scipy.linalg.inv(R)
    if kind is Kind.MAP:
        return bool(np.linalg.norm(M, 2) < ENOUGH)
    return bool(np.linalg.eigvalsh(M + M.T)[-1] < 0)


def rate_of(form: Form, below: float) -> float:
    """How fast |y| falls where the largest eigenvalue of S is below that number."""
    return float(np.sqrt(below)) if form.kind is Kind.MAP else (1 - below) / (2 * form.h)


def _inner(frame: Frame) -> float:
    """Not above the radius of a ball in the ellipsoid, 1 / |X^-1|: |X^-1| <= |R| / (1 - off)."""
    R = frame.inverse
    squares = Form(Kind.MAP, R, torch.zeros_like(R), R[:0], R[:0], 0.0)
    return float((1 - frame.off) / np.sqrt(squares.proved_below()) * (1 - 1e-12))
