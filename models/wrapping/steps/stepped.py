"""Any module or function that takes one step in time, or gives a velocity, with derivatives that torch works out.

Products J v come from a graph that is built once per state: J^T w is linear in w, so its derivative by w, taken
backwards, is J v. For many products that is several times faster than forward mode and needs no rule that it lacks.

Slow points need the derivative of J^T F as well. H v, with H the Hessian of <w, F>, comes from a second backward pass,
since H is symmetric. Where a system made of this one is differentiated by ``torch.func``, which cannot look into a
recorded graph, it is told that.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.models.driven.random_drive import driven_trajectories
from dynsys.models.wrapping.module_copy import first_line, holds_module, module_of, moved_callable
from dynsys.models.wrapping.readout import Readout
from dynsys.models.wrapping.steps.derivative_tests import DerivativeTests
from dynsys.models.wrapping.steps.step_form import Form
from dynsys.numerics.derivatives import jvp
from dynsys.systems.system import _AUTODIFF, Kind, Product, System, _reverse_jacobian
from dynsys.systems.undisturbed import undisturbed

WAYS = ("backward", "forward", "dense")  # to a product J v, the fastest first
CALLS = 64  # of a module that keeps something, in which it has to give the same
SINGLE = 1e-3  # relative: what a derivative in float32 may be off by
APART = 6e-6  # relative to 1 + |x|: the cube root of the rounding error, best for a central difference
COPIED = 256  # rows of Jacobians, up to which a copy of the state for each is cheaper than a batch of backward passes
DENSE_ENTRIES = 2**26  # of a batch of Jacobians that is worked out at once

_ONE_AT_A_TIME = threading.RLock()  # for modules that keep what they compute, which threads would change


class Stepped(System):
    """A map given by a function, or by a module's copy, that is called as ``form`` says; with ``tau`` a flow, whose
    velocity tau dx/dt it gives.

    Where an operation inside cannot be differentiated twice, products come from forward mode instead, and where that
    fails as well, from the whole Jacobian; the derivative of J^T w by x then is a central difference, to about 1e-9.
    Raises ValueError where the function hides its derivative from torch.
    """

    kind = Kind.MAP

    def __init__(
        self,
        function: Callable[..., Any],
        form: Form,
        n_state: int,
        n_input: int,
        *,
        name: str,
        tau: float | None = None,
    ) -> None:
        self._function, self._form = function, form
        if tau is not None:
            self.kind, self.time_constant = Kind.FLOW, tau
        self.n_state, self.n_input, self.name = n_state, n_input, name
        self._readout: Readout | None = None
        self._way, self._twice = WAYS[0], True
        self._keeps = _keeps(self)
        self._tried()

    @property
    def state_parts(self) -> dict[str, slice]:
        """Where in the state h and c of each layer lie; empty for a step(x, u), whose state has no known parts."""
        return self._form.parts()

    def with_readout(self, readout: Readout) -> Self:
        """The same map with a readout."""
        other = copy.copy(self)
        other._readout, other.n_output = readout, readout.n_output
        return other

    def weights(self) -> dict[str, Tensor]:
        """The parameters of the module by its own names; none where the step is a plain function."""
        module = module_of(self._function)
        return {} if module is None else {name: value.detach() for name, value in module.named_parameters()}

    def with_weights(self, changed: Mapping[str, Any]) -> Self:
        """The same map with some of its ``weights`` changed, in a copy of the module."""
        other = copy.copy(self)
        other._function = moved_callable(self._function, None, None)
        for name, value in other.weights().items():
            if name in changed:
                value.copy_(torch.as_tensor(changed[name]))
        return other

    def readout(self, x: Tensor) -> Tensor:
        return x[:, :0] if self._readout is None else self._readout(x)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        if not _in_transform(x) or _in_vmap(x):
            with torch.no_grad():
                return self._field(x, u)
        return _sealed(
            lambda y: self._field(y, u),
            lambda y, v: _sealed(lambda *at: self.jacobian_product(at[0], u, at[1]), None, y, v),
            x,
        )

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        if len(x) * self.n_state <= COPIED:
            return _reverse_jacobian(self._field, x, u)
        together = max(1, DENSE_ENTRIES // self.n_state**2)
        pieces = zip(torch.split(x, together), torch.split(u, together), strict=True)
        return torch.cat([_dense(*self._recorded(*piece)) for piece in pieces])

    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        with torch.enable_grad():
            held = u.detach().clone().requires_grad_(True)
            F = self._field(x, held)
        return _dense(held, F) if F.requires_grad else x.new_zeros(*x.shape, self.n_input)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self.linearised(x, u)(v)

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        if self._way == "forward":
            return lambda v: self._pushed(x, u, v)
        if self._way == "dense":
            J = self.jacobian(x, u)
            return lambda v: torch.bmm(J, v.unsqueeze(2)).squeeze(2)
        y, F = self._recorded(x, u)
        w = torch.zeros_like(F, requires_grad=True)
        pulled = _gradient(F, y, w, create_graph=True)
        return lambda v: _gradient(pulled, w, v, retain_graph=True)

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        if not _in_transform(x):
            return self._pulled_back(x, u, w)

        def slope(y: Tensor, z: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
            bent = _sealed(lambda *at: self._bent(at[0], u, *at[1:]), None, y, z, dy)
            return bent + self.transposed_product(y, u, dz)

        return _sealed(lambda y, z: self._pulled_back(y, u, z), slope, x, w)

    def gradient_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        if self._way != "backward" or not self._twice or _in_transform(x):
            return self.gradient_pushed(x, u, v)
        y, F = self._recorded(x, u)
        if not F.requires_grad:
            return torch.zeros_like(v)
        w = F.detach().requires_grad_()
        pulled = _gradient(F, y, w, create_graph=True)  # J^T w: how it changes along v with y, and J v beside it
        found = torch.autograd.grad(pulled, (y, w), v, retain_graph=True, allow_unused=True, materialize_grads=True)
        return found[0] + _gradient(F, y, found[1])

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor:
        """Runs from zero under random inputs, and from random states without, (steps, runs, n_state)."""
        return driven_trajectories(self, torch.zeros(runs, self.n_state, dtype=torch.float64), steps, seed)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        moved = super().to(device, dtype)
        moved._function = moved_callable(self._function, device, dtype)
        if self._readout is not None:
            moved._readout = self._readout.to(device, dtype)
        return moved

    def _tried(self) -> None:
        """Find the first of ``WAYS`` that agrees with J^T w at a few random states, and what else can be relied on."""
        try:
            tests = DerivativeTests(self._field, self._pulled_back, self.n_state, self.n_input)
        except Exception as error:
            raise ValueError(
                f"torch cannot differentiate {self.name}: {first_line(error)}; compute in torch throughout"
            ) from error
        if tests.hidden():
            raise ValueError(
                f"the derivative that torch finds for {self.name} is not the slope of its values: something inside is "
                "detached, under no_grad or not computed in torch; let gradients through"
            )
        self._way = next((way for way in WAYS if tests.agrees(self._going(way).jacobian_product)), WAYS[-1])
        if holds_module(self._function):
            single = self.to(dtype=torch.float32)
            self.single_precision = tests.agrees(single.jacobian_product, torch.float32, SINGLE)
        self._twice = tests.bends(self._twice_backward, self._apart)

    def _going(self, way: str) -> Self:
        other = copy.copy(self)
        other._way = way
        return other

    def _field(self, x: Tensor, u: Tensor) -> Tensor:
        with _ONE_AT_A_TIME if self._keeps else contextlib.nullcontext():
            given = self._form.step(self._function, x, u)
            return given if self.kind is Kind.FLOW else given - x

    def _pushed(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        with _AUTODIFF:
            return jvp(lambda y: self._field(y, u), (x,), (v,)).detach()

    def _pulled_back(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        y, F = self._recorded(x, u)
        return _gradient(F, y, w)

    def _bent(self, x: Tensor, u: Tensor, w: Tensor, v: Tensor) -> Tensor:
        """The derivative of J^T w along v (B, n_state), at fixed w."""
        return (self._twice_backward if self._twice else self._apart)(x, u, w, v)

    def _twice_backward(self, x: Tensor, u: Tensor, w: Tensor, v: Tensor) -> Tensor:
        y, F = self._recorded(x, u)
        pulled = _gradient(F, y, w, create_graph=True)
        return _gradient(pulled, y, v) if pulled.requires_grad else torch.zeros_like(x)

    def _apart(self, x: Tensor, u: Tensor, w: Tensor, v: Tensor) -> Tensor:
        length = vector_norm(v, dim=1, keepdim=True)
        h = APART * (1 + vector_norm(x, dim=1, keepdim=True)) / torch.where(length > 0, length, 1.0)
        return (self._pulled_back(x + h * v, u, w) - self._pulled_back(x - h * v, u, w)) / (2 * h)

    def _recorded(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            y = x.detach().clone().requires_grad_(True)
            return y, self._field(y, u)


def _keeps(system: Stepped) -> bool:
    """Whether a call changes an attribute of the module, as in one that keeps its last activation."""
    module = module_of(system._function)
    if module is None:
        return False

    def held() -> list[tuple[str, int]]:
        return [(key, id(value)) for part in module.modules() for key, value in vars(part).items()]

    def step() -> Tensor:
        x, u = (torch.zeros(2, n, dtype=torch.float64) for n in (system.n_state, system.n_input))
        return system._form.step(system._function, x, u)

    with undisturbed():
        before, first = held(), step()
        if held() == before:
            return False
        if not all(torch.equal(step(), first) for _ in range(CALLS)):
            raise ValueError(
                f"{system.name} keeps something from call to call that changes what it gives; make that part of the "
                "state, or hold it still"
            )
    return True


class _Sealed(torch.autograd.Function):
    """``function(*at)``, which ``torch.func.jvp`` does not look into: ``slope(*at, *tangents)`` is its derivative."""

    @staticmethod
    def forward(function: Callable[..., Tensor], slope: Callable[..., Tensor] | None, *at: Tensor) -> Tensor:
        return function(*at)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.slope = inputs[1]
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return ctx.slope(*ctx.saved_tensors, *tangents[2:])


def _sealed(function: Callable[..., Tensor], slope: Callable[..., Tensor] | None, *at: Tensor) -> Tensor:
    found: Tensor = _Sealed.apply(function, slope, *at)  # type: ignore[no-untyped-call]
    return found


def _in_transform(x: Tensor) -> bool:
    """Whether ``torch.func`` is at work, under which nothing can be recorded. (To seal always costs 0.1 ms a call.)"""
    return torch._C._functorch.is_functorch_wrapped_tensor(x)


def _in_vmap(x: Tensor) -> bool:
    """Whether the transform is over a batch, under which a function that is sealed has no rule."""
    while _in_transform(x):
        if torch._C._functorch.is_batchedtensor(x):
            return True
        x = torch._C._functorch.get_unwrapped(x)
    return False


def _dense(y: Tensor, F: Tensor) -> Tensor:
    """dF/dy of each sample, (B, n_state, width of y), from as many backward passes as F has entries."""
    rows = torch.eye(F.shape[1], dtype=F.dtype, device=F.device).unsqueeze(1).expand(-1, len(F), -1)
    try:
        (J,) = torch.autograd.grad(F, y, rows, is_grads_batched=True, retain_graph=True, materialize_grads=True)
    except RuntimeError:  # an operation inside has no batched backward
        J = torch.stack([_gradient(F, y, row, retain_graph=True) for row in rows])
    return J.detach().transpose(0, 1).contiguous()


def _gradient(of: Tensor, by: Tensor, along: Tensor, **options: bool) -> Tensor:
    """The gradient of <of, along>, zero where ``of`` does not depend on ``by``."""
    (found,) = torch.autograd.grad(of, by, along, allow_unused=True, materialize_grads=True, **options)
    return found if options.get("create_graph") else found.detach()
