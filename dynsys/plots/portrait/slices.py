"""Planes through a state space of any size, which a picture is drawn in: of components, modes, readouts or patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.numerics.eigenvalues import eig
from dynsys.plots import style
from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.spectrum import leading_first
from dynsys.systems.system import Kind, System
from dynsys.trajectories.projection import Projection, as_array

Array = NDArray[np.float64]

FLAT = 1e-9  # of the longer of two directions, what the other has to have across it; of the variance of points


@dataclass(frozen=True, eq=False)
class Plane:
    """Two orthonormal directions E (2, n) about a middle (n,), in units of ``unit``; ``names`` are of its axes."""

    middle: Array
    E: Array
    unit: float = 1.0
    names: tuple[str, str] = ("", "")

    @classmethod
    def through(cls, S: Array) -> Self:
        """Of two patterns and the origin, or of three; ValueError where these are in line."""
        if len(S) not in (2, 3):
            raise ValueError(f"{len(S)} patterns are given; a plane is that of 2 of them and the origin, or of 3")
        middle = np.zeros(S.shape[1]) if len(S) == 2 else S.mean(axis=0)
        E = _orthonormal((S - middle)[:2])
        if E is None:
            raise ValueError("these patterns span no plane: two are the same, or one is the negative of another")
        return cls(middle, E, float(np.linalg.norm(S - middle, axis=1).mean()))

    @classmethod
    def whole(cls) -> Self:
        """The phase plane itself, of two variables."""
        return cls(np.zeros(2), np.eye(2), names=("x<sub>1</sub>", "x<sub>2</sub>"))

    def places(self, x: Array) -> Array:
        """(..., n) as (..., 2)."""
        return np.asarray((x - self.middle) @ self.E.T / self.unit)

    def states(self, places: Array) -> Array:
        """(..., 2) as (..., n)."""
        return np.asarray(self.middle + self.unit * places @ self.E)

    def away(self, x: Array) -> Array:
        """How far states are from the plane, in its units."""
        return np.asarray(np.linalg.norm(x - self.states(self.places(x)), axis=-1) / self.unit)


def plane_of(
    system: System,
    points: FixedPoints | None,
    plane: Literal["components", "modes", "readouts"] | Any,
    through: int | Any | None,
) -> Plane:
    """The plane of the points' first two principal components, of a point's two leading modes, of the first two
    readouts, or of two directions (2, n); ``through`` is the number of a point or a state (n,).

    By default it goes through the middle of the points, that of modes through the first point. Raises ValueError where
    it cannot be told.
    """
    middle, number = _middle(system, points, plane, through)
    if isinstance(plane, str):
        if plane not in ("components", "modes", "readouts"):
            raise ValueError(f"plane is {plane!r}; it is 'components', 'modes', 'readouts' or two directions (2, n)")
        directions, names = {"components": _components, "modes": _modes, "readouts": _readouts}[plane](
            system, points, middle, number
        )
    else:
        directions, names = as_array(plane), ("direction 1", "direction 2")
        if directions.shape != (2, system.n_state):
            raise ValueError(f"the plane has shape {directions.shape}; two directions are (2, {system.n_state})")
    E = _orthonormal(directions)
    if E is None:
        raise ValueError("these directions span no plane; give two others: plane=(v, w)")
    return Plane(middle, E, names=names)


def _middle(system: System, points: FixedPoints | None, plane: Any, through: Any) -> tuple[Array, int]:
    if isinstance(through, int | np.integer):
        if points is None or not 0 <= through < len(points):
            raise ValueError(f"there is no point {through} that the plane could go through")
        return points.states[through], int(through)
    if through is not None:
        state = as_array(through)
        if state.shape != (system.n_state,):
            raise ValueError(f"through has shape {state.shape}; it is the number of a point, or a state")
        return state, 0
    if points is None or not len(points):
        return np.zeros(system.n_state), 0
    return (points.states[0], 0) if isinstance(plane, str) and plane == "modes" else (points.states.mean(axis=0), 0)


Told = tuple[Array, tuple[str, str]]


def _components(system: System, points: FixedPoints | None, middle: Array, number: int) -> Told:
    axes = Projection.fit(points.states, 2) if points is not None and len(points) else None
    if axes is None or axes.n_shown < 2 or axes.explained_variance_ratio[1] < FLAT:
        raise ValueError("the points span no plane; give another: plane='modes', 'readouts' or two directions (2, n)")
    first, second = (f"PC {i + 1} ({100 * share:.0f} %)" for i, share in enumerate(axes.explained_variance_ratio))
    return axes.components, (first, second)


def _modes(system: System, points: FixedPoints | None, middle: Array, number: int) -> Told:
    """The two leading modes of the point, or the real and imaginary part of a complex one."""
    if points is None or not len(points):
        raise ValueError("modes are those of a point; give points")
    x, u = torch.as_tensor(points.states[number])[None], torch.as_tensor(points.inputs[number])[None]
    J = system.jacobian(x, u)[0]
    spectrum, vectors = eig(J + torch.eye(len(J), dtype=J.dtype) if system.kind is Kind.MAP else J)
    order = leading_first(spectrum, system.kind)
    values, modes = spectrum[order].numpy(), vectors.mT[order].numpy()
    if values[0].imag:
        return np.stack([modes[0].real, modes[0].imag]), (f"mode {style.complex_text(values[0])}", "its other part")
    first, second = (f"mode {style.complex_text(value)}" for value in values[:2])
    return modes[:2].real, (first, f"{second}{', real part' if values[1].imag else ''}")


def _readouts(system: System, points: FixedPoints | None, middle: Array, number: int) -> Told:
    if system.n_output < 2:
        raise ValueError(f"the network has {system.n_output} readouts; their plane needs two")
    x = torch.as_tensor(middle).expand(system.n_state, -1).contiguous()
    slopes = as_array(system.readout_product(x, torch.eye(system.n_state, dtype=torch.float64)))[:, :2].T
    return slopes, ("along readout 0", "along readout 1, off readout 0")


def _orthonormal(directions: Array) -> Array | None:
    """(2, n) the first of them, and the second off the first; None where they are in line."""
    Q, R = np.linalg.qr(directions.T)
    if not np.isfinite(R).all() or abs(R[1, 1]) <= FLAT * np.abs(R).max() or R[0, 0] == 0:
        return None
    return np.asarray((Q * np.sign(R.diagonal())).T)
