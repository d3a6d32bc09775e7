"""Floating-point operations of a run, counted while it runs, and what this machine can do of each kind per second.

Counts are those of Golub & Van Loan, Matrix Computations (4th ed.), for real numbers; complex ones cost four times as
much. Products and factorisations are counted, which grow as N^2 and N^3; single additions and tanh are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from dynsys.numerics import threads

MATRICES = "product of matrices"
VECTOR = "product with a vector"  # 2 operations for each number read: the memory, not the arithmetic, is the limit
SAMPLE = 8, 1e6  # of each factorisation at most so many matrices, and numbers in them, are kept to be timed alone

Formula = Callable[[int, int, int], float]  # rows m, columns n, right-hand sides r of one matrix

FACTORISATIONS: dict[str, Formula] = {
    "linalg_lu_factor_ex": lambda m, n, r: 2 / 3 * n**3,  # section 3.2
    "linalg_lu_solve": lambda m, n, r: 2 * n**2 * r,
    "_linalg_solve_ex": lambda m, n, r: 2 / 3 * n**3 + 2 * n**2 * r,
    "linalg_inv_ex": lambda m, n, r: 2 * n**3,  # 3.4
    "_linalg_slogdet": lambda m, n, r: 2 / 3 * n**3,
    "_linalg_det": lambda m, n, r: 2 / 3 * n**3,
    "linalg_cholesky_ex": lambda m, n, r: n**3 / 3,  # 4.2
    "cholesky_solve": lambda m, n, r: 2 * n**2 * r,
    "linalg_solve_triangular": lambda m, n, r: n**2 * r,  # 3.1
    "linalg_qr": lambda m, n, r: 4 * (max(m, n) * min(m, n) ** 2 - min(m, n) ** 3 / 3),  # 5.2, R and then thin Q
    "linalg_eig": lambda m, n, r: 25 * n**3,  # 7.5
    "linalg_eigvals": lambda m, n, r: 10 * n**3,
    "_linalg_eigh": lambda m, n, r: 9 * n**3,  # 8.3
    "linalg_eigvalsh": lambda m, n, r: 4 / 3 * n**3,
    "_linalg_svd": lambda m, n, r: 14 * max(m, n) * min(m, n) ** 2 + 8 * min(m, n) ** 3,  # 8.6
    "linalg_svdvals": lambda m, n, r: 4 * max(m, n) * min(m, n) ** 2 - 4 / 3 * min(m, n) ** 3,
    "linalg_pinv": lambda m, n, r: 16 * max(m, n) * min(m, n) ** 2 + 8 * min(m, n) ** 3,  # SVD and a product
}
WITH_RIGHT_HAND_SIDE = {"_linalg_solve_ex": 1, "linalg_solve_triangular": 1, "cholesky_solve": 0, "linalg_lu_solve": 2}
PRODUCTS = {
    "mm": (0, 1),
    "bmm": (0, 1),
    "addmm": (1, 2),
    "baddbmm": (1, 2),
    "mv": (0, 1),
    "addmv": (1, 2),
    "dot": (0, 1),
}
CHEAP = ("vector_norm", "check_errors", "diagonal", "cross")  # of names with linalg in them

# Under a dispatch mode torch computes these with vectors; they are caught a level higher.
VALUES_ONLY: dict[Any, str] = {
    torch.linalg.eigvals: "linalg_eigvals",
    torch.linalg.eigvalsh: "linalg_eigvalsh",
    torch.linalg.svdvals: "linalg_svdvals",
}


@dataclass(frozen=True)
class Operation:
    """A kind of work: for factorisations with the shape of one matrix and of its right-hand sides."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, int, int] = (0, 0, 0)


@dataclass
class Entry:
    """How often, how many operations, how many bytes read; for factorisations a call to time alone."""

    times: int = 0  # products, or matrices factorised
    flops: float = 0.0
    bytes: float = 0.0
    alone: Callable[[], Any] | None = None
    sampled: int = 1  # matrices in that call
    _each: float | None = None

    def seconds_alone(self) -> float:
        """CPU seconds of one matrix, when nothing else is done."""
        if self._each is None:
            self._each = 0.0 if self.alone is None else best_seconds(self.alone) / self.sampled
        return self._each


