"""The recurrence of the fast-weights network in the attention form, with its derivative written out.

    z_t = d_t + W h_{t-1},   h^0 = f(LN(z_t)),   h^s = f(LN(z_t + A h^{s-1})),   h_t = h^S,   f = relu,
    A h = sum over tau < t of w_tau (h_tau . h) h_tau,   w_tau = eta lambda^(t-1-tau).

Let r = A h. The gradient along r reaches h through A itself, which is symmetric, and each h_tau twice: as what was
recalled, w_tau (h_tau . h) dr, and as what was compared, w_tau (h_tau . dr) h. Autograd finds the same by way of a node
for each operation, and a training step takes a tenth to a quarter longer (``benchmarks/training_step.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-5  # of torch's layer normalisation

_normalise = torch.native_layer_norm
_through_normal = torch.ops.aten.native_layer_norm_backward
_through_relu = torch.ops.aten.threshold_backward


@dataclass(frozen=True)
class Constants:
    """S inner steps, eta, lambda, and whether the whole sum is normalised, or z alone."""

    inner: int
    rate: float
    decay: float
    whole: bool

    def weights(self, T: int, like: Tensor) -> Tensor:
        """w (T, 1, 1) of T states of the past, the oldest first."""
        ages = torch.arange(T - 1, -1, -1, device=like.device, dtype=like.dtype)
        return (self.rate * self.decay**ages).view(-1, 1, 1)


def attended(driven: Tensor, W: Tensor, gain: Tensor, shift: Tensor, constants: Constants) -> Tensor:
    """h_1 ... h_T (T, B, R) from C x + b (T, B, R), by the slow weights W (R, R), the gain and shift (R,) of LN."""
    states: Tensor = _Attended.apply(driven, W, gain, shift, constants)  # type: ignore[no-untyped-call]
    return states


@dataclass(frozen=True, eq=False)
class _Normalised:
    """LN(a) of a sum a (B, R), and what its derivative needs."""

    a: Tensor
    value: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, a: Tensor, gain: Tensor, shift: Tensor) -> _Normalised:
        return cls(a, *_normalise(a, gain.shape, gain, shift, EPSILON))


@dataclass(frozen=True, eq=False)
class _InnerStep:
    """From h (B, R) to ``after``: w_tau (h_tau . h) (t, B, 1), and the normalisation where there is one."""

    before: Tensor
    after: Tensor
    attention: Tensor
    normal: _Normalised | None


class _Attended(torch.autograd.Function):
    """All steps as one node."""

    @staticmethod
    def forward(ctx: Any, driven: Tensor, W: Tensor, gain: Tensor, shift: Tensor, constants: Constants) -> Tensor:
        weights = constants.weights(len(driven), driven)
        states = torch.empty_like(driven)
        firsts, loops = [], []
        for t in range(len(driven)):
            z = torch.addmm(driven[t], states[t - 1], W.T) if t else driven[0]
            first = _Normalised.of(z, gain, shift)
            h, loop = first.value.relu(), []
            past, weight = states[:t], weights[len(driven) - t :]
            for _ in range(constants.inner if t else 0):
                attention = (past * h).sum(2, keepdim=True).mul_(weight)
                recalled = (attention * past).sum(0)
                normal = _Normalised.of(recalled.add_(z), gain, shift) if constants.whole else None
                after = (normal.value if normal else recalled.add_(first.value)).relu()
                loop.append(_InnerStep(h, after, attention, normal))
                h = after
            states[t] = h
            firsts.append(first)
            loops.append(loop)
        ctx.save_for_backward(W, gain, shift, states)
        ctx.firsts, ctx.loops, ctx.weights = firsts, loops, weights
        return states

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        W, gain, shift, states = ctx.saved_tensors
        into_states, into_driven = along.clone(), torch.empty_like(states)
        into_gain, into_shift = torch.zeros_like(gain), torch.zeros_like(shift)

        def through(normal: _Normalised, dy: Tensor) -> Tensor:
            shape, kept = gain.shape, (normal.mean, normal.scale)
            da: Tensor
            da, dgain, dshift = _through_normal(dy, normal.a, shape, *kept, gain, shift, [True, True, True])
            into_gain.add_(dgain)
            into_shift.add_(dshift)
            return da

        for t in range(len(states) - 1, -1, -1):
            first, past, into_past, weight = ctx.firsts[t], states[:t], into_states[:t], ctx.weights[len(states) - t :]
            dh, dz, dslow = into_states[t], None, None
            for step in reversed(ctx.loops[t]):
                dr = _through_relu(dh, step.after, 0)
                if step.normal is not None:
                    dr = through(step.normal, dr)
                    dz = dr if dz is None else dz + dr
                else:
                    dslow = dr if dslow is None else dslow + dr
                compared = (past * dr).sum(2, keepdim=True).mul_(weight)
                into_past.addcmul_(compared, step.before).addcmul_(step.attention, dr)
                dh = (compared * past).sum(0)
            dy = _through_relu(dh, first.value, 0)
            dfirst = through(first, dy if dslow is None else dy + dslow)
            into_driven[t] = dfirst if dz is None else dfirst + dz
            if t:
                into_states[t - 1].addmm_(into_driven[t], W)
        into_W = into_driven[1:].flatten(0, 1).T @ states[:-1].flatten(0, 1)
        return into_driven, into_W, into_gain, into_shift, None
