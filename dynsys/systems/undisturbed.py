"""Trying a user's code out without a trace: random streams and torch's settings are put back afterwards."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_DEFAULT = threading.RLock()  # torch's default type belongs to the process


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without gradients and warnings; every random stream goes on afterwards as if nothing had been drawn."""
    plain, of_numpy = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
            warnings.simplefilter("ignore")  # of what is tried, much is not meant
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(of_numpy)


@contextmanager
def in_double(dtype: torch.dtype = torch.float64) -> Iterator[None]:
    """With ``dtype`` for tensors that name none, such as the zeros that a module starts from."""
    with _DEFAULT:
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
