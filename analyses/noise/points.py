"""Where to look for a network's memories: the states in which it comes to rest."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from dynsys.starts import first_starts
from dynsys.system import Kind, System
from dynsys.threads import alone
from dynsys.trajectory import relax

LEAST, MOST, NUMBERS = 64, 512, 2**15  # states that are let go for the memories: as many as make up such numbers
ITERATED = 300  # steps of a map that comes to rest
RELAXED, COARSE = 30.0, 0.25  # time constants of a flow that does, and in one step of it
MOST_OUTPUTS = 6  # whose corners, 2 to that power, are all visited


def resting_states(system: System, seed: int) -> Tensor:
    """States (k, n) near which the network comes to rest without input, in single precision where it has one."""
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    begun = first_starts(system, u, min(MOST, max(LEAST, NUMBERS // system.n_state)), seed)
    if 0 < system.n_output <= MOST_OUTPUTS:
        corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=system.n_output)), dtype=torch.float64)
        driven = system.states_of_outputs(corners)
        begun = begun if driven is None else torch.cat([driven, begun])
    dtype = torch.float32 if system.single_precision else torch.float64
    steps = ITERATED if system.kind is Kind.MAP else round(RELAXED / COARSE)
    with alone():
        return relax(system.to(dtype=dtype), begun.to(dtype), u.to(dtype), steps, COARSE)[-1].double()
