"""Which of torch's recurrent modules a user's module is or holds, and what stands beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.gru import GRU
from dynsys.models.lstm import LSTM
from dynsys.models.recurrent import Recurrent
from dynsys.models.vanilla import RNN
from dynsys.models.wrapping.module_copy import copied_callable, describe

KNOWN: dict[type[nn.Module], type[Recurrent]] = {
    nn.RNN: RNN,
    nn.GRU: GRU,
    nn.LSTM: LSTM,
    nn.RNNCell: RNN,
    nn.GRUCell: GRU,
    nn.LSTMCell: LSTM,
}


def is_known(module: Any) -> bool:
    """One of torch's own, computing what torch computes."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in KNOWN)


def kind_of(cell: nn.Module) -> type[Recurrent]:
    return next(ours for kind, ours in KNOWN.items() if isinstance(cell, kind))


def recurrent_part(module: Any) -> Any:
    """The one recurrent module that ``module`` is or holds; None where there is none."""
    if is_known(module):
        return module
    if not isinstance(module, nn.Module):
        return None
    parts = {name: part for name, part in module.named_modules() if is_known(part)}
    if not parts:
        return None
    (name, cell), *more = parts.items()
    linear = linear_beside(module, cell)
    taken = {id(p) for part in (cell, linear) if part is not None for p in part.parameters()}
    first = first_state(module, cell)
    others = [key for key, p in module.named_parameters() if id(p) not in taken and key not in first]
    if more or others:
        extra = ", ".join(parts) if more else f"{name} and, besides, {', '.join(others)}"
        raise ValueError(
            f"{describe(module)} holds {extra}, and what it computes is not plain from that. Give the recurrent module "
            f"itself, dynsys.wrap(module.{name}, readout=...), or n_state and n_input to have it called step by step"
        )
    _check_input(module, name, cell)
    return cell


def linear_beside(module: nn.Module, cell: Any) -> nn.Linear | None:
    """The container's single nn.Linear if it acts on h of the top layer."""
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if len(linears) != 1:
        return None
    width = getattr(cell, "proj_size", 0) or cell.hidden_size
    both_ways = cell.input_size == linears[0].out_features == width  # an encoder of the input would look the same
    return linears[0] if linears[0].in_features == width and not both_ways else None


def first_state(module: nn.Module, cell: Any) -> list[str]:
    """The container's own parameters, where they can only be the first h, or the first h and c, in that order."""
    own = dict(module.named_parameters(recurse=False))
    layers, width = getattr(cell, "num_layers", 1), getattr(cell, "proj_size", 0) or cell.hidden_size
    wanted = [layers * width, layers * cell.hidden_size] if kind_of(cell) is LSTM else [layers * width]

    def of_c(name: str) -> bool:
        return "cell" in name.lower() or not {"c", "c0", "cx"}.isdisjoint(name.lower().split("_"))

    names = sorted(own, key=of_c)
    one_of_each = len(names) < 2 or (of_c(names[1]) and not of_c(names[0]))
    return names if one_of_each and [own[name].numel() for name in names] == wanted else []


def _check_input(module: nn.Module, name: str, cell: Any) -> None:
    """Run a copy of the container, where that can be done, and see that its input reaches the part unchanged."""
    held = copied_callable(module)
    assert isinstance(held, nn.Module)
    seen: list[Any] = []
    held.get_submodule(name).register_forward_pre_hook(lambda _, given: seen.extend(given[:1]))
    u = torch.rand(4, 3, cell.input_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            held(u)
    except Exception:  # it wants other arguments, so nothing can be seen
        return
    whole = [u, u.transpose(0, 1), u[0], u[:, 0]]  # one axis or the other is time; a cell is given one step
    if seen and isinstance(seen[0], Tensor) and not any(torch.equal(seen[0], w) for w in whole):
        raise ValueError(
            f"{describe(module)} changes its input before {name} sees it. Give {name} itself, "
            f"dynsys.wrap(module.{name}, readout=...), whose input is what reaches it, or n_state and n_input to have "
            "the module called step by step"
        )
