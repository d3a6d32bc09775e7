"""Whether a point at which linear systems meet attracts or repels, whichever of them rules in its turn.

That each of them is stable by itself is no proof: trajectories that keep changing sides multiply different matrices,
and their products can grow (Carmona, Freire, Ponce & Torres 2006; Do & Baek 2006). It is one if all shrink in one norm.
That each has a direction of growth is none either, unless that direction stays on its side.
"""

from __future__ import annotations

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.systems.system import Kind

Array = NDArray[np.float64]

MARGIN = 1e-9  # by which a norm has to be below 1, or a rate below 0
PRODUCTS = 256  # of the matrices of all sides, looked at in one norm
NORMS_LIMIT = 128  # state variables, above which norms are not fitted to the matrices


def all_shrink(jacobians: Tensor, kind: Kind) -> bool:
    """Whether it is proved that 0 attracts if dF/dx is any of the ``jacobians`` (S, n, n) at any time."""
    A = jacobians.cpu().numpy()
    if _shrinks(_comparison(A, kind)):
        return True
    if kind is Kind.FLOW:
        return any(_decay_in(P, A) for P in _forms(A, kind))
    return any(_shrink_in(P, A + np.eye(A.shape[1])) for P in _forms(A, kind))


def all_shrink_within(A: Tensor, swing: Tensor, kind: Kind) -> bool:
    """The same for all matrices whose elements differ from those of A (n, n) by no more than ``swing`` (n, n)."""
    return _shrinks(_comparison(torch.stack([A - swing, A + swing]).cpu().numpy(), kind))


def all_grow(jacobians: Tensor, kind: Kind) -> bool:
    """The same of a point that repels in all directions."""
    if kind is Kind.FLOW:
        return all_shrink(-jacobians, kind)
    one = torch.eye(jacobians.shape[1], dtype=jacobians.dtype)
    inverse, failed = torch.linalg.inv_ex(jacobians.cpu() + one)
    return not bool(failed.any()) and all_shrink(inverse - one, kind)


def some_stay(jacobians: Tensor, normals: Tensor, signs: Tensor, kind: Kind) -> bool:
    """Whether a growing mode of one of the sides (S, n, n) leads straight away from 0 within its own side.

    The side is where the ``normals`` (S, k, n) of its kinks have the products of the ``signs`` (S, k), +1 or -1.
    """
    for A, N, sign in zip(jacobians.cpu().numpy(), normals.cpu().numpy(), signs.cpu().numpy(), strict=True):
        values, vectors = np.linalg.eig(A)
        growing = (np.abs(values.imag) <= MARGIN * np.abs(values)) & (values.real > MARGIN)
        for v in vectors[:, growing].real.T:
            along, slack = sign * (N @ v), MARGIN * np.linalg.norm(N, axis=1)
            if (along >= -slack).all() or (along <= slack).all():
                return True
    return False


def _comparison(A: Array, kind: Kind) -> Array:
    """dF/dx of a system without negative weights, of which the sizes of all variables in the others are no larger."""
    n = A.shape[1]
    if kind is Kind.MAP:
        return np.abs(A + np.eye(n)).max(0) - np.eye(n)
    M = np.abs(A).max(0)
    np.fill_diagonal(M, A.diagonal(axis1=1, axis2=2).max(0))
    return M


def _shrinks(M: Array) -> bool:
    """Whether 0 attracts where no variable lowers another: a real eigenvalue is the largest (Perron & Frobenius)."""
    return bool(np.linalg.eigvals(M).real.max(initial=-np.inf) < -MARGIN)


def _forms(A: Array, kind: Kind) -> list[Array]:
    """Quadratic forms (n, n) that may fall along all trajectories: those of each side, their sum, and the plain one."""
    n, forms = A.shape[1], list[Array]()
    one = np.eye(n)
    for side in A if n <= NORMS_LIMIT else A[:0]:
        try:
            if kind is Kind.FLOW:
                P = scipy.linalg.solve_continuous_lyapunov(side.T, -one)
            else:
                P = scipy.linalg.solve_discrete_lyapunov((side + one).T, one)
        except (np.linalg.LinAlgError, ValueError):
            continue
        forms.append((P + P.T) / np.linalg.norm(P))
    return [one, *forms, *([np.sum(forms, 0)] if len(forms) > 1 else [])]


def _decay_in(P: Array, A: Array) -> bool:
    """Whether x' P x falls along dx/dt = A x for each of the sides."""
    falls = P @ A
    return _is_form(P) and bool(np.linalg.eigvalsh(falls + falls.swapaxes(1, 2)).max() < -MARGIN)


def _shrink_in(P: Array, G: Array) -> bool:
    """Whether all products of so many of the matrices are smaller than 1 in the norm of P."""
    if not _is_form(P):
        return False
    L = np.linalg.cholesky(P).T
    steps = np.linalg.solve(L.T, (L @ G).swapaxes(1, 2)).swapaxes(1, 2)  # L G L^-1
    products = steps
    while True:
        if np.linalg.norm(products, 2, axis=(1, 2)).max() < 1 - MARGIN:
            return True
        if len(products) * len(steps) > PRODUCTS or len(steps) < 2:
            return False
        products = (products[:, None] @ steps[None]).reshape(-1, *steps.shape[1:])


def _is_form(P: Array) -> bool:
    """Whether P is finite and positive definite."""
    return bool(np.isfinite(P).all()) and bool(np.linalg.eigvalsh(P).min() > MARGIN * np.abs(P).max())
