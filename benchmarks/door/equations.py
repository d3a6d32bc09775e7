"""One step of each network, in NumPy, as the documentation of the tool that writes the file has it.

Cells take the input and the parts of their state (h, or h and c) and give the new parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from door.layout import Array, Step

Function = Callable[[Array], Array]
Parts = tuple[Array, ...]
Cell = Callable[[Array, Parts], Parts]


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def relu(x: Array) -> Array:
    return np.where(x > 0, x, 0.0)


FUNCTIONS: dict[str, Function] = {
    "tanh": np.tanh,
    "logistic": sigmoid,
    "relu": relu,
    "softplus": lambda x: np.logaddexp(0, x),
    "identity": lambda x: x,
    "hard-sigmoid": lambda x: np.minimum(1, np.maximum(0, x / 6 + 0.5)),  # torch, Keras 3
    "hard-sigmoid-0.2": lambda x: np.minimum(1, np.maximum(0, 0.2 * x + 0.5)),  # Keras 2, ONNX's default
    "erf": lambda x: np.array([math.erf(v) for v in x]),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "retanh": lambda x: np.maximum(np.tanh(x), 0),
    "relu^2": lambda x: relu(x) ** 2,
    "relu^3": lambda x: relu(x) ** 3,
}


def torch_rnn(W_ih: Array, W_hh: Array, b: Array, f: Function = np.tanh) -> Cell:
    return lambda u, s: (f(W_ih @ u + W_hh @ s[0] + b),)


def torch_gru(W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Cell:
    """Rows r, z, n; r after the product; h' = (1 - z) n + z h."""

    def cell(u: Array, s: Parts) -> Parts:
        (h,) = s
        (ir, iz, i_n), (hr, hz, hn) = np.split(W_ih @ u + b_ih, 3), np.split(W_hh @ h + b_hh, 3)
        z = sigmoid(iz + hz)
        return ((1 - z) * np.tanh(i_n + sigmoid(ir + hr) * hn) + z * h,)

    return cell


def gru_reset_before(W: Array, U: Array, b: Array, keeps: bool) -> Cell:
    """Rows r, z, n; n = tanh(W_n u + U_n (r h) + b_n). ``keeps``: z keeps h, as in torch and Keras; else it renews."""

    def cell(u: Array, s: Parts) -> Parts:
        (h,) = s
        n = len(h)
        a = W @ u + b
        r, z = sigmoid(a[:n] + U[:n] @ h), sigmoid(a[n : 2 * n] + U[n : 2 * n] @ h)
        new = np.tanh(a[2 * n :] + U[2 * n :] @ (r * h))
        return ((1 - z) * new + z * h,) if keeps else (z * new + (1 - z) * h,)

    return cell


def lstm(gates: Callable[[Array, Array], Sequence[Array]], gate: Function = sigmoid, f: Function = np.tanh) -> Cell:
    """``gates(u, h)`` are the sums of i, f, g, o before their functions, wherever a tool keeps them."""

    def cell(u: Array, s: Parts) -> Parts:
        h, c = s
        i, forget, g, o = gates(u, h)
        new = gate(forget) * c + gate(i) * f(g)
        return gate(o) * f(new), new

    return cell


def torch_lstm(W_ih: Array, W_hh: Array, b: Array) -> Cell:
    return lstm(lambda u, h: np.split(W_ih @ u + W_hh @ h + b, 4))


def keras_rnn(K: Array, R: Array, b: Array, f: Function = np.tanh) -> Cell:
    return lambda u, s: (f(u @ K + s[0] @ R + b),)


def keras_lstm(K: Array, R: Array, b: Array, gate: Function = sigmoid, f: Function = np.tanh) -> Cell:
    """Columns i, f, c, o."""
    return lstm(lambda u, h: np.split(u @ K + h @ R + b, 4), gate, f)


