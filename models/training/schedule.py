"""At which steps of a training the weights are kept: every so many, or spaced geometrically.

FORCE learns most of what it learns within its first hundreds of steps, which equally spaced snapshots miss (Jang,
figure 7: steps 200 and 700 of 30,000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Wanted = int | str | Sequence[int]  # every so many steps (0: never), "log:60", or the very steps

LOG = "log:"
FORMS = "a number of steps like 500 (0: never), or log:60 for 60 snapshots at steps spaced geometrically"


def read_schedule(text: str) -> int | str:
    """What a user wrote, checked: the number in "500", or "log:60" as it is. Raises ValueError for anything else."""
    count = text.removeprefix(LOG)
    if not (count.isascii() and count.isdigit()):
        raise ValueError(f"{text!r} is no schedule of snapshots; give {FORMS}")
    if count == text:
        return int(text)
    if int(count) < 2:
        raise ValueError(f"{text!r} asks for {int(count)} snapshots; the first and the last step alone are log:2")
    return text


def every_or_at(wanted: Wanted, steps: int) -> tuple[int, tuple[int, ...]]:
    """``wanted`` of a training of ``steps`` steps as (every so many, at these): one of the two says nothing.

    Raises ValueError where it makes no sense in so many steps.
    """
    if isinstance(wanted, str):
        wanted = read_schedule(wanted)
    if isinstance(wanted, int):
        if wanted < 0:
            raise ValueError(f"snapshots every {wanted} steps were asked for; give {FORMS}")
        return wanted, ()
    if isinstance(wanted, str):
        return 0, geometric(int(wanted.removeprefix(LOG)), steps)
    at = tuple(sorted(set(wanted)))
    if at and not 0 <= at[0] <= at[-1] <= steps:
        wrong = at[0] if at[0] < 0 else at[-1]
        raise ValueError(f"a snapshot is wanted at step {wrong}; the training has steps 0 to {steps}")
    return 0, at


def geometric(count: int, steps: int) -> tuple[int, ...]:
    """``count`` whole steps from 0 to ``steps``, spaced by one factor but where that gives less than 1.

    >>> geometric(8, 1000)
    (0, 1, 3, 10, 32, 100, 316, 1000)
    >>> geometric(6, 10)
    (0, 1, 2, 3, 6, 10)
    """
    if not 2 <= count <= steps + 1:
        raise ValueError(
            f"log:{count} asks for {count} snapshots of a training of {steps} steps; it can have 2 to {steps + 1}"
        )
    # From 0 to a in ones, then by one factor: the smallest a from which its first stride is 1 at least.
    for a in range(1, count - 1):
        left = count - 1 - a
        if a * ((steps / a) ** (1 / left) - 1) >= 1 - 1e-12:
            return *range(a + 1), *(math.floor(a * (steps / a) ** (i / left) + 0.5) for i in range(1, left + 1))
    return *range(count - 1), steps
