"""``dynsys.wrap``: a user's own PyTorch network as a system, with the network left exactly as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.recurrent import ROLES, Recurrent, checked
from dynsys.models.vanilla import RNN
from dynsys.models.wrapping.container import first_state, is_known, kind_of, linear_beside, recurrent_part
from dynsys.models.wrapping.module_copy import copied_callable, describe
from dynsys.models.wrapping.readout import called_readout, linear_readout
from dynsys.models.wrapping.step_form import find_form
from dynsys.models.wrapping.stepped import Stepped
from dynsys.system import System

DIRECTIONS = ("forward", "backward")


def wrap(
    module: Any,
    readout: Any = None,
    n_state: int | None = None,
    n_input: int | None = None,
    *,
    direction: str | None = None,
    layer: int | None = None,
    convention: str | None = None,
) -> System:
    """A system of a trained network; its weights are copied in float64, and the network itself is never touched.

    ``module`` may be

    - ``nn.RNN``, ``nn.GRU``, ``nn.LSTM`` (any number of layers, ``proj_size``, biases or none), ``nn.RNNCell``,
      ``nn.GRUCell``, ``nn.LSTMCell``: sizes are inferred and derivatives are in closed form. The state is h of every
      layer, then c of every layer. Of a bidirectional one, ``direction`` names the one to analyse. ``layer`` takes
      one layer alone, whose input is then h of the layer below (of both directions).
    - a module that holds one of these and besides nothing with weights but, possibly, an ``nn.Linear`` on its h,
      taken as the readout, and parameters of the shape of h and c, taken as the first state. With ``n_state`` given
      it is stepped as any other module is.
    - any other module or function, with ``n_state`` and ``n_input``: ``step(x, u) -> x'`` with x (B, n_state) and
      u (B, n_input), or ``output, h_next = cell(input, h)``, h possibly (layers, B, n) or a pair (h, c). Which of the
      two it is is found by trying, unless ``convention`` says "step" or "cell". Modules are evaluated in float64 and
      in evaluation mode, on a copy, with their hooks.

    ``readout`` is an ``nn.Linear``, a pair (W, b) with W (n_output, width) and b (n_output,) or None, or a function of
    h of the top layer (of the whole state, where it does not take that), (B, width) to (B, n_output).

    Raises ValueError, which says what does not fit and what to do.

    >>> network = wrap(nn.GRU(3, 16, num_layers=2))
    >>> network.n_state, network.n_input, network.state_parts["h_l1"]
    (32, 3, slice(16, 32, None))
    """
    if isinstance(module, (str, Path, Mapping)):
        raise ValueError(
            f"module is a {type(module).__name__}; a file, and a state dict saved to one, is for dynsys.load(path)"
        )
    if isinstance(module, nn.Module) and any(weight.is_meta for weight in module.parameters()):
        raise ValueError(
            f"the weights of this {type(module).__name__} are on the device 'meta', without values; load them"
        )
    if not callable(module):
        raise ValueError(f"module is a {type(module).__name__}; give an nn.Module or a function step(x, u) -> x'")
    cell = None if n_state is not None or convention is not None else recurrent_part(module)
    if cell is None and is_known(module):
        cell = module
    if cell is None:
        if direction is not None or layer is not None:
            raise ValueError("direction and layer choose a part of nn.RNN, nn.GRU or nn.LSTM; give such a module")
        return _with_readout(_stepped(module, n_state, n_input, convention), readout)
    if convention is not None:
        raise ValueError(f"convention is {convention!r}, but {describe(module)} is known; leave convention out")
    weights = _weights(cell, direction, layer)
    if cell is not module:
        readout = linear_beside(module, cell) if readout is None else readout
        own = dict(module.named_parameters(recurse=False))
        first = [own[name].detach().flatten() for name in first_state(module, cell)]
        weights |= {"initial_state": torch.cat(first)} if first and layer is None else {}
    system = _recurrent(cell, weights, readout)
    for what, size, found in (("n_state", n_state, system.n_state), ("n_input", n_input, system.n_input)):
        if size not in (None, found):
            raise ValueError(f"{what} is {size}, but this {type(cell).__name__} has {found}; leave it out")
    return system


def _recurrent(cell: Any, weights: dict[str, Tensor], readout: Any) -> System:
    kind = kind_of(cell)
    settings = {"nonlinearity": cell.nonlinearity} if kind is RNN else {}
    pair = _matrix_and_bias(readout)
    if pair is not None:
        W, b = pair
        weights = weights | {"readout.weight": W} | ({} if b is None else {"readout.bias": b})
    system = kind.from_arrays(weights, settings)
    return system if pair is not None else _with_readout(system, readout)


def _weights(cell: Any, direction: str | None, layer: int | None) -> dict[str, Tensor]:
    """The module's weights by torch's names, of one direction and one layer where those are asked for."""
    if not isinstance(cell, nn.RNNBase):
        if direction is not None or layer not in (None, 0):
            raise ValueError(f"{type(cell).__name__} has one layer and one direction; leave direction and layer out")
        return {f"{role}_l0": getattr(cell, role) for role in ROLES if getattr(cell, role, None) is not None}
    _check_direction(cell, direction, layer)
    suffix = "_reverse" if direction == "backward" else ""
    chosen = range(cell.num_layers) if layer is None else [layer]
    return {
        f"{role}_l{place}": getattr(cell, f"{role}_l{k}{suffix}")
        for place, k in enumerate(chosen)
        for role in ROLES
        if getattr(cell, f"{role}_l{k}{suffix}", None) is not None
    }


def _check_direction(cell: nn.RNNBase, direction: str | None, layer: int | None) -> None:
    name = type(cell).__name__
    if layer is not None and layer not in range(cell.num_layers):
        raise ValueError(f"layer is {layer}; this {name} has layers 0 to {cell.num_layers - 1}")
    if direction not in (None, *DIRECTIONS):
        raise ValueError(f"direction is {direction!r}; it may be 'forward' or 'backward'")
    if not cell.bidirectional:
        if direction == "backward":
            raise ValueError(f"direction is 'backward', but this {name} is not bidirectional; leave direction out")
        return
    if direction is None:
        raise ValueError(
            f"this {name} is bidirectional: one direction runs from the past, the other from the future, so that "
            "together they are no dynamical system. Each can be analysed on its own: give direction='forward' or "
            "direction='backward'" + ("" if cell.num_layers == 1 else ", and layer, since it has more than one")
        )
    if cell.num_layers > 1 and layer is None:
        raise ValueError(
            f"this {name} is bidirectional with {cell.num_layers} layers: from layer 1 on the input is h of both "
            "directions below, so that no direction of the whole stack runs by itself. A single layer does: give "
            "layer=0, driven by the input, or layer=1 and up, driven by h of both directions of the layer below "
            f"({2 * (cell.proj_size or cell.hidden_size)} inputs, forward first)"
        )


def _stepped(module: Callable[..., Any], n_state: int | None, n_input: int | None, convention: str | None) -> Stepped:
    name = describe(module)
    for what, size, least in (("n_state", n_state, 1), ("n_input", n_input, 0)):
        if size is None:
            raise ValueError(
                f"{what} is not given; the sizes of {name} cannot be inferred: give n_state and n_input (0 for none)"
            )
        if not isinstance(size, int) or size < least:
            raise ValueError(f"{what} is {size!r}; it must be an int of at least {least}")
    assert n_state is not None
    assert n_input is not None
    held = copied_callable(module)
    return Stepped(held, find_form(held, n_state, n_input, convention, name), n_state, n_input, name=name)


def _matrix_and_bias(readout: Any) -> tuple[Any, Any] | None:
    """W and b of a linear readout; None for any other."""
    if type(readout) is nn.Linear:
        return readout.weight, readout.bias
    if isinstance(readout, tuple | list):
        if len(readout) != 2:
            raise ValueError(f"readout has {len(readout)} parts; give (W, b), with b None where there is none")
        return readout[0], readout[1]
    return None


def _with_readout(system: Recurrent | Stepped, readout: Any) -> System:
    if readout is None:
        return system
    pair = _matrix_and_bias(readout)
    if pair is not None:
        W, b = checked("readout.weight", pair[0]), None if pair[1] is None else checked("readout.bias", pair[1])
        return system.with_readout(linear_readout(W, b, system.n_state, system.state_parts))
    if not callable(readout):
        raise ValueError(
            f"readout is a {type(readout).__name__}; give an nn.Linear, (W, b), or a function of the state"
        )
    return system.with_readout(called_readout(copied_callable(readout), system.n_state, system.state_parts))
