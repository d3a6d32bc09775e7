"""The equations that matrices named one by one belong to: each form says what it needs, and makes a model of it.

    rnn         x' = f(W x + B u + b), z = W_out x + b_out
    leaky       x' = (1 - a) x + a f(W x + B u + b), z = W_out x + b_out
    leaky-rate  x' = (1 - a) x + a (W f(x) + B u + b), z = W_out f(x) + b_out
    rate        tau dx/dt = -x + W f(x) + B u + b, z = W_out f(x) + b_out
    activity    tau dr/dt = -r + f(W r + B u + b), z = W_out r + b_out
    low-rank    rate with W = m n^T / N, or leaky-rate where a leak is given (Mastrogiuseppe & Ostojic 2018)
    esn         x' = (1 - a) x + a f(W x + W_in u + W_fb z + b), z = W_out x + b_out (Lukosevicius 2012)
    plrnn       z' = A z + W relu(z) + h + C u (Durstewitz 2017), z' = A z + W_1 relu(W_2 z + h_2) + h_1 + C u

and ``gru`` and ``lstm``, which are in ``gates``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import ROLES, Choices, Recognised, line_of, listed, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.arrays import refuse_unexplained_beside
from dynsys.models.loading.evidence.stated import ALPHAS, TAUS, stated_activation, stated_number
from dynsys.models.loading.named.gates import gated
from dynsys.models.loading.named.matrices import Array, Named

MAPS = ("rnn", "leaky", "leaky-rate", "esn", "gru", "lstm", "plrnn")

Made = tuple[str, Arrays, dict[str, Any], list[str]]  # model, arrays, settings, assumed


def from_named(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network of ``choices.form`` made of ``choices.matrices``; CheckpointError says which of them does not fit."""
    choices.refuse(path, ("part", "direction"), "its matrices are named one by one")
    form = choices.form
    if form is None:
        forms = f"say its equation: --form {', '.join(ROLES)}"
        raise CheckpointError(path, f"--form was not given; it holds {listed(contents.arrays)}", forms)
    _refuse_options(path, form, choices)
    named = Named(path, contents, choices)
    for role in _needed(form, named):
        if role not in named:
            legal = f"the form {form} has {', '.join(ROLES[form])}"
            wrong = f"--matrix {role}=KEY was not given; it holds {listed(contents.arrays)}"
            raise CheckpointError(path, wrong, legal)
    model, arrays, settings, assumed = BUILDERS[form](named)
    refuse_unexplained_beside(path, contents, choices, named.used, len_of_state(arrays, named))
    unused = tuple(shown(key, contents.arrays) for key in contents.arrays if key not in named.used)
    return Recognised(model, arrays, settings, tuple(named.why), (*assumed, *named.assumptions()), unused)


def len_of_state(arrays: Arrays, named: Named) -> int:
    """Units of the network that was made."""
    first = next(arrays[key] for key in ("W", "weight_hh_l0", "A", "W1") if key in arrays)
    return int(first.shape[-1]) if "weight_hh_l0" in arrays else len(first)


def _refuse_options(path: Path, form: str, choices: Choices) -> None:
    """Options that this equation has no place for."""
    if form not in ("rate", "activity", "low-rank"):
        choices.refuse(path, ("tau",), "a map has no time constant")
    if form not in ("leaky", "leaky-rate", "esn", "low-rank"):
        choices.refuse(path, ("alpha",), f"the form {form} has no leak; leaky, leaky-rate and esn have")
    if form not in ("gru", "lstm"):
        choices.refuse(path, ("gates", "gate_activation"), f"the form {form} has no gates")
        if not (form == "plrnn" and choices.convention == "clipped"):
            choices.refuse(path, ("convention",), f"the form {form} is the same in every tool")
    if form == "plrnn":
        choices.refuse(path, ("activation",), "a PLRNN is piecewise linear: its f is relu")


def _needed(form: str, named: Named) -> tuple[str, ...]:
    if form == "low-rank":
        return ("m", "n")
    if form == "plrnn":
        return ("A", "W1", "W2") if "W1" in named or "W2" in named else ("A", "W")
    if form in ("gru", "lstm"):
        return ()
    return ("recurrent",)


def _around(named: Named, n: int) -> Arrays:
    """B, b, W_out and b_out of a network of n units, those that were named."""
    held: Arrays = {}
    if "input" in named:
        held["B"] = named.matrix("input", (n, None))
    if "bias" in named:
        held["b"] = named.vector("bias", n)
    if "readout" in named:
        held["W_out"] = named.matrix("readout", (None, n))
    if "readout_bias" in named:
        if "readout" not in named:
            wrong = "--matrix readout_bias was given without a readout"
            raise CheckpointError(named.path, wrong, "name the readout too")
        held["b_out"] = named.vector("readout_bias", len(held["W_out"]))
    if "initial" in named:
        held["initial"] = named.vector("initial", n)
    return held


def _rnn(named: Named) -> Made:
    W = named.square("recurrent")
    held, n = _around(named, len(W)), len(W)
    activation, assumed = stated_activation(named)
    cell = {
        "weight_hh_l0": W,
        "weight_ih_l0": held.get("B", np.zeros((n, 0))),
        "bias_ih_l0": held.get("b", np.zeros(n)),
        "bias_hh_l0": np.zeros(n),
    }
    names = {"W_out": "readout.weight", "b_out": "readout.bias", "initial": "initial_state"}
    cell |= {theirs: held[ours] for ours, theirs in names.items() if ours in held}
    return "rnn", cell, {"nonlinearity": activation}, assumed


