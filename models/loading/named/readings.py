"""Every reading that a file and its user leave open: f, sides, order of gates, reset gate, leak, mask and signs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from dynsys.models.activations import ACTIVATIONS, GATES
from dynsys.models.loading.choices import Choices
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.configured import SIGNS
from dynsys.models.loading.evidence.remedies import MASKS
from dynsys.models.loading.evidence.stated import ALPHAS, TAUS, is_called, words_of
from dynsys.models.loading.recognition.hints import guessed_roles

ORDERS = ("torch", "keras", "keras reset_after=False", "onnx", "flax")


def readings(contents: Contents, choices: Choices) -> Iterator[Choices]:
    """The choices with everything filled in that they and the file leave open."""
    everything = tuple(contents.arrays) + tuple(contents.settings)
    ignore = (*choices.ignore, *everything)
    for start in _starts(contents, choices):
        activations = [start.activation] if start.activation else [*ACTIVATIONS, None]
        for activation, matrices, convention, gate in itertools.product(
            activations, _sides(start), _conventions(start), _gates(start)
        ):
            filled = dataclasses.replace(start, activation=activation, matrices=matrices, ignore=ignore)
            yield dataclasses.replace(filled, convention=convention, gate_activation=gate)


def _starts(contents: Contents, choices: Choices) -> Iterator[Choices]:
    """As torch's names say, where the user names no matrices; and by every equation that the matrices could be of."""
    if choices.form is not None:
        yield from (dataclasses.replace(choices, matrices=m) for m in _masked(contents, dict(choices.matrices)))
        return
    around = {role: text for role, text in choices.matrices.items() if role in ("readout", "readout_bias", "initial")}
    if len(around) == len(choices.matrices):
        yield choices
        yield from [] if choices.transposed else [dataclasses.replace(choices, transposed=True)]
    roles = dict(choices.matrices) if len(around) < len(choices.matrices) else {**guessed_roles(contents), **around}
    if "recurrent" not in roles:
        return
    leaks: list[float | str | None] = [choices.alpha] if choices.alpha is not None else list(_leaks(contents))
    for matrices in _masked(contents, roles):
        if choices.alpha is None:
            yield dataclasses.replace(choices, form="rnn", matrices=matrices)
        for alpha, form in itertools.product(leaks, ("leaky", "leaky-rate")):
            own = {k: v for k, v in matrices.items() if k != "initial" or form != "rate"}
            yield dataclasses.replace(choices, form=form, alpha=alpha, matrices=own)


def _leaks(contents: Contents) -> Iterator[float]:
    """a, 1 - a, dt and dt / tau of what the file calls so."""
    numbers = {k: float(v) for k, v in contents.settings.items() if isinstance(v, int | float) and v is not True}
    found = [value for key, value in numbers.items() if is_called(key, (*ALPHAS, "decay"))]
    found += [1 - value for value in found]
    steps = [1.0, *(value for key, value in numbers.items() if is_called(key, ("dt",)))]
    found += [dt / tau for key, tau in numbers.items() if is_called(key, TAUS) and tau for dt in steps]
    yield from dict.fromkeys(value for value in found if 0 < value <= 1)


def _masked(contents: Contents, roles: dict[str, str]) -> Iterator[dict[str, str]]:
    """The recurrent matrix as it is, and under the masks and signs of the file."""
    yield roles
    if "recurrent" not in roles:
        return
    W = roles["recurrent"]
    arrays = contents.arrays
    called = {key: words_of(key.rpartition(".")[2]) for key in arrays if key not in W}
    n = len(arrays[W]) if W in arrays else 0
    masks = [key for key, words in called.items() if words & MASKS and arrays[key].shape == (n, n)]
    signs = [key for key, words in called.items() if words & SIGNS and arrays[key].size in (n, n * n) and n > 1]
    for mask in [None, *masks[:2]]:
        held = f"{W} * {mask}" if mask else W
        if mask:
            yield {**roles, "recurrent": held}
        for sign in signs[:2]:
            D = sign if arrays[sign].size == n * n else f"diag({sign})"
            for text in (f"abs({held}) @ {D}", f"({held}) @ {D}", f"{D} @ abs({held})", f"relu({held}) @ {D}"):
                yield {**roles, "recurrent": text}


def _sides(choices: Choices) -> Iterator[Mapping[str, str]]:
    """Every recurrent matrix as it is and turned, all alike; shapes decide about the others."""
    yield choices.matrices
    turned = {
        role: f"({text}).T" if role.startswith("recurrent") and "bias" not in role else text
        for role, text in choices.matrices.items()
    }
    if choices.form is not None and not choices.transposed and turned != dict(choices.matrices):
        yield turned


def _conventions(choices: Choices) -> list[str | None]:
    if choices.form in ("gru", "lstm") and choices.convention is None:
        return list(ORDERS)
    return [choices.convention]


def _gates(choices: Choices) -> list[str | None]:
    if choices.form in ("gru", "lstm") and choices.gate_activation is None:
        return list(GATES)
    return [choices.gate_activation]
