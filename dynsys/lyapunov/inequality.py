"""A norm in which a whole network contracts, sought by a linear matrix inequality.

With secants between any two states of the box as in ``whole``, the change of their difference d is K (d, w), where
every channel obeys |w_j| <= |z_j|, z = Z (d, w). A norm d^T P d shrinks by rho^2 a step if, with T diagonal and > 0,

    K^T P K + Z^T T Z <= diag(rho^2 P, T)        (map; of a flow K^T P + P K in place of K^T P K, and 0 of rho^2 P)

(Boyd et al. 1994, section 5.1). P and T are what a solver finds; they prove nothing before they are checked with all
rounding inside, as every other norm is.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.lyapunov.contraction import Form
from dynsys.systems.system import Kind

Array = NDArray[np.float64]

FULL = 24  # state variables, up to which P is a whole matrix; above it is diagonal, as the solver takes n^4 and more
MARGIN = 1e-3  # by which the inequality is to hold, so that it does with rounding
SECONDS, ACCURACY = 30.0, 1e-5  # of the solver
MISSING = (
    "a linear matrix inequality needs the packages cvxpy and scs: pip install 'dynsys-rnn[lmi]' (or leave out the lmi)"
)


def check_solver() -> None:
    """Raise ValueError where the extra ``lmi`` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("cvxpy", "scs")):
        raise ValueError(MISSING)


def solved(form: Form, seconds: float = SECONDS) -> tuple[Array, Array] | None:
    """P (n, n), its largest eigenvalue 1, and the squares of the channels' weights (q,) beside it; None where none is.

    ``form`` is that of the differences themselves. Nothing is proved by it.
    """
    import cvxpy as cp

    n, K, Z = form.n, form.K.numpy(), form.Z.numpy()
    P = cp.Variable((n, n), PSD=True) if n <= FULL else cp.diag(cp.Variable(n, nonneg=True))
    t = cp.Variable(len(Z), nonneg=True)
    held = Z.T @ cp.diag(t) @ Z if len(Z) else np.zeros((K.shape[1],) * 2)
    own = cp.bmat(_blocks(cp, P, t, K.shape[1] - n, form.kind))
    change = K.T @ P @ K if form.kind is Kind.MAP else _symmetric(cp, P, K, n)
    constraints = [change + held << own, P << np.eye(n), cp.trace(P) >= 1e-3, P >> 1e-4 * np.eye(n)]
    slack = cp.Variable()
    constraints[0] = change + held - own << -slack * np.eye(K.shape[1])
    problem = cp.Problem(cp.Maximize(slack), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution is looked at all the same
        try:
            problem.solve(solver="SCS", eps=ACCURACY, time_limit_secs=seconds)
        except cp.SolverError:
            return None
    if P.value is None or t.value is None or not np.isfinite(P.value).all():
        return None
    found = np.asarray((P.value + P.value.T) / 2)
    largest = float(np.linalg.eigvalsh(found)[-1])
    return found / largest, np.maximum(t.value, 0.0) / largest


def _blocks(cp: Any, P: Any, t: Any, q: int, kind: Kind) -> list[list[Any]]:
    """diag((1 - margin) P, T), or diag(-margin P, T)."""
    n = P.shape[0]
    own = (1 - MARGIN) * P if kind is Kind.MAP else -MARGIN * P
    return [[own, np.zeros((n, q))], [np.zeros((q, n)), cp.diag(t)]] if q else [[own]]


def _symmetric(cp: Any, P: Any, K: Array, n: int) -> Any:
    """K^T P + P K, with the rows of the channels."""
    wide = np.eye(n, K.shape[1])
    return wide.T @ P @ K + K.T @ P @ wide
