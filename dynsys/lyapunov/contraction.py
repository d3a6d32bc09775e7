"""That the distance from a fixed point falls in a whole ellipsoid, by one symmetric matrix and with rounding inside.

With x = x* + X y the change of F in the ellipsoid |y| <= r is L (y, w), and each channel obeys |w_j| <= |gain_j z_j|
(``dynsys.proof.functions.sector``).
With weights t_j > 0 on the channels, omega_j = t_j w_j, and Z the rows t_j gain_j z_j,

    map    S = N^T N,                                      N = [X^-1 (X y + L); Z]
    flow   S = [[1, 0], [0, 0]] + h (K + K^T) + Z^T Z,     K = [X^-1 L; 0]

as forms in (y, omega): if the largest eigenvalue of S is below 1, |y| falls at every step, or all the time (the
S-procedure, Boyd et al. 1994, section 2.6.3). V = |X^-1 (x - x*)|^2 is then a Lyapunov function in the ellipsoid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, gamma, up
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.proof.functions.sector import Channels, Sector, padded
from dynsys.systems.system import Kind, System

BALANCING = 8  # sweeps of Osborne's balancing, from which the weights of the channels begin
UNHEARD = 1e-7  # least weight, of the largest: of a channel that nothing hears, whose rounding is heard all the same
DENSE = 60  # rows, up to which all eigenvalues cost no more than the largest alone
FASTER = 2  # times as fast as in the last sweep, at the most, the eigenvalue is expected to fall in those left
LANCZOS = 12  # vectors that are kept for the largest eigenvalue of larger S
SHORT = 0.25  # h |K| of a flow: of S only the balance of its terms depends on h


@dataclass(frozen=True)
class Frame:
    """Coordinates y around the state x (n,), at most ``error`` (a distance) from the true point: x* + X y.

    ``inverse`` is near X^-1, so that |I - inverse X| <= ``off`` < 1.
    """

    x: Tensor
    error: float
    X: Tensor
    inverse: Tensor
    off: float

    @staticmethod
    def of(x: Tensor, error: float, R: Tensor, X: Tensor | None = None) -> Frame:
        """y = R (x - x*), with X the computed inverse of R if it is not given."""
        n = len(x)
        X = torch.linalg.inv(R) if X is None else X
        residual = R @ X - torch.eye(n, dtype=x.dtype)
        wrong = gamma(n + 1) * (R.abs() @ X.abs() + 1)
        return Frame(x, error, X, R, float(up(up(residual.abs() + wrong).norm())))


@dataclass(frozen=True)
class Form:
    """L and gain z, or what they are with y' = G for a map, (n, p) and (q, p), as columns for y and w; and errors."""

    kind: Kind
    K: Tensor
    K_off: Tensor
    Z: Tensor
    Z_off: Tensor
    frame_off: float

    @staticmethod
    def of(system: System, u: Tensor, frame: Frame, radius: float) -> Form | None:
        """In the ellipsoid of that radius; None where no closed form of F is known."""
        x = frame.x
        return Form.read(system, u, frame, Sector.state(x, torch.full_like(x, frame.error), frame.X, radius))

    @staticmethod
    def between(system: System, u: Tensor, R: Tensor, low: Tensor, high: Tensor) -> Form | None:
        """For every two states between ``low`` and ``high`` (n,), in the coordinates R d of their difference d."""
        middle, half = (low + high) / 2, (high - low) / 2 * (1 + 1e-9) + 1e-300
        frame = Frame.of(middle, 0.0, R)
        apart = float(up(up(2 * R.abs() @ half).norm()) / (1 - frame.off))
        y = Sector.state(middle, half, frame.X, apart)
        y = replace(y, low=(middle - half)[None], high=(middle + half)[None])
        return Form.read(system, u, frame, y)

    @staticmethod
    def read(system: System, u: Tensor, frame: Frame, y: Sector) -> Form | None:
        """Of the system's own formula at the states y."""
        F = system.enclosure(cast(Enclosed, y), u)
        if F is None:
            return None
        change = cast(Sector, F)
        p = y.channels.total
        rows, off = padded(change.rows, p), padded(change.off, p)
        if system.kind is Kind.MAP:
            rows = rows + padded(frame.X, p)
            off = off + UNIT * rows.abs()
        return Form.seen(system.kind, frame, rows, off, y.channels)

    @staticmethod
    def seen(kind: Kind, frame: Frame, rows: Tensor, off: Tensor, channels: Channels) -> Form:
        """Of a change with these rows, to within ``off``, in the coordinates of the frame."""
        K_off = up(frame.inverse.abs() @ up(off + gamma(len(rows) + 1) * rows.abs()))
        return Form(kind, frame.inverse @ rows, K_off, *channels.joined(), frame.off)

    @property
    def n(self) -> int:
        """Columns of y: those of a pulse are fewer than rows of K."""
        return self.K.shape[1] - len(self.Z)

    def weighed(self, t: Tensor) -> Form:
        """With the weights t (q,) on the channels."""
        columns = torch.cat([t.new_ones(self.n), 1 / t])
        rounding, rows = 4 * UNIT, t.unsqueeze(1)
        K, Z = self.K * columns, rows * self.Z * columns
        K_off = up(self.K_off * columns + rounding * K.abs())
        return replace(self, K=K, K_off=K_off, Z=Z, Z_off=up(rows * self.Z_off * columns + rounding * Z.abs()))

    @property
    def h(self) -> float:
        """A power of two, which multiplies without rounding."""
        return 2.0 ** float(torch.log2(SHORT / self.K[:, : self.n].norm().clamp_min(1e-12)).floor())

    def matrix(self) -> Tensor:
        """S (p, p)."""
        S = self.Z.T @ self.Z
        if self.kind is Kind.MAP:
            return S + self.K.T @ self.K
        n, h = self.n, self.h
        S[:n] += h * self.K
        S[:, :n] += h * self.K.T
        S[:n, :n] += torch.eye(n, dtype=S.dtype)
        return S

    def largest(self, t: Tensor, guess: Any = None) -> tuple[float, Tensor]:
        """The largest eigenvalue of S with the weights t (q,), about, and its vector; large S are not written down."""
        columns = torch.cat([t.new_ones(self.n), 1 / t])
        p = len(columns)
        if p <= DENSE:
            S = replace(self, K=self.K * columns, Z=t.unsqueeze(1) * self.Z * columns).matrix()
            if not bool(torch.isfinite(S).all()):
                return float(np.inf), S[0]
            values, vectors = torch.linalg.eigh(S)
            return float(values[-1]), vectors[:, -1]
        import scipy.sparse.linalg as sparse  # only here: what loads a network does not wait for it

        operator = sparse.LinearOperator((p, p), self._product(columns, t * t), dtype=np.float64)
        try:
            found, vectors = sparse.eigsh(operator, k=1, which="LA", v0=guess, tol=1e-4, maxiter=300, ncv=LANCZOS)
        except (sparse.ArpackError, ValueError):  # numbers beyond float64
            return float(np.inf), self.K[0]
        return float(found[0]), torch.as_tensor(vectors[:, 0])

    def _product(self, columns: Tensor, squares: Tensor) -> Callable[[Any], Any]:
        """v -> S v, by torch, whose number of threads belongs to the calling thread."""
        K, Z, n, h = self.K, self.Z, self.n, self.h if self.kind is Kind.FLOW else 1.0

        def product(v: Any) -> Any:
            v = torch.as_tensor(v.reshape(-1)) * columns
            found = Z.T @ (squares * (Z @ v))
            if self.kind is Kind.MAP:
                return ((found + K.T @ (K @ v)) * columns).numpy()
            found += h * (K.T @ v[:n])
            found[:n] += h * (K @ v) + v[:n]
            return (found * columns).numpy()

        return product

    def uncertainty(self) -> float:
        """By how much the largest eigenvalue of the true S can be above that of the computed one, at the most."""
        K, Z = (float(up(part.norm())) for part in (self.K, self.Z))
        dK, dZ = (float(up(part.norm())) for part in (self.K_off, self.Z_off))
        p = self.K.shape[1]
        inexact = self.frame_off / (1 - self.frame_off) if self.frame_off < 1 else np.inf  # of X^-1, as a factor
        products = gamma(p + len(self.Z) + 4) * (Z**2 + 1)
        if self.kind is Kind.MAP:
            grown = dK * (1 + inexact) + inexact * K
            products += gamma(len(self.K) + 4) * K**2
            return float(1.01 * (2 * K * grown + grown**2 + 2 * Z * dZ + dZ**2 + products))
        grown = self.h * (dK * (1 + inexact) + inexact * K)
        return float(1.01 * (2 * grown + 2 * Z * dZ + dZ**2 + products + 8 * UNIT * (1 + self.h * K)))

    def proved_below(self) -> float:
        """A number that the largest eigenvalue of the true S is proved not to exceed; infinite where none is."""
        return eigenvalues_below(self.matrix()) + self.uncertainty()

    def balanced(self) -> Tensor:
        """Weights t (q,) that make rows and columns of the channels equally long (Osborne 1960)."""
        n, t = self.n, self.K.new_ones(len(self.Z))
        squares, down = self.Z**2, self.K[:, n:] ** 2
        for _ in range(BALANCING if len(t) else 0):
            t2 = t * t
            rows = t2 * (squares[:, :n].sum(1) + squares[:, n:] @ (1 / t2))
            columns = (down.sum(0) * (self.h**2 if self.kind is Kind.FLOW else 1) + t2 @ squares[:, n:]) / t2
            t = t * ((columns + 1e-300) / (rows + 1e-300)).clamp(1e-4, 1e4) ** 0.25
        return t.clamp_min(float(t.max()) * UNHEARD) if len(t) else t


