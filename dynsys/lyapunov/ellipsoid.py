"""The largest ellipsoid around a stable point that can be proved to shrink: which quadratic form, and how far.

Quadratic Lyapunov functions of the linear system, A^T P A - P = -Q or A^T P + P A = -Q, prove a small ellipsoid each.
The family with Q = 1 and A replaced by A / s (map) or A - s (flow) goes from the one that the slowest mode wants to
P = 1, whose ellipsoid is a ball; A is taken at the point, and then from the middle of all the secants of the
ellipsoid proved so far. From the best of them others are made by what a step leaves of it. What is wanted is the ball
inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.contraction import DENSE, Form, Frame, improved
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

ENOUGH = 1 - 1e-6  # of the largest eigenvalue of S: the rest is left to rounding
SHIFTS = (1.0, 0.4)  # of s, from the slowest mode on, in units of the distance to the boundary of stability
SMALLEST = 2.0**-24  # of a usual state, from where an ellipsoid is no more looked for
LARGEST = 64.0  # of a usual state, beyond which no larger one is looked for
SWEEPS = 6  # of the weights of the channels
GROWTH = 1.5  # of a radius that fits, to the next that is tried
BISECTIONS = 5  # of the logarithm of the radius between one that fits and one that does not
COARSE, FINE = 1.06, 1.01  # of the radius, within which a larger one that does not fit ends the search
SHARES = 0.4, 0.8  # of the way between the two, within which the next radius lies: values end where they are enough
SHARP = 1.06  # of the radius of that search, up to where it is sharpened in the end
TRIES, SMALLER = 4, 0.99  # radii that are tried with all rounding, each smaller by so much
DOUBLINGS = 40  # of the terms of a sum over steps: any A whose powers vanish within 1e12 steps
GAIN = 1.015  # in radius, that another form must bring to be followed
CLIMBS, KEPT = 3, 2.0  # times that a better form is made of the best one, and the share of the old one in it


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
    What proves it is R, near X^-1, and ``weights`` of the channels.
    """

    X: Tensor
    radius: float
    rate: float
    R: Tensor
    weights: Tensor


def proved_ellipsoid(
    system: System, x: Tensor, u: Tensor, error: float, R: Tensor, weights: Tensor
) -> Ellipsoid | None:
    """|R (x - x*)| <= 1, with all rounding; None where these weights of the channels do not prove it."""
    frame = Frame.of(x, error, R)
    form = Form.of(system, u[None], frame, 1.0)
    if form is None or len(form.Z) != len(weights):
        return None
    weighed = form.weighed(weights)
    below = weighed.proved_below()
    if not below < 1:
        return None
    radius = _inner(frame) - error
    return Ellipsoid(frame.X, radius, rate_of(weighed, below), R, weights) if radius > 0 else None


def largest_ellipsoid(
    system: System, x: Tensor, u: Tensor, error: float, A: Array, unit: float, P: Array | None = None
) -> Ellipsoid | None:
    """Around the true point within ``error`` of x (n,), at which the linear system is A; None where none is proved.

    It is a level set of d^T P d where a P (n, n) is given. ``unit`` is the usual size of a state.
    """
    search = _Search(system, x, u[None], error, A, unit)
    if P is not None:
        search.consider(P / np.linalg.eigvalsh(P)[-1])
    else:
        search.consider_all()
    search.sharpen()
    return search.proved()


