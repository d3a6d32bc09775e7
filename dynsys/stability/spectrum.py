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

from dynsys.numerics.eigenvalues import eig
from dynsys.numerics.threads import in_order
from dynsys.stability.ritz import RITZ_TOLERANCE, leading_pairs
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

FULL_LIMIT = 256  # units, up to which every eigenvalue is computed
VECTORS_LIMIT = 64  # units, up to which all eigenvectors are computed with them
BATCH, BATCH_BYTES = 64, 64 * 2**20  # points whose matrices are worked on in one call, and what these may take
CHUNK = 16  # points of a larger system whose Krylov spaces are grown together
MODES = 8  # eigenvectors kept per point
NEAR_BOUNDARY = 1e-3  # relative to |A|: eigenvalues this near are refined in float64, and their condition is known
ILL_CONDITIONED = 100.0  # condition number of an eigenvalue, from which on single precision is not trusted with any
SINGLE = torch.finfo(torch.float32).eps
STEADY = 0.1  # of its way to the boundary, that rounding in single precision may move an eigenvalue
MOST_MOVED = 1e-4  # relative to |A|, that an eigenvalue may move when it is refined
STEEP = 1e3  # condition number, from which it is looked how near A is to one with an eigenvalue on the boundary
ROUGHLY = 1e-10  # relative to |A|, what A may be off where that is looked at; more is known of no such point


@dataclass(frozen=True)
class Spectrum:
    """One point's eigenvalues, leading first (m,), eigenvectors of the first of them (at most MODES, n) and condition
    numbers (m,).

    A condition number is NaN where no left eigenvector is known: far inside the boundary, and of a large system. It is
    0 where an eigenvalue is exact.
    ``norm`` is that of J in which the error of an eigenvalue is measured. ``clearance`` (m,) is how far at least A is
    from every matrix with an eigenvalue on the boundary beside this one; infinite where its condition tells enough.
    """

    eigenvalues: Tensor
    modes: Tensor
    condition: Tensor
    norm: float
    clearance: Tensor


def excess(eigenvalues: Tensor, kind: Kind) -> Tensor:
    """How far beyond the boundary of stability; negative is stable."""
    return eigenvalues.real if kind is Kind.FLOW else eigenvalues.abs() - 1


