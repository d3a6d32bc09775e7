"""How much of a state is left d steps later: the product of the derivatives along a trajectory.

    dh(t)/dh(t-d) = D_t D_{t-1} ... D_{t-d+1},      |dh(t)/dh(t-d)| <= |D_t| |D_{t-1}| ... |D_{t-d+1}|

The gradient of a loss at time t with respect to the state at t - d is the transposed product with its gradient at t:
that is backpropagation (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). D_t is the derivative of a
step, and norms are matrix 2-norms. A step with |D_t| < 1 brings all states near it closer to each other: its state is
in the reduced attracting set. A norm above 1 does not keep a product from fading, as the factors may turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.exponents.tangent import Stepper
from dynsys.io.shown import Shown

Array = NDArray[np.float64]

ROUNDING = 1e-12  # of a norm: a step of norm 1 does not contract
ROOM = 2**25  # numbers in the derivatives of a group of windows, done at a time


@dataclass(frozen=True, eq=False, repr=False)
class Fading(Shown):
    """Along W windows of d steps each, logarithms to base e, minus infinity for what is exactly 0.

    ``steps`` (d, W): log |D| of the single steps, the last first. ``product`` (d + 1, W): log |dh(t)/dh(t-j)| for
    j = 0..d, with t the end of the window. ``singular`` (W, n): the logarithms of the singular values of the whole
    product, the greatest first, NaN for those that are below what rounding leaves of the greatest. ``gradient``
    (d + 1, W): log |dC(t)/dh(t-j)|; None where no loss is given. ``time`` is the length of a step.
    """

    steps: Array
    product: Array
    singular: Array
    gradient: Array | None
    time: float

    @property
    def bound(self) -> Array:
        """The logarithm of the product of the norms of the steps, (d + 1, W), which is never below ``product``."""
        return np.concatenate([np.zeros((1, self.steps.shape[1])), np.cumsum(self.steps, axis=0)])

    @property
    def contracting(self) -> float:
        """The share of steps whose state is in the reduced attracting set, |D| < 1 by more than rounding."""
        return float((self.steps < -ROUNDING).mean())

    @property
    def rate(self) -> Array:
        """log |dh(t)/dh(t-d)| / d of each window (W,), per unit of time: it goes to the first exponent as d grows."""
        return np.asarray(self.product[-1] / (len(self.steps) * self.time))

    def left(self) -> Array | None:
        """log |dC(t)/dh(t-j)| / |dC(t)/dh(t)|, (d + 1, W); NaN where the loss has no gradient at t."""
        if self.gradient is None:
            return None
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(np.isfinite(self.gradient[0]), self.gradient - self.gradient[0], np.nan))


def trajectory(stepper: Stepper, x: Tensor, inputs: Tensor) -> Tensor:
    """The states (T + 1, B, n) from x (B, n) on, under inputs (T, B, m). Raises ArithmeticError where they diverge."""
    states = [x]
    for u in inputs:
        x = stepper.step(x, None, u).x
        states.append(x)
        if not bool(torch.isfinite(x).all()):
            raise ArithmeticError(
                f"the states of {stepper.system.name} grow beyond all bounds within {len(states) - 1} steps of these "
                "inputs: give smaller or fewer ones"
            )
    return torch.stack(states)


def fading(
    stepper: Stepper,
    states: Tensor,
    inputs: Tensor,
    delay: int,
    gradient: Callable[[Tensor, Tensor], Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fading:
    """Products over windows of ``delay`` steps, one after the other, of states (T + 1, B, n) under inputs (T, B, m).

    What is left over at the beginning, where T is no multiple, is not used. ``gradient`` gives dC/dh (W, n) of a loss
    at the states (W, n) in which windows end, and which of the T + 1 rows of ``states`` (W,) they are of. Raises
    ValueError where there are fewer steps than ``delay``.
    """
    T, B = inputs.shape[:2]
    if not 1 <= delay <= T:
        raise ValueError(f"delay is {delay}; a trajectory of {T} steps has products over 1 to {T} of them")
    ends = torch.arange(T, 0, -delay)
    ends = ends[ends >= delay]
    rows, runs = ends.repeat_interleave(B), torch.arange(B).repeat(len(ends))
    g = None if gradient is None else gradient(states[rows, runs], rows)
    n, parts = states.shape[2], list[Fading]()
    groups = torch.split(torch.arange(len(rows)), max(1, ROOM // (n * n)))
    for number, group in enumerate(groups):
        told = None if progress is None else lambda j, k=number: progress(k * delay + j, len(groups) * delay)
        x = [states[rows[group] - j, runs[group]] for j in range(1, delay + 1)]
        u = [inputs[rows[group] - j, runs[group]] for j in range(1, delay + 1)]
        parts.append(_backward(stepper, x, u, None if g is None else g[group], told))
    return Fading(
        np.concatenate([part.steps for part in parts], axis=1),
        np.concatenate([part.product for part in parts], axis=1),
        np.concatenate([part.singular for part in parts]),
        None if g is None else np.concatenate([part.gradient for part in parts if part.gradient is not None], axis=1),
        stepper.time,
    )


def _backward(
    stepper: Stepper, x: list[Tensor], u: list[Tensor], g: Tensor | None, progress: Callable[[int], None] | None
) -> Fading:
    """From the ends of windows back through the states x (W, n) before each step, the last step first."""
    W, n = x[0].shape
    P = torch.eye(n, dtype=x[0].dtype).expand(W, n, n)
    scale = x[0].new_zeros(W)  # the logarithm of what P was divided by, lest it leaves the range of numbers
    steps, product = [], [scale]
    length = x[0].new_zeros(W)
    backed = []
    if g is not None:
        g, length = _scaled(g, length)
        backed.append(length)
    for j, (before, held) in enumerate(zip(x, u, strict=True)):
        D = stepper.derivative(before, held)
        steps.append(norm(D).log())
        P = P @ D
        size = norm(P)
        scale = scale + size.log()
        P = P / size.clamp_min(torch.finfo(P.dtype).tiny)[:, None, None]
        product.append(scale)
        if g is not None:
            g, length = _scaled((g.unsqueeze(1) @ D).squeeze(1), length)
            backed.append(length)
        if progress is not None:
            progress(j + 1)
    values = torch.linalg.svdvals(P)
    seen = values > n * torch.finfo(P.dtype).eps * values[:, :1]
    singular = torch.where(seen, values.log() + scale[:, None], torch.nan)
    gradient = None if g is None else torch.stack(backed).numpy()
    return Fading(torch.stack(steps).numpy(), torch.stack(product).numpy(), singular.numpy(), gradient, stepper.time)


def _scaled(g: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    size = torch.linalg.vector_norm(g, dim=1)
    return g / size.clamp_min(torch.finfo(g.dtype).tiny)[:, None], length + size.log()


def norm(A: Tensor) -> Tensor:
    """The 2-norm of each matrix (..., n, n), by the greatest eigenvalue of A^T A: several times faster than its SVD."""
    size = A.abs().amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(A.dtype).tiny)
    unit = A / size
    return torch.linalg.eigvalsh(unit.mT @ unit)[..., -1].clamp_min(0.0).sqrt() * size[..., 0, 0]
