"""Proofs that exactly one fixed point lies near a computed one, and how near: Newton and Kantorovich with rounding.

With A an approximate inverse of J at x, T(y) = y - A F(y), and in the ball of radius rho around x

    Y >= |A F(x)|,    Z >= |I - A J(x)|,    |A (J(y) - J(z))| <= L |y - z|,

T maps the ball of radius r <= rho into itself if Y + Z r + L r^2 / 2 <= r, so that it holds a zero of F; two zeros at
distances up to r and R from x are the same one if Z + L (r + R) / 2 < 1 (Rump 2010, section 13; Day, Lessard &
Mischaikow 2007). Y, Z and L are upper bounds with all rounding inside: docs/bounds.md derives them.

The same enclosures prove that there is none where only rounding makes F zero: a shut gate leaves h' = h to the last
bit, and still the network moves. |F_i(x)| - error - S_i r > 0 for one component i, with S_i not below |grad F_i| in the
ball of radius r around x, excludes a zero in it. A fold or a higher degeneracy, whose F is as small, is never excluded:
it lies much closer than the radius asked for.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dynsys.numerics.inverse import rough_inverse
from dynsys.numerics.threads import in_order, pieces_of
from dynsys.proof.exact import gamma, length, up
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.search.budget import MATRIX_FREE_ABOVE
from dynsys.systems.held import Held

DECADES = torch.cat([torch.tensor([-14.0, -12.0]), torch.arange(-10.0, 2.25, 0.5)]).double()  # radii, of the unit
SLACK = 1e-6  # relative, by which a radius is made safe before it is put into the inequality
SINGLE_ABOVE = 64  # units, from where half of the time of an inverse is worth saving
GOOD = 0.05  # |A J - I| up to which an inverse in single precision will do
SHARED = 4  # points that share the exact products with their weights
MATRICES = 10  # of the size of J that are held per point
MEMORY = 512 * 2**20  # bytes
RADIUS = 1e-4  # of a state's usual size: rounding hides a zero of order 2 to 7 to within 1e-8 to 1e-4


class Reason(enum.StrEnum):
    """Why a point has no certificate; ``NONE`` where it has one."""

    NONE = ""
    NO_CLOSED_FORM = "no closed form of the second derivative is known for this system: the bound is an estimate"
    TOO_LARGE = f"no Jacobian is formed above {MATRIX_FREE_ABOVE} variables: the bound is an estimate"
    OVERFLOW = "overflow: F or its Jacobian is not finite there"
    KINK = "it lies on a kink of the network, or within rounding of one"
    SINGULAR = "singular Jacobian: it is not invertible within rounding (a fold, a line, or a marginal point)"
    FOLD = "the Jacobian changes too much within reach of it (near a fold, or not near a zero)"


@dataclass(frozen=True)
class Certificates:
    """For B points: whether one zero is ``certified`` and within which ``error_bound`` (inf: not proven), (B,) each.

    That zero is the only one within ``unique_radius`` of the state (0: not proven). ``inverse_norm`` is not below
    |J^-1| at the state (inf: not proven).
    """

    certified: Tensor
    error_bound: Tensor
    unique_radius: Tensor
    inverse_norm: Tensor
    reasons: tuple[Reason, ...]

    def __len__(self) -> int:
        return len(self.certified)

    @staticmethod
    def joined(parts: Sequence[Certificates]) -> Certificates:
        numbers = [f.name for f in fields(Certificates) if f.name != "reasons"]
        held = {name: torch.cat([getattr(part, name) for part in parts]) for name in numbers}
        return Certificates(**held, reasons=tuple(reason for part in parts for reason in part.reasons))

    @staticmethod
    def none(x: Tensor, reason: Reason) -> Certificates:
        """No proof for any of the states x (B, n)."""
        zero = x.new_zeros(len(x))
        return Certificates(zero > 0, zero + torch.inf, zero, zero + torch.inf, (reason,) * len(x))


def certify(held: Held, x: Tensor, memory: int = MEMORY, workers: int = 1) -> Certificates:
    """Certificates of the states x (B, n), a few at a time to fit into ``memory`` bytes of each of the ``workers``
    (threads), with the same numbers on any number of them.

    The balls that are tried are scaled to the unit. What is proved is about the system with the very float64 weights
    it holds.
    """
    if not len(x):
        return Certificates.none(x, Reason.NONE)
    if x.shape[1] > MATRIX_FREE_ABOVE:
        return Certificates.none(x, Reason.TOO_LARGE)
    together = max(1, int(memory // (8 * MATRICES * x.shape[1] ** 2)))
    rows = pieces_of(x, together, SHARED)
    return Certificates.joined(list(in_order(lambda some: _certify(held[some], x[some]), rows, workers)))


def _certify(held: Held, x: Tensor) -> Certificates:
    radii = held.unit * 10 ** DECADES.to(x)
    F = held.system.enclosure(Enclosed.state(x, radii), held.u)
    if F is None:
        return Certificates.none(x, Reason.NO_CLOSED_FORM)
    return _Bounds.of(F, x).certificates(radii)


@dataclass(frozen=True)
class _Bounds:
    """Y, Z and |A| (B,), L for every ball (K, B), and what went wrong (B,) on the way to them."""

    Y: Tensor
    Z: Tensor
    A: Tensor
    L: Tensor
    overflow: Tensor
    kink: Tensor

    @staticmethod
    def of(F: Enclosed, x: Tensor) -> _Bounds:
        B, n = x.shape
        J = F.gradient.dense().expand(B, n, n)
        value = F.value.expand(B, n)
        lengths = F.gradient.lengths().expand(B, n)
        finite = torch.isfinite(value).all(1) & torch.isfinite(F.steepness[0].expand(B, n) ** 2).all(1)
        rounding = up(gamma(n + 2) * lengths + F.gradient_error).expand(B, n)
        off = up(F.error + gamma(n) * value.abs()).expand(B, n)
        bounds = torch.cat([off[None], rounding[None], F.curvature.expand(-1, B, n)])
        step, of_A, wrong_A, (reach_off, wrong, *bent) = _through_inverse(J, value, bounds)
        return _Bounds(
            Y=up(step + reach_off),
            Z=up(wrong_A + wrong),
            A=of_A,
            L=torch.stack(bent),
            overflow=~finite,
            kink=~torch.isfinite(F.gradient_error).expand(B, n).all(1),
        )

    def certificates(self, radii: Tensor) -> Certificates:
        rho = radii.unsqueeze(1)  # (K, 1)
        room = 1 - self.Z
        r = 2 * self.Y / (room + (room**2 - 2 * self.L * self.Y).clamp_min(0).sqrt()) * (1 + SLACK)
        proven = (up(self.Y + self.Z * r + self.L * r**2 / 2) <= r) & (r <= rho) & (self.Z < 1)
        r = torch.where(proven & ~self.overflow, r, torch.inf).amin(0)
        R = torch.minimum((2 * room / self.L * (1 - SLACK) - r), rho)
        alone = up(self.Z + self.L * (r + R) / 2) < 1
        R = torch.where(alone & torch.isfinite(r), R, 0.0).amax(0)
        certified = r < R
        return Certificates(
            certified,
            torch.where(certified, r, torch.inf),
            torch.where(certified, R, 0.0),
            torch.where((self.Z < 1) & ~self.overflow, up(self.A / room), torch.inf),
            tuple(self._reason(i, bool(certified[i])) for i in range(len(certified))),
        )

    def _reason(self, i: int, certified: bool) -> Reason:
        if certified:
            return Reason.NONE
        if bool(self.overflow[i]):
            return Reason.OVERFLOW
        if bool(self.kink[i]):
            return Reason.KINK
        return Reason.FOLD if bool(self.Z[i] < 1) else Reason.SINGULAR


def _through_inverse(J: Tensor, value: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """With A near the inverse of J (B, n, n): |A value|, |A| and |A J - 1|, (B,) each and none of them too small, and
    the largest |A v| (K, B) for vectors, or matrices by their rows, whose entries are within ``bounds`` (K, B, n)."""
    A, residual = _approximate_inverse(J)
    size = A.abs()
    step = length((A @ value.unsqueeze(2)).squeeze(2))
    of_A = up(torch.minimum(length(A.flatten(1)), up(size.sum(1).amax(1) * size.sum(2).amax(1)).sqrt()))
    entries = up(torch.einsum("bij,kbj->kbi", size, bounds))
    return step, of_A, length(residual.flatten(1)), torch.minimum(length(entries), up(of_A * length(bounds)))


def _approximate_inverse(J: Tensor) -> tuple[Tensor, Tensor]:
    """A and A J - I, of J (B, n, n); single precision is enough where that is small, as A need not be exact."""
    if J.shape[1] <= SINGLE_ABOVE:
        A = torch.linalg.inv_ex(J)[0]
        return A, _residual(A, J)
    A = rough_inverse(J.float()).double()
    residual = _residual(A, J)
    for precision in (torch.float32, torch.float64):
        poor = ~(torch.linalg.vector_norm(residual, dim=(1, 2)) <= GOOD)
        if not bool(poor.any()):
            break
        A[poor] = torch.linalg.inv_ex(J[poor].to(dtype=precision))[0].double()
        residual[poor] = _residual(A[poor], J[poor])
    return A, residual


def _residual(A: Tensor, J: Tensor) -> Tensor:
    residual = A @ J
    residual.diagonal(dim1=1, dim2=2).sub_(1.0)
    return residual


def only_rounding(held: Held, x: Tensor) -> Tensor:
    """Whether (B,) it is proved that F has no zero within ``RADIUS`` units of x (B, n).

    False throughout where no closed form is known, or none is affordable.
    """
    n = x.shape[1]
    if not len(x) or n > MATRIX_FREE_ABOVE:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    rows = torch.split(torch.arange(len(x), device=x.device), max(1, int(MEMORY // (8 * MATRICES * n**2))))
    return torch.cat([_excluded(held[some], x[some], RADIUS * held.unit) for some in rows])


def _excluded(held: Held, x: Tensor, radius: float) -> Tensor:
    F = held.system.enclosure(Enclosed.state(x, x.new_tensor([radius])), held.u)
    if F is None:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    reach = up(F.error + F.steepness[0] * radius)
    return (F.value.abs() > reach).expand(len(x), -1).any(dim=1)
