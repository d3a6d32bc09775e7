"""The equation of each model in words of one line, as ``info`` and the pages print it."""

from __future__ import annotations

from typing import Any

EQUATIONS = {
    "rnn": "h' = f(W_ih u + b_ih + W_hh h + b_hh)",
    "gru": "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + r (W_hn h + b_hn)), z and r logistic",
    "lstm": "c' = f c + i g, h' = o tanh(c'), g = tanh(W_ig u + b_ig + W_hg h + b_hg), i, f and o logistic",
    "lstm-peephole": "as an lstm, with p_i c in i, p_f c in f and p_o c' in o",
    "lstm-coupled": "as an lstm with i = 1 - f, and p_f c in f and p_o c' in o where there are peepholes",
    "irnn": "h' = f(W_ih u + b_ih + W_hh h + b_hh)",
    "fast-weights": "h' = relu(LN(W h + C x + b + A h)), A' = lambda A + eta h h^T",
    "esn": "tau dx/dt = -x + W_r r(x) + W_fb z + B u, z = W_out r(x), r = f",
    "simple-rnn": "tau dx/dt = -x + W r(x), r = f",
    "rate": "tau dx/dt = -x + W r(x) + B u + b, z = W_out r(x) + b_out, r = f",
    "activity": "tau dr/dt = -r + f(W r + B u + b), z = W_out r + b_out",
    "leaky": "x' = (1 - a) x + a f(W x + B u + b), z = W_out x + b_out",
    "leaky-rate": "x' = (1 - a) x + a (W r(x) + B u + b), z = W_out r(x) + b_out, r = f",
    "plrnn": "z' = A z + W relu(z) + h + C u, or A z + W_1 relu(W_2 z + h_2) + h_1 + C u",
}
OF_TANH = ("rnn", "esn", "simple-rnn", "rate", "activity", "leaky", "leaky-rate")  # unless the settings say another
RESET_BEFORE = "h' = (1 - z) n + z h, n = tanh(W_in u + b_in + W_hn (r h) + b_hn), z and r logistic"


def equation(model: str, settings: dict[str, Any]) -> str:
    """The equation of a model, with its own activation in the place of f, and of a gated one in that of its own."""
    text = RESET_BEFORE if model == "gru" and settings.get("reset") == "before" else EQUATIONS.get(model, "")
    f = settings.get("activation") or settings.get("nonlinearity") or ("tanh" if model in OF_TANH else None)
    if not f:
        return text.replace("logistic", str(settings["gate"])) if "gate" in settings else text
    if model in ("gru", "lstm", "lstm-peephole", "lstm-coupled"):
        return text.replace("tanh(", f"{f}(").replace("logistic", str(settings.get("gate", "logistic")))
    a = settings.get("alpha")
    text = text.replace("(1 - a)", f"{1 - a:g}").replace("+ a ", f"+ {a:g} ") if isinstance(a, float) else text
    return text.replace("r = f", f"r = {f}").replace("= f(", f"= {f}(").replace(" f(", f" {f}(")
