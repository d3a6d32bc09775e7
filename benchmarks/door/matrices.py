"""Matrices of homemade networks: names that say a little, and an equation that only its owner knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch

from door.drawing import draw, tensors
from door.equations import FUNCTIONS, activity, alone, leaky, leaky_rate, rate, torch_rnn
from door.layout import LINE, SAID, Network, Write, enter, layout

Rng = np.random.Generator


def rate_said(path: Path, a: Mapping[str, Any], roles: Mapping[str, str], prefix: str = "", **more: Any) -> Network:
    """A rate network whose matrices stand under these keys."""
    n, m = a[roles["input"]].shape
    step = rate(1.0, a[roles["recurrent"]], a[roles["input"]], a[roles["bias"]])
    said = {"form": "rate", "matrices": {role: prefix + key for role, key in roles.items()}}
    return Network(path, step, n, m, flow=True, known={"form": "rate"}, said=said, **more)


def usual(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {
        "W_rec": draw(rng, n, n, gain=1.5),
        "W_in": draw(rng, n, m),
        "b_rec": draw(rng, n),
        "W_out": draw(rng, 2, n),
    }


USUAL = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec", "readout": "W_out"}


def with_function(form: str, name: str, canonical: str) -> Write:
    """The usual four matrices, with f by one of its usual names."""

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        a, f = usual(rng, n, m), FUNCTIONS[canonical]
        np.savez(folder / "net.npz", **a)
        W, B, b, C = a["W_rec"], a["W_in"], a["b_rec"], a["W_out"]
        step = (
            alone(torch_rnn(B, W, b, f), n)
            if form == "rnn"
            else (rate if form == "rate" else activity)(1.0, W, B, b, f)
        )
        said = {"form": form, "activation": name}
        readout = (lambda x: C @ f(x)) if form == "rate" else (lambda x: C @ x)
        flow, all_said = form != "rnn", {**said, "matrices": USUAL}
        return Network(folder / "net.npz", step, n, m, flow=flow, readout=readout, known=said, said=all_said)

    return write


for form, name, canonical in (
    ("rate", "ReLU", "relu"),
    ("rate", "softplus", "softplus"),
    ("rate", "retanh", "retanh"),
    ("rate", "relu^2", "relu^2"),
    ("rate", "erf", "erf"),
    ("activity", "Sigmoid", "logistic"),
    ("activity", "linear", "identity"),
    ("activity", "torch.nn.functional.relu", "relu"),
    ("activity", "relu^3", "relu^3"),
    ("rnn", "identity", "identity"),
    ("rnn", "ELU", "elu"),
    ("rnn", "hard_sigmoid", "hard-sigmoid"),
    ("rnn", "logistic", "logistic"),
    ("rnn", "nn.Softplus", "softplus"),
):
    plain = name.replace(".", "_").replace("^", "_to_the_")
    enter(f"npz_{form}_{plain}", "matrices", LINE, with_function(form, name, canonical))


@layout("matrices", LINE)
def npz_acting_from_either_side(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """W x, but u W_in and r W_out: the shapes tell, and the square matrix stays as it is."""
    a = usual(rng, n, m)
    np.savez(folder / "net.npz", wrec=a["W_rec"], wi=a["W_in"].T, wo=a["W_out"].T)
    step = rate(1.0, a["W_rec"], a["W_in"], np.zeros(n))
    said = {"form": "rate", "matrices": {"recurrent": "wrec", "input": "wi.T", "readout": "wo.T"}}
    readout = lambda x: a["W_out"] @ np.tanh(x)  # noqa: E731
    return Network(folder / "net.npz", step, n, m, flow=True, readout=readout, known={"form": "rate"}, said=said)


@layout("matrices", SAID)
def npz_low_rank(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """dx/dt = -x + m n^T tanh(x) / N + u wi; z = tanh(x) wo / N."""
    a = {"m": rng.normal(size=(n, 2)), "n": rng.normal(size=(n, 2)), "wi": draw(rng, m, n), "wo": draw(rng, n, 1)}
    np.savez(folder / "net.npz", **a, h0=np.zeros(n))
    step = rate(1.0, a["m"] @ a["n"].T / n, a["wi"].T, np.zeros(n))
    said = {"form": "low-rank", "matrices": {"m": "m", "n": "n", "input": "wi.T", "readout": f"wo.T / {n}"}}
    readout = lambda x: a["wo"].T @ np.tanh(x) / n  # noqa: E731
    return Network(folder / "net.npz", step, n, m, flow=True, readout=readout, known={"form": "low-rank"}, said=said)


@layout("matrices", SAID)
def npz_low_rank_as_one_expression(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = {"m": rng.normal(size=(n, 2)), "n": rng.normal(size=(n, 2)), "I": draw(rng, n, m)}
    np.savez(folder / "net.npz", **a)
    step = rate(1.0, a["m"] @ a["n"].T / n, a["I"], np.zeros(n))
    said = {"form": "rate", "matrices": {"recurrent": f"m @ n.T / {n}", "input": "I"}}
    return Network(folder / "net.npz", step, n, m, flow=True, known={"form": "rate"}, said=said)


@layout("matrices", SAID)
def npz_low_rank_plus_random(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = {"g": np.array(0.8), "J": draw(rng, n, n), "m": rng.normal(size=(n, 1)), "n": rng.normal(size=(n, 1))}
    np.savez(folder / "net.npz", **a)
    W = 0.8 * a["J"] + a["m"] @ a["n"].T / n
    said = {"form": "rate", "matrices": {"recurrent": f"g * J + m @ n.T / {n}"}}
    step = rate(1.0, W, np.zeros((n, 0)), np.zeros(n))
    return Network(folder / "net.npz", step, n, 0, flow=True, known={"form": "rate"}, said=said)


@layout("matrices", SAID)
def npz_dale_as_psychrnn_keeps_it(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, mask = usual(rng, n, m), (rng.random((n, n)) < 0.5).astype(float)
    D = np.diag(np.where(np.arange(n) < 0.8 * n, 1.0, -1.0))
    more = {"rec_connectivity": mask, "Dale_rec": D, "input_connectivity": np.ones((n, m)), "dale_ratio": np.array(0.8)}
    np.savez(folder / "dale.npz", **a, b_out=np.zeros(2), **more)
    step = rate(1.0, abs(a["W_rec"] * mask) @ D, abs(a["W_in"]), a["b_rec"], FUNCTIONS["relu"])
    matrices = {"recurrent": "abs(W_rec * rec_connectivity) @ Dale_rec", "input": "abs(W_in * input_connectivity)"}
    known = {"form": "rate", "activation": "relu"}
    said = {**known, "matrices": matrices | {"bias": "b_rec"}}
    return Network(folder / "dale.npz", step, n, m, flow=True, known=known, said=said)


@layout("matrices", SAID)
def npz_mask_beside_the_weights(folder: Path, rng: Rng, n: int, m: int) -> Network:
    w, mask = draw(rng, n, n, gain=1.5), (rng.random((n, n)) < 0.5).astype(float)
    np.savez(folder / "net.npz", w=w, mask=mask, b_out=np.ones((1, 1)))
    said = {"form": "activity", "matrices": {"recurrent": "w * mask"}}
    step = activity(1.0, w * mask, np.zeros((n, 0)), np.zeros(n))
    return Network(folder / "net.npz", step, n, 0, flow=True, known={"form": "activity"}, said=said)


@layout("matrices", SAID)
def npz_feedback_of_the_readout(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = {"W": draw(rng, n, n, gain=1.5), "Wfb": draw(rng, n, 2), "Wout": draw(rng, 2, n), "Win": draw(rng, n, m)}
    np.savez(folder / "net.npz", **a)
    said = {"form": "rate", "matrices": {"recurrent": "W + Wfb @ Wout", "input": "Win", "readout": "Wout"}}
    step = rate(1.0, a["W"] + a["Wfb"] @ a["Wout"], a["Win"], np.zeros(n))
    return Network(folder / "net.npz", step, n, m, flow=True, readout=lambda x: a["Wout"] @ np.tanh(x), said=said)


@layout("matrices", SAID)
def npz_force_network(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """dx/dt = -x + M r + wf z, z = wo^T r: a line that leaves the feedback out opens another network."""
    a = {"M": draw(rng, n, n, gain=1.5), "wf": draw(rng, n, 1), "wo": draw(rng, n, 1)}
    np.savez(folder / "force.npz", **a, dt=np.array(0.1))
    known = {"form": "rate"}
    said = {**known, "matrices": {"recurrent": "M + wf @ wo.T", "readout": "wo.T"}}
    step = rate(1.0, a["M"] + a["wf"] @ a["wo"].T, np.zeros((n, 0)), np.zeros(n))
    readout = lambda x: a["wo"].T @ np.tanh(x)  # noqa: E731
    return Network(folder / "force.npz", step, n, 0, flow=True, readout=readout, known=known, said=said)


@layout("matrices", SAID)
def npz_two_square_matrices(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Nothing tells which of the two is recurrent."""
    a = {"K": draw(rng, n, n), "R": draw(rng, n, n, gain=1.5)}
    np.savez(folder / "net.npz", **a)
    said = {"form": "activity", "matrices": {"recurrent": "R", "input": "K"}}
    step = activity(1.0, a["R"], a["K"], np.zeros(n))
    return Network(folder / "net.npz", step, n, n, flow=True, known={"form": "activity"}, said=said)


