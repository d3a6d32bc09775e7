"""What a trained vanilla RNN, GRU and LSTM have in common: torch's names for the weights, a readout, a first state."""

from __future__ import annotations

import abc
import copy
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dynsys.models.driven.of_task import driven_or_of_task
from dynsys.models.recurrent.layer import Layer
from dynsys.models.recurrent.stack import Stack
from dynsys.models.wrapping.readout import Readout, linear_readout, relu_readout

Array = NDArray[np.float64]

ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")  # torch adds _l0, _l1, ... for the layers
EXTRAS = ("readout.weight", "readout.bias", "output.weight", "output.bias", "initial_state")


class Recurrent(Stack):
    """Layers with the weights of a trained network, by torch's names; a copy of them in float64 is kept.

    ``weights`` holds weight_ih_l{k} (gates * units, inputs), weight_hh_l{k} (gates * units, hidden) and, where there
    are any, bias_ih_l{k}, bias_hh_l{k} (gates * units,), weight_hr_l{k} (hidden, units; LSTM only), readout.weight
    (n_output, width), readout.bias (n_output,) and initial_state (n_state,). The readout acts on h of the top layer,
    or, by its width, on h of every layer, or on the whole state; where output.weight (n_output, hidden) and output.bias
    are given, they act on its result after a ReLU.

    For developers: a new cell sets ``name`` and ``gates``, and gives ``make_layer``, ``settings`` if it has any, a
    ``reduction`` where it knows one, and ``modules`` or ``module`` and ``module_options`` where torch can train it.
    """

    gates: ClassVar[int]
    recurrent_weights = r"weight_hh_l\d+"
    modules: ClassVar[tuple[type[nn.Module], ...]] = ()  # of torch's own, those that step alike: of layers, of one cell

    def __init__(self, weights: Mapping[str, Any], *, task: Any = None) -> None:
        held = {key: checked(key, value) for key, value in weights.items()}
        self._arrays, self.task = held, task
        depth = _depth(held, self.name)
        groups = [{role: held.get(f"{role}_l{k}") for role in ROLES} for k in range(depth)]
        _check_shapes(groups, self.gates, self.name)
        super().__init__([self.make_layer(group) for group in groups], name=self.name)
        self.initial_state = held.get("initial_state")
        if self.initial_state is not None and self.initial_state.shape != (self.n_state,):
            raise ValueError(
                f"initial_state has shape {tuple(self.initial_state.shape)}; a state of this network is "
                f"({self.n_state},): {', '.join(self.state_parts)}"
            )
        self._readout: Readout | None = None
        if "readout.weight" in held:
            W, b = held["readout.weight"], held.get("readout.bias")
            first = linear_readout(W, b, self.n_state, self.state_parts)
            V, c = held.get("output.weight"), held.get("output.bias")
            self._readout = first if V is None else relu_readout(first, V, c)
            self.n_output = self._readout.n_output
        elif "readout.bias" in held:
            raise ValueError("readout.bias is given without readout.weight; give both, or neither")
        if task is not None and task.n_input != self.n_input:
            raise ValueError(f"its task has {task.n_input} inputs, the network {self.n_input}")

    @abc.abstractmethod
    def make_layer(self, weights: dict[str, Tensor | None]) -> Layer:
        """A layer with the weights of ``ROLES``."""

    @classmethod
    def module(cls, *sizes: int, **options: Any) -> nn.Module:
        """A torch module of this kind, to be trained: ``sizes`` are n_input, the units of a layer and the layers."""
        return cls.modules[0](*sizes, **options)

    @classmethod
    def of_module(cls, module: nn.Module, task: Any = None) -> Self:
        """The network with the weights of a module of this kind. Raises ValueError where that is bidirectional."""
        if getattr(module, "bidirectional", False):
            raise ValueError(
                f"this {type(module).__name__} is bidirectional: its directions run from the past and from the future, "
                "and together they are no dynamical system; take them one at a time, RecurrentNetwork.directions()"
            )
        return cls({key: value.detach() for key, value in module.named_parameters()}, task=task)

    def module_options(self) -> dict[str, Any]:
        """What ``module`` has to be given for a network like this one, besides its sizes."""
        return {"bias": any(key.startswith("bias") for key in self._arrays)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any], task: Any = None) -> Self:
        return cls(arrays, **settings, task=task)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a checkpoint gives them."""
        return {key: value.numpy().copy() for key, value in self._arrays.items()}

    def settings(self) -> dict[str, Any]:
        """What ``from_arrays`` needs besides the weights."""
        return {}

    def readout(self, x: Tensor) -> Tensor:
        return x[:, :0] if self._readout is None else self._readout(x)

    def with_readout(self, readout: Readout) -> Self:
        """The same network with another readout; ``arrays`` keeps that of the weights."""
        other = copy.copy(self)
        other._readout, other.n_output = readout, readout.n_output
        other.read_from = None
        return other

    def with_weights(self, changed: Mapping[str, Any]) -> Self:
        """The same network with some of its ``arrays`` changed; one that was given by ``with_readout`` it keeps."""
        other = type(self).from_arrays({**self._arrays, **changed}, self.settings(), self.task)
        if self._readout is None or any(name in EXTRAS for name in changed):
            return other
        return other.with_readout(self._readout)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        moved = super().to(device, dtype)
        if self._readout is not None:
            moved._readout = self._readout.to(device, dtype)
        return moved

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs of its task where that is known, else under random inputs, (steps, runs, n_state)."""
        return driven_or_of_task(self, self._first(runs), steps, seed)

    def _first(self, runs: int) -> Tensor:
        weight = self.layers[0].weight_hh
        first = weight.new_zeros(self.n_state) if self.initial_state is None else self.initial_state
        return first.expand(runs, -1)


