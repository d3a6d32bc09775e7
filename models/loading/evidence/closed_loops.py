"""Loops around a cell that no array closes by itself: its output fed back into its input, h passed through a layer.

Shapes can show the first: a cell that reads as many numbers as the configuration has inputs and the readout outputs.
Where the loop is linear it is closed by an expression, W + W_ih[:, m:] W_out; that of a GRU is not, whose candidate
multiplies W h by a gate, and not W_ih u.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dynsys.io.errors import CheckpointError, ignoring, printable
from dynsys.io.files import Arrays
from dynsys.models.loading.choices import Choices, line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.stated import is_called, of_another_module
from dynsys.models.loading.recognition.ends import Readout
from dynsys.models.loading.recognition.state_dict import Stack

SIZES_OF_INPUT = ("input_size", "n_input", "n_inputs", "num_inputs", "input_dim", "in_dim", "n_in", "in_features")
IN_PYTHON = "in Python, dynsys.wrap of the whole module closes it"


def refuse_fed_back(
    path: Path, contents: Contents, choices: Choices, prefix: str, stack: Stack, readout: Readout | None
) -> None:
    """Raise CheckpointError where the sizes show that the cell reads its inputs and its readout's outputs."""
    if readout is None or not readout.keys:
        return
    for key, value in contents.settings.items():
        if not is_called(key, SIZES_OF_INPUT) or choices.ignores(key) or of_another_module(contents, key, prefix):
            continue
        if isinstance(value, int) and value > 0 and value + len(readout.W) == stack.n_input:
            first = shown(stack.keys[0]["weight_ih"], contents.arrays)
            wrong = (
                f"{first} reads {stack.n_input} numbers, the {value} inputs of {printable(key)} and, as it seems, the "
                f"{len(readout.W)} outputs of {printable(readout.keys[0])}, fed back"
            )
            line = fed_back(contents.arrays, stack, readout)
            closed = f"with the loop closed, {line}" if line else f"such a loop of a {stack.cell} is {IN_PYTHON}"
            remedy = f"{closed}; with the fed outputs as inputs that are held, {ignoring(key)}"
            raise CheckpointError(path, wrong, remedy)


def about_loops(arrays: Arrays, free: Iterable[str], holder: str, stack: Stack, readout: Readout | None) -> list[str]:
    """What a cell stepped by hand leaves open: whether its output is among its inputs, whether a layer acts on h."""
    lines = []
    outputs = 0 if readout is None or not readout.keys else len(readout.W)
    if readout is not None and 0 < outputs < stack.n_input:
        line = fed_back(arrays, stack, readout) or IN_PYTHON
        lines.append(f"the last {outputs} of its {stack.n_input} inputs are not its own output; if they are, {line}")
    taken = set(readout.keys if readout else ())
    for key in free:
        square = arrays[key].ndim == 2 and arrays[key].shape == (stack.width, stack.width)
        if square and key.endswith(".weight") and key.startswith(holder) and key not in taken:
            line = _passed(arrays, stack, key) or IN_PYTHON
            lines.append(f"h does not pass through {shown(key, arrays)} between two steps; if it does, {line}")
    through = "h does not pass through {} between two steps; if it does, {}"
    lines += [through.format(name, IN_PYTHON) for name in _ways(arrays, free, holder, stack.width)]
    return lines


def _ways(arrays: Arrays, free: Iterable[str], holder: str, width: int) -> list[str]:
    """Modules of several layers beside a cell that take h in and give as many numbers, as the field of an ODE does."""
    layers: dict[str, list[str]] = {}
    for key in free:
        if key.startswith(holder) and key.endswith(".weight") and arrays[key].ndim == 2:
            layers.setdefault(key[len(holder) :].split(".")[0], []).append(key)
    return [
        f"{holder}{name}"
        for name, keys in layers.items()
        if len(keys) > 1 and arrays[keys[0]].shape[1] == width == arrays[keys[-1]].shape[0]
    ]


def fed_back(arrays: Arrays, stack: Stack, readout: Readout) -> str:
    """The line that closes the loop through the readout, whose output comes behind the inputs; empty for a GRU."""
    m = stack.n_input - len(readout.W)
    U, W_out = stack.keys[0]["weight_ih"], readout.keys[0]
    bias = readout.keys[1] if len(readout.keys) > 1 else None
    return _closed(
        arrays, stack, f"{U}[:, {m}:] @ {W_out}", f"{U}[:, {m}:] @ {bias}" if bias else None, f"{U}[:, :{m}]"
    )


def _passed(arrays: Arrays, stack: Stack, key: str) -> str:
    """The line where h passes through a linear layer before the next step."""
    W, bias = stack.keys[0]["weight_hh"], f"{key.removesuffix('weight')}bias"
    shift = f"{W} @ {bias}" if bias in arrays else None
    return _closed(arrays, stack, f"{W} @ {key}", shift, stack.keys[0]["weight_ih"], instead=True)


def _closed(arrays: Arrays, stack: Stack, added: str, shift: str | None, inputs: str, *, instead: bool = False) -> str:
    """The options of a vanilla RNN or LSTM of one layer with a matrix more on h, or ``instead``."""
    keys = stack.keys[0]
    if stack.layers > 1 or stack.cell not in ("rnn", "lstm") or "weight_hr" in keys:
        return ""
    biases = [keys[name] for name in ("bias_ih", "bias_hh") if name in keys] + ([shift] if shift else [])
    roles = {"recurrent": added if instead else f"{keys['weight_hh']} + {added}", "input": inputs}
    roles |= {"bias": " + ".join(biases)} if biases else {}
    return line_of({role: printable(text) for role, text in roles.items()}, form=stack.cell)
