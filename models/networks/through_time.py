"""All steps of a recurrent layer as one node of autograd, with its derivative written out.

    vanilla   h' = f(d + W h),   f = tanh or relu
    GRU       (r, z) = sigmoid(d_rz + W_rz h),   m = W_n h + b_n,   n = tanh(d_n + r m),   h' = n + z (h - n)

d is what the input and the biases give, for all steps in one product. Back through time, with g the gradient along h':
dn = g (1 - z)(1 - n^2), dz = g (h - n) z (1 - z), dm = dn r, dr = dm m (1 - r), and g z + W^T (dr, dz, dm) goes to h.
What of these does not depend on g is computed for all steps at once, and so are the gradients of the weights; with a
node for every operation a training takes half as long again, of a GRU more (``benchmarks/flipflop_networks.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

NODES = ("RNN_TANH", "RNN_RELU", "GRU")  # modes of torch's modules that are run here; an LSTM's own form is as fast


def states_of(rnn: nn.Module, inputs: Tensor) -> Tensor:
    """h of the last layer, (B, T, units) or with both directions side by side, of inputs (B, T, n_input) from h = 0."""
    if getattr(rnn, "mode", None) not in NODES:
        states: Tensor = rnn(inputs)[0]
        return states
    weights = dict(rnn.named_parameters())
    below = inputs.transpose(0, 1)
    for k in range(int(rnn.num_layers)):  # type: ignore[arg-type]
        ways = [_layer(str(rnn.mode), weights, f"_l{k}", below)]
        if rnn.bidirectional:
            ways.append(_layer(str(rnn.mode), weights, f"_l{k}_reverse", below.flip(0)).flip(0))
        below = torch.cat(ways, dim=2) if len(ways) > 1 else ways[0]
    return below.transpose(0, 1)


def _layer(mode: str, weights: Mapping[str, Tensor], end: str, x: Tensor) -> Tensor:
    """h (T, B, units) of one layer in one direction; x (T, B, n)."""
    W_x, W, b_x, b = (weights.get(f"{name}{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    driven = functional.linear(x, W_x, b_x)  # type: ignore[arg-type]
    node = _Gated if mode == "GRU" else _Vanilla
    states: Tensor = node.apply(driven, W, b, mode)  # type: ignore[no-untyped-call]
    return states


class _Vanilla(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, driven: Tensor, W: Tensor, b: Tensor | None, mode: str) -> Tensor:
        states = driven.clone() if b is None else driven + b
        rate, W_T, before = torch.tanh_ if mode == "RNN_TANH" else torch.relu_, W.T, None
        for h in states.unbind():
            before = rate(h if before is None else h.addmm_(before, W_T))
        ctx.save_for_backward(W, states)
        ctx.mode, ctx.has_bias = mode, b is not None
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        W, states = ctx.saved_tensors
        slopes = 1 - states**2 if ctx.mode == "RNN_TANH" else (states > 0).to(states)
        into, after = along.clone(), None
        for d, slope in zip(reversed(into.unbind()), reversed(slopes.unbind()), strict=True):
            after = (d if after is None else d.addmm_(after, W)).mul_(slope)
        into_W = into[1:].flatten(0, 1).T @ states[:-1].flatten(0, 1)
        return into, into_W, into.sum((0, 1)) if ctx.has_bias else None, None


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, driven: Tensor, W: Tensor, b: Tensor | None, mode: str) -> Tensor:
        T, B, R = len(driven), driven.shape[1], W.shape[1]
        ctx.has_bias, b = b is not None, W.new_zeros(3 * R) if b is None else b
        gates = driven[..., : 2 * R] + b[: 2 * R]  # r and z, after their sigmoid
        n = driven[..., 2 * R :].contiguous()
        m, states = (driven.new_empty(T, B, R) for _ in range(2))
        b_n, W_rz, W_n, h = b[2 * R :], W[: 2 * R].T, W[2 * R :].T, driven.new_zeros(B, R)
        r, z = gates.tensor_split(2, dim=2)
        for rz_t, r_t, z_t, m_t, n_t, h_t in zip(*(a.unbind() for a in (gates, r, z, m, n, states)), strict=True):
            rz_t.addmm_(h, W_rz).sigmoid_()
            torch.addmm(b_n, h, W_n, out=m_t)
            n_t.addcmul_(r_t, m_t).tanh_()
            h = torch.lerp(n_t, h, z_t, out=h_t)
        ctx.save_for_backward(W, gates, m, n, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        W, gates, m, n, states = ctx.saved_tensors
        R = W.shape[1]
        r, z = gates.tensor_split(2, dim=2)
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        per_n, per_z, per_r = (1 - z) * (1 - n**2), (before - n) * z * (1 - z), m * r * (1 - r)
        into = along.new_empty(*along.shape[:2], 3 * R)  # along (r, z) before their sigmoid, and along m
        into_n, rows = torch.empty_like(n), (into, *into.tensor_split(3, dim=2))
        g, parts = torch.zeros_like(along[0]), (along, z, r, per_n, per_z, per_r, into_n, *rows)
        for g_t, z_t, r_t, by_n, by_z, by_r, dn, d, dr, dz, dm in zip(
            *(reversed(part.unbind()) for part in parts), strict=True
        ):
            g = g + g_t
            torch.mul(g, by_n, out=dn)
            torch.mul(g, by_z, out=dz)
            torch.mul(dn, by_r, out=dr)
            torch.mul(dn, r_t, out=dm)
            g = torch.addmm(g.mul_(z_t), d, W)
        into_W = into.flatten(0, 1).T @ before.flatten(0, 1)
        into_driven = torch.cat([into[..., : 2 * R], into_n], dim=2)
        return into_driven, into_W, into.sum((0, 1)) if ctx.has_bias else None, None
