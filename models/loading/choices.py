"""What a user says of a file that does not say it itself, and what was made of the two together."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError, printable
from dynsys.io.files import Arrays
from dynsys.models.activations import activation_named

PLAIN = ("recurrent", "input", "bias", "readout", "readout_bias")
GATES = {"gru": "rzn", "lstm": "ifgo"}
GATED = ("recurrent", "input", "bias", "recurrent_bias")
ROLES: dict[str, tuple[str, ...]] = {  # of each form, in the order of its equation
    "rnn": (*PLAIN, "initial"),
    "rate": PLAIN,
    "activity": PLAIN,
    "leaky": (*PLAIN, "initial"),
    "leaky-rate": (*PLAIN, "initial"),
    "esn": (*PLAIN, "feedback", "initial"),
    "low-rank": ("m", "n", "input", "bias", "readout", "readout_bias"),
    "plrnn": ("A", "W", "h", "W1", "W2", "h1", "h2", "input", "readout", "readout_bias"),
    **{
        form: (
            *GATED,
            *(f"{role}_{gate}" for gate in gates for role in GATED),
            *(("peephole",) if form == "lstm" else ()),
            "readout",
            "readout_bias",
            "initial",
        )
        for form, gates in GATES.items()
    },
}
FORMS = tuple(ROLES)
DIRECTIONS = ("forward", "backward")
CONVENTIONS = ("torch", "keras", "keras reset_after=False", "onnx", "flax", "matlab", "clipped")
PER_UNIT = ("alpha", "tau")


@dataclass(frozen=True)
class Choices:
    """What to take for what in a file of another tool; each field is the option of that name on the command line.

    ``activation`` is f of the network by any of its usual names, ``gate_activation`` that of a gated network's gates.
    ``part`` says which of several recurrent networks, ``direction`` which half of a bidirectional one. ``form`` is the
    equation of matrices that ``matrices`` names, {role: expression of arrays in the file}, with the roles of
    ``ROLES[form]``; ``transposed`` says that they act from the right (x W). ``tau`` is a time constant and ``alpha``
    the leak of a step, a number or an expression (one for each unit). ``convention`` names the tool whose gates these
    are, ``gates`` their order in a stacked matrix, like "ifgo". ``ignore`` holds keys, or beginnings of keys that end
    in *, of arrays and settings that play no part in the step. ``replay`` is a file with a trial: of the readings that
    are possible the one is taken that reproduces it. Raises ValueError for a value that is not legal.
    """

    activation: str | None = None
    gate_activation: str | None = None
    part: str | None = None
    direction: str | None = None
    form: str | None = None
    matrices: Mapping[str, str] = field(default_factory=dict)
    transposed: bool = False
    tau: float | str | None = None
    alpha: float | str | None = None
    convention: str | None = None
    gates: str | None = None
    ignore: tuple[str, ...] = ()
    replay: str | None = None

    def __post_init__(self) -> None:
        for name, legal in {"direction": DIRECTIONS, "form": FORMS, "convention": CONVENTIONS}.items():
            value = getattr(self, name)
            if value is not None and value not in legal:
                raise ValueError(f"{name} is {value!r}; it can be {', '.join(legal)}")
        self._check_roles()
        for name in PER_UNIT:
            object.__setattr__(self, name, _number_or_text(getattr(self, name)))
        for name in ("activation", "gate_activation"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _activation(name, getattr(self, name)))
        if isinstance(self.tau, float) and not 0 < self.tau < float("inf"):
            raise ValueError(f"tau is {self.tau}; a time constant is positive")
        if isinstance(self.alpha, float) and not 0 < self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; of a leaky step, x' = (1 - alpha) x + ..., it is in (0, 1]")
        kept = (self.ignore,) if isinstance(self.ignore, str) else tuple(self.ignore)
        object.__setattr__(self, "ignore", kept)

    def _check_roles(self) -> None:
        """A role is one of the form's; where no form is given, those that stand around a recognised cell are meant."""
        legal = ROLES[self.form] if self.form is not None else tuple(dict.fromkeys(sum(ROLES.values(), ())))
        for role, text in self.matrices.items():
            if role not in legal:
                which = f"a network of the form {self.form}" if self.form else "a network"
                raise ValueError(f"there is no matrix called {role!r}; {which} has {', '.join(legal)}")
            if not isinstance(text, str):
                raise ValueError(
                    f"matrices[{role!r}] is a {type(text).__name__}; give a key of the file or an expression"
                )

    def given(self) -> dict[str, Any]:
        """The choices that were made, without the rest: what has to be known to load the network again."""
        default = Choices()
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            key: dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            for key, value in made.items()
            if value != getattr(default, key)
        }

    def refuse(self, path: Path, names: tuple[str, ...], because: str) -> None:
        """Raise CheckpointError where one of the choices ``names`` was made although it means nothing here."""
        for name in names:
            if name in self.given():
                option = "--matrix" if name == "matrices" else option_of(name)
                raise CheckpointError(path, f"{option} means nothing for it: {because}", f"leave {option} out")

    def ignores(self, key: str) -> bool:
        """Whether the user said that this array or setting plays no part."""
        return any(key.startswith(p[:-1]) if p.endswith("*") else key == p for p in self.ignore)


@dataclass(frozen=True)
class Recognised:
    """A network in a file of another tool: its model in ``MODELS``, the arrays by the model's own names, and why.

    ``why`` says by what it was recognised, ``assumed`` what the file does not tell and the option that overrides it,
    ``unused`` which arrays play no part. ``choices`` are those by which it is loaded again where a replay chose them.
    """

    model: str
    arrays: Arrays
    settings: dict[str, Any]
    why: tuple[str, ...]
    assumed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    choices: Mapping[str, Any] | None = None


def option_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def line_of(matrices: Mapping[str, str], **choices: Any) -> str:
    """The options of the command line that say these choices, ready for a shell."""
    said = [f"{option_of(name)} {shlex.quote(str(value))}" for name, value in choices.items() if value is not None]
    return " ".join([*said, *(f"--matrix {shlex.quote(f'{role}={text}')}" for role, text in matrices.items())])


def shown(key: str, arrays: Arrays) -> str:
    """An array as it is spoken of: its key and its shape."""
    return f"{printable(key)} {tuple(arrays[key].shape)}"


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


def _number_or_text(value: Any) -> float | str | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _activation(option: str, name: Any) -> str:
    try:
        return activation_named(str(name))
    except ValueError as error:
        raise ValueError(str(error).replace("activation is", f"{option} is", 1)) from error
