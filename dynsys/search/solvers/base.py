"""What a solver is: immutable settings with ``init`` and ``step``; everything that changes is the state handed on."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from dynsys.systems.held import Held


class Info(NamedTuple):
    """What the engine wants to know about a step: how long it was, and where no step could be taken any more."""

    length: Tensor  # (B,)
    stuck: Tensor  # (B,) bool


@dataclass(frozen=True)
class Solver(abc.ABC):
    """A method that lowers q from a batch of starts at once.

    For developers: a state is a NamedTuple of tensors with one row per start, the first two being x and F; a start
    leaves the batch by dropping its row. Give ``init`` and ``step``, add the class to ``SOLVERS``, and every test of
    solvers runs on it.
    """

    name: ClassVar[str]
    max_steps: int = 100
    tolerance: float = 1e-9  # |F| relative to the size of the state, from where Newton is left to finish

    @abc.abstractmethod
    def init(self, held: Held, x: Tensor) -> Any:
        """The state at the starts x (B, n)."""

    @abc.abstractmethod
    def step(self, held: Held, state: Any) -> tuple[Any, Info]:
        """One step of every start."""
