"""``dynsys.wrap``: a user's own PyTorch network as a system, with the network left exactly as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dynsys.models.recurrent.base import Recurrent, checked
from dynsys.models.wrapping.closed_form import completed, hooked, is_known, readout_arrays, system_of
from dynsys.models.wrapping.container import recurrent_part, spelt, system_within
from dynsys.models.wrapping.module_copy import copied_callable, describe, first_line, opened
from dynsys.models.wrapping.readout import called_readout, linear_readout
from dynsys.models.wrapping.steps.calling import find_form
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.systems.system import System


def wrap(
    module: Any,
    readout: Any = None,
    n_state: int | None = None,
    n_input: int | None = None,
    *,
    direction: str | None = None,
    layer: int | None = None,
    convention: str | None = None,
    kind: str = "map",
    tau: float | None = None,
) -> System:
    """A system of a trained network; its weights are copied in float64, and the network itself is never touched.

    ``module`` may be

    - ``nn.RNN``, ``nn.GRU``, ``nn.LSTM`` (any number of layers, ``proj_size``, biases or none), ``nn.RNNCell``,
      ``nn.GRUCell``, ``nn.LSTMCell``, with weights as hooks and parametrizations compute them: sizes are inferred and
      derivatives are in closed form. The state is h of every layer, then c of every layer. Of a bidirectional one,
      ``direction`` names the one to analyse. ``layer`` takes one layer alone, whose input is then h of the layer below
      (of both directions). One whose hooks change its step is stepped itself.
    - a module that holds one of these. A copy of it is run: where the part's steps are those of the whole, they are
      the system, and what the module gives besides its states is the readout; where they are not, the module is stepped
      if it takes and gives its state. With ``n_state`` given it is stepped as any other module is.
    - any other module or function, with ``n_state`` and ``n_input``: ``step(x, u) -> x'`` with x (B, n_state) and
      u (B, n_input), or ``output, h_next = cell(input, h)``, in all the ways in which these are written. Which one it
      is is found by trying; ``convention`` helps where that does not tell ("step", "cell", "output first", "state
      first", "time first", "batch first", ..., joined by ";"). Modules are evaluated in float64 and in evaluation mode,
      on a copy, with their hooks.

    ``readout`` is an ``nn.Linear``, a pair (W, b) with W (n_output, width) and b (n_output,) or None, or a function of
    h of the top layer (of the whole state, where it does not take that), (B, width) to (B, n_output).

    ``kind="flow"`` says that a module or function of one's own gives the velocity of a flow instead of the next state,
    tau dx/dt = velocity(x, u), with ``tau`` its time constant (1 unless given).

    ``how`` of the system says in words what it is. Raises ValueError, which says what does not fit and what to do,
    also where a step of the system is not a step of the module, with the size of the difference.

    >>> network = wrap(nn.GRU(3, 16, num_layers=2))
    >>> network.n_state, network.n_input, network.state_parts["h_l1"]
    (32, 3, slice(16, 32, None))
    """
    if isinstance(module, (str, Path, Mapping)):
        raise ValueError(
            f"module is a {type(module).__name__}; a file, and a state dict saved to one, is for dynsys.load(path)"
        )
    pace = _pace(kind, tau)
    try:
        return _wrapped(module, readout, n_state, n_input, direction, layer, convention, pace)
    except SystemExit as end:
        raise ValueError(
            f"a call of {describe(module)}, or of its readout, ends the process ({first_line(end)}); take that out"
        ) from end


def _wrapped(
    module: Any,
    readout: Any,
    n_state: int | None,
    n_input: int | None,
    direction: str | None,
    layer: int | None,
    convention: str | None,
    tau: float | None,
) -> System:
    module = opened(module)
    if tau is not None:
        if direction is not None or layer is not None or (isinstance(module, nn.Module) and is_known(module)):
            raise ValueError(f"kind is 'flow', but {describe(module)} is a map; leave kind and tau out")
        return _with_readout(_stepped(module, n_state, n_input, convention, tau), readout)
    if not callable(module):
        raise ValueError(f"module is a {type(module).__name__}; give an nn.Module or a function step(x, u) -> x'")
    if is_known(module):
        return _of_part(module, readout, {"n_state": n_state, "n_input": n_input}, direction, layer, convention)
    by_steps = n_state is not None or convention is not None or not isinstance(module, nn.Module)
    part_name = None if by_steps else recurrent_part(module)
    if direction is not None or layer is not None:
        where = "nn.RNN, nn.GRU or nn.LSTM; give such a module" if part_name is None else f"it: {spelt(part_name)}"
        raise ValueError(f"direction and layer choose a part of {where}")
    if part_name is None:
        return _with_readout(_stepped(module, n_state, n_input, convention), readout)
    system = system_within(module, part_name, reads=readout is None)
    _check_size("n_input", n_input, system.n_input, describe(module))
    return _with_readout(system, readout)


def _of_part(
    cell: nn.Module,
    readout: Any,
    sizes: dict[str, int | None],
    direction: str | None,
    layer: int | None,
    convention: str | None,
) -> System:
    """The system of one of torch's recurrent modules."""
    if convention is not None:
        raise ValueError(f"convention is {convention!r}, but {describe(cell)} is known; leave convention out")
    system = system_of(copied_callable(cell), direction, layer)
    for what, size in sizes.items():
        _check_size(what, size, getattr(system, what), type(cell).__name__)
    return _with_readout(system, readout)


def _check_size(what: str, size: int | None, found: int, name: str) -> None:
    if size not in (None, found):
        raise ValueError(f"{what} is {size}, but this {name} has {found}; leave it out")


def _pace(kind: str, tau: float | None) -> float | None:
    """The time constant of a flow; None for a map."""
    if kind not in ("map", "flow"):
        raise ValueError(f"kind is {kind!r}; it is 'map', of a step x' = G(x, u), or 'flow', of a velocity")
    if kind == "map":
        if tau is not None:
            raise ValueError(f"tau is {tau}, but a map has none; give kind='flow' where the module gives a velocity")
        return None
    if tau is not None and not 0 < tau < float("inf"):
        raise ValueError(f"tau is {tau}; a time constant is positive")
    return 1.0 if tau is None else float(tau)


def _stepped(
    module: Callable[..., Any],
    n_state: int | None,
    n_input: int | None,
    convention: str | None,
    tau: float | None = None,
) -> Stepped:
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
    form = find_form(held, n_state, n_input, convention, name)
    system = Stepped(held, form, n_state, n_input, name=name, tau=tau)
    told = form.told(name, n_input)
    system.how = f"stepped as {told}" if tau is None else f"a flow, with tau dx/dt where {told} has the state"
    return system


def _matrix_and_bias(readout: Any) -> tuple[Any, Any] | None:
    """W and b of a linear readout; None for any other, also for one whose weights hooks compute before each pass."""
    if type(readout) is nn.Linear and "weight" in readout._parameters and not hooked(readout):
        return readout.weight, readout.bias
    if isinstance(readout, tuple | list):
        if len(readout) != 2:
            raise ValueError(f"readout has {len(readout)} parts; give (W, b), with b None where there is none")
        return readout[0], readout[1]
    return None


def _with_readout(system: Recurrent | Stepped, readout: Any) -> System:
    if readout is None:
        return system
    readout = opened(readout)
    pair = _matrix_and_bias(readout)
    if pair is not None and isinstance(system, Recurrent):
        return completed(system, readout_arrays(*pair))
    if pair is not None:
        W, b = checked("readout.weight", pair[0]), None if pair[1] is None else checked("readout.bias", pair[1])
        return system.with_readout(linear_readout(W, b, system.n_state, system.state_parts))
    if not callable(readout):
        raise ValueError(
            f"readout is a {type(readout).__name__}; give an nn.Linear, (W, b), or a function of the state"
        )
    return system.with_readout(called_readout(copied_callable(readout), system.n_state, system.state_parts))
