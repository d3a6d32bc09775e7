"""Find the fixed and slow points of a system: what is asked for is checked here and searched by ``exploration``.

starts -> rounds of waves (down to near a zero) -> known point? -> to the last digit -> catalogue: each zero once
                                                             -> slow states, followed to their minimum of q
and new starts from the points found, until the rule of ``discovery`` says stop; then eigenvalues and words.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.io.progress import Progress, shown, silent
from dynsys.numerics.deadline import Deadline
from dynsys.numerics.rounding import is_zero
from dynsys.numerics.threads import alone
from dynsys.result.fixed_points import FixedPoints
from dynsys.result.report import outcome
from dynsys.search.budget import Budget, bytes_of
from dynsys.search.course import Exploration, Settings
from dynsys.search.refine import zeros_of
from dynsys.search.solvers import Solver, solver_named
from dynsys.search.starts import first_starts
from dynsys.search.tolerances import Tolerances, points_by_tolerance
from dynsys.systems.angles import check_periodic
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.precision import computes_in_single
from dynsys.systems.system import System

ENGINES = ("auto", "fiber")
LOOKED_AT = 64  # starts, by which it is told in what precision a velocity is computed


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a search; ``points`` holds what had been found by then."""

    def __init__(self, points: FixedPoints) -> None:
        self.points = points
        super().__init__(f"interrupted with {len(points)} points found")


def find_fixed_points(
    system: System,
    starts: Any = None,
    input: Any = None,
    *,
    n_starts: int = 512,
    solver: str | Solver = "auto",
    engine: str = "auto",
    period: int = 1,
    slow_q: float = 1e-4,
    closure: bool = True,
    full_spectrum: bool = False,
    verify: bool = True,
    tolerances: Tolerances | None = None,
    memory: int | str | None = None,
    seconds: float | Deadline | None = None,
    seed: int = 0,
    device: str | None = None,
    workers: int | None = None,
    known: Any = None,
    progress: Progress | bool | None = None,
) -> FixedPoints:
    """Find, merge and classify the fixed and slow points of ``system`` under a held input.

    ``starts`` is (B, n_state), or None for ``n_starts`` states from the system's own trajectories, else from its box.
    They are taken in random order, and no more of them than discovery needs to flatten
    (``dynsys.search.known.stopping``). ``input`` is (n_input,), or (B, n_input) with one row per start; None means
    zeros. A system whose input differs from one occasion of its task to the next brings inputs and starts of several if
    neither is given. ``solver`` is a name in ``dynsys.search.solvers.SOLVERS``, or "auto". ``engine`` is "auto", or
    "fiber" to follow directional fibers whatever the first engine found. ``period`` k searches a map for its cycles of
    k steps, as the fixed points of the map applied k times without those of its divisors; whole cycles come out,
    numbered by ``orbit``. ``slow_q`` is the largest q of a slow point. ``closure=False`` leaves out every start that
    was not given. ``verify=False`` leaves out the proofs (bounds are estimates then) and the look at where trajectories
    settle. With ``tolerances`` only the starts given are taken down, and points are counted by how small q is and how
    far apart they lie, as the literature does, without proofs or a word on what is missing
    (``dynsys.search.tolerances``). ``memory`` is what the working arrays may take, like "4GiB"; 2 GiB unless given.
    ``seconds`` end the search when they are over, with what it has, and let it go on as long where it would otherwise
    end while points are still being found (``dynsys.search.known.stopping``); a Deadline that it shares with other work
    does no more than end it. ``known`` (k, n_state) are fixed points under the one input that the search begins with,
    those of a search that was cut short; what it says of what may be missing counts only what its own starts met.
    ``progress=True`` shows how far it has come, a function ``progress(stage, done, total)`` is called as it goes.

    The same seed gives the same points on any number of ``workers`` (threads). Raises ValueError for arrays of the
    wrong size or with NaN, and SearchInterrupted, which holds the points found so far, on Ctrl-C.

    >>> from dynsys import Flow, find_fixed_points
    >>> points = find_fixed_points(Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2)), n_starts=16)
    >>> points.states.round(6).ravel().tolist(), points.stability.tolist()
    ([-1.0, 1.0, 0.0], ['stable node', 'stable node', 'unstable node'])
    """
    began = time.perf_counter()
    if tolerances is not None and (engine != "auto" or period != 1 or seconds is not None or known is not None):
        raise ValueError(
            f"with tolerances every start goes its own way to a fixed point: engine={engine!r}, period={period}, "
            f"seconds={seconds} and known points belong to the search without; leave them or the tolerances out"
        )
    system = Iterated(system, period) if period != 1 else system
    with alone(), shown(progress) as show:
        search = _asked(
            system,
            starts,
            input,
            n_starts=n_starts,
            solver=solver,
            engine=engine,
            slow_q=slow_q,
            closure=closure,
            verify=verify,
            memory=memory,
            seconds=seconds,
            seed=seed,
            device=device,
            workers=workers,
            progress=show,
        )
        if known is not None and len(known):
            search.begin_with(_zeros(system, known, search))
        if tolerances is not None:
            return _timed(points_by_tolerance(search, tolerances, full_spectrum), began)
        try:
            search.run()
            return _timed(outcome(search, full_spectrum), began)
        except KeyboardInterrupt:
            search.interrupt()
            raise SearchInterrupted(_timed(outcome(search, full_spectrum), began)) from None


