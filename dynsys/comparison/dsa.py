"""Dynamical similarity analysis (Ostrow et al. 2023): how far apart the motion of networks is, not their geometry.

The trajectories of each network are taken for those of a linear system in delayed coordinates; two such systems are
compared up to a rotation. All of it is done by the authors' own package, ``dsa-metric``, the extra ``dsa``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

METRICS = ("angular", "wasserstein")
MISSING = "dynamical similarity analysis needs the package dsa-metric: pip install 'dynsys-rnn[dsa]'"


def check_package() -> None:
    """Raise ValueError where the extra ``dsa`` is not installed."""
    if importlib.util.find_spec("DSA") is None:
        raise ValueError(MISSING)


def dynamical_distances(
    trajectories: Sequence[Array], *, metric: str = "wasserstein", delays: int = 5, rank: int = 20, seed: int = 0
) -> Array:
    """Distances (k, k) of k networks from their ``trajectories``, (trials, T, n_i) each, under the same inputs.

    ``metric`` is "wasserstein", the mean squared distance of the eigenvalues of the linear systems, paired at the
    least cost, or "angular", the angle in radians between these systems after the rotation that a descent comes to, as
    in the paper: where it ends depends on the coordinates, so that a rotated copy is at a small distance, and not at
    0. Raises ValueError where the extra is not installed.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; it can be {', '.join(METRICS)}")
    if len(trajectories) < 2 or any(np.ndim(x) != 3 for x in trajectories):
        given = ", ".join(str(np.shape(x)) for x in trajectories)
        raise ValueError(f"trajectories have shapes {given}; two networks or more need (trials, steps, units) each")
    check_package()
    import DSA

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the descent begins at random
        fitted = DSA.DSA(
            [np.asarray(x, dtype=np.float64) for x in trajectories],
            score_method=metric,
            n_delays=delays,
            rank=rank,
        )
        found = np.asarray(fitted.fit_score(), dtype=np.float64)
    return np.where(np.eye(len(found), dtype=bool), 0.0, found)
