"""A network of layers at many levels of noise at once: row k of a batch has the weights W_hh + level_k E.

(W + level E) h = W h + E (level h), so one product with W and one with E serve all levels of a layer.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from typing import TypeVar

import torch
from torch import Tensor

from dynsys.models.driven.perturbation import Noise
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.recurrent.layer import Layer

Network = TypeVar("Network", bound=Recurrent)

HIDDEN = re.compile(r"weight_hh_l(\d+)")


def levels_share(network: Recurrent, noise: Noise) -> bool:
    """Whether the noise is on weights that act on h as they are named, which those of a coupled LSTM do not."""
    return all(
        (match := HIDDEN.fullmatch(name)) is not None and network.layers[int(match[1])].weight_hh.shape == E.shape
        for name, E in noise.items()
    )


def with_levels(network: Network, noise: Noise, levels: Tensor) -> Network:
    """The network for batches of as many rows as there are ``levels`` (L, 1), where ``levels_share``."""
    layers = list(network.layers)
    for name, E in noise.items():
        k = int(name.removeprefix("weight_hh_l"))
        layers[k] = _levelled(layers[k], torch.as_tensor(E).to(levels), levels)
    other = copy.copy(network)
    other.layers = tuple(layers)
    return other


def _levelled(layer: Layer, E: Tensor, levels: Tensor) -> Layer:
    kind, transposed = type(layer), E.T.contiguous()

    def recurrent(self: Layer, h: Tensor, rows: slice | None = None) -> Tensor:
        """W_hh h + b_hh + level E h, (B, gates * units), or some of its rows."""
        own = transposed if rows is None else transposed[:, rows]
        return torch.addmm(kind.recurrent(self, h, rows), h * levels, own)

    noisy: type[Layer] = type(f"Noisy{kind.__name__}", (kind,), {"recurrent": recurrent})
    return noisy(**{field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)})
