"""GRUs and LSTMs whose matrices the user names: one for each gate, or stacked in an order that is named.

Tools differ in the order of the gates in a stacked matrix, and in where the reset gate of a GRU acts:

    after the product   n = tanh(W_in u + b_in + r (W_hn h + b_hn))     torch, Keras (reset_after), flax, MATLAB
    before it           n = tanh(W_in u + b_in + W_hn (r h) + b_hn)     Keras (reset_after=False), ONNX

All of them update by h' = (1 - z) n + z h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import GATES

if TYPE_CHECKING:
    from dynsys.models.loading.named.matrices import Array, Named


@dataclass(frozen=True)
class Convention:
    """How a tool keeps its gates: their order by torch's letters, where a GRU resets, and from which side stacked
    kernels act. A matrix of one gate is square, and is turned by no convention."""

    gru: str
    lstm: str
    reset: str
    from_the_right: bool = False


CONVENTIONS = {
    "torch": Convention("rzn", "ifgo", "after"),
    "keras": Convention("zrn", "ifgo", "after", from_the_right=True),
    "keras reset_after=False": Convention("zrn", "ifgo", "before", from_the_right=True),
    "onnx": Convention("zrn", "iofg", "before"),
    "flax": Convention("rzn", "ifgo", "after", from_the_right=True),
    "matlab": Convention("rzn", "ifgo", "after"),
}
SYNONYMS = {"gru": {"h": "n", "c": "n", "u": "z"}, "lstm": {"c": "g", "a": "g"}}
SAME = "torch, flax and matlab reset after the product; 'keras reset_after=False' and onnx before it"

Made = tuple[str, Arrays, dict[str, Any], list[str]]


def gated(named: Named) -> Made:
    """The GRU or LSTM of the matrices that were named, by torch's names and in torch's order."""
    form = str(named.choices.form)
    convention, assumed = _convention(named, form)
    stacked = "recurrent" in named
    if stacked and any(f"recurrent_{gate}" in named for gate in GATES[form]):
        raise CheckpointError(
            named.path, "recurrent was named whole and gate by gate", "name it in one of the two ways"
        )
    if stacked:
        blocks, more = _stacked(named, form, convention)
        assumed += more
    else:
        blocks = _by_gate(named, form)
    n = blocks["weight_hh"].shape[1]
    held: Arrays = {f"{name}_l0": value for name, value in blocks.items()}
    if "peephole" in named:
        held["peephole_l0"] = named.matrix("peephole", (3, n))
    held |= _around(named, form, n)
    settings, more = _settings(named, form, convention)
    model = "lstm-peephole" if "peephole" in named else form
    return model, held, settings, [*assumed, *more]


def _convention(named: Named, form: str) -> tuple[Convention, list[str]]:
    """The convention that was given; of an LSTM torch's, aloud, where the order matters."""
    name = named.choices.convention
    if name == "clipped":
        raise CheckpointError(named.path, f"the convention clipped is of a PLRNN, not of a {form}", "leave it out")
    if name is not None:
        found = CONVENTIONS[name]
        order = found.gru if form == "gru" else found.lstm
        where = f", the reset gate acts {found.reset} the product" if form == "gru" else ""
        named.why.append(f"convention of {name}: gates {', '.join(order)}{where}")
        return found, []
    if form == "gru":
        wrong = "where the reset gate acts, before the product W_hn (r h) or after it, was not said"
        raise CheckpointError(named.path, wrong, f"give --convention: {SAME}")
    if "recurrent" in named and named.choices.gates is None:
        return CONVENTIONS["torch"], ["the gates are in torch's order, i, f, g, o; --gates or --convention for another"]
    return CONVENTIONS["torch"], []


def _order(named: Named, form: str, convention: Convention) -> str:
    """The order of the gates in a stacked matrix, in torch's letters."""
    default = convention.gru if form == "gru" else convention.lstm
    given = named.choices.gates
    if given is None:
        return default
    order = "".join(SYNONYMS[form].get(letter, letter) for letter in given.lower() if letter.isalpha())
    if sorted(order) != sorted(GATES[form]):
        legal = f"each of {', '.join(GATES[form])} once, like {default}"
        raise CheckpointError(named.path, f"--gates {given} is no order of the gates of a {form}", f"give {legal}")
    return order


