"""How many unstable directions the points of a curve have, and their leading eigenvalues, as cheaply as that can be.

Up to ``FULL_LIMIT`` units by all eigenvalues. Above, Ritz values from one small Krylov space per point, all points of a
snapshot at once, come to the eigenvalues on the outside of the spectrum first (Saad 2011, section 6.7), among which are
the unstable ones; where their residuals leave it open on which side of the boundary one lies, all are computed: in
single precision, and in double where one is so near to the boundary that its side would be that of a rounding error.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.eigenvalues import eigvals
from dynsys.stability.spectrum import FULL_LIMIT, excess, leading_first, linearisation
from dynsys.stability.unstable import outer_values
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

ComplexArray = NDArray[np.complex128]

SUBSPACE = 64  # vectors of a Krylov space
KNOWN = 1e-3  # residual relative to the largest, up to which a Ritz value is given as an eigenvalue
SINGLE = 2e-5  # of |J|, within which a side told by single precision is not trusted; its errors were 3e-7 of it
MOST_REFINED = 8  # eigenvalues in double precision by themselves: all of them cost as much as that
INVERSE_STEPS, SETTLED = 30, 1e-9  # of inverse iteration, and the change of its eigenvalue at which it ends
SIDE_BY_SIDE = 16  # matrices whose eigenvalues are computed in one call


@dataclass(frozen=True, eq=False)
class Reading:
    """What the linearised system says at a point: the leading eigenvalues (m,), all unstable ones among them.

    ``whole`` says that all are there. Of a large system they are known to ``error``, in which those are that decided
    it by a Krylov space, and ``n_unstable`` is sure all the same.
    """

    eigenvalues: ComplexArray
    n_unstable: int
    whole: bool = True
    error: float = 0.0


def read(held: Held, x: Tensor, whole: list[bool] | None = None) -> list[Reading]:
    """A reading at each of the states x (B, n), of those in ``whole`` (B) with all eigenvalues."""
    if held.system.n_state <= FULL_LIMIT:
        return _dense(held, x)
    found: list[Reading | None] = [None] * len(x)
    some = [i for i in range(len(x)) if whole is None or not whole[i]]
    if some:
        for i, one in zip(some, _krylov(held[torch.tensor(some)], x[some]), strict=True):
            found[i] = one
    return [one or all_of(held[i : i + 1], x[i : i + 1]) for i, one in enumerate(found)]


def all_of(held: Held, x: Tensor, boundary: bool = False) -> Reading:
    """All eigenvalues of a large system at x (1, n), in single precision where that tells the sides of all of them.

    ``boundary`` says that some are on the boundary, and that their sides do not matter.
    """
    (A,), norms = linearisation(held, x)
    kind, size = held.system.kind, float(norms[0])
    if held.system.single_precision:
        values = eigvals(A.float()).to(torch.complex128)
        told = values if boundary else _sides_told(A, values, kind, SINGLE * size)
        if told is not None:
            return _sorted(told, kind, error=SINGLE * size)
    return _sorted(eigvals(A), kind)


def _sides_told(A: Tensor, values: Tensor, kind: Kind, error: float) -> Tensor | None:
    """The eigenvalues (n,) of A with those within ``error`` of the boundary in double precision; None where that fails,
    because there are too many or two of them come to the same."""
    unsure = (excess(values, kind).abs() <= error).nonzero().squeeze(1).tolist()
    if len(unsure) > MOST_REFINED:
        return None
    told: list[complex] = values.tolist()
    for k in unsure:
        guess = told[k]
        if guess.imag < 0:  # the second of a pair, which LAPACK gives after the first
            continue
        value = _next_to(guess, A)
        if value is None or abs(value - guess) > error or (value.imag > 0) != (guess.imag > 0) or value in told:
            return None
        told[k] = value
        if guess.imag > 0:
            told[k + 1] = value.conjugate()
    return torch.tensor(told, dtype=torch.complex128)


def precisely(held: Held, x: Tensor) -> Reading:
    """All eigenvalues at x (1, n) in double precision."""
    return _dense(held, x)[0]


def _dense(held: Held, x: Tensor) -> list[Reading]:
    together = SIDE_BY_SIDE if held.system.n_state <= FULL_LIMIT else 1
    return [
        _sorted(values, held.system.kind)
        for rows in torch.split(torch.arange(len(x)), together)
        for values in eigvals(linearisation(held[rows], x[rows])[0])
    ]


def _sorted(values: Tensor, kind: Kind, whole: bool = True, error: float = 0.0) -> Reading:
    ordered = np.asarray(values[leading_first(values, kind)])
    return Reading(ordered, int((excess(values, kind) > 0).sum()), whole, error)


def _krylov(held: Held, x: Tensor) -> list[Reading | None]:
    """By Ritz values; None where they leave the number of unstable directions open."""
    values, error, unsure = outer_values(held, x, SUBSPACE)
    return [None if unsure[i] else _leading(values[i], error[i], held.system.kind) for i in range(len(x))]


def _leading(values: Tensor, error: Tensor, kind: Kind) -> Reading:
    """The Ritz values from the first on, up to the first that is no eigenvalue yet."""
    known = KNOWN * float(values.abs().max())
    reading = _sorted(values, kind, whole=False, error=known)
    good = np.asarray(error[leading_first(values, kind)] <= known)
    head = len(good) if good.all() else int(np.argmin(good))
    return dataclasses.replace(reading, eigenvalues=reading.eigenvalues[: max(head, reading.n_unstable)])


def nearest(held: Held, x: Tensor, guess: complex) -> complex | None:
    """The eigenvalue at x (1, n) next to a guess, by inverse iteration; None where that does not settle.

    One complex factorisation instead of all eigenvalues, which cost four times as much at 500 units.
    """
    return _next_to(guess, linearisation(held, x)[0][0])


def _next_to(guess: complex, A: Tensor) -> complex | None:
    A = A.to(torch.complex128, copy=True)
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
