"""Rate networks under the names that people give their matrices, with what they save beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from door.drawing import draw
from door.equations import activity, leaky, leaky_rate, rate
from door.layout import LINE, Network, enter
from door.torch_files import Rng

ROLES = ("recurrent", "input", "bias", "readout")


def called(name: str, names: str, form: str, beside: Mapping[str, Any] | None = None, *, mat: bool = False) -> None:
    """A file with matrices of these ``names`` in the order of ``ROLES``, where tau is 10 and the leak 0.2."""
    keys = dict(zip(ROLES, names.split(), strict=False))

    def write(folder: Path, rng: Rng, n: int, m: int) -> Network:
        sizes = {"recurrent": (n, n), "input": (n, m), "bias": (n, 1) if mat else (n,), "readout": (2, n)}
        a = {role: draw(rng, *sizes[role]) for role in keys}
        held = {keys[role]: value for role, value in a.items()} | dict(beside or {})
        path = folder / ("net.mat" if mat else "net.npz")
        if mat:
            scipy.io.savemat(path, held)
        else:
            np.savez(path, **held)
        W, B, b = a["recurrent"], a["input"], a["bias"].ravel() if "bias" in a else np.zeros(n)
        if form in ("leaky", "leaky-rate"):
            step = (leaky if form == "leaky" else leaky_rate)(0.2, W, B, b)
            return Network(path, step, n, m, known={"form": form, "alpha": 0.2})
        if form == "rnn":
            return Network(path, leaky(1.0, W, B, b), n, m, known={"form": form})
        step = (rate if form == "rate" else activity)(10.0, W, B, b)
        return Network(path, step, n, m, flow=True, known={"form": form, "tau": 10.0})

    enter(f"called_{name}", "called", LINE, write)


called("as_mante_has_them", "wrec wi b wo", "leaky-rate", {"alpha": 0.2, "noise_std": 0.05, "h0": np.zeros(3)})
called("with_a_step_and_a_time", "W_rec W_in b_rec W_out", "leaky-rate", {"dt": 2.0, "tau": 10.0, "sigma": 0.1})
called("with_a_time_and_a_gain", "J B b", "rate", {"tau": 10.0, "N": 7, "g": 1.0}, mat=True)
called("with_a_time_of_each_unit", "W Win b", "activity", {"tau": 10.0}, mat=True)
called("W_U_V", "W U b V", "rnn")
called("U_W_V", "U W b V", "rnn")
called("recurrent_to_recurrent", "w_rr w_ir b_r w_ro", "leaky")
called("by_folders", "weights/recurrent weights/input biases/recurrent weights/output", "rnn")
called("with_results", "params.J params.B params.b", "rate", {"results.fps": np.ones((5, 3))})
called("as_keras_calls_its_kernels", "recurrent_kernel kernel bias", "rnn")
