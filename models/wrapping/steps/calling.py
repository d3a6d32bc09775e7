"""How a user's step is to be called, found out by trying every form that fits on a few rows.

A form fits that takes states and inputs of the sizes given and gives a next state of the state's shape, in float64,
the same one each time, and each row by itself. Forms that give the same next states are one. Where two different ones
are left, a sequence of two steps tells which of them the module itself follows, then the names of its arguments, and
where those do not tell either, the user is asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.wrapping.module_copy import ENDED, first_line, guarded
from dynsys.models.wrapping.steps.forms import INPUT_NAMES, STATE_NAMES, forms, signature_of
from dynsys.models.wrapping.steps.step_form import ORDERS, TIMES, Form, Layout, picks
from dynsys.systems.undisturbed import undisturbed
from dynsys.systems.user_function import takes_one_state

ROWS = 5  # of a trial: few, and unlikely to be a width
SAME = 1e-9  # relative to 1 + |value|: what rounding may change
SIZES = (0.1, 1.0, 3.0, 30.0, 300.0)  # of the rows of another batch, which a maximum over rows would tell apart

WORDS = (
    *("step", "cell", "state alone", "output first", "state first", *TIMES.values(), "one state", "h and c"),
    *("h, c apart", "layers first", "layers second", "list of layers", "1 layers", "2 layers, ..."),
)


class NoForm(ValueError):
    """There is no way, or more than one, to call it step by step."""


class NotFollowed(NoForm):
    """It takes a step in a form, and a sequence of two steps ends elsewhere than two such steps."""


@dataclass
class _Trial:
    """What came of trying: the forms that fit, each with the next states that it gives, and reasons against others."""

    function: Callable[..., Any]
    x: Tensor
    u: Tensor
    name: str
    fitting: list[tuple[Form, Tensor]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # forms that take the step, which is not one that can be used
    reasons: dict[str, str] = field(default_factory=dict)


def find_form(function: Callable[..., Any], n_state: int, n_input: int, convention: str | None, name: str) -> Form:
    """The form in which the function takes states and inputs of these sizes and gives a next state.

    Raises NoForm where there is none, with what was tried; where several fit that differ in what they give, and
    nothing tells which is meant; and where the function answers differently each time, or mixes the rows of a batch.
    """
    wanted = _words(convention)
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, n_state, generator=draw, dtype=torch.float64) - 0.5
    u = torch.rand(ROWS, n_input, generator=draw, dtype=torch.float64) - 0.5
    trial = _Trial(function, x, u, name)
    with undisturbed(), guarded(function):
        for form in forms(function, n_state, n_input):
            _try(trial, form, wanted)
        if not trial.fitting:
            raise NoForm(_none(trial, n_state, n_input, convention))
        groups = _followed(trial, _distinct(trial.fitting))
    return _meant(function, groups, name, n_input)[0]


def _words(convention: str | None) -> set[str]:
    words = {word.strip() for word in (convention or "").split(";") if word.strip()}
    unknown = [word for word in words if word not in WORDS and not word.endswith(" layers") and "state at" not in word]
    if unknown:
        raise ValueError(
            f"convention is {convention!r}; it may be 'step' or 'cell', or more of {', '.join(map(repr, WORDS[2:]))} "
            "with ; between them, or None to find out"
        )
    return words


def _try(trial: _Trial, form: Form, wanted: set[str]) -> None:
    """Call it in this form, and keep every reading of what it gives that can be a next state."""
    order = ORDERS[form.order]
    x, u = trial.x.clone(), trial.u.clone()
    try:
        given = form.call(trial.function, x, u)
    except ENDED as error:
        trial.reasons.setdefault(order, first_line(error))
        return
    if not torch.equal(x, trial.x) or not torch.equal(u, trial.u):
        trial.reasons[order] = "writes to what it is given, as x += ... does; give it x.clone()"
        return
    found = picks(given, form.layout, trial.x, form.time_axis)
    if found and form.layout.layers > 1 and _takes_one(trial, form):
        trial.reasons[order] = f"takes a state of {form.layout.widths[0]} numbers"
        return
    if not found:
        trial.reasons.setdefault(order, _unlike(given, form, trial.x))
    for pick in found:
        form = dataclasses.replace(form, pick=pick)
        if not wanted <= set(form.words()):
            continue
        new = form.layout.unpack(pick.of(given))
        reason = f"computes in {new.dtype}, not in torch.float64" if new.dtype != torch.float64 else None
        reason = reason or _unusable(trial, form)
        if reason is None:
            trial.fitting.append((form, new))
        elif form.is_plain:
            trial.wrong.append(f"{reason} (called as {form.told(trial.name, trial.u.shape[1])})")


def _takes_one(trial: _Trial, form: Form) -> bool:
    """Whether what looks like layers are so many states side by side, of a network with one layer."""
    narrow = _Trial(trial.function, trial.x[:, : sum(form.layout.widths)], trial.u, trial.name)
    for time_axis in {None, form.time_axis}:
        one = Form(form.order, Layout(form.layout.widths), time_axis, names=form.names)
        try:
            found = picks(one.call(trial.function, narrow.x, trial.u), one.layout, narrow.x, time_axis)
        except ENDED:
            continue
        if any(_unusable(narrow, dataclasses.replace(one, pick=pick)) is None for pick in found):
            return True
    return False


def _unusable(trial: _Trial, form: Form) -> str | None:
    """Why a form that takes the step does not make a system."""
    sizes = torch.tensor(SIZES, dtype=torch.float64).unsqueeze(1)
    for x, u in ((trial.x, trial.u), (2 * sizes * trial.x, 2 * trial.u)):
        try:
            together, again = (form.step(trial.function, x, u) for _ in range(2))
            alone = [form.step(trial.function, x[i : i + 1], u[i : i + 1]) for i in range(len(x))]
        except ENDED as error:
            return f"takes {len(x)} rows at once and not one alone ({first_line(error)}); a batch may have any size"
        if not torch.equal(together.nan_to_num(), again.nan_to_num()):
            return "answers differently each time; take its noise out, or hold it still"
        if any(row.shape != together[:1].shape for row in alone) or not close(together, torch.cat(alone)):
            return "mixes the rows of a batch; each row of x must be stepped on its own"
    here, there = (form.step(trial.function, x, trial.u) for x in (trial.x, trial.x.flip(0)))
    if form.layout.layers and close(here, there):
        return "gives a next state that the state does not change"
    return None


def close(a: Tensor, b: Tensor, tolerance: float = SAME) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def _distinct(fitting: list[tuple[Form, Tensor]]) -> list[list[Form]]:
    """Forms that give the same next states are one; the plainest first."""
    groups: list[tuple[Tensor, list[Form]]] = []
    for form, new in fitting:
        for value, forms_of_it in groups:
            if close(value, new):
                forms_of_it.append(form)
                break
        else:
            groups.append((new, [form]))
    return [forms_of_it for _, forms_of_it in groups]


def _followed(trial: _Trial, groups: list[list[Form]]) -> list[list[Form]]:
    """The groups that a sequence of two steps confirms, or else those that it does not speak against."""
    off = [[_off(trial, form) for form in group] for group in groups]
    sizes = [size for sizes in off for size in sizes]
    if all(size is not None and size > 0 for size in sizes):
        raise NotFollowed(
            f"{trial.name} ends a sequence of two steps elsewhere than two calls of one step each, by up to "
            f"{min(size or 0.0 for size in sizes):.2g}: what it carries from step to step is not what it takes and "
            "gives. Give a function step(x, u) -> x' of all that it carries"
        )
    unsure = [form.time_axis is not None for group in groups for form in group]
    legal = (0.0,) if 0.0 in sizes and all(unsure) else (0.0, None)
    kept = [[form for form, size in zip(*both, strict=True) if size in legal] for both in zip(groups, off, strict=True)]
    return [group for group in kept if group]


def _off(trial: _Trial, form: Form) -> float | None:
    """By how much two calls differ from a sequence of two steps; None where it takes none, or nothing comparable."""
    if form.time_axis is None:
        return None
    x, u = trial.x, trial.u
    sequence = torch.stack([u, u.flip(0)])
    try:
        at_once = form.step(trial.function, x, sequence)
    except Exception:
        return None
    twice = form.step(trial.function, form.step(trial.function, x, sequence[0]), sequence[1])
    if at_once.shape != twice.shape:
        return None
    return 0.0 if close(at_once, twice) else float((at_once - twice).abs().nan_to_num(torch.inf).max())


def _meant(function: Callable[..., Any], groups: list[list[Form]], name: str, n_input: int) -> list[Form]:
    """Of groups that differ, the one that names tell: of the arguments, or of what comes back; then the plainest state.

    For a plain function, that is step(x, u).
    """
    order = _order_named(function)
    if order is None and not isinstance(function, nn.Module):
        order = "step"
    left = [group for group in groups if order in (None, ORDERS[group[0].order])] or groups
    left = [group for group in left if group[0].pick.place in STATE_NAMES] or left
    if len({ORDERS[group[0].order] for group in left}) == 1:
        left = [group for group in left if group[0].layout.layers == 0] or left
    if len(left) == 1:
        return left[0]
    (one, *_), (other, *_), *_ = left
    if one.words() == other.words():
        raise NoForm(
            f"{name} gives several values of the state's shape, as {one.told(name, n_input)}, and which is the next "
            "state is not told; give a function that gives it alone, or with one output"
        )
    words = [next((w for w in a.words() if w not in b.words()), a.words()[0]) for a, b in ((one, other), (other, one))]
    raise NoForm(
        f"{name} can be called as {one.told(name, n_input)} and as {other.told(name, n_input)}, which give different "
        f"next states, and its arguments do not tell which is meant; give convention={words[0]!r} or "
        f"convention={words[1]!r}"
    )


def _order_named(function: Callable[..., Any]) -> str | None:
    """Which of the two arguments is the state, by their names."""
    first, second = [*(p.name for p in signature_of(function) or []), "", ""][:2]
    cell = first in INPUT_NAMES or second in STATE_NAMES
    step = first in STATE_NAMES or second in INPUT_NAMES
    return None if cell == step else "cell" if cell else "step"


def _unlike(given: Any, form: Form, x: Tensor) -> str:
    shapes = _shapes(given)
    wanted = form.layout.pack(x)
    return f"gives {shapes} for a state of {_shapes(wanted if len(wanted) > 1 else wanted[0])}"


def _shapes(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"shape {tuple(given.shape)}"
    if isinstance(given, tuple | list):
        return f"({', '.join(_shapes(part) for part in given)})"
    return f"a {type(given).__name__}"


def _none(trial: _Trial, n_state: int, n_input: int, convention: str | None) -> str:
    if trial.wrong:
        return f"{trial.name} {trial.wrong[0]}"
    spelt = {"step": f"As {trial.name}(x, u)", "cell": f"as {trial.name}(input, h)"}
    tried = (
        "; ".join(f"{spelt[order]}: {reason}" for order, reason in trial.reasons.items())
        or "It does not take two arguments"
    )
    if "dtype" in tried or "scalar type" in tried:
        tried += ". Where it casts to another precision inside, by .float() or with a tensor of its own, take that out"
    if takes_one_state(trial.function, trial.x, trial.u):
        tried += f". It takes one state, x[0], x[1], ...: give torch.vmap({trial.name}) in its place"
    if "ndarray" in tried:
        tried += ". Compute in torch throughout, not in NumPy"
    asked = "" if convention is None else f" in the convention {convention!r}"
    return (
        f"{trial.name} takes no step with n_state={n_state} and n_input={n_input}{asked}. {tried}. It must give "
        "a next state of the shape of the state, as step(x, u) -> x' or output, h_next = cell(input, h), in float64"
    )
