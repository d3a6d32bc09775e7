"""Gaussian noise on weights that are called by name: Jang's section 8, for every network there is.

W becomes W + level E with E drawn once: its entries are N(0, 1), so that the level is their standard deviation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.models.rate.leaky_rate import LeakyNetwork
from dynsys.models.rate.plrnn import PLRNN
from dynsys.models.recurrent.base import Recurrent
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.systems.system import System

Array = NDArray[np.float64]
Noise = Mapping[str, Array]  # E for each of some weights, of their shapes


def weights_of(system: System) -> dict[str, Array]:
    """The weights by name: those of a checkpoint, or the parameters of a wrapped module; none of a function."""
    if isinstance(system, Stepped):
        return {name: value.double().numpy() for name, value in system.weights().items()}
    arrays = getattr(system, "arrays", None)
    return {} if arrays is None else dict(arrays())


def weights_chosen(system: System, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The names, checked, or those of the recurrent weights where none are given; raises ValueError."""
    known = weights_of(system)
    if not known:
        raise ValueError(f"{system.name} has no weights that are known by name; noise can be on its state or input")
    legal = f"it has {', '.join(known)}"
    for name in names:
        if name not in known:
            raise ValueError(f"{system.name} has no weights {name!r}; {legal}")
    found = tuple(dict.fromkeys(names)) or _recurrent(system, known)
    if not found:
        raise ValueError(f"which weights of {system.name} are recurrent is not known: name them; {legal}")
    return found


def draw_noise(weights: Mapping[str, Array], names: Sequence[str], seed: int | Sequence[int]) -> dict[str, Array]:
    """E for each of the names, drawn from the seed and the shape: one shape, one E, in whichever network.

    Where a network has several of one shape, each has its own.
    """
    drawn: dict[str, Array] = {}
    for name in names:
        shape = weights[name].shape
        before = sum(other.shape == shape for other in drawn.values())
        rng = np.random.default_rng([*np.atleast_1d(seed), before, *shape])
        drawn[name] = rng.standard_normal(shape)
    return drawn


def perturbed(system: System, noise: Noise, level: float) -> System:
    """The network with ``level`` times the noise added to its weights; the one given stays as it was.

    Raises ValueError for weights that it does not have.
    """
    held = weights_of(system)
    weights_chosen(system, tuple(noise))
    changed = {name: held[name] + level * E for name, E in noise.items()}
    if isinstance(system, Recurrent | Stepped | LeakyNetwork | PLRNN):
        return system.with_weights(changed)
    network: Any = system
    again: System = type(network).from_arrays(
        {**held, **changed}, network.settings(), task=getattr(network, "task", None)
    )
    return again


def _recurrent(system: System, known: Mapping[str, Array]) -> tuple[str, ...]:
    if isinstance(system, Stepped):
        return _of_module(known, system.n_state)
    return tuple(name for name in known if re.fullmatch(system.recurrent_weights, name))


def _of_module(known: Mapping[str, Array], n_state: int) -> tuple[str, ...]:
    """weight_hh, as torch calls them, or the one matrix that takes a state to a state."""
    named = tuple(name for name in known if re.fullmatch(r"(.*\.)?weight_hh(_l\d+)?", name))
    square = tuple(name for name, value in known.items() if value.shape == (n_state, n_state))
    return named or (square if len(square) == 1 else ())
