"""Eigenvalues of matrices (..., n, n), also of those that the LAPACK behind torch cannot take.

Matrices most of whose rows or columns repeat, as sums of outer products of patterns of +-1 are, have dozens of exact
zeros for eigenvalues. MKL's driver for general matrices does not converge there, and at worst writes beyond its memory;
NumPy brings a LAPACK of its own, which takes them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

SMALL = 32  # rows, below which torch takes all of them
REPEATED = 0.5  # of the rows or of the columns, up to sign, from which on it does not


def eig(A: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n) and right eigenvectors (..., n, n) in columns; raises LinAlgError where no library can.

    >>> eig(torch.diag(torch.tensor([1.0, 2.0])))[0]
    tensor([1.+0.j, 2.+0.j])
    """
    if not _repeats(A):
        try:
            values, vectors = torch.linalg.eig(A)
            return values, vectors
        except LinAlgError:
            pass
    values, vectors = (torch.as_tensor(part).to(A.device) for part in np.linalg.eig(A.cpu().numpy()))
    return _complex(values, A), _complex(vectors, A)


def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues alone, (..., n)."""
    if not _repeats(A):
        try:
            return torch.linalg.eigvals(A)
        except LinAlgError:
            pass
    return _complex(torch.as_tensor(np.linalg.eigvals(A.cpu().numpy())).to(A.device), A)


def _repeats(A: Tensor) -> bool:
    """Whether any of the matrices has that many rows or columns that are the same but for their sign."""
    n = A.shape[-1]
    if n < SMALL:
        return False
    sums = (sizes.sum(dim) for sizes in A.detach().abs().reshape(-1, n, n).cpu() for dim in (0, 1))  # alike of the same
    return any(len(torch.unique(each)) <= (1 - REPEATED) * n for each in sums)


def _complex(values: Tensor, like: Tensor) -> Tensor:
    return values.to(torch.complex64 if like.dtype in (torch.float32, torch.complex64) else torch.complex128)
