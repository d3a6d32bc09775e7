"""What transfer came to in numbers, sentences and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynsys.analyses.transfer.claims import claims
from dynsys.analyses.transfer.cube_projection import Shape
from dynsys.analyses.transfer.geometry import hypercube_spread, named
from dynsys.analyses.transfer.networks import NETWORKS, SCRATCH, SMALL, TRANSFER
from dynsys.analyses.transfer.study import SCHEMA, Comparison, Network

LARGE = (SCRATCH, TRANSFER)
WORDS = {SMALL: "{small} bit{s}", SCRATCH: "{bits} bits from scratch", TRANSFER: "{bits} bits on top of {small}"}


def in_words(compared: Comparison, name: str) -> str:
    """The network's name for a table or a heading."""
    small = compared.settings.bits - 1
    return WORDS[name].format(bits=compared.settings.bits, small=small, s="" if small == 1 else "s")


def results(compared: Comparison) -> dict[str, Any]:
    """Everything that was measured, as JSON."""
    return {
        "schema": SCHEMA,
        "networks": {name: _network(network) for name, network in compared.networks.items()},
        "survival": {name: dataclasses.asdict(found) for name, found in compared.survival.items()},
        "principal_angles": {name: list(degrees) for name, degrees in compared.angles.items()},
        "hypercube_spread": hypercube_spread(compared.settings.bits),
        "claims": [dataclasses.asdict(claim) for claim in claims(compared)],
        "sentences": sentences(compared),
    }


