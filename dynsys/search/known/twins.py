"""Points that estimates cannot tell from their neighbours, and proofs can: both sides of a fold that is not quite shut.

Two zeros so near each other that F is rounding all the way between them have no estimated bound, and the search takes
them for one. Where a closed form of F is known, a certificate may still prove that the one found is regular, alone
within a radius, and of index 1 or -1. Its twin lies beyond that radius along the null direction of J. There Newton's
steps start from distances that double, and what they come to counts if it is certified as well and the two balls are
disjoint.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.proof.certificate import Certificates, certify
from dynsys.proof.kantorovich import unmoved
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.search.known.distinct import Catalogue
from dynsys.search.solvers.newton import dense_direction

MOST = 64  # points without a bound that a proof is tried for before the search ends
FARTHEST = 1e-2  # of a state's usual size, at which a twin is looked for
NEWTON_STEPS = 12


def prove(catalogue: Catalogue) -> int:
    """Certificates for the points of ``catalogue`` that have no bound, and their twins; how many points were proved."""
    doubtful = torch.isinf(catalogue.points.error_bound).nonzero().squeeze(1)[:MOST]
    if not len(doubtful) or catalogue.system.n_state > MATRIX_FREE_ABOVE:
        return 0
    groups = torch.tensor(catalogue.groups, device=doubtful.device)[doubtful]
    x = catalogue.states()[doubtful]
    proof = certify(catalogue.held(groups), x, workers=catalogue.workers)
    sure = proof.certified.nonzero().squeeze(1)
    catalogue.prove(doubtful[sure], proof.error_bound[sure], _indices(catalogue, x[sure], groups[sure]))
    found = sum(_look_beside(catalogue, x[i], int(groups[i]), float(proof.unique_radius[i])) for i in sure.tolist())
    return len(sure) + found


def _indices(catalogue: Catalogue, x: Tensor, groups: Tensor) -> Tensor:
    """sign det(-J) (B,), of Jacobians that are proved to be regular."""
    if not len(x):
        return x[:, 0]
    return torch.linalg.slogdet(-catalogue.held(groups).jacobian(x))[0]


def _look_beside(catalogue: Catalogue, x: Tensor, group: int, radius: float) -> int:
    """Enter the certified points near x (n,), which is alone within ``radius``; how many are new."""
    starts = _beside(catalogue, x, group, radius)
    groups = torch.full((len(starts),), group, device=x.device)
    held = catalogue.held(groups)
    for _ in range(NEWTON_STEPS):
        starts = starts + dense_direction(held.jacobian(starts), held.velocity(starts))
    near = torch.isfinite(starts).all(dim=1) & (vector_norm(starts - x, dim=1) <= 2 * FARTHEST * catalogue.unit)
    starts, groups = starts[near], groups[near]
    proof = certify(held[near], starts, workers=catalogue.workers)
    found = 0
    for i in torch.argsort(proof.error_bound, stable=True).tolist():
        if bool(proof.certified[i]) and _is_new(catalogue, starts[i], group, float(proof.error_bound[i])):
            _enter(catalogue, starts[i : i + 1], groups[i : i + 1], proof, i)
            found += 1
    return found


def _beside(catalogue: Catalogue, x: Tensor, group: int, radius: float) -> Tensor:
    """States on both sides of x (n,) along the null direction of J, from just beyond ``radius``."""
    J = catalogue.held(slice(group, group + 1)).jacobian(x.unsqueeze(0))[0]
    v = torch.linalg.svd(J)[2][-1]
    lengths = [2 * radius]
    while lengths[-1] < FARTHEST * catalogue.unit:
        lengths.append(2 * lengths[-1])
    s = x.new_tensor(lengths).unsqueeze(1)
    return torch.cat([x + s * v, x - s * v])


def _is_new(catalogue: Catalogue, x: Tensor, group: int, bound: float) -> bool:
    """Whether the ball around x (n,) meets that of no known point; one without a bound is no more than a state."""
    points = catalogue.points
    radius = torch.where(torch.isfinite(points.error_bound), points.error_bound, 0.0)
    mine = torch.tensor(catalogue.groups, device=x.device) == group
    return not bool((mine & (vector_norm(points.x - x, dim=1) <= radius + bound)).any())


def _enter(catalogue: Catalogue, x: Tensor, groups: Tensor, proof: Certificates, i: int) -> None:
    catalogue.append(unmoved(catalogue.held(groups), x, catalogue.together > 0), groups)
    row = torch.tensor([len(catalogue) - 1], device=x.device)
    catalogue.prove(row, proof.error_bound[i : i + 1], _indices(catalogue, x, groups))
