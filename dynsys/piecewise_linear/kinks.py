"""Points of a piecewise-linear system at which some preactivation is zero: Jacobians on every side, and one word."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.piecewise_linear.switching import all_grow, all_shrink, all_shrink_within, some_stay
from dynsys.stability.classification import Stability, classify, eigenvalue_uncertainty
from dynsys.stability.spectrum import excess, spectra
from dynsys.systems.held import Held
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind, System

MOST = 6  # units on their kink up to which all 2^MOST sides are looked at


class Side(System):
    """The affine system that F is on one side of its kinks."""

    name = "side"

    def __init__(self, A: Tensor, b: Tensor, kind: Kind) -> None:
        self.kind, self.n_state = kind, len(b)
        self.A, self.b = A, b

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return x @ self.A.T + self.b

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        return self.A.repeat(len(x), 1, 1)  # the caller's to change


@dataclass(frozen=True)
class Sides:
    """``patterns`` (S, m) around a point and dF/dx there (S, n, n); not ``all_of_them`` beyond ``MOST`` kinks.

    ``normals`` (S, k, n) are the gradients of the preactivations that are zero there, ``signs`` (S, k) theirs on each
    side, +1 or -1. On no side an element of dF/dx differs from that of the first by more than in ``swing`` (n, n).
    """

    patterns: Tensor
    jacobians: Tensor
    normals: Tensor
    signs: Tensor
    swing: Tensor
    all_of_them: bool


def sides_of(pattern: Tensor, kinks: Tensor) -> tuple[Tensor, bool]:
    """The patterns (S, m) of the regions that meet where the units ``kinks`` (m,) are on their kink, and whether all.

    Beyond ``MOST`` of them only the two extreme ones: all of these units inactive, and all active.
    """
    units = kinks.nonzero().squeeze(1)
    complete = len(units) <= MOST
    bits = torch.arange(2 ** len(units)).unsqueeze(1) >> torch.arange(len(units)) & 1 if complete else None
    patterns = pattern.repeat(len(bits) if bits is not None else 2, 1)
    patterns[:, units] = torch.tensor([[False], [True]]) if bits is None else bits.bool()
    return patterns, complete


def one_sided_jacobians(pieces: Pieces, pattern: Tensor, kinks: Tensor) -> Sides:
    """dF/dx on every side of a point with the given ``pattern`` (m,) whose units ``kinks`` (m,) are on their kink."""
    patterns, complete = sides_of(pattern, kinks)
    normals = pieces.affine_margins(patterns)[:, kinks, :-1]
    swing = torch.full_like(pieces.A, torch.inf)
    if pieces.depth == 1:
        swing = pieces.B[:, kinks].abs() @ pieces.C[kinks].abs()
    signs = 2.0 * patterns[:, kinks].to(pieces.A) - 1
    return Sides(patterns, pieces.affine(patterns)[0], normals, signs, swing, complete)


def stability_at_kink(sides: Sides, kind: Kind) -> Stability:
    """The word that all sides share, else "marginal" with the least number of unstable directions.

    Sides agree if they have as many unstable directions, and if it is proved for trajectories that keep changing sides
    (``switching``). Node or focus is that of the side whose leading mode grows fastest or decays slowest.
    """
    words, leads = zip(*(stability_and_lead(A, kind) for A in sides.jacobians.cpu()), strict=True)
    fewest = min(word.n_unstable for word in words)
    if any(word.word == "marginal" for word in words) or any(word.n_unstable != fewest for word in words):
        return Stability("marginal", fewest)
    if not (_is_stable(sides, kind) if fewest == 0 else _is_unstable(sides, kind)):
        return Stability("marginal", 0)
    return words[int(excess(torch.tensor(leads, dtype=torch.complex128), kind).argmax())]


def _is_stable(sides: Sides, kind: Kind) -> bool:
    if sides.all_of_them:
        return all_shrink(sides.jacobians, kind)
    return bool(torch.isfinite(sides.swing).all()) and all_shrink_within(sides.jacobians[0], sides.swing, kind)


def _is_unstable(sides: Sides, kind: Kind) -> bool:
    if some_stay(sides.jacobians, sides.normals, sides.signs, kind):
        return True
    return sides.all_of_them and all_grow(sides.jacobians, kind)


def stability_and_lead(A: Tensor, kind: Kind) -> tuple[Stability, complex]:
    """Of the zero of a linear system with dF/dx = A (n, n): the word and the leading eigenvalue."""
    system = Side(A, A.new_zeros(len(A)), kind)
    (spectrum,) = spectra(Held(system, A.new_zeros(1, 0)), A.new_zeros(1, len(A)), full=True)
    stability = classify(spectrum, eigenvalue_uncertainty(spectrum, 0.0, 0.0, 0.0), system)
    return stability, complex(spectrum.eigenvalues[0])
