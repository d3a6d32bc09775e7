"""Functions of the state written down once, for whatever a proof has to know of them.

The networks say what F is by the operations below; ``Enclosed`` reads rounding and change in a ball off them,
``Sector`` secants and linear parts.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from dynsys.proof.functions.elementary import ELU, ERF, LOGISTIC, SOFTPLUS, TANH, Elementary, power


class Written(abc.ABC):
    """m functions of the state; ``value`` (B, m) is what they are at the states they were written at."""

    value: Tensor

    @abc.abstractmethod
    def constant(self, value: Tensor, error: Tensor | None = None) -> Self:
        """What does not depend on the state, (B, m)."""

    @abc.abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abc.abstractmethod
    def __neg__(self) -> Self: ...

    @abc.abstractmethod
    def __mul__(self, other: Self | float) -> Self: ...

    @abc.abstractmethod
    def affine(self, W: Tensor, b: Tensor | None = None) -> Self:
        """W f + b, for W (k, m) and b (k,)."""

    @abc.abstractmethod
    def through(self, phi: Elementary) -> Self:
        """phi(f) of every component."""

    @abc.abstractmethod
    def clip(self, low: float, high: float) -> Self:
        """min(max(f, low), high)."""

    @abc.abstractmethod
    def part(self, rows: slice) -> Self:
        """Some of the components."""

    @abc.abstractmethod
    def tightened(self) -> Self:
        """The same with better bounds, where there are any."""

    @abc.abstractmethod
    def with_others(self, others: Sequence[Self]) -> Self:
        """The components of these, and of the others, as those of one."""

    def __sub__(self, other: Self) -> Self:
        return self + (-other)

    def tanh(self) -> Self:
        return self.through(TANH)

    def sigmoid(self) -> Self:
        """The logistic function sigma (x) = 1 / (1 + exp(-x))."""
        return self.through(LOGISTIC)

    def softplus(self) -> Self:
        """log(1 + exp(x))."""
        return self.through(SOFTPLUS)

    def erf(self) -> Self:
        return self.through(ERF)

    def elu(self) -> Self:
        """x above 0 and exp(x) - 1 below."""
        return self.through(ELU)

    def relu(self, p: float = 1.0) -> Self:
        """max(x, 0)^p, p at least 1."""
        return self.clip(0.0, float("inf")) if p == 1 else self.through(power(p))

    def hard_sigmoid(self, slope: float) -> Self:
        """min(max(slope x + 1/2, 0), 1)."""
        half = self.constant(torch.full_like(self.value[:1], 0.5))
        return (self * slope + half).clip(0.0, 1.0)

    def chunk(self, parts: int) -> list[Self]:
        """The components in equal parts."""
        width = self.value.shape[-1] // parts
        return [self.part(slice(k * width, (k + 1) * width)) for k in range(parts)]