def keras_gru(K: Array, R: Array, b: Array, gate: Function = sigmoid, f: Function = np.tanh) -> Cell:
    """Columns z, r, h; h' = z h + (1 - z) n. A bias of two rows is of reset_after=True, of one row of False."""

    def cell(u: Array, s: Parts) -> Parts:
        (h,) = s
        n = len(h)
        after = b.ndim == 2
        a, (Rz, Rr, Rh) = u @ K + (b[0] if after else b), (R[:, :n], R[:, n : 2 * n], R[:, 2 * n :])
        cz, cr, ch = np.split(b[1], 3) if after else np.zeros((3, n))
        z, r = gate(a[:n] + h @ Rz + cz), gate(a[n : 2 * n] + h @ Rr + cr)
        new = f(a[2 * n :] + (r * (h @ Rh + ch) if after else (r * h) @ Rh))
        return (z * h + (1 - z) * new,)

    return cell


def onnx_gru(W: Array, R: Array, B: Array, linear_before_reset: int) -> Cell:
    """Rows z, r, h. linear_before_reset: r (R_h h + Rb_h), else R_h (r h) + Rb_h."""

    def cell(u: Array, s: Parts) -> Parts:
        (h,) = s
        n = len(h)
        (az, ar, ah), (Rz, Rr, Rh) = np.split(W @ u + B[: 3 * n], 3), np.split(R, 3)
        bz, br, bh = np.split(B[3 * n :], 3)
        z, r = sigmoid(az + Rz @ h + bz), sigmoid(ar + Rr @ h + br)
        new = np.tanh(ah + (r * (Rh @ h + bh) if linear_before_reset else Rh @ (r * h) + bh))
        return ((1 - z) * new + z * h,)

    return cell


def onnx_lstm(W: Array, R: Array, B: Array) -> Cell:
    """Rows i, o, f, c."""

    def gates(u: Array, h: Array) -> Sequence[Array]:
        i, o, forget, c = np.split(W @ u + R @ h + sum(np.split(B, 2)), 4)
        return i, forget, c, o

    return lstm(gates)


def onnx_peephole_lstm(W: Array, R: Array, B: Array, P: Array) -> Cell:
    """Rows i, o, f, c; peepholes P of i, o, f, of which o sees the new c."""

    def cell(u: Array, s: Parts) -> Parts:
        h, c = s
        i, o, forget, g = np.split(W @ u + R @ h + sum(np.split(B, 2)), 4)
        pi, po, pf = np.split(P, 3)
        new = sigmoid(forget + pf * c) * c + sigmoid(i + pi * c) * np.tanh(g)
        return sigmoid(o + po * new) * np.tanh(new), new

    return cell


def stacked(cells: Sequence[Cell], sizes: Sequence[int], parts: int) -> Step:
    """The state is h of every layer, then c of every layer; a layer's input is the new h of the layer below."""

    def step(x: Array, u: Array) -> Array:
        cuts = np.cumsum([n for _ in range(parts) for n in sizes])[:-1]
        pieces, new, a = np.split(x, cuts), [], u
        for k, cell in enumerate(cells):
            new.append(cell(a, tuple(pieces[k + p * len(cells)] for p in range(parts))))
            a = new[-1][0]
        return np.concatenate([layer[p] for p in range(parts) for layer in new])

    return step


def alone(cell: Cell, n: int, parts: int = 1) -> Step:
    return stacked([cell], [n], parts)


def leaky(alpha: float | Array, W: Array, B: Array, b: Array, f: Function = np.tanh) -> Step:
    return lambda x, u: (1 - alpha) * x + alpha * f(W @ x + B @ u + b)


def leaky_rate(alpha: float | Array, W: Array, B: Array, b: Array, f: Function = np.tanh) -> Step:
    return lambda x, u: (1 - alpha) * x + alpha * (W @ f(x) + B @ u + b)


def rate(tau: float | Array, W: Array, B: Array, b: Array, f: Function = np.tanh) -> Step:
    return lambda x, u: (-x + W @ f(x) + B @ u + b) / tau


def activity(tau: float | Array, W: Array, B: Array, b: Array, f: Function = np.tanh) -> Step:
    return lambda r, u: (-r + f(W @ r + B @ u + b)) / tau
