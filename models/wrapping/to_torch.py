"""From a system to the torch module with the same weights, to train it on or to run it elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dynsys.models.recurrent.base import EXTRAS, Recurrent
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.registry import MODELS

TORCH_HAS = {"nonlinearity": ("tanh", "relu"), "reset": ("after",), "gate": ("logistic",), "activation": ("tanh",)}


def to_torch(system: Recurrent, *, batch_first: bool = False) -> nn.Module:
    """The ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` in float64 with the weights of ``system``, a copy.

    ``LSTMVariant`` is the module of the LSTM variants. ``dynsys.wrap`` of torch's own modules, and ``of_module`` of
    every kind, give the system back. A readout and a first state are no part of these modules: hand over
    ``readout=(W, b)`` to ``wrap``, and h_0 to the module. Where only some layers or one of the two have a bias, the
    others are 0. Raises ValueError where no such module exists.

    >>> from dynsys.models.recurrent.gru import GRU
    >>> to_torch(GRU.random(units=8, layers=2))
    GRU(2, 8, num_layers=2)
    """
    if not isinstance(system, Recurrent):
        known = ", ".join(name for name, model in MODELS.items() if issubclass(model.kind, Recurrent))
        raise ValueError(f"system is {_described(system)}; there is a torch module for {known}")
    weights = {key: torch.as_tensor(w) for key, w in system.arrays().items() if key not in EXTRAS}
    _check_settings(system)
    options = system.module_options() | {"batch_first": batch_first, "dtype": torch.float64}
    module = system.module(*_sizes(system), len(system.layers), **options)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            given = weights.pop(name, None)
            parameter.zero_() if given is None else parameter.copy_(given)
    if weights:
        raise ValueError(f"{', '.join(weights)} have no place in {module}, whose layers are all alike")
    return module


def _sizes(system: Recurrent) -> tuple[int, int]:
    """n_input and the units of every layer, which torch wants to be the same."""
    of_layers = [(len(layer.weight_hh) // _rows(system), layer.weight_hh.shape[1]) for layer in system.layers]
    if len(set(of_layers)) > 1:
        units = ", ".join(str(units) for units, _ in of_layers)
        widths = ", ".join(str(width) for _, width in of_layers)
        raise ValueError(f"the layers have {units} units and h of {widths}; torch's modules have one size for all")
    return system.n_input, of_layers[0][0]


def _rows(system: Recurrent) -> int:
    """Gates as the layers hold them: a coupled layer has the rows of i as well."""
    return 4 if isinstance(system, CoupledLSTM) else system.gates


def _check_settings(system: Recurrent) -> None:
    """Raise ValueError for a network that torch has no module for."""
    for setting, legal in TORCH_HAS.items():
        given = system.settings().get(setting, legal[0])
        if given not in legal:
            raise ValueError(f"its {setting} is {given!r}; torch's modules have {' or '.join(legal)} there")


def _described(system: Any) -> str:
    return f"of kind {system.name!r}" if hasattr(system, "name") else f"a {type(system).__name__}"
