"""The equation of a network of low rank in its latent variables: as few unknowns as its recurrent weights have rank.

With W = M N^T, M and N (n, r), and c all that does not depend on the state, the currents at every fixed point are

    y = M kappa + c,      kappa = N^T f(y):

r equations in r unknowns, however many units there are. For a bounded f every solution lies in a box that the weights
tell, so that all of them can be looked for (``dynsys.proof.latent_boxes``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.proof.elementary import Elementary
from dynsys.proof.exact_product import exact_product, up
from dynsys.proof.exact_sum import Sum


@dataclass(frozen=True)
class Latent:
    """That equation under one held input: M (n, r), N (n, r), c (n,) without rounding, and f as ``phi``.

    The state is y, the currents; with ``of_rates`` it is f(y).
    """

    M: Tensor
    N: Tensor
    c: Sum
    phi: Elementary
    of_rates: bool = False

    @property
    def rank(self) -> int:
        return self.M.shape[1]

    def currents(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """y (k, n) at the latent states kappa (k, r), and what rounding may have made of it."""
        y, error = exact_product(self.M, kappa, self.c[0])
        left = sum((part.abs() for part in self.c[1:]), torch.zeros_like(self.c[0]))
        return y, up(error + left)

    def variables(self, x: Tensor) -> Tensor:
        """kappa (k, r) of the states x (k, n), to rounding."""
        return (x if self.of_rates else self.phi.value(x)) @ self.N

    def states(self, kappa: Tensor, off: Tensor) -> tuple[Tensor, Tensor]:
        """The states (k, n) at kappa (k, r), and how far (k,) that of a latent state within ``off`` (k, r) can be."""
        y, error = self.currents(kappa)
        apart = up(error + off @ self.M.abs().T)
        if self.of_rates:  # f is nowhere steeper than 1
            y = self.phi.value(y)
            apart = up(apart + self.phi.rounding(y))
        return y, up(torch.linalg.vector_norm(apart, dim=1))
