"""What a module says when its recurrent part is in a given state: the module itself, run with that state put in.

Whatever stands between h and the output, tanh, masks, layer norms, several layers, a softmax, is then the readout. That
holds only where the output depends on nothing but the present state, which ``container`` checks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from dynsys.models.wrapping.module_copy import FORWARD_HOOKS
from dynsys.models.wrapping.steps.calling import close
from dynsys.models.wrapping.steps.step_form import Form
from dynsys.models.wrapping.trial_run import Way

_PUT_IN = threading.local()  # the states that the part is said to be in, one call after the other


class Given:
    """Stands in for the forward of a recurrent part: whatever it is given, it ends in the states that are put in."""

    def __init__(self, form: Form, gives_output: bool) -> None:
        self.form, self.gives_output = form, gives_output

    def __call__(self, input: Any, hx: Any = None) -> Any:
        states = _PUT_IN.states
        x = states.pop(0) if len(states) > 1 else states[0]
        (state,) = self.form.layout.pack(x)
        if not self.gives_output:
            return _of_one_row(state) if input.ndim == 1 else state
        parts = [part for key, part in self.form.layout.parts.items() if key.startswith("h")]
        top = x[:, parts[-1]]
        if isinstance(input, PackedSequence):
            rows = top if input.sorted_indices is None else top[input.sorted_indices]
            data = torch.cat([rows[:size] for size in input.batch_sizes.tolist()])
            return input._replace(data=data), state
        if input.ndim == 2:
            return top.expand(len(input), -1), _of_one_row(state)
        axis = self.form.time_axis or 0
        return top.unsqueeze(axis).expand(*(input.shape[k] if k == axis else -1 for k in range(3))), state


def _of_one_row(state: Any) -> Any:
    """The same without the axis of the batch."""
    return tuple(part.squeeze(-2) for part in state) if isinstance(state, tuple) else state.squeeze(-2)


@contextmanager
def put_in(part: Any, form: Form, states: Sequence[Tensor]) -> Iterator[None]:
    """While it lasts, ``part`` ends in one state (B, n_state) after the other, the last one from then on."""
    hooks = {kind: dict(getattr(part, kind)) for kind in FORWARD_HOOKS}
    for kind in hooks:
        getattr(part, kind).clear()
    before, _PUT_IN.states = vars(part).get("forward"), list(states)
    part.forward = Given(form, isinstance(part, nn.RNNBase))
    try:
        yield
    finally:
        del part.forward, _PUT_IN.states
        if before is not None:
            part.forward = before
        for kind, held in hooks.items():
            getattr(part, kind).update(held)


class Substituted(nn.Module):
    """What ``held``, a copy that is kept, says at ``places`` of what it gives, in states x (B, n_state).

    ``sizes`` are the numbers that it says at each place.
    """

    def __init__(self, held: nn.Module, part_name: str, form: Form, way: Way, places: Sequence[int]) -> None:
        super().__init__()
        self.held, self.part_name, self.way, self.places = held, part_name, way, tuple(places)
        part: Any = held.get_submodule(part_name)
        for kind in FORWARD_HOOKS:
            getattr(part, kind).clear()
        part.forward = Given(form, isinstance(part, nn.RNNBase))
        self.n_input, self.dtype = part.input_size, next(iter(part.parameters())).dtype
        self.sizes: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        if self.way.rows == 1 and len(x) > 1:
            return torch.cat([self(row) for row in torch.split(x, 1)])
        _PUT_IN.states = [x.to(self.dtype)]
        u = x.new_zeros(1, len(x), self.n_input, dtype=self.dtype)
        found = tensors_of(self.way.call(self.held, u, still=True), 1)
        said = [found[place].reshape(len(x), -1) for place in self.places]
        self.sizes = tuple(part.shape[1] for part in said)
        return torch.cat(said, dim=1).to(x.dtype)


def tensors_of(given: Any, steps: int) -> list[Tensor]:
    """The tensors of real numbers in what a module gives; a list with one of every step is one."""
    if isinstance(given, PackedSequence):
        return [pad_packed_sequence(given)[0]]
    if isinstance(given, Tensor):
        return [given] if given.is_floating_point() else []
    if isinstance(given, Mapping):
        given = tuple(given.values())
    if not isinstance(given, tuple | list):
        return []
    shapes = {part.shape if isinstance(part, Tensor) else None for part in given}
    if isinstance(given, list) and len(given) == steps and len(shapes) == 1 and None not in shapes:
        return [torch.stack(given)]
    return [tensor for part in given for tensor in tensors_of(part, steps)]


def arranged(series: Tensor) -> list[Tensor]:
    """The ways in which modules give a series (T, B, k): whole or its end, time or batch first, flat, without k = 1."""
    batch, end = series.transpose(0, 1), series[-1]
    found = [series, batch, end, end.unsqueeze(0), end.unsqueeze(1), series.permute(1, 2, 0)]
    found += [series.flatten(0, 1), batch.flatten(0, 1), batch.flatten(1)]
    if series.shape[1] == 1:
        found += [series[:, 0], end[0]]
    return found + [part.squeeze(-1) for part in found if part.shape[-1] == 1]


def states_arranged(form: Form, x: Tensor) -> list[Tensor]:
    """The ways in which modules give states x (T, B, n_state): h and c of any layer, or of all of them."""
    parts = form.layout.parts
    found = [view for part in parts.values() for view in arranged(x[:, :, part])]
    for kind in "hc"[: len(form.layout.widths)]:
        layers = torch.stack([x[:, :, part] for key, part in parts.items() if key[0] == kind], dim=1)  # (T, L, B, w)
        found += [layers, layers[-1], layers[-1].transpose(0, 1), layers.transpose(1, 2), layers.permute(2, 0, 1, 3)]
        found += arranged(layers.transpose(1, 2).flatten(2))
    return [*found, *arranged(x)]


def off_by(given: Tensor, views: Sequence[Tensor], tolerance: float) -> float:
    """By how much a value differs from the nearest of those of its shape; infinite where there is none."""
    near = [view for view in views if view.shape == given.shape]
    if any(close(given.double(), view.double(), tolerance) for view in near):
        return 0.0
    return min((float((given - view).abs().nan_to_num(torch.inf).max()) for view in near), default=torch.inf)
