"""Eigenvalues of matrices (..., n, n), also of those at which the LAPACK behind torch gives up.

The Hessenberg iteration of some builds does not converge for matrices of low rank, with dozens of eigenvalues 0; NumPy
brings a LAPACK of its own, which takes these.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]


def eig(A: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n) and right eigenvectors (..., n, n) in columns; raises LinAlgError where no library can.

    >>> eig(torch.diag(torch.tensor([1.0, 2.0])))[0]
    tensor([1.+0.j, 2.+0.j])
    """
    try:
        values, vectors = torch.linalg.eig(A)
    except LinAlgError:
        values, vectors = (torch.as_tensor(part).to(A.device) for part in np.linalg.eig(A.cpu().numpy()))
    return _complex(values, A), _complex(vectors, A)


def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues alone, (..., n)."""
    try:
        return torch.linalg.eigvals(A)
    except LinAlgError:
        return _complex(torch.as_tensor(np.linalg.eigvals(A.cpu().numpy())).to(A.device), A)


def _complex(values: Tensor, like: Tensor) -> Tensor:
    return values.to(torch.complex64 if like.dtype in (torch.float32, torch.complex64) else torch.complex128)
