"""A recurrent module of torch's as a system in closed form, if one step of the two agrees; else it is stepped itself.

The weights are those that the module uses now, on a copy that has been run: hooks (weight_norm, spectral_norm, pruning)
and parametrizations compute them before each pass. Hooks may change more than weights. So a few steps from random
states, also large ones, are compared before anything is handed out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.recurrent.base import ROLES, Recurrent
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.models.wrapping.module_copy import FORWARD_HOOKS, first_line
from dynsys.models.wrapping.steps.calling import close
from dynsys.models.wrapping.steps.step_form import Form, Layout, Pick
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.systems.undisturbed import undisturbed

KNOWN: dict[type[nn.Module], type[Recurrent]] = {module: kind for kind in (RNN, GRU, LSTM) for module in kind.modules}
DIRECTIONS = ("forward", "backward")
ORDINARY, LARGE = (0.0, 0.3, 1.0, 1.0), (3.0, 30.0, 300.0)  # sizes of states from which steps are compared
INPUTS = (1.0, 0.0, 1.0, 10.0)  # and of inputs
STEPS = 3  # of a sequence


def is_known(module: Any) -> bool:
    """One of torch's own, computing what torch computes."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in KNOWN)


def kind_of(cell: nn.Module) -> type[nn.Module]:
    return next(kind for kind in KNOWN if isinstance(cell, kind))


def form_of(cell: Any) -> Form:
    """How torch's module is called, with a state of every layer and direction."""
    gated = KNOWN[kind_of(cell)] is LSTM
    h = getattr(cell, "proj_size", 0) or cell.hidden_size
    widths = (h, cell.hidden_size) if gated else (h,)
    if not isinstance(cell, nn.RNNBase):
        return Form("cell", Layout(widths))
    layers = cell.num_layers * (2 if cell.bidirectional else 1)
    return Form("cell", Layout(widths, layers), 1 if cell.batch_first else 0, Pick(1, among=2))


def system_of(
    cell: Any, direction: str | None = None, layer: int | None = None, *, held_by: str | None = None
) -> Recurrent | Stepped:
    """The system of ``cell``, a copy in float64 and evaluation mode; ``held_by`` names what has just run it, if any.

    Raises ValueError where the module computes neither what its kind does nor a step that can be told.
    """
    _check_direction(cell, direction, layer)
    kind = kind_of(cell)
    form = form_of(cell)
    _check_real(cell)
    with undisturbed():
        x, u = probes(form.layout, cell.input_size)
        before = {name: getattr(cell, name) for name in _loose(cell)}
        try:
            form.call(cell, x, u)
        except Exception as error:
            raise ValueError(f"{kind.__name__} cannot be run: {first_line(error)}") from error
        _check_computed(cell, before, held_by)
        settings = {"nonlinearity": cell.nonlinearity} if KNOWN[kind] is RNN else {}
        system = KNOWN[kind].from_arrays(_weights(cell, direction, layer), settings)
        sizes = [_difference(system, cell, form, direction, layer, large) for large in (False, True)]
    size = next((size for size in sizes if size > 0), 0.0)
    if size == 0:
        system.how = f"{kind.__name__} in closed form, which the module itself confirms"
        return system
    return _stepped(cell, form, size, whole=direction is None and layer is None)


def completed(system: Recurrent, extras: dict[str, Any]) -> Recurrent:
    """The system with a readout or a first state among its arrays."""
    found = system.with_weights(extras)
    found.how = system.how
    return found


def readout_arrays(W: Any, b: Any) -> dict[str, Any]:
    return {"readout.weight": W} | ({} if b is None else {"readout.bias": b})


def probes(layout: Layout, n_input: int, large: bool = False) -> tuple[Tensor, Tensor]:
    """States and inputs, (B, n_state) and (B, n_input), from which steps are compared: usual ones, or large."""
    n_state, sizes = max(part.stop for part in layout.parts.values()), LARGE if large else ORDINARY
    draw = torch.Generator().manual_seed(1)
    B = len(sizes) * len(INPUTS)
    x, u = (torch.randn(B, n, generator=draw, dtype=torch.float64) for n in (n_state, n_input))
    x *= torch.tensor(sizes, dtype=torch.float64).repeat(len(INPUTS)).unsqueeze(1)
    return x, u * torch.tensor(INPUTS, dtype=torch.float64).repeat_interleave(len(sizes)).unsqueeze(1)


def apart(a: Tensor, b: Tensor) -> float:
    """By how much two values differ, 0 where that is rounding."""
    return 0.0 if close(a, b) else float((a - b).abs().nan_to_num(torch.inf).max())


def hooked(cell: nn.Module) -> bool:
    return any(getattr(cell, kind) for kind in FORWARD_HOOKS)


