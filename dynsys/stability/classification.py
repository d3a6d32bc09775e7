"""What kind of fixed point it is, in the field's words, from its eigenvalues and how well they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.rounding import EPS
from dynsys.stability.ritz import RITZ_TOLERANCE
from dynsys.stability.spectrum import STEEP, Spectrum, excess
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

CLEAR = 30.0  # times the error of A, that it has to be away from matrices with an eigenvalue on the boundary
WORDS = ("stable node", "stable focus", "saddle", "unstable node", "unstable focus", "marginal")


@dataclass(frozen=True)
class Stability:
    """The word, and the number of eigenvalues that are certainly unstable."""

    word: str
    n_unstable: int


def classify(spectrum: Spectrum, uncertainty: Array, system: System) -> Stability:
    """The word for a point of the given spectrum, whose eigenvalues are known to within ``uncertainty`` (m,).

    Node or focus is decided by the leading mode, the one that lasts longest or grows fastest.
    """
    beyond = excess(spectrum.eigenvalues, system.kind).numpy()
    n_unstable = int(np.count_nonzero(beyond > uncertainty))
    if (np.abs(beyond) <= uncertainty).any():
        return Stability("marginal", n_unstable)
    shape = "focus" if abs(complex(spectrum.eigenvalues[0]).imag) > uncertainty[0] else "node"
    if n_unstable == 0:
        return Stability(f"stable {shape}", 0)
    return Stability(f"unstable {shape}" if n_unstable == system.n_state else "saddle", n_unstable)


def classify_slow(spectrum: Spectrum, uncertainty: Array, system: System) -> Stability:
    """A slow point is marginal: J^T F = 0 with F not zero, so one eigenvalue is on the boundary; the others count."""
    beyond = excess(spectrum.eigenvalues, system.kind).numpy()
    others = np.arange(len(beyond)) != np.abs(beyond).argmin()
    return Stability("marginal", int(np.count_nonzero((beyond > uncertainty) & others)))


def index(eigenvalues: NDArray[np.complex128], kind: Kind) -> int:
    """sign det(-J) of a point, from the eigenvalues (m,) among which all unstable ones are: real ones change it."""
    real = eigenvalues[np.abs(eigenvalues.imag) <= 1e-9 * np.abs(eigenvalues)].real
    return int((-1) ** np.count_nonzero(real > (0 if kind is Kind.FLOW else 1)))


def eigenvalue_uncertainty(spectrum: Spectrum, curvature: float, bound: float, noise: float) -> Array:
    """How far each eigenvalue of the true point can be from the computed one (Bauer-Fike, by condition numbers).

    Two errors change the Jacobian: rounding, and the distance to the true point times the change L of J. Where that
    distance has no bound, it is the distance over which F cannot be told from zero (``noise``) at this curvature. It is
    infinite where these errors may take an eigenvalue over the boundary, wherever it seems to be.
    """
    norm = spectrum.norm
    shift = curvature * bound if bound < float("inf") else 4 * (2 * curvature * noise) ** 0.5
    error = 8 * EPS * norm + shift
    condition = spectrum.condition.numpy()
    first_order = np.where(np.isnan(condition), 10 * RITZ_TOLERANCE * norm, condition * error)
    scatter = _scatter(spectrum.eigenvalues.numpy(), condition, norm, error)
    uncertain = np.where((condition > 1) & (condition <= STEEP), first_order, np.minimum(first_order, scatter))
    return np.where(spectrum.clearance.numpy() <= CLEAR * error, np.inf, uncertain)


def _scatter(eigenvalues: NDArray[np.complex128], condition: Array, norm: float, error: float) -> Array:
    """How far m eigenvalues that lie together can move: like a Jordan block's, with the m-th root of the error.

    Those that are exact move nowhere, and take no others with them.
    """
    norm = max(norm, error, 1e-300)
    apart = [part[:, None] - part for part in (eigenvalues.real, eigenvalues.imag)]
    together = apart[0] ** 2 + apart[1] ** 2 <= (1e-3 * norm) ** 2
    m = np.maximum(together[:, condition != 0].sum(axis=1), 1)
    moved: Array = norm * (error / norm) ** (1.0 / m)
    return moved


def time_constants(eigenvalues: Tensor, system: System) -> Tensor:
    """Time in which each mode decays (or grows, then negative) e-fold, in the units of the system's time constant."""
    if system.kind is Kind.FLOW:
        return -system.time_constant / eigenvalues.real
    return -system.time_constant / eigenvalues.abs().log()


def frequencies(eigenvalues: Tensor, system: System) -> Tensor:
    """Cycles per unit of time of each mode; 0 where the eigenvalue is real and positive."""
    turn = eigenvalues.imag if system.kind is Kind.FLOW else eigenvalues.angle()
    return turn.abs() / (2 * torch.pi * system.time_constant)