def _flow(named: Named, model: str, W: Array) -> Made:
    n = len(W)
    held = {"W": W, **_around(named, n)}
    activation, assumed = stated_activation(named)
    given, source = stated_number(named, "tau", TAUS, n)
    settings: dict[str, Any] = {"activation": activation}
    if given is None:
        settings["tau"] = 1.0
        assumed.append("the time constant is 1; --tau for another, which changes times but no fixed point")
    elif isinstance(given, float):
        settings["tau"] = given
    else:
        held["tau"] = given
    return model, held, settings, [*assumed, *source]


def _leaky(named: Named, model: str, W: Array, *, default: float | None = None) -> Made:
    n = len(W)
    held = {"W": W, **_around(named, n)}
    activation, assumed = stated_activation(named)
    alpha, source = stated_number(named, "alpha", ALPHAS, n)
    if alpha is None and default is None:
        remedy = "give --alpha, a number in (0, 1] or an expression with one for each unit"
        raise CheckpointError(named.path, f"the leak of the form {named.choices.form} was not given", remedy)
    if alpha is None:
        alpha, source = default, ["the leak is 1, no leak at all; --alpha for another"]
    assert alpha is not None
    if not 0 < np.min(alpha) <= np.max(alpha) <= 1:
        remedy = "of x' = (1 - alpha) x + ... it is in (0, 1]: give --alpha, which of a time constant is dt / tau"
        raise CheckpointError(named.path, f"alpha is {float(np.min(alpha)):g} to {float(np.max(alpha)):g}", remedy)
    settings: dict[str, Any] = {"activation": activation}
    if isinstance(alpha, float):
        settings["alpha"] = alpha
    else:
        held["alpha"] = np.asarray(alpha)
    return model, held, settings, [*assumed, *source]


def _esn(named: Named) -> Made:
    """The loop through the readout is closed: W + W_fb W_out acts on x, and W_fb b_out joins the bias."""
    W = named.square("recurrent")
    n = len(W)
    if "feedback" in named and "readout" not in named:
        remedy = "name the readout too, whose output is fed back"
        raise CheckpointError(named.path, "--matrix feedback was given without a readout", remedy)
    model, held, settings, assumed = _leaky(named, "leaky", W, default=1.0)
    if "feedback" in named:
        W_fb = named.matrix("feedback", (n, len(held["W_out"])))
        held["W"] = W + W_fb @ held["W_out"]
        held["b"] = held.get("b", np.zeros(n)) + W_fb @ held.get("b_out", np.zeros(len(held["W_out"])))
        named.why.append("the feedback loop is closed: W + W_fb W_out acts on x")
    return model, held, settings, assumed


def _low_rank(named: Named) -> Made:
    m, n_ = named.value("m"), named.value("n")
    if m.ndim == 1:
        m = m[:, None]
    if n_.ndim == 1:
        n_ = n_[:, None]
    if m.ndim != 2 or m.shape != n_.shape:
        wrong = f"{named.shown('m', m)} and {named.shown('n', n_)} make no low-rank matrix m n^T"
        raise CheckpointError(named.path, wrong, "both need (N, rank); turn them with .T")
    if m.shape[0] < m.shape[1]:
        m, n_ = m.T, n_.T
    N = len(m)
    named.why.append(f"W is m n^T / {N}, with m {named.shown('m', m)} and n {named.shown('n', n_)}")
    W = m @ n_.T / N
    leaky = named.choices.alpha is not None
    model, held, settings, assumed = _leaky(named, "leaky-rate", W) if leaky else _flow(named, "rate", W)
    line = line_of({"recurrent": f"{named.texts['m']} @ {named.texts['n']}.T"}, form=model)
    return model, held, settings, [*assumed, f"m n^T is divided by the {N} units, as is usual; {line} for none"]


def _plrnn(named: Named) -> Made:
    A = named.value("A")
    held: Arrays = {}
    shallow = "W1" in named
    if shallow:
        W1 = named.value("W1")
        units = len(A) if A.ndim and A.size > 1 else max(1, len(np.atleast_1d(W1)))
    else:
        held["W"] = named.square("W")
        units = len(held["W"])
    if A.ndim == 2 and A.shape == (units, units) and units > 1:
        held["A"] = named.matrix("A", (units, units))
    else:
        held["A"] = named.vector("A", units)
    if shallow:
        held["W1"] = named.matrix("W1", (units, None))
        hidden = held["W1"].shape[1]
        held["W2"] = named.matrix("W2", (hidden, units))
        vectors = {"h1": units, "h2": hidden}
    else:
        vectors = {"h": units}
    for role, size in vectors.items():
        if role in named:
            held[role] = named.vector(role, size)
    around = _around(named, units)
    held |= {("C" if key == "B" else key): value for key, value in around.items()}
    return "plrnn", held, {"clipped": True} if named.choices.convention == "clipped" else {}, []


BUILDERS: dict[str, Callable[[Named], Made]] = {
    "rnn": _rnn,
    "rate": lambda named: _flow(named, "rate", named.square("recurrent")),
    "activity": lambda named: _flow(named, "activity", named.square("recurrent")),
    "leaky": lambda named: _leaky(named, "leaky", named.square("recurrent")),
    "leaky-rate": lambda named: _leaky(named, "leaky-rate", named.square("recurrent")),
    "esn": _esn,
    "low-rank": _low_rank,
    "plrnn": _plrnn,
    "gru": gated,
    "lstm": gated,
}
