"""How much of a search is done at once: as much as is fast, and no more than the memory that it may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dynsys.search.solvers import DENSE_LIMIT

DEFAULT = 2 * 2**30  # bytes: fixed, and not what happens to be free, so that the same seed gives the same numbers
UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
MATRIX_FREE_ABOVE = 2048  # units, from where Krylov solves for |J^-1| beat factorisations (docs/facts.md)
ROUND = 128  # starts worked on before what they found is looked at
WAVE_LARGE = 64  # the most in a wave above DENSE_LIMIT units, where a start costs more than what a round does besides
THREADED = 512  # units, above which a round has two waves, so that two threads share it
KRYLOV_VECTORS = 64  # held per start by a Newton-Krylov step, work space included
COPIES = 6  # of a Jacobian, held while a point is assessed or a dense step is solved


@dataclass(frozen=True)
class Plan:
    """Starts per wave (one piece of work for one thread), starts per round, Jacobians held at once (0: none), and
    threads at once.
    """

    wave: int
    round: int
    jacobians: int
    workers: int = 1


@dataclass(frozen=True)
class Budget:
    """The bytes that the working arrays of a search may take, all threads together."""

    bytes: int = DEFAULT
    workers: int = 1

    def plan(self, n_state: int, krylov: bool, factorised_up_to: int = MATRIX_FREE_ABOVE) -> Plan:
        """The plan for a system of ``n_state`` variables; raises ValueError where not even one start fits."""
        large = n_state > DENSE_LIMIT
        jacobian = COPIES * 8 * n_state**2
        start = KRYLOV_VECTORS * 8 * n_state if large and krylov else jacobian
        if start > self.bytes:
            raise ValueError(
                f"memory is {_size(self.bytes)}; one start of {n_state} variables takes {_size(start)}: "
                "give at least that"
            )
        wave = min(self.bytes // start, WAVE_LARGE if large else ROUND)
        workers = min(self.workers, self.bytes // (wave * start))  # never the wave: the numbers would depend on them
        jacobians = 0 if n_state > factorised_up_to and krylov else min(self.bytes // jacobian, ROUND)
        return Plan(wave, WAVE_LARGE if DENSE_LIMIT < n_state <= THREADED else ROUND, jacobians, workers)


def bytes_of(memory: int | str | None) -> int:
    """``4GiB``, ``500 MB`` or a number of bytes; None is the default. Raises ValueError for anything else."""
    if memory is None:
        return DEFAULT
    given = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(memory))
    if given is None or given[2].upper() not in UNITS or float(given[1]) <= 0:
        raise ValueError(f"memory is {memory!r}; give bytes, or a size like 4GiB or 500MB")
    return int(float(given[1]) * UNITS[given[2].upper()])


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count >= 10 * 2**20 else f"{-(-count // 2**10)} KiB"
