"""The test that every system must pass, for those who write one: shapes, batching, derivatives, box, precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient
from dynsys.systems.system import Kind, System

STATES = 6
EPS = torch.finfo(torch.float64).eps
EXACT = 1e-10  # two ways to the same float64 value, relative to the largest value
SINGLE = 1e-3  # float32 against float64, relative to the largest value
STEP = 1e-4  # of central differences, relative to the size of a state variable
RADII = torch.tensor([1e-6, 1e-3, 0.1, 1.0], dtype=torch.float64)  # of the balls in which an enclosure is tried
ROUNDING = 1e4 * EPS  # of a velocity, relative to its size and the state's: sums of thousands of terms are allowed

Method = Callable[[System, Tensor, Tensor], Tensor]


def check_system(system: System, *, states: Any = None, inputs: Any = None, seed: int = 0) -> None:
    """Raise AssertionError unless ``system`` keeps the contract of ``System``; the message says what differs and where.

    ``states`` (B, n_state) and ``inputs`` (B, n_input) are where to look. By default states are drawn from the box, or
    are normal deviates where there is none, and inputs are normal deviates.

    >>> from dynsys import Flow
    >>> check_system(Flow(lambda x, u: x - x**3, n_state=2, bounds=(-2, 2)))
    >>> check_system(Flow(lambda x, u: x - x.mean(0), n_state=2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: the velocity of flow at a state depends on the other rows of the batch, ...
    """
    _check_attributes(system)
    x, u = _places(system, states, inputs, seed)
    try:
        system.velocity(x, u)
    except ValueError as error:  # what a function of the user's own is told where it is first used
        raise AssertionError(str(error)) from error
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    _check_box(system, u)
    for name, (method, shape) in _methods(system, v).items():
        _check_untouched(name, method, system, x, u)
        _check_batching(name, method, system, x, u, (len(x), *shape))
    _check_derivatives(system, x, u, v)
    _check_enclosure(system, x, u, generator)
    _check_starts(system, seed)
    if system.box_is_trapping:
        _check_trapping(system, x, u, seed)
    if system.single_precision:
        _check_single_precision(system, x, u, v)


def _check_attributes(system: System) -> None:
    if not isinstance(system.kind, Kind):
        raise AssertionError(f"kind is {system.kind!r}; it must be Kind.MAP or Kind.FLOW")
    for name, least in {"n_state": 1, "n_input": 0, "n_output": 0}.items():
        value = getattr(system, name)
        if not isinstance(value, int) or value < least:
            raise AssertionError(f"{name} is {value!r}; it must be an int of at least {least}")
    if not 0 < system.time_constant < float("inf"):
        raise AssertionError(f"time_constant is {system.time_constant!r}; it must be positive")


def _places(system: System, states: Any, inputs: Any, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    B = STATES if states is None else len(states)
    drawn = rng.standard_normal((B, system.n_input)) if inputs is None else np.asarray(inputs)
    u = torch.tensor(drawn, dtype=torch.float64)
    _check_form("inputs", u, (B, system.n_input))
    if states is not None:
        x = torch.tensor(np.asarray(states), dtype=torch.float64)
        _check_form("states", x, (B, system.n_state))
        return x, u
    box = system.box(u)
    if box is None:
        return torch.as_tensor(rng.standard_normal((B, system.n_state))), u
    return box[0] + (box[1] - box[0]) * torch.as_tensor(rng.uniform(0, 1, (B, system.n_state))), u


def _methods(system: System, v: Tensor) -> dict[str, tuple[Method, tuple[int, ...]]]:
    """What a system computes from a state, and the shape for one state; v is the direction of the two products."""
    n = system.n_state
    return {
        "velocity": (lambda s, x, u: s.velocity(x, u), (n,)),
        "jacobian": (lambda s, x, u: s.jacobian(x, u), (n, n)),
        "input_jacobian": (lambda s, x, u: s.input_jacobian(x, u), (n, system.n_input)),
        "jacobian_product": (lambda s, x, u: s.jacobian_product(x, u, v[: len(x)].to(x.dtype)), (n,)),
        "transposed_product": (lambda s, x, u: s.transposed_product(x, u, v[: len(x)].to(x.dtype)), (n,)),
        "readout": (lambda s, x, u: s.readout(x), (system.n_output,)),
    }


def _check_box(system: System, u: Tensor) -> None:
    box = system.box(u)
    if box is None:
        return
    for name, bound in zip(("low", "high"), box, strict=True):
        _check_form(f"the box's {name}", bound, (len(u), system.n_state))
    wrong = (~(box[0] <= box[1])).nonzero()
    if len(wrong):
        i, j = wrong[0].tolist()
        raise AssertionError(f"the box has low {box[0][i, j]:.3g} above high {box[1][i, j]:.3g} in variable {j}")


def _check_untouched(name: str, method: Method, system: System, x: Tensor, u: Tensor) -> None:
    handed = x.clone(), u.clone()
    method(system, *handed)
    for what, value, before in zip(("states", "inputs"), handed, (x, u), strict=True):
        if not torch.equal(value, before):
            raise AssertionError(f"{name} writes to the {what} handed to it; it must compute on a copy")


def _check_batching(name: str, method: Method, system: System, x: Tensor, u: Tensor, shape: tuple[int, ...]) -> None:
    together = method(system, x, u)
    _check_form(name, together, shape)
    _agree(f"{name} called twice", method(system, x, u), "itself", together, EXACT * _size(together))
    if name.endswith("product"):
        return  # its direction belongs to the batch; against the Jacobian it is checked for every state
    alone = torch.cat([method(system, x[i : i + 1], u[i : i + 1]) for i in range(len(x))])
    _agree(f"{name} in a batch", together, f"{name} one at a time", alone, EXACT * _size(alone))


def _check_derivatives(system: System, x: Tensor, u: Tensor, v: Tensor) -> None:
    J = system.jacobian(x, u)
    slope, tolerance = _central_difference(lambda h: system.velocity(x + h * v, u), x)
    _agree("jacobian, times a direction,", (J @ v.unsqueeze(2)).squeeze(2), "central differences", slope, tolerance)
    autodiff = System.jacobian(system, x, u)
    _agree("jacobian", J, "autodiff", autodiff, EXACT * _size(autodiff))
    _check_input_derivative(system, x, u)
    along, against = (J @ v.unsqueeze(2)).squeeze(2), (J.mT @ v.unsqueeze(2)).squeeze(2)
    tolerance = torch.as_tensor(EXACT * _size(J) * (1 + float(v.abs().sum(1).max())))
    _agree("jacobian_product", system.jacobian_product(x, u, v), "J v", along, tolerance)
    _agree("transposed_product", system.transposed_product(x, u, v), "J^T w", against, tolerance)
    slope, tolerance = _central_difference(lambda h: gradient(Held(system, u), x + h * v), x)
    pushed = system.gradient_product(x, u, v)
    _agree("gradient_product", pushed, "central differences", slope, tolerance + EXACT * _size(pushed))
    if system.many_directions:
        many, of_first = system.linearised(x[:1], u[:1])(v), v @ J[0].mT
        _agree("linearised at one state", many, "J v of many directions", of_first, tolerance)


def _check_input_derivative(system: System, x: Tensor, u: Tensor) -> None:
    if system.n_input == 0:
        return
    J, draw = system.input_jacobian(x, u), torch.Generator().manual_seed(system.n_input)
    w = torch.randn(u.shape, generator=draw, dtype=u.dtype)
    slope, tolerance = _central_difference(lambda h: system.velocity(x, u + h * w), x)
    pushed = (J @ w.unsqueeze(2)).squeeze(2)
    _agree("input_jacobian, times a direction,", pushed, "central differences", slope, tolerance)
    autodiff = System.input_jacobian(system, x, u)
    _agree("input_jacobian", J, "autodiff", autodiff, EXACT * _size(autodiff))


def _central_difference(velocity: Callable[[float], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The slope at 0 of F along a line, ``velocity(h)``, by central differences extrapolated from two steps, and the
    error (B, n) that they can have.

    The difference of the two steps bounds what the series leaves out, the second term what rounding adds.
    """
    h = STEP * max(1.0, float(x.abs().max()))

    def quotient(step: float) -> Tensor:
        return (velocity(step) - velocity(-step)) / (2 * step)

    wide, narrow = quotient(h), quotient(h / 2)
    size = x.abs().amax(1, keepdim=True) + velocity(0.0).abs().amax(1, keepdim=True)
    return (4 * narrow - wide) / 3, (narrow - wide).abs() + ROUNDING * (size + 1) / h


def _check_enclosure(system: System, x: Tensor, u: Tensor, generator: torch.Generator) -> None:
    """Value and gradient agree with velocity and jacobian, and between any two states of a ball its bounds hold."""
    F = system.enclosure(Enclosed.state(x, RADII), u)
    if F is None:
        return
    velocity, J = system.velocity(x, u), system.jacobian(x, u)
    value, gradient = F.value.expand_as(velocity).contiguous(), F.gradient.dense().expand_as(J).contiguous()
    _agree("the value of enclosure", value, "velocity", velocity, F.error + EXACT * _size(velocity))
    smooth = torch.isfinite(F.gradient_error).unsqueeze(2)  # at a kink any slope between the two is one
    _agree("the gradient of enclosure", torch.where(smooth, gradient, J), "jacobian", J, EXACT * _size(J))
    for k, radius in enumerate(RADII):
        ends = torch.randn(2, *x.shape, generator=generator, dtype=x.dtype)
        y, z = x + radius * ends / torch.linalg.vector_norm(ends, dim=2, keepdim=True)
        apart = torch.linalg.vector_norm(y - z, dim=1, keepdim=True)
        values = [system.velocity(at, u).unsqueeze(2) for at in (y, z)]
        slopes = [system.jacobian(at, u) for at in (y, z)]
        for name, bound, (at_y, at_z) in (("steepness", F.steepness, values), ("curvature", F.curvature, slopes)):
            change = torch.linalg.vector_norm(at_y - at_z, dim=2)
            slack = EXACT * (_size(at_y) + _size(at_z))
            excess = (change - bound.expand(len(RADII), -1, -1)[k] * apart - slack).nan_to_num(0.0).clamp_min(0.0)
            what = f"the {name} of enclosure in balls of {float(radius):.0e}, and"
            _agree(what, excess, "what changes there", torch.zeros_like(excess), 0.0)


def _check_starts(system: System, seed: int) -> None:
    """The ways in which a system may offer starts of its own."""
    visited = system.task_trajectories(3, 2, seed)
    if visited is not None:
        _check_form("task_trajectories(3, 2, seed)", visited, (3, 2, system.n_state))
    contexts = system.task_contexts(STATES, seed)
    if contexts is not None:
        for what, value, wide in zip(("inputs", "states"), contexts, (system.n_input, system.n_state), strict=True):
            _check_form(f"the {what} of task_contexts({STATES}, seed)", value, (STATES, wide))
    z = torch.as_tensor(np.random.default_rng(seed).uniform(-1, 1, (STATES, system.n_output)))
    driven = system.states_of_outputs(z)
    if driven is not None:
        _check_form("states_of_outputs", driven, (STATES, system.n_state))


def _check_trapping(system: System, x: Tensor, u: Tensor, seed: int) -> None:
    """On a face of the box a flow must point inward, and a map must step to a state inside."""
    box = system.box(u)
    if box is None:
        raise AssertionError("box_is_trapping is set, but box() gives None")
    low, high = box
    side = torch.as_tensor(np.random.default_rng(seed).integers(0, 3, x.shape))
    face = torch.where(side == 0, low, torch.where(side == 1, high, torch.maximum(torch.minimum(x, high), low)))
    F = system.velocity(face, u)
    slack = EXACT * _size(torch.stack([low, high]))
    if system.kind is Kind.MAP:
        outside = torch.maximum(low - (face + F), face + F - high)
    else:
        outside = torch.where(side == 0, -F, torch.where(side == 1, F, torch.zeros_like(F)))
    if bool((outside > slack).any()):
        i, j = divmod(int(outside.argmax()), system.n_state)
        raise AssertionError(f"the box is not trapping: variable {j} leaves it by {outside[i, j]:.2g} from {face[i]}")


def _check_single_precision(system: System, x: Tensor, u: Tensor, v: Tensor) -> None:
    single = system.to(dtype=torch.float32)
    for name, (method, shape) in _methods(system, v).items():
        expected = method(system, x, u)
        _check_form(name, expected, (len(x), *shape))  # the copy must leave the original in float64
        got = method(single, x.float(), u.float())
        _check_form(f"{name} in single precision", got, (len(x), *shape), torch.float32)
        _agree(f"{name} in single precision", got.double(), f"{name} in float64", expected, SINGLE * _size(expected))


def _check_form(name: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or value.dtype != dtype:
        given = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise AssertionError(f"{name} is {given}; it must be a tensor of shape {shape} and {dtype}")
    if not bool(torch.isfinite(value).all()):
        raise AssertionError(f"{name} holds {int((~torch.isfinite(value)).sum())} values that are NaN or infinite")


def _size(value: Tensor) -> float:
    return 1.0 + (float(value.abs().max()) if value.numel() else 0.0)


def _agree(what: str, got: Tensor, of: str, expected: Tensor, tolerance: Tensor | float) -> None:
    deviation = (got - expected).abs()
    allowed = torch.as_tensor(tolerance, dtype=deviation.dtype).expand_as(deviation)
    if not bool((deviation > allowed).any()):
        return
    at = np.unravel_index(int((deviation - allowed).argmax()), tuple(deviation.shape))
    entry = ", ".join(str(int(i)) for i in at[1:])
    raise AssertionError(
        f"{what} differs from {of} by {deviation[at]:.2g} (allowed {allowed[at]:.2g}) in state {at[0]}, entry {entry}"
    )
