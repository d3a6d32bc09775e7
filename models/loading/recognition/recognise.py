"""Which network is in a file of another tool, told from the names and shapes of its arrays and from its configuration.

Tried in turn: matrices that the user named; the recurrent layers of tools that say themselves what they are; torch's
recurrent modules; the names that our own networks give theirs.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dynsys.models.conventions.layers import recognise_layers
from dynsys.models.loading.choices import Choices, Recognised
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.named.forms import from_named
from dynsys.models.loading.named.replay import replayed
from dynsys.models.loading.recognition.effective import effective
from dynsys.models.loading.recognition.our_names import by_our_names
from dynsys.models.loading.recognition.state_dict import find_parts
from dynsys.models.loading.recognition.torch_module import torch_module

AROUND = ("readout", "readout_bias", "initial")  # what can be named around a cell with torch's names


def recognise(path: Path, contents: Contents, choices: Choices) -> Recognised:
    """The network that the arrays are, and why; CheckpointError lists what the file holds and says what to do."""
    choices = _within(contents.container, choices)
    if choices.replay is not None:
        return replayed(path, contents, choices, recognise)
    if choices.form is not None or any(role not in AROUND for role in choices.matrices):
        return from_named(path, contents, choices)
    layers = recognise_layers(path, contents, choices)
    if layers is not None:
        return layers
    whole = effective(contents.arrays)
    contents = dataclasses.replace(contents, arrays=whole.arrays)
    parts = find_parts(path, contents.arrays)
    if parts:
        found = torch_module(path, contents, parts, choices)
        made = tuple(f"{key} is made of {words}" for key, (_, words) in whole.made.items())
        return dataclasses.replace(found, why=(*found.why, *made))
    return by_our_names(path, contents, choices)


def _within(container: str, choices: Choices) -> Choices:
    """The choices with keys as ``contents`` has them, whether or not the user wrote the entry that holds them all."""
    if not container:
        return choices
    short = {role: text.replace(f"{container}.", "") for role, text in choices.matrices.items()}
    part = choices.part and choices.part.removeprefix(f"{container}.")
    ignore = (*choices.ignore, *(key.removeprefix(f"{container}.") for key in choices.ignore))
    alpha, tau = (v.replace(f"{container}.", "") if isinstance(v, str) else v for v in (choices.alpha, choices.tau))
    ignore = tuple(dict.fromkeys(ignore))
    return dataclasses.replace(choices, matrices=short, part=part, ignore=ignore, alpha=alpha, tau=tau)
