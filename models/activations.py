"""The activation functions of all networks, by name: value, slope, range, linear pieces, and what a proof needs.

Every one of them rises, or stands still. A number may stand behind "relu^": relu^1.5 is max(x, 0)^1.5.

>>> activation_named("torch.nn.functional.relu"), activation_named("Sigmoid()"), activation_named("linear")
('relu', 'logistic', 'identity')
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite

import torch
from torch import Tensor

from dynsys.piecewise_linear.hinged import RELU, Hinges
from dynsys.proof.functions.elementary import LOGISTIC, OF_ERF, RECTIFIER, TANH, elu, log_cosh, softplus
from dynsys.proof.functions.enclosure import Enclosed


@dataclass(frozen=True)
class Activation:
    """f: its ``value`` f(x), its ``slope`` f'(x) from x and f(x), its range from ``low`` to ``high``, f of ``enclosed``
    states, and its ``hinges`` where it is piecewise linear. ``gate`` says that f(-x) = 1 - f(x), as gates need it.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    low: float
    high: float
    enclosed: Callable[[Enclosed], Enclosed]
    hinges: Hinges | None = None
    gate: bool = False

    @property
    def is_bounded(self) -> bool:
        return isfinite(self.low) and isfinite(self.high)

    @property
    def reach(self) -> float:
        """The largest |f|."""
        return max(-self.low, self.high)


def _hard_sigmoid(name: str, slope: float, end: float, value: Callable[[Tensor], Tensor]) -> Activation:
    """min(max(slope x + 1/2, 0), 1), where the slope is this very float64."""

    def steep(x: Tensor, r: Tensor) -> Tensor:
        return slope * (x.abs() < end).to(x.dtype)

    hinges = Hinges(0.0, (1.0, -1.0), (-0.5, 0.5), slope)
    return Activation(name, value, steep, 0.0, 1.0, lambda y: y.hard_sigmoid(slope), hinges, gate=True)


def _power(p: float) -> Activation:
    """max(x, 0)^p."""

    def slope(x: Tensor, r: Tensor) -> Tensor:
        return p * x.clamp_min(0.0) ** (p - 1)

    return Activation(_power_name(p), lambda x: x.clamp_min(0.0) ** p, slope, 0.0, inf, lambda y: y.relu(p))


def _power_name(p: float) -> str:
    return "relu" if p == 1 else f"relu^{str(p).removesuffix('.0')}"


_ALL = (
    Activation("tanh", torch.tanh, lambda x, r: 1 - r * r, -1.0, 1.0, Enclosed.tanh),
    Activation("logistic", torch.sigmoid, lambda x, r: r * (1 - r), 0.0, 1.0, Enclosed.sigmoid, gate=True),
    Activation("relu", torch.relu, lambda x, r: (r > 0).to(r.dtype), 0.0, inf, Enclosed.relu, RELU),
    Activation("softplus", softplus, lambda x, r: torch.sigmoid(x), 0.0, inf, Enclosed.softplus),
    Activation("identity", lambda x: x, lambda x, r: torch.ones_like(x), -inf, inf, lambda y: y, Hinges(1.0)),
    _hard_sigmoid("hard-sigmoid", 1 / 6, 3.0, lambda x: (x + 3).clamp(0.0, 6.0) / 6),
    _hard_sigmoid("hard-sigmoid-0.2", 0.2, 2.5, lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0)),
    Activation("erf", torch.erf, lambda x, r: OF_ERF * torch.exp(-x * x), -1.0, 1.0, Enclosed.erf),
    Activation("elu", elu, lambda x, r: r.clamp_max(0.0) + 1, -1.0, inf, Enclosed.elu),
    Activation(
        "retanh",
        lambda x: torch.relu(torch.tanh(x)),
        lambda x, r: (r > 0) * (1 - r * r),
        0.0,
        1.0,
        lambda y: y.tanh().relu(),
    ),
    _power(2.0),
    _power(3.0),
)
ACTIVATIONS: dict[str, Activation] = {f.name: f for f in _ALL}
PROVED = {"tanh": TANH, "logistic": LOGISTIC}  # whose energy and steepness are known
LATENT = {**PROVED, "relu": RECTIFIER}  # of which all points of a network of low rank can be found
INTEGRALS = {"tanh": log_cosh, "logistic": softplus}  # of which the energy of a symmetric network is made
GATES = tuple(name for name, f in ACTIVATIONS.items() if f.gate)

