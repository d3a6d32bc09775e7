"""The IRNN (Le, Jaitly & Hinton 2015): a ReLU network whose recurrent weights begin at the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from dynsys.models.recurrent.base import random_weights
from dynsys.models.recurrent.vanilla import RNN


class IRNN(RNN):
    """As ``RNN`` with relu; only how it begins sets it apart, see ``RecurrentNetwork``."""

    name = "irnn"
    papers = ("le2015", "kingma2015")
    title = "IRNN"
    usual_activation = "relu"

    def __init__(self, weights: Mapping[str, Any], *, nonlinearity: str = "relu", task: Any = None) -> None:
        super().__init__(weights, nonlinearity=nonlinearity, task=task)

    @classmethod
    def module(cls, *sizes: int, **options: Any) -> nn.Module:
        return super().module(*sizes, **{"nonlinearity": "relu", **options})

    @classmethod
    def random(
        cls, units: int = 8, layers: int = 1, seed: int = 0, gain: float = 0.5, *, nonlinearity: str = "relu"
    ) -> IRNN:
        """Recurrent weights of ``gain`` times the identity, with noise of a tenth of that."""
        weights = random_weights(cls.gates, units, layers, seed, 0.1 * gain)
        begun = {k: w + gain * np.eye(units) if "weight_hh" in k else w for k, w in weights.items()}
        return cls(begun, nonlinearity=nonlinearity)
