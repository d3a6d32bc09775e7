"""Associative retrieval (Ba et al. 2016, section 4.1): strings like c9k8j3f1??c, and the digit that went with the c."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dynsys.models.tasks.flipflop import Trial

Ints = NDArray[np.int64]

LETTERS, DIGITS = string.ascii_lowercase, string.digits
CHARACTERS = LETTERS + DIGITS + "?"
MARK = CHARACTERS.index("?")
SETS = {"train": 100_000, "validation": 10_000, "test": 20_000}  # strings of the paper


@dataclass(frozen=True)
class Strings:
    """n strings as the numbers of their characters, (n, T), and the digits that are asked for, (n,).

    ``lengths`` (n,) says how many characters of its row a string has, None that all fill theirs; what is beyond is no
    part of the string, and what a network does there is not looked at.
    """

    characters: Ints
    answers: Ints
    lengths: Ints | None = None

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, which: Any) -> Strings:
        return Strings(
            self.characters[which], self.answers[which], None if self.lengths is None else self.lengths[which]
        )

    @property
    def ends(self) -> Ints:
        """The place (n,) of the last character, the letter that is asked for."""
        if self.lengths is None:
            return np.full(len(self), self.characters.shape[1] - 1)
        return self.lengths - 1

    @property
    def asked(self) -> Ints:
        """The letter (n,) that is asked for."""
        return self.characters[np.arange(len(self)), self.ends]

    @property
    def pairs(self) -> Ints:
        """How many pairs (n,) each has."""
        return (self.ends - 2) // 2

    def by_pairs(self) -> dict[int, Strings]:
        """The strings of each number of pairs, in their order, without what is beyond them."""
        pairs = self.pairs
        return {
            int(k): Strings(self.characters[pairs == k, : 2 * k + 3], self.answers[pairs == k])
            for k in np.unique(pairs)
        }

    def texts(self) -> list[str]:
        return [
            "".join(CHARACTERS[c] for c in row[: end + 1]) for row, end in zip(self.characters, self.ends, strict=True)
        ]


@dataclass(frozen=True)
class Retrieval:
    """Strings of ``pairs`` different letters, each with a digit, then ``??`` and one of the letters.

    With ``fewest`` they have from so many pairs up to ``pairs``, each number as often as any other.
    """

    pairs: int = 4
    fewest: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= len(LETTERS):
            raise ValueError(f"pairs is {self.pairs}; the letters of a string differ, so 1 to {len(LETTERS)} are legal")
        if self.fewest is not None and not 1 <= self.fewest <= self.pairs:
            raise ValueError(f"the fewest pairs are {self.fewest} and the most {self.pairs}; give 1 <= fewest <= most")

    @classmethod
    def of(cls, pairs: int | str) -> Self:
        """Of strings of 4 pairs, "4", or of mixed lengths, "2:6"; raises ValueError.

        >>> Retrieval.of("2:6").length
        15
        """
        low, _, high = str(pairs).partition(":")
        if not (low.isdecimal() and (high.isdecimal() or str(pairs) == low)):
            raise ValueError(f"pairs is {pairs!r}; give a number like 4, or the fewest and the most, like 2:6")
        return cls(int(high or low), int(low) if high and low != high else None)

    @property
    def numbers_of_pairs(self) -> range:
        return range(self.pairs if self.fewest is None else self.fewest, self.pairs + 1)

    @property
    def length(self) -> int:
        """Of the longest strings."""
        return 2 * self.pairs + 3

    @property
    def n_input(self) -> int:
        """One channel for each character."""
        return len(CHARACTERS)

    def trial(self, steps: int, seed: int | list[int]) -> Trial:
        """Strings one after the other for ``steps`` steps, each character a 1 on its own channel; nothing is judged."""
        rng, kinds = np.random.default_rng(seed), self.numbers_of_pairs
        if len(kinds) == 1:
            drawn = self._drawn(-(-steps // self.length), rng)
        else:
            each = -(-steps // (2 * kinds[0] + 3))
            drawn = np.concatenate([_one_of(Retrieval(int(k)), rng) for k in rng.choice(kinds, each)])
        rows = drawn.reshape(-1)[:steps]
        inputs = np.eye(len(CHARACTERS))[rows]
        return Trial(inputs, np.zeros((len(inputs), len(DIGITS))), np.zeros(len(inputs), dtype=np.bool_))

    def sizes(self, **sizes: int) -> dict[str, dict[int, int]]:
        """How many strings of each number of pairs a set has: those of ``SETS`` unless given, shared out evenly.

        Where there are few different strings the sets take half of them, each its part.
        """
        wanted, shares = sizes or SETS, {}
        kinds = self.numbers_of_pairs
        for name, size in wanted.items():
            even = {k: (size + i) // len(kinds) for i, k in enumerate(kinds)}
            most = {k: size * (Retrieval(k).count() // 2) // sum(wanted.values()) for k in kinds}
            spare = not sizes or len(kinds) > 1  # of one length a number that was given is meant
            shares[name] = {k: min(even[k], most[k]) if spare else even[k] for k in kinds}
        return shares

    def sets(self, seed: int = 0, **sizes: int) -> dict[str, Strings]:
        """Sets of the given ``sizes``, of which no two share a string, and none holds one twice.

        Raises ValueError where there are not so many strings.
        """
        shares = self.sizes(**sizes)
        kinds = self.numbers_of_pairs
        if len(kinds) == 1:
            return self._of_one_length({name: share[self.pairs] for name, share in shares.items()}, seed)
        parts = {
            k: Retrieval(k)._of_one_length({name: share[k] for name, share in shares.items()}, [seed, k]) for k in kinds
        }
        order = np.random.default_rng([seed, 0])
        return {name: _mixed([parts[k][name] for k in kinds], order) for name in shares}

    def count(self) -> int:
        """How many strings there are."""
        return sum(
            int(np.prod([len(LETTERS) - i for i in range(k)], dtype=object)) * len(DIGITS) ** k * k
            for k in self.numbers_of_pairs
        )

    def parse(self, *texts: str) -> Strings:
        """The strings of these texts; raises ValueError where one is no string of the task."""
        rows = [np.array(self._numbers(text), dtype=np.int64) for text in texts]
        some = [Retrieval((len(row) - 3) // 2)._of_rows(row[None]) for row in rows]
        return _mixed(some) if len({len(row) for row in rows}) > 1 else self._of_rows(np.array(rows))

    def _of_one_length(self, sizes: dict[str, int], seed: int | list[int]) -> dict[str, Strings]:
        total, rng = sum(sizes.values()), np.random.default_rng(seed)
        if total > self.count() // 2:
            raise ValueError(f"{total} different strings of {self.pairs} pairs are asked for; there are {self.count()}")
        rows = self._drawn(total, rng)
        while len(rows) < total:
            rows = _each_once(np.concatenate([rows, self._drawn(total, rng)]))
        parts = np.split(rows[:total], np.cumsum(list(sizes.values()))[:-1])
        return {name: self._of_rows(part) for name, part in zip(sizes, parts, strict=True)}

    def _drawn(self, n: int, rng: np.random.Generator) -> Ints:
        """n random strings of ``pairs`` pairs, of which those that came before are left out."""
        letters = rng.random((n, len(LETTERS))).argsort(axis=1)[:, : self.pairs]
        digits = len(LETTERS) + rng.integers(len(DIGITS), size=(n, self.pairs))
        asked = letters[np.arange(n), rng.integers(self.pairs, size=n)]
        marks = np.full((n, 2), MARK)
        pairs = np.stack([letters, digits], axis=2).reshape(n, -1)
        return _each_once(np.concatenate([pairs, marks, asked[:, None]], axis=1))

    @staticmethod
    def _of_rows(rows: Ints) -> Strings:
        """Strings of one length."""
        end = rows.shape[1] - 3
        letters, digits = rows[:, 0:end:2], rows[:, 1:end:2]
        which = (letters == rows[:, -1:]).argmax(axis=1)
        return Strings(rows, digits[np.arange(len(rows)), which] - len(LETTERS))

    def _numbers(self, text: str) -> list[int]:
        unknown = sorted(set(text) - set(CHARACTERS))
        if unknown:
            raise ValueError(f"{text!r} holds {', '.join(map(repr, unknown))}; legal are a to z, 0 to 9 and ?")
        keys, values, end = text[0:-3:2], text[1:-3:2], text[-3:]
        right = (
            len(text) in {2 * k + 3 for k in self.numbers_of_pairs}
            and set(keys) <= set(LETTERS)
            and len(set(keys)) == len(keys)
            and set(values) <= set(DIGITS)
            and end[:2] == "??"
            and end[2] in keys
        )
        if not right:
            example = "".join(f"{LETTERS[k]}{DIGITS[k % 10]}" for k in range(self.pairs)) + "??a"
            how_many = self.pairs if self.fewest is None else f"{self.fewest} to {self.pairs}"
            raise ValueError(
                f"{text!r} is no string of {how_many} different letters with a digit each, ?? and one of the "
                f"letters, like {example}"
            )
        return [CHARACTERS.index(c) for c in text]


def _one_of(task: Retrieval, rng: np.random.Generator) -> Ints:
    return task._drawn(1, rng)[0]


def _mixed(parts: list[Strings], order: np.random.Generator | None = None) -> Strings:
    """Strings of several lengths as one set, in their order or in a random one."""
    length = max(part.characters.shape[1] for part in parts)
    filled = [np.pad(p.characters, ((0, 0), (0, length - p.characters.shape[1])), constant_values=MARK) for p in parts]
    lengths = np.concatenate([np.full(len(part), part.characters.shape[1]) for part in parts])
    whole = Strings(np.concatenate(filled), np.concatenate([part.answers for part in parts]), lengths)
    return whole if order is None else whole[order.permutation(len(whole))]


def _each_once(rows: Ints) -> Ints:
    """The rows in their order, each where it came first."""
    first = np.unique(rows, axis=0, return_index=True)[1]
    return rows[np.sort(first)]
