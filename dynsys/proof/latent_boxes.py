"""All fixed points of a network of low rank, proved: branch and bound in its latent variables.

Every solution of kappa = d + N^T tanh(M kappa + c) lies in one box. It is halved again and again; a box is dropped
where g = kappa - d - N^T tanh(M kappa + c) cannot be zero in it, or where it lies within a larger one that
is known to hold one zero and no more (Krawczyk 1969; Neumaier 1990, chapter 5). What is left when the boxes become too
many or too small is left open, and then nothing is said to be complete: at folds and on lines of points it must be so.

The same at once for every drive c + s swing, |s| <= 1: g is then a polynomial of s as well, and what is said of a box
holds whatever s is, so that the number of points is the same for all of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dynsys.numerics.adjugate import adjugate
from dynsys.numerics.threads import alone
from dynsys.proof.exact import UNIT, up
from dynsys.proof.latent_taylor import ORDER, Equation, Expansion, Polynomials
from dynsys.systems.latent import HIGHEST_RANK, Latent

WORK = 100_000_000  # units times boxes, of which a range or a polynomial is formed
MOST = 1 << 16  # boxes open at once
DEEPEST = 40  # halvings of every axis
TOGETHER = 1 << 17  # numbers of one batch
SMALL_REST = 1.5  # of the half width of a box: what its polynomial may leave out where there are no better bounds
STALE = 0.5  # of what its bends take, from which the rest of a polynomial is worth forming it again
NEARLY_LINEAR, NEAR_BY = 0.5, 1.5  # what bends g in a box, and how far its zero is, where Newton is tried from there
STARTS, FEWER_STARTS, STEPS = 128, 32, 30  # of Newton before the boxes, the fewer where it may be given up
ENDED = 1e-10  # of the size of a latent state: the last step of Newton, where it has come to its end
SHRINKINGS = 60  # halvings of the box that may hold one zero only
LEAST_SIZE = 0.01  # of its size, to which the first box is not cut: rounding does not shrink with a box
FIRST_HALVINGS = 50  # of every axis, by which polynomials are good wherever they become so
TIGHTENED = 40  # times that the first box is cut to the range of the right-hand side


@dataclass(frozen=True)
class BoxSearch:
    """The k points found, and what is known of the rest.

    ``kappa`` (k, r) with ``off`` (k, r): in that box there is one zero, and it is the only one within ``alone`` (k, r).
    ``states`` (k, n) of the network, each within ``bound`` (k,) of the true one. ``complete``: there are no others.
    ``boxes`` were looked at, and of those ``open`` (j, r) are left: their centres, half as wide as ``open_width`` (r,).
    ``left_out`` says in words what keeps it from being complete, and is empty if it is.
    """

    kappa: Tensor
    off: Tensor
    alone: Tensor
    states: Tensor
    bound: Tensor
    complete: bool
    boxes: int
    open: Tensor
    open_width: Tensor
    left_out: str
    latent: Latent

    def __len__(self) -> int:
        return len(self.states)

    def owners(self, x: Tensor) -> Tensor:
        """The point (B,) that is alone about where the states x (B, n) are zeros, by number; -1 where none is."""
        if not len(self) or not len(x):
            return torch.full((len(x),), -1)
        within = ((self.latent.variables(x).unsqueeze(1) - self.kappa).abs() <= self.alone).all(2)
        return torch.where(within.any(1), within.to(torch.uint8).argmax(1), -1)


def search_boxes(
    latent: Latent, swing: Tensor | None = None, *, work: int = WORK, most: int | None = None, seed: int = 0
) -> BoxSearch:
    """Every fixed point of a network of low rank, or those that could be proved and what is left open.

    With a ``swing`` (n,) it is told for all drives c + s swing, |s| <= 1: each point is there and alone at each one.

    With ``most`` it is given up after so many boxes, and where it cannot become complete: at a point not proved to be
    alone. Raises ValueError for a rank above ``HIGHEST_RANK``, and for ReLUs, whose regions tell more.
    """
    if latent.is_rectified:
        raise ValueError("the units are ReLUs; dynsys.piecewise_linear.latent.search is for them")
    if latent.rank > HIGHEST_RANK:
        raise ValueError(f"the rank is {latent.rank}; boxes in the latent variables are for ranks up to {HIGHEST_RANK}")
    with alone():
        search = _Search(Equation(latent, swing), work, most, seed)
        search.run()
    kappa, off, alone_within = search.zeros.tensors(latent.rank)
    swung = latent if swing is None else dataclasses.replace(latent, c=(*latent.c, swing))
    states, bound = swung.states(kappa, off)
    left = len(search.open) + search.zeros.clash
    return BoxSearch(
        kappa=kappa,
        off=off,
        alone=alone_within,
        states=states,
        bound=bound,
        complete=left == 0,
        boxes=search.boxes,
        open=search.open,
        open_width=search.rho,
        left_out=search.told(),
        latent=latent,
    )


@dataclass
class _Zeros:
    """The zeros known, each once: ``at`` within ``off``, and no other within ``alone``."""

    at: list[Tensor] = field(default_factory=list)
    off: list[Tensor] = field(default_factory=list)
    alone: list[Tensor] = field(default_factory=list)
    clash: bool = False  # whether two could not be told apart

    def add(self, at: Tensor, off: Tensor, alone: Tensor) -> None:
        for known, its_off, its_alone in zip(self.at, self.off, self.alone, strict=True):
            apart = (at - known).abs() * (1 + 8 * UNIT)
            if bool((apart + off <= its_alone).all()) or bool((apart + its_off <= alone).all()):
                return  # the same
            self.clash |= bool((apart * (1 - 16 * UNIT) <= off + its_off).all())
        self.at.append(at)
        self.off.append(off)
        self.alone.append(alone)

    def tensors(self, r: int) -> tuple[Tensor, Tensor, Tensor]:
        none = torch.zeros(0, r, dtype=torch.float64)
        at, off, alone = (torch.stack(rows) if rows else none for rows in (self.at, self.off, self.alone))
        return at, off, alone

    def cover(self, k: Tensor, rho: Tensor) -> Tensor:
        """Which of the boxes (B,) around k (B, r) lie within one that holds a single zero."""
        covered = torch.zeros(len(k), dtype=torch.bool)
        for at, lonely in zip(self.at, self.alone, strict=True):
            covered |= ((k - at).abs() * (1 + 8 * UNIT) + rho <= lonely).all(1)
        return covered


class _Search:
    """Boxes of one size at a time, halved along the axis on which currents change most."""

    def __init__(self, equation: Equation, work: int, most: int | None, seed: int) -> None:
        self.equation, self.work, self.seed, self.most = equation, work, seed, most
        self.zeros, self.boxes = _Zeros(), 0
        self.size = torch.linalg.vector_norm(equation.M, dim=0)
        self.open, self.rho = self._first()
        self.near = self._near()

    def _first(self) -> tuple[Tensor, Tensor]:
        """One box around everything: its corners are short binary numbers, so that halving it loses nothing."""
        equation = self.equation
        k, rho = equation.d[None], equation.reach
        for _ in range(TIGHTENED):
            middle, half = equation.range(k, rho)
            low, high = torch.maximum(middle - half, k - rho), torch.minimum(middle + half, k + rho)
            before, k, rho = rho, (low + high) / 2, up((high - low)[0] / 2) + 2 * UNIT * k[0].abs()
            if bool((rho > 0.99 * before).all()):
                break
        rho = torch.maximum(rho, LEAST_SIZE * equation.reach).clamp_min(1e-100)
        grain = 2.0 ** torch.ceil(torch.log2(torch.maximum(rho, k[0].abs())) - 20)
        k = (k / grain).round() * grain
        return k, torch.ceil(rho / grain + 1) * grain

    def _near(self) -> Expansion:
        """Polynomials in the first boxes on the way that are small enough for them."""
        rho = self.rho
        for _ in range(FIRST_HALVINGS * len(rho)):
            expansion = Expansion(self.equation, rho)
            if bool((expansion.least_rest <= SMALL_REST * rho).all()):
                return expansion
            rho = self._halved(rho)[0]
        self.work = 0  # drives too far from each other for any polynomial
        return expansion

    def _halved(self, rho: Tensor) -> tuple[Tensor, int]:
        """The widths of a box halved along the axis on which currents change most, and that axis."""
        axis = int((rho * self.size).argmax())
        rho = rho.clone()
        rho[axis] /= 2
        return rho, axis

    def run(self) -> None:
        """Chords while boxes are large, polynomials from where they leave out little."""
        self._newton()
        polynomials = None
        if self._is_over():
            return
        for _ in range(DEEPEST * len(self.rho)):
            if bool((self.rho > self.near.rho).any()):
                self._by_chords()
            else:
                polynomials = self._by_polynomial(polynomials)
            if not len(self.open) or self._is_over():
                break
            polynomials = self._halve(polynomials)

    def _is_over(self) -> bool:
        many = self.most is not None and self.boxes + len(self.open) > self.most
        return self.work <= 0 or len(self.open) > MOST or self.zeros.clash or many

    def _newton(self) -> None:
        """Zeros met by Newton from the box, each proved before boxes are looked at."""
        generator = torch.Generator().manual_seed(self.seed)
        B = STARTS if self.most is None else FEWER_STARTS
        starts = 2 * torch.rand(B, len(self.rho), generator=generator, dtype=torch.float64) - 1
        starts *= torch.rand(B, 1, generator=generator, dtype=torch.float64)
        self._prove(self.open + self.rho * starts)

    def _prove(self, k: Tensor) -> None:
        """Newton from latent states k (B, r), and a proof for each place that it ends in."""
        ends, last = self.equation.newton(k, STEPS)
        self.work -= STEPS * len(k) * len(self.equation)
        ends = ends[(last.abs() <= ENDED * (ends.abs() + self.equation.reach)).all(1)]
        ends = ends[~self.zeros.cover(ends, torch.zeros_like(self.rho))]
        if not len(ends):
            return
        ends = ends[_apart(ends, ENDED * self.equation.reach)]
        off, lonely = self._alone(ends)
        for at, its_off, its_alone in zip(ends, off, lonely, strict=True):
            if bool((its_off <= its_alone).all()):
                self.zeros.add(at, its_off, its_alone)
            elif self.most is not None:
                self.work = 0

    def _alone(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes around k (B, r), as half widths (B, r), that hold a zero, and the largest that hold no more than
        one; infinite and 0 where there are none."""
        rho, shares = self.near.rho, 0.5 ** torch.arange(0.0, SHRINKINGS, 0.5, dtype=torch.float64)
        self.work -= len(k) * len(self.equation)
        c, left_out, rest, steep = self.near.parts(k)
        Y, det = _preconditioner(c)
        # two zeros differ in what W - M N^T makes of them as well, by no more than this times their distance
        unlike = self.equation.unlike / (1 - self.equation.unlike) if self.equation.unlike < 0.5 else torch.inf
        steeper = up(self.equation.reach * (2 * unlike * float(self.near.mu.max())))
        shrinks = _contraction(self.near, Y, det, c, left_out, steep, steeper, shares)
        value, error = self.equation.value(k)
        step = up(
            (Y @ value.unsqueeze(2)).squeeze(2).abs()
            + (Y.abs() @ up(error + 8 * UNIT * value.abs())[..., None])[..., 0]
        )
        if self.equation.variables > k.shape[1]:
            step = up(step + _moved(self.near, Y, c, up(rest + left_out * self.near.swung ** (ORDER + 1))))
        needed = up(step.amax(1, keepdim=True) / (det.abs().unsqueeze(1) * (1 - shrinks)).clamp_min(1e-300))
        holds = (shrinks < 1) & (needed <= shares)  # the step and what the box shrinks to stay within the box
        off = torch.where(holds, needed, torch.inf).amin(1)
        largest = torch.where(shrinks < 1, shares, 0.0).amax(1)
        return up(off.unsqueeze(1) * rho), largest.unsqueeze(1) * rho * (1 - 4 * UNIT)

    def _by_chords(self) -> None:
        """Drop boxes in which g, linear but for what its units' terms are off their chords, has no zero."""
        left = self.open[~self.zeros.cover(self.open, self.rho)]
        kept = [k[self._may_vanish(k)] for k in self._batches(left)] if len(left) else [left]
        self.work -= len(self.open) * len(self.equation)
        self.boxes += len(self.open)
        self.open = torch.cat(kept)

    def _may_vanish(self, k: Tensor) -> Tensor:
        """Whether (B,) g may be zero in boxes around k: what cancels between units cancels in the chords' slopes."""
        value, slope, along, off, rounding = self.equation.chords(k, self.rho)
        Y = adjugate(slope / slope.abs().amax((1, 2), keepdim=True).clamp_min(1e-300))
        Y = Y / Y.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
        terms = (torch.einsum("bac,nc->ban", Y, self.equation.N).abs() @ off.unsqueeze(2)).squeeze(2)
        linear = (Y @ slope).abs() @ self.rho + (Y @ along.unsqueeze(2)).squeeze(2).abs()
        loose = off @ self.equation.N.abs() + value.abs() + slope.abs() @ self.rho + along.abs()
        loose = (Y.abs() @ (rounding + 32 * UNIT * loose).unsqueeze(2)).squeeze(2)
        return ((Y @ value.unsqueeze(2)).squeeze(2).abs() <= up(terms + linear + loose)).all(1)

    def _by_polynomial(self, known: Polynomials | None) -> Polynomials:
        """Drop boxes in which the polynomials have no zero; with those of the rest, that come along or are formed."""
        self.boxes += len(self.open)
        fresh = known is None
        known = self._formed(self.near, self.open) if known is None else known
        verdict = _judge(known, self.equation.variables)
        stale = (verdict.open & verdict.stale).nonzero().squeeze(1)
        if len(stale) and not fresh:
            formed = self._formed(Expansion(self.equation, self.rho), self.open[stale])
            again = _judge(formed, self.equation.variables)
            for old, new in ((known, formed), (verdict, again)):
                for field_of in dataclasses.fields(old):
                    getattr(old, field_of.name)[stale] = getattr(new, field_of.name)
        left = verdict.open & ~self.zeros.cover(self.open, self.rho)
        if bool((promising := left & verdict.promising).any()):
            self._prove((self.open + self.rho * verdict.step)[promising][:STARTS])
            left &= ~self.zeros.cover(self.open, self.rho)
        self.open = self.open[left]
        return known[left]

    def _formed(self, expansion: Expansion, k: Tensor) -> Polynomials:
        self.work -= len(k) * len(self.equation)
        return Polynomials.joined([expansion.at(some) for some in self._batches(k)])

    def _halve(self, known: Polynomials | None) -> Polynomials | None:
        rho, axis = self._halved(self.rho)
        step = torch.zeros_like(rho)
        step[axis] = rho[axis]
        self.open, self.rho = torch.cat([self.open - step, self.open + step]), rho
        if known is None:
            return None
        return Polynomials.joined([known.half(self.equation.basis, axis, side) for side in (0, 1)])

    def _batches(self, k: Tensor) -> list[Tensor]:
        return list(torch.split(k, max(1, TOGETHER // len(self.equation)))) or [k]

    def told(self) -> str:
        """What is left open, in words."""
        if not len(self.open):
            return ""
        why = "they became too many" if len(self.open) > MOST else "the work given was used up"
        if self.zeros.clash:
            why = "two zeros could not be told apart"
        elif self.work > 0 and len(self.open) <= MOST:
            why = "they became as small as rounding"
        low, high = self.open.amin(0) - self.rho, self.open.amax(0) + self.rho
        where = " x ".join(f"[{a:.4g}, {b:.4g}]" for a, b in zip(low.tolist(), high.tolist(), strict=True))
        return (
            f"{len(self.open):,} of {self.boxes:,} boxes of the latent variables are left open, as {why}: "
            f"within {where} more points may lie"
        )


@dataclass(frozen=True)
class _Verdict:
    """Of B boxes: whether a zero may be in them, whether a better polynomial may help, and whether g is nearly linear,
    so that its zero is about a ``step`` (B, r) from the middle, in or near the box (on the side of one, say)."""

    open: Tensor
    stale: Tensor
    promising: Tensor
    step: Tensor


def _preconditioner(c: Tensor) -> tuple[Tensor, Tensor]:
    """Y (B, r, r), the adjugate of the linear part of polynomials c but for a factor, and det (B,): Y g = det z + ....

    Where the linear part is singular, Y is what it has no component along: a test by it remains a good one.
    """
    r = c.shape[1]
    A = c[:, :, 1 : r + 1]
    Y = adjugate(A / A.abs().amax((1, 2), keepdim=True).clamp_min(1e-300))
    Y = Y / Y.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
    return Y, (Y @ A).diagonal(dim1=1, dim2=2).mean(1)


def _judge(p: Polynomials, variables: int) -> _Verdict:
    plain = p.c[:, :, 0].abs() <= up(p.c[:, :, 1:].abs().sum(2) + p.rest)
    Y, det = _preconditioner(p.c)
    G = Y @ p.c
    of_Y, size = up(Y.abs()), G.abs()
    rest = up((of_Y @ (p.rest + 8 * UNIT * p.c.abs().sum(2)).unsqueeze(2)).squeeze(2))
    bends = size[:, :, variables + 1 :].sum(2)
    linear = size[:, :, 1 : variables + 1].sum(2)
    reached = size[:, :, 0] <= up(linear + bends + rest)
    nearly_linear = (bends + rest <= NEARLY_LINEAR * det.abs().unsqueeze(1)).all(1)
    step = -G[:, :, 0] / torch.where(det == 0, 1.0, det).unsqueeze(1)
    return _Verdict(
        open=plain.all(1) & reached.all(1),
        stale=(rest > STALE * (bends + 1e-3 * linear)).any(1),
        promising=nearly_linear & (step.abs() <= NEAR_BY).all(1),
        step=step,
    )


def _contraction(
    near: Expansion, Y: Tensor, det: Tensor, c: Tensor, left_out: Tensor, steep: Tensor, steeper: Tensor, shares: Tensor
) -> Tensor:
    """How much z - Y g / det shrinks distances (B, s), in the largest component, in boxes around the middle of each one
    that have these ``shares`` (s,) of its width, whatever the drive. Where that is below 1 there is one zero in it at
    most. ``steeper`` (r,) is a bound on what the rows of the derivative may be off by besides, whatever the share.
    """
    r, basis = c.shape[1], near.equation.basis
    size, G, degree = up(Y.abs()), Y @ c, basis.powers[:, :r].sum(1)
    rounding = 8 * UNIT * ORDER * (size @ c.abs().sum(2, keepdim=True))
    off = (G[:, :, 1 : r + 1] - det[:, None, None] * torch.eye(r, dtype=torch.float64)).abs().sum(2, keepdim=True)
    slopes = off + up(size @ steep.unsqueeze(2) + rounding) / shares + up(size @ steeper).unsqueeze(2)
    reached = (shares * (1 - near.swung) + near.swung) ** ORDER
    slopes = slopes + (ORDER + 1) * up(size @ left_out.unsqueeze(2)) * reached
    for k in range(1, ORDER + 1):
        some = (degree == k) & (basis.degree > 1)
        slopes = slopes + k * G[:, :, some].abs().sum(2, keepdim=True) * shares ** (k - 1)
    return up(up(slopes.amax(1)) / det.abs().clamp_min(1e-300).unsqueeze(1) * (1 + 8 * UNIT))


def _moved(near: Expansion, Y: Tensor, c: Tensor, unknown: Tensor) -> Tensor:
    """How far (B, r) drives take Y g in the middle of the boxes from where it is at s = 0."""
    powers = near.equation.basis.powers
    of_s = c[:, :, (powers[:, :-1].sum(1) == 0) & (powers[:, -1] > 0)]
    size = up(Y.abs())
    return up((Y @ of_s).abs().sum(2) + (size @ (16 * UNIT * of_s.abs().sum(2) + unknown).unsqueeze(2)).squeeze(2))


def _apart(k: Tensor, within: Tensor) -> Tensor:
    """The first (B,) of each of the latent states k (B, r) that lie together."""
    same = ((k.unsqueeze(1) - k).abs() <= within).all(2)
    return same.to(torch.uint8).argmax(1) == torch.arange(len(k))
