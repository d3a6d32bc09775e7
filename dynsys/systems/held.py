"""What stays while states move: a system, the inputs it is held at, and what counts as far for its states.

``Held`` is what functions of states are handed; ``HeldInput`` is a system again, where something asks for one.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Product, Reduction, System

if TYPE_CHECKING:
    from dynsys.proof.functions.enclosure import Enclosed


@dataclass(frozen=True, slots=True)
class Held:
    """``system`` under inputs u (B, n_input), one for each state x (B, n) of a batch.

    ``unit`` is the usual size of a state. It is NaN where nobody has said it, so that nothing passes for near or small.
    """

    system: System
    u: Tensor
    unit: float = math.nan

    def __len__(self) -> int:
        return len(self.u)

    def __getitem__(self, rows: Tensor | slice) -> Held:
        return Held(self.system, self.u[rows], self.unit)

    def measured(self, x: Tensor) -> Held:
        """With the norm of a usual one of the states x (k, n) as unit, but no more than half the diagonal of the
        reachable box, which may lie far out."""
        sizes, box = vector_norm(x, dim=1), self.system.box(self.u[:1])
        sizes = sizes[torch.isfinite(sizes)]
        unit = float(sizes.median()) if len(sizes) else 1.0
        if box is not None:
            unit = min(unit, float((box[1] - box[0]).norm()) / 2)
        return Held(self.system, self.u, unit or 1.0)

    def of(self, system: System) -> Held:
        """Another system with such states at the same inputs."""
        return Held(system, self.u, self.unit)

    def expand(self, n: int) -> Held:
        """Of one input (1, n_input): that same one for n states."""
        return Held(self.system, self.u.expand(n, -1), self.unit)

    def repeat(self, k: int) -> Held:
        """For k batches of states on end."""
        return Held(self.system, self.u.repeat(k, 1), self.unit)

    def is_inside(self, x: Tensor, share: float = 1e-9) -> Tensor:
        """Where (B,) x is in the reachable box, but for a share of its width for rounding; without one, finite."""
        box = self.system.box(self.u)
        if box is None:
            return torch.isfinite(x).all(dim=1)
        low, high = box
        margin = share * (high - low)
        return ((x >= low - margin) & (x <= high + margin)).all(dim=1)

    def velocity(self, x: Tensor) -> Tensor:
        return self.system.velocity(x, self.u)

    def jacobian(self, x: Tensor) -> Tensor:
        return self.system.jacobian(x, self.u)

    def linearised(self, x: Tensor) -> Product:
        return self.system.linearised(x, self.u)

    def jacobian_product(self, x: Tensor, v: Tensor) -> Tensor:
        return self.system.jacobian_product(x, self.u, v)

    def transposed_product(self, x: Tensor, w: Tensor) -> Tensor:
        return self.system.transposed_product(x, self.u, w)

    def gradient_product(self, x: Tensor, v: Tensor) -> Tensor:
        return self.system.gradient_product(x, self.u, v)


class HeldInput(System):
    """``system`` under the input u (1, n_input), which nobody has to bring any more: ``n_input`` is 0."""

    def __init__(self, system: System, u: Tensor) -> None:
        self.system, self.u = system, u
        self.kind, self.n_state, self.n_output = system.kind, system.n_state, system.n_output
        self.time_constant, self.name, self.periods = system.time_constant, system.name, system.periods
        self.box_is_trapping, self.closed_loop = system.box_is_trapping, system.closed_loop
        self.single_precision = system.single_precision
        self.assumed, self.unread, self.how = system.assumed, system.unread, system.how

    def _held(self, x: Tensor) -> Tensor:
        return self.u.expand(len(x), -1)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self.system.velocity(x, self._held(x))

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.system.jacobian(x, self._held(x))

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.system.jacobian_product(x, self._held(x), v)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return self.system.transposed_product(x, self._held(x), w)

    def gradient_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.system.gradient_product(x, self._held(x), v)

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        return self.system.linearised(x, self._held(x))

    def reduction(self) -> Reduction | None:
        easier = self.system.reduction()
        if easier is None:
            return None
        return Reduction(HeldInput(easier.system, self.u), easier.start, lambda y, u: easier.lift(y, self._held(y)))

    def flow(self) -> System | None:
        flow = self.system.flow()
        return None if flow is None else HeldInput(flow, self.u)

    def pieces(self, u: Tensor) -> Pieces | None:
        return self.system.pieces(self.u)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed | None:
        return self.system.enclosure(y, self.u)

    def readout(self, x: Tensor) -> Tensor:
        return self.system.readout(x)

    def readout_product(self, x: Tensor, v: Tensor) -> Tensor:
        return self.system.readout_product(x, v)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.system.box(self.u.expand(len(u), -1))

    def states_visited(self, steps: int, runs: int, seed: int) -> Tensor | None:
        return self.system.states_visited(steps, runs, seed)

    def states_of_outputs(self, z: Tensor) -> Tensor | None:
        return self.system.states_of_outputs(z)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        moved = copy.copy(self)
        moved.system, moved.u = self.system.to(device, dtype), self.u.to(device=device, dtype=dtype)
        return moved