class _Search:
    """The best frame so far, with the radius in it and the weights of its channels."""

    def __init__(self, system: System, x: Tensor, u: Tensor, error: float, A: Array, unit: float) -> None:
        self.system, self.x, self.u, self.error, self.A, self.unit = system, x, u, error, A, unit
        self.frame: Frame | None = None
        self.form: Form | None = None  # of the largest radius that fits
        self.radius, self.weights = 0.0, x.new_zeros(0)
        self.value = self.fitting = np.inf  # eigenvalues of S, of the last radius tried and of the largest that fits

    def consider(self, P: Array) -> None:
        """Another quadratic form, followed where it fits a larger ball."""
        R = scipy.linalg.cholesky(P)
        if not falls(R, self.A, self.system.kind):
            return
        frame = Frame.of(self.x, self.error, torch.as_tensor(R))
        radius, high, above = self.radius * GAIN, 0.0, np.inf
        if self.frame is None:
            radius = self.unit / 4
            while not self._fits(frame, radius):
                high, above, radius = radius, self.value, radius / 4
                if radius <= SMALLEST * self.unit:
                    return
        elif not self._fits(frame, radius):
            return
        if not high:
            high, above = self._beyond(GROWTH, SWEEPS)
        self._bisect(high, above, COARSE, SWEEPS)

    def consider_all(self) -> None:
        """The forms of the linear system at the point, of that in the middle of all secants, and those made of them."""
        for form in (np.eye(len(self.x)), *forms(self.A, self.system.kind)):
            self.consider(form)
        if self.frame is not None:
            for form in forms(self.middle(), self.system.kind):
                self.consider(form)
            self.climb()

    def climb(self) -> None:
        """By forms from the best so far: it and what is left of it after a step, whatever the channels do.

        With the blocks of S as in ``contraction`` that is S_yy + S_yw (1 - S_ww)^-1 S_wy.
        """
        for _ in range(CLIMBS):
            assert self.frame is not None
            assert self.form is not None
            n, before = len(self.x), self.radius
            S = self.form.weighed(self.weights).matrix()
            S.diagonal()[n:] -= 1
            left = S[:n, :n] - S[:n, n:] @ torch.linalg.solve(S[n:, n:], S[n:, :n])
            left.diagonal().add_(KEPT)
            R = self.frame.inverse
            P = (R.T @ left @ R).numpy()
            values = np.linalg.eigvalsh(P) if np.isfinite(P).all() else np.zeros(1)
            if values[0] > 0:
                self.consider((P + P.T) / (2 * values[-1]))
            if not self.radius > before:
                return

    def sharpen(self) -> None:
        """The last per cents of the radius in the best frame, by weights that are sought for longer."""
        if self.frame is not None:
            self._bisect(*self._beyond(SHARP, 5 * SWEEPS), FINE, 5 * SWEEPS)

    def _beyond(self, growth: float, sweeps: int) -> tuple[float, float]:
        """A radius in the same frame that does not fit, or is larger than is looked for, and the eigenvalue there."""
        assert self.frame is not None
        while self.radius < LARGEST * self.unit:
            if not self._fits(self.frame, growth * self.radius, sweeps):
                return growth * self.radius, self.value
        return self.radius, np.inf

    def _bisect(self, high: float, above: float, within: float, sweeps: int) -> None:
        """Between the radius so far and one that does not fit, where the eigenvalues at both lead to expect it."""
        assert self.frame is not None
        for _ in range(BISECTIONS):
            if high <= within * self.radius:
                return
            share = (ENOUGH - self.fitting) / max(above - self.fitting, 1e-300)
            middle = self.radius * (high / self.radius) ** min(max(share, SHARES[0]), SHARES[1])
            if not self._fits(self.frame, middle, sweeps):
                high, above = middle, self.value

    def _fits(self, frame: Frame, radius: float, sweeps: int = SWEEPS) -> bool:
        form = Form.of(self.system, self.u, frame, radius)
        if form is None:
            self.value = np.inf
            return False
        known = frame is self.frame and len(self.weights) == len(form.Z) and form.K.shape[1] > DENSE
        begun = (
            self.weights if known else form.balanced()
        )  # which costs nothing for small ones, and is as good or better
        self.value, t = improved(form, begun, sweeps, ENOUGH)
        if self.value >= ENOUGH:
            return False
        self.frame, self.form, self.radius = frame, form, radius
        self.weights, self.fitting = t, self.value
        return True

    def middle(self) -> Array:
        """The linear system in the middle of all secants, in the coordinates of the state."""
        assert self.frame is not None
        assert self.form is not None
        return np.asarray(self.frame.X @ self.form.K[:, : len(self.x)] @ self.frame.inverse)

    def proved(self) -> Ellipsoid | None:
        """With the radius made part of X, so that the ellipsoid is exactly what X says."""
        if self.frame is None:
            return None
        for k in range(TRIES):
            radius = self.radius * SMALLER**k
            R, weights = self.frame.inverse / radius, self.weights / radius  # what is in units of y is in those of it
            found = proved_ellipsoid(self.system, self.x, self.u[0], self.error, R, weights)
            if found is not None:
                return found
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
