"""What memories are called: the signs of their outputs, one for each bit, where these tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Name = TypeVar("Name")

SIGNS = 4  # outputs, up to which a memory is named by their signs


def bits(readouts: Mapping[Name, Array]) -> dict[Name, str]:
    """+ or − for an output of more than half the greatest that any has, 0 for less; empty where two would be alike.

    >>> bits({3: np.array([0.9, -1.0]), 5: np.array([-1.1, 0.1])})
    {3: '+ −', 5: '− 0'}
    >>> bits({3: np.array([0.9]), 5: np.array([1.0])})
    {}
    """
    if not readouts or not 1 <= min(map(len, readouts.values())) <= SIGNS:
        return {}
    scale = scale_of(readouts)
    named = {name: signs(readout, scale) for name, readout in readouts.items()}
    return named if len(set(named.values())) == len(named) else {}


def scale_of(readouts: Mapping[Name, Array]) -> Array:
    """The greatest size of each output (o,)."""
    return np.asarray(np.max(np.abs(list(readouts.values())), axis=0))


def signs(readout: Array, scale: Array) -> str:
    return " ".join("+" if r > s / 2 else "−" if r < -s / 2 else "0" for r, s in zip(readout, scale, strict=True))