def _stacked(named: Named, form: str, convention: Convention) -> tuple[Arrays, list[str]]:
    """One matrix for all gates: (gates n, n) from the left, or (n, gates n) from the right, as its shape tells."""
    k, order = len(GATES[form]), _order(named, form, convention)
    given = named.value("recurrent")
    sizes = sorted(size for size in given.shape if size > 1) or [1]
    n = sizes[0] if len(sizes) > 1 else sizes[0] // k
    if given.size != k * n * n:
        wrong = f"{named.shown('recurrent', given)} cannot be the recurrent matrix of a {form}"
        raise CheckpointError(named.path, wrong, f"n units need ({k} n, n) or ({k}, n, n)")
    right = convention.from_the_right
    if given.ndim == 3 and given.shape == (k, n, n):
        turned = named.choices.transposed
        W = np.concatenate([block.T if turned else block for block in given])
        named.why.append(f"recurrent is {named.shown('recurrent', given)}")
    else:
        W = named.matrix("recurrent", (k * n, n), from_the_right=right)
    blocks = {"weight_hh": W}
    blocks["weight_ih"] = (
        named.matrix("input", (k * n, None), from_the_right=right) if "input" in named else np.zeros((k * n, 0))
    )
    blocks["bias_ih"], blocks["bias_hh"] = _stacked_biases(named, k * n)
    places = [order.index(gate) for gate in GATES[form]]
    return {name: _reordered(block, places) for name, block in blocks.items()}, []


def _reordered(block: Array, places: list[int]) -> Array:
    rows = np.split(block, len(places))
    return np.concatenate([rows[place] for place in places])


def _stacked_biases(named: Named, rows: int) -> tuple[Array, Array]:
    """b_ih and b_hh; of twice the size, the first half is b_ih and the second b_hh, as Keras and ONNX keep them."""
    ih, hh = np.zeros(rows), np.zeros(rows)
    if "bias" in named:
        both = named.value("bias").ravel()
        if both.size == 2 * rows and "recurrent_bias" not in named:
            named.why.append(f"bias is {named.shown('bias', both)}: first that of the input, then the recurrent one")
            return both[:rows].copy(), both[rows:].copy()
        ih = named.vector("bias", rows)
    if "recurrent_bias" in named:
        hh = named.vector("recurrent_bias", rows)
    return ih, hh


def _by_gate(named: Named, form: str) -> Arrays:
    """A matrix for each gate, put on top of each other in torch's order."""
    missing = [f"recurrent_{gate}" for gate in GATES[form] if f"recurrent_{gate}" not in named]
    if missing:
        wrong = f"{', '.join(missing)} of the form {form} were not named"
        letters = ", ".join(f"recurrent_{gate}" for gate in GATES[form])
        raise CheckpointError(named.path, wrong, f"name {letters}, or recurrent with all of them stacked")
    W = [named.square(f"recurrent_{gate}") for gate in GATES[form]]
    n = len(W[0])
    if any(len(w) != n for w in W):
        raise CheckpointError(named.path, "the recurrent matrices are of several sizes", f"each needs ({n}, {n})")
    inputs = [named.matrix(f"input_{gate}", (n, None)) if f"input_{gate}" in named else None for gate in GATES[form]]
    wide = {block.shape[1] for block in inputs if block is not None} or {0}
    if len(wide) > 1:
        raise CheckpointError(named.path, f"the input matrices take {sorted(wide)} inputs", "all gates see the same")
    m = wide.pop()
    blocks = {
        "weight_hh": np.concatenate(W),
        "weight_ih": np.concatenate([np.zeros((n, m)) if block is None else block for block in inputs]),
    }
    for name, role in (("bias_ih", "bias"), ("bias_hh", "recurrent_bias")):
        parts = [named.vector(f"{role}_{g}", n) if f"{role}_{g}" in named else np.zeros(n) for g in GATES[form]]
        blocks[name] = np.concatenate(parts)
    return blocks


def _around(named: Named, form: str, n: int) -> Arrays:
    """The readout and the first state, by the names of a recurrent network."""
    held: Arrays = {}
    if "readout" in named:
        held["readout.weight"] = named.matrix("readout", (None, n))
        if "readout_bias" in named:
            held["readout.bias"] = named.vector("readout_bias", len(held["readout.weight"]))
    elif "readout_bias" in named:
        raise CheckpointError(named.path, "--matrix readout_bias was given without a readout", "name the readout too")
    if "initial" in named:
        held["initial_state"] = named.vector("initial", n * (2 if form == "lstm" else 1))
    return held


def _settings(named: Named, form: str, convention: Convention) -> tuple[dict[str, Any], list[str]]:
    choices = named.choices
    settings: dict[str, Any] = {}
    if form == "gru" and convention.reset != "after":
        settings["reset"] = convention.reset
    for option, setting, usual in (("activation", "activation", "tanh"), ("gate_activation", "gate", "logistic")):
        value = getattr(choices, option)
        if value is not None and value != usual:
            settings[setting] = value
    said = [o for o in ("activation", "gate_activation") if getattr(choices, o) is not None]
    if len(said) == 2:
        return settings, []
    return settings, [
        f"its gates are {choices.gate_activation or 'logistic'} and its f is {choices.activation or 'tanh'}; "
        "--gate-activation and --activation for others"
    ]
