"""Keras cells of a user's own class: the lines that say their equation, with kernels that act from the right."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dynsys.models.loading.choices import line_of
from dynsys.models.loading.configured import called_a_leak
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.remedies import of_vanilla
from dynsys.models.loading.stated import said_words

SIDES = {"recurrent": "recurrent_kernel", "input": "kernel"}


def own_equation(contents: Contents, roles: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """What to say of a cell with arrays of these roles: leaky where an array or its configuration says a leak."""
    said = {role: f"{roles[key]}.T" for role, key in SIDES.items() if key in roles}
    said |= {"bias": roles["bias"]} if "bias" in roles else {}
    R = contents.arrays.get(roles.get("recurrent_kernel", ""))
    numbers = {k: v for k, v in config.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    activation = config.get("activation") if isinstance(config.get("activation"), str) else None
    leaks = [key for key in (*roles.values(), *numbers) if called_a_leak(said_words(key))]
    if leaks and R is not None and R.ndim == 2 and R.shape[0] == R.shape[1]:
        known = dataclasses.replace(contents, settings={**contents.settings, **numbers})
        lines = of_vanilla(known, said, leaks, "", activation)
        if lines:
            return f"{lines}; or dynsys.Map"
    line = line_of(said, activation=activation)
    return f"if not, --form with its equation (rnn, leaky, rate, ...) and {line}; or dynsys.Map"