@layout("matrices", LINE)
def npz_among_recordings(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Trajectories, a covariance and losses beside the weights."""
    a = usual(rng, n, m)
    X = rng.normal(size=(50, n))
    np.savez(folder / "net.npz", **a, states=X, covariance=X.T @ X / 50, losses=rng.random(30))
    return rate_said(folder / "net.npz", a, {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"})


@layout("matrices", SAID)
def pt_one_linear_layer_for_both(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """affine([u, h]): slices of one matrix."""
    W, b = draw(rng, n, m + n, gain=1.5), draw(rng, n)
    torch.save(tensors({"affine.weight": W, "affine.bias": b}), folder / "net.pt")
    matrices = {"recurrent": f"affine.weight[:, {m}:]", "input": f"affine.weight[:, :{m}]", "bias": "affine.bias"}
    step = alone(torch_rnn(W[:, :m], W[:, m:], b, FUNCTIONS["relu"]), n)
    known = {"form": "rnn", "activation": "relu"}
    return Network(folder / "net.pt", step, n, m, known=known, said={**known, "matrices": matrices})


@layout("matrices", SAID)
def npz_tensorflow_1_basic_rnn(folder: Path, rng: Rng, n: int, m: int) -> Network:
    K, b = draw(rng, m + n, n, gain=1.5), draw(rng, n)
    key = "rnn/basic_rnn_cell/kernel"
    np.savez(folder / "net.npz", **{key: K, "rnn/basic_rnn_cell/bias": b})
    path = "rnn/basic_rnn_cell/"
    matrices = {"recurrent": f"{path}kernel[{m}:].T", "input": f"{path}kernel[:{m}].T", "bias": f"{path}bias"}
    step = alone(torch_rnn(K[:m].T, K[m:].T, b), n)
    return Network(folder / "net.npz", step, n, m, known={"form": "rnn"}, said={"form": "rnn", "matrices": matrices})


@layout("matrices", LINE)
def npz_minimal_character_rnn(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Wxh, Whh, Why, and biases that are columns."""
    a = {"Wxh": draw(rng, n, m), "Whh": draw(rng, n, n), "Why": draw(rng, m, n), "bh": draw(rng, n, 1)}
    np.savez(folder / "net.npz", **a, by=np.zeros((m, 1)))
    matrices = {"recurrent": "Whh", "input": "Wxh", "bias": "bh", "readout": "Why", "readout_bias": "by"}
    step = alone(torch_rnn(a["Wxh"], a["Whh"], a["bh"][:, 0]), n)
    readout = lambda x: a["Why"] @ x  # noqa: E731
    said = {"form": "rnn", "matrices": matrices}
    return Network(folder / "net.npz", step, n, m, readout=readout, known={"form": "rnn"}, said=said)


@layout("matrices", LINE)
def npz_leaky_map(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = usual(rng, n, m)
    np.savez(folder / "net.npz", **a)
    known = {"form": "leaky", "alpha": 0.2, "activation": "relu"}
    step = leaky(0.2, a["W_rec"], a["W_in"], a["b_rec"], FUNCTIONS["relu"])
    readout = lambda x: a["W_out"] @ x  # noqa: E731
    said = {**known, "matrices": USUAL}
    return Network(folder / "net.npz", step, n, m, readout=readout, known=known, said=said)


@layout("matrices", LINE)
def npz_leaky_rate_map(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = usual(rng, n, m)
    np.savez(folder / "net.npz", **a)
    known = {"form": "leaky-rate", "alpha": 0.1}
    step = leaky_rate(0.1, a["W_rec"], a["W_in"], a["b_rec"])
    readout = lambda x: a["W_out"] @ np.tanh(x)  # noqa: E731
    said = {**known, "matrices": USUAL}
    return Network(folder / "net.npz", step, n, m, readout=readout, known=known, said=said)


@layout("matrices", LINE)
def pt_leaky_of_two_linear_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """r' = (1 - a) r + a relu(input2h(u) + h2h(r)): each of the two has a bias."""
    a = {"rnn.input2h.weight": draw(rng, n, m), "rnn.input2h.bias": draw(rng, n), "rnn.h2h.weight": draw(rng, n, n)}
    a |= {"rnn.h2h.bias": draw(rng, n), "fc.weight": draw(rng, 2, n), "fc.bias": draw(rng, 2)}
    torch.save(tensors(a), folder / "net.pt")
    bias = a["rnn.input2h.bias"] + a["rnn.h2h.bias"]
    step = leaky(0.2, a["rnn.h2h.weight"], a["rnn.input2h.weight"], bias, FUNCTIONS["relu"])
    known = {"form": "leaky", "activation": "relu", "alpha": 0.2}
    matrices = {"recurrent": "rnn.h2h.weight", "input": "rnn.input2h.weight", "bias": "rnn.input2h.bias + rnn.h2h.bias"}
    matrices |= {"readout": "fc.weight", "readout_bias": "fc.bias"}
    readout = lambda x: a["fc.weight"] @ x + a["fc.bias"]  # noqa: E731
    said = {**known, "matrices": matrices}
    return Network(folder / "net.pt", step, n, m, readout=readout, known=known, said=said)


@layout("matrices", SAID)
def npz_leak_of_each_unit(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, alpha = usual(rng, n, m), rng.uniform(0.1, 0.9, n)
    np.savez(folder / "net.npz", **a, alpha=alpha)
    said = {"form": "leaky", "alpha": "alpha", "matrices": USUAL}
    return Network(folder / "net.npz", leaky(alpha, a["W_rec"], a["W_in"], a["b_rec"]), n, m, said=said)


@layout("matrices", SAID)
def npz_tau_of_each_unit(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, tau = usual(rng, n, m), rng.uniform(5, 100, n)
    np.savez(folder / "net.npz", **a, taus=tau)
    said = {"form": "rate", "tau": "taus", "matrices": USUAL}
    return Network(folder / "net.npz", rate(tau, a["W_rec"], a["W_in"], a["b_rec"]), n, m, flow=True, said=said)


@layout("matrices", LINE)
def npy_folder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = usual(rng, n, m)
    for key, value in a.items():
        np.save(folder / f"{key}.npy", value)
    return rate_said(folder, a, {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"})


@layout("matrices", LINE)
def npy_folder_with_notes(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A README and a configuration beside the arrays."""
    a = usual(rng, n, m)
    for key, value in a.items():
        np.save(folder / f"{key}.npy", value)
    (folder / "README.md").write_text("weights of run 3")
    (folder / "config.json").write_text(json.dumps({"N": n}))
    return rate_said(folder, a, {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"})


@layout("matrices", LINE)
def npy_one_matrix(folder: Path, rng: Rng, n: int, m: int) -> Network:
    J = draw(rng, n, n, gain=1.5)
    np.save(folder / "connectivity.npy", J)
    step = rate(1.0, J, np.zeros((n, 0)), np.zeros(n))
    return Network(folder / "connectivity.npy", step, n, 0, flow=True, known={"form": "rate"})


@layout("matrices", LINE)
def mat_readout_of_every_unit(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A square readout is not the recurrent matrix."""
    J, wo = draw(rng, n, n, gain=1.5), np.eye(n)
    scipy.io.savemat(folder / "net.mat", {"wo": wo, "J": J})
    said = {"form": "rate", "matrices": {"recurrent": "J", "readout": "wo"}}
    step = rate(1.0, J, np.zeros((n, 0)), np.zeros(n))
    return Network(folder / "net.mat", step, n, 0, flow=True, readout=np.tanh, known={"form": "rate"}, said=said)
