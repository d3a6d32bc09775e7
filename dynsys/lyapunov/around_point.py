"""Around one stable point: the largest ellipsoid found that is proved to shrink, or why there is none."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dynsys.lyapunov.ellipsoid import Ellipsoid, largest_ellipsoid, proved_ellipsoid
from dynsys.proof.certificate import Reason as NoCertificate
from dynsys.proof.certificate import certify
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

MOST = 512  # state variables: the matrices of the proof have a few rows for each


class Reason(enum.StrEnum):
    """Why a point has no ellipsoid; ``NONE`` where it has one."""

    NONE = ""
    SLOW = "it is a slow point, and no fixed point"
    UNSTABLE = "it is unstable: states as near as you like leave it"
    MARGINAL = "it is marginal: its eigenvalues do not decide whether states near it stay"
    NO_CLOSED_FORM = "no closed form of this network's function is known, and nothing is proved by samples"
    TOO_LARGE = f"the network has more than {MOST} state variables"
    NO_ENCLOSURE = "no fixed point is proved to be there"
    NOT_FOUND = "none of the quadratic functions that were tried falls all around it"
    OUT_OF_TIME = "the time was over before its turn came"


@dataclass(frozen=True)
class Row:
    radius: float
    X: Array
    rate: float
    error_bound: float
    reason: str
    found: Ellipsoid | None = None


def unfit(points: FixedPoints, i: int) -> str:
    """Why no proof is tried."""
    if points.verdict[i] != "fixed":
        return Reason.SLOW
    if points.n_unstable[i] > 0:
        return Reason.UNSTABLE
    if points.stability[i] == "marginal":
        return Reason.MARGINAL
    return Reason.NONE


def nothing(x: Tensor, reason: str, error: float = np.nan) -> Row:
    return Row(0.0, np.full((len(x), len(x)), np.nan), np.nan, error, reason)


def proved_row(system: System, x: Tensor, u: Tensor, unit: float, like: Ellipsoid | None) -> Row:
    """The ellipsoid ``like``, of the mirror image of x, is tried before any is sought: it is that of an odd network."""
    certificate = certify(Held(system, u[None], unit), x[None])
    if not bool(certificate.certified[0]):
        why = certificate.reasons[0]
        return nothing(
            x, Reason.NO_CLOSED_FORM if why is NoCertificate.NO_CLOSED_FORM else f"{Reason.NO_ENCLOSURE}: {why}"
        )
    error = float(certificate.error_bound[0])
    if system.n_state > MOST:
        return nothing(x, Reason.TOO_LARGE, error)
    found = None if like is None else proved_ellipsoid(system, x, u, error, like.R, like.weights)
    if found is None:
        found = largest_ellipsoid(system, x, u, error, linear_system(system, x[None], u[None]), unit)
    if found is None:
        return nothing(x, Reason.NOT_FOUND, error)
    return Row(found.radius, found.X.numpy(), found.rate, error, Reason.NONE, found)


def linear_system(system: System, x: Tensor, u: Tensor) -> Array:
    """The linear system at one state, dG/dx of a map."""
    return np.asarray(system.jacobian(x, u)[0]) + np.eye(x.shape[1]) * (system.kind is Kind.MAP)
