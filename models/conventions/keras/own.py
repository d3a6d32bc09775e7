"""Keras's names for what is no layer of Keras: cells of a user's own class, and modules of torch that call theirs so.

The lines say their equation, with kernels that act from the right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dynsys.models.conventions.keras.cells import SIDES
from dynsys.models.loading.choices import line_of, shown
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.evidence.configured import called_a_leak
from dynsys.models.loading.evidence.remedies import of_vanilla
from dynsys.models.loading.evidence.stated import said_words
from dynsys.models.loading.recognition.state_dict import IN_PYTHON

OF_HASTE = {
    "lstm": ({"gates": "igfo"}, "i, g, f, o"),
    "gru": ({"gates": "zrn", "convention": "torch"}, "z, r, g with the reset after the product"),
}


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


def kept_by_torch(
    contents: Contents, name: str, model: str | None, roles: Mapping[str, str], others: list[str]
) -> tuple[str, str]:
    """What is wrong with kernels in a file of torch's, which Keras does not write, and the lines for those who do."""
    bias = next((key for key in others if key.rpartition(".")[2] == "recurrent_bias"), None)
    if bias is not None:
        roles, others = {**roles, "recurrent_bias": bias}, [key for key in others if key != bias]
    beside = f", beside {', '.join(shown(key, contents.arrays) for key in others)}" if others else ""
    wrong = f"{name or 'the network'} has Keras's names in a file of torch's, where their order is not known{beside}"
    if others or model not in OF_HASTE:
        return wrong, f"{IN_PYTHON}; {own_equation(contents, roles, {})}"
    said = {role: f"{roles[key]}.T" for role, key in SIDES.items() if key in roles}
    said |= {key: roles[key] for key in ("bias", "recurrent_bias") if key in roles}
    options, words = OF_HASTE[model]
    line, keras = line_of(said, form=model, **options), line_of(said, form=model, convention="keras")
    return wrong, f"if its gates are haste's, {words}, {line}; if they are Keras's, {keras}; {IN_PYTHON}"