def checked(name: str, value: Any) -> Tensor:
    """A float64 copy of the weights ``name`` on the CPU; ValueError where they are not real and finite numbers."""
    given = value.detach() if isinstance(value, Tensor) else torch.as_tensor(np.array(value))
    if given.is_complex():
        raise ValueError(f"{name} is complex; a network needs real weights")
    held = given.to(device="cpu", dtype=torch.float64, copy=True).contiguous()
    wrong = int((~torch.isfinite(held)).sum())
    if wrong:
        raise ValueError(f"{name} holds {wrong} of {held.numel()} values that are NaN or infinite; train it again")
    return held


def random_weights(
    gates: int, units: int, layers: int, seed: int, gain: float, *, proj_size: int = 0
) -> dict[str, Array]:
    """Normal weights, each row of length ``gain``, for a small example with 2 inputs and 2 outputs."""
    rng, hidden = np.random.default_rng(seed), proj_size or units

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape) * gain / np.sqrt(shape[-1])

    weights: dict[str, Array] = {}
    for k in range(layers):
        weights[f"weight_ih_l{k}"] = normal(gates * units, 2 if k == 0 else hidden)
        weights[f"weight_hh_l{k}"] = normal(gates * units, hidden)
        weights[f"bias_ih_l{k}"], weights[f"bias_hh_l{k}"] = normal(2, gates * units)
        if proj_size:
            weights[f"weight_hr_l{k}"] = normal(hidden, units)
    return weights | {"readout.weight": normal(2, hidden), "readout.bias": normal(2)}


def _depth(held: Mapping[str, Tensor], name: str) -> int:
    """The number of layers; every key must be a known one of them."""
    pattern = re.compile(rf"({'|'.join(ROLES)})_l(\d+)")
    found = {key: pattern.fullmatch(key) for key in held if key not in EXTRAS}
    unknown = [key for key, match in found.items() if match is None]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} is no weight of a network of kind {name!r}; it has "
            f"{', '.join(f'{role}_l0' for role in ROLES)}, ..., {', '.join(EXTRAS)}"
        )
    depth = 1 + max((int(match[2]) for match in found.values() if match is not None), default=0)
    for k in range(depth):
        for key in (f"weight_ih_l{k}", f"weight_hh_l{k}"):
            if key not in held:
                raise ValueError(f"{key} is missing; a network of kind {name!r} with {depth} layers needs it")
    return depth


def _check_shapes(groups: list[dict[str, Tensor | None]], gates: int, name: str) -> None:
    inputs: int | None = None
    for k, group in enumerate(groups):
        W = group["weight_hh"]
        assert W is not None
        rows = len(W) if W.ndim == 2 else 0
        units = rows // gates
        if units < 1 or rows != gates * units:
            raise ValueError(
                f"weight_hh_l{k} has shape {tuple(W.shape)}; a network of kind {name!r} needs "
                f"({gates} * units, units), one block of rows for each gate"
            )
        projected = group["weight_hr"] is not None and gates == 4
        if group["weight_hr"] is not None and not projected:
            raise ValueError(f"weight_hr_l{k} is given, but only an LSTM projects its h, not the kind {name!r}")
        hidden = W.shape[1] if projected else units
        if inputs is None:
            weight_ih = group["weight_ih"]
            inputs = weight_ih.shape[1] if weight_ih is not None and weight_ih.ndim == 2 else 0
        legal = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
        for role, shape in (legal | {"weight_hr": (hidden, units)}).items():
            given = group[role]
            if given is not None and tuple(given.shape) != shape:
                raise ValueError(
                    f"{role}_l{k} has shape {tuple(given.shape)}; a layer of kind {name!r} with {units} units and "
                    f"{inputs} inputs needs {shape}"
                )
        inputs = hidden
