"""The equation of a network of low rank in its latent variables: as few unknowns as its recurrent weights have rank.

With W = M N^T, M and N (n, r), and c all that does not depend on the state, the currents at every fixed point are

    y = M kappa + c,      kappa = N^T f(y):

r equations in r unknowns, however many units there are. For a bounded f every solution lies in a box that the weights
tell, so that all of them can be looked for (``dynsys.proof.latent_boxes``); for f = max(y, 0) they are found wherever
they are (``dynsys.piecewise_linear.latent``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.proof.exact import UNIT, Sum, exact_product, up
from dynsys.proof.functions.elementary import RECTIFIER, Elementary

RANK = 1e-12  # of the largest singular value: one below is rounding
HIGHEST_RANK = 3  # of the latent equation, above which boxes are too many
LEAST_UNITS = 16  # below, the equation itself is as small


@dataclass(frozen=True)
class Latent:
    """That equation under one held input: M (n, r), N (n, r), c (n,) without rounding, and f as ``phi``.

    The state is y, the currents; with ``of_rates`` it is f(y). The weights may differ from M N^T: no row of the
    difference has entries whose sizes add up to more than ``rest`` (n,).
    """

    M: Tensor
    N: Tensor
    c: Sum
    phi: Elementary
    of_rates: bool = False
    rest: Tensor | None = None

    @property
    def rank(self) -> int:
        return self.M.shape[1]

    @property
    def is_rectified(self) -> bool:
        """Whether f is max(y, 0): the equation is linear in each of few regions."""
        return self.phi is RECTIFIER

    def currents(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """y (k, n) at the latent states kappa (k, r), and what rounding may have made of it."""
        y, error = exact_product(self.M, kappa, self.c[0])
        left = sum((part.abs() for part in self.c[1:]), torch.zeros_like(self.c[0]))
        return y, up(error + left + (0.0 if self.rest is None else self.rest))  # |f| is 1 at the most

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


def of_weights(W: Tensor, drive: Sum, phi: Elementary | None, of_rates: bool) -> Latent | None:
    """Of a network with whole weights W (n, n), where they are of low rank to rounding and f is known."""
    found = None if phi is None else factors(W.cpu(), HIGHEST_RANK)
    if phi is None or found is None:
        return None
    M, N, rest = found
    return Latent(M, N, drive, phi, of_rates, rest)


def factors(W: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """M and N (n, r) with M N^T = W but for rounding, r up to ``most``, and what the entries of each row of W - M N^T
    add up to at the most (n,); None where the rank of W is higher, or all of its few rows.

    A product with some random vectors tells the rank: a whole decomposition costs much more (Halko et al. 2011).
    """
    n = len(W)
    if n < LEAST_UNITS or not bool(W.any()):
        return None
    tried = torch.randn(n, 2 * most + 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, S, _ = torch.linalg.svd(W @ tried, full_matrices=False)
    rank = int((RANK * S[0] < S).sum())
    if rank > most:
        return None
    M = U[:, :rank].contiguous()
    N = W.T @ M
    product, error = exact_product(N, M)
    rest = up((up((W - product).abs() * (1 + UNIT)) + error).sum(1))
    return (M, N, rest) if float(rest.max()) <= RANK * float(W.abs().sum(1).max()) else None
