"""Gated networks as bare matrices: the order of their gates, and where they reset, is what their owner has to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from door.drawing import draw
from door.equations import alone, gru_reset_before, keras_gru, keras_lstm, lstm
from door.layout import LINE, SAID, Network, Write, enter, layout

Rng = np.random.Generator


def weights_of_keras(cls: str) -> Write:
    """np.savez(path, *model.get_weights()): arrays that are numbered, in Keras's order of gates."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        k, lstm_cell = (4, True) if cls == "lstm" else (3, False)
        K, R, b = draw(rng, m, k * n), draw(rng, n, k * n), draw(rng, *((k * n,) if lstm_cell else (2, k * n)))
        np.savez(folder / "weights.npz", K, R, b)
        known = {"form": cls, "convention": "keras"}
        said = {**known, "matrices": {"input": "arr_0", "recurrent": "arr_1", "bias": "arr_2"}}
        step = alone((keras_lstm if lstm_cell else keras_gru)(K, R, b), n, 2 if lstm_cell else 1)
        return Network(folder / "weights.npz", step, n * (2 if lstm_cell else 1), m, known=known, said=said)

    return write


enter("npz_weights_of_keras_lstm", "gates", SAID, weights_of_keras("lstm"))
enter("npz_weights_of_keras_gru", "gates", SAID, weights_of_keras("gru"))


@layout("gates", SAID)
def npz_haiku_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """w (m + n, 4n), columns i, g, f, o, and 1 added to f."""
    w, b = draw(rng, m + n, 4 * n), draw(rng, 4 * n)
    np.savez(folder / "net.npz", w=w, b=b)

    def gates(u: Any, h: Any) -> Any:
        i, g, f, o = np.split(np.concatenate([u, h]) @ w + b, 4)
        return i, f + 1, g, o

    at = {g: f"{k * n}:{(k + 1) * n}" for k, g in enumerate("igfo")}
    matrices = {f"recurrent_{g}": f"w[{m}:, {cut}].T" for g, cut in at.items()}
    matrices |= {f"input_{g}": f"w[:{m}, {cut}].T" for g, cut in at.items()}
    matrices |= {f"bias_{g}": f"b[{cut}]" + (" + 1" if g == "f" else "") for g, cut in at.items()}
    step = alone(lstm(gates), n, 2)
    return Network(
        folder / "net.npz", step, 2 * n, m, known={"form": "lstm"}, said={"form": "lstm", "matrices": matrices}
    )


def stacked_lstm(order: str) -> Write:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        W, U, b = draw(rng, 4 * n, m), draw(rng, 4 * n, n), draw(rng, 4 * n)
        np.savez(folder / "net.npz", Wx=W, Wh=U, b=b)

        def gates(u: Any, h: Any) -> Any:
            found = dict(zip(order, np.split(W @ u + U @ h + b, 4), strict=True))
            return [found[g] for g in "ifgo"]

        known = {"form": "lstm", "gates": order}
        said = {**known, "matrices": {"input": "Wx", "recurrent": "Wh", "bias": "b"}}
        return Network(folder / "net.npz", alone(lstm(gates), n, 2), 2 * n, m, known=known, said=said)

    return write


enter("npz_lstm_stacked_ifgo", "gates", LINE, stacked_lstm("ifgo"))
enter("npz_lstm_stacked_ifog", "gates", LINE, stacked_lstm("ifog"))


@layout("gates", SAID)
def npz_gru_whose_gate_renews(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """h' = (1 - z) h + z n, as Cho et al. and many homemade ones: torch's with the signs of z turned."""
    W, U, b = draw(rng, 3 * n, m), draw(rng, 3 * n, n, gain=1.5), draw(rng, 3 * n)
    a = {
        key + g: block
        for key, w in (("W", W), ("U", U), ("b", b))
        for g, block in zip("rzh", np.split(w, 3), strict=True)
    }
    np.savez(folder / "net.npz", **a)
    named, ours = {"input": "W", "recurrent": "U", "bias": "b"}, {"r": "r", "z": "z", "n": "h"}
    matrices = {f"{role}_{g}": ("-" if g == "z" else "") + key + ours[g] for role, key in named.items() for g in "rzn"}
    known = {"form": "gru", "convention": "keras reset_after=False"}
    step = alone(gru_reset_before(W, U, b, keeps=False), n)
    return Network(folder / "net.npz", step, n, m, said={**known, "matrices": matrices})