def fixed_states(
    system: System,
    starts: Any,
    input: Any,
    *,
    closure: bool = True,
    verify: bool = False,
    deadline: Deadline | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Tensor:
    """The fixed points (k, n) that ``find_fixed_points`` finds with the same arguments, in the order in which it finds
    them and without their eigenvalues, which cost a quarter of a search at 500 units."""
    with alone():
        search = _asked(
            system,
            starts,
            input,
            slow_q=0.0,
            closure=closure,
            verify=verify,
            seconds=deadline,
            seed=seed,
            workers=workers,
            progress=silent,
        )
        search.run()
        return zeros_of(search.catalogue, verify, search.regions, search.boxes, 0.0).points.x


def _asked(
    system: System,
    starts: Any,
    input: Any,
    *,
    n_starts: int = 512,
    solver: str | Solver = "auto",
    engine: str = "auto",
    slow_q: float,
    closure: bool = True,
    verify: bool,
    memory: int | str | None = None,
    seconds: float | Deadline | None = None,
    seed: int,
    device: str | None = None,
    workers: int | None,
    progress: Progress,
) -> Exploration:
    """The search that was asked for, checked and not yet begun."""
    method = solver_named(solver)
    where = checked_device(device)
    for name, value in {"n_starts": n_starts, "workers": workers}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; a search needs at least 1")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it has to be a whole number of 0 or more")
    if not (seconds is None or isinstance(seconds, Deadline) or seconds > 0):
        raise ValueError(f"seconds is {seconds}; a search needs some time, more than 0")
    if not slow_q >= 0:
        raise ValueError(f"slow_q is {slow_q}; the largest q of a slow point is 0 or more")
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; the engines are {', '.join(ENGINES)}")
    system = system.to(device=where)
    starts, input = _of_its_task(system, starts, input, n_starts, seed)
    u = checked_input(system, input).to(where)
    workers = workers or (len(os.sched_getaffinity(0)) if where.type == "cpu" else 1)
    budget = Budget(bytes_of(memory), workers)
    settings = Settings(
        adaptive=solver == "auto",
        slow_q=slow_q,
        closure=closure,
        engine=engine,
        verify=verify,
        seed=seed,
        workers=workers,
        budget=budget,
        progress=progress,
        deadline=Deadline.of(seconds),
        long=seconds is not None and not isinstance(seconds, Deadline),
    )
    x = (first_starts(system, u, n_starts, seed) if starts is None else checked_starts(system, starts)).to(where)
    if len(u) not in (1, len(x)):
        raise ValueError(f"input has {len(u)} rows and starts {len(x)}; give one input, or one for every start")
    for check in (_check_velocity, check_periodic):
        check(Held(system, u[:1]), x[torch.isfinite(x).all(dim=1)])
    return Exploration(system, method, *_distinct(u, len(x)), x, settings)


