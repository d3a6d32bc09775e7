"""The graph of an ONNX model: its operators, its constants, and what gives and takes what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.network import Array
from dynsys.models.conventions.tree import entries, nested
from dynsys.models.loading.contents import Contents

KINDS = {"RNN": "rnn", "GRU": "gru", "LSTM": "lstm"}


@dataclass(frozen=True)
class Node:
    """An operator of the graph: its kind, what it takes and gives, and its attributes."""

    name: str
    kind: str
    takes: list[str]
    gives: list[str]
    attributes: dict[str, Any]


def _node(i: int, node: Mapping[str, Any]) -> Node:
    kind = str(node.get("op_type"))
    takes, gives = entries(node.get("input")), entries(node.get("output"))
    return Node(str(node.get("name") or f"{kind}_{i}"), kind, takes, gives, node.get("attribute", {}))


class Graph:
    """The operators of a model, its constants, and what gives and takes what."""

    def __init__(self, path: Path, contents: Contents) -> None:
        self.path, self.contents = path, contents
        tree = nested({key: value for key, value in contents.settings.items() if key.startswith("node.")})
        self.nodes = [_node(i, node) for i, node in enumerate(entries(tree.get("node")))]
        twice = {name for name, count in Counter(node.name for node in self.nodes).items() if count > 1}
        self.nodes = [
            replace(node, name=f"{node.name}_{i}") if node.name in twice else node for i, node in enumerate(self.nodes)
        ]
        self._giver = {name: node for node in self.nodes for name in node.gives if name}

    def giver(self, name: str, through: set[str]) -> tuple[Node | None, str]:
        """The operator that a value comes from, through those of some kinds, and which of its outputs that is."""
        for _ in self.nodes:
            node = self._giver.get(name)
            if node is None or node.kind not in through or not node.takes:
                return node, name
            name = node.takes[0]
        return None, name

    def takers(self, name: str, through: set[str]) -> Iterator[Node]:
        """The operators that take a value, as it is or through those of some kinds."""
        names = {name}
        for node in self.nodes:  # in an order in which every value is there before it is taken
            if any(taken in names for taken in node.takes):
                if node.kind in through:
                    names |= set(node.gives[:1])
                else:
                    yield node

    def constant(self, name: str) -> tuple[str, Array] | None:
        """The constant of that name, through what changes nothing, and its key; None where it is computed."""
        node, source = self.giver(name, {"Identity"})
        held = self.contents.arrays.get(source)
        if source in self.contents.odd:
            raise CheckpointError(self.path, f"its {source} is {self.contents.odd[source]}", "save real numbers")
        return None if held is None or (node and node.kind != "Constant") else (source, np.asarray(held, np.float64))


def direction_of(node: Node) -> str:
    """forward, reverse or bidirectional."""
    return str(node.attributes.get("direction", "forward"))
