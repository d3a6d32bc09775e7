"""Files of other tools as tests make them, and the equations of their layers, written from the tools' documentation."""

import numpy as np
import torch


def sigma(x):
    return 1 / (1 + np.exp(-x))


def hard_02(x):
    """Keras 2 and ONNX's default."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def hard_6(x):
    """Keras 3: relu6(x + 3) / 6."""
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


def right_rnn(K, R, b, f=np.tanh):
    """h' = f(u K + h R + b), kernels acting from the right."""
    return lambda s, u: (f(u @ K + s[0] @ R + b),)


def right_gru(K, R, b, reset_after=True, f=np.tanh, gate=sigma):
    """Keras's GRU, columns z, r, h: ``b`` is (2, 3 n), of the input and recurrent, or (3 n,) without reset_after."""
    n = len(R)
    b_in, b_rec = b if reset_after else (b, np.zeros(3 * n))

    def step(s, u):
        (h,) = s
        x = np.split(u @ K + b_in, 3)
        if reset_after:
            inner = np.split(h @ R + b_rec, 3)
            z, r = gate(x[0] + inner[0]), gate(x[1] + inner[1])
            candidate = f(x[2] + r * inner[2])
        else:
            z, r = gate(x[0] + h @ R[:, :n]), gate(x[1] + h @ R[:, n : 2 * n])
            candidate = f(x[2] + (r * h) @ R[:, 2 * n :])
        return (z * h + (1 - z) * candidate,)

    return step


def right_lstm(K, R, b, f=np.tanh, gate=sigma):
    """Keras's LSTM, columns i, f, c, o."""

    def step(s, u):
        h, c = s
        i, forget, candidate, o = np.split(u @ K + h @ R + b, 4)
        c = gate(forget) * c + gate(i) * f(candidate)
        return gate(o) * f(c), c

    return step


def off_by(system, steps, units, read=None, seed=5):
    """How far one step of ``system`` is from layers on top of each other, on random states and inputs.

    ``steps`` are their equations, {(h,) or (h, c), input} to the next; ``read`` is the readout of the top h.
    """
    rng = np.random.default_rng(seed)
    n_h, gated = sum(units), system.n_state == 2 * sum(units)
    worst = 0.0
    for _ in range(5):
        x, u = rng.normal(size=system.n_state), rng.normal(size=system.n_input)
        ends = np.cumsum(units)[:-1]
        h, c = np.split(x[:n_h], ends), np.split(x[n_h:], ends) if gated else [None] * len(units)
        below, new = u, []
        for k, step in enumerate(steps):
            new.append(step((h[k], c[k]) if gated else (h[k],), below))
            below = new[-1][0]
        want = np.concatenate([part[i] for i in range(1 + gated) for part in new])
        X, U = torch.tensor(x)[None], torch.tensor(u)[None]
        worst = max(worst, np.abs((X + system.velocity(X, U))[0].numpy() - want).max())
        if read is not None:
            worst = max(worst, np.abs(system.readout(X)[0].numpy() - read(h[-1])).max())
    return worst