def _zeros(system: System, known: Any, search: Exploration) -> Tensor:
    """Points that are known, on the device of the search; raises ValueError where they are none of its system."""
    x, u = checked_starts(system, known).to(search.catalogue.inputs), search.catalogue.inputs
    if len(u) > 1:
        raise ValueError(f"known points belong to one input, and {len(u)} are given; search at one after the other")
    held = Held(system, u.expand(len(x), -1), search.catalogue.unit)
    wrong = ~is_zero(held, x, held.velocity(x))
    if bool(wrong.any()):
        raise ValueError(f"{int(wrong.sum())} of {len(x)} known states are no fixed points of {system.name}")
    return x


def _of_its_task(system: System, starts: Any, input: Any, n: int, seed: int) -> tuple[Any, Any]:
    """Starts and inputs that the task of a system brings where neither is given; else those given."""
    contexts = system.task_contexts(n, seed) if starts is None and input is None else None
    return (starts, input) if contexts is None else contexts[::-1]


def _timed(points: FixedPoints, began: float) -> FixedPoints:
    return dataclasses.replace(points, search=dataclasses.replace(points.search, seconds=time.perf_counter() - began))


def _distinct(u: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The distinct inputs (G, n_input), and for each of n starts which of them it is held at."""
    if len(u) == 1 or u.shape[1] == 0:
        return u[:1], torch.zeros(n, dtype=torch.long, device=u.device)
    inputs, groups = torch.unique(u, dim=0, return_inverse=True)
    return inputs, groups


def _check_velocity(held: Held, x: Tensor) -> None:
    """Raise ValueError where the velocity is not float64 of the shape of its states, before anything relies on it."""
    system, looked_at = held.system, x[:LOOKED_AT]
    x = x[:2] if len(x) > 1 else x.expand(2, -1).clone()  # one row alone would hide a function that drops the others
    try:
        F = held.expand(2).velocity(x)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        F = x.float()
    if not isinstance(F, Tensor):
        raise ValueError(f"the velocity of {system.name} is a {type(F).__name__}; it has to be a torch tensor")
    single = f"{system.name} computes in single precision; the search needs double: call .double() on it"
    if F.dtype != torch.float64:
        raise ValueError(single)
    if F.shape != x.shape:
        given, legal = tuple(F.shape), tuple(x.shape)
        raise ValueError(
            f"the velocity of {system.name} has shape {given} for states of shape {legal}; it needs the same"
        )
    if computes_in_single(held.expand(len(looked_at)), looked_at):
        raise ValueError(single)


def checked_device(device: str | None) -> torch.device:
    """The torch device of that name; raises ValueError where this machine has none."""
    try:
        where = torch.device(device or "cpu")
        if where.type not in ("cpu", "cuda"):
            raise RuntimeError(f"{where.type} is not a device for double precision")
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device is {device!r}, which torch cannot use here; use cpu, or cuda on a GPU") from error
    return where


def checked_input(system: System, input: Any) -> Tensor:
    """The held input as (1, n_input) or (B, n_input) float64; zeros for None."""
    if input is None:
        return torch.zeros(1, system.n_input, dtype=torch.float64)
    given = _numbers(input)
    u = torch.as_tensor(np.atleast_2d(given).copy())
    if u.ndim != 2 or u.shape[1] != system.n_input:
        raise ValueError(f"input has shape {given.shape}; {system.name} takes {system.n_input} input values")
    return _finite(u, "input")


def checked_starts(system: System, starts: Any) -> Tensor:
    """The starts as (B, n_state) float64, copied, so that the caller's array is never written to."""
    x = torch.as_tensor(_numbers(starts).copy())
    if x.ndim != 2 or x.shape[1] != system.n_state or len(x) == 0:
        n = system.n_state
        raise ValueError(f"starts has shape {tuple(x.shape)}; a system of {n} state variables needs (n, {n}), n >= 1")
    if not bool(torch.isfinite(x).all(dim=1).any()):
        raise ValueError(
            f"starts holds NaN or infinite values in all of its {len(x)} rows; give at least one finite row"
        )
    return x


def _numbers(values: Any) -> Any:
    """A list, an array or a tensor on any device as a float64 array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)


def _finite(values: Tensor, name: str) -> Tensor:
    bad = ~torch.isfinite(values).all(dim=1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise ValueError(
            f"{name} holds NaN or infinite values in {int(bad.sum())} of {len(bad)} rows, first in {first}"
        )
    return values
