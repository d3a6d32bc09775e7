"""A one-parameter family of systems, such as a network while it learns: what points are followed through.

Snapshots stand at places 0, 1, ..., S - 1. Between two of them the family may be anything smooth; at a snapshot its
rate of change may jump, as that of weights interpolated piece by piece does. So every step ends at a snapshot, not
across it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.systems.system import OfFunction, System

Array = NDArray[np.float64]

TRAINING = "step of training"  # what the parameter is of a network while it learns
DIFFERENCE = 1e-5  # of the way between two snapshots, over which dF/dp is taken where there is no closed form
KEPT = 8  # systems, the latest used
TRIED = 3  # snapshots, and states at each, at which oddness is tested
ODD = 1e-12  # relative to |F|, up to which F(-x) + F(x) counts as zero


class Family(abc.ABC):
    """Systems over a parameter s; ``steps`` (S,) are the values of s at the snapshots, rising. ``parameter`` names it.

    For developers: a new family gives ``at`` and, where there is a closed form, ``rate``. ``u`` (1, n_input) is the
    input held at every s.
    """

    parameter = "parameter"

    def __init__(self, steps: Any, u: Tensor | None = None) -> None:
        self.steps: Array = np.asarray(steps, dtype=np.float64)
        if self.steps.ndim != 1 or len(self.steps) < 2:
            raise ValueError(f"steps has shape {self.steps.shape}; points are followed over at least 2 snapshots")
        if not (np.isfinite(self.steps).all() and (np.diff(self.steps) > 0).all()):
            raise ValueError("steps must be finite numbers, each above the one before")
        self._system = lru_cache(maxsize=KEPT)(lambda p: self.at(self.time(p)))
        first = self.system(0.0)
        self.n_state, self.kind = first.n_state, first.kind
        self.u = torch.zeros(1, first.n_input, dtype=torch.float64) if u is None else u

    @abc.abstractmethod
    def at(self, s: float) -> System:
        """The system at the value s of the parameter."""

    def time(self, p: float) -> float:
        """The parameter at the place p, which counts snapshots."""
        i = min(max(int(p), 0), len(self.steps) - 2)
        return float(self.steps[i] + (p - i) * (self.steps[i + 1] - self.steps[i]))

    def told(self, s: float) -> str:
        """The value s of the parameter in words."""
        return f"{s:g}"

    def system(self, p: float) -> System:
        """The system at the place p; the latest few are kept, as corrections at a snapshot come to the same again."""
        return self._system(p)

    def velocity(self, x: Tensor, p: float) -> Tensor:
        """F (n,) at the state x (n,) and the place p."""
        return self.system(p).velocity(x[None], self.u)[0]

    def velocities(self, x: Tensor, p: Tensor) -> Tensor:
        """F (B, n) at states x (B, n), each at its own place p (B,)."""
        return torch.stack([self.velocity(*pair) for pair in zip(x, p.tolist(), strict=True)])

    def jacobian(self, x: Tensor, p: float) -> Tensor:
        """dF/dx (n, n)."""
        return self.system(p).jacobian(x[None], self.u)[0]

    def rate(self, x: Tensor, p: float, cell: int) -> Tensor:
        """dF/dp (n,) as p lies between the snapshots ``cell`` and ``cell + 1``, never across one."""
        h = DIFFERENCE
        p = min(max(p, cell), cell + 1)
        if cell + h <= p <= cell + 1 - h:
            return (self.velocity(x, p + h) - self.velocity(x, p - h)) / (2 * h)
        h = h if p < cell + 0.5 else -h
        near, far = self.velocity(x, p + h), self.velocity(x, p + 2 * h)
        return (4 * near - far - 3 * self.velocity(x, p)) / (2 * h)

    def box(self, p: float) -> tuple[Tensor, Tensor] | None:
        """Lower and upper bounds (n,) of the states that can be reached; None where there are none."""
        bounds = self.system(p).box(self.u)
        return None if bounds is None else (bounds[0][0], bounds[1][0])

    def is_odd(self) -> bool:
        """Whether F(-x) = -F(x) at every snapshot that is tried: then the points come in pairs x and -x."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(TRIED, self.n_state, generator=generator, dtype=torch.float64)
        u = self.u.expand(TRIED, -1)
        for p in np.linspace(0, len(self.steps) - 1, TRIED):
            system = self.system(float(p))
            F, mirrored = system.velocity(x, u), system.velocity(-x, u)
            if not bool(((F + mirrored).abs() <= ODD * F.abs().max()).all()):
                return False
        return True


class FamilyOf(Family):
    """A family given by a function from s to a system.

    A user's function is looked at at every snapshot, and once between them: there it is the same with other numbers.

    >>> from dynsys import Flow
    >>> fold = FamilyOf(lambda s: Flow(lambda x, u: s - x**2, n_state=1), np.linspace(-1, 1, 5))
    >>> fold.rate(torch.tensor([0.5], dtype=torch.float64), 1.0, 1).round(decimals=6)
    tensor([0.5000], dtype=torch.float64)
    """

    def __init__(
        self, make: Callable[[float], System], steps: Any, u: Tensor | None = None, parameter: str = "parameter"
    ) -> None:
        self._make, self.parameter = make, parameter
        self._looks: dict[Any, Any] = {}
        super().__init__(steps, u)

    def at(self, s: float) -> System:
        system = self._make(s)
        if isinstance(system, OfFunction):
            system.looks_with(self._looks, s if s in self.steps else None)
        return system
