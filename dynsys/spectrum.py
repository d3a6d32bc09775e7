"""Eigenvalues of the linearised system at many points: all of them where that is cheap, the leading ones above.

A flow is judged by dF/dx and the imaginary axis; a map by dG/dx = dF/dx + I and the unit circle. The *excess* of an
eigenvalue is how far it lies beyond that boundary: Re(l) for a flow, |l| - 1 for a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.ritz import RITZ_TOLERANCE, leading_pairs
from dynsys.system import Kind, System
from dynsys.threads import in_order

FULL_LIMIT = 256  # units, up to which every eigenvalue is computed
CHUNK = 16  # points of a larger system whose Krylov spaces are grown together
MODES = 8  # eigenvectors kept per point


@dataclass(frozen=True)
class Spectrum:
    """One point's eigenvalues, leading first (m,), their eigenvectors (min(m, MODES), n) and condition numbers (m,).

    A condition number is NaN where no left eigenvector is known (leading modes only).
    """

    eigenvalues: Tensor
    modes: Tensor
    condition: Tensor


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
    whole = torch.as_tensor(full).expand(len(x)) | (system.n_state <= FULL_LIMIT)
    chunks = torch.split(torch.arange(len(x)), 1 if bool(whole.all()) else CHUNK)

    def at(rows: Tensor) -> list[Spectrum]:
        here, held = x[rows], u[rows]
        found = [None] * len(rows) if bool(whole[rows].all()) else leading_spectra(system, here, held)
        leading = [None if bool(whole[row]) else s for row, s in zip(rows, found, strict=True)]
        return [s or _dense(system, here[i : i + 1], held[i : i + 1]) for i, s in enumerate(leading)]

    spectra: list[Spectrum] = []
    for chunk in in_order(at, chunks, workers):
        spectra += chunk
        if on_done is not None:
            on_done(len(chunk))
    return spectra


def _dense(system: System, x: Tensor, u: Tensor) -> Spectrum:
    A = system.jacobian(x, u)[0].cpu()
    if system.kind is Kind.MAP:
        A = A + torch.eye(len(A), dtype=A.dtype)
    eigenvalues, R = torch.linalg.eig(A)
    L, info = torch.linalg.inv_ex(R)
    condition = (L.norm(dim=1) * R.norm(dim=0)).nan_to_num(nan=torch.inf)
    if int(info) != 0:  # a Jordan block has no full set of eigenvectors
        condition = torch.full_like(condition, torch.inf)
    return sorted_spectrum(eigenvalues, R.T, condition, system.kind)


def leading_spectra(system: System, x: Tensor, u: Tensor) -> list[Spectrum | None]:
    """Leading modes of each point from two batched Arnoldi runs; None where only the full spectrum can be trusted."""
    pairs = leading_pairs(system, x, u, lambda values: excess(values, system.kind))
    result: list[Spectrum | None] = []
    for values, vectors in pairs:
        near_boundary = excess(values, system.kind).abs() < 10 * RITZ_TOLERANCE
        if len(values) == 0 or bool(near_boundary.any()):
            result.append(None)
        else:
            result.append(sorted_spectrum(values, vectors, torch.full_like(values.real, torch.nan), system.kind))
    return result


def sorted_spectrum(eigenvalues: Tensor, modes: Tensor, condition: Tensor, kind: Kind) -> Spectrum:
    """Leading first; of a complex pair the one with positive frequency first; modes of unit length and fixed phase."""
    ahead = excess(eigenvalues, kind).tolist()
    frequency = eigenvalues.imag.tolist()
    rows = torch.tensor(
        sorted(range(len(ahead)), key=lambda i: (-round(ahead[i], 10), -frequency[i])), dtype=torch.long
    )
    kept = modes[rows[:MODES]]
    largest = kept.gather(1, kept.abs().argmax(dim=1, keepdim=True))
    kept = kept * (largest.conj() / largest.abs()) / kept.norm(dim=1, keepdim=True)
    return Spectrum(eigenvalues[rows], kept, condition[rows])
