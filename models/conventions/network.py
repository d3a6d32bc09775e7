"""A recurrent network as some tool keeps it, in our words: its layers in torch's order, its readout.

A ``Cell`` is one layer, a ``Network`` layers that follow each other step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.activations import GATES, activation_named
from dynsys.models.loading.choices import GATES as ORDERS
from dynsys.models.loading.choices import Choices, option_of
from dynsys.models.registry import MODELS

Array = NDArray[np.float64]
USUAL = {"activation": "tanh", "gate": "logistic", "reset": "after"}


@dataclass(frozen=True, eq=False)
class Cell:
    """One recurrent layer: torch's ``weight_ih`` and ``weight_hh``, both biases or none, and a ``peephole`` if any.

    ``settings`` are those of the model that differ from torch's, ``keys`` the arrays of the file that it is made of,
    ``initial`` its first h and c where the file has them, and ``said`` and ``assumed`` lines for the user.
    """

    name: str
    model: str
    arrays: Arrays
    settings: dict[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    initial: tuple[Array, ...] = ()
    said: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        return self.arrays["weight_hh"].shape[1]

    @property
    def inputs(self) -> int:
        return self.arrays["weight_ih"].shape[1]

    def stacks_on(self, below: Cell) -> bool:
        """Whether the two can be layers of one network: of one kind, and of sizes that fit."""
        return (self.model, self.settings, self.inputs) == (below.model, below.settings, below.units)


@dataclass(frozen=True, eq=False)
class Readout:
    """z = W h + b of the top layer; with ``output``, z = V relu(W h + b) + c. ``said`` is what the user is told."""

    W: Array
    b: Array | None
    keys: tuple[str, ...]
    said: tuple[str, ...]
    output: tuple[Array, Array | None] | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Network:
    """Layers that follow each other in every step; of a bidirectional one the first layer, and the other half of it.

    ``said`` is why it has no readout, where it has none. ``order_is_known`` is whether the file says what feeds it, so
    that nobody else has to.
    """

    tool: str
    cells: tuple[Cell, ...]
    backward: Cell | None = None
    readout: Readout | None = None
    said: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    order_is_known: bool = True

    @property
    def name(self) -> str:
        return self.cells[0].name

    def __str__(self) -> str:
        cell, sizes = self.cells[0], ", ".join(str(cell.units) for cell in self.cells)
        layers = f"{len(self.cells)} layers of {sizes} units" if len(self.cells) > 1 else f"{sizes} units"
        both = "bidirectional " if self.backward is not None else ""
        return f"{both}{MODELS[cell.model].kind.title}, {layers}, {cell.inputs} input{'s' * (cell.inputs != 1)}"


def in_our_order(block: Array, order: str, model: str) -> Array:
    """The rows of a stacked weight or bias, kept gate by gate in ``order`` (torch's letters), in torch's order."""
    wanted = ORDERS.get(model.removesuffix("-peephole"), "")
    parts = dict(zip(order, np.split(block, max(len(order), 1)), strict=False))
    return np.concatenate([parts[gate] for gate in wanted]) if wanted else block


def settings_of(
    path: Path, choices: Choices, layer: str, model: str, told: dict[str, str | None]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings of a layer's activation and gates, by our names, where they are not torch's; and what was assumed.

    ``told`` are the names that the file gives them, None where it says nothing: then the user's choice or the usual.
    """
    found: dict[str, Any] = {}
    silent = []
    for setting, option in (("activation", "activation"), ("gate", "gate_activation")):
        if setting == "gate" and model == "rnn":
            choices.refuse(path, (option,), "it has no gates")
            continue
        chosen, said = getattr(choices, option), told.get(setting)
        if said is None:
            found[setting] = chosen or USUAL[setting]
            what = "f is" if setting == "activation" else "gates are"
            silent += [] if chosen else [f"its {what} {found[setting]} ({option_of(option)} for another)"]
        else:
            found[setting] = _known(path, layer, setting, said)
            if chosen not in (None, found[setting]):
                wrong = f"{option_of(option)} is {chosen}, but the file says that {layer} has {said}"
                raise CheckpointError(path, wrong, f"leave {option_of(option)} out")
    if found.get("gate", "logistic") not in GATES:
        wrong = f"the gates of its layer {layer} are {found['gate']}, which is no gate that dynsys has a model for"
        raise CheckpointError(path, wrong, f"it has {', '.join(GATES)}; step the module yourself with dynsys.Map")
    named = {"activation": "nonlinearity"} if model == "rnn" else {}
    return (
        {named.get(key, key): value for key, value in found.items() if value != USUAL[key]},
        (f"{' and '.join(silent)}, as the file does not say",) if silent else (),
    )


def _known(path: Path, layer: str, setting: str, said: str) -> str:
    try:
        return activation_named(said)
    except ValueError as error:
        wrong = f"its layer {layer} has the {setting} {said!r}, for which dynsys has no model"
        raise CheckpointError(path, wrong, "step the module yourself with dynsys.wrap or dynsys.Map") from error