def spectra(
    held: Held,
    x: Tensor,
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
    n, kind = held.system.n_state, held.system.kind
    asked = torch.as_tensor(full).expand(len(x))
    together = max(1, min(BATCH, BATCH_BYTES // (8 * n**2))) if n <= FULL_LIMIT or bool(asked.all()) else CHUNK

    def at(rows: Tensor) -> list[Spectrum]:
        here, some, full = x[rows], held[rows], asked[rows]
        factors = some.system.factored_jacobian(here, some.u) if n > FULL_LIMIT else None
        if factors is not None:
            return [_of_factors(U, V, kind, bool(all_)) for U, V, all_ in zip(*factors, full, strict=True)]
        if n > FULL_LIMIT and not bool(full.all()):
            found = leading_spectra(some, here)
            return [
                _dense(some[i : i + 1], here[i : i + 1], full=True)[0] if s is None or bool(full[i]) else s
                for i, s in enumerate(found)
            ]
        return _dense(some, here, bool(full.all()) or n > FULL_LIMIT)

    spectra: list[Spectrum] = []
    for chunk in in_order(at, torch.split(torch.arange(len(x)), together), workers):
        spectra += chunk
        if on_done is not None:
            on_done(len(chunk))
    return spectra


def _of_factors(U: Tensor, V: Tensor, kind: Kind, full: bool) -> Spectrum:
    """The eigenvalues of U V^T - 1, for U and V (n, r): those of V^T U less 1, and exactly -1 for all that U does not
    reach, of which one stands for all unless the spectrum is to be ``full``."""
    n, r = U.shape
    core = V.T @ U
    values, R = eig(core)
    L, info = torch.linalg.inv_ex(R)
    right, left = U.to(R.dtype) @ R, V.to(R.dtype) @ L.mT  # of U V^T, where the value is not 0
    overlap = (left * right).sum(0).abs()
    condition = (left.norm(dim=0) * right.norm(dim=0) / overlap).nan_to_num(nan=torch.inf)
    condition = torch.where((info == 0) & (values != 0), condition, torch.inf)
    norm = float(((U.T @ U) * (V.T @ V)).sum() - 2 * core.trace() + n) ** 0.5
    rest = torch.full((n - r if full else 1,), -1.0, dtype=values.dtype)
    if kind is Kind.MAP:
        values, rest = values + 1, rest + 1
    return sorted_spectrum(
        torch.cat([values - 1, rest]), right.T.cpu(), torch.cat([condition, rest.real * 0]), norm, kind
    )


def linearisation(held: Held, x: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices (B, n, n) whose eigenvalues decide, and the norms of J (B,)."""
    A = held.jacobian(x).cpu()
    norms = torch.linalg.matrix_norm(A)
    if held.system.kind is Kind.MAP:
        A = A + torch.eye(A.shape[1], dtype=A.dtype)  # the system may keep its Jacobian
    return A, norms


def _dense(held: Held, x: Tensor, full: bool) -> list[Spectrum]:
    """All eigenvalues: of large matrices those well inside the boundary by single precision, where that is safe."""
    (A, norms), kind = linearisation(held, x), held.system.kind
    if A.shape[1] <= VECTORS_LIMIT:
        return _with_all_vectors(A, norms, kind)
    found: list[Spectrum | None] = [None] * len(A) if full else _with_leading_vectors(A, norms, kind)
    return [s or _with_all_vectors(A[i : i + 1], norms[i : i + 1], kind)[0] for i, s in enumerate(found)]


def _with_all_vectors(A: Tensor, norms: Tensor, kind: Kind) -> list[Spectrum]:
    if kind is Kind.MAP and bool((still := (A == 0).all(dim=2)).any()):
        return [_without_still(A[i], still[i], float(norms[i]), kind) for i in range(len(A))]
    eigenvalues, R = eig(A)
    L, info = torch.linalg.inv_ex(R)
    condition = (L.norm(dim=2) * R.norm(dim=1)).nan_to_num(nan=torch.inf)
    condition[info != 0] = torch.inf  # a Jordan block has no full set of eigenvectors
    rows = leading_first(eigenvalues, kind)
    modes = R.mT.gather(1, rows[:, :MODES, None].expand(-1, -1, A.shape[1]))
    eigenvalues, condition = eigenvalues.gather(1, rows), condition.gather(1, rows)
    clearance = _clearance(A, eigenvalues, condition, norms, kind)
    points = eigenvalues, _with_phase(modes), condition
    return [Spectrum(*point) for point in zip(*points, norms.tolist(), clearance, strict=True)]


def _clearance(A: Tensor, eigenvalues: Tensor, condition: Tensor, norms: Tensor, kind: Kind) -> Tensor:
    """The least singular value of A - b, b on the boundary beside each eigenvalue (B, m) that rounding may take there.

    By its condition alone an eigenvalue of a Jordan block could be anywhere, though A is far from any matrix of another
    stability; one of a matrix far from normal may be wrong in its first digit.
    """
    clearance = torch.full_like(condition, torch.inf)
    near = excess(eigenvalues, kind).abs() <= ROUGHLY * condition * norms[:, None]
    for i, j in (near & (condition > STEEP)).nonzero().tolist():
        value = complex(eigenvalues[i, j])
        b = 1j * value.imag if kind is Kind.FLOW else value / abs(value) if value else 1.0
        clearance[i, j] = torch.linalg.svdvals(A[i] - b * torch.eye(A.shape[1], dtype=torch.complex128))[-1]
    return clearance


def _without_still(A: Tensor, still: Tensor, norm: float, kind: Kind) -> Spectrum:
    """The spectrum of a map some of whose variables (n,) depend on none, like a ReLU unit that is off.

    Each gives an eigenvalue 0 that is exact, its condition therefore 0; the others are those of the rest of A, where
    the still variables cannot spoil them as a Jordan block of the whole would.
    """
    moving = (~still).nonzero().squeeze(1)
    zeros = torch.zeros(int(still.sum()), dtype=torch.complex128)
    if not len(moving):
        return sorted_spectrum(zeros, torch.eye(len(A), dtype=zeros.dtype), zeros.real, norm, kind)
    (rest,) = _with_all_vectors(A[moving][:, moving].unsqueeze(0), torch.tensor([norm], dtype=A.dtype), kind)
    modes = torch.zeros(len(rest.modes), len(A), dtype=zeros.dtype)
    modes[:, moving] = rest.modes
    values = torch.cat([rest.eigenvalues, zeros])
    clearance = torch.cat([rest.clearance, torch.full_like(zeros.real, torch.inf)])
    return sorted_spectrum(values, modes, torch.cat([rest.condition, zeros.real]), norm, kind, clearance)


def _with_leading_vectors(A: Tensor, norms: Tensor, kind: Kind) -> list[Spectrum | None]:
    """All eigenvalues by single precision, with vectors and in float64 those that decide; None where in doubt."""
    rough, R = eig(A.float())
    order = torch.argsort(excess(rough, kind), dim=1, descending=True, stable=True)
    eigenvalues = rough.gather(1, order).to(torch.complex128)
    steady = _keep_their_side(rough, R, norms, kind).gather(1, order)
    heads = [_deciding(values, kind) for values in eigenvalues]
    matrix = torch.tensor([i for i, k in enumerate(heads) for _ in range(k)], dtype=torch.long)
    guesses = torch.cat([values[:k] for values, k in zip(eigenvalues, heads, strict=True)])
    values, vectors, condition = _refined(A, matrix, guesses)
    sure = (condition < ILL_CONDITIONED) & ((values - guesses).abs() <= MOST_MOVED * norms[matrix])
    result: list[Spectrum | None] = []
    for i, k in enumerate(heads):
        mine = matrix == i
        if k == 0 or not bool(sure[mine].all() and steady[i, k:].all()):
            result.append(None)
            continue
        unknown = torch.full((A.shape[1] - k,), torch.nan, dtype=condition.dtype)
        all_values = torch.cat([values[mine], eigenvalues[i, k:]])
        all_conditions = torch.cat([condition[mine], unknown])
        result.append(sorted_spectrum(all_values, vectors[mine], all_conditions, float(norms[i]), kind))
    return result


def _keep_their_side(values: Tensor, R: Tensor, norms: Tensor, kind: Kind) -> Tensor:
    """Whether (B, m) rounding in single precision leaves each eigenvalue, of vectors R, on its side of the boundary.

    Far from normal it does not: what are two eigenvalues on the real axis, one beyond, may come as a pair inside.
    """
    L, info = torch.linalg.inv_ex(R)
    condition = (L.norm(dim=2) * R.norm(dim=1)).nan_to_num(nan=torch.inf)
    condition[info != 0] = torch.inf
    return SINGLE * condition * norms.unsqueeze(1) <= STEADY * excess(values, kind).abs()


def _deciding(values: Tensor, kind: Kind) -> int:
    """How many of the eigenvalues, sorted, decide on stability; 0 where they are more than ``MODES``."""
    near = -NEAR_BOUNDARY * float(values.abs().max())
    k = max(1, int((excess(values, kind) > near).sum()))
    k += int(bool(values[k - 1].imag > 0))  # never half of a complex pair
    return k if k <= MODES else 0


def _refined(A: Tensor, matrix: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues (k,) of A[matrix] in float64 from good guesses, their vectors (k, n) and condition numbers (k,)."""
    values, condition = guesses.clone(), torch.full_like(guesses.real, torch.inf)
    vectors = torch.zeros(len(guesses), A.shape[1], dtype=guesses.dtype)
    real = guesses.imag == 0
    for rows, dtype in ((real, A.dtype), (~real, guesses.dtype)):
        for some in torch.split(rows.nonzero().squeeze(1), max(1, BATCH_BYTES // (16 * A.shape[1] ** 2))):
            guess = guesses[some] if dtype.is_complex else guesses[some].real
            value, vector, condition[some] = _inverse_iteration(A[matrix[some]].to(dtype), guess)
            values[some], vectors[some] = value.to(values.dtype), vector.to(values.dtype)
    return values, vectors, condition


def _inverse_iteration(A: Tensor, guess: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rayleigh quotients (k,), right eigenvectors (k, n) and condition numbers (k,) of A (k, n, n); inf if it fails.

    One factorisation of A - l I serves the right and the left vector: 1 / |y . x| is the condition number.
    """
    size = torch.linalg.matrix_norm(A)
    beside = guess + torch.finfo(torch.float64).eps * size  # just beside the eigenvalue
    shifted = A.clone()
    shifted.diagonal(dim1=1, dim2=2).sub_(beside.unsqueeze(1))
    LU, pivots, _ = torch.linalg.lu_factor_ex(shifted)
    start = torch.randn(A.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(A.dtype)
    right = left = start.expand(len(guess), -1).unsqueeze(2)
    for _ in range(3):
        right = torch.linalg.lu_solve(LU, pivots, right)
        left = torch.linalg.lu_solve(LU, pivots, left, adjoint=True)
        right, left = right / right.norm(dim=1, keepdim=True), left / left.norm(dim=1, keepdim=True)
    x, y, Ax = right.squeeze(2), left.squeeze(2), (A @ right).squeeze(2)
    overlap = (y.conj() * x).sum(1)
    value = (y.conj() * Ax).sum(1) / overlap
    error = (Ax - value.unsqueeze(1) * x).norm(dim=1)
    good = torch.isfinite(overlap.abs()) & (error <= 1e-12 * size)
    return value, x, torch.where(good, 1 / overlap.abs(), torch.inf)


def leading_spectra(held: Held, x: Tensor) -> list[Spectrum | None]:
    """Leading modes of each point from two batched Arnoldi runs; None where only the full spectrum can be trusted."""
    kind = held.system.kind
    pairs = leading_pairs(held, x, lambda values: excess(values, kind))
    result: list[Spectrum | None] = []
    norms = torch.cat([torch.linalg.matrix_norm(held[i : i + 1].jacobian(x[i : i + 1])) for i in range(len(x))])
    for (values, vectors), norm in zip(pairs, norms.tolist(), strict=True):
        near_boundary = excess(values, kind).abs() < 10 * RITZ_TOLERANCE
        if len(values) == 0 or bool(near_boundary.any()):
            result.append(None)
        else:
            result.append(sorted_spectrum(values, vectors, torch.full_like(values.real, torch.nan), norm, kind))
    return result


def leading_first(eigenvalues: Tensor, kind: Kind) -> Tensor:
    """The order (..., n) of eigenvalues: by their excess, and of a complex pair the one of positive frequency first.

    Those that agree to ten decimals are ordered by frequency, so that rounding does not shuffle them.
    """
    ahead = np.asarray(excess(eigenvalues, kind)).round(10)
    return torch.as_tensor(np.lexsort((-np.asarray(eigenvalues.imag), -ahead)))


def sorted_spectrum(
    eigenvalues: Tensor, modes: Tensor, condition: Tensor, norm: float, kind: Kind, clearance: Tensor | None = None
) -> Spectrum:
    """Leading first; modes of unit length and fixed phase."""
    rows = leading_first(eigenvalues, kind)
    known = rows[rows < len(modes)]
    clearance = torch.full_like(condition, torch.inf) if clearance is None else clearance
    return Spectrum(eigenvalues[rows], _with_phase(modes[known[:MODES]]), condition[rows], norm, clearance[rows])


def _with_phase(modes: Tensor) -> Tensor:
    """Modes (..., n) of unit length, the largest component positive."""
    largest = modes.gather(-1, modes.abs().argmax(dim=-1, keepdim=True))
    return modes * (largest.conj() / largest.abs()) / modes.norm(dim=-1, keepdim=True)
