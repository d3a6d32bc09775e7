"""The tables of transfer: scores, distances, what becomes of the cube, shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynsys.analyses.report import in_words as shown
from dynsys.analyses.transfer.comparison import Comparison, in_words
from dynsys.analyses.transfer.words import mean
from dynsys.io.text import percent

NO_MEMORY, EDGES_SHORTEST = "stable, no memory", "neighbours all nearest"  # columns


def network_rows(compared: Comparison) -> list[dict[str, Any]]:
    """A row for each network: scores, points, memories."""
    return [
        {
            "network": in_words(compared, name),
            "settled accuracy": f"{network.metrics['settled_bit_accuracy']:.2%}",
            "settled MSE": network.metrics["settled_mse"],
            "MSE": network.metrics["mse"],
            "fixed points": None if compared.settings.memories_only else network.points.search.found,
            "stable": int(((network.points.n_unstable == 0) & (network.points.verdict == "fixed")).sum()),
            "memories": f"{len(network.memories)} of {1 << network.memories.n_bits}",
            NO_MEMORY: len(network.memories.doubles) + len(network.memories.strangers),
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
                    EDGES_SHORTEST: shown(measured.edges_shortest),
                    "neighbours nearest": percent(measured.memories_with_nearest),
                    "pairs": percent(measured.nearer),
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
                    EDGES_SHORTEST: shown(measured.edges_shortest),
                    "neighbours nearest": percent(measured.memories_with_nearest),
                    "to the cube": "" if found is None else _edges(mean(found.shift)),
                    "middles": "" if found is None else _edges(mean(found.middle_shift)),
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
            "shift": mean(found.shift),
            "middle": mean(found.middle_shift),
            "split": mean(found.split),
            **{f"disparity, {key}": value for key, value in found.disparity.items() if value is not None},
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
                }
                | ({} if shape.lost is None else {"v": _listed(shape.lost), "1 / sum v^4": shape.weight})
                | {"shape": shape.word}
            )
    return rows


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
