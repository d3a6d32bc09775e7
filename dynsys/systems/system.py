"""A system: a map x(t+1) = G(x(t), u) or a flow tau dx/dt = F(x, u), with the input u held constant.

For a map F(x, u) = G(x, u) - x, so that for both kinds a fixed point is a zero of the velocity F.
"""

from __future__ import annotations

import abc
import copy
import enum
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from dynsys.io.shown import Shown, Sight, facts
from dynsys.numerics.derivatives import jacfwd, jvp
from dynsys.systems.angles import checked_periods, nearest, within_a_turn
from dynsys.systems.arrays import TAKEN, takes_arrays
from dynsys.systems.pieces import Pieces
from dynsys.systems.user_function import check_function, takes_states_alone

if TYPE_CHECKING:
    from dynsys.proof.functions.enclosure import Enclosed
    from dynsys.systems.latent import Latent

Velocity = Callable[[Tensor, Tensor], Tensor]
Product = Callable[[Tensor], Tensor]

FORMED = 32  # variables, up to which a Jacobian costs less than one product by torch.func
MOST_NAMED = 12  # arrays in a line
TRIED = 4  # states at which the two ways of taking derivatives are compared

_AUTODIFF = threading.RLock()  # torch's forward-mode levels belong to the process, not to the thread


class Kind(enum.StrEnum):
    """What the time of a system is, and so where the boundary of stability lies."""

    MAP = "map"
    FLOW = "flow"


