"""Homemade cells that use torch's parameter names and compute something else: never taken for torch's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from door.drawing import draw, drawn, state, tensors
from door.equations import FUNCTIONS, alone, gru_reset_before, leaky, torch_lstm, torch_rnn
from door.layout import LINE, REFUSED, Network, layout
from door.torch_files import Rng, of


def elman(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {
        "weight_ih": draw(rng, n, m),
        "weight_hh": draw(rng, n, n, gain=1.5),
        "bias_ih": draw(rng, n),
        "bias_hh": draw(rng, n),
    }


def save(path: Path, arrays: dict[str, Any], prefix: str = "rnn.", **others: Any) -> Path:
    torch.save(tensors({prefix + key: value for key, value in arrays.items()} | others), path)
    return path


ROLES = {"input": "rnn.weight_ih", "recurrent": "rnn.weight_hh"}
TWO = {**ROLES, "bias": "rnn.bias_ih + rnn.bias_hh"}


@layout("homemade", REFUSED)
def layer_norm_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell = drawn(torch.nn.LSTMCell(m, n), rng)
    norms = {f"cell.layernorm_{x}.weight": torch.full((k * n,), 1.3) for x, k in (("i", 4), ("h", 4), ("c", 1))}
    torch.save(state(cell, "cell.") | norms | {"head.weight": torch.randn(2, n)}, folder / "net.pt")
    return Network(folder / "net.pt", way_out=r"layernorm_(.|\n)*(wrap|dynsys.Map|--form|--matrix)")


@layout("homemade", REFUSED)
def layer_norm_gru_gamma(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell = drawn(torch.nn.GRUCell(m, n), rng)
    gamma = {f"gru.gamma_{x}": torch.rand(3 * n, dtype=torch.float64) for x in ("ih", "hh")}
    torch.save(state(cell, "gru.") | gamma, folder / "net.pt")
    return Network(folder / "net.pt", way_out=r"gamma_(.|\n)*(wrap|dynsys.Map|--form|--matrix)")


@layout("homemade", REFUSED)
def batch_norm_inside_the_cell(folder: Path, rng: Rng, n: int, m: int) -> Network:
    cell, norm = drawn(torch.nn.LSTMCell(m, n), rng), torch.nn.BatchNorm1d(4 * n).double()
    torch.save(state(cell, "rnn.cell.") | state(norm, "rnn.cell.bn_hh."), folder / "net.pt")
    return Network(folder / "net.pt", way_out=r"bn_hh(.|\n)*(wrap|dynsys.Map|--form|--matrix)")


@layout("homemade", REFUSED)
def coupled_gate_in_a_torch_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Peepholes beside torch's names."""
    cell = drawn(torch.nn.LSTMCell(m, n), rng)
    peep = {f"rnn.w_c{g}": torch.as_tensor(draw(rng, n)) for g in "ifo"}
    torch.save(state(cell, "rnn.") | peep, folder / "net.pt")
    return Network(folder / "net.pt", way_out=r"w_ci(.|\n)*(wrap|dynsys.Map|--form|--matrix)")


