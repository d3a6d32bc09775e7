"""What stands beside a recurrent cell and may act between two of its steps, or between its h and its readout.

A module of whole sequences (``weight_hh_l0``) steps itself. A cell (``weight_hh``) is stepped by code that no file of
weights has: a norm, a function with parameters of its own, a factor or peepholes beside it may stand in that loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError, ignoring
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import shown
from dynsys.models.loading.evidence.stated import words_of

NORMS = {"norm", "layernorm", "ln", "bn", "batchnorm", "rmsnorm", "groupnorm", "gamma", "beta"}
NORMS |= {"norms", "layernorms", "lns", "bns"}
OF_TRAINING = {"noise", "sigma", "std", "logstd", "var", "variance", "loss", "criterion", "lr", "step", "steps"}
OF_TRAINING |= {
    "epoch",
    "epochs",
    "seed",
    "seeds",
    "metric",
    "metrics",
    "acc",
    "accuracy",
    "best",
    "optimizer",
    "scaler",
}
SHORT = 2  # bytes of a whole number that a weight is quantised to


def is_stepped_by_hand(cell: Iterable[str]) -> bool:
    """Whether the keys are those of one of torch's cells, which have no number of a layer."""
    keys = list(cell)
    return bool(keys) and not any(re.search(r"_l\d+(_reverse)?$", key) for key in keys)


def in_the_loop(arrays: Arrays, free: Iterable[str], prefix: str, holder: str, n: int) -> list[str]:
    """Of the ``free`` arrays those that may act on the n units of a cell between two steps.

    They stand in the module that holds the cell, or the list of cells that it is in: norms by their name, single
    numbers of the module's own, and modules that have vectors but no matrix (norms, PReLU, peepholes).
    """
    around = re.sub(r"[^./]*$", "", holder.rstrip("._/")) if re.search(r"[./]\d+$", prefix.rstrip("._/")) else holder
    return [key for key in free if key.startswith(around) and _may_act(arrays, key, around, n)]


def _may_act(arrays: Arrays, key: str, around: str, n: int) -> bool:
    module, dot, _ = key[len(around) :].rpartition(".")
    if words_of(module.split(".")[0]) & NORMS and dot:
        return True
    if arrays[key].dtype.kind != "f" or words_of(key[len(around) :]) & OF_TRAINING:
        return False
    if not dot:
        return arrays[key].size == 1
    return arrays[key].size in (1, n) and not _has_matrix(arrays, f"{around}{module}.")


def _has_matrix(arrays: Arrays, owner: str) -> bool:
    held = [key for key in arrays if key.startswith(owner) and arrays[key].ndim > 1]
    return any(key.endswith("weight") or min(arrays[key].shape) > 1 for key in held)  # a weight may have one row


def before_the_readout(arrays: Arrays, free: Iterable[str], holder: str, width: int) -> list[str]:
    """Norms of h, by their shape: the weights of modules that have vectors of its width and no matrix."""
    weights = [k for k in free if k.endswith(".weight") and k.startswith(holder) and arrays[k].shape == (width,)]
    return [key for key in weights if not _has_matrix(arrays, f"{key.rpartition('.')[0]}.")]


def refuse_quantised(path: Path, arrays: Arrays, keys: Iterable[str]) -> None:
    """Raise CheckpointError for weights that are whole numbers of one or two bytes: a scale, which is not known, makes
    weights of them."""
    for key in keys:
        if arrays[key].dtype.kind in "iu" and arrays[key].dtype.itemsize <= SHORT:
            whole = f"{shown(key, arrays)} holds whole numbers ({arrays[key].dtype})"
            wrong = f"{whole}, quantised by a scale that is not told"
            remedy = "save the weights as floating-point numbers; or with --form say --matrix recurrent='0.01 * KEY'"
            raise CheckpointError(path, wrong, f"{remedy} with its scale")


def refuse_turned(path: Path, arrays: Arrays, cell: dict[str, str], free: Iterable[str]) -> None:
    """Raise CheckpointError where all matrices of a cell are square and a layer beside it shows the file to be turned.

    A linear layer of torch has a bias as long as its weight has rows; one that has one as long as the columns is kept
    as JAX keeps it.
    """
    if any(arrays[cell[name]].shape[0] != arrays[cell[name]].shape[1] for name in ("weight_ih", "weight_hh")):
        return
    for key in free:
        bias = arrays.get(f"{key.removesuffix('weight')}bias", np.zeros(0))
        W = arrays[key]
        is_linear = key.endswith("weight") and W.ndim == 2 and bias.size == max(bias.shape, default=0)
        if is_linear and W.shape[0] != W.shape[1] == bias.size:
            wrong = f"{shown(key, arrays)} with a bias of {bias.size} acts from the right, x W, unlike torch's"
            remedy = f"--transposed, if the square ones do as well; if not, {ignoring(key)}"
            raise CheckpointError(path, wrong, remedy)


def about_loop_and_readout(
    arrays: Arrays, free: Iterable[str], name: str, cell: Iterable[str], holder: str, width: int | None
) -> list[str]:
    """What is assumed of code that no file has: that nothing acts on h between steps, nor before a readout of
    ``width``, where there is one."""
    code = f"the code that steps {name or 'the cell'}, which no file has, hands h on as it is and feeds nothing back"
    lines = [code] if is_stepped_by_hand(cell) else []
    norms = [] if width is None else before_the_readout(arrays, free, holder, width)
    return lines + [f"the readout reads h itself, though {shown(key, arrays)} may stand before it" for key in norms]
