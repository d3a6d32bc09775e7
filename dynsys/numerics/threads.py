"""Work spread over threads so that the numbers do not depend on how many there are.

Each piece of work is computed by one thread alone: the sums of a matrix product then have one order on every machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Piece = TypeVar("Piece")
Result = TypeVar("Result")

ENTRIES = 2**19  # of the matrices of one piece: where they are larger, a call costs nothing beside its work


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """The calling thread computes by itself and records no gradients; both settings belong to the thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


def pieces_of(x: Tensor, most: int, least: int = 1) -> tuple[Tensor, ...]:
    """Rows of states x (B, n) with a matrix (n, n) each, ``most`` at once: the same for any number of threads.

    At ``least`` so many rows share what all of them need, however large their matrices are.
    """
    together = min(most, max(least, ENTRIES // x.shape[1] ** 2))
    return torch.split(torch.arange(len(x), device=x.device), max(1, together))


def in_order(work: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int) -> Iterator[Result]:
    """The results of the pieces, in their order, as they come; what has not begun is dropped on an interrupt."""
    pieces = list(pieces)
    if workers == 1 or len(pieces) == 1:
        with alone():
            yield from map(work, pieces)
        return

    def by_itself(piece: Piece) -> Result:
        torch.set_num_threads(1)
        with torch.no_grad():
            return work(piece)

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(by_itself, piece) for piece in pieces]
        try:
            for job in jobs:
                yield job.result()
        finally:
            for job in jobs:
                job.cancel()