def _network(network: Network) -> dict[str, Any]:
    found, points = network.memories, network.points
    kinds, counts = np.unique(points.n_unstable[points.verdict == "fixed"], return_counts=True)
    return {
        "metrics": network.metrics,
        "learned": network.learned,
        "points": {"fixed": points.search.found, "slow": points.search.slow, "complete": points.search.complete}
        | {"by_unstable_directions": dict(zip(map(str, kinds.tolist()), counts.tolist(), strict=True))},
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
    spurious = [f"{len(rows)} {what}" for rows, what in ((found.doubles, DOUBLE), (found.strangers, STRANGE)) if rows]
    text += f", besides {' and '.join(spurious)}" if spurious else ", and no other stable point"
    text += f"; {network.metrics['settled_bit_accuracy']:.1%} of the bits are right where they have settled."
    return text if network.learned else f"{text} It did not learn the task: try another seed, more units or more steps."


DOUBLE, STRANGE = "further stable points with the bits of one of them", "stable points whose bits are not clear"


def _distance_sentence(compared: Comparison, name: str) -> str:
    measured = compared.networks[name].geometry["state"]
    exact = hypercube_spread(compared.settings.bits)
    share = measured.memories_with_nearest
    near = "every memory's" if share == 1 else f"{_percent(share)} of memories'"
    return (
        f"{capital(in_words(compared, name))}: the distances between memories have a spread of {measured.spread:.3f}, "
        f"those of an exact hypercube {exact:.3f} and equal ones 0; edges have {measured.edge_spread:.3f}. "
        + ("" if share is None else f"{capital(near)} Hamming neighbours are nearer than all other memories.")
    )


def _shape_sentence(compared: Comparison, name: str, shape: Shape) -> str:
    return f"{capital(in_words(compared, name))}, on three principal components: {shape.word}."


def _cube_sentences(compared: Comparison) -> list[str]:
    if set(compared.survival) != set(LARGE):
        return []
    parts = []
    for name in LARGE:
        found = compared.survival[name]
        shift, middle = _mean(found.shift), _mean(found.middle_shift)
        if shift is not None and middle is not None:
            parts.append(f"{shift:.2f} ({in_words(compared, name)}; the middle of the two: {middle:.2f})")
    small = compared.settings.bits - 1
    told = []
    if len(parts) == 2:
        told.append(
            f"From a memory of {in_words(compared, SMALL)} to the nearer of the two that begin with its bits it is "
            f"{parts[0]} and {parts[1]} edges of the cube, and half an edge where a corner splits in two at right "
            "angles to all edges."
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


def network_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each network: scores, points, memories."""
    return [
        {
            "network": in_words(compared, name),
            "settled accuracy": f"{network.metrics['settled_bit_accuracy']:.2%}",
            "settled MSE": network.metrics["settled_mse"],
            "MSE": network.metrics["mse"],
            "fixed points": network.points.search.found,
            "stable": int(((network.points.n_unstable == 0) & (network.points.verdict == "fixed")).sum()),
            "memories": f"{len(network.memories)} of {1 << network.memories.n_bits}",
            "false": len(network.memories.doubles) + len(network.memories.strangers),
        }
        for name, network in compared.networks.items()
    ]


def distance_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each network and space."""
    most = compared.settings.bits
    rows = []
    for name, network in compared.networks.items():
        for space, measured in network.geometry.items():
            means = {int(row["hamming"]): _with_sd(row) for row in measured.by_hamming}
            rows.append(
                {"network": in_words(compared, name), "space": space}
                | {f"{h} bit{'s' if h > 1 else ''}": means.get(h, "") for h in range(1, most + 1)}
                | {
                    "spread": f"{measured.spread:.3f}",
                    "of edges": f"{measured.edge_spread:.3f}",
                    "neighbours nearest": _percent(measured.memories_with_nearest),
                    "pairs": _percent(measured.nearer),
                }
            )
    return rows


def _with_sd(row: dict[str, float | int]) -> str:
    return f"{row['mean']:.4g} ± {row['sd']:.2g}"


def geometry_rows(compared: Comparison) -> list[dict[str, Any]]:
    """The geometry in short: a row for each network, in the space of the state."""
    rows = []
    for name, network in compared.networks.items():
        if "state" in network.geometry:
            measured, found = network.geometry["state"], compared.survival.get(name)
            rows.append(
                {
                    "network": in_words(compared, name),
                    "edge": f"{measured.edge:.4g}",
                    "spread": f"{measured.spread:.3f}",
                    "neighbours nearest": _percent(measured.memories_with_nearest),
                    "to the cube": "" if found is None else _edges(_mean(found.shift)),
                    "middles": "" if found is None else _edges(_mean(found.middle_shift)),
                    "angles": ", ".join(f"{degrees:.0f}°" for degrees in compared.angles.get(name, ())),
                }
            )
    return rows


def _edges(length: float | None) -> str:
    return "" if length is None else f"{length:.2f} edges"


def survival_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each of the larger networks; means over the memories of the cube."""
    return [
        {
            "network": in_words(compared, name),
            "shift": _mean(found.shift),
            "middle": _mean(found.middle_shift),
            "split": _mean(found.split),
            **{f"disparity, {key}": value for key, value in found.disparity.items()},
            "size of middles": found.size["middles"],
            "principal angles": ", ".join(f"{degrees:.1f}°" for degrees in compared.angles.get(name, ())),
        }
        for name, found in compared.survival.items()
    ]


def corner_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each memory of the cube: its shift, that of the middle and the split in both larger networks."""
    rows: dict[str, dict[str, Any]] = {}
    for name, found in compared.survival.items():
        for corner, *lengths in zip(found.names, found.shift, found.middle_shift, found.split, strict=True):
            told = " / ".join("missing" if length is None else f"{length:.2f}" for length in lengths)
            rows.setdefault(corner, {"memory": corner})[in_words(compared, name)] = told
    return list(rows.values())


def shape_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each network of which the memories determine the axes of the bits."""
    rows = []
    for name, network in compared.networks.items():
        if (shape := network.shape) is not None:
            rows.append(
                {
                    "network": in_words(compared, name),
                    "exact to": f"{network.affine:.1%}",
                    "angles to W_fb": ", ".join(f"{degrees:.1f}°" for degrees in network.feedback),
                    "singular values": _listed(shape.singular_values),
                    "each axis seen": _listed(shape.kept),
                    "v": "" if shape.lost is None else _listed(shape.lost),
                    "1 / sum v^4": shape.weight,
                    "shape": shape.word,
                }
            )
    return rows


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".replace(".0%", "%")


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def capital(text: str) -> str:
    """With a capital letter, as a sentence begins."""
    return text[:1].upper() + text[1:]