USUAL = {  # other names, without case, spaces, lines and the module in front
    "tansig": "tanh",
    "hyperbolictangent": "tanh",
    "sigmoid": "logistic",
    "sigm": "logistic",
    "logsig": "logistic",
    "rectify": "relu",
    "rectified": "relu",
    "rectifiedlinear": "relu",
    "rectifier": "relu",
    "poslin": "relu",
    "thresholdlinear": "relu",
    "linear": "identity",
    "purelin": "identity",
    "hardsigm": "hard-sigmoid",
    "hardsigmoid": "hard-sigmoid",
    "hardsigmoid0.2": "hard-sigmoid-0.2",
    "rectanh": "retanh",
    "recttanh": "retanh",
    "rectifiedtanh": "retanh",
    "relutanh": "retanh",
    "relu2": "relu^2",
    "relusquared": "relu^2",
    "squaredrelu": "relu^2",
    "relu3": "relu^3",
}
INERT = {"inplace": None, "alpha": 1.0, "beta": 1.0, "threshold": 20.0}  # arguments that change nothing at these values
_CALL = re.compile(r"([\w.^*\- ]+?)\s*(?:\((.*)\))?")
_SIGNED = re.compile(r"^-|-$|[*^]\s*-")  # -relu and relu^-1 are no relu
_POWER = re.compile(r"relu\^(\d{1,3}(?:\.\d+)?)")
LONGEST = 80  # characters of a name: longer texts come from files that mean something else


@functools.cache
def activation(text: str) -> Activation:
    """The activation of that name; raises ValueError where there is none."""
    name = activation_named(text)
    return ACTIVATIONS[name] if name in ACTIVATIONS else _power(float(name.removeprefix("relu^")))


def activation_named(text: str, option: str = "activation", legal: tuple[str, ...] = ()) -> str:
    """The canonical name of an activation by any of its usual names, such as "nn.Tanh" or "sigmoid".

    Only the ``legal`` ones where these are given. Raises ValueError, which blames ``option`` and lists the legal names.
    """
    name = _canonical(text) if isinstance(text, str) else None
    if name is None or (legal and name not in legal):
        known = [f"{key} (sigmoid)" if key == "logistic" else key for key in legal or ACTIVATIONS]
        powers = "" if legal else ", or another power of relu"
        raise ValueError(f"{option} is {repr(text)[:LONGEST]}; it can be {', '.join(known)}{powers}")
    return name


def _canonical(text: str) -> str | None:
    call = _CALL.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if call is None or not _is_inert(call[2] or "") or _SIGNED.search(call[1]):
        return None
    bare = re.sub(r".*\.(?=[^\d])", "", call[1]).lower()  # the module in front ends in a point, but so may 0.2 begin
    key = re.sub(r"[\s_\-]", "", bare).replace("**", "^")
    by_key = {re.sub("-", "", name): name for name in ACTIVATIONS} | USUAL
    if key in by_key:
        return by_key[key]
    found = _POWER.fullmatch(key)
    if found is None or float(found[1]) < 1:
        return None
    return _power_name(float(found[1]))


def _is_inert(arguments: str) -> bool:
    """Whether the arguments of a call, as torch prints them, leave the function what it is without any."""
    for argument in filter(None, (part.strip() for part in arguments.split(","))):
        name, _, value = argument.partition("=")
        if name not in INERT:
            return False
        try:
            if INERT[name] is not None and float(value) != INERT[name]:
                return False
        except ValueError:
            return False
    return True