class System(Shown, abc.ABC):
    """A dynamical system with batched velocity, Jacobian and readout.

    Shapes: states ``x`` are (B, n_state), inputs ``u`` are (B, n_input), torch tensors of one dtype. ``velocity``,
    ``jacobian``, ``input_jacobian`` and ``readout`` take NumPy arrays as well, one state (n_state,) too, and zeros for
    an input that is left out; an array comes back (``dynsys.systems.arrays``).

    For developers: a new system sets the attributes below and gives ``velocity``. It replaces ``jacobian``,
    its two products and ``input_jacobian`` where there is a closed form, ``linearised`` where part of a product depends
    on x alone, ``factored_jacobian`` where it is of low rank but for -1, ``gradient_product`` where ``torch.func`` is
    not the best way to it, ``reduction`` where an easier system has the same zeros, ``pieces`` where it is piecewise
    linear, ``latent`` where it is of low rank, ``enclosure`` where its points are to be certified, ``energy_function``
    where a function falls along every path, ``readout`` and ``box`` where there are any, and ``task_trajectories``,
    ``task_contexts`` and ``states_of_outputs`` where it knows its task. It must pass
    ``dynsys.testing.check_system``.
    """

    title: ClassVar[str] = ""  # what people call such a network; its name where there is nothing
    equation: ClassVar[str] = ""  # in one line, with f for an activation that networks of this kind choose
    usual_activation: ClassVar[str] = "tanh"  # which f is where nothing says so
    recurrent_weights: ClassVar[str] = ""  # a regular expression for the names of those among its arrays
    papers: ClassVar[tuple[str, ...]] = ()  # the names of citations for it, and for how it learns here
    told_by: ClassVar[tuple[str, ...]] = ()  # the arrays whose names alone tell a file of such a network
    kind: Kind
    n_state: int
    n_input: int = 0
    n_output: int = 0
    time_constant: float = 1.0  # the length of one unit of F's time: a flow's tau, a map's step
    name: str = "system"
    closed_loop: bool = False  # whether its own output is fed back as an input
    box_is_trapping: bool = False  # whether trajectories that start in the box stay in it
    assumed: tuple[str, ...] = ()  # what had to be assumed to make it, as nothing told it
    unread: tuple[str, ...] = ()  # what the file that it came from holds besides, and was not used
    single_precision: bool = False  # whether ``to(dtype=torch.float32)`` gives a system that computes in float32
    many_directions: bool = False  # whether ``linearised`` at one state (1, n_state) takes v of any number of rows
    periods: Tensor | None = (
        None  # (n_state,) of variables that are angles, infinite for the others (``dynsys.systems.angles``)
    )
    factorised_up_to: int = 2048  # variables, above which Krylov solves beat factorisations (docs/facts.md)
    recorded: Tensor | None = None  # (k, n_state), states of the user's trials, from which all starts are drawn
    read_from: Mapping[str, Any] | None = None  # of a loaded network: what points found in it note of its file
    how: str = ""  # of a user's own network: how it is computed, and how that was made sure of

    def headline(self) -> str:
        sizes = f"{self.n_state} state variables, {self.n_input} inputs, {self.n_output} outputs"
        return f"{self.name!r}: {sizes}{self.how and '; ' + self.how}"

    def remarks(self) -> list[str]:
        """What had to be assumed of it, and what its file holds besides: a line each."""
        lines = [f"Assumed: {line}." for line in self.assumed]
        if self.unread:
            more = f" and {len(self.unread) - MOST_NAMED} more" if len(self.unread) > MOST_NAMED else ""
            lines.append(f"Not read from the file: {', '.join(self.unread[:MOST_NAMED])}{more}.")
        return lines

    def sight(self) -> Sight:
        rows = facts(
            network=self.title or type(self).__name__,
            name=self.name,
            kind=f"a {self.kind}",
            equation=self.equation,
            state_variables=self.n_state,
            inputs=self.n_input,
            outputs=self.n_output,
            time_constant=f"{self.time_constant:g}" if self.kind is Kind.FLOW else None,
            how_it_is_computed=self.how,
        )
        return Sight(rows, self.remarks())

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        for name in TAKEN:
            if name in vars(cls):
                setattr(cls, name, takes_arrays(vars(cls)[name]))

    @abc.abstractmethod
    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        """F(x, u), shape (B, n_state)."""

    @takes_arrays
    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        """dF/dx, shape (B, n_state, n_state). For a map this is dG/dx - I."""
        return _autodiff_jacobian(self.velocity, x, u)

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """dF/dx v for one direction v per state, shape (B, n_state)."""
        with _AUTODIFF:
            return jvp(lambda y: self.velocity(y, u), (x,), (v,))

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        """(dF/dx)^T w, shape (B, n_state); with w = F it is the gradient of q."""
        with _AUTODIFF:
            pull_back = torch.func.vjp(lambda y: self.velocity(y, u), x)[1]
            return pull_back(w)[0]

    def gradient_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """How grad q = J^T F changes along one direction v per state, (B, n_state): H v, H the whole Hessian of q.

        As H is symmetric it is also what v pulls back through grad q, at a third of the price of pushing it forward,
        which is left for functions that may not be differentiable that way.
        """
        if type(self).transposed_product is System.transposed_product:
            return self.gradient_pushed(x, u, v)
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            slope = self.transposed_product(y, u, self.velocity(y, u))
            return torch.autograd.grad(slope, y, v)[0] if slope.requires_grad else torch.zeros_like(v)

    def gradient_pushed(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The same by forward-mode autodiff."""
        return jvp(lambda y: self.transposed_product(y, u, self.velocity(y, u)), (x,), (v,))

    @takes_arrays
    def input_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        """dF/du, shape (B, n_state, n_input); of a map that is dG/du as well."""
        columns = [_along_input(self.velocity, x, u, j) for j in range(self.n_input)]
        return torch.stack(columns, dim=2) if columns else x.new_zeros(*x.shape, 0)

    def input_matrix(self) -> Tensor | None:
        """B (n_state, n_input) where F(x, u) is F(x, 0) + B u for every x and u; None where it is not, or not known."""
        return None

    def linearised(self, x: Tensor, u: Tensor) -> Product:
        """The map v -> dF/dx v at fixed x, for many products: what depends on x alone may be computed once here."""
        if self.n_state <= FORMED:
            J = self.jacobian(x, u)
            return lambda v: (J @ v.unsqueeze(2)).squeeze(2)
        return lambda v: self.jacobian_product(x, u, v)

    def factored_jacobian(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """U and V, (B, n_state, r) each, with dF/dx = U V^T - 1 and r far below n_state; None where none is known."""
        return None

    def reduction(self) -> Reduction | None:
        """An easier system with the same fixed points; None where none is known."""
        return None

    def flow(self) -> System | None:
        """The flow of which a map is the Euler step, with a step as its unit of time; None for any other system."""
        return None

    def pieces(self, u: Tensor) -> Pieces | None:
        """What a piecewise-linear system is between its kinks at the held input u (1, n_input); None for any other."""
        return None

    def latent(self, u: Tensor) -> Latent | None:
        """The equation in its latent variables at the held input u (1, n_input), for one of low rank; else None."""
        return None

    def enclosure(self, y: Enclosed, u: Tensor) -> Enclosed | None:
        """F at the enclosed states y, by the operations of ``Enclosed``; None where there is no such closed form."""
        return None

    def energy_function(self, u: Tensor) -> Any:
        """Its energy at the held input u (1, n_input), an ``Energy`` of ``dynsys.lyapunov``; None: none is known."""
        return None

    @takes_arrays
    def readout(self, x: Tensor) -> Tensor:
        """What the network says in state x, shape (B, n_output)."""
        return x[:, :0]

    def readout_product(self, x: Tensor, v: Tensor) -> Tensor:
        """How the readout changes along one direction v per state, (B, n_output)."""
        with _AUTODIFF:
            return jvp(self.readout, (x.contiguous(),), (v,)).detach()

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """Lower and upper bounds, each (B, n_state), of the states that can be reached; None where there are none."""
        return None

    def task_trajectories(self, steps: int, runs: int, seed: int) -> Tensor | None:
        """What the network does at its own task, (steps, runs, n_state); None where no task is known."""
        return None

    def states_visited(self, steps: int, runs: int, seed: int) -> Tensor | None:
        """States (k, n_state) that it goes through: those recorded, else those of its own task; None without either."""
        if self.recorded is not None:
            return self.recorded
        found = self.task_trajectories(steps, runs, seed)
        return None if found is None else found.flatten(0, 1)

    def task_contexts(self, n: int, seed: int) -> tuple[Tensor, Tensor] | None:
        """Inputs (n, n_input) that its task holds it at, and states (n, n_state) that belong to them.

        For a network whose input differs from one occasion to the next, so that none stands for all, as fast weights
        do; None for any other.
        """
        return None

    def states_of_outputs(self, z: Tensor) -> Tensor | None:
        """States into which outputs z (B, n_output) drive the network; None where no such way is known."""
        return None

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """A copy whose tensors lie on ``device`` in ``dtype``."""
        moved = copy.copy(self)
        for key, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, key, value.to(device=device, dtype=dtype))
        return moved


@dataclass(frozen=True)
class Reduction:
    """A system with the same fixed points as another within its box, but smaller or better conditioned.

    ``start(x)`` takes a state of the original to one of ``system``; ``lift(y, u)`` brings a fixed point back.
    Only zeros correspond: stability, slow points and q are those of the original.
    """

    system: System
    start: Callable[[Tensor], Tensor]
    lift: Callable[[Tensor, Tensor], Tensor]


@dataclass
class _Look:
    """What is known of a user's function once it was looked at."""

    done: bool = False
    in_reverse: bool | None = None  # whether derivatives are taken so; not known before the first


class OfFunction(System):
    """A system given by one function of the user's; every derivative is taken by ``torch.func``.

    The function is looked at where it is first used, so that it may be defined later, hold only within its bounds, and
    live on another device. One that takes x alone is called with x alone.
    """

    of: ClassVar[str]  # what the function gives

    def __init__(
        self,
        function: Velocity | Callable[[Tensor], Tensor],
        n_state: int,
        n_input: int = 0,
        *,
        time_constant: float = 1.0,
        readout: Callable[[Tensor], Tensor] | None = None,
        n_output: int = 0,
        bounds: tuple[float, float] | None = None,
        periods: Any = None,
        name: str | None = None,
    ) -> None:
        self._function, self._readout, self._bounds = function, readout, _checked_bounds(bounds)
        self._alone, self._look = takes_states_alone(function), _Look()
        self.n_state, self.n_input, self.n_output = n_state, n_input, n_output
        self.time_constant, self.name = time_constant, name or str(self.kind)
        self.periods = checked_periods(periods, n_state)

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        self._look_at(x, u)
        if self._look.in_reverse is None and len(x):
            self._look.in_reverse = self.n_state <= FORMED and _modes_agree(self.velocity, x[:TRIED], u[:TRIED])
        return (_reverse_jacobian if self._look.in_reverse else _autodiff_jacobian)(self.velocity, x, u)

    def looks_with(self, others: dict[Any, _Look], key: Any) -> None:
        """Not looked at again where ``others`` have been under this key, and the same code is called."""
        code = getattr(self._function, "__code__", None)
        if code is not None:
            self._look = others.setdefault((key, code), self._look)

    def _value(self, x: Tensor, u: Tensor) -> Tensor:
        self._look_at(x, u)
        return self._call(x, u)

    def _call(self, x: Tensor, u: Tensor) -> Tensor:
        function: Callable[..., Tensor] = self._function
        return function(x) if self._alone else function(x, u)

    def _look_at(self, x: Tensor, u: Tensor) -> None:
        if self._look.done or len(x) == 0 or torch._C._functorch.peek_interpreter_stack() is not None:
            return  # within torch.func nothing can be tried; what is differentiated has been used before
        check_function(self._function, self._call, x, u, self.name, self.of)
        self._look.done = True

    def readout(self, x: Tensor) -> Tensor:
        if self._readout is None:
            return x[:, :0]
        z = self._readout(x)
        if z.shape != (len(x), self.n_output):
            raise ValueError(
                f"the readout of {self.name} gives shape {tuple(z.shape)} for states of shape {tuple(x.shape)}; "
                f"n_output={self.n_output} needs ({len(x)}, {self.n_output})"
            )
        return z

    def box(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        if self._bounds is None and not (self.periods is not None and bool(torch.isfinite(self.periods).all())):
            return None
        low, high = self._bounds or (0.0, 0.0)
        bounds = u.new_full((len(u), self.n_state), low), u.new_full((len(u), self.n_state), high)
        return within_a_turn(*bounds, self.periods)


class Map(OfFunction):
    """A map given by its step, ``step(x, u) -> x'``, with x (B, n_state) and u (B, n_input) float64 tensors.

    ``readout(x)`` gives (B, n_output); ``bounds`` are the least and the greatest value that a state variable can take.
    ``periods`` tells which variables are angles, of which 0 and a whole turn are one: ``{0: 2 * math.pi}``, or a number
    for each variable, 0 for one that is no angle.

    >>> logistic = Map(lambda x, u: 3.0 * x * (1 - x), n_state=1)
    >>> logistic.velocity(torch.tensor([[0.5]]), torch.zeros(1, 0))
    tensor([[0.2500]])
    """

    kind = Kind.MAP
    of = "step"

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return nearest(self._value(x, u) - x, self.periods)


class Flow(OfFunction):
    """A flow given by its velocity, ``velocity(x, u)`` with ``time_constant * dx/dt = velocity``; else as ``Map``.

    >>> decay = Flow(lambda x, u: -x, n_state=2)
    >>> decay.jacobian(torch.zeros(1, 2), torch.zeros(1, 0))
    tensor([[[-1., -0.],
             [-0., -1.]]])
    """

    kind = Kind.FLOW
    of = "velocity"

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return self._value(x, u)


def _checked_bounds(bounds: Any) -> tuple[float, float] | None:
    if bounds is None:
        return None
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise ValueError(
            f"bounds is {bounds!r}; give the least and the greatest value that any state variable takes"
        ) from None
    if not low < high:
        raise ValueError(f"bounds is {bounds!r}; the least value comes first, and has to be less than the greatest")
    return low, high


def _along_input(velocity: Velocity, x: Tensor, u: Tensor, j: int) -> Tensor:
    """dF/du_j of each sample by forward-mode autodiff, which needs no rule for a batch of directions."""
    u = u.contiguous()  # forward mode refuses one row seen B times
    direction = torch.zeros_like(u)
    direction[:, j] = 1.0
    with _AUTODIFF:
        return jvp(lambda held: velocity(x, held), (u,), (direction,)).detach()


def _autodiff_jacobian(velocity: Velocity, x: Tensor, u: Tensor) -> Tensor:
    """dF/dx of each sample by forward-mode autodiff."""

    def of_one(state: Tensor, held: Tensor) -> Tensor:
        return velocity(state.unsqueeze(0), held.unsqueeze(0)).squeeze(0)

    with _AUTODIFF:
        return torch.func.vmap(jacfwd(of_one))(x, u).detach()


def _reverse_jacobian(velocity: Velocity, x: Tensor, u: Tensor) -> Tensor:
    """The same by reverse mode, a copy of the sample for each row: several times faster for small systems."""
    B, n = x.shape
    with torch.enable_grad():
        leaf = x.detach().repeat_interleave(n, dim=0).requires_grad_()
        F = velocity(leaf.clone(), u.detach().repeat_interleave(n, dim=0))
        if not F.requires_grad:
            return torch.zeros(B, n, n, dtype=F.dtype, device=x.device)
        rows = torch.eye(n, dtype=F.dtype, device=F.device).repeat(B, 1)
        (J,) = torch.autograd.grad(F, leaf, rows)
    return J.view(B, n, n)


def _modes_agree(velocity: Velocity, x: Tensor, u: Tensor) -> bool:
    """Whether reverse mode gives what forward mode gives: under ``no_grad`` inside the function it does not."""
    try:
        forward, reverse = _autodiff_jacobian(velocity, x, u), _reverse_jacobian(velocity, x, u)
    except RuntimeError:
        return False
    return torch.allclose(forward, reverse, rtol=1e-9, atol=1e-9, equal_nan=True)
