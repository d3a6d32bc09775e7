"""Leaky rate networks to be trained by backpropagation: a step of dt / tau, noise in every unit, and Dale's law.

    leaky-rate:  x' = (1 - a) x + a (W f(x) + B u + b + noise),    z = W_out f(x) + b_out
    leaky:       x' = (1 - a) x + a f(W x + B u + b + noise),      z = W_out x + b_out

With Dale's law a unit excites all others or inhibits all: every column of W has one sign (Song et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.rate.leaky_map import LeakyMap, LeakyRateMap, LeakyStep

FORMS: dict[str, type[LeakyStep]] = {kind.name: kind for kind in (LeakyRateMap, LeakyMap)}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "logistic": torch.sigmoid,
    "softplus": functional.softplus,
}
DALE = 0.8  # usual share of units that excite


class LeakyRateNetwork(nn.Module):
    """Inputs (B, T, n_input) to outputs (B, T, n_output), from a state of zeros.

    ``form`` is a name in ``FORMS``, ``alpha`` is dt / tau. ``noise`` is the standard deviation that it leaves in a unit
    which nothing else drives, where steps are short; it acts in training alone. ``dale`` is the share of units that
    excite, the others inhibit; None leaves the signs free. The entries of W begin with a mean square of ``gain``^2 /
    units, drawn from a Gaussian; under Dale's law those are their sizes, larger in the columns that inhibit by as much
    as these are fewer.
    """

    def __init__(
        self,
        form: str,
        n_input: int,
        units: int,
        n_output: int,
        *,
        alpha: float = 0.2,
        noise: float = 0.0,
        dale: float | None = None,
        activation: str = "tanh",
        gain: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, legal in (("form", form, FORMS), ("activation", activation, ACTIVATIONS)):
            if value not in legal:
                raise ValueError(f"{name} is {value!r}; a leaky network has one of {', '.join(legal)}")
        if not 0 < alpha <= 1 or not noise >= 0 or not (dale is None or 0 < dale < 1):
            raise ValueError(
                f"alpha is {alpha}, noise {noise} and dale {dale}; alpha = dt / tau has to be above 0 and at most 1, "
                "noise 0 or more, and the share of units that excite between 0 and 1"
            )
        self.form, self.alpha, self.noise, self.activation = form, alpha, noise, activation
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((units, units)) * gain / np.sqrt(units)
        self.signs: Tensor | None = None
        if dale is not None:
            excite = np.arange(units) < round(dale * units)
            self.signs = _tensor(np.where(excite, 1.0, -1.0))
            W = np.abs(W) * np.where(excite, 1.0, excite.sum() / max((~excite).sum(), 1))
            W *= gain / np.sqrt(units * np.mean(W**2))
        self.W = nn.Parameter(_tensor(W))
        self.B = nn.Parameter(_tensor(rng.standard_normal((units, n_input)) / np.sqrt(n_input)))
        self.b = nn.Parameter(torch.zeros(units))
        self.W_out = nn.Parameter(_tensor(rng.standard_normal((n_output, units)) / np.sqrt(units)))
        self.b_out = nn.Parameter(torch.zeros(n_output))

    @property
    def recurrent(self) -> Tensor:
        """W as it acts: under Dale's law every column has the sign of its unit."""
        return self.W if self.signs is None else self.W.abs() * self.signs

    def forward(self, inputs: Tensor, noise_seed: int | None = None) -> Tensor:
        """Without a seed there is no noise."""
        drive = inputs @ self.B.T + self.b
        if noise_seed is not None and self.noise > 0:
            generator = torch.Generator().manual_seed(noise_seed)
            drive = drive + self.noise * (2 / self.alpha) ** 0.5 * torch.randn(drive.shape, generator=generator)
        f, a, W = ACTIVATIONS[self.activation], self.alpha, self.recurrent.T
        x, rates = drive.new_zeros(len(drive), len(self.b)), []
        for pushed in drive.unbind(1):
            x = torch.lerp(x, torch.addmm(pushed, f(x), W) if self.form == LeakyRateMap.name else f(pushed + x @ W), a)
            rates.append(f(x) if self.form == LeakyRateMap.name else x)
        return torch.stack(rates, dim=1) @ self.W_out.T + self.b_out

    def system(self, task: Any = None) -> LeakyStep:
        """The network as a map in float64, with its readout and without its noise."""
        held = (self.recurrent, self.B, self.b, self.W_out, self.b_out)
        weights = (value.detach().double().numpy() for value in held)
        return FORMS[self.form](*weights, alpha=self.alpha, activation=self.activation, task=task)


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
