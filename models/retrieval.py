"""Associative retrieval (Ba et al. 2016, section 4.1): strings like c9k8j3f1??c, and the digit that went with the c."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.models.flipflop import Trial

Ints = NDArray[np.int64]

LETTERS, DIGITS = string.ascii_lowercase, string.digits
CHARACTERS = LETTERS + DIGITS + "?"
SETS = {"train": 100_000, "validation": 10_000, "test": 20_000}  # strings of the paper


@dataclass(frozen=True)
class Strings:
    """n strings as the numbers of their characters, (n, 2 pairs + 3), and the digits that are asked for, (n,)."""

    characters: Ints
    answers: Ints

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, which: Any) -> Strings:
        return Strings(self.characters[which], self.answers[which])

    def texts(self) -> list[str]:
        return ["".join(CHARACTERS[c] for c in row) for row in self.characters]


@dataclass(frozen=True)
class Retrieval:
    """Strings of ``pairs`` different letters, each with a digit, then ``??`` and one of the letters."""

    pairs: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= len(LETTERS):
            raise ValueError(f"pairs is {self.pairs}; the letters of a string differ, so 1 to {len(LETTERS)} are legal")

    @property
    def length(self) -> int:
        return 2 * self.pairs + 3

    @property
    def n_input(self) -> int:
        """One channel for each character."""
        return len(CHARACTERS)

    def trial(self, steps: int, seed: int | list[int]) -> Trial:
        """Strings one after the other for ``steps`` steps, each character a 1 on its own channel; nothing is judged."""
        count = -(-steps // self.length)
        rows = self._drawn(count, np.random.default_rng(seed)).reshape(-1)[:steps]
        inputs = np.eye(len(CHARACTERS))[rows]
        return Trial(inputs, np.zeros((len(inputs), len(DIGITS))), np.zeros(len(inputs), dtype=np.bool_))

    def sets(self, seed: int = 0, **sizes: int) -> dict[str, Strings]:
        """Sets of the given sizes (``SETS`` unless given), of which no two share a string, and none holds one twice.

        Raises ValueError where there are not so many strings.
        """
        sizes = sizes or SETS
        total, rng = sum(sizes.values()), np.random.default_rng(seed)
        if total > self.count() // 2:
            raise ValueError(f"{total} different strings of {self.pairs} pairs are asked for; there are {self.count()}")
        rows = self._drawn(total, rng)
        while len(rows) < total:
            rows = _each_once(np.concatenate([rows, self._drawn(total, rng)]))
        parts = np.split(rows[:total], np.cumsum(list(sizes.values()))[:-1])
        return {name: self._of_rows(part) for name, part in zip(sizes, parts, strict=True)}

    def count(self) -> int:
        """How many strings there are."""
        letters = int(np.prod([len(LETTERS) - k for k in range(self.pairs)], dtype=object))
        return letters * len(DIGITS) ** self.pairs * self.pairs

    def parse(self, *texts: str) -> Strings:
        """The strings of these texts; raises ValueError where one is no string of the task."""
        return self._of_rows(np.array([self._numbers(text) for text in texts], dtype=np.int64))

    def _drawn(self, n: int, rng: np.random.Generator) -> Ints:
        """n random strings, of which those that came before are left out."""
        letters = rng.random((n, len(LETTERS))).argsort(axis=1)[:, : self.pairs]
        digits = len(LETTERS) + rng.integers(len(DIGITS), size=(n, self.pairs))
        asked = letters[np.arange(n), rng.integers(self.pairs, size=n)]
        marks = np.full((n, 2), CHARACTERS.index("?"))
        pairs = np.stack([letters, digits], axis=2).reshape(n, -1)
        return _each_once(np.concatenate([pairs, marks, asked[:, None]], axis=1))

    def _of_rows(self, rows: Ints) -> Strings:
        letters, digits = rows[:, 0 : 2 * self.pairs : 2], rows[:, 1 : 2 * self.pairs : 2]
        which = (letters == rows[:, -1:]).argmax(axis=1)
        return Strings(rows, digits[np.arange(len(rows)), which] - len(LETTERS))

    def _numbers(self, text: str) -> list[int]:
        unknown = sorted(set(text) - set(CHARACTERS))
        if unknown:
            raise ValueError(f"{text!r} holds {', '.join(map(repr, unknown))}; legal are a to z, 0 to 9 and ?")
        keys, values, end = text[0:-3:2], text[1:-3:2], text[-3:]
        right = (
            len(text) == self.length
            and set(keys) <= set(LETTERS)
            and len(set(keys)) == self.pairs
            and set(values) <= set(DIGITS)
            and end[:2] == "??"
            and end[2] in keys
        )
        if not right:
            example = "".join(f"{LETTERS[k]}{DIGITS[k % 10]}" for k in range(self.pairs)) + "??a"
            raise ValueError(
                f"{text!r} is no string of {self.pairs} different letters with a digit each, ?? and one of the "
                f"letters, like {example}"
            )
        return [CHARACTERS.index(c) for c in text]


def _each_once(rows: Ints) -> Ints:
    """The rows in their order, each where it came first."""
    first = np.unique(rows, axis=0, return_index=True)[1]
    return rows[np.sort(first)]
