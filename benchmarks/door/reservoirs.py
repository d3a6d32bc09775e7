"""Echo state networks with their bias and feedback in either place, and piecewise-linear networks (PLRNN)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from door.drawing import draw, tensors
from door.equations import leaky, relu
from door.layout import LINE, SAID, Network, Step, layout

Rng = np.random.Generator


def reservoir(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {"W": draw(rng, n, n), "Win": draw(rng, n, m), "Wout": draw(rng, 2, n)}


def fed_back(a: dict[str, Any], alpha: float, b: Any, c: Any) -> Step:
    """x' = (1 - a) x + a tanh(W x + W_in u + W_fb y + b) with y = W_out x + c."""
    return leaky(alpha, a["W"] + a["Wfb"] @ a["Wout"], a["Win"], b + a["Wfb"] @ c)


@layout("reservoir", LINE)
def esn_with_feedback(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = reservoir(rng, n, m) | {"Wfb": draw(rng, n, 2)}
    np.savez(folder / "esn.npz", **a)
    known = {"form": "esn", "alpha": 0.3}
    matrices = {"recurrent": "W", "input": "Win", "feedback": "Wfb", "readout": "Wout"}
    step = fed_back(a, 0.3, np.zeros(n), np.zeros(2))
    readout = lambda x: a["Wout"] @ x  # noqa: E731
    said = {**known, "matrices": matrices}
    return Network(folder / "esn.npz", step, n, m, readout=readout, known=known, said=said)


@layout("reservoir", LINE)
def esn_with_a_bias_in_either_place(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, b, c = reservoir(rng, n, m) | {"Wfb": draw(rng, n, 2)}, draw(rng, n), draw(rng, 2)
    np.savez(folder / "esn.npz", **a, bias=b, bias_out=c)
    known = {"form": "esn", "alpha": 0.5}
    matrices = {"recurrent": "W", "input": "Win", "feedback": "Wfb", "readout": "Wout"}
    said = {**known, "matrices": matrices | {"bias": "bias", "readout_bias": "bias_out"}}
    readout = lambda x: a["Wout"] @ x + c  # noqa: E731
    return Network(folder / "esn.npz", fed_back(a, 0.5, b, c), n, m, readout=readout, known=known, said=said)


@layout("reservoir", SAID)
def esn_whose_input_matrix_holds_the_bias(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """x' = (1 - a) x + a tanh(Win [1; u] + W x), y = Wout [1; u; x] (Lukosevicius 2012)."""
    W, Win, Wout = draw(rng, n, n), draw(rng, n, 1 + m), draw(rng, 1, 1 + m + n)
    np.savez(folder / "esn.npz", W=W, Win=Win, Wout=Wout)
    matrices = {"recurrent": "W", "input": "Win[:, 1:]", "bias": "Win[:, 0]"}
    said = {"form": "esn", "alpha": 0.3, "matrices": matrices}
    return Network(folder / "esn.npz", leaky(0.3, W, Win[:, 1:], Win[:, 0]), n, m, said=said)


@layout("reservoir", SAID)
def esn_that_generates_its_input(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The same, fed by its own output: u = y = Wout [1; u; x] would need the last u; here y = Wout [1; x]."""
    W, Win, Wout = draw(rng, n, n), draw(rng, n, 1 + m), draw(rng, m, 1 + n)
    np.savez(folder / "esn.npz", W=W, Win=Win, Wout=Wout)
    matrices = {"recurrent": "W", "feedback": "Win[:, 1:]", "bias": "Win[:, 0]", "readout": "Wout[:, 1:]"}
    said = {"form": "esn", "alpha": 0.3, "matrices": matrices | {"readout_bias": "Wout[:, 0]"}}
    step = leaky(0.3, W + Win[:, 1:] @ Wout[:, 1:], np.zeros((n, 0)), Win[:, 0] + Win[:, 1:] @ Wout[:, 0])
    return Network(folder / "esn.npz", step, n, 0, readout=lambda x: Wout[:, 1:] @ x + Wout[:, 0], said=said)


@layout("reservoir", LINE)
def esn_without_feedback_in_torch(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, b = reservoir(rng, n, m), draw(rng, n)
    torch.save(
        tensors({"res.W": a["W"], "res.W_in": a["Win"], "res.bias": b, "readout.weight": a["Wout"]}), folder / "esn.pt"
    )
    known = {"form": "esn", "alpha": 0.7}
    matrices = {"recurrent": "res.W", "input": "res.W_in", "bias": "res.bias", "readout": "readout.weight"}
    step, said = leaky(0.7, a["W"], a["Win"], b), {**known, "matrices": matrices}
    readout = lambda x: a["Wout"] @ x  # noqa: E731
    return Network(folder / "esn.pt", step, n, m, readout=readout, known=known, said=said)


@layout("plrnn", LINE)
def plrnn_standard(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """z' = A z + W relu(z) + h + C u, A diagonal and kept as a vector."""
    A, W, h, C = rng.uniform(0.2, 0.9, n), draw(rng, n, n), draw(rng, n), draw(rng, n, m)
    np.savez(folder / "plrnn.npz", A=A, W=W, h=h, C=C)
    step: Step = lambda z, u: A * z + W @ relu(z) + h + C @ u  # noqa: E731
    known = {"form": "plrnn"}
    said = {**known, "matrices": {"A": "A", "W": "W", "h": "h", "input": "C"}}
    return Network(folder / "plrnn.npz", step, n, m, known=known, said=said)


@layout("plrnn", SAID)
def plrnn_with_a_diagonal_matrix(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """One matrix AW: its diagonal is A, the rest is W."""
    AW, h = draw(rng, n, n), draw(rng, n)
    torch.save(tensors({"latent_step.AW": AW, "latent_step.h": h}), folder / "plrnn.pt")
    A = np.diag(np.diag(AW))
    step: Step = lambda z, u: A @ z + (AW - A) @ relu(z) + h  # noqa: E731
    both = "latent_step.AW"
    matrices = {"A": f"diag(diag({both}))", "W": f"{both} - diag(diag({both}))", "h": "latent_step.h"}
    known = {"form": "plrnn"}
    return Network(folder / "plrnn.pt", step, n, 0, known=known, said={**known, "matrices": matrices})


def shallow(rng: Rng, n: int) -> dict[str, Any]:
    hidden = 3 * n + 1
    return {"A": rng.uniform(0.2, 0.9, n), "W1": draw(rng, n, hidden), "W2": draw(rng, hidden, n)} | {
        "h1": draw(rng, n),
        "h2": draw(rng, hidden),
    }


@layout("plrnn", LINE)
def plrnn_shallow(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """z' = A z + W1 relu(W2 z + h2) + h1."""
    a = shallow(rng, n)
    torch.save(tensors({f"latent_model.{key}": value for key, value in a.items()}), folder / "shplrnn.pt")
    step: Step = lambda z, u: a["A"] * z + a["W1"] @ relu(a["W2"] @ z + a["h2"]) + a["h1"]  # noqa: E731
    known = {"form": "plrnn"}
    said = {**known, "matrices": {key: f"latent_model.{key}" for key in a}}
    return Network(folder / "shplrnn.pt", step, n, 0, known=known, said=said)
