"""How many points a network of low rank has at every input of an interval, proved: boxes in the latent variables and u.

The drive c is affine in the input, so that between two inputs it swings from its value at the one to that at the other,
which is one more variable of the polynomials of ``latent_boxes``. Where that search is complete each of its points is
there and alone at each input between, so that their number is the same. Where it is not the interval is halved, the
widest first, down to where a fold is bracketed, or what happens there is left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.numerics.deadline import Deadline
from dynsys.proof.exact import UNIT, up
from dynsys.proof.latent_boxes import search_boxes
from dynsys.systems.latent import HIGHEST_RANK, Latent
from dynsys.systems.system import System

Array = NDArray[np.float64]

WIDTH = 1e-5  # of the way, below which a part that is not decided is not halved
SECONDS = 60.0  # after which what is not decided yet is left open
MORE, LEAST = 4, 64  # times the boxes of a search at one input, that one of an interval may look at, and at least
UNKNOWN = 2000  # boxes, where the search at the first input is not complete


@dataclass(frozen=True)
class Stretch:
    """From ``start`` to ``end`` on the way, 0 to 1, there are ``points``; None where that is left open."""

    start: float
    end: float
    points: int | None


@dataclass(frozen=True, eq=False)
class PointsOverInputs:
    """The ``parts`` of the way from ``start`` to ``end`` (n_input,), in order; ``searches`` were made for them."""

    start: Array
    end: Array
    parts: tuple[Stretch, ...]
    searches: int
    cut: str = ""  # what ended it before every part was decided or as narrow as asked for

    @property
    def complete(self) -> bool:
        """Whether the number of points is proved everywhere but where it changes."""
        return all(part.points is not None or self._changes(i) for i, part in enumerate(self.parts))

    @property
    def brackets(self) -> tuple[tuple[float, float], ...]:
        """The parts of the way, from 0 to 1, in which the number of points changes."""
        return tuple((part.start, part.end) for i, part in enumerate(self.parts) if self._changes(i))

    @property
    def open(self) -> tuple[tuple[float, float], ...]:
        """The other parts that were not decided."""
        undecided = [i for i, part in enumerate(self.parts) if part.points is None and not self._changes(i)]
        return tuple((self.parts[i].start, self.parts[i].end) for i in undecided)

    def _changes(self, i: int) -> bool:
        sides = [self.parts[j].points for j in (i - 1, i + 1) if 0 <= j < len(self.parts)]
        return self.parts[i].points is None and len(sides) == 2 and sides[0] != sides[1]

    def input(self, s: float) -> Array:
        """The input (n_input,) at s of the way."""
        return np.asarray(self.start + s * (self.end - self.start))

    @property
    def sentence(self) -> str:
        """What is proved, in words."""
        told = []
        for i, part in enumerate(self.parts):
            between = f"from {_shown(self.input(part.start))} to {_shown(self.input(part.end))}"
            if part.points is not None:
                told.append(f"{part.points} point{'s' * (part.points != 1)} at every input {between}")
            elif self._changes(i):
                told.append(f"a change of their number {between}")
            else:
                told.append(f"left open {between}")
        begun = "Proved: " if self.complete else f"Not complete{self.cut and f' ({self.cut})'}: "
        return begun + ", ".join(told) + "."

    def __repr__(self) -> str:
        return f"<{self.sentence}>"


def points_over_inputs(
    system: System,
    start: Any,
    end: Any,
    *,
    width: float = WIDTH,
    seconds: float | None = SECONDS,
    seed: int = 0,
) -> PointsOverInputs:
    """How many fixed points a network of low rank has at every input from ``start`` to ``end`` (n_input,).

    Parts of the way narrower than ``width``, or not decided within the ``seconds`` (None for as long as it takes) or
    before Ctrl-C, are left open; one of them between two different numbers brackets a fold or another event. Raises
    ValueError for a system that is not of tanh or logistic units and of rank up to 3, and for inputs of another size.

    >>> from dynsys.models.rate import LowRank
    >>> switch = LowRank([[2.0]], [[1.0]], input=[[1.0]])
    >>> found = points_over_inputs(switch, [0.0], [1.0], width=0.1)
    >>> [part.points for part in found.parts], found.complete
    ([3, None, 1], True)
    """
    if not 0 < width <= 1:
        raise ValueError(f"width is {width}; it is a part of the way, above 0 and up to 1")
    ends = [_checked(system, value) for value in (start, end)]
    search = _Halving(system, ends[0], ends[1], width, Deadline(seconds), seed)
    parts = search.run()
    a, b = (np.asarray(u[0], dtype=np.float64) for u in ends)
    return PointsOverInputs(a, b, _joined(parts), search.searches, search.cut)


class _Halving:
    """Intervals of the way, each halved until it is decided."""

    def __init__(self, system: System, a: Tensor, b: Tensor, width: float, deadline: Deadline, seed: int) -> None:
        self.system, self.a, self.b, self.width = system.to(device="cpu"), a, b, width
        self.deadline, self.seed, self.searches, self.cut = deadline, seed, 0, ""
        self.drives: dict[float, Latent] = {}
        at_start = search_boxes(self._at(0.0), seed=seed)
        self.most = MORE * (at_start.boxes if at_start.complete else UNKNOWN) + LEAST

    def _at(self, s: float) -> Latent:
        if s not in self.drives:
            latent = self.system.latent(self.a + s * (self.b - self.a))
            if latent is None or latent.is_rectified or latent.rank > HIGHEST_RANK:
                raise ValueError(
                    f"{self.system.name} is not known to have tanh or logistic units and weights of rank up to "
                    f"{HIGHEST_RANK}: its points over inputs are followed by follow_inputs, without a proof"
                )
            self.drives[s] = latent
        return self.drives[s]

    def run(self) -> list[Stretch]:
        """In the order of the way; the widest are decided first, so that what is cut off is near the folds."""
        waiting, parts = [(0.0, 1.0)], list[Stretch]()
        try:
            while waiting and not self.deadline.is_over:
                a, b = max(waiting, key=lambda ends: ends[1] - ends[0])
                points, middle = self._points(a, b), (a + b) / 2
                waiting.remove((a, b))
                if points is None and b - a > self.width:
                    waiting += [(a, middle), (middle, b)]
                else:
                    parts.append(Stretch(a, b, points))
            self.cut = "the time given is over" if waiting else ""
        except KeyboardInterrupt:
            self.cut = "stopped by Ctrl-C"
        parts += [Stretch(a, b, None) for a, b in waiting]
        return sorted(parts, key=lambda part: part.start)

    def _points(self, a: float, b: float) -> int | None:
        """Their number at every input between, if it is one and can be proved at once."""
        self.searches += 1
        found = search_boxes(*_between(self._at(a), self._at(b)), most=self.most, seed=self.seed)
        return len(found) if found.complete else None


def _checked(system: System, input: Any) -> Tensor:
    """An end of the way (1, n_input)."""
    u = np.array(input, dtype=np.float64).reshape(1, -1)
    if system.n_input == 0 or u.shape[1] != system.n_input or not np.isfinite(u).all():
        takes = f"{system.name} takes {system.n_input} input values"
        raise ValueError(f"an end of the way of inputs is {u[0].tolist()}; {takes}, which have to be finite")
    return torch.as_tensor(u)


def _between(one: Latent, other: Latent) -> tuple[Latent, Tensor]:
    """With the drive in the middle of theirs, and how far (n,) it swings to either side."""
    middle, swing = (one.c[0] + other.c[0]) / 2, (other.c[0] - one.c[0]) / 2
    left = sum((part.abs() for latent in (one, other) for part in latent.c[1:]), torch.zeros_like(middle))
    off = up(4 * UNIT * (one.c[0].abs() + other.c[0].abs()) + left)
    return Latent(one.M, one.N, (middle, off), one.phi, one.of_rates, one.rest), swing


def _joined(parts: list[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours with the same number of points, or both undecided, as one: at the input between the two it is one."""
    kept = list[Stretch]()
    for part in parts:
        if kept and kept[-1].points == part.points:
            kept[-1] = Stretch(kept[-1].start, part.end, part.points)
        else:
            kept.append(part)
    return tuple(kept)


def _shown(u: Array) -> str:
    values = ", ".join(f"{value:.8g}" for value in u)
    return values if len(u) == 1 else f"({values})"
