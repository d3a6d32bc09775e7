"""The seconds that work may take, and how far it came in them: one clock, made where work begins and handed on.

Work looks whether its time is over between two whole pieces, never within one: what was begun is ended and kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class Part(NamedTuple):
    """How many of the pieces of one kind are done."""

    done: int
    of: int
    what: str


@dataclass(frozen=True)
class Cut:
    """Work that ended because its time was over: ``parts`` are what it reached, and whether it ``goes_on`` from there
    when it is asked for again, or begins anew."""

    seconds: float
    parts: tuple[Part, ...]
    goes_on: bool = True

    @property
    def sentence(self) -> str:
        """
        >>> Cut(60.0, (Part(37, 120, "trials"),)).sentence
        'Cut by time: 37 of 120 trials were done when the 60 s given were used up; the same command again goes on.'
        """
        *others, last = (f"{part.done:,} of {part.of:,} {part.what}" for part in self.parts)
        told = f"{', '.join(others)} and {last}" if others else last
        then = "the same command again goes on" if self.goes_on else "it begins anew: give it more seconds"
        return f"Cut by time: {told} were done when the {self.seconds:g} s given were used up; {then}."

    def to_json(self) -> dict[str, Any]:
        """For ``results.json``, and for commands that print JSON."""
        reached = [part._asdict() for part in self.parts]
        return {"seconds": self.seconds, "reached": reached, "goes_on": self.goes_on, "sentence": self.sentence}


class CutShort(RuntimeError):
    """Time was over before there was a result; what was reached is kept, and ``cut`` says how far that is."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        super().__init__(cut.sentence)

    def __reduce__(self) -> tuple[type[CutShort], tuple[Cut]]:
        return type(self), (self.cut,)


class Deadline:
    """The end of ``seconds`` that begin now; None for as long as it takes. ``clock`` tells the time in seconds.

    One that is sent to another process begins there with what was left of it: their clocks are not the same.

    >>> Deadline(0.0).is_over, Deadline().is_over
    (True, False)
    """

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"seconds is {seconds}; it has to be 0 or more")
        self.seconds, self._clock = seconds, clock
        self._end = None if seconds is None else clock() + seconds

    @classmethod
    def of(cls, seconds: float | Deadline | None) -> Deadline:
        """One that other work began, or one that begins now."""
        return seconds if isinstance(seconds, Deadline) else cls(seconds)

    @property
    def is_over(self) -> bool:
        return self._end is not None and self._clock() >= self._end

    def cut(self, *parts: Part, goes_on: bool = True) -> Cut | None:
        """What to say of work that came so far; None where all of it is done."""
        left = any(part.done < part.of for part in parts)
        return Cut(self.seconds, parts, goes_on) if left and self.seconds is not None else None

    def __getstate__(self) -> dict[str, float | None]:
        return {"seconds": self.seconds, "left": None if self._end is None else self._end - self._clock()}

    def __setstate__(self, kept: dict[str, float | None]) -> None:
        self.seconds, self._clock = kept["seconds"], time.monotonic
        self._end = None if kept["left"] is None else self._clock() + kept["left"]


ENDLESS = Deadline()
