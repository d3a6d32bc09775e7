"""The two-dimensional example of Jang, section 3.1: a saddle at the origin between two stable nodes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.proof.functions.enclosure import Enclosed, joined
from dynsys.systems.system import Kind, System

BOUND = 2.0  # starts are drawn from [-2, 2]^2, the part of the plane that Jang's figure 2 is about


class Simple2D(System):
    """x' = (1 - x^2) y, y' = x/2 - y (eq. 14, 15), with the Jacobian of eq. 16."""

    kind = Kind.FLOW
    n_state = 2
    name = "simple2d"
    single_precision = True

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        across, up = x.unbind(1)
        return torch.stack([(1 - across**2) * up, across / 2 - up], dim=1)

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed:
        across, up = y.chunk(2)
        one = y.constant(torch.ones_like(across.value[:1]))
        return joined([(one - across * across) * up, across * 0.5 - up])

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        across, up = x.unbind(1)
        one = torch.ones_like(across)
        rows = [torch.stack([-2 * across * up, 1 - across**2], 1), torch.stack([0.5 * one, -one], 1)]
        return torch.stack(rows, dim=1)

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        high = u.new_full((len(u), self.n_state), BOUND)
        return -high, high

    def fixed_points(self) -> NDArray[np.float64]:
        """All three (3, 2): the nullclines meet at (0, 0), (1, 1/2) and (-1, -1/2); Jang's (1, -1/2) is a slip."""
        return np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, -0.5]])
