"""What makes a step out of a gradient: Adam, gradient descent, or descent with momentum (Wayman, section 7.3).

    sgd        w <- w - rate g
    momentum   v <- mu v + g,   w <- w - rate v
    adam       the first and second moments of g, each corrected for its beginning (Kingma & Ba 2015)

The seed prints w <- mu w - rate g for the second, which would draw the weights to zero; mu belongs to the velocity
(Sutskever 2013). At a constant rate, v here is his velocity divided by -rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

ADAM, MOMENTUM = "adam", "momentum"
MU = 0.9
RATES = {"sgd": 80.0, MOMENTUM: 8.0}  # times Adam's, where no rate is chosen: what learned the same tasks

OPTIMISERS: dict[str, Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]] = {
    ADAM: lambda parameters, mu: torch.optim.Adam(parameters, fused=True),
    "sgd": lambda parameters, mu: torch.optim.SGD(parameters),
    MOMENTUM: lambda parameters, mu: torch.optim.SGD(parameters, momentum=mu),
}  # their rates are set before every step


def check_optimiser(name: str, momentum: float | None) -> None:
    """Raises ValueError for an optimiser that there is not, and for a momentum that it does not use."""
    if name not in OPTIMISERS:
        raise ValueError(f"optimizer is {name!r}; the optimizers are {', '.join(OPTIMISERS)}")
    if momentum is not None and name != MOMENTUM:
        raise ValueError(f"momentum {momentum:g} is given with the optimizer {name!r}; only {MOMENTUM!r} has one")
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum:g}; it has to be at least 0 and below 1")


def rate_beside_adam(name: str) -> float:
    """The learning rate that is usual, over that of Adam: its steps do not grow with the gradient."""
    return RATES.get(name, 1.0)
