"""Pickles: arrays, objects of classes that are not here, layers, old protocols, and one that would do harm."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from door.drawing import array, draw, drawn, foreign, state
from door.equations import leaky, rate
from door.layout import LINE, OPEN, REFUSED, SAID, Network, enter, layout
from door.matrices import rate_said, usual
from door.torch_files import Rng, linear, of


def dump(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


ROLES = {"recurrent": "W_rec", "input": "W_in", "bias": "b_rec"}


def by_protocol(protocol: int) -> Any:
    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        a = usual(rng, n, m)
        return rate_said(
            dump(folder / "weights.pkl", {"params": a, "loss": [0.1, 0.01]}, protocol), a, ROLES, "params."
        )

    return write


for protocol in (0, 2, 4, 5):
    enter(f"pickle_of_arrays_protocol_{protocol}", "pickle", LINE, by_protocol(protocol))


@layout("pickle", LINE)
def pickle_of_one_array(folder: Path, rng: Rng, n: int, m: int) -> Network:
    J = draw(rng, n, n, gain=1.5)
    step = rate(1.0, J, np.zeros((n, 0)), np.zeros(n))
    return Network(dump(folder / "J.pkl", J), step, n, 0, flow=True, known={"form": "rate"})


@layout("pickle", OPEN)
def pickle_of_torch_names(folder: Path, rng: Rng, n: int, m: int) -> Network:
    lstm = drawn(torch.nn.LSTM(m, n), rng)
    return of(dump(folder / "w.pkl", {k: array(v) for k, v in state(lstm, "lstm.").items()}), lstm, m)


@layout("pickle", OPEN)
def pickle_of_a_torch_module(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """pickle.dump(model), of a class that is not here."""
    gru, head = drawn(torch.nn.GRU(m, n), rng), drawn(torch.nn.Linear(n, 2), rng)
    with foreign("lab.agent.PolicyNet") as (made,):
        net = made()
        net.gru, net.out = gru, head
        dump(folder / "agent.pkl", net)
    return of(folder / "agent.pkl", gru, m, readout=linear(head, n))


@layout("pickle", OPEN)
def pickle_of_an_ordered_dict_of_tensors(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru = drawn(torch.nn.GRU(m, n), rng)
    return of(dump(folder / "gru.pickle", gru.state_dict()), gru, m)


@layout("pickle", LINE)
def pickle_of_an_object(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """scikit-style: arrays are attributes; a random state and a function by its name stand beside them."""
    a = usual(rng, n, m)
    with foreign("reservoirs.esn.Estimator", "reservoirs.noise.Gaussian") as (made, noise):
        net = made()
        net.__dict__.update({k + "_": v for k, v in a.items()}, noise=noise(), random_state=np.random.RandomState(3))
        net.activation, net.n_units = np.tanh, n
        dump(folder / "estimator.pkl", net)
    b = {k + "_": v for k, v in a.items()}
    return rate_said(folder / "estimator.pkl", b, {role: key + "_" for role, key in ROLES.items()})


@layout("pickle", SAID)
def pickle_of_a_list_of_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = usual(rng, n, m)
    with foreign("homemade.Layer") as (made,):
        first, second = made(), made()
        first.__dict__.update(W=a["W_in"], b=a["b_rec"])
        second.__dict__.update(W=a["W_rec"], f=len)
        dump(folder / "layers.pkl", [first, second])
    step = rate(1.0, a["W_rec"], a["W_in"], a["b_rec"])
    matrices = {"input": "0.W", "bias": "0.b", "recurrent": "1.W"}
    return Network(
        folder / "layers.pkl",
        step,
        n,
        m,
        flow=True,
        known={"form": "rate"},
        said={"form": "rate", "matrices": matrices},
    )


@layout("pickle", LINE)
def npz_with_a_dict_inside(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """np.savez(path, params={...}): an array of one object."""
    a = usual(rng, n, m)
    np.savez(folder / "net.npz", params=np.array(a, dtype=object), losses=np.zeros(3))
    return rate_said(folder / "net.npz", a, ROLES, "params.")


@layout("pickle", LINE)
def npy_with_a_dict_inside(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = usual(rng, n, m)
    np.save(folder / "net.npy", np.array(a, dtype=object), allow_pickle=True)
    return rate_said(folder / "net.npy", a, ROLES)


@layout("pickle", LINE)
def joblib_of_arrays(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """joblib keeps the bytes of arrays between the opcodes."""
    import joblib

    a = usual(rng, n, m)
    joblib.dump(a, folder / "net.joblib")
    return rate_said(folder / "net.joblib", a, ROLES, way_out="npz|--matrix|--form")


@layout("pickle", REFUSED)
def pickle_of_a_sparse_reservoir(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A scipy.sparse matrix is an object of four arrays, none of which is the matrix."""
    W, B = draw(rng, n, n) * (rng.random((n, n)) < 0.4), draw(rng, n, m)
    path = dump(folder / "esn.pkl", {"W": scipy.sparse.csr_matrix(W), "Win": B, "lr": 0.3})
    known = {"form": "esn", "alpha": 0.3}
    return Network(path, leaky(0.3, W, B, np.zeros(n)), n, m, known=known, way_out="(?i)sparse|--matrix")


@layout("pickle", REFUSED)
def npz_of_a_sparse_matrix(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """scipy.sparse.save_npz: data, indices, indptr, shape."""
    W = draw(rng, n, n) * (rng.random((n, n)) < 0.4)
    scipy.sparse.save_npz(folder / "W.npz", scipy.sparse.csr_matrix(W))
    step = rate(1.0, W, np.zeros((n, 0)), np.zeros(n))
    return Network(folder / "W.npz", step, n, 0, flow=True, known={"form": "rate"}, way_out="(?i)sparse|--matrix")


class Harm:
    """What a hostile file asks for: a call that leaves a mark on the disk."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@layout("pickle", LINE)
def pickle_that_would_do_harm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, mark = usual(rng, n, m), folder / "harm"
    path = dump(folder / "net.pkl", {**a, "callback": Harm(mark)})
    return rate_said(path, a, ROLES, harm=mark)


@layout("pickle", OPEN)
def checkpoint_that_would_do_harm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    gru, mark = drawn(torch.nn.GRU(m, n), rng), folder / "harm"
    torch.save({"state_dict": gru.state_dict(), "hyper_parameters": {"callback": Harm(mark)}}, folder / "last.ckpt")
    return of(folder / "last.ckpt", gru, m, harm=mark)


@layout("pickle", SAID)
def pickle_of_a_leaky_network_with_a_mask(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Keys of a dict that are numbers, and a tuple of arrays."""
    W, mask, B = draw(rng, n, n, gain=1.5), (rng.random((n, n)) < 0.5).astype(float), draw(rng, n, m)
    path = dump(folder / "net.pkl", {"weights": (W, B), "mask": mask, "alpha": 0.25, 3: "note"})
    said = {"form": "leaky", "alpha": 0.25, "matrices": {"recurrent": "weights.0 * mask", "input": "weights.1"}}
    return Network(path, leaky(0.25, W * mask, B, np.zeros(n)), n, m, said=said)
