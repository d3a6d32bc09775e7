"""Every form in which a step may be called: the order of its arguments, the layout of its state, axes of its input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from dynsys.models.wrapping.steps.step_form import Form, Layout

MOST_LAYERS = 8  # of h that are tried

INPUT_NAMES = {"input", "inputs", "inp", "u", "input_", "x_t", "u_t", "data"}
STATE_NAMES = {
    *("h", "hx", "hidden", "hiddens", "state", "states", "h_prev", "h_0", "h0", "hidden_state", "prev", "h_t"),
    *("prev_state", "prev_h", "prev_hidden", "h_tm1", "hidden_0", "init_state", "initial_state"),
}


def forms(function: Callable[..., Any], n_state: int, n_input: int) -> Iterator[Form]:
    """Every form that is tried, the plainest first: a state (B, n_state), then those of parts and layers.

    A plain function has states of the first kind wherever they come first, as in step(x, u) -> x'.
    """
    orders = list(_orders(function, n_input))
    plain, *structured = layouts(n_state)
    for layout in (plain, *structured):
        for order, names in orders:
            if layout is not plain and order != "cell" and not isinstance(function, nn.Module):
                continue
            if layout.nesting == "spread" and names is not None:
                continue
            for time_axis in (None,) if order == "alone" else (None, 0, 1):
                yield Form(order, layout, time_axis, names=names)


def layouts(n_state: int) -> Iterator[Layout]:
    """How a state of that size may be handed over: h or (h, c), with an axis of layers or none, or a list of layers."""
    yield Layout((n_state,))
    if n_state % 2 == 0:
        yield from (Layout((n_state // 2,) * 2, nesting=nesting) for nesting in ("parts", "spread"))
    sizes = [(n_state // (k * layers), k, layers) for k in (1, 2) for layers in range(1, MOST_LAYERS + 1)]
    legal = [((width,) * k, layers) for width, k, layers in sizes if width * k * layers == n_state]
    yield from (Layout(widths, layers, axis) for widths, layers in legal for axis in (0, 1))
    yield from (Layout(widths, layers, nesting="layers") for widths, layers in legal)


def signature_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters that a call may give; None where Python does not know them."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        return list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):
        return None


def _orders(function: Callable[..., Any], n_input: int) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Orders of the arguments that the signature allows, and names where they can only go by name."""
    parameters = signature_of(function)
    if parameters is None:
        yield from (("step", None), ("cell", None))
        return
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if n_input == 0 and sum(p.default is p.empty for p in by_place) == 1:
        yield "alone", None
    if len(by_place) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        yield from (("step", None), ("cell", None))
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    state = next((name for name in named if name in STATE_NAMES), None)
    given = next((name for name in named if name in INPUT_NAMES or name == "x"), None)
    if state is not None and given is not None and {state, given} != {p.name for p in by_place[:2]}:
        yield "cell", (given, state)
