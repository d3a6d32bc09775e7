"""A module that holds a recurrent part, run on a sequence of inputs, with every call of the part written down.

How the module wants its inputs is found by trying: time or batch first, one step, or in a mapping such as a batch of
data; arguments that it demands besides get lengths, None or a first state, by their names and by what works.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from dynsys.models.wrapping.closed_form import form_of
from dynsys.models.wrapping.module_copy import ENDED, first_line, guarded
from dynsys.models.wrapping.steps.forms import signature_of
from dynsys.models.wrapping.steps.step_form import Form
from dynsys.systems.undisturbed import in_double

ROWS, TRIED = 3, 4  # of a batch, and steps of the sequence by which a way of running is found
MOST_WAYS = 64


class AnyKey(dict[str, Tensor]):
    """A mapping that has the inputs under every name."""

    def __init__(self, u: Tensor) -> None:
        super().__init__(inputs=u)

    def __missing__(self, key: str) -> Tensor:
        return self["inputs"]


LAYOUTS: dict[str, Callable[[Tensor], Any]] = {
    "batch first": lambda u: u.transpose(0, 1),
    "time first": lambda u: u,
    "one step": lambda u: u[0],
    "one row": lambda u: u[:, 0],
    "one step of one row": lambda u: u[0, 0],
    "a mapping, batch first": lambda u: AnyKey(u.transpose(0, 1)),
    "a mapping, time first": lambda u: AnyKey(u),
}


@dataclass(frozen=True)
class Call:
    """One call of the recurrent part: its inputs (T, B, m), and the states (B, n_state) before and after."""

    u: Tensor
    first: Tensor
    last: Tensor


@dataclass(frozen=True)
class Run:
    """What came of running the whole module on inputs u (T, B, m)."""

    u: Tensor
    calls: list[Call]
    given: Any

    def input_off(self) -> float:
        """By how much the part's inputs differ from those of the module; infinite where their shapes do."""
        seen = torch.cat([call.u for call in self.calls])
        return float((seen - self.u).abs().max()) if seen.shape == self.u.shape else torch.inf


