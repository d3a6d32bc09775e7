"""The linear readout of a Keras network: the Dense layers that read h of its top layer and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError
from dynsys.models.conventions.keras.cells import Weights
from dynsys.models.conventions.keras.graph import Layer, kind_of
from dynsys.models.conventions.network import Array, Readout
from dynsys.models.loading.choices import shown


def readout_of(weights: Weights, layers: list[Layer], top: str, width: int) -> tuple[Readout | None, tuple[str, ...]]:
    """All Dense layers that read the layer ``top``, one after the other, and why there is none where there is none."""
    readers = _readers(layers, top)
    heads = [layer for layer in readers if _dense(layer) is not None]
    if not heads:
        named = ", ".join(f"{layer.name} ({layer.kind})" for layer in readers)
        return None, (f"no readout: its h is read by {named}",) if named else ()
    try:
        parts = [_weights(weights, layer, width) for layer in heads]
        return _joined(weights, layers, heads, parts), ()
    except CheckpointError as error:
        return None, (f"no readout: {error.wrong}",)


def _joined(weights: Weights, layers: list[Layer], heads: list[Layer], parts: list[Any]) -> Readout:
    keys = [key for _, _, kept in parts for key in kept]
    W, b = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    after = {head.name: _readers(layers, head.name) for head in heads}
    if len(heads) == 1 and _activation(heads[0]) == "relu":
        (head,) = heads
        above = [layer for layer in after[head.name] if _dense(layer) is not None]
        if len(above) == len(after[head.name]) == 1:
            V, c, kept = _weights(weights, above[0], len(W))
            said = f"readout: {_named(head, W)} with relu, then {_named(above[0], V)}"
            said += _before(above[0]) + _without(_readers(layers, above[0].name))
            return Readout(W, b, (*keys, *kept), (said,), (V, c))
    lines = [
        f"readout: {_named(head, part[0])}{_before(head)}{_without(after[head.name])}"
        for head, part in zip(heads, parts, strict=True)
    ]
    return Readout(W, b, tuple(keys), tuple(lines))


def _named(layer: Layer, W: Array) -> str:
    return f"the layer {layer.name} ({W.shape[1]} to {W.shape[0]})"


def _before(layer: Layer) -> str:
    activation = _activation(layer)
    return "" if activation == "linear" else f", before its {activation}"


def _without(after: list[Layer]) -> str:
    return f", without {', '.join(layer.name for layer in after)} after it" if after else ""


def _readers(layers: list[Layer], name: str) -> list[Layer]:
    """The layers that read the output of one, or its h at the end, through those that change nothing."""
    found, passed = [], [name]
    while passed:
        source = passed.pop(0)
        for layer in layers:
            if any(edge[0] == source and edge[1] in (0, 1) for edge in layer.inputs):
                if layer.is_passive and layer.name not in passed:
                    passed.append(layer.name)
                elif not layer.is_passive:
                    found.append(layer)
    return [layer for layer in layers if layer in found]


def _dense(layer: Layer) -> Mapping[str, Any] | None:
    """The configuration of a layer that is Dense, or applies one in every step."""
    if layer.kind == "Dense":
        return layer.config
    inner = layer.config.get("layer", {})
    return inner.get("config", {}) if layer.kind == "TimeDistributed" and kind_of(inner) == "Dense" else None


def _activation(layer: Layer) -> str:
    said = (_dense(layer) or {}).get("activation", "linear")
    return str(said.get("class_name")) if isinstance(said, dict) else str(said)


def _weights(weights: Weights, layer: Layer, width: int) -> tuple[Array, Array, list[str]]:
    """W and b that act on columns, and the keys of the file; raises CheckpointError where they do not fit."""
    roles = weights.roles(weights.under(layer.place, layer.scopes), layer.name, ("kernel", "bias"))
    kernel = np.asarray(weights.arrays[roles["kernel"]], dtype=np.float64)
    if kernel.ndim != 2 or len(kernel) != width:
        wrong = f"{shown(roles['kernel'], weights.arrays)} does not read {width} units"
        raise CheckpointError(weights.path, wrong, "save the model again")
    bias = np.asarray(weights.arrays[roles["bias"]], dtype=np.float64) if "bias" in roles else np.zeros(kernel.shape[1])
    return kernel.T, bias.ravel(), list(roles.values())
