"""Keras's recurrent layers: which of them follow each other directly, what feeds them, and what reads them.

Layers of one kind that hand h on in every step are one network. Anything between them that computes (Dense, a
normalisation, a layer that runs backwards, a Bidirectional) parts them, and each part is a network of its own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynsys.io.errors import CheckpointError, ignoring
from dynsys.models.conventions.keras.cells import KINDS, Weights, cell_of, told_by
from dynsys.models.conventions.keras.graph import Layer, kind_of, layers_of, snake
from dynsys.models.conventions.keras.names import networks_by_names
from dynsys.models.conventions.keras.own import own_equation
from dynsys.models.conventions.keras.readout import readout_of
from dynsys.models.conventions.network import Cell, Network
from dynsys.models.conventions.tree import entries
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.configured import more_than_plain

KNOWN = "dynsys has models for SimpleRNN, GRU and LSTM; step another layer yourself with dynsys.Map"


def keras_networks(path: Path, contents: Contents, choices: Choices) -> list[Network]:
    """The networks of a Keras model, by its configuration or, without one, by the names of its weights."""
    if any(key.startswith("weightsManifest.") for key in contents.settings):
        wrong = "it is the description of a TensorFlow.js model, whose weights lie in other files"
        raise CheckpointError(path, wrong, "save the model with Keras, model.save('x.keras')")
    weights = Weights(path, contents, choices)
    layers = layers_of(contents.settings)
    if not layers:
        return networks_by_names(path, contents, choices, weights)
    version = _version(contents)
    if version == 1:
        raise CheckpointError(path, "Keras 1 wrote it, whose weights go by other names", "save it with Keras 2 or 3")
    cells = _Cells(path, contents, choices, weights, version)
    found = {layer.name: made for layer in layers if (made := cells.of(layer)) is not None}
    if not found:
        kinds = ", ".join(f"{layer.name} ({_described(layer)})" for layer in layers if not layer.is_passive)
        wrong = f"no recurrent layer that dynsys knows is among its layers: {kinds}"
        raise CheckpointError(path, wrong, "; ".join([KNOWN, *cells.own_equations(layers)]))
    return list(_networks(weights, layers, found))


def _described(layer: Layer) -> str:
    inner = layer.config.get("cell") or layer.config.get("layer")
    return f"{layer.kind} of {kind_of(inner)}" if isinstance(inner, dict) else layer.kind


def _version(contents: Contents) -> int | None:
    said = next((str(value) for value in contents.said("keras_version").values()), "")
    return int(said.split(".")[0]) if re.match(r"\d+\.", said) else None


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer: its cells (several of a StackedRNNCells), the other direction, and how it runs."""

    cells: tuple[Cell, ...]
    backward: Cell | None = None
    runs_backwards: bool = False
    hands_on: bool = False  # h of every step


@dataclass(frozen=True)
class _Cells:
    """The cells of the layers of one file."""

    path: Path
    contents: Contents
    choices: Choices
    weights: Weights
    version: int | None

    def of(self, layer: Layer) -> Recurrent | None:
        """The cells of a layer; None where it is no recurrent layer, or one that there is no model for."""
        keys, config = self.weights.under(layer.place, layer.scopes), layer.config
        if layer.kind not in ("Bidirectional", "TimeDistributed"):
            cells = self._inside(layer.name, layer.kind, config, keys)
            back, on = bool(config.get("go_backwards")), bool(config.get("return_sequences"))
            return None if cells is None else Recurrent(cells, None, back, on)
        inner = config.get("layer", {})
        kind, own = kind_of(inner), inner.get("config", {})
        if layer.kind == "TimeDistributed":
            cells = self._inside(layer.name, kind, own, keys)
            return None if cells is None else Recurrent(cells, None, bool(own.get("go_backwards")))
        halves = [
            self._inside(layer.name, kind, half, _of_half(keys, word, self.weights.by_place))
            for word, half in (
                ("forward", own),
                ("backward", (config.get("backward_layer") or inner).get("config", {})),
            )
        ]
        if halves[0] is None or halves[1] is None:
            return None
        return Recurrent(halves[0][:1], halves[1][0])

    def own_equations(self, layers: list[Layer]) -> Iterator[str]:
        """The lines for cells of a user's own class."""
        for layer in layers:
            keys = self.weights.under(layer.place, layer.scopes)
            roles = {name.rpartition(".")[2]: key for name, key in keys.items()}
            if "recurrent_kernel" in roles:
                inner = layer.config.get("cell") or layer.config.get("layer")
                own = inner.get("config", {}) if isinstance(inner, dict) else {}
                yield own_equation(self.contents, roles, {**layer.config, **own})

    def _inside(
        self, name: str, kind: str, config: Mapping[str, Any], keys: Mapping[str, str]
    ) -> tuple[Cell, ...] | None:
        if kind == "RNN":
            cell = config.get("cell", {})
            kind, config = kind_of(cell), cell.get("config", {})
        if kind == "StackedRNNCells":
            return self._stacked(name, config, keys)
        return (self._cell(name, kind, config, keys),) if kind in KINDS else None

    def _stacked(self, name: str, config: Mapping[str, Any], keys: Mapping[str, str]) -> tuple[Cell, ...] | None:
        made: list[Cell] = []
        counted: dict[str, int] = {}
        for entry in entries(config.get("cells")):
            kind, own = kind_of(entry), entry.get("config", {})
            if kind not in KINDS:
                return None
            k = counted[kind] = counted.get(kind, -1) + 1
            short = str(own.get("name") or f"{snake(kind)}_{k}")
            scope = f"{snake(kind)}_{k}" if k else snake(kind)
            part = f".cells.{scope}." if self.weights.by_place else f".{short}."
            inside = {key: value for key, value in keys.items() if part in f".{key}"}
            made.append(self._cell(f"{name}/{short}", kind, own, inside))
        return tuple(made)

    def _cell(self, name: str, kind: str, config: Mapping[str, Any], keys: Mapping[str, str]) -> Cell:
        roles = self.weights.roles(keys, name)
        told = told_by(self.path, name, config, self.version)
        more = [key for key in more_than_plain(config, KINDS[kind]) if not self.choices.ignores(key)]
        if more:
            wrong = f"its layer {name} says {more[0]} = {config[more[0]]}, for which Keras's {kind} has no place"
            remedy = (
                f"{own_equation(self.contents, roles, config)}; {ignoring(more[0])} if it plays no part in the step"
            )
            raise CheckpointError(self.path, wrong, remedy)
        return cell_of(self.path, self.choices, self.contents.arrays, name, KINDS[kind], roles, told)


