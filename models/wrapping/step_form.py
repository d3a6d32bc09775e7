"""How a user's step wants its arguments, and how that is found out: by trying it on a few rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ROWS = 5  # of a trial: few, and unlikely to be a width
MOST_LAYERS = 8  # of h that are tried
SAME = 1e-9  # what a row may differ by when it is computed in another batch

CONVENTIONS = ("step", "cell")
INPUT_NAMES = {"input", "inputs", "inp", "u", "input_", "x_t", "u_t", "data"}
STATE_NAMES = {"h", "hx", "hidden", "state", "h_prev", "h_0", "h0", "hidden_state", "prev", "h_t"}


@dataclass(frozen=True)
class Form:
    """How a step wants its arguments: the order, a time axis in the input, layers of h, and c beside h.

    ``time_axis`` of None gives the input as (B, m), 0 as (1, B, m), 1 as (B, 1, m). ``layers`` of 0 gives h as
    (B, n), else as (layers, B, n / layers).
    """

    convention: str  # "step": step(x, u) -> x';  "cell": cell(input, h) -> h' or (output, h')
    time_axis: int | None = None
    layers: int = 0
    paired: bool = False

    def pack(self, x: Tensor) -> Any:
        """A state (B, n_state) as the module wants it."""
        if not self.paired:
            return self._layered(x)
        return tuple(self._layered(half) for half in x.chunk(2, dim=1))

    def unpack(self, h: Any) -> Tensor:
        """Back to (B, n_state)."""
        if not self.paired:
            return self._flat(h)
        return torch.cat([self._flat(half) for half in h], dim=1)

    def parts(self, n_state: int) -> dict[str, slice]:
        """Where h_l0, h_l1, ..., and c_l0, ... lie in the state of a cell."""
        if self.convention == "step":
            return {}
        names = [f"{part}_l{k}" for part in ("h", "c")[: 1 + self.paired] for k in range(max(self.layers, 1))]
        width = n_state // len(names)
        return {name: slice(i * width, (i + 1) * width) for i, name in enumerate(names)}

    def _layered(self, x: Tensor) -> Tensor:
        return x if self.layers == 0 else x.reshape(len(x), self.layers, -1).transpose(0, 1).contiguous()

    def _flat(self, h: Tensor) -> Tensor:
        return h if self.layers == 0 else h.transpose(0, 1).flatten(1)

    def call(self, function: Callable[..., Any], x: Tensor, u: Tensor) -> Any:
        """What the function gives for its next state, as it gives it."""
        if self.convention == "step":
            return function(x, u)
        given = function(u if self.time_axis is None else u.unsqueeze(self.time_axis), self.pack(x))
        if self.paired:
            return given[1] if isinstance(given[1], tuple | list) else given
        return given[1] if isinstance(given, tuple | list) else given


def find_form(function: Callable[..., Any], n_state: int, n_input: int, convention: str | None, name: str) -> Form:
    """The first form in which the function takes states and inputs of these sizes and gives a next state.

    Raises ValueError where there is none, with what was tried; where both orders of the arguments fit and nothing
    tells which is meant; and where the function answers differently each time, or mixes the rows of a batch.
    """
    if convention not in (None, *CONVENTIONS):
        raise ValueError(f"convention is {convention!r}; it may be {', '.join(CONVENTIONS)}, or None to find out")
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, n_state, generator=draw, dtype=torch.float64) - 0.5
    u = torch.rand(ROWS, n_input, generator=draw, dtype=torch.float64) - 0.5
    reasons: dict[str, str] = {}
    fitting: dict[str, Form] = {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for form in _forms(n_state, convention):
            if form.convention in fitting:
                continue
            reason = _reason_against(form, function, x, u)
            if reason is None:
                fitting[form.convention] = form
            else:
                reasons.setdefault(form.convention, reason)
        if not fitting:
            tried = "; ".join(f"{_spelt(key, name)}: {reason}" for key, reason in reasons.items())
            raise ValueError(
                f"{name} takes no step with n_state={n_state} and n_input={n_input}. {tried}. It must give a next "
                f"state of the shape of the state, as step(x, u) -> x' or output, h_next = cell(input, h), in float64"
            )
        chosen = fitting[_meant(function, list(fitting), name)]
        _check_repeatable(chosen, function, x, u, name)
    return chosen


def _forms(n_state: int, convention: str | None) -> Iterator[Form]:
    if convention != "cell":
        yield Form("step")
    if convention == "step":
        return
    depths = [0, *(layers for layers in range(1, MOST_LAYERS + 1) if n_state % layers == 0)]
    for paired in (False, True):
        for layers in depths:
            if not paired or (n_state % (2 * max(layers, 1)) == 0):
                for time_axis in (None, 0, 1):
                    yield Form("cell", time_axis, layers, paired)


def _reason_against(form: Form, function: Callable[..., Any], x: Tensor, u: Tensor) -> str | None:
    """Why the function cannot be meant to be called in this form; None where it can."""
    try:
        given = form.call(function, x, u)
    except Exception as error:
        text = str(error).strip().splitlines()
        return f"{type(error).__name__}: {text[0] if text else 'no message'}"
    wanted = form.pack(x) if form.convention == "cell" else x
    if isinstance(given, tuple | list) and isinstance(wanted, tuple):
        shapes = [tuple(part.shape) for part in given if isinstance(part, Tensor)]
        if shapes != [tuple(part.shape) for part in wanted]:
            return f"gives a state of shapes {shapes} for one of {[tuple(part.shape) for part in wanted]}"
    elif isinstance(given, Tensor) and isinstance(wanted, Tensor):
        if given.shape != wanted.shape:
            return f"gives a state of shape {tuple(given.shape)} for states of shape {tuple(wanted.shape)}"
    else:
        return f"gives a {type(given).__name__} where a next state is due"
    new = form.unpack(given)
    return None if new.dtype == torch.float64 else f"computes in {new.dtype}, not in torch.float64"


def _meant(function: Callable[..., Any], fitting: list[str], name: str) -> str:
    """Of two conventions that fit, the one that the names of the arguments tell; step(x, u) for a plain function."""
    if len(fitting) == 1:
        return fitting[0]
    called = function.forward if isinstance(function, nn.Module) else function
    first, second = [*inspect.signature(called).parameters, "", ""][:2]
    cell = first in INPUT_NAMES or second in STATE_NAMES
    step = first in STATE_NAMES or second in INPUT_NAMES
    if cell != step:
        return "cell" if cell else "step"
    if not isinstance(function, nn.Module):
        return "step"
    raise ValueError(
        f"{name} can be called as step(x, u) and as cell(input, h), and its arguments {first}, {second} do not tell "
        "which is meant; give convention='step' or convention='cell'"
    )


def _check_repeatable(form: Form, function: Callable[..., Any], x: Tensor, u: Tensor, name: str) -> None:
    together, again = (form.unpack(form.call(function, x, u)) for _ in range(2))
    if not torch.equal(together.nan_to_num(), again.nan_to_num()):
        raise ValueError(f"{name} answers differently each time; take its noise out, or hold it still")
    alone = torch.cat([form.unpack(form.call(function, x[i : i + 1], u[i : i + 1])) for i in range(len(x))])
    if not torch.allclose(together, alone, rtol=SAME, atol=SAME, equal_nan=True):
        raise ValueError(f"{name} mixes the rows of a batch; each row of x must be stepped on its own")


def _spelt(convention: str, name: str) -> str:
    return f"As {name}(x, u)" if convention == "step" else f"as {name}(input, h)"
