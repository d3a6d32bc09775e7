"""The modes of the linearised system at each point: how fast, how turning, what drives them, what shows them.

Near a point x* a small deviation is a sum of modes, x - x* = sum_j a_j r_j with a_j = l_j^H (x - x*), and each
amplitude obeys an equation of its own: tau a' = lambda a + p . du for a flow, a(t+1) = lambda a(t) + p . du for a map,
where p = l^H dF/du is how an input pushes along the mode. With left and right vectors far from parallel (non-normal)
sums of decaying modes can grow for a while: see ``reactivity`` (Trefethen & Embree 2005; Neubert & Caswell 1997).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.io.record import Record, axes, said
from dynsys.io.shown import Shown, Sight, complex_number
from dynsys.numerics.rounding import EPS
from dynsys.numerics.threads import in_order
from dynsys.result.fixed_points import FixedPoints
from dynsys.result.header import About
from dynsys.stability.classification import frequencies, time_constants
from dynsys.stability.eigenmodes import Eigenmodes, dense_modes, krylov_modes, largest_gain, numerical_abscissa
from dynsys.stability.spectrum import excess, linearisation
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

COUNT = 8  # modes given per point
BOUNDARY = 1e-6  # of the largest eigenvalue: how far a marginal point's may be off the boundary of stability
DENSE_LIMIT = 1000  # units, up to which all eigenvalues cost no more than Krylov spaces of A and of A^T


@dataclass(frozen=True, eq=False, repr=False)
class Modes(Shown, Record, schema="dynsys.modes/1", what="set of modes", remedy="compute the modes again"):
    """The leading m modes of k points, the fastest growing or slowest decaying first; short rows end in NaN.

    ``ids`` (k,) are the points' numbers. ``eigenvalues`` (k, m) of dF/dx (flow) or dG/dx (map); ``right`` (k, m, n)
    of unit length and ``left`` (k, m, n) with l^H r = 1; ``condition`` (k, m) = |l| |r|, infinite where the eigenvalue
    belongs to a Jordan block, which has no left vector of that kind (NaN, as its ``input_push`` then). In units of the
    system's time: ``time_constants`` (k, m), negative for growth, infinite on the boundary, and ``frequencies``
    (k, m). ``input_jacobian`` (k, n, n_input) is dF/du, ``input_push`` (k, m, n_input) = l^H dF/du, ``visibility``
    (k, m, n_output) how the readout moves along r.

    ``numerical_abscissa`` (k,) is the largest eigenvalue of the symmetric part of dF/dx, for a map of dG/dx - I.
    ``step_gain`` (k,) of a map is |dG/dx|_2, the most by which one step lengthens a deviation; NaN for a flow.
    ``reactivity`` (k,) is the largest rate, per unit of time, at which any deviation grows at first.
    """

    ids: NDArray[np.int64] = field(metadata=axes("i k"))
    eigenvalues: ComplexArray = field(metadata=axes("c k m"))
    right: ComplexArray = field(metadata=axes("c k m n"))
    left: ComplexArray = field(metadata=axes("c k m n"))
    condition: Array = field(metadata=axes("f k m"))
    time_constants: Array = field(metadata=axes("f k m"))
    frequencies: Array = field(metadata=axes("f k m"))
    input_jacobian: Array = field(metadata=axes("f k n u"))
    input_push: ComplexArray = field(metadata=axes("c k m u"))
    visibility: ComplexArray = field(metadata=axes("c k m o"))
    numerical_abscissa: Array = field(metadata=axes("f k"))
    step_gain: Array = field(metadata=axes("f k"))
    reactivity: Array = field(metadata=axes("f k"))
    about: dict[str, Any] = field(metadata=said(About, "system"))  # of the system, as ``FixedPoints.about``

    def __len__(self) -> int:
        return len(self.ids)

    def headline(self) -> str:
        return f"of {len(self)} points, up to {self.eigenvalues.shape[1]} each"

    def sight(self) -> Sight:
        """A row for each mode."""
        rows = [
            {
                "point": str(self.ids[i]),
                "mode": str(j + 1),
                "eigenvalue": complex_number(self.eigenvalues[i, j]),
                "time constant": f"{self.time_constants[i, j]:.4g}",
                "frequency": f"{self.frequencies[i, j]:.4g}",
                "condition": f"{self.condition[i, j]:.3g}",
            }
            for i, j in zip(*np.nonzero(~np.isnan(self.eigenvalues)), strict=True)
        ]
        return Sight(rows, right=list(rows[0]) if rows else ())

    @property
    def transient_growth(self) -> NDArray[np.bool_]:
        """(k,) where nothing grows in the end, and yet some deviation grows at first."""
        leading = self.time_constants[:, 0] if self.time_constants.shape[1] else np.zeros(len(self))
        return (leading > 0) & (self.reactivity > 0)

    def to_json(self, i: int, *, vectors: bool = False) -> dict[str, Any]:
        """Row i in words and numbers; a complex number is [re, im], and None stands for infinite and for none."""
        kept = np.flatnonzero(~np.isnan(self.eigenvalues[i])).tolist()
        return {
            "id": int(self.ids[i]),
            "numerical_abscissa": plain(self.numerical_abscissa[i]),
            "step_gain": plain(self.step_gain[i]),
            "reactivity": plain(self.reactivity[i]),
            "transient_growth": bool(self.transient_growth[i]),
            "modes": [self._mode(i, j, vectors) for j in kept],
        }

    def _mode(self, i: int, j: int, vectors: bool) -> dict[str, Any]:
        named = {
            "eigenvalue": self.eigenvalues,
            "time_constant": self.time_constants,
            "frequency": self.frequencies,
            "condition": self.condition,
            "input_push": self.input_push,
            "visibility": self.visibility,
        }
        named |= {"right": self.right, "left": self.left} if vectors else {}
        row = {key: plain(values[i, j]) for key, values in named.items()}
        return row | {"defective": bool(np.isinf(self.condition[i, j]))}


COMPLEX = ("eigenvalues", "right", "left", "input_push", "visibility")
PER_MODE = ("condition", "time_constants", "frequencies", *COMPLEX)
GROWTH = ("numerical_abscissa", "step_gain", "reactivity")


def linear_modes(
    points: FixedPoints,
    which: Any = None,
    count: int = COUNT,
    *,
    system: System | None = None,
    dense: bool | None = None,
    workers: int = 1,
) -> Modes:
    """The leading ``count`` modes of the points that ``which`` chooses (a mask, a slice or indices; None: all).

    One more is given where the last would be half of a complex pair. ``system`` is the network, by default the
    points' own; the modes of a cycle are those of the map applied once around it, in the time of one step. ``dense``
    says whether all eigenvalues are computed on the way, or Krylov spaces of A and A^T only; None: by size. Of
    eigenvalues that coincide without being defective the vectors are one choice among many. Raises ValueError where no
    system is at hand, and for a count below 1.
    """
    system = points.system if system is None else system
    if system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    if count < 1:
        raise ValueError(f"count is {count}; give at least one mode")
    searched, n = _searched(points, system), system.n_state
    ids = np.atleast_1d(np.arange(len(points))[slice(None) if which is None else which])
    whole = n <= (DENSE_LIMIT if dense is None else 4 * count) or dense is True

    def at(i: int) -> dict[str, NDArray[Any]]:
        x, held = torch.as_tensor(points.states[i : i + 1]), Held(searched, torch.as_tensor(points.inputs[i : i + 1]))
        marginal = points.stability[i] == "marginal" and not points.kinks[i]  # at a kink two Jacobians differ
        return _at_point(held, x, count, whole, bool(marginal))

    found = list(in_order(at, ids.tolist(), workers))
    width = max((len(one["eigenvalues"]) for one in found), default=0)
    trailing = {"right": (n,), "left": (n,), "input_push": (searched.n_input,), "visibility": (searched.n_output,)}
    arrays: dict[str, NDArray[Any]] = {}
    for key in PER_MODE:
        kind = np.complex128 if key in COMPLEX else np.float64
        arrays[key] = np.full((len(ids), width, *trailing.get(key, ())), np.nan, dtype=kind)
        for row, one in zip(arrays[key], found, strict=True):
            row[: len(one[key])] = one[key]
    for key, shape in {"input_jacobian": (n, searched.n_input), **dict.fromkeys(GROWTH, ())}.items():
        arrays[key] = np.array([one[key] for one in found], dtype=np.float64).reshape(len(ids), *shape)
    return Modes(ids=ids, **arrays, about=points.about)


def _searched(points: FixedPoints, system: System) -> System:
    """The system whose fixed points they are: of a search for cycles the map applied once around them."""
    period = getattr(points.search, "period", 1)
    return Iterated(system, period) if period > 1 and not isinstance(system, Iterated) else system


def _at_point(held: Held, x: Tensor, count: int, whole: bool, marginal: bool) -> dict[str, NDArray[Any]]:
    """Everything about the modes at one state x (1, n), by the names in ``Modes``."""
    system = held.system
    A = scipy.sparse.linalg.aslinearoperator(np.asarray(linearisation(held, x)[0][0])) if whole else _products(held, x)
    modes = dense_modes(A.A, count, system.kind) if whole else krylov_modes(A, count, system.kind)
    values, B = torch.as_tensor(modes.values), np.asarray(system.input_jacobian(x, held.u))[0]
    times = np.where(_on_boundary(modes, system, marginal), np.inf, np.asarray(time_constants(values, system)))
    right = torch.as_tensor(modes.right)
    here = x.expand(len(right), -1)
    seen = torch.complex(system.readout_product(here, right.real), system.readout_product(here, right.imag))
    abscissa, is_map = numerical_abscissa(A), system.kind is Kind.MAP
    gain = largest_gain(A) if is_map else np.nan
    with np.errstate(divide="ignore"):
        reactivity = np.log(gain) if is_map else abscissa
    return {
        "eigenvalues": modes.values,
        "right": modes.right,
        "left": modes.left,
        "condition": modes.condition,
        "time_constants": np.where(np.isinf(times), np.inf, times),  # on the boundary 0 has no sign that means a thing
        "frequencies": np.asarray(frequencies(values, system)),
        "input_jacobian": B,
        "input_push": modes.left.conj() @ B,
        "visibility": np.asarray(seen),
        "numerical_abscissa": np.array(abscissa - is_map),  # of dG/dx - I for a map
        "step_gain": np.array(gain),
        "reactivity": np.array(reactivity / system.time_constant),
    }


def _on_boundary(modes: Eigenmodes, system: System, marginal: bool) -> NDArray[np.bool_]:
    """Which modes (m,) neither fade nor grow, to rounding; at a marginal point the one nearest the boundary is there.

    Where F is not zero and q least, J^T F = 0: one eigenvalue of a slow point is 0 (of a map 1), whatever digits the
    computed one has. Where not all eigenvalues were asked for, that one may be none of them.
    """
    size = np.abs(np.asarray(excess(torch.as_tensor(modes.values), system.kind)))
    norm = float(np.abs(modes.values).max(initial=0.0))
    there: NDArray[np.bool_] = size <= 8 * EPS * norm * np.where(np.isfinite(modes.condition), modes.condition, 1.0)
    if marginal and len(size):
        known = len(size) == system.n_state or size.min() <= BOUNDARY * norm
        there |= known & (size <= size.min() * (1 + BOUNDARY))  # both of a pair
    return there


def _products(held: Held, x: Tensor) -> scipy.sparse.linalg.LinearOperator:
    """The matrix whose eigenvalues decide, by its products."""
    along, n, one = held.linearised(x), held.system.n_state, float(held.system.kind is Kind.MAP)

    def forward(v: Array) -> Array:
        v = v.reshape(1, -1)
        return np.asarray(along(torch.as_tensor(v)))[0] + one * v[0]

    def backward(v: Array) -> Array:
        v = v.reshape(1, -1)
        return np.asarray(held.transposed_product(x, torch.as_tensor(v)))[0] + one * v[0]

    return scipy.sparse.linalg.LinearOperator((n, n), matvec=forward, rmatvec=backward, dtype=np.float64)


def plain(values: Any) -> Any:
    """Numbers as JSON has them: complex ones as pairs, None for infinite ones and for none."""
    if np.ndim(values):
        return [plain(value) for value in values]
    if np.iscomplexobj(values):
        return [plain(values.real), plain(values.imag)]
    return float(values) if np.isfinite(values) else None