def _difference(
    system: Recurrent, cell: Any, form: Form, direction: str | None, layer: int | None, large: bool
) -> float:
    """By how much the closed form differs from the module: in one step, and in what a sequence gives."""
    x, u = probes(form.layout, cell.input_size, large)
    new, parts = form.step(cell, x, u), form.layout.parts
    ways = 2 if getattr(cell, "bidirectional", False) else 1
    depth = getattr(cell, "num_layers", 1)
    chosen = [k * ways + (direction == "backward") for k in (range(depth) if layer is None else [layer])]
    own = [j for part in "hc" for k in chosen for j in _columns(parts.get(f"{part}_l{k}"))]
    below = [] if layer in (None, 0) else [layer * ways - ways + way for way in range(ways)]
    given = torch.cat([new[:, parts[f"h_l{k}"]] for k in below], dim=1) if below else u
    size = apart(system.velocity(x[:, own], given) + x[:, own], new[:, own])
    if size > 0 or ways > 1 or not isinstance(cell, nn.RNNBase):
        return size
    top = parts[f"h_l{depth - 1}"]
    return _output_apart(cell, form, x, u, top)


def _output_apart(cell: nn.RNNBase, form: Form, x: Tensor, u: Tensor, top: slice) -> float:
    """By how much a sequence differs from single steps, in where it ends and in what it gives as its h."""
    sequence = torch.stack([u.roll(k, 0) for k in range(STEPS)])
    given = form.call(cell, x, sequence)
    out, steps = given[0].movedim(form.time_axis or 0, 0), []
    for each in sequence:
        x = form.step(cell, x, each)
        steps.append(x[:, top])
    return max(apart(torch.stack(steps), out), apart(x, form.layout.unpack(form.pick.of(given))))


def _stepped(cell: Any, form: Form, size: float, whole: bool) -> Stepped:
    """The module itself, where a step of it is what it does in a sequence as well."""
    name = kind_of(cell).__name__
    why = "its hooks" if hooked(cell) else "something about it"
    x, u = probes(form.layout, cell.input_size)
    off = torch.inf
    if whole and not getattr(cell, "bidirectional", False):
        with undisturbed():
            top = form.layout.parts[f"h_l{max(form.layout.layers, 1) - 1}"]
            off = _output_apart(cell, form, x, u, top) if isinstance(cell, nn.RNNBase) else 0.0
    if off > 0:
        off = size if off == torch.inf else off
        raise ValueError(
            f"this {name} does not compute what a {name} with its weights does: {why} changes h, or what it gives as "
            f"h, by up to {off:.2g}. Take that off, or give a function step(x, u) -> x' that does the same in every "
            "step, with n_state and n_input"
        )
    n_state = max(part.stop for part in form.layout.parts.values())
    system = Stepped(cell, form, n_state, cell.input_size, name=name)
    system.how = (
        f"stepped as {form.told(name, cell.input_size)}, since {why} changes what a {name} computes by up to {size:.2g}"
    )
    return system


def _columns(part: slice | None) -> range:
    return range(0) if part is None else range(part.start, part.stop)


def _roles(cell: nn.Module) -> list[str]:
    """The names of the module's weights."""
    if isinstance(cell, nn.RNNBase):
        return [name for names in cell._all_weights for name in names]
    return [role for role in ROLES if getattr(cell, role, None) is not None]


def _check_real(cell: nn.Module) -> None:
    """torch's recurrent modules compute in real numbers alone."""
    found = [role for role in _roles(cell) if getattr(cell, role).is_complex()]
    if found:
        raise ValueError(
            f"{', '.join(found)} of this {kind_of(cell).__name__} is complex, with which torch cannot run it; give a "
            "function step(x, u) -> x' of real numbers, such as the real and imaginary parts side by side"
        )


def _loose(cell: nn.Module) -> list[str]:
    """Weights that are plain tensors, neither parameters nor buffers nor parametrized."""

    def plain(name: str) -> bool:
        return name in vars(cell) or not isinstance(cell._parameters.get(name, nn.Parameter()), nn.Parameter)

    return [name for name in _roles(cell) if plain(name)]


def _check_computed(cell: nn.Module, before: dict[str, Tensor], held_by: str | None) -> None:
    """A weight that is a plain tensor is one that a hook computes before each pass, or another module does."""
    left = [name for name, value in before.items() if getattr(cell, name) is value]
    if left and held_by is None:
        raise ValueError(
            f"{', '.join(left)} of this {kind_of(cell).__name__} is no parameter, but a tensor that something else has "
            "put there, as WeightDrop does before each pass; give the module that does it, or make it a parameter"
        )


def _weights(cell: Any, direction: str | None, layer: int | None) -> dict[str, Tensor]:
    """The module's weights by torch's names, of one direction and one layer where those are asked for."""
    if not isinstance(cell, nn.RNNBase):
        return {f"{role}_l0": getattr(cell, role) for role in _roles(cell)}
    suffix = "_reverse" if direction == "backward" else ""
    chosen = range(cell.num_layers) if layer is None else [layer]
    return {
        f"{role}_l{place}": getattr(cell, f"{role}_l{k}{suffix}")
        for place, k in enumerate(chosen)
        for role in ROLES
        if getattr(cell, f"{role}_l{k}{suffix}", None) is not None
    }


def _check_direction(cell: Any, direction: str | None, layer: int | None) -> None:
    name = kind_of(cell).__name__
    if not isinstance(cell, nn.RNNBase):
        if direction is not None or layer not in (None, 0):
            raise ValueError(f"{name} has one layer and one direction; leave direction and layer out")
        return
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
