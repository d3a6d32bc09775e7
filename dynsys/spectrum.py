"""Eigenvalues of the linearised system at many points: all of them where that is cheap, the leading ones above.

Between ``VECTORS_LIMIT`` and ``FULL_LIMIT`` units those that decide on stability are in float64 and those well inside
the boundary in float32, unless the full spectrum is asked for.

A flow is judged by dF/dx and the imaginary axis; a map by dG/dx = dF/dx + I and the unit circle. The *excess* of an
eigenvalue is how far it lies beyond that boundary: Re(l) for a flow, |l| - 1 for a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynsys.ritz import RITZ_TOLERANCE, leading_pairs
from dynsys.system import Kind, System
from dynsys.threads import in_order

FULL_LIMIT = 256  # units, up to which every eigenvalue is computed
VECTORS_LIMIT = 64  # units, up to which all eigenvectors are computed with them
BATCH = 64  # points of a small system that share one call of LAPACK's wrapper
CHUNK = 16  # points of a larger system whose Krylov spaces are grown together
MODES = 8  # eigenvectors kept per point
NEAR_BOUNDARY = 1e-3  # relative to |A|: eigenvalues this near are refined in float64, and their condition is known
ILL_CONDITIONED = 100.0  # condition number of an eigenvalue, from which on single precision is not trusted with any
MOST_MOVED = 1e-4  # relative to |A|, that an eigenvalue may move when it is refined


@dataclass(frozen=True)
class Spectrum:
    """One point's eigenvalues, leading first (m,), eigenvectors of the first of them (at most MODES, n) and condition
    numbers (m,).

    A condition number is NaN where no left eigenvector is known: far inside the boundary, and of a large system.
    ``norm`` is that of J in which the error of an eigenvalue is measured.
    """

    eigenvalues: Tensor
    modes: Tensor
    condition: Tensor
    norm: float


def excess(eigenvalues: Tensor, kind: Kind) -> Tensor:
    """How far beyond the boundary of stability; negative is stable."""
    return eigenvalues.real if kind is Kind.FLOW else eigenvalues.abs() - 1


def spectra(
    system: System,
    x: Tensor,
    u: Tensor,
    *,
    full: bool | Tensor = False,
    workers: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> list[Spectrum]:
    """The spectrum at each of the states x (B, n); ``full`` (B,) or one for all asks for every eigenvalue at any size.

    ``on_done`` is told how many points have just been finished.
    """
    if len(x) == 0:
        return []
    n = system.n_state
    asked = torch.as_tensor(full).expand(len(x))
    whole = asked | (n <= FULL_LIMIT)
    together = BATCH if n <= VECTORS_LIMIT else 1 if bool(whole.all()) else CHUNK

    def at(rows: Tensor) -> list[Spectrum]:
        here, held = x[rows], u[rows]
        if n <= VECTORS_LIMIT:
            return _with_all_vectors(*_linearised(system, here, held), system.kind)
        found = [None] * len(rows) if bool(whole[rows].all()) else leading_spectra(system, here, held)
        leading = [None if bool(whole[row]) else s for row, s in zip(rows, found, strict=True)]
        return [
            s or _dense(system, here[i : i + 1], held[i : i + 1], bool(asked[row]) or n > FULL_LIMIT)
            for i, (row, s) in enumerate(zip(rows.tolist(), leading, strict=True))
        ]

    spectra: list[Spectrum] = []
    for chunk in in_order(at, torch.split(torch.arange(len(x)), together), workers):
        spectra += chunk
        if on_done is not None:
            on_done(len(chunk))
    return spectra


def _linearised(system: System, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices (B, n, n) whose eigenvalues decide, and the norms of J (B,)."""
    A = system.jacobian(x, u).cpu()
    norms = torch.linalg.matrix_norm(A)
    if system.kind is Kind.MAP:
        A.diagonal(dim1=1, dim2=2).add_(1.0)
    return A, norms


def _dense(system: System, x: Tensor, u: Tensor, full: bool) -> Spectrum:
    A, norms = _linearised(system, x, u)
    tries = (torch.float64,) if full else (torch.float32, torch.float64)
    for dtype in tries:
        found = _with_leading_vectors(A[0], float(norms), system.kind, dtype)
        if found is not None:
            return found
    return _with_all_vectors(A, norms, system.kind)[0]


def _with_all_vectors(A: Tensor, norms: Tensor, kind: Kind) -> list[Spectrum]:
    eigenvalues, R = torch.linalg.eig(A)
    L, info = torch.linalg.inv_ex(R)
    condition = (L.norm(dim=2) * R.norm(dim=1)).nan_to_num(nan=torch.inf)
    condition[info != 0] = torch.inf  # a Jordan block has no full set of eigenvectors
    points = zip(eigenvalues, R.mT, condition, norms.tolist(), strict=True)
    return [sorted_spectrum(*point, kind) for point in points]


