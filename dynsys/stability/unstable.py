"""How many unstable directions many large systems have, from one small Krylov space each, not from their spectra.

Ritz values come to the eigenvalues on the outside of the spectrum first (Saad 2011, section 6.7), among which are those
beyond the boundary of stability. Where it stays open on which side one lies, the eigenvalues are computed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.eigenvalues import eig
from dynsys.numerics.krylov import Basis
from dynsys.stability.spectrum import FULL_LIMIT, excess, spectra
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

SUBSPACES = (32, 64, 160)  # vectors, each attempt made where the one before leaves it open; orthogonalised twice
MARGIN = 2e-3  # of the usual size of an eigenvalue, that a Ritz value has to be off the boundary besides its residual


def unstable_directions(held: Held, x: Tensor) -> NDArray[np.int64]:
    """The number of eigenvalues beyond the boundary of stability at each of the states x (B, n), shape (B,).

    Above ``FULL_LIMIT`` units a second copy of an exactly multiple eigenvalue goes unseen: a Krylov space holds one.
    """
    kind = held.system.kind
    n_unstable, open_rows = np.zeros(len(x), dtype=np.int64), torch.arange(len(x))
    for size in SUBSPACES if held.system.n_state > FULL_LIMIT else ():
        if len(open_rows):
            values, _, unsure = outer_values(held[open_rows], x[open_rows], size)
            n_unstable[open_rows.numpy()] = np.asarray((excess(values, kind) > 0).sum(dim=1))
            open_rows = open_rows[unsure]
    for i, spectrum in zip(open_rows.tolist(), spectra(held[open_rows], x[open_rows]), strict=True):
        n_unstable[i] = int((excess(spectrum.eigenvalues, kind) > 0).sum())
    return n_unstable


def outer_values(held: Held, x: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values (B, m) of Krylov spaces of ``size`` vectors at the states x (B, n), their residuals (B, m), and
    whether (B,) any of them may be on either side of the boundary of stability."""
    system = held.system
    dtype = torch.float32 if system.single_precision else x.dtype
    x = x.to(dtype)
    product = system.to(dtype=dtype).linearised(x, held.u.to(dtype))
    is_map = system.kind is Kind.MAP
    start = torch.randn(x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(x)
    basis = Basis.starting(start.repeat(len(x), 1), min(size, x.shape[1]))
    m = basis.H.shape[2]
    for _ in range(m):
        basis.grow(lambda v: product(v) + v if is_map else product(v))
    values, Y = eig(basis.H[:, :m].double())
    error = basis.H[:, m, m - 1].abs().unsqueeze(1) * Y[:, m - 1].abs()
    margin = error + MARGIN * values.abs().mean(dim=1, keepdim=True)
    return values, error, (excess(values, system.kind).abs() <= margin).any(dim=1)
