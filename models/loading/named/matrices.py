"""Matrices that the user names: what each role of an equation is in the file, worked out and fitted to its shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsys.io.errors import CheckpointError, printable
from dynsys.models.loading.choices import Choices, listed, weights
from dynsys.models.loading.contents import Contents
from dynsys.models.loading.named.expressions import ExpressionError, evaluate, keys_in

Array = NDArray[np.float64]
Shape = tuple[int | None, int | None]


class Named:
    """The expressions that were given for the roles of an equation, and the arrays that they make.

    Shapes decide whether a matrix acts from the left or the right where they can; a square one acts from the left
    unless ``transposed`` says otherwise, whatever the others do. ``used`` collects the keys that play a
    part, ``why`` what each role was taken to be, and ``assumptions()`` tells what could not be decided.
    """

    def __init__(self, path: Path, contents: Contents, choices: Choices) -> None:
        self.path, self.contents, self.choices = path, contents, choices
        self.texts = {role: text for role, text in choices.matrices.items() if text}
        self.used: list[str] = []
        self.why: list[str] = []
        self._turned: list[str] = []
        self._square: list[str] = []

    def __contains__(self, role: str) -> bool:
        return role in self.texts

    def value(self, role: str) -> Array:
        """What the expression of a role is; raises CheckpointError where it cannot be worked out."""
        return self._worked_out(self.texts[role], f"--matrix {role}")

    def number(self, option: str, text: float | str) -> Array:
        """A number, or what an expression is, for an option that takes either."""
        if isinstance(text, float | int):
            return np.asarray(float(text))
        return self._worked_out(text, f"--{option}").squeeze()

    def _worked_out(self, text: str, option: str) -> Array:
        arrays, odd = self.contents.arrays, self.contents.odd
        try:
            keys = keys_in(text, {**arrays, **odd})
            for key in keys:
                if key in odd:
                    raise CheckpointError(self.path, f"its array {printable(key)} is {odd[key]}", "save real numbers")
            value = evaluate(text, {key: weights(self.path, arrays, key) for key in keys})
        except ExpressionError as error:
            raise CheckpointError(self.path, f"{option}={text}: {error}", f"it holds {listed(arrays)}") from error
        bad = int((~np.isfinite(value)).sum())
        if bad:
            raise CheckpointError(self.path, f"{option}={text} has {bad} values that are not finite", "mend it")
        self.used += [key for key in keys if key not in self.used]
        return value

    def shown(self, role: str, value: Array) -> str:
        return f"{printable(self.texts[role])} {tuple(value.shape)}"

    def matrix(self, role: str, legal: Shape, *, from_the_right: bool = False) -> Array:
        """A matrix (rows, columns) with None for any number; a vector counts as a single row or column.

        ``from_the_right`` says that the convention of the file keeps this one as x W.
        """
        given = self.value(role)
        value = _two_axes(given, legal)
        first = bool(self.choices.transposed) or from_the_right
        ways = [turn for turn in (first, not first) if value.ndim == 2 and _fits(value.T if turn else value, legal)]
        if not ways:
            needs = "(" + ", ".join("any" if size is None else str(size) for size in legal) + ")"
            wrong = f"{self.shown(role, given)} cannot be the {role} matrix"
            raise CheckpointError(self.path, wrong, f"it needs {needs}, or its transpose; say it with .T and slices")
        turn = ways[0]
        if given.ndim == 2 and min(given.shape) > 1:
            if len(ways) == 2 and given.shape[0] == given.shape[1] and not from_the_right:
                self._square.append(f"{role} {self.shown(role, given)}")
            elif turn and not self.choices.transposed and not from_the_right:
                self._turned.append(f"{role} {self.shown(role, given)}")
        turned = ", turned, as it acts from the right" if turn and given.ndim == 2 and min(given.shape) > 1 else ""
        self._say(role, given, turned)
        return np.ascontiguousarray(value.T if turn else value)

    def vector(self, role: str, size: int) -> Array:
        """A vector of that size, kept as a row, a column or a plain one; a single number fits any size."""
        value = self.value(role)
        if value.size not in (1, size):
            raise CheckpointError(
                self.path, f"{self.shown(role, value)} cannot be the {role}", f"it needs {size} values"
            )
        self._say(role, value)
        return np.array(np.broadcast_to(value.ravel(), size))

    def square(self, role: str) -> Array:
        """A matrix (n, n), whose size gives the number of units."""
        value = self.value(role)
        if value.size == 1:
            value = value.reshape(1, 1)
        if value.ndim != 2 or value.shape[0] != value.shape[1] or len(value) == 0:
            wrong = f"{self.shown(role, value)} cannot be the {role} matrix"
            raise CheckpointError(self.path, wrong, "N units need (N, N)")
        return self.matrix(role, (len(value), len(value)))

    def per_unit(self, name: str, n: int, default: float | str | None) -> float | Array | None:
        """tau or alpha: a number, or one for each of n units; None where nothing is given."""
        text = getattr(self.choices, name)
        text = default if text is None else text
        if text is None:
            return None
        value = self.number(name, text)
        if value.size not in (1, n):
            wrong = f"--{name}={text} has {value.size} values"
            raise CheckpointError(self.path, wrong, f"give one, or one for each of {n} units")
        if value.size > 1 or isinstance(text, str):
            self.why.append(f"{name} is {printable(str(text))} {tuple(value.shape)}")
        return float(value.ravel()[0]) if value.size == 1 else value.ravel()

    def assumptions(self) -> list[str]:
        """What no shape told of the side from which the matrices act."""
        if self.choices.transposed or not self._square:
            return []
        which, first = " and ".join(self._square), self._square[0].split(" ")[0]
        if self._turned:
            others = " and ".join(self._turned)
            return [
                f"{which} acts from the left, W x, as its shape does not tell, though {others} acts from the right; "
                f"if it does as well, --matrix {first}='{self.texts[first]}.T'"
            ]
        return [
            f"{which} acts from the left, W x, as its shape does not tell; --transposed for x W, as TensorFlow and "
            "Keras keep them, or .T behind one of them"
        ]

    def _say(self, role: str, value: Array, more: str = "") -> None:
        self.why.append(f"{role} is {self.shown(role, value)}{more}")


def _two_axes(value: Array, legal: Shape) -> Array:
    """A vector or a number as the single row or column that the role leaves room for; leading axes of one are none."""
    while value.ndim > 2 and value.shape[0] == 1:
        value = value[0]
    if value.ndim >= 2:
        return value
    return value.reshape(-1, 1) if legal[0] is not None else value.reshape(1, -1)


def _fits(value: Array, legal: Sequence[int | None]) -> bool:
    return all(want in (None, got) for want, got in zip(legal, value.shape, strict=True))
