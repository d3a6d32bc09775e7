"""Recurrent layers of other tools: recognised by the tool's own names and configuration, chosen, and put together.

A tool is one line of ``TOOLS``: a function that finds its networks in the contents of a file, or nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.conventions.audio import nam_networks, rtneural_networks
from dynsys.models.conventions.flax import flax_networks
from dynsys.models.conventions.keras.networks import keras_networks
from dynsys.models.conventions.matlab import matlab_networks
from dynsys.models.conventions.network import Network
from dynsys.models.conventions.onnx.networks import onnx_networks
from dynsys.models.loading.choices import Choices, Recognised, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.recognition.chains import part_line

Find = Callable[[Path, Contents, Choices], list[Network]]
TOOLS: tuple[Find, ...] = (
    onnx_networks,
    keras_networks,
    nam_networks,
    rtneural_networks,
    flax_networks,
    matlab_networks,
)
OF_TOOLS = {
    "keras": ("keras", "keras reset_after=False"),
    "keras json": ("keras", "keras reset_after=False"),
    "onnx": ("onnx",),
    "flax": ("flax",),
    "matlab": ("matlab",),
}
FEW = 20  # networks of which it is looked for those that can follow each other
MEANINGLESS = ("transposed", "tau", "alpha", "gates", "matrices")


def recognise_layers(path: Path, contents: Contents, choices: Choices) -> Recognised | None:
    """The network of a tool's recurrent layers; None where no tool knows the file's names as its own."""
    networks = next((found for find in TOOLS if (found := find(path, contents, choices))), None)
    if networks is None:
        return None
    network = _chosen(path, networks, choices)
    because = f"it is recognised as a {network.tool} network, which says that itself"
    choices.refuse(path, MEANINGLESS, because)
    if choices.convention not in (None, *OF_TOOLS.get(network.tool, ())):
        choices.refuse(path, ("convention",), because)
    if network.backward is not None:
        network = _one_direction(path, network, choices)
    else:
        choices.refuse(path, ("direction",), f"{network.name} is not bidirectional")
    return _put_together(path, contents, network)


def _chosen(path: Path, networks: list[Network], choices: Choices) -> Network:
    """The only network, or the one that was asked for; an upper layer can be asked for alone."""
    found = "; ".join(f"{network.name} ({network})" for network in networks)
    if choices.part is None:
        if len(networks) == 1:
            return networks[0]
        wrong = f"it holds {len(networks)} recurrent networks: {found}"
        raise CheckpointError(path, wrong, f"choose one with --part, such as {part_line(networks, _can_follow)}")
    if "+" in choices.part:
        return _in_the_order_of(path, networks, choices.part, found)
    named = [network for network in networks if network.name == choices.part]
    inside = [
        _alone(network, k)
        for network in networks
        for k, cell in enumerate(network.cells)
        if k > 0 and f"{cell.name}/".startswith(f"{choices.part}/")
    ]
    if not named + inside:
        wrong = f"--part {choices.part} fits none of its {len(networks)} recurrent networks"
        raise CheckpointError(path, wrong, f"it holds {found}")
    return (named + inside)[0]


def _can_follow(below: Network, above: Network) -> bool:
    plain = below.backward is None and above.backward is None
    return plain and not above.order_is_known and above.cells[0].stacks_on(below.cells[-1])


def _in_the_order_of(path: Path, networks: list[Network], part: str, found: str) -> Network:
    """Networks on top of each other as the user says, where the file does not say another thing."""
    by_name = {network.name: network for network in networks}
    chain = [by_name[name] for name in part.split("+") if name in by_name]
    fits = all(_can_follow(below, above) for below, above in itertools.pairwise(chain))
    if len(chain) != len(part.split("+")) or not fits:
        wrong = f"--part {part} names no networks of which each can read h of the one before it"
        raise CheckpointError(path, wrong, f"it holds {found}")
    told = tuple(f"{b.name} reads h of {a.name} in every step, as --part says" for a, b in itertools.pairwise(chain))
    cells = tuple(cell for network in chain for cell in network.cells)
    return dataclasses.replace(chain[-1], cells=cells, assumed=(*told, *chain[-1].assumed))


def _alone(network: Network, k: int) -> Network:
    """The layers from k on, driven by the h of the layer below."""
    driven = f"its input is h of the layer {network.cells[k - 1].name}"
    return dataclasses.replace(network, cells=network.cells[k:], assumed=(driven,))


def _one_direction(path: Path, network: Network, choices: Choices) -> Network:
    if choices.direction is None:
        wrong = (
            f"{network.name} is bidirectional: one half reads the sequence from its end, so that the two have no "
            "common time and no common fixed points"
        )
        raise CheckpointError(path, wrong, "analyse one on its own: --direction forward, or --direction backward")
    assert network.backward is not None
    cell = network.cells[0] if choices.direction == "forward" else network.backward
    lines = [f"the {choices.direction} direction alone is analysed, without what reads both"]
    if choices.direction == "backward":
        lines.append("its time runs from the end of a sequence to its beginning")
    return Network(network.tool, (cell,), None, None, network.said, (*network.assumed, *lines))


def _put_together(path: Path, contents: Contents, network: Network) -> Recognised:
    cells, readout = network.cells, network.readout
    held: Arrays = {}
    with_bias = any("bias_ih" in cell.arrays for cell in cells)
    for k, cell in enumerate(cells):
        arrays = dict(cell.arrays)
        if with_bias and "bias_ih" not in arrays:
            arrays |= {name: np.zeros(len(arrays["weight_hh"])) for name in ("bias_ih", "bias_hh")}
        held |= {f"{name}_l{k}": values for name, values in arrays.items()}
    if all(cell.initial for cell in cells):
        held["initial_state"] = np.concatenate(
            [cell.initial[i] for i in range(len(cells[0].initial)) for cell in cells]
        )
    if readout is not None:
        held["readout.weight"], b = readout.W, readout.b
        held["readout.bias"] = np.zeros(len(readout.W)) if b is None else b
        if readout.output is not None:
            V, c = readout.output
            held["output.weight"], held["output.bias"] = V, np.zeros(len(V)) if c is None else c
    _check_finite(path, held, network)
    used = {key for cell in cells for key in cell.keys} | set(readout.keys if readout else ())
    sizes = {key for key, array in contents.arrays.items() if contents.format == "onnx" and array.dtype.kind != "f"}
    unused = [shown(key, contents.arrays) for key in contents.arrays if key not in used | sizes]
    unused += [f"{key} ({why})" for key, why in contents.odd.items() if key not in used]
    lines = [line for cell in cells for line in cell.said]
    ends = readout.said if readout else network.said or ("no readout: no linear layer reads its h",)
    assumed = [
        *network.assumed,
        *(line for cell in cells for line in cell.assumed),
        *(readout.assumed if readout else ()),
    ]
    names = " then ".join(cell.name for cell in cells)
    return Recognised(
        cells[0].model,
        held,
        dict(cells[0].settings),
        (f"{network.tool}: {network}, {names}", *dict.fromkeys(lines), *ends),
        tuple(dict.fromkeys(assumed)),
        tuple(unused),
    )


def _check_finite(path: Path, held: Arrays, network: Network) -> None:
    for name, values in held.items():
        bad = int((~np.isfinite(values)).sum())
        if bad:
            wrong = f"{name} of {network.name} holds {bad} values that are NaN or infinite"
            raise CheckpointError(path, wrong, "training went wrong: take an earlier one")
