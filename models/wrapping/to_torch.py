"""From a system to the torch module with the same weights, to train it on or to run it elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.networks.lstm_variants import LSTMVariant
from dynsys.models.recurrent.base import EXTRAS, Recurrent
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.recurrent.vanilla import RNN

MODULES: dict[type[Recurrent], type[nn.Module]] = {
    RNN: nn.RNN,
    GRU: nn.GRU,
    LSTM: nn.LSTM,
    PeepholeLSTM: LSTMVariant,
    CoupledLSTM: LSTMVariant,
}

TORCH_HAS = {"nonlinearity": ("tanh", "relu"), "reset": ("after",), "gate": ("logistic",), "activation": ("tanh",)}


def to_torch(system: Recurrent, *, batch_first: bool = False) -> nn.Module:
    """The ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` in float64 with the weights of ``system``, a copy.

    ``LSTMVariant`` is the module of the LSTM variants. ``dynsys.wrap`` of torch's own modules, and ``system()`` of a
    variant, give the system back. A readout and a first state are no part of these modules: hand over
    ``readout=(W, b)`` to ``wrap``, and h_0 to the module. Where only some layers or one of the two have a bias, the
    others are 0. Raises ValueError where no such module exists.

    >>> from dynsys.models.recurrent.gru import GRU
    >>> to_torch(GRU.random(units=8, layers=2))
    GRU(2, 8, num_layers=2)
    """
    kind = next((k for k in MODULES if isinstance(system, k)), None)
    if kind is None:
        known = ", ".join(k.name for k in MODULES)
        raise ValueError(f"system is {_described(system)}; there is a torch module for {known}")
    weights = {key: torch.as_tensor(w) for key, w in system.arrays().items() if key not in EXTRAS}
    options = _options(system, weights) | {"batch_first": batch_first, "dtype": torch.float64}
    module = MODULES[kind](*_sizes(system), len(system.layers), **options)
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


def _options(system: Recurrent, weights: dict[str, Tensor]) -> dict[str, Any]:
    """What the module needs to know besides its sizes; ValueError for a network that torch has no module for."""
    for setting, legal in TORCH_HAS.items():
        given = system.settings().get(setting, legal[0])
        if given not in legal:
            raise ValueError(f"its {setting} is {given!r}; torch's modules have {' or '.join(legal)} there")
    options: dict[str, Any] = {"bias": any(key.startswith("bias") for key in weights)}
    if isinstance(system, RNN):
        options["nonlinearity"] = system.nonlinearity
    if isinstance(system, LSTM) and "weight_hr_l0" in weights:
        options["proj_size"] = len(weights["weight_hr_l0"])
    if isinstance(system, PeepholeLSTM):
        if any(key.startswith("weight_hr") for key in weights):
            raise ValueError("the layers have peepholes and project their h; no torch module does both")
        options["coupled"] = isinstance(system, CoupledLSTM)
        options["peephole"] = any(key.startswith("peephole") for key in weights)
    return options


def _described(system: Any) -> str:
    return f"of kind {system.name!r}" if hasattr(system, "name") else f"a {type(system).__name__}"
