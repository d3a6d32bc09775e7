"""How many steps ago an input can still be read off a network's state by a linear readout.

The memory curve m(k) is the share of the variance of u(t-k) that the best linear readout of h(t) tells, for inputs that
do not depend on each other; its sum is the memory capacity, which a network of n units cannot have above n (Jaeger
2001, Short term memory in echo state networks). A readout of r numbers tells r / (T - 1) of anything in T steps, and so
much of inputs that are put in another order: the floor. What is above it is memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.exponents.fading import trajectory
from dynsys.exponents.tangent import Stepper
from dynsys.io.shown import Shown

Array = NDArray[np.float64]

FEWEST, PER_UNIT = 2000, 20  # steps, and for each state variable
SHUFFLES = 32
RANK = 1e-12  # of the greatest singular value of the states: what is below tells nothing but rounding


@dataclass(frozen=True, eq=False, repr=False)
class MemoryCurve(Shown):
    """``told`` (K, m): the share of the variance of input channel j, k steps ago, that a readout tells, k = 0, 1, ...

    ``floor`` (m,) is the mean share that it tells of shuffled inputs, ``highest`` (m,) what they hardly ever exceed;
    ``rank`` the linearly independent state variables, ``steps`` those that were read.
    """

    told: Array
    floor: Array
    highest: Array
    rank: int
    steps: int

    @property
    def memory(self) -> Array:
        """m(k) with the floor taken off, (K, m): (told - floor) / (1 - floor) where that is memory, else 0."""
        above = (self.told - self.floor) / (1 - self.floor)
        return np.asarray(np.where(self.told > self.highest, above, 0.0))

    @property
    def capacity(self) -> Array:
        """The memory capacity of each channel, (m,)."""
        return np.asarray(self.memory.sum(axis=0))

    @property
    def truncated(self) -> bool:
        """Whether memory goes on beyond the delays asked for."""
        return bool((self.memory[-1] > 0).any())


def memory_curve(
    stepper: Stepper,
    delays: int,
    *,
    steps: int | None = None,
    burn_in: int = 200,
    scale: float = 0.5,
    seed: int = 0,
) -> MemoryCurve:
    """For delays 0..``delays``, from one run under inputs that are uniform between -``scale`` and ``scale``.

    ``steps`` are read, 20 for each state variable and 2,000 at least unless given, after ``burn_in`` of them. Raises
    ValueError for a system without inputs and for too few steps.
    """
    system = stepper.system
    n, m = system.n_state, system.n_input
    if not m:
        raise ValueError(
            f"{system.name} has no inputs, so there are none to remember: its memory capacity is undefined"
        )
    if delays < 0 or not scale > 0:
        raise ValueError(f"delays is {delays} and scale {scale}; delays are 0 or more, and inputs need a scale above 0")
    T = max(FEWEST, PER_UNIT * n) if steps is None else steps
    if n + 2 > T:
        raise ValueError(
            f"{T} steps are too few: a readout of {n} numbers fits any {n + 1} values; give {10 * n} or so"
        )
    rng = np.random.default_rng(seed)
    u = rng.uniform(-scale, scale, (max(burn_in, delays) + T, 1, m))
    first = torch.zeros(1, n, dtype=torch.float64)
    states = trajectory(stepper, first, torch.as_tensor(u))[-T:, 0].numpy()
    basis, values, _ = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    basis = basis[:, values > RANK * max(values.max(initial=0.0), np.finfo(float).tiny)]
    last = len(u)
    told = np.stack([_told(basis, u[last - T - k : last - k, 0]) for k in range(delays + 1)])
    shuffled = np.stack([_told(basis, rng.permuted(u[-T:, 0], axis=0)) for _ in range(SHUFFLES)])
    floor = shuffled.mean(axis=0)
    spread = shuffled.std(axis=0, ddof=1)
    return MemoryCurve(told, floor, floor + 4 * spread, basis.shape[1], T)


def _told(basis: Array, u: Array) -> Array:
    """The share of the variance of each column that lies in the span of the orthonormal basis (T, r)."""
    away = u - u.mean(axis=0)
    return np.asarray(((basis.T @ away) ** 2).sum(axis=0) / (away**2).sum(axis=0))
