"""What transfer came to in numbers, sentences and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynsys.analyses.flipflop_memories import named
from dynsys.analyses.transfer.claims import claims
from dynsys.analyses.transfer.comparison import (
    LARGE,
    NETWORKS,
    SCHEMA,
    SMALL,
    Comparison,
    Network,
    in_words,
)
from dynsys.analyses.transfer.cube_projection import Shape
from dynsys.analyses.transfer.cube_survival import Survival
from dynsys.analyses.transfer.geometry import hypercube_spread
from dynsys.io.text import paragraphs

HERE = "dynsys.analyses.transfer"


def results(compared: Comparison) -> dict[str, Any]:
    """Everything that was measured, as JSON."""
    return {
        "schema": SCHEMA,
        "cut": None,
        "networks": {
            name: _network(network, compared.settings.memories_only) for name, network in compared.networks.items()
        },
        "survival": {name: dataclasses.asdict(found) for name, found in compared.survival.items()},
        "principal_angles": {name: list(degrees) for name, degrees in compared.angles.items()},
        "hypercube_spread": hypercube_spread(compared.settings.bits),
        "claims": [claim.as_json() for claim in claims(compared)],
        "sentences": sentences(compared),
    }


def _network(network: Network, memories_only: bool) -> dict[str, Any]:
    found, points = network.memories, network.points
    kinds, counts = np.unique(points.n_unstable[points.verdict == "fixed"], return_counts=True)
    return {
        "metrics": network.metrics,
        "learned": network.learned,
        "points": {
            "fixed": None if memories_only else points.search.found,
            "slow": points.search.slow,
            "complete": points.search.complete,
            "by_unstable_directions": dict(zip(map(str, kinds.tolist()), counts.tolist(), strict=True)),
        },
        "memories": {
            "held": {name: int(number) for name, number in zip(found.names, found.numbers, strict=True)},
            "missing": [named(bits) for bits in found.missing],
            "doubles": list(found.doubles),
            "strangers": list(found.strangers),
        },
        "distances": {space: dataclasses.asdict(measured) for space, measured in network.geometry.items()},
        "affine_share": network.affine,
        "feedback_angles": list(network.feedback),
        "shape": None if network.shape is None else _shape(network.shape),
    }


def _shape(shape: Shape) -> dict[str, Any]:
    return dataclasses.asdict(shape) | {"name": shape.name, "by_chance": shape.by_chance, "word": shape.word}


def sentences(compared: Comparison) -> list[str]:
    """What was found, the most important first; nothing is said of what could not be measured."""
    networks, exact = compared.networks, hypercube_spread(compared.settings.bits)
    large = [(in_words(compared, name), networks[name]) for name in LARGE]
    told = [line for name in NETWORKS for line in _memories(in_words(compared, name), networks[name])]
    for name, network in large:
        told += paragraphs(HERE, "distances", name, network.geometry["state"], exact) if network.geometry else []
    for name, network in large:
        told += paragraphs(HERE, "on_components", name, network.shape) if network.shape and network.shape.name else []
    return [*told, *_of_the_cube(compared)]


def _memories(name: str, network: Network) -> list[str]:
    found, settled = network.memories, network.metrics["settled_bit_accuracy"]
    return paragraphs(HERE, "network", name, found, settled, network.learned, [named(bits) for bits in found.missing])


def _of_the_cube(compared: Comparison) -> list[str]:
    if set(compared.survival) != set(LARGE):
        return []
    shifts = [(in_words(compared, name), *means(compared.survival[name])) for name in LARGE]
    known = [row for row in shifts if None not in row]
    subspaces = [max(compared.angles[name]) for name in LARGE] if set(compared.angles) == set(LARGE) else []
    networks = [in_words(compared, name) for name in NETWORKS]
    of_each = [compared.networks[name].feedback for name in NETWORKS]
    told = list(map(max, of_each)) if all(of_each) else []
    memories = 1 << (compared.settings.bits - 1)
    return paragraphs(HERE, "cube", in_words(compared, SMALL), memories, known, subspaces, networks, told)


def means(found: Survival) -> tuple[float | None, float | None]:
    """The shift of the memories, and that of the middles."""
    return mean(found.shift), mean(found.middle_shift)


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