def eigenvalues_below(S: Tensor) -> float:
    """A number that the eigenvalues of a symmetric matrix are proved not to exceed; infinite where none is.

    If the Cholesky factorisation of theta - S runs through in floating point, S <= theta but for gamma (p + 1) times
    the trace (Rump 2006).
    """
    if not bool(torch.isfinite(S).all()):
        return float(np.inf)
    p = len(S)
    theta = float(torch.linalg.eigvalsh(S)[-1])
    theta += 1e-13 * p * max(1.0, abs(theta))
    left = -S
    left.diagonal().add_(theta)
    done = int(torch.linalg.cholesky_ex(left)[1]) == 0
    trace = float(left.diagonal().abs().sum())
    rounding = 2 * gamma(p + 2) * trace + 2 * UNIT * (abs(theta) + float(S.diagonal().abs().max()))
    return theta + rounding if done else float(np.inf)


def improved(form: Form, t: Tensor, sweeps: int, enough: float) -> tuple[float, Tensor]:
    """The largest eigenvalue of S, and weights near ``t`` that make it small: it falls along (Z v)_j^2 - v_j^2.

    It is given up where it is above 1 and falls too slowly to get there.
    """
    best, kept, step, fall = np.inf, t, 0.5, np.inf
    vector: Any = None
    for left in reversed(range(sweeps)):
        value, v = form.largest(t, vector)
        if not np.isfinite(value):
            return best, kept
        vector = v.numpy()
        if value < best:
            best, kept, fall = value, t, best - value
        else:
            step /= 2
        if best < enough or not len(t) or best - FASTER * left * fall > 1:
            break
        sent = (t * (form.Z @ torch.cat([v[: form.n], v[form.n :] / t]))) ** 2
        own = value * v[form.n :] ** 2
        floor = 1e-4 * float((own + sent).mean())
        t = kept * ((own + floor) / (sent + floor)) ** (step / 2)
        t = t.clamp_min(float(t.max()) * UNHEARD)
    return best, kept