def _of_half(keys: Mapping[str, str], word: str, by_place: bool) -> dict[str, str]:
    """The arrays of one half of a Bidirectional, forward_layer... or forward_lstm..."""
    return {
        name: key
        for name, key in keys.items()
        if any(part == f"{word}_layer" if by_place else part.startswith(f"{word}_") for part in name.split("."))
    }


def _networks(weights: Weights, layers: list[Layer], found: dict[str, Recurrent]) -> Iterator[Network]:
    """The recurrent layers of a model in its order, with those that follow each other directly put together."""
    by_name = {layer.name: layer for layer in layers}
    joined: dict[str, str] = {}  # the layer above, by the one below
    for name in found:
        below = _source(by_name, name)
        if below is not None and below not in joined and below in found and _follows(by_name, found, below, name):
            joined[below] = name
    for name in found:
        if name in joined.values():
            continue
        names = [name]
        while names[-1] in joined:
            names.append(joined[names[-1]])
        yield from _of_chain(weights, layers, by_name, found, names)


def _follows(by_name: dict[str, Layer], found: dict[str, Recurrent], below: str, above: str) -> bool:
    lower, upper = found[below], found[above]
    plain = lower.backward is None and upper.backward is None and by_name[above].kind != "TimeDistributed"
    called_once = by_name[below].calls == by_name[above].calls == 1
    return (
        plain
        and called_once
        and lower.hands_on
        and not upper.runs_backwards
        and upper.cells[0].stacks_on(lower.cells[-1])
    )


def _source(by_name: dict[str, Layer], name: str) -> str | None:
    """The layer whose first output a layer reads, through those that change nothing; None for an input of the model."""
    seen = {name}
    while True:
        inputs = by_name[name].inputs
        if not inputs or inputs[0][0] not in by_name or inputs[0][0] in seen or inputs[0][1] != 0:
            return None
        name = inputs[0][0]
        seen.add(name)
        if not by_name[name].is_passive:
            return name


def _of_chain(
    weights: Weights, layers: list[Layer], by_name: dict[str, Layer], found: dict[str, Recurrent], names: list[str]
) -> Iterator[Network]:
    """The network of layers that follow each other; cells of one layer that cannot be stacked are networks each."""
    cells = [cell for name in names for cell in found[name].cells]
    starts = [0, *(k for k in range(1, len(cells)) if not cells[k].stacks_on(cells[k - 1])), len(cells)]
    for first, end in itertools.pairwise(starts):
        lines = _driven(by_name, found, names) if first == 0 else (f"its input is h of {cells[first - 1].name}",)
        backward = found[names[0]].backward
        last = end == len(cells) and backward is None and by_name[names[-1]].kind != "TimeDistributed"
        readout, about = readout_of(weights, layers, names[-1], cells[-1].units) if last else (None, ())
        yield Network("keras", tuple(cells[first:end]), backward, readout, about, lines)


def _driven(by_name: dict[str, Layer], found: dict[str, Recurrent], names: list[str]) -> tuple[str, ...]:
    """What the input of the first layer is, and which way its time runs."""
    first, lines = by_name[names[0]], []
    source = _source(by_name, first.name)
    if source is not None:
        lines.append(f"its input is what the layer {source} ({by_name[source].kind}) gives")
    if found[first.name].runs_backwards:
        lines.append("its time runs from the end of a sequence to its beginning (go_backwards)")
    if first.kind == "TimeDistributed":
        lines.append("its time is the inner axis of a TimeDistributed, and it starts anew for every outer step")
    if first.calls > 1:
        lines.append(f"the model calls {first.name} {first.calls} times, on inputs of its own each time")
    if len(first.inputs) > 1:
        lines.append(f"its first state, which comes from {first.inputs[1][0]}, is not read")
    return tuple(lines)