def _with_leading_vectors(A: Tensor, norm: float, kind: Kind, dtype: torch.dtype) -> Spectrum | None:
    """All eigenvalues as ``dtype`` gives them, with vectors and in float64 those that decide; None if in doubt."""
    eigenvalues = torch.linalg.eigvals(A.to(dtype)).to(torch.complex128)
    ahead = excess(eigenvalues, kind)
    order = torch.argsort(ahead, descending=True, stable=True)
    wanted = max(1, int((ahead > -NEAR_BOUNDARY * float(eigenvalues.abs().max())).sum()))
    if wanted > MODES:
        return None
    head = order[: wanted + int(eigenvalues[order[wanted - 1]].imag != 0)]  # never half of a complex pair
    values, vectors, condition = _refined(A, eigenvalues[head])
    moved = (values - eigenvalues[head]).abs().max()
    if not bool((condition < ILL_CONDITIONED).all() & (moved <= MOST_MOVED * norm)):
        return None
    rest = order[len(head) :]
    conditions = torch.cat([condition, torch.full_like(ahead[rest], torch.nan)])
    return sorted_spectrum(torch.cat([values, eigenvalues[rest]]), vectors, conditions, norm, kind)


def _refined(A: Tensor, eigenvalues: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues (k,) in float64 from good guesses, their vectors (k, n) and condition numbers; inf where it fails."""
    real = eigenvalues.imag == 0
    values, condition = eigenvalues.clone(), torch.zeros_like(eigenvalues.real)
    vectors = torch.zeros(len(eigenvalues), len(A), dtype=eigenvalues.dtype)
    for rows, matrix, guess in (
        (real, A, eigenvalues[real].real),
        (~real, A.to(eigenvalues.dtype), eigenvalues[~real]),
    ):
        if len(guess):
            value, vector, condition[rows] = _inverse_iteration(matrix, guess)
            values[rows], vectors[rows] = value.to(values.dtype), vector.to(values.dtype)
    return values, vectors, condition


def _inverse_iteration(A: Tensor, guess: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rayleigh quotients (k,), right eigenvectors (k, n) and condition numbers (k,); inf where it fails.

    One factorisation of A - l I serves the right and the left vector: 1 / |y . x| is the condition number.
    """
    shifted = A - guess[:, None, None] * torch.eye(len(A), dtype=A.dtype)
    shifted.diagonal(dim1=1, dim2=2).sub_(torch.finfo(torch.float64).eps * A.norm())  # just beside the eigenvalue
    LU, pivots, _ = torch.linalg.lu_factor_ex(shifted)
    start = torch.randn(len(A), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(A.dtype)
    right = start.expand(len(guess), -1).unsqueeze(2)
    left = right
    for _ in range(3):
        right = torch.linalg.lu_solve(LU, pivots, right)
        left = torch.linalg.lu_solve(LU, pivots, left, adjoint=True)
        right, left = right / right.norm(dim=1, keepdim=True), left / left.norm(dim=1, keepdim=True)
    x, y = right.squeeze(2), left.squeeze(2)
    Ax, overlap = x @ A.T, (y.conj() * x).sum(1)
    value = (y.conj() * Ax).sum(1) / overlap
    error = (Ax - value.unsqueeze(1) * x).norm(dim=1)
    good = torch.isfinite(overlap.abs()) & (error <= 1e-12 * A.norm())
    return value, x, torch.where(good, 1 / overlap.abs(), torch.inf)


def leading_spectra(system: System, x: Tensor, u: Tensor) -> list[Spectrum | None]:
    """Leading modes of each point from two batched Arnoldi runs; None where only the full spectrum can be trusted."""
    pairs = leading_pairs(system, x, u, lambda values: excess(values, system.kind))
    result: list[Spectrum | None] = []
    norms = torch.cat([torch.linalg.matrix_norm(system.jacobian(x[i : i + 1], u[i : i + 1])) for i in range(len(x))])
    for (values, vectors), norm in zip(pairs, norms.tolist(), strict=True):
        near_boundary = excess(values, system.kind).abs() < 10 * RITZ_TOLERANCE
        if len(values) == 0 or bool(near_boundary.any()):
            result.append(None)
        else:
            result.append(sorted_spectrum(values, vectors, torch.full_like(values.real, torch.nan), norm, system.kind))
    return result


def sorted_spectrum(eigenvalues: Tensor, modes: Tensor, condition: Tensor, norm: float, kind: Kind) -> Spectrum:
    """Leading first; of a complex pair the one with positive frequency first; modes of unit length and fixed phase."""
    ahead = np.asarray(excess(eigenvalues, kind)).round(10)
    rows = torch.as_tensor(np.lexsort((-np.asarray(eigenvalues.imag), -ahead)))
    known = rows[rows < len(modes)]
    kept = modes[known[:MODES]]
    largest = kept.gather(1, kept.abs().argmax(dim=1, keepdim=True))
    kept = kept * (largest.conj() / largest.abs()) / kept.norm(dim=1, keepdim=True)
    return Spectrum(eigenvalues[rows], kept, condition[rows], norm)
