"""How many unstable directions the points of a curve have, and their leading eigenvalues, as cheaply as that can be.

Up to ``FULL_LIMIT`` units by all eigenvalues. Above, Ritz values from one small Krylov space per point, all points of a
snapshot at once, come to the eigenvalues on the outside of the spectrum first (Saad 2011, section 6.7), among which are
the unstable ones; where their residuals leave it open on which side of the boundary one lies, all are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.krylov import Basis
from dynsys.spectra.spectrum import FULL_LIMIT, excess
from dynsys.system import Kind, System

ComplexArray = NDArray[np.complex128]

SUBSPACE = 64  # vectors of a Krylov space
MARGIN = 2e-3  # of the usual size of an eigenvalue, that one has to be off the boundary besides its residual
KNOWN = 1e-3  # residual relative to the largest, up to which a Ritz value is given as an eigenvalue
INVERSE_STEPS, SETTLED = 30, 1e-9  # of inverse iteration, and the change of its eigenvalue at which it ends
SIDE_BY_SIDE = 16  # matrices whose eigenvalues are computed in one call


@dataclass(frozen=True, eq=False)
class Reading:
    """What the linearised system says at a point: the leading eigenvalues (m,), all unstable ones among them.

    Of a large system those that decided are known to about ``KNOWN``, unless ``exact``.
    """

    eigenvalues: ComplexArray
    n_unstable: int
    exact: bool = True


def read(system: System, x: Tensor, u: Tensor, exact: bool = False) -> list[Reading]:
    """A reading at each of the states x (B, n); ``exact`` asks for all eigenvalues at any size."""
    if exact or system.n_state <= FULL_LIMIT:
        return _dense(system, x, u)
    found = _krylov(system, x, u)
    for i, one in enumerate(found):
        if one is None:
            (found[i],) = _dense(system, x[i : i + 1], u[i : i + 1])
    return [one for one in found if one is not None]


def _dense(system: System, x: Tensor, u: Tensor) -> list[Reading]:
    together = SIDE_BY_SIDE if system.n_state <= FULL_LIMIT else 1
    return [
        _sorted(values, system.kind)
        for rows in torch.split(torch.arange(len(x)), together)
        for values in torch.linalg.eigvals(_linearised(system, x[rows], u[rows]))
    ]


def _linearised(system: System, x: Tensor, u: Tensor) -> Tensor:
    A = system.jacobian(x, u)
    if system.kind is Kind.MAP:
        A.diagonal(dim1=1, dim2=2).add_(1.0)
    return A


def _sorted(values: Tensor, kind: Kind, exact: bool = True) -> Reading:
    """Leading first; of a complex pair the one of positive frequency first."""
    beyond = np.asarray(excess(values, kind))
    order = np.lexsort((-np.asarray(values.imag), -beyond))
    return Reading(np.asarray(values)[order], int((beyond > 0).sum()), exact)


def _krylov(system: System, x: Tensor, u: Tensor) -> list[Reading | None]:
    """By Ritz values; None where they leave the number of unstable directions open."""
    product = system.linearised(x, u)
    is_map = system.kind is Kind.MAP
    start = torch.randn(x.shape[1], generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    basis = Basis.starting(start.repeat(len(x), 1), min(SUBSPACE, x.shape[1]))
    m = basis.H.shape[2]
    for _ in range(m):
        basis.grow(lambda v: product(v) + v if is_map else product(v))
    values, Y = torch.linalg.eig(basis.H[:, :m])
    error = basis.H[:, m, m - 1].abs().unsqueeze(1) * Y[:, m - 1].abs()
    beyond = excess(values, system.kind)
    margin = error + MARGIN * values.abs().mean(dim=1, keepdim=True)
    unsure = (beyond.abs() <= margin).any(dim=1)
    return [None if unsure[i] else _leading(values[i], error[i], system.kind) for i in range(len(x))]


def _leading(values: Tensor, error: Tensor, kind: Kind) -> Reading:
    """The Ritz values from the first on, up to the first that is no eigenvalue yet."""
    reading = _sorted(values, kind, exact=False)
    order = np.lexsort((-np.asarray(values.imag), -np.asarray(excess(values, kind))))
    good = np.asarray(error)[order] <= KNOWN * float(values.abs().max())
    head = len(good) if good.all() else int(np.argmin(good))
    return Reading(reading.eigenvalues[: max(head, reading.n_unstable)], reading.n_unstable, exact=False)


def nearest(system: System, x: Tensor, u: Tensor, guess: complex) -> complex | None:
    """The eigenvalue at x (1, n) next to a guess, by inverse iteration; None where that does not settle.

    One complex factorisation instead of all eigenvalues, which cost four times as much at 500 units.
    """
    A = _linearised(system, x, u)[0].to(torch.complex128)
    A.diagonal().sub_(guess)
    LU, pivots, info = torch.linalg.lu_factor_ex(A)
    v = torch.randn(len(A), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(A)
    found: complex | None = None
    for _ in range(INVERSE_STEPS if int(info) == 0 else 0):
        v = v / v.norm()
        w = torch.linalg.lu_solve(LU, pivots, v)
        value = guess + 1 / complex((v.mH @ w).item())
        if found is not None and abs(value - found) <= SETTLED * max(abs(value), abs(guess)):
            return value
        found, v = value, w
    return None
