"""Basins with a proof: around each stable point an ellipsoid of states that are all certain to come to it.

Sampling shows where starts went; this says where every start goes. The ellipsoid is a level set of a quadratic Lyapunov
function that falls everywhere in it but at the point (``dynsys.lyapunov.contraction``). The energy of a network is a
Lyapunov function too, and may prove more (``dynsys.lyapunov.energy``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.io.record import ABSENT, Record, axes
from dynsys.io.shown import Shown, Sight
from dynsys.io.text import sentence
from dynsys.lyapunov.around_point import MOST, Reason, Row, linear_system, nothing, proved_row, unfit
from dynsys.lyapunov.energy import RateEnergy
from dynsys.lyapunov.energy_basins import Ball, Proof, by_energy, is_whole
from dynsys.lyapunov.inequality import check_solver
from dynsys.lyapunov.whole import contraction_rate, horizon
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.threads import alone, in_order
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

HERE = "dynsys.lyapunov"
SCHEMA = "dynsys.certified_basins/1"
NOT_PROVED = "not proved"
ALL_AT_ZERO = 1e-6  # mean size of the states, up to which it says nothing about the size of a basin
SAME = 1e-6  # of a usual state, within which a point is the mirror image of another


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedBasins(Shown, Record, schema=SCHEMA, what="set of proved basins", remedy="prove the basins again"):
    """For k points of n state variables: every state within ``radius`` (k,) of ``states`` (k, n) comes to the point.

    ``ellipsoids`` (k, n, n) hold a matrix X each: so does every state x* + X y with |y| <= 1, x* being the true fixed
    point, which lies within ``error_bound`` (k,) of the state; |y| falls at each step by the factor ``rate`` (k,) at
    the least (map), or as exp(-rate t), t in units of the network's time constant (flow). Where there is no ellipsoid
    these are NaN. ``proofs`` (k,) tell what proves the ball, ``reasons`` (k,) why there is none; its radius is 0.

    Where the network has an energy (``has_energy``), ``levels`` (k,) are heights above that of the point: the connected
    part around the point of all states with less comes to it (NaN: not proved). ``alone``: it has an energy, and one
    point of rest is proved to be all there is. ``contraction`` is a rate at which any two states of the whole reachable
    box come nearer to each other, where that is proved (``dynsys.lyapunov.whole``).
    """

    states: Array = field(metadata=axes("f k n"))
    radius: Array = field(metadata=axes("f k"))
    ellipsoids: Array = field(metadata=axes("f k n n"))
    rate: Array = field(metadata=axes("f k"))
    error_bound: Array = field(metadata=axes("f k"))
    reasons: NDArray[np.str_] = field(metadata=axes("s k"))
    kind: str
    contraction: float | None = None
    proofs: NDArray[np.str_] = field(default=ABSENT, metadata=axes("s k", ""))
    levels: Array = field(default=ABSENT, metadata=axes("f k", np.nan))
    has_energy: bool = False
    alone: bool = False

    def __len__(self) -> int:
        return len(self.states)

    @property
    def has_ellipsoid(self) -> NDArray[np.bool_]:
        """(k,) which points have one."""
        return np.isfinite(self.rate)

    @property
    def has_surface(self) -> bool:
        """Whether there is a Lyapunov surface to draw, in a plane."""
        return bool(self.has_ellipsoid.any()) and self.states.shape[1] >= 2

    def contains(self, i: int, x: Any) -> NDArray[np.bool_]:
        """Whether states (..., n) are certain to be in the ellipsoid or in the ball of point i."""
        away = np.asarray(x) - self.states[i]
        inside = np.linalg.norm(away, axis=-1) < self.radius[i] * (1 - 1e-9)
        if self.has_ellipsoid[i]:
            y = np.linalg.solve(self.ellipsoids[i], away[..., None])[..., 0]
            inverse = np.linalg.norm(np.linalg.inv(self.ellipsoids[i]), 2)
            inside = inside | (np.linalg.norm(y, axis=-1) + inverse * self.error_bound[i] <= 1 - 1e-9)
        return np.asarray(inside)

    def V(self, i: int, x: Any) -> Array:
        """The Lyapunov function of point i at states (..., n): |y|^2, 1 on the border of the ellipsoid."""
        y = np.linalg.solve(self.ellipsoids[i], (np.asarray(x) - self.states[i])[..., None])[..., 0]
        return np.asarray((y * y).sum(-1))

    def kinds(self, i: int) -> dict[str, str]:
        """The reason that proves each kind of stability of point i, or "not proved", which does not mean unstable.

        An equilibrium that is proved to be uniformly stable and convergent is asymptotically stable.
        """
        near = str(self.proofs[i]) or NOT_PROVED
        if self.has_ellipsoid[i] and self.proofs[i] != Proof.ELLIPSOID:
            near = f"{Proof.ELLIPSOID}; in a larger ball {near}"
        if self.reasons[i] == Reason.UNSTABLE:
            near = f"not stable: {Reason.UNSTABLE}"
        everywhere = near if self.reasons[i] == Reason.UNSTABLE else NOT_PROVED
        if self.contraction is not None and self.radius[i] > 0:
            everywhere = "any two states of the reachable box come nearer to each other"
        elif self.radius[i] > 0 and self.alone:
            everywhere = (
                "the energy falls along every path but at rest, and this is proved to be the only point of rest"
            )
        return {
            "uniformly stable": near,
            "convergent": near,
            "asymptotically stable": near,
            "globally asymptotically stable in the reachable box": everywhere,
        }

    def headline(self) -> str:
        return self.summary()

    def sight(self) -> Sight:
        """A row for each point: the radius that is proved and the rate of approach, or why there is none."""
        rows = [
            {"id": str(i), "radius": f"{self.radius[i]:.3g}", "rate": f"{self.rate[i]:.3g}", "reason": ""}
            if self.radius[i] > 0
            else {"id": str(i), "radius": "none", "rate": "", "reason": str(self.reasons[i])}
            for i in range(len(self))
        ]
        return Sight(rows, [self.summary()], right=("id", "radius", "rate"))

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
            "by_energy": int(np.isin(self.proofs, (Proof.WALLS, Proof.EXITS)).sum()),
            "alone": self.alone,
            "has_energy": self.has_energy,
        }

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "id": i,
                "radius": float(self.radius[i]),
                "half_axes": np.linalg.svd(self.ellipsoids[i], compute_uv=False).tolist()
                if self.has_ellipsoid[i]
                else None,
                "rate": float(self.rate[i]) if self.has_ellipsoid[i] else None,
                "proof": str(self.proofs[i]),
                "energy_level": float(self.levels[i]) if np.isfinite(self.levels[i]) else None,
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
    points: FixedPoints,
    system: System | None = None,
    *,
    lmi: bool = False,
    budget_seconds: float | Deadline | None = None,
    workers: int | None = None,
) -> CertifiedBasins:
    """Around each stable point the largest ellipsoid found that is proved to shrink, under the input held at it.

    ``system`` is that of the points where it is not given. With ``lmi`` a norm in which the whole network contracts is
    sought by a linear matrix inequality too, which needs the extra of that name. When ``budget_seconds`` are over,
    points whose turn has not come get that as their reason. The numbers are the same on any number of ``workers``
    (threads; as many as torch uses, if not given). What is proved is about the network with the very float64
    weights it holds, computed without rounding.

    Raises ValueError where the points have no system, and where the extra is missing.
    """
    if lmi:
        check_solver()
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
    energies = [held.energy_function(u[i : i + 1]) for i in range(len(x))]

    mirrored = _mirrored(x, u, SAME * unit)
    rows: dict[int, Row] = {}

    def row(i: int) -> Row:
        reason = unfit(points, i) or (Reason.OUT_OF_TIME if deadline.is_over else "")
        if held.n_state > MOST and not isinstance(energies[i], RateEnergy):
            reason = reason or Reason.TOO_LARGE
        like = rows[mirrored[i]].found if i in mirrored else None
        return nothing(x[i], reason) if reason else proved_row(held, x[i], u[i], unit, like)

    for some in ([i for i in range(len(x)) if i not in mirrored], list(mirrored)):
        rows |= dict(zip(some, in_order(row, some, workers or torch.get_num_threads()), strict=True))
    with alone():
        found = _gathered([rows[i] for i in range(len(x))], points, held)
        found = _larger(found, by_energy(held, points, found.error_bound, found.radius > 0, deadline))
        proved = np.flatnonzero(found.radius > 0)
        single = len(proved) == 1 and not deadline.is_over  # a contraction has one point, and no other
        rate = contraction_rate(held, u[proved], linear_system(held, x[proved], u[proved]), lmi=lmi) if single else None
    has_energy = len(x) > 0 and all(energy is not None for energy in energies)
    whole = has_energy and held.box_is_trapping and len(x) == 1 and is_whole(points)
    only = whole or bool(np.isinf(found.levels).any())
    return dataclasses.replace(found, contraction=rate, has_energy=has_energy, alone=only)


def _mirrored(x: Tensor, u: Tensor, within: float) -> dict[int, int]:
    """Numbers of points with those of earlier ones, under the same input, of which they are the mirror images."""
    apart = torch.cdist(x, -x) + torch.where(torch.cdist(u, u) > 0, torch.inf, 0.0)
    earlier = torch.tril(apart <= within, -1)
    return {i: int(earlier[i].int().argmax()) for i in range(len(x)) if bool(earlier[i].any())}


def _larger(found: CertifiedBasins, balls: list[Ball]) -> CertifiedBasins:
    """With the ball of the energy where that is larger."""
    other = np.array([ball.radius for ball in balls], dtype=np.float64)
    better = other > found.radius
    return dataclasses.replace(
        found,
        radius=np.where(better, other, found.radius),
        reasons=np.where(better, Reason.NONE, found.reasons),
        proofs=np.where(better, [str(ball.proof) for ball in balls], found.proofs),
        levels=np.array([ball.level for ball in balls], dtype=np.float64),
    )


def _gathered(rows: list[Row], points: FixedPoints, system: System) -> CertifiedBasins:
    k, n = points.states.shape
    columns = {f.name: [getattr(row, f.name) for row in rows] for f in dataclasses.fields(Row)}
    return CertifiedBasins(
        states=points.states,
        radius=np.array(columns["radius"], dtype=np.float64),
        ellipsoids=np.array(columns["X"], dtype=np.float64).reshape(k, n, n),
        rate=np.array(columns["rate"], dtype=np.float64),
        error_bound=np.array(columns["error_bound"], dtype=np.float64),
        reasons=np.array(columns["reason"], dtype=np.str_),
        kind=str(system.kind),
        proofs=np.where([row.radius > 0 for row in rows], Proof.ELLIPSOID, Proof.NONE).astype(np.str_),
    )
