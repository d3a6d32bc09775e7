"""A map applied k times, as a map of its own: its fixed points are the cycles of every period that divides k."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from dynsys.systems.angles import nearest, wrapped
from dynsys.systems.pieces import Pieces, iterated
from dynsys.systems.system import Kind, Product, System

if TYPE_CHECKING:
    from dynsys.proof.functions.enclosure import Enclosed


class Iterated(System):
    """G applied ``k`` times to a state, under one held input; every derivative is the chain of those of G.

    Its time constant is that of k steps, so that the time constant of a mode comes out in the time of G itself.
    Raises ValueError for a flow and for k below 1.

    >>> from dynsys import Map
    >>> twice = Iterated(Map(lambda x, u: 2 * x, n_state=1), 2)
    >>> twice.velocity(torch.ones(1, 1), torch.zeros(1, 0)).item()  # 4 - 1
    3.0
    """

    kind = Kind.MAP

    def __init__(self, system: System, k: int) -> None:
        if system.kind is not Kind.MAP:
            raise ValueError(f"{system.name} is a flow; cycles of a period are those of a map, so leave out the period")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"period is {k!r}; it has to be a whole number of 1 or more")
        self.system, self.k = system, k
        self.n_state, self.n_input, self.n_output = system.n_state, system.n_input, system.n_output
        self.time_constant = k * system.time_constant
        self.name = f"{system.name} applied {k} times" if k > 1 else system.name
        self.box_is_trapping, self.single_precision = system.box_is_trapping, system.single_precision
        self.periods = system.periods

    def phases(self, x: Tensor, u: Tensor) -> list[Tensor]:
        """x, G(x), ..., G^k(x), each (B, n_state)."""
        visited = [x]
        for _ in range(self.k):
            visited.append(wrapped(visited[-1] + self.system.velocity(visited[-1], u), self.periods))
        return visited

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        """The sum of the k steps: a sum of small steps loses less to rounding than the difference of their ends."""
        y, total = x, torch.zeros_like(x)
        for _ in range(self.k):
            step = self.system.velocity(y, u)
            y, total = y + step, total + step
        return nearest(total, self.periods)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        chained: Tensor | None = None
        for y in self.phases(x, u)[:-1]:
            A = self.system.jacobian(y, u).clone()
            A.diagonal(dim1=1, dim2=2).add_(1.0)
            chained = A if chained is None else A @ chained
        assert chained is not None
        chained.diagonal(dim1=1, dim2=2).sub_(1.0)
        return chained

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        steps = [self.system.linearised(y, u) for y in self.phases(x, u)[:-1]]

        def product(v: Tensor) -> Tensor:
            w = v
            for step in steps:
                w = w + step(w)
            return w - v

        return product

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.linearised(x, u)(v)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        g = w
        for y in reversed(self.phases(x, u)[:-1]):
            g = g + self.system.transposed_product(y, u, g)
        return g - w

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        total = x.new_zeros(*x.shape, self.n_input)
        for y in self.phases(x, u)[:-1]:
            total = total + self.system.jacobian(y, u) @ total + self.system.input_jacobian(y, u)
        return total

    def pieces(self, u: Tensor) -> Pieces | None:
        once = self.system.pieces(u)
        return None if once is None else iterated(once, self.k)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed | None:
        now, total = y, None
        for _ in range(self.k):
            step = self.system.enclosure(now, u)
            if step is None:
                return None
            total = step if total is None else total + step
            now = (now + step).tightened()
        return total

    def readout(self, x: Tensor) -> Tensor:
        return self.system.readout(x)

    def readout_product(self, x: Tensor, v: Tensor) -> Tensor:
        return self.system.readout_product(x, v)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.system.box(u)

    def states_visited(self, steps: int, runs: int, seed: int) -> Tensor | None:
        return self.system.states_visited(steps, runs, seed)

    def task_contexts(self, n: int, seed: int) -> tuple[Tensor, Tensor] | None:
        return self.system.task_contexts(n, seed)

    def states_of_outputs(self, z: Tensor) -> Tensor | None:
        return self.system.states_of_outputs(z)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        moved = copy.copy(self)
        moved.system = self.system.to(device, dtype)
        return moved


def divisors(k: int) -> list[int]:
    """The periods below k that divide it, least first.

    >>> divisors(12)
    [1, 2, 3, 4, 6]
    """
    return [d for d in range(1, k) if k % d == 0]
