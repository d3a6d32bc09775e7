"""A system under one input that is held: an autonomous system with the same states."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Product, Reduction, System

if TYPE_CHECKING:
    from dynsys.proof.functions.enclosure import Enclosed


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
