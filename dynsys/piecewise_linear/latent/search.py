"""All fixed points of a network of ReLUs of low rank, by the regions that its kinks cut the latent variables into.

n units of rank r have some n^r / r! regions, not 2^n. Most are excluded many at a time, by boxes (``cover``); in each
of those that are left r equations are solved, exactly where rounding does not tell, so that points on kinks and lines
of points are no trouble, and nothing is lost however far out it lies. As in ``dynsys.piecewise_linear.region_solve``
(Rump 1983) their errors are bounded, which come from the sums over all units.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from dynsys.numerics.threads import alone
from dynsys.piecewise_linear.latent.cone import Cone
from dynsys.piecewise_linear.latent.cover import Cover, Work, cover
from dynsys.piecewise_linear.latent.equations import LatentEquations
from dynsys.piecewise_linear.region_solve import Solved, decided
from dynsys.piecewise_linear.region_zeros import Exactly, Found, Zeros, decided_zeros
from dynsys.piecewise_linear.regions import RegionSearch
from dynsys.proof.exact import UNIT, gamma, up
from dynsys.systems.latent import HIGHEST_RANK, Latent
from dynsys.systems.pieces import Pieces

WORK = 400_000_000  # units times boxes that are looked at
EXACTLY = 256  # points that are computed exactly, where they need not be
CHUNK = 1 << 22  # numbers of one batch


def search_latent_regions(latent: Latent, pieces: Pieces, *, work: int = WORK) -> RegionSearch:
    """The fixed points of a network of ReLUs by its latent equation; ``pieces`` are those of the whole network.

    ``complete`` is true where these are all, lines and planes of them among them. Raises ValueError for a rank above
    ``HIGHEST_RANK`` and for an activation that is no rectifier.
    """
    if latent.rank > HIGHEST_RANK or not latent.is_rectified:
        given = f"rank {latent.rank}, {'rectified' if latent.is_rectified else 'smooth'} units"
        raise ValueError(
            f"{given}: regions in the latent variables are for rectified units and ranks up to {HIGHEST_RANK}"
        )
    began = time.perf_counter()
    with alone():
        cone = Cone.of(latent)
        covered = cover(cone, Work(work))
        patterns = _sorted(covered, len(cone))
        found, unclear = _zeros(cone, latent, pieces, patterns, covered.left == 0)
    zeros, n = found.zeros, len(cone)
    left_out = "; ".join(_told(covered, unclear, found))
    return RegionSearch(
        states=zeros.x,
        patterns=zeros.pattern,
        kinks=zeros.kinks,
        bound=zeros.bound,
        certified=zeros.certified,
        reasons=zeros.reasons,
        orbit=torch.arange(len(zeros)),
        flats=found.flats,
        period=1,
        complete=left_out == "",
        left_out=left_out,
        total=2**n,
        left=covered.left,
        singular=found.singular,
        nodes=covered.boxes,
        solved=len(patterns),
        reach=float("inf"),
        seconds=time.perf_counter() - began,
    )


def _sorted(covered: Cover, n: int) -> Tensor:
    """The candidate regions (k, n), in an order of their own; the region without active units, which holds the tip of
    the cone alone where there is no drive, is always one."""
    each = sorted(covered.patterns | {bytes(n)})
    return torch.as_tensor(np.frombuffer(b"".join(each), dtype=bool).reshape(-1, n).copy())


def _zeros(cone: Cone, latent: Latent, pieces: Pieces, patterns: Tensor, complete: bool) -> tuple[Found, int]:
    """What is in these regions, and in how many rounding does not tell."""
    parts = [_possible(cone, latent, pieces, some) for some in torch.split(patterns, max(1, CHUNK // len(cone)))]
    solved = Solved.joined([some for some, _, _ in parts])
    inside, bound = torch.cat([some for _, some, _ in parts]), torch.cat([some for _, _, some in parts])
    unclear = ~inside
    if latent.rest is not None:
        zeros = decided_zeros(solved[inside.nonzero().squeeze(1)], bound[inside])
        if not any(bool(part.any()) for part in latent.c):  # 0 is a point, and in a regular region the only one
            zeros, unclear = _tip(pieces, cone), ~solved.regular
        return Found(zeros, [], int((~solved.regular).sum()), 0, 0), int(unclear.sum())
    sure = inside if int(inside.sum()) > EXACTLY else torch.zeros_like(inside)
    exactly = _LatentExactly(pieces, LatentEquations(cone, latent.of_rates))
    for pattern, regular in zip(solved.pattern[~sure], solved.regular[~sure], strict=True):
        exactly.look(pattern, bool(regular))
    points, flats = exactly.distinct(complete)
    zeros = Zeros.joined([decided_zeros(solved[sure.nonzero().squeeze(1)], bound[sure]), *points])
    return Found(zeros, flats, int((unclear & ~solved.regular).sum()), exactly.unknown, len(exactly.nearly)), 0


def _tip(pieces: Pieces, cone: Cone) -> Zeros:
    """The state 0, on all kinks."""
    zero, yes = torch.zeros(1, pieces.n_state, dtype=torch.float64), torch.ones(1, dtype=torch.bool)
    kinks = ((cone.kinks[0] >= 0) & ~pieces.constant).unsqueeze(0)
    return Zeros(torch.zeros_like(kinks), zero, zero, kinks, zero[:, 0], yes, [""])


def _possible(cone: Cone, latent: Latent, pieces: Pieces, patterns: Tensor) -> tuple[Solved, Tensor, Tensor]:
    """Those in which the zero may lie, whether it does beyond doubt, and the bound on its error."""
    solved = solve_latent(cone, latent, patterns)
    inside, outside, bound = decided(pieces, solved)
    kept = (~outside).nonzero().squeeze(1)
    return solved[kept], inside[kept], bound[kept]


class _LatentExactly(Exactly):
    """Regions looked into in whole numbers of the latent equation."""

    def is_nearly_flat(self, pattern: Tensor) -> bool:
        assert isinstance(self.equations, LatentEquations)
        return self.equations.is_nearly_flat(pattern.tolist())


def _told(covered: Cover, unclear: int, found: Found) -> list[str]:
    """What keeps it from being complete, in words."""
    parts = []
    if covered.left:
        parts.append(f"{covered.left:,} of {covered.boxes:,} boxes of the latent variables are left open")
    if unclear:
        parts.append(f"in {unclear} regions rounding of the weights does not tell whether there is a point")
    if found.unknown:
        parts.append(f"{found.unknown} regions were not looked into, as they are too large for whole numbers")
    if found.nearly:
        parts.append(f"in {found.nearly} regions the system is singular to within rounding")
    return parts


def solve_latent(cone: Cone, latent: Latent, pattern: Tensor) -> Solved:
    """The zero of the affine part in each region of ``pattern`` (B, n), whether or not it lies in the region."""
    L, N, Q = cone.floats
    B, r = len(pattern), len(L)
    G = L - (pattern.to(L.dtype) @ cone.products).view(B, r, r + 1)
    A, b = G[:, :, :r], -G[:, :, r]
    off_A, off_b = cone.G_error[:, :r], cone.G_error[:, r]
    unlike = 0.0 if latent.rest is None else float(latent.rest.max())
    if latent.rest is not None:
        each = up(latent.rest / (1 - unlike))  # (1 - E)^-1 - 1 times a vector of size 1
        weight = up(N.abs().T @ each)
        off_A = up(off_A + weight.unsqueeze(1) * Q[:, :r].abs().amax(0))
        off_b = up(off_b + weight * Q[:, r].abs().max())
    R, failed = torch.linalg.inv_ex(A)
    R = R.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    off = (R @ A - torch.eye(r, dtype=L.dtype)).abs() + 16 * UNIT * (R.abs() @ A.abs())
    theta = up((off + R.abs() @ off_A).sum(2)).amax(1)
    v = (R @ b.unsqueeze(2)).squeeze(2)
    regular = (failed == 0) & (theta < 1) & torch.isfinite(v).all(1)
    v = torch.where(regular.unsqueeze(1), v, 0.0)
    v = v + (R @ (b.unsqueeze(2) - A @ v.unsqueeze(2))).squeeze(2)
    missing = (b.unsqueeze(2) - A @ v.unsqueeze(2)).abs()
    missing = missing + 16 * UNIT * (b.abs().unsqueeze(2) + A.abs() @ v.abs().unsqueeze(2))
    missing = up(missing + off_b.unsqueeze(1) + off_A @ v.abs().unsqueeze(2))
    d = up(R.abs() @ missing)
    share = torch.where(regular, theta / (1 - theta), torch.inf)[:, None, None]
    error = torch.where(regular[:, None, None], up(d + share * d.amax(1, keepdim=True)), torch.inf).squeeze(2)
    y = v @ Q[:, :r].T + Q[:, r]
    y_error = up(error @ Q[:, :r].abs().T + gamma(r + 4) * (v.abs() @ Q[:, :r].abs().T + Q[:, r].abs()))
    if latent.rest is not None:
        y_error = up(y_error + latent.rest * ((y.abs() + y_error).amax(1, keepdim=True) / (1 - unlike)))
    y_error = torch.where(regular.unsqueeze(1), y_error, torch.inf)
    x = torch.where(pattern, y, 0.0) if latent.of_rates else y
    x_error = torch.where(pattern, y_error, 0.0) if latent.of_rates else y_error
    return Solved(pattern, x, y, x_error, y_error, regular)
