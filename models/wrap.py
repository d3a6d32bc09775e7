"""``dynsys.wrap``: a user's own PyTorch network as a system, with the network left exactly as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.gru import GRU
from dynsys.models.lstm import LSTM
from dynsys.models.module_copy import copied_callable, describe
from dynsys.models.readout import called_readout, linear_readout
from dynsys.models.recurrent import ROLES, Recurrent, checked
from dynsys.models.step_form import find_form
from dynsys.models.stepped import Stepped
from dynsys.models.vanilla import RNN
from dynsys.system import System

KNOWN: dict[type[nn.Module], type[Recurrent]] = {
    nn.RNN: RNN,
    nn.GRU: GRU,
    nn.LSTM: LSTM,
    nn.RNNCell: RNN,
    nn.GRUCell: GRU,
    nn.LSTMCell: LSTM,
}
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
    if not callable(module):
        raise ValueError(f"module is a {type(module).__name__}; give an nn.Module or a function step(x, u) -> x'")
    cell = None if n_state is not None or convention is not None else _recurrent_part(module)
    if cell is None and _is_known(module):
        cell = module
    if cell is None:
        if direction is not None or layer is not None:
            raise ValueError("direction and layer choose a part of nn.RNN, nn.GRU or nn.LSTM; give such a module")
        return _with_readout(_stepped(module, n_state, n_input, convention), readout)
    if convention is not None:
        raise ValueError(f"convention is {convention!r}, but {describe(module)} is known; leave convention out")
    weights = _weights(cell, direction, layer)
    if cell is not module:
        readout = _linear_beside(module, cell) if readout is None else readout
        own = dict(module.named_parameters(recurse=False))
        first = [own[name].detach().flatten() for name in _first_state(module, cell)]
        weights |= {"initial_state": torch.cat(first)} if first and layer is None else {}
    system = _recurrent(cell, weights, readout)
    for what, size, found in (("n_state", n_state, system.n_state), ("n_input", n_input, system.n_input)):
        if size not in (None, found):
            raise ValueError(f"{what} is {size}, but this {type(cell).__name__} has {found}; leave it out")
    return system


def _is_known(module: Any) -> bool:
    """One of torch's own, computing what torch computes."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in KNOWN)


def _kind(cell: nn.Module) -> type[Recurrent]:
    return next(ours for kind, ours in KNOWN.items() if isinstance(cell, kind))


def _recurrent(cell: Any, weights: dict[str, Tensor], readout: Any) -> System:
    kind = _kind(cell)
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


def _recurrent_part(module: Any) -> Any:
    """The one recurrent module that ``module`` is or holds; None where there is none."""
    if _is_known(module):
        return module
    if not isinstance(module, nn.Module):
        return None
    parts = {name: part for name, part in module.named_modules() if _is_known(part)}
    if not parts:
        return None
    (name, cell), *more = parts.items()
    linear = _linear_beside(module, cell)
    taken = {id(p) for part in (cell, linear) if part is not None for p in part.parameters()}
    first = _first_state(module, cell)
    others = [key for key, p in module.named_parameters() if id(p) not in taken and key not in first]
    if more or others:
        extra = ", ".join(parts) if more else f"{name} and, besides, {', '.join(others)}"
        raise ValueError(
            f"{describe(module)} holds {extra}, and what it computes is not plain from that. Give the recurrent module "
            f"itself, dynsys.wrap(module.{name}, readout=...), or n_state and n_input to have it called step by step"
        )
    return cell


def _linear_beside(module: nn.Module, cell: Any) -> nn.Linear | None:
    """The container's single nn.Linear if it acts on h of the top layer."""
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if len(linears) != 1:
        return None
    width = getattr(cell, "proj_size", 0) or cell.hidden_size
    both_ways = cell.input_size == linears[0].out_features == width  # an encoder of the input would look the same
    return linears[0] if linears[0].in_features == width and not both_ways else None


def _first_state(module: nn.Module, cell: Any) -> list[str]:
    """The container's own parameters, where they can only be the first h, or the first h and c, in that order."""
    own = dict(module.named_parameters(recurse=False))
    layers, width = getattr(cell, "num_layers", 1), getattr(cell, "proj_size", 0) or cell.hidden_size
    wanted = [layers * width, layers * cell.hidden_size] if _kind(cell) is LSTM else [layers * width]

    def of_c(name: str) -> bool:
        return "cell" in name.lower() or not {"c", "c0", "cx"}.isdisjoint(name.lower().split("_"))

    names = sorted(own, key=of_c)
    one_of_each = len(names) < 2 or (of_c(names[1]) and not of_c(names[0]))
    return names if one_of_each and [own[name].numel() for name in names] == wanted else []


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
