"""What transfer came to in numbers, sentences and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynsys.analyses.flipflop_memories import Memories, named
from dynsys.analyses.transfer.claims import claims
from dynsys.analyses.transfer.comparison import (
    LARGE,
    NETWORKS,
    SCHEMA,
    SCRATCH,
    SMALL,
    TRANSFER,
    Comparison,
    Network,
    in_words,
)
from dynsys.analyses.transfer.cube_projection import Shape
from dynsys.analyses.transfer.geometry import Distances, hypercube_spread


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
    told = [_memory_sentence(compared, name) for name in NETWORKS]
    told += [_distance_sentence(compared, name) for name in LARGE if compared.networks[name].geometry]
    shapes = {name: compared.networks[name].shape for name in LARGE}
    told += [_shape_sentence(compared, name, shape) for name, shape in shapes.items() if shape and shape.name]
    return told + _cube_sentences(compared)


def _memory_sentence(compared: Comparison, name: str) -> str:
    network = compared.networks[name]
    found, wanted = network.memories, 1 << network.memories.n_bits
    text = f"{capital(in_words(compared, name))}: {len(found)} of {wanted} memories"
    if found.missing:
        text += f" ({', '.join(map(named, found.missing))} missing)"
    text += f", {_others(found)}"
    text += f"; {network.metrics['settled_bit_accuracy']:.1%} of the bits are right where they have settled."
    return text if network.learned else f"{text} It did not learn the task: try another seed, more units or more steps."


def _others(found: Memories) -> str:
    """The stable points that are no memories, in words."""
    n = len(found.doubles) + len(found.strangers)
    if not n:
        return "and no other stable point"
    near = f" ({len(found.doubles)} of them next to a memory of the same bits)" if found.doubles else ""
    return f"and {n} point{'s that are' if n > 1 else ' that is'} stable but no memory{near}"


def _distance_sentence(compared: Comparison, name: str) -> str:
    measured = compared.networks[name].geometry["state"]
    exact = hypercube_spread(compared.settings.bits)
    return (
        f"{capital(in_words(compared, name))}: the distances between memories vary by {measured.spread:.3f} of their "
        f"mean (standard deviation; an exact hypercube: {exact:.3f}; all equal: 0), those of Hamming neighbours by "
        f"{measured.edge_spread:.3f}.{_nearest_sentence(measured)}"
    )


def _nearest_sentence(measured: Distances) -> str:
    """Yes or no, and where it is no, of how many memories it is so."""
    share = measured.memories_with_nearest
    if measured.edges_shortest is None or share is None:
        return ""
    asked = " Is every pair of Hamming neighbours nearer to each other than every other pair?"
    if measured.edges_shortest:
        return f"{asked} Yes."
    whose = "every memory" if share == 1 else f"{percent(share)} of the memories"
    return f"{asked} No; for {whose} every neighbour is nearer than every other memory."


def _shape_sentence(compared: Comparison, name: str, shape: Shape) -> str:
    return f"{capital(in_words(compared, name))}, on three principal components: {shape.word}."


def _cube_sentences(compared: Comparison) -> list[str]:
    if set(compared.survival) != set(LARGE):
        return []
    small = compared.settings.bits - 1
    parts = []
    for name in LARGE:
        found = compared.survival[name]
        shift, middle = mean(found.shift), mean(found.middle_shift)
        if shift is not None and middle is not None:
            parts.append(f"{in_words(compared, name)} {shift:.2f} edges and {middle:.2f}")
    told = []
    if len(parts) == 2:
        told.append(
            f"Each memory of {in_words(compared, SMALL)} has two to go on as, with the new bit 0 and 1. How far it is, "
            f"on average, to the nearer of them and to the middle between them: {'; '.join(parts)}. An edge is the "
            f"mean distance between neighbours of {in_words(compared, SMALL)}. Were it an exact cube of which each "
            "corner splits at right angles to the rest, into two that are an edge apart, it would be 0.50 and 0.00."
        )
    if set(compared.angles) == set(LARGE):
        most = {name: max(compared.angles[name]) for name in LARGE}
        told.append(
            f"The subspace of the {1 << small} memories lies within {most[SCRATCH]:.0f} degrees of that from scratch "
            f"and within {most[TRANSFER]:.0f} degrees of that of the network which began with them."
        )
    feedback = [max(compared.networks[name].feedback, default=None) for name in NETWORKS]
    if all(degrees is not None for degrees in feedback):
        told.append(
            f"The axes of the bits lie within {', '.join(f'{degrees:.0f}' for degrees in feedback)} degrees of the "
            f"feedback weights of their network ({', '.join(in_words(compared, name) for name in NETWORKS)}), which no "
            "training changes."
        )
    return told


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".replace(".0%", "%")


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def capital(text: str) -> str:
    """With a capital letter, as a sentence begins."""
    return text[:1].upper() + text[1:]
