"""How a user's step wants its arguments, and where in what it gives the next state is.

People write step(x, u) -> x', and cells: output, h = cell(input, h), h a tensor, a pair (h, c) or a list of layers,
the input one step or a sequence of one step, time or batch first, the output before the state or behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TIMES = {None: "one step", 0: "time first", 1: "batch first"}
ORDERS = {"step": "step", "cell": "cell", "alone": "step"}


@dataclass(frozen=True)
class Layout:
    """How a state (B, n_state), h of every layer and then c of every layer, is handed over.

    ``layers`` of 0 is one layer without an axis of its own, (B, width); else ``axis`` tells where the layers are,
    (layers, B, width) or (B, layers, width). ``widths`` are those of h, or of h and c. ``nesting``: "parts" for h or
    (h, c), "spread" for h and c as two arguments, "layers" for a list of h, or of (h, c), of every layer.
    """

    widths: tuple[int, ...]
    layers: int = 0
    axis: int = 0
    nesting: str = "parts"

    @property
    def parts(self) -> dict[str, slice]:
        """Where h_l0, h_l1, ..., c_l0, ... lie in the state."""
        found, start = {}, 0
        for part, width in zip("hc", self.widths, strict=False):
            for k in range(max(self.layers, 1)):
                found[f"{part}_l{k}"] = slice(start, start + width)
                start += width
        return found

    def pack(self, x: Tensor) -> tuple[Any, ...]:
        """The arguments that stand for the states x (B, n_state): one, or two where h and c are ``spread``."""
        if self.nesting == "layers":
            each = [tuple(x[:, place] for place in places) for places in self._of_layers()]
            return ([layer if len(self.widths) > 1 else layer[0] for layer in each],)
        depth = max(self.layers, 1)
        split = torch.split(x, [width * depth for width in self.widths], dim=1) if len(self.widths) > 1 else (x,)
        laid = tuple(self._laid(part) for part in split)
        if self.nesting == "spread":
            return laid
        return laid if len(laid) == 1 else (laid,)

    def unpack(self, given: Any) -> Tensor:
        """Back to (B, n_state)."""
        if self.nesting == "layers":
            each = [layer if len(self.widths) > 1 else (layer,) for layer in given]
            return torch.cat([layer[part] for part in range(len(self.widths)) for layer in each], dim=1)
        if len(self.widths) == 1:
            return self._flat(given)
        return torch.cat([self._flat(part) for part in given], dim=1)

    def _of_layers(self) -> list[tuple[slice, ...]]:
        places = self.parts
        return [tuple(places[f"{part}_l{k}"] for part in "hc"[: len(self.widths)]) for k in range(self.layers)]

    def _laid(self, x: Tensor) -> Tensor:
        if self.layers == 0:
            return x
        layered = x.reshape(len(x), self.layers, -1)
        return layered.transpose(0, 1).contiguous() if self.axis == 0 else layered

    def _flat(self, h: Tensor) -> Tensor:
        if self.layers == 0:
            return h
        return (h.transpose(0, 1) if self.axis == 0 else h).flatten(1)

    def __str__(self) -> str:
        def of(part: str, width: int) -> str:
            axes = ["B", str(width)]
            if self.layers:
                axes.insert(self.axis, str(self.layers))
            return f"{part} ({', '.join(axes)})"

        if self.nesting == "layers":
            one = ", ".join(f"{part} (B, {width})" for part, width in zip("hc", self.widths, strict=False))
            return f"[{f'({one})' if len(self.widths) > 1 else one} of {self.layers} layers]"
        named = ", ".join(of(part, width) for part, width in zip("hc", self.widths, strict=False))
        return named if len(self.widths) == 1 or self.nesting == "spread" else f"({named})"


@dataclass(frozen=True)
class Pick:
    """Where the next state is in what a step gives: at ``place`` (an index or a key), or all of it.

    ``pair`` takes two neighbours as (h, c). ``among`` is how many there are. ``time`` is the axis of a sequence of
    states, of which the last is meant.
    """

    place: int | str | None = None
    pair: bool = False
    among: int = 1
    time: int | None = None

    def of(self, given: Any) -> Any:
        if isinstance(self.place, int):
            found = tuple(given[self.place : self.place + 2]) if self.pair else given[self.place]
        else:
            found = given if self.place is None else given[self.place]
        return torch.select(found, self.time, -1) if isinstance(found, Tensor) and self.time is not None else found

    @property
    def word(self) -> str:
        if isinstance(self.place, str):
            return f"state at {self.place}"
        if self.place is None or self.among == 1 + self.pair:
            return "state alone"
        return "state first" if self.place == 0 else "output first"


@dataclass(frozen=True)
class Form:
    """How a step is called. ``order``: "step" for f(x, u), "cell" for f(input, h), "alone" for f(x).

    ``time_axis`` of None gives the input as (B, m), 0 as (1, B, m), 1 as (B, 1, m). ``names`` are those of the input
    and the state, where they go by name.
    """

    order: str
    layout: Layout
    time_axis: int | None = None
    pick: Pick = Pick()
    names: tuple[str, str] | None = None

    def call(self, function: Callable[..., Any], x: Tensor, u: Tensor) -> Any:
        """All that the function gives, for an input (B, m), or for a sequence (T, B, m)."""
        state = self.layout.pack(x)
        if self.order == "alone":
            return function(*state)
        if self.time_axis is not None:
            u = u.unsqueeze(self.time_axis) if u.ndim == 2 else u.movedim(0, self.time_axis)
        if self.names is not None:
            return function(**dict(zip(self.names, (u, *state), strict=True)))
        return function(*state, u) if self.order == "step" else function(u, *state)

    def step(self, function: Callable[..., Any], x: Tensor, u: Tensor) -> Tensor:
        """The next state (B, n_state), after all of a sequence."""
        return self.layout.unpack(self.pick.of(self.call(function, x, u)))

    @property
    def is_plain(self) -> bool:
        """Whether it is one step of a state (B, n_state) without further axes."""
        return self.time_axis is None and self.layout.layers == 0 and len(self.layout.widths) == 1

    def parts(self) -> dict[str, slice]:
        """Where h_l0, h_l1, ..., and c_l0, ... lie in the state of a cell."""
        return self.layout.parts if self.order == "cell" else {}

    def words(self) -> tuple[str, ...]:
        """What ``convention`` may say of it."""
        shape = self.layout
        layers = "layers second" if shape.layers and shape.axis else "layers first"
        kinds = ("one state", "h and c")[len(shape.widths) - 1]
        nested = {"parts": layers, "spread": "h, c apart", "layers": "list of layers"}[shape.nesting]
        return (
            ORDERS[self.order],
            self.pick.word,
            TIMES[self.time_axis],
            kinds,
            nested,
            f"{max(shape.layers, 1)} layers",
        )

    def told(self, name: str, n_input: int) -> str:
        """The call as one would write it down."""
        axes = {None: f"B, {n_input}", 0: f"1, B, {n_input}", 1: f"B, 1, {n_input}"}[self.time_axis]
        u, state = f"{'u' if self.order == 'step' else 'input'} ({axes})", str(self.layout)
        new = "h, c" if len(self.layout.widths) > 1 else "h"
        if self.order != "cell":
            state, new = state.replace("h", "x", 1), new.replace("h", "x", 1)
        if self.names is not None:
            u, state = f"{self.names[0]}={u}", f"{self.names[1]}={state}"
        given = {"step": f"{state}, {u}", "cell": f"{u}, {state}", "alone": state}[self.order]
        word = self.pick.word
        told = {"state alone": new, "state first": f"{new}, output", "output first": f"output, {new}"}.get(word)
        return f"{told} = {name}({given})" if told else f"{new} = {name}({given})[{self.pick.place!r}]"


def picks(given: Any, layout: Layout, x: Tensor, time_axis: int | None) -> list[Pick]:
    """Where the next state may be in what a step gives for the states x: all places that have its shape."""
    state = layout.pack(x)
    wanted = state if len(state) > 1 else state[0]
    found = [Pick()] if _alike(given, wanted) else []
    times = (None,) if time_axis is None else (None, 0, 1)
    places: list[Pick] = []
    if isinstance(given, Mapping):
        places = [Pick(key, among=len(given), time=t) for key in given if isinstance(key, str) for t in times]
    elif isinstance(given, tuple | list):
        places = [Pick(i, among=len(given), time=t) for i in range(len(given)) for t in times]
        if len(layout.widths) > 1 and layout.nesting != "layers":
            places += [Pick(i, pair=True, among=len(given)) for i in range(len(given) - 1)]
    elif isinstance(given, Tensor):
        places = [Pick(time=t) for t in times if t is not None]
    for place in places:
        if place.time is None or _has_one(given, place):
            found += [place] if _alike(place.of(given), wanted) else []
    return found


def _has_one(given: Any, place: Pick) -> bool:
    """Whether there is an axis of time with one step in it."""
    part = given if place.place is None else given[place.place]
    return isinstance(part, Tensor) and part.ndim > (place.time or 0) and part.shape[place.time or 0] == 1


def _alike(given: Any, wanted: Any) -> bool:
    """Whether the shapes are the same; for a pair, a list is none: it holds layers."""
    if isinstance(wanted, Tensor):
        return isinstance(given, Tensor) and given.shape == wanted.shape
    if not isinstance(given, (tuple, list) if isinstance(wanted, list) else tuple) or len(given) != len(wanted):
        return False
    return all(_alike(a, b) for a, b in zip(given, wanted, strict=True))
