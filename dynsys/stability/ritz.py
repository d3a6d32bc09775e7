"""Leading eigenpairs of many large Jacobians at once, from batched Arnoldi runs on products J v.

One product per vector serves every point, which no library routine offers: 40 points of 1000 units take about as long
as five calls of LAPACK's full solver. What a single Krylov space can hide (the second copy of a multiple eigenvalue)
is looked for by a second run with the first one's pairs projected out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dynsys.numerics.eigenvalues import eig
from dynsys.numerics.krylov import Basis, Operator
from dynsys.systems.held import Held
from dynsys.systems.system import Kind

SUBSPACE = 144  # vectors of the first run
CHECK_SUBSPACE = 96  # vectors of the second
RITZ_TOLERANCE = 1e-8  # relative residual of a Ritz pair that counts as an eigenpair
SPARE = 4  # pairs kept beyond the unstable ones

Pairs = tuple[Tensor, Tensor]  # eigenvalues (k,), eigenvectors (k, n)


def leading_pairs(held: Held, x: Tensor, excess: Callable[[Tensor], Tensor]) -> list[Pairs]:
    """For each state x (B, n) the leading eigenpairs, all unstable ones among them; empty where that is uncertain."""
    here, kind = held.linearised(x), held.system.kind

    def product(v: Tensor) -> Tensor:
        Jv = here(v)
        return Jv + v if kind is Kind.MAP else Jv

    values, vectors, error = _ritz(product, _random(x, seed=0), SUBSPACE)
    pairs = [_converged_lead(values[i], vectors[i], error[i], excess) for i in range(len(x))]
    Q = _bases([vectors for _, vectors in pairs], x)
    sink = -float(values.abs().max()) if kind is Kind.FLOW else 0.0  # the pairs taken out become most stable

    def deflated(v: Tensor) -> Tensor:
        rest = _without(Q, v)
        return _without(Q, product(rest)) + sink * (v - rest)

    others, _, other_error = _ritz(deflated, _without(Q, _random(x, seed=1)), CHECK_SUBSPACE)
    for i, (lead, _) in enumerate(pairs):
        seen = excess(others[i])[other_error[i] < 1e-4]
        most = min(float(excess(lead).min()) + 1e-3, 1e-6) if len(lead) else 0.0
        if len(seen) and float(seen.max()) > most:  # all unstable ones should have been among the pairs
            pairs[i] = (lead[:0], pairs[i][1][:0])
    return [(values.cpu(), vectors.cpu()) for values, vectors in pairs]


def _random(x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def _ritz(operator: Operator, start: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values (B, m), vectors (B, m, n) and relative residuals (B, m)."""
    basis = Basis.starting(start, min(limit, start.shape[1]))
    m = basis.H.shape[2]
    for _ in range(m):
        basis.grow(operator)
    values, Y = eig(basis.H[:, :m])
    error = (
        basis.H[:, m, m - 1].abs().unsqueeze(1)
        * Y[:, m - 1].abs()
        / torch.linalg.matrix_norm(basis.H[:, :m], 2)[:, None]
    )
    real, imaginary = Y.real.mT @ basis.V[:, :m], Y.imag.mT @ basis.V[:, :m]
    vectors = torch.complex(real, imaginary)
    vanished = vectors.norm(dim=2) < 0.5  # what is left of a space that was exhausted is no eigenvector
    return values, vectors, torch.where(vanished, torch.inf, error)


def _converged_lead(values: Tensor, vectors: Tensor, error: Tensor, excess: Callable[[Tensor], Tensor]) -> Pairs:
    """The converged pairs at the head of the order by excess, cut a few after the unstable ones."""
    ahead = excess(values)
    order = torch.argsort(ahead, descending=True, stable=True)
    good = error[order] < RITZ_TOLERANCE
    head = len(good) if bool(good.all()) else int((~good).nonzero()[0])
    if head < int((ahead > 0).sum()):
        return values[:0], vectors[:0]
    head = min(head, int((ahead > 0).sum()) + SPARE)
    if 0 < head < len(order) and bool(values[order[head - 1]] == values[order[head]].conj()):
        head -= int(float(values[order[head - 1]].imag) != 0)  # never half of a complex pair
    return values[order[:head]], vectors[order[:head]]


def _bases(vectors: list[Tensor], x: Tensor) -> Tensor:
    """Orthonormal rows (B, r, n) that span each point's eigenvectors, filled up with zeros."""
    spans = [torch.cat([v.real, v.imag]) for v in vectors]
    rows = []
    for span in spans:
        _, singular, Vh = torch.linalg.svd(span, full_matrices=False)
        rows.append(Vh[singular > 1e-8 * singular.max()] if len(span) else Vh[:0])
    Q = x.new_zeros(len(x), max(len(r) for r in rows), x.shape[1])
    for i, r in enumerate(rows):
        Q[i, : len(r)] = r
    return Q


def _without(Q: Tensor, v: Tensor) -> Tensor:
    return v - torch.bmm(torch.bmm(v.unsqueeze(1), Q.mT), Q).squeeze(1)
