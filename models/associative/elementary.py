"""exp and -1/x with what a proof needs of them: they rise, as all in ``dynsys.proof.functions.elementary`` do."""

from __future__ import annotations

import torch

from dynsys.proof.functions.elementary import Elementary

EXP = Elementary(torch.exp, 4, torch.exp, lambda low, high: torch.exp(high), lambda low, high: torch.exp(high))
MINUS_RECIPROCAL = Elementary(  # of x > 0; where a ball reaches 0 there is no bound
    lambda x: -1 / x,
    1,
    lambda x: 1 / x**2,
    lambda low, high: torch.where(low > 0, 1 / low**2, torch.inf),
    lambda low, high: torch.where(low > 0, 2 / low**3, torch.inf),
)
