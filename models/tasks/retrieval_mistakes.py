"""What a network answers wrongly: digit by digit, letter by letter, and which of the string's digits it gave instead.

A network that "knows the four digits, not which one" (the plateau at 60 to 75 % of error) gives another digit of the
same string; one that knows nothing gives any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dynsys.models.tasks.retrieval import DIGITS, LETTERS, Ints, Strings

Counts = dict[str, NDArray[np.int64]]


def mistakes(some: Strings, given: Ints) -> Counts:
    """Counts of the digits ``given`` (n,) to n strings of K pairs, or of K at most.

    ``confusion`` (10, 10): the digit of the row was right, that of the column was given. ``letter_asked`` and
    ``letter_missed`` (26,): how often each letter was asked for, and answered wrongly. ``places`` (K, K + 1): the pair
    of the row was asked for and the digit of the column's pair given; in the last column a digit that is not in the
    string. A digit that stands in more than one pair is counted as the right one or else as that of the first.
    """
    asked = some.asked
    confusion = np.zeros((len(DIGITS), len(DIGITS)), dtype=np.int64)
    np.add.at(confusion, (some.answers, given), 1)
    wrong = given != some.answers
    return {
        "confusion": confusion,
        "letter_asked": np.bincount(asked, minlength=len(LETTERS)),
        "letter_missed": np.bincount(asked[wrong], minlength=len(LETTERS)),
        "places": _places(some, given),
    }


def _places(some: Strings, given: Ints) -> NDArray[np.int64]:
    """Shorter strings have no more than their own first pairs."""
    most = int(some.pairs.max())
    counts = np.zeros((most, most + 1), dtype=np.int64)
    for k, part in some.by_pairs().items():
        own = _places_of_one_length(part, given[some.pairs == k])
        counts[:k, :k] += own[:, :k]
        counts[:k, most] += own[:, k]
    return counts


def _places_of_one_length(some: Strings, given: Ints) -> NDArray[np.int64]:
    letters, digits = some.characters[:, 0:-3:2], some.characters[:, 1:-3:2] - len(LETTERS)
    pairs = letters.shape[1]
    row = (letters == some.characters[:, -1:]).argmax(axis=1)
    same = digits == given[:, None]
    column = np.where(same.any(axis=1), same.argmax(axis=1), pairs)
    column[given == some.answers] = row[given == some.answers]
    counts = np.zeros((pairs, pairs + 1), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    return counts
