"""What a user says of a file that does not say it itself, and what was made of the two together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.errors import CheckpointError
from dynsys.files import Arrays

ROLES = ("recurrent", "input", "bias", "readout", "readout_bias", "initial")
FORMS = ("rnn", "rate", "activity")
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True)
class Choices:
    """What to take for what in a file of another tool; each field is the option of that name on the command line.

    ``activation`` is f of an RNN or a rate network, ``part`` which of several recurrent networks, ``direction`` which
    half of a bidirectional one. ``form`` is the equation of matrices that ``matrices`` names, {role: key in the file},
    with the roles of ``ROLES``; ``transposed`` says that they act from the right (x W), and ``tau`` is a time constant.
    Raises ValueError for a value that is not legal.
    """

    activation: str | None = None
    part: str | None = None
    direction: str | None = None
    form: str | None = None
    matrices: Mapping[str, str] = field(default_factory=dict)
    transposed: bool = False
    tau: float | None = None

    def __post_init__(self) -> None:
        for name, legal in {"direction": DIRECTIONS, "form": FORMS}.items():
            value = getattr(self, name)
            if value is not None and value not in legal:
                raise ValueError(f"{name} is {value!r}; it can be {', '.join(legal)}")
        unknown = [role for role in self.matrices if role not in ROLES]
        if unknown:
            raise ValueError(f"there is no matrix called {unknown[0]!r}; a network has {', '.join(ROLES)}")
        if self.tau is not None and not 0 < self.tau < float("inf"):
            raise ValueError(f"tau is {self.tau}; a time constant is positive")

    def given(self) -> dict[str, Any]:
        """The choices that were made, without the rest: what has to be known to load the network again."""
        default = Choices()
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in made.items()
            if value != getattr(default, key)
        }

    def refuse(self, path: Path, names: tuple[str, ...], because: str) -> None:
        """Raise CheckpointError where one of the choices ``names`` was made although it means nothing here."""
        for name in names:
            if name in self.given():
                option = "--matrix" if name == "matrices" else f"--{name}"
                raise CheckpointError(path, f"{option} means nothing for it: {because}", f"leave {option} out")


@dataclass(frozen=True)
class Recognised:
    """A network in a file of another tool: its model in ``MODELS``, the arrays by the model's own names, and why.

    ``why`` says by what it was recognised, ``assumed`` what the file does not tell and the option that overrides it,
    ``unused`` which arrays play no part.
    """

    model: str
    arrays: Arrays
    settings: dict[str, Any]
    why: tuple[str, ...]
    assumed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def shown(key: str, arrays: Arrays) -> str:
    """An array as it is spoken of: its key and its shape."""
    return f"{key} {tuple(arrays[key].shape)}"


def listed(arrays: Arrays, limit: int = 30) -> str:
    keys = list(arrays)
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(shown(key, arrays) for key in keys[:limit]) or "no arrays") + more


def weights(path: Path, arrays: Arrays, key: str) -> NDArray[np.float64]:
    """The array of that key in float64; raises CheckpointError where it is not finite."""
    values = np.asarray(arrays[key], dtype=np.float64)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise CheckpointError(
            path, f"{key} holds {bad} values that are NaN or infinite", "training went wrong: take an earlier one"
        )
    return values