@dataclass
class Tally:
    """What has been counted, by operation."""

    entries: dict[Operation, Entry] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # operations of linear algebra without a formula

    def flops(self, dtype: torch.dtype | None = None) -> float:
        """All operations, or those in one precision (a complex one belongs to that of its parts)."""
        return sum(entry.flops for key, entry in self.entries.items() if dtype in (None, _real(key.dtype)))

    def product(self, a: Tensor, b: Tensor) -> None:
        m, k = (1, a.shape[-1]) if a.ndim == 1 else a.shape[-2:]
        n = 1 if b.ndim == 1 else b.shape[-1]
        batch = prod(a.shape[:-2]) if a.ndim > 2 else 1
        entry = self.entries.setdefault(Operation(VECTOR if 1 in (m, k, n) else MATRICES, a.dtype), Entry())
        entry.times += batch
        entry.flops += 2.0 * batch * m * k * n * _weight(a)
        entry.bytes += batch * (m * k + k * n) * a.element_size()

    def factorisation(self, name: str, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        right = args[WITH_RIGHT_HAND_SIDE[name]] if name in WITH_RIGHT_HAND_SIDE else None
        A = args[1] if name == "cholesky_solve" else args[0]
        m, n = A.shape[-2:]
        r = 0 if right is None else right.numel() // max(1, prod(A.shape[:-1]))
        entry = self.entries.setdefault(Operation(name, A.dtype, (m, n, r)), Entry())
        batch = prod(A.shape[:-2])
        entry.times += batch
        entry.flops += batch * FACTORISATIONS[name](m, n, r) * _weight(A)
        if entry.alone is None and batch:
            kept = min(batch, SAMPLE[0], max(1, int(SAMPLE[1] / (m * n)))) if A.ndim > 2 else 1
            sample = tuple(a[:kept].clone() if isinstance(a, Tensor) and A.ndim > 2 else a for a in args)
            entry.alone, entry.sampled = partial(call, *sample, **kwargs), kept


class _Operations(TorchDispatchMode):
    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            a, b = PRODUCTS[name]
            self.tally.product(args[a], args[b])
        elif name in FACTORISATIONS:
            self.tally.factorisation(name, func, args, kwargs or {})
        elif "linalg" in name and not any(word in name for word in CHEAP):
            self.tally.unknown.add(name)
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = VALUES_ONLY.get(func)
        if func is torch.linalg.matrix_norm and 2 in (*args[1:2], kwargs.get("ord")):
            name = "linalg_svdvals"
        if name is None:
            return func(*args, **kwargs)
        with _disable_current_modes():
            self.tally.factorisation(name, func, args, kwargs)
            return func(*args, **kwargs)


@contextmanager
def counted() -> Iterator[Tally]:
    """Count what torch computes within the block: in this thread, and in those that the engine starts there."""
    tally = Tally()

    def join() -> None:  # modes belong to a thread, and end with it
        _Operations(tally).__enter__()
        _Functions(tally).__enter__()

    pool = partial(ThreadPoolExecutor, initializer=join)
    with mock.patch.object(threads, "ThreadPoolExecutor", pool), _Operations(tally), _Functions(tally):
        yield tally


def _real(dtype: torch.dtype) -> torch.dtype:
    return {torch.complex64: torch.float32, torch.complex128: torch.float64}.get(dtype, dtype)


def _weight(a: Tensor) -> int:
    return 4 if a.dtype.is_complex else 1


@dataclass
class Machine:
    """What one thread can do: measured when first asked for, each rate the best of some repeats."""

    gemm_size: int = 1024
    _peak: dict[torch.dtype, float] = field(default_factory=dict)
    _bandwidth: dict[torch.dtype, float] = field(default_factory=dict)

    def peak(self, dtype: torch.dtype) -> float:
        """Operations per second of a large product of matrices."""
        dtype = _real(dtype)
        if dtype not in self._peak:
            A = torch.randn(self.gemm_size, self.gemm_size, dtype=dtype)
            self._peak[dtype] = 2 * self.gemm_size**3 / best_seconds(lambda: A @ A)
        return self._peak[dtype]

    def bandwidth(self, dtype: torch.dtype) -> float:
        """Bytes per second of a product with a vector, at a size that stays in the cache."""
        dtype = _real(dtype)
        if dtype not in self._bandwidth:
            A, v = torch.randn(256, 512, dtype=dtype), torch.randn(512, dtype=dtype)
            seconds = best_seconds(lambda: [A @ v for _ in range(100)]) / 100
            self._bandwidth[dtype] = A.numel() * A.element_size() / seconds
        return self._bandwidth[dtype]

    def seconds(self, tally: Tally) -> float:
        """The least that the counted work can take: products at the peak, factorisations as fast as they go alone."""
        total = 0.0
        for key, entry in tally.entries.items():
            if key.name == MATRICES:
                total += entry.flops / self.peak(key.dtype)
            elif key.name == VECTOR:
                total += entry.bytes / self.bandwidth(key.dtype)
            else:
                total += entry.times * entry.seconds_alone()
        return total

    def at_peak(self, tally: Tally) -> float:
        """Seconds if everything went as fast as a large product of matrices."""
        return sum(entry.flops / self.peak(key.dtype) for key, entry in tally.entries.items())


def best_seconds(run: Callable[[], Any], repeats: int = 5, enough: float = 1.0) -> float:
    """The least CPU seconds of some repeats, fewer where they take long; the first is a warm-up."""
    least, began = float("inf"), time.process_time()
    for i in range(repeats + 1):
        before = time.process_time()
        run()
        after = time.process_time()
        if i or after - before > enough:
            least = min(least, after - before)
        if after - began > enough and least < float("inf"):
            break
    return least
