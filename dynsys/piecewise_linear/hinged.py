"""Piecewise-linear activation functions, and the networks of them as ``Pieces`` that lose no digit.

W - 1, a W, 0.2 W + 1/2 and W u + b have more digits than float64 holds. They are kept as exact sums, so that what is
proved of the pieces is true of the network.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dynsys.proof.exact import Sum, exact_sum, times
from dynsys.systems.pieces import Pieces


@dataclass(frozen=True)
class Hinges:
    """A function of one number, slope x + the sum over k of bends[k] max(steep x - places[k], 0)."""

    slope: float
    bends: tuple[float, ...] = ()
    places: tuple[float, ...] = ()
    steep: float = 1.0


RELU = Hinges(0.0, (1.0,), (0.0,))


def hinged_rates(W: Sum, drive: Sum, f: Hinges = RELU, pace: Tensor | None = None) -> Pieces:
    """F = pace (-x + W f(x) + drive): the state is the preactivation.

    The units are those of one hinge after the other, for all states.
    """
    one = _one(W[0])
    B = tuple(torch.cat(parts, 1) for parts in zip(*(times(W, bend) for bend in f.bends), strict=True)) or (
        W[0][:, :0],
    )
    C, e = times((one.repeat(len(f.bends), 1),), f.steep), (-_places(W[0], f),)
    return _paced(exact_sum(*times(W, f.slope), -one), B, drive, C, e, pace)


def hinged_activity(W: Tensor, drive: Sum, f: Hinges = RELU, pace: Tensor | None = None) -> Pieces:
    """F = pace (-x + f(W x + drive)): the state is the rate itself. The units are in the same order."""
    one, K = _one(W), len(f.bends)
    B = torch.cat([bend * one for bend in f.bends], 1) if K else W[:, :0]
    C, e = preactivations((W,), drive, f)
    return _paced(exact_sum(*times((W,), f.slope), -one), (B,), times(drive, f.slope), C, e, pace)


@dataclass(frozen=True)
class HingedLayer:
    """h' = f(U a + W h + drive), with U (n, m) and W (n, n), where a is the h of the layer below."""

    U: Tensor
    W: Tensor
    drive: Sum
    f: Hinges

    @property
    def units(self) -> int:
        return len(self.W) * len(self.f.bends)

    @property
    def rates(self) -> Tensor:
        """h' from what its units give, (n, units)."""
        return torch.cat([bend * _one(self.W) for bend in self.f.bends], 1) if self.units else self.W[:, :0]


def hinged_layers(layers: Sequence[HingedLayer], fresh: bool) -> Pieces | None:
    """F = h' - h of layers on top of each other, each of which sees the new h of the one below, or with ``fresh`` false
    the held one. None where there are several and f has a slope outside its hinges: h' is then no sum over units.
    """
    if len(layers) == 1:
        return hinged_activity(layers[0].W, layers[0].drive, layers[0].f)
    if any(layer.f.slope for layer in layers):
        return None
    states, units = _places_of([len(layer.W) for layer in layers]), _places_of([layer.units for layer in layers])
    n, m, like = states[-1].stop, units[-1].stop, layers[0].W
    B, C, D, e = _Blocks(like, (n, m)), _Blocks(like, (m, n)), _Blocks(like, (m, m)), _Blocks(like, (m,))
    for k, layer in enumerate(layers):
        own, constant = preactivations((layer.W,), layer.drive, layer.f)
        B.put((layer.rates,), states[k], units[k])
        C.put(own, units[k], states[k])
        e.put(constant, units[k])
        if k == 0:
            continue
        above = tuple(part.repeat(len(layer.f.bends), 1) for part in times((layer.U,), layer.f.steep))
        if fresh:
            D.put(tuple(part @ layers[k - 1].rates for part in above), units[k], units[k - 1])
        else:
            C.put(above, units[k], states[k - 1])
    one = torch.eye(n, dtype=like.dtype, device=like.device)
    return Pieces.summed((-one,), B.sum(), (like.new_zeros(n),), C.sum(), D.sum(), e.sum())


class _Blocks:
    """An exact sum that is put together of blocks."""

    def __init__(self, like: Tensor, shape: tuple[int, ...]) -> None:
        self._parts = [like.new_zeros(shape)]

    def put(self, block: Sum, *where: slice) -> None:
        for level, part in enumerate(block):
            if level == len(self._parts):
                self._parts.append(torch.zeros_like(self._parts[0]))
            self._parts[level][where] = part

    def sum(self) -> Sum:
        return tuple(self._parts)


def _places_of(widths: Sequence[int]) -> list[slice]:
    ends = list(itertools.accumulate(widths))
    return [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]


def preactivations(W: Sum, drive: Sum, f: Hinges) -> tuple[Sum, Sum]:
    """What the hinges see of W x + drive, steep (W x + drive) - place: the matrix and the constant."""
    K = len(f.bends)
    C = tuple(part.repeat(K, 1) for part in times(W, f.steep))
    return C, exact_sum(*(part.repeat(K) for part in times(drive, f.steep)), -_places(W[0], f))


def _places(W: Tensor, f: Hinges) -> Tensor:
    return W.new_tensor(f.places).repeat_interleave(len(W))


def _paced(A: Sum, B: Sum, c: Sum, C: Sum, e: Sum, pace: Tensor | None) -> Pieces:
    if pace is not None:
        A, B, c = times(A, pace.unsqueeze(1)), times(B, pace.unsqueeze(1)), times(c, pace)
    m = len(e[0])
    return Pieces.summed(A, B, c, C, (e[0].new_zeros(m, m),), e)


def _one(W: Tensor) -> Tensor:
    return torch.eye(len(W), dtype=W.dtype, device=W.device)
