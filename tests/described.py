"""Points of a system whose states are known, described without the search: eigenvalues by numpy.linalg.eig."""

import numpy as np
import torch

from dynsys import Flow
from dynsys.result.fixed_points import FixedPoints, SearchReport


def described(system, states, inputs=None):
    """FixedPoints at ``states`` (k, n), the most stable first, under ``inputs`` (k, m), zeros unless given."""
    x = torch.as_tensor(np.atleast_2d(np.asarray(states, dtype=float)))
    u = torch.zeros(len(x), system.n_input, dtype=x.dtype) if inputs is None else torch.as_tensor(np.asarray(inputs))
    is_map = system.kind == "map"
    values, vectors = np.linalg.eig(system.jacobian(x, u).numpy() + is_map * np.eye(system.n_state))
    beyond = np.abs(values) - 1 if is_map else values.real
    order = np.lexsort((-values.imag, -beyond.round(10)))
    values = np.take_along_axis(values, order, axis=1).astype(complex)
    modes = np.take_along_axis(vectors.swapaxes(1, 2), order[:, :, None], axis=1).astype(complex)
    n_unstable = (beyond > 1e-9).sum(axis=1)
    marginal = (np.abs(beyond) <= 1e-9).any(axis=1)
    words = np.where(n_unstable > 0, np.where(n_unstable == system.n_state, "unstable node", "saddle"), "stable node")
    rows = np.argsort(n_unstable, kind="stable")
    report = SearchReport(len(x), 0, "none", 0.0, len(x), 0, {}, None, None, [], 0, np.unique(u, axis=0).tolist())
    return FixedPoints(
        states=x.numpy()[rows],
        q=np.zeros(len(x)),
        verdict=np.full(len(x), "fixed"),
        stability=np.where(marginal, "marginal", words)[rows],
        n_unstable=n_unstable[rows],
        eigenvalues=values[rows],
        modes=modes[rows],
        error_bound=np.full(len(x), 1e-14),
        readouts=system.readout(x).numpy()[rows],
        inputs=u.numpy()[rows],
        search=report,
        about={"kind": str(system.kind), "name": system.name, "n_state": system.n_state},
        system=system,
    )


def points_at(system, states, inputs=None) -> FixedPoints:
    """The given states as the result of a search, of which the modes read states, inputs and system alone."""
    states = np.atleast_2d(np.asarray(states, dtype=float))
    k, n = states.shape
    nothing = np.zeros((k, 0))
    return FixedPoints(
        states=states,
        q=np.zeros(k),
        verdict=np.full(k, "fixed"),
        stability=np.full(k, "saddle"),
        n_unstable=np.zeros(k, dtype=int),
        eigenvalues=nothing + 0j,
        modes=np.zeros((k, 0, n), dtype=complex),
        error_bound=np.zeros(k),
        readouts=nothing,
        inputs=np.zeros((k, system.n_input)) if inputs is None else np.asarray(inputs, dtype=float),
        search=None,
        about={"name": "made", "kind": str(system.kind), "n_state": n, "time_constant": system.time_constant},
        system=system,
    )


def linear(A, B=None, *, kind=Flow, **settings):
    """x' = A x + B u as a system, and its only point."""
    A = torch.as_tensor(np.array(A, dtype=float))
    B = torch.zeros(len(A), 0, dtype=A.dtype) if B is None else torch.as_tensor(np.array(B, dtype=float))
    system = kind(lambda x, u: x @ A.T + u @ B.T, n_state=len(A), n_input=B.shape[1], **settings)
    return points_at(system, np.zeros((1, len(A))))
