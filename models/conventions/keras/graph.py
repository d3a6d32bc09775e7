"""The layers of a Keras model in the order of its configuration: what each is, what feeds it, where its weights lie.

Models inside models are opened up, so that what comes back is one flat list; the names of what lies inside have the
name of the model in front, ``encoder/lstm``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynsys.models.conventions.tree import entries, nested

Edge = tuple[str, int]  # a layer, and which of its outputs
MODELS = ("Sequential", "Functional", "Model")
PASSIVE = {  # layers that hand on what they get, outside of training
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Masking",
    "Identity",
}


@dataclass(frozen=True)
class Layer:
    """One layer: its name, class and configuration, what feeds it, and how often it is called.

    Of a recurrent layer the first input is what it reads, others are its first state. ``place`` is where Keras 3 keeps
    its weights, ``layers.lstm_1``; ``scopes`` are the names by which Keras 2 does.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[Edge, ...]
    calls: int
    place: str
    scopes: tuple[str, ...]

    @property
    def is_passive(self) -> bool:
        linear = self.kind == "Activation" and self.config.get("activation") == "linear"
        inner = self.config.get("layer")
        wrapped = self.kind == "TimeDistributed" and isinstance(inner, dict) and inner.get("class_name") in PASSIVE
        return self.kind in PASSIVE or linear or wrapped


def layers_of(settings: Mapping[str, Any]) -> list[Layer]:
    """The layers that a configuration tells; none where it is not Keras's, or of a model that builds itself in code."""
    if settings.get("class_name") not in MODELS:
        return []
    root = nested({key: value for key, value in settings.items() if key.startswith(("class_name", "config."))})
    opened = _Opened()
    opened.add(root, "layers", (), ())
    return [_resolved(layer, opened.same) for layer in opened.layers]


def kind_of(entry: Mapping[str, Any]) -> str:
    """The class of a layer; one that was registered under a package is not Keras's own, whatever it is called."""
    registered = str(entry.get("registered_name", ""))
    return registered if ">" in registered else str(entry.get("class_name", ""))


class _Opened:
    """The layers of models inside models; ``same`` says which edges a model's output, or its input, stands for."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.same: dict[str, tuple[Edge, ...]] = {}

    def add(
        self, model: dict[str, Any], place: str, scopes: tuple[str, ...], feed: tuple[Edge, ...]
    ) -> tuple[Edge, ...]:
        """Append the layers of a model that is fed by ``feed``; what its outputs are."""
        config = model.get("config", {})
        in_sequence, before, fed = model.get("class_name") == "Sequential", feed, list(feed)
        counted: Counter[str] = Counter()
        for entry in entries(config.get("layers") or config):
            kind, own = kind_of(entry), entry.get("config", {})
            short, stem = str(entry.get("name") or own.get("name") or kind), snake(kind)
            here = f"{place}.{stem}_{counted[stem]}" if counted[stem] else f"{place}.{stem}"
            counted[stem] += 1
            calls = [_inside(scopes, (*edges_of(node), *_states(node))) for node in entries(entry.get("inbound_nodes"))]
            inputs = before if in_sequence else next(iter(calls), ())
            name = "/".join((*scopes, short))
            if kind == "InputLayer" and (in_sequence or feed):
                self.same[name] = before if in_sequence else tuple(fed[:1])
                fed = fed[1:]
                continue
            if kind in MODELS:
                self.same[name] = self.add(entry, f"{here}.layers", (*scopes, short), inputs)
            else:
                self.layers.append(Layer(name, kind, own, inputs, max(len(calls), 1), here, (*scopes, short)))
            before = ((name, 0),)
        return before if in_sequence else _inside(scopes, edges_of(config.get("output_layers")))


def _inside(scopes: tuple[str, ...], edges: Iterable[Edge]) -> tuple[Edge, ...]:
    return tuple(("/".join((*scopes, source)), k) for source, k in edges)


def _resolved(layer: Layer, same: dict[str, tuple[Edge, ...]]) -> Layer:
    """The layer with real layers as its inputs, in the place of models."""

    seen: set[Edge] = set()

    def real(edge: Edge) -> tuple[Edge, ...]:
        if edge[0] not in same:
            return (edge,)
        if edge in seen:
            return ()
        seen.add(edge)
        found = same[edge[0]]
        chosen = found[edge[1] : edge[1] + 1] if len(found) > 1 else found
        return tuple(inner for edge in chosen for inner in real(edge))

    inputs = tuple(inner for edge in layer.inputs for inner in real(edge))
    return Layer(layer.name, layer.kind, layer.config, inputs, layer.calls, layer.place, layer.scopes)


def edges_of(node: Any) -> Iterator[Edge]:
    """What a call takes, in order: ["lstm", 0, 0, {...}] in Keras 2, a tensor with its ``keras_history`` in Keras 3."""
    if not isinstance(node, dict):
        return
    history = node.get("keras_history", node)
    if isinstance(history, dict) and isinstance(history.get("0"), str) and isinstance(history.get("2"), int):
        yield history["0"], history["2"]
        return
    for key, inside in node.items():
        if key != "kwargs":
            yield from edges_of(inside)


def _states(node: Any) -> Iterator[Edge]:
    """The tensors that Keras 3 gives a recurrent layer as its first state."""
    if isinstance(node, dict) and isinstance(node.get("kwargs"), dict):
        yield from edges_of(node["kwargs"].get("initial_state"))


def snake(kind: str) -> str:
    """The name that Keras 3 makes of a class: SimpleRNN is simple_rnn, GRU gru."""
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", re.sub(r"\W", "", kind)).lower()