@dataclass(frozen=True)
class Besides:
    """An argument that is demanded besides the inputs: None, their lengths, or a first state, random or zero.

    ``shapes`` are those of the state's tensors, -1 standing for the rows of the batch; two of them make a pair.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...] = ()

    def of(self, u: Tensor, still: bool) -> Any:
        if self.kind == "none":
            return None
        if self.kind == "lengths":
            return torch.full((u.shape[1],), len(u), dtype=torch.long)
        shapes = [[u.shape[1] if size < 0 else size for size in shape] for shape in self.shapes]
        state = tuple(u.new_zeros(shape) if still else u.new_empty(shape).normal_() for shape in shapes)
        return state if len(state) > 1 else state[0]


@dataclass(frozen=True)
class Way:
    """How the module is run: the layout of its inputs, their name if they go by it, and what it gets besides."""

    layout: str
    besides: tuple[Besides, ...] = ()
    name: str | None = None

    @property
    def sequences(self) -> bool:
        """Whether it takes more than one step at once."""
        return not self.layout.startswith("one step")

    @property
    def rows(self) -> int:
        """How many sequences at once."""
        return 1 if self.layout.endswith("one row") else ROWS

    def call(self, module: nn.Module, u: Tensor, still: bool = False) -> Any:
        """What the module gives; ``still`` for a first state of zeros where it demands one."""
        given, besides = LAYOUTS[self.layout](u), [argument.of(u, still) for argument in self.besides]
        return module(given, *besides) if self.name is None else module(**{self.name: given})

    def run(self, module: nn.Module, part: nn.Module, u: Tensor) -> Run:
        """Raises whatever the module raises."""
        calls: list[Call] = []

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            calls.append(_begun(part, *args, **kwargs))

        def after(_: nn.Module, args: Any, kwargs: Any, given: Any) -> None:
            calls[-1] = _ended(part, calls[-1], given)

        handles = [
            part.register_forward_pre_hook(before, prepend=True, with_kwargs=True),
            part.register_forward_hook(after, with_kwargs=True),
        ]
        try:
            with in_double(u.dtype), guarded(module):
                return Run(u, calls, self.call(module, u))
        finally:
            for handle in handles:
                handle.remove()


class NoWay(ValueError):
    """The module was not run with success; the message says why not."""


def find_way(module: nn.Module, part: nn.Module, dtype: torch.dtype) -> tuple[Way, float]:
    """The first way in which the module runs and its part sees the inputs as they are; else one in which it does not.

    Beside it, by how much the inputs are changed. Raises NoWay where there is none at all.
    """
    reasons: list[str] = []
    changed: list[tuple[float, Way]] = []
    for way in itertools.islice(_ways(module, part), MOST_WAYS):
        u = inputs(way, TRIED if way.sequences else 1, part, dtype)
        try:
            run = way.run(module, part, u)
        except ENDED as error:
            reasons.append(first_line(error))
            continue
        if not run.calls:
            reasons.append("it runs without its recurrent part")
            continue
        off = run.input_off()
        if off == 0:
            return way, 0.0
        changed.append((off, way))
    if not changed:
        raise NoWay(next((r for r in reasons if not r.startswith("TypeError")), reasons[0]))
    off, way = min(changed, key=lambda found: found[0])
    return way, off


def inputs(way: Way, steps: int, part: Any, dtype: torch.dtype, size: float = 1.0, seed: int = 0) -> Tensor:
    """Random inputs (T, B, m) for the part."""
    draw = torch.Generator().manual_seed(seed)
    return size * torch.randn(steps, way.rows, part.input_size, generator=draw, dtype=torch.float64).to(dtype)


def _ways(module: nn.Module, part: Any) -> Iterator[Way]:
    parameters = signature_of(module) or []
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    demanded = [p for p in by_place[1:] if p.default is p.empty]
    for layout in LAYOUTS:
        if len(by_name) == 1 and not by_place:
            yield Way(layout, name=by_name[0])
        for besides in itertools.product(*(_candidates(p, part) for p in demanded)):
            yield Way(layout, besides)


def _candidates(parameter: inspect.Parameter, part: Any) -> list[Besides]:
    """What an argument that is demanded may get."""
    if "len" in parameter.name:
        return [Besides("lengths")]
    layout = form_of(part).layout
    depth = max(layout.layers, 1)
    axes: list[tuple[int, ...]] = [(depth, -1), (-1,), (-1, depth)]
    kinds = (layout.widths, layout.widths[:1]) if len(layout.widths) > 1 else (layout.widths,)
    states = [tuple((*shape, width) for width in widths) for widths in kinds for shape in axes]
    return [Besides("none"), *(Besides("state", shapes) for shapes in states)]


def _begun(part: Any, *args: Any, **kwargs: Any) -> Call:
    """What the part is given, with time first."""
    form = form_of(part)
    given, state = [*args, *kwargs.values(), None][:2]
    u = _unpacked(part, given)
    if state is None:
        first = u.new_zeros(u.shape[1], sum(form.layout.widths) * max(form.layout.layers, 1))
    else:
        first = _state(form, state)
    return Call(u.clone(), first.clone(), first)


def _ended(part: Any, begun: Call, given: Any) -> Call:
    form = form_of(part)
    return Call(begun.u, begun.first, _state(form, form.pick.of(given)).clone())


def _state(form: Form, given: Any) -> Tensor:
    """What the part is given or gives for its state, as (B, n_state); of one row alone as well."""

    def rows(part: Tensor) -> Tensor:
        return part if part.ndim == 2 + (form.layout.layers > 0) else part.unsqueeze(-2)

    return form.layout.unpack(tuple(map(rows, given)) if isinstance(given, tuple | list) else rows(given))


def _unpacked(part: Any, sequence: Any) -> Tensor:
    """Inputs of the part as (T, B, width)."""
    if isinstance(sequence, PackedSequence):
        return pad_packed_sequence(sequence)[0]
    if not isinstance(part, nn.RNNBase):
        return sequence.unsqueeze(0) if sequence.ndim == 2 else sequence[None, None]
    if sequence.ndim == 2:
        return sequence.unsqueeze(1)
    return sequence.transpose(0, 1) if part.batch_first else sequence