@layout("homemade", REFUSED)
def leak_by_tau_and_one_bias(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """r' = r + dt/tau (-r + tanh(...)) with dt = 20, which the file does not hold."""
    a = elman(rng, n, m)
    del a["bias_ih"], a["bias_hh"]
    b = draw(rng, n)
    path = save(folder / "net.pt", a | {"bias": b, "tau": np.array(100.0)}, **{"out.weight": draw(rng, 2, n)})
    said = {"form": "leaky", "alpha": 0.2, "matrices": {**ROLES, "bias": "rnn.bias"}}
    step = leaky(0.2, a["weight_hh"], a["weight_ih"], b)
    return Network(
        path,
        step,
        n,
        m,
        known={"form": "leaky", "alpha": 0.2},
        said=said,
        way_out=r"tau(.|\n)*(--form|wrap|dynsys.Map)",
    )


@layout("homemade", LINE)
def leak_by_alpha(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = elman(rng, n, m)
    path = save(folder / "net.pt", a | {"alpha": np.array(0.2)}, **{"out.weight": draw(rng, 2, n)})
    step = leaky(0.2, a["weight_hh"], a["weight_ih"], a["bias_ih"] + a["bias_hh"])
    known = {"form": "leaky", "alpha": 0.2}
    return Network(
        path, step, n, m, known=known, said={**known, "matrices": TWO}, way_out=r"alpha(.|\n)*(--form|wrap|dynsys.Map)"
    )


@layout("homemade", LINE)
def leak_of_each_unit(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, alpha = elman(rng, n, m), rng.uniform(0.1, 0.9, n)
    path = save(folder / "net.pt", a | {"alpha": alpha})
    step = leaky(alpha, a["weight_hh"], a["weight_ih"], a["bias_ih"] + a["bias_hh"], FUNCTIONS["relu"])
    known = {"form": "leaky", "activation": "relu"}
    said = {**known, "matrices": TWO, "alpha": "rnn.alpha"}
    return Network(path, step, n, m, known=known, said=said, way_out=r"alpha(.|\n)*(--form|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def mask_and_signs(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """h' = tanh(|W| * mask D h + ...), D the signs of Dale's law."""
    a, mask = elman(rng, n, m), (rng.random((n, n)) > 0.3).astype(float)
    sign = np.where(np.arange(n) < 0.8 * n, 1.0, -1.0)
    path = save(folder / "net.pt", a | {"mask_hh": mask}, dale_sign=sign)
    W = abs(a["weight_hh"]) * mask * sign
    said = {"form": "rnn", "matrices": {**TWO, "recurrent": "abs(rnn.weight_hh) * rnn.mask_hh @ diag(dale_sign)"}}
    step = alone(torch_rnn(a["weight_ih"], W, a["bias_ih"] + a["bias_hh"]), n)
    return Network(path, step, n, m, said=said, way_out=r"mask_hh(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def mask_beside_torch_names(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A fixed mask of sparsity, of which no tool is known to have written it."""
    a, mask = elman(rng, n, m), (rng.random((n, n)) > 0.5).astype(float)
    path = save(folder / "net.pt", {k + "_l0": v for k, v in a.items()} | {"mask": mask})
    matrices = {role: " + ".join(f"{k}_l0" for k in key.split(" + ")) for role, key in TWO.items()}
    said = {"form": "rnn", "matrices": {**matrices, "recurrent": "rnn.weight_hh_l0 * rnn.mask"}}
    step = alone(torch_rnn(a["weight_ih"], a["weight_hh"] * mask, a["bias_ih"] + a["bias_hh"]), n)
    return Network(path, step, n, m, said=said, way_out=r"mask(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def sign_vector(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a, sign = elman(rng, n, m), np.where(rng.random(n) < 0.8, 1.0, -1.0)
    path = save(folder / "net.pt", a | {"sign": sign})
    said = {"form": "rnn", "matrices": {**TWO, "recurrent": "relu(rnn.weight_hh) @ diag(rnn.sign)"}}
    W = np.maximum(a["weight_hh"], 0) * sign
    step = alone(torch_rnn(a["weight_ih"], W, a["bias_ih"] + a["bias_hh"]), n)
    return Network(path, step, n, m, said=said, way_out=r"sign(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", LINE)
def elman_of_one_bias(folder: Path, rng: Rng, n: int, m: int) -> Network:
    a = elman(rng, n, m)
    b = a["bias_ih"] + a["bias_hh"]
    path = save(folder / "net.pt", {"weight_ih": a["weight_ih"], "weight_hh": a["weight_hh"], "bias": b})
    said = {"form": "rnn", "matrices": {**ROLES, "bias": "rnn.bias"}}
    step = alone(torch_rnn(a["weight_ih"], a["weight_hh"], b), n)
    return Network(
        path, step, n, m, known={"form": "rnn"}, said=said, way_out=r"bias(.|\n)*(--form|--matrix|wrap|dynsys.Map)"
    )


@layout("homemade", REFUSED)
def reservoir_of_torch_names_and_one_bias(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """bias_ih without bias_hh, which torch never has: a leaky reservoir, whose leak is in the code."""
    a = elman(rng, n, m)
    del a["bias_hh"]
    cell = {k + "_l0": v for k, v in a.items()}
    path = save(folder / "esn.pt", cell, "reservoir.", **{"readout.weight": draw(rng, 2, n)})
    known = {"form": "leaky", "alpha": 0.3}
    matrices = {"recurrent": "weight_hh_l0", "input": "weight_ih_l0", "bias": "bias_ih_l0"}
    said = {**known, "matrices": {role: f"reservoir.{key}" for role, key in matrices.items()}}
    step = leaky(0.3, a["weight_hh"], a["weight_ih"], a["bias_ih"])
    return Network(path, step, n, m, known=known, said=said, way_out=r"bias(.|\n)*(--form|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def gru_of_one_bias_that_resets_before(folder: Path, rng: Rng, n: int, m: int) -> Network:
    W, U, b = draw(rng, 3 * n, m), draw(rng, 3 * n, n, gain=1.5), draw(rng, 3 * n)
    path = save(folder / "net.pt", {"weight_ih": W, "weight_hh": U, "bias": b}, "")
    matrices = {"input": "weight_ih", "recurrent": "weight_hh", "bias": "bias"}
    said = {"form": "gru", "convention": "keras reset_after=False", "gates": "rzn", "matrices": matrices}
    step = alone(gru_reset_before(W, U, b, keeps=True), n)
    return Network(path, step, n, m, said=said, way_out=r"bias(.|\n)*(--form|--convention|--matrix|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def lstm_of_one_bias_and_a_forget_bias(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A number that is added to the forget gate at each step, as TensorFlow's first LSTM did."""
    cell = {"weight_ih": draw(rng, 4 * n, m), "weight_hh": draw(rng, 4 * n, n), "bias": draw(rng, 4 * n)}
    path = save(folder / "net.pt", cell | {"forget_bias": np.array(1.0)})
    shift = np.repeat([0.0, 1.0, 0.0, 0.0], n)
    step = alone(torch_lstm(cell["weight_ih"], cell["weight_hh"], cell["bias"] + shift), n, 2)
    return Network(path, step, 2 * n, m, way_out=r"(forget_bias|bias)(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def layer_norm_between_linear_layers(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """h' = tanh(LN(i2h(u) + h2h(h))): a line that leaves the norm out opens another network."""
    a = {
        "i2h.weight": draw(rng, n, m),
        "h2h.weight": draw(rng, n, n),
        "ln.weight": rng.random(n),
        "ln.bias": draw(rng, n),
    }
    return Network(save(folder / "net.pt", a), known={"form": "rnn"})


@layout("homemade", REFUSED)
def whole_numbers_with_a_scale(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Weights in int8 beside the scale of each row."""
    a = elman(rng, n, m)
    scale = abs(a["weight_hh"]).max(1) / 127
    small = np.round(a["weight_hh"] / scale[:, None]).astype(np.int8)
    keyed = {k + "_l0": v for k, v in (a | {"weight_hh": small}).items()} | {"weight_hh_l0_scale": scale}
    step = alone(torch_rnn(a["weight_ih"], small * scale[:, None], a["bias_ih"] + a["bias_hh"]), n)
    return Network(save(folder / "net.pt", keyed), step, n, m, way_out=r"scale(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", REFUSED)
def raw_weight_under_an_unknown_rule(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A raw matrix beside the recurrent one, which the module computes anew in a way that nothing tells."""
    a = elman(rng, n, m)
    path = save(folder / "net.pt", a | {"gain": draw(rng, n), "log_scale": draw(rng, n, n)})
    return Network(path, way_out=r"(gain|log_scale)(.|\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("homemade", LINE)
def readout_that_stands_elsewhere(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Two networks, one head: the head belongs to the policy."""
    policy, model, head = (drawn(x, rng) for x in (torch.nn.GRU(m, n), torch.nn.GRU(m, n), torch.nn.Linear(n, 3)))
    torch.save(
        state(policy, "policy.rnn.") | state(head, "policy.out.") | state(model, "world.rnn."), folder / "net.pt"
    )
    nothing = lambda x: np.zeros(0)  # noqa: E731
    return of(folder / "net.pt", model, m, known={"part": "world.rnn"}, readout=nothing, way_out="--part")
