"""Basins with a proof: around each stable point an ellipsoid of states that are all certain to come to it.

Sampling shows where starts went; this says where every start goes. The ellipsoid is a level set of a quadratic Lyapunov
function that falls everywhere in it but at the point (``dynsys.lyapunov.contraction``).
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.io.record import Record, axes
from dynsys.io.text import sentence
from dynsys.lyapunov.ellipsoid import Ellipsoid, largest_ellipsoid
from dynsys.lyapunov.whole import contraction_rate, horizon
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone
from dynsys.proof.certificate import Reason as NoCertificate
from dynsys.proof.certificate import certify
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

HERE = "dynsys.lyapunov"
SCHEMA = "dynsys.certified_basins/1"
NOT_PROVED = "not proved"
ALL_AT_ZERO = 1e-6  # mean size of the states, up to which it says nothing about the size of a basin
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


@dataclass(frozen=True, eq=False)
class CertifiedBasins(Record, schema=SCHEMA, what="set of proved basins", remedy="prove the basins again"):
    """For k points of n state variables: every state within ``radius`` (k,) of ``states`` (k, n) comes to the point.

    ``ellipsoids`` (k, n, n) hold a matrix X each: so does every state x* + X y with |y| <= 1, x* being the true fixed
    point, which lies within ``error_bound`` (k,) of the state; |y| falls at each step by the factor ``rate`` (k,) at
    the least (map), or as exp(-rate t), t in units of the network's time constant (flow). ``reasons`` (k,) says why a
    point has none; its radius is 0, and the rest NaN. ``contraction`` is such a rate for any two states of the whole
    reachable box, where that is proved (``dynsys.lyapunov.whole``).
    """

    states: Array = field(metadata=axes("f k n"))
    radius: Array = field(metadata=axes("f k"))
    ellipsoids: Array = field(metadata=axes("f k n n"))
    rate: Array = field(metadata=axes("f k"))
    error_bound: Array = field(metadata=axes("f k"))
    reasons: NDArray[np.str_] = field(metadata=axes("s k"))
    kind: str
    contraction: float | None = None

    def __len__(self) -> int:
        return len(self.states)

    @property
    def has_surface(self) -> bool:
        """Whether there is a Lyapunov surface to draw, in a plane."""
        return bool((self.radius > 0).any()) and self.states.shape[1] >= 2

    def contains(self, i: int, x: Any) -> NDArray[np.bool_]:
        """Whether states (..., n) are certain to be in the ellipsoid of point i, wherever the true point is."""
        y = np.linalg.solve(self.ellipsoids[i], (np.asarray(x) - self.states[i])[..., None])[..., 0]
        inverse = np.linalg.norm(np.linalg.inv(self.ellipsoids[i]), 2) if self.radius[i] > 0 else np.inf
        return np.asarray(np.linalg.norm(y, axis=-1) + inverse * self.error_bound[i] <= 1 - 1e-9)

    def V(self, i: int, x: Any) -> Array:
        """The Lyapunov function of point i at states (..., n): |y|^2, 1 on the border of the ellipsoid."""
        y = np.linalg.solve(self.ellipsoids[i], (np.asarray(x) - self.states[i])[..., None])[..., 0]
        return np.asarray((y * y).sum(-1))

    def kinds(self, i: int) -> dict[str, str]:
        """The reason that proves each kind of stability of point i, or "not proved", which does not mean unstable.

        An equilibrium that is proved to be uniformly stable and convergent is asymptotically stable.
        """
        near = "a quadratic Lyapunov function falls in a proved ellipsoid" if self.radius[i] > 0 else NOT_PROVED
        if self.reasons[i] == Reason.UNSTABLE:
            near = f"not stable: {Reason.UNSTABLE}"
        everywhere = near if self.reasons[i] == Reason.UNSTABLE else NOT_PROVED
        if self.contraction is not None and self.radius[i] > 0:
            everywhere = "any two states of the reachable box come nearer to each other"
        return {
            "uniformly stable": near,
            "convergent": near,
            "asymptotically stable": near,
            "globally asymptotically stable in the reachable box": everywhere,
        }

    def summary(self) -> str:
        """In words: how many points have a proved basin, how large, and why others have none."""
        return sentence(HERE, "basins", self.facts())

    def facts(self) -> dict[str, Any]:
        proved = self.radius > 0
        why, counts = np.unique(self.reasons[~proved], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {
            "k": len(self),
            "proved": int(proved.sum()),
            "least": float(self.radius[proved].min()) if proved.any() else None,
            "most": float(self.radius[proved].max()) if proved.any() else None,
            "why": [(str(why[j]), int(counts[j])) for j in order],
            "contraction": self.contraction,
            "horizon": None if self.contraction is None else horizon(self.contraction, Kind(self.kind)),
            "kind": self.kind,
        }

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "id": i,
                "radius": float(self.radius[i]),
                "half_axes": np.linalg.svd(self.ellipsoids[i], compute_uv=False).tolist() if self.radius[i] else None,
                "rate": float(self.rate[i]) if self.radius[i] else None,
                "reason": str(self.reasons[i]),
                "kinds": self.kinds(i),
            }
            for i in range(len(self))
        ]
        return {
            "schema": SCHEMA,
            "summary": self.summary(),
            "kind": self.kind,
            "contraction": self.contraction,
            "points": rows,
        }

    def check(self) -> None:
        if ((self.radius > 0) != (self.reasons == "")).any():
            raise ValueError("its points have a radius and a reason to have none, or neither")


def certified_basins(
    points: FixedPoints, system: System | None = None, *, budget_seconds: float | Deadline | None = None
) -> CertifiedBasins:
    """Around each stable point the largest ellipsoid found that is proved to shrink, under the input held at it.

    ``system`` is that of the points where it is not given. When ``budget_seconds`` are over, points whose turn has not
    come get that as their reason. What is proved is about the network with the very float64 weights it holds, computed
    without rounding.

    Raises ValueError where the points have no system.
    """
    held = system or points.system
    if held is None:
        raise ValueError("these points were loaded without their system; give it: certified_basins(points, system)")
    if points.search.period > 1 and not isinstance(held, Iterated):
        held = Iterated(held, points.search.period)
    if points.states.shape[1] != held.n_state:
        raise ValueError(f"the points have {points.states.shape[1]} state variables, and the system has {held.n_state}")
    deadline = Deadline.of(budget_seconds)
    x, u = torch.as_tensor(points.states), torch.as_tensor(points.inputs)
    size = float(torch.linalg.vector_norm(x, dim=1).mean()) if len(x) else 0.0
    unit = size if size > ALL_AT_ZERO else 1.0
    rows = []
    with alone():
        for i in range(len(points)):
            reason = _unfit(points, i, held) or (Reason.OUT_OF_TIME if deadline.is_over else "")
            rows.append(_nothing(x[i], reason) if reason else _proved(held, x[i], u[i], unit))
        proved = [i for i, row in enumerate(rows) if row.radius > 0]
        alone_there = len(proved) == 1 and not deadline.is_over  # a contraction has one point, and no other
        rate = contraction_rate(held, u[proved], _linear(held, x[proved], u[proved])) if alone_there else None
    return dataclasses.replace(_gathered(rows, points, held), contraction=rate)


@dataclass(frozen=True)
class _Row:
    radius: float
    X: Array
    rate: float
    error_bound: float
    reason: str


def _unfit(points: FixedPoints, i: int, system: System) -> str:
    """Why no proof is tried."""
    if points.verdict[i] != "fixed":
        return Reason.SLOW
    if points.n_unstable[i] > 0:
        return Reason.UNSTABLE
    if points.stability[i] == "marginal":
        return Reason.MARGINAL
    return Reason.TOO_LARGE if system.n_state > MOST else ""


def _nothing(x: Tensor, reason: str, error: float = np.nan) -> _Row:
    return _Row(0.0, np.full((len(x), len(x)), np.nan), np.nan, error, reason)


def _proved(system: System, x: Tensor, u: Tensor, unit: float) -> _Row:
    certificate = certify(system, x[None], u[None], unit)
    if not bool(certificate.certified[0]):
        why = certificate.reasons[0]
        return _nothing(
            x, Reason.NO_CLOSED_FORM if why is NoCertificate.NO_CLOSED_FORM else f"{Reason.NO_ENCLOSURE}: {why}"
        )
    error = float(certificate.error_bound[0])
    found: Ellipsoid | None = largest_ellipsoid(system, x, u, error, _linear(system, x[None], u[None]), unit)
    if found is None or found.radius <= 0:
        return _nothing(x, Reason.NOT_FOUND, error)
    return _Row(found.radius, found.X.numpy(), found.rate, error, Reason.NONE)


def _linear(system: System, x: Tensor, u: Tensor) -> Array:
    """The linear system at one state, dG/dx of a map."""
    return np.asarray(system.jacobian(x, u)[0]) + np.eye(x.shape[1]) * (system.kind is Kind.MAP)


def _gathered(rows: list[_Row], points: FixedPoints, system: System) -> CertifiedBasins:
    k, n = points.states.shape
    columns = {f.name: [getattr(row, f.name) for row in rows] for f in dataclasses.fields(_Row)}
    return CertifiedBasins(
        states=points.states,
        radius=np.array(columns["radius"], dtype=np.float64),
        ellipsoids=np.array(columns["X"], dtype=np.float64).reshape(k, n, n),
        rate=np.array(columns["rate"], dtype=np.float64),
        error_bound=np.array(columns["error_bound"], dtype=np.float64),
        reasons=np.array(columns["reason"], dtype=np.str_),
        kind=str(system.kind),
    )
