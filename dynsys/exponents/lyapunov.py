"""``lyapunov_exponents``: from states of a system to the exponents of the attractors that they end on.

States go on until they are on their attractors, frames until they lie along the growing directions; then growth is
added up over pieces of the trajectories, whose spread gives the intervals. Trajectories that come to rest have the
exponents of their point; others that grow alike are taken for one attractor.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.exponents.attractors import Orbit, orbits
from dynsys.exponents.covariant import Covariant, backward
from dynsys.exponents.frames import Frames
from dynsys.exponents.spectra import apart
from dynsys.exponents.spectrum import Exponents
from dynsys.exponents.tangent import Stepper
from dynsys.io.progress import Progress, shown
from dynsys.numerics.eigenvalues import eigvals
from dynsys.numerics.threads import alone, in_order
from dynsys.search.starts import first_starts
from dynsys.systems.system import FORMED, Kind, System

Array = NDArray[np.float64]
ALL = 512  # variables, up to which all exponents are computed unless asked otherwise
MOST_PIECES, PIECE = (
    256,
    16,
)  # of the trajectories, whose growth is kept, and steps in each unless they are fewer than 64
FULL = 256  # variables, up to which the accuracy of steps is judged by the volume of all directions
PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # that a flow's step may be cut into for accuracy
MOST_PARTS, STABLE = 1024, 3.0  # and lest its fastest modes blow up: of step times rate, which the method bears twice
FRAMES = 100  # steps at least, if they are half of the burn-in, for frames to lie along the growing directions
CHECKED = 8  # pieces over which log |det| is taken where it costs as much as the exponents
ACCURATE = 1e-11  # relative, that the volume which a flow's frame spans may be off
TRIED = 8  # states, at which the accuracy of steps is judged: trajectories, and as many met by one on its way
GONE = 1e12  # size of a state that has left for infinity
INTERRUPTED = "interrupted"


class ExponentsInterrupted(KeyboardInterrupt):
    """Ctrl-C while growth was added up; ``exponents`` holds what it says so far."""

    def __init__(self, exponents: Exponents) -> None:
        self.exponents = exponents
        super().__init__(f"interrupted after {exponents.steps:,} steps")


@dataclass(frozen=True)
class Asked:
    """The question: ``steps`` of a map, or of ``step`` of a flow's time constants, after ``burn_in`` of them."""

    system: System
    k: int
    steps: int
    burn_in: int
    step: float
    level: float
    seed: int
    inputs: Tensor | None  # (T, m) of a driven system
    held: Tensor  # (1, m)


def lyapunov_exponents(
    system: System,
    k: int | None = None,
    *,
    steps: int | None = None,
    burn_in: int | None = None,
    starts: Any = None,
    inputs: Any = None,
    interval: float = 0.95,
    step: float = 0.1,
    covariant: bool = False,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | bool | None = None,
) -> Exponents:
    """The k leading Lyapunov exponents of a system (all, up to 512 variables, unless given) with their intervals.

    ``inputs`` None or (n_input,) are held: the exponents are those of the autonomous system. A sequence (T, n_input)
    drives it, and ``burn_in`` and ``steps`` are counted along it; its exponents tell whether the system forgets where
    it began (echo-state property, generalised synchronisation). ``starts`` is (B, n_state), or how many states to begin
    from. A map is iterated ``steps`` times; a flow is followed for steps of ``step`` time constants each, which are cut
    until the sum of the exponents is right to 1e-11. Exponents are per unit of the user's time; a flow's time constant
    is taken into account. ``covariant`` computes covariant Lyapunov vectors of the first trajectory too.

    The numbers are the same on any number of ``workers``. Raises ValueError for arguments that make no sense,
    ArithmeticError where the sum of all exponents misses the mean of log |det DG| (map) or of the divergence (flow) by
    more than 1e-9, and ExponentsInterrupted on Ctrl-C.

    >>> from dynsys import Map
    >>> logistic = Map(lambda x, u: 4 * x * (1 - x), n_state=1, bounds=(0, 1))
    >>> bool(abs(lyapunov_exponents(logistic, steps=4000).values[0] - np.log(2)) < 0.01)
    True
    """
    began = time.perf_counter()
    with alone(), shown(progress) as show:
        asked = _asked(system, k, steps, burn_in, inputs, interval, step, seed)
        x = _starts(asked, starts)
        run = _Run(asked, x, workers or torch.get_num_threads(), show)
        try:
            run.go()
        except KeyboardInterrupt:
            so_far = run.result(began, INTERRUPTED)
            if so_far is None:
                raise
            raise ExponentsInterrupted(so_far) from None
        found = run.result(began)
        assert found is not None
        if covariant:
            found = _with_vectors(found, asked, run)
    return found


def _asked(
    system: System,
    k: int | None,
    steps: int | None,
    burn_in: int | None,
    inputs: Any,
    level: float,
    step: float,
    seed: int,
) -> Asked:
    n = system.n_state
    if n < 1:
        raise ValueError(f"{system.name} has no state variables, and no exponents")
    k = (n if n <= ALL else 64) if k is None else k
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}; {system.name} has {n} exponents, so 1 to {n} of them can be asked for")
    if not 0 < level < 1:
        raise ValueError(f"interval is {level}; give the share of runs whose interval is to hold, as 0.95")
    if not step > 0:
        raise ValueError(f"step is {step}; give the length of a flow's step in its time constants, as 0.1")
    sequence, held = _inputs(system, inputs)
    if sequence is not None:
        burn_in = len(sequence) // 5 if burn_in is None else burn_in
        steps = len(sequence) - burn_in if steps is None else steps
        if steps + burn_in > len(sequence):
            raise ValueError(
                f"{burn_in} steps of burn-in and {steps} more need as many inputs; there are {len(sequence)}"
            )
    if steps is None:
        steps = 1000 if system.kind is Kind.FLOW else 4000 if n <= 128 else 2000
    burn_in = max(500, steps // 5) if burn_in is None else burn_in
    if steps < 2 or burn_in < 0:
        raise ValueError(
            f"steps is {steps} and burn_in {burn_in}; at least 2 steps, and no negative burn-in, are needed"
        )
    return Asked(system, k, steps, burn_in, 1.0 if system.kind is Kind.MAP else step, level, seed, sequence, held)


def _inputs(system: System, inputs: Any) -> tuple[Tensor | None, Tensor]:
    if inputs is None:
        return None, torch.zeros(1, system.n_input, dtype=torch.float64)
    u = torch.as_tensor(np.asarray(inputs, dtype=np.float64))
    if u.ndim not in (1, 2) or u.shape[-1] != system.n_input:
        raise ValueError(
            f"inputs have shape {tuple(u.shape)}; {system.name} takes ({system.n_input},) held, "
            f"or a sequence (steps, {system.n_input})"
        )
    if not bool(torch.isfinite(u).all()):
        raise ValueError("inputs hold NaN or infinity")
    return (None, u[None]) if u.ndim == 1 else (u, u[:1])


def _starts(asked: Asked, starts: Any) -> Tensor:
    n = asked.system.n_state
    if starts is None:
        starts = 32 if n <= FORMED else 8 if n <= 128 else 2 if n <= ALL else 1
    if isinstance(starts, int):
        if starts < 1:
            raise ValueError(f"starts is {starts}; at least one trajectory is needed")
        return first_starts(asked.system, asked.held, starts, asked.seed).double()
    x = torch.as_tensor(np.asarray(starts, dtype=np.float64))
    if x.ndim != 2 or x.shape[1] != n or not len(x):
        raise ValueError(f"starts have shape {tuple(x.shape)}; {asked.system.name} takes (B, {n})")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("starts hold NaN or infinity")
    return x


class _Run:
    """The states on their way, and what grew so far."""

    def __init__(self, asked: Asked, x: Tensor, workers: int, progress: Progress) -> None:
        self.asked, self.workers, self.progress = asked, workers, progress
        self.begun = len(x)
        self.x, self.t, self.parts = x, 0, 1
        self.spread, self.span = x.new_zeros(len(x)), 0.0  # how far each trajectory has gone, and the greatest of it
        self.rested, self.orbits = x[:0], list[Orbit]()  # states that were on an orbit before anything was added up
        self.groups: list[Frames] = []
        self.logs: list[Tensor] = []  # of growth (B, k) over each piece
        self.volumes: list[tuple[Tensor, Tensor]] = []  # growth of all directions, and log |det|, (B,) over pieces
        self.lengths: list[int] = []  # of the pieces in steps

    @property
    def stepper(self) -> Stepper:
        return Stepper(self.asked.system, self.asked.step / self.parts)

    def inputs(self, t: int) -> Tensor:
        """At a part of a step, (B, m)."""
        sequence = self.asked.inputs
        return self.asked.held if sequence is None else sequence[min(t // self.parts, len(sequence) - 1)][None]

    def go(self) -> None:
        asked = self.asked
        self._cut()
        upright = min(asked.burn_in // 2, max(FRAMES, asked.burn_in // 5))
        low = high = self.x
        steps, met = (asked.burn_in - upright) * self.parts, [self.x[:1]]
        for t in range(steps):
            self.x = self.stepper.step(self.x, None, self._for(self.inputs(t), self.x)).x
            low, high = torch.minimum(low, self.x), torch.maximum(high, self.x)
            if t % max(1, steps // (2 * TRIED)) == 0 and 2 * t >= steps:
                met.append(self.x[:1])
            self.progress("on the way", t + 1, steps)
        self.t, self.spread = asked.burn_in - upright, (high - low).amax(dim=1)
        self._drop_gone()
        found = orbits(self, self.x, self.spread)
        moves = torch.tensor([row not in found for row in range(len(self.x))])
        self.orbits, self.x, self.rested = list(found.values()), self.x[moves], self.x[~moves]
        self.span, self.spread = float(self.spread.max()), self.spread[moves]
        if not len(self.x):
            return
        self._cut(met[1:])
        self._begin()
        self._grow(upright, keep=False)
        pieces = min(asked.steps, MOST_PIECES, max(64, asked.steps // PIECE))
        lengths = np.diff(np.linspace(0, asked.steps, pieces + 1).astype(int)).tolist()
        checked = self._checked(len(lengths))
        for number, length in enumerate(lengths):
            self._grow(length, keep=True, volume=number in checked)
            self.progress("growth", number + 1, len(lengths))

    def _checked(self, pieces: int) -> set[int]:
        if self.asked.k < self.asked.system.n_state:
            return set()
        cheap = self.asked.system.n_state <= FORMED
        return set(range(pieces)) if cheap else set(np.linspace(0, pieces - 1, CHECKED).astype(int).tolist())

    def _begin(self) -> None:
        """Frames for the states, in two groups that threads can take; which they are does not depend on the threads."""
        generator = torch.Generator().manual_seed(self.asked.seed)
        n, k = self.asked.system.n_state, self.asked.k
        Q = torch.linalg.qr(torch.randn(len(self.x), n, k, generator=generator, dtype=torch.float64))[0]
        halves = 2 if n > FORMED and len(self.x) > 1 else 1
        for rows in torch.arange(len(self.x)).chunk(halves):
            frames = Frames(self.stepper, self.x[rows], Q[rows], self.inputs, self.t * self.parts)
            frames.inputs = lambda t, like=frames: self._for(self.inputs(t), like.x)  # type: ignore[misc]
            self.groups.append(frames)

    @staticmethod
    def _for(u: Tensor, x: Tensor) -> Tensor:
        return u.expand(len(x), -1)

    def _grow(self, steps: int, keep: bool, volume: bool = False) -> None:
        steps_of_all = steps * self.parts
        grown = list(in_order(lambda one: one.grow(steps_of_all, volume), self.groups, self.workers))
        self.t += steps
        x = torch.cat([one.x for one in self.groups])
        if not bool((x.abs().amax(dim=1) < GONE).all()):  # NaN is not
            raise ArithmeticError(self._left(int((~(x.abs().amax(dim=1) < GONE)).sum())))
        self.x = x
        if keep:
            logs = torch.cat([growth for growth, _ in grown])
            self.logs.append(logs)
            self.lengths.append(steps)
            if volume:
                self.volumes.append((logs.sum(dim=1), torch.cat([total for _, total in grown])))

    def _drop_gone(self) -> None:
        stays = self.x.abs().amax(dim=1) < GONE
        if not bool(stays.any()):
            raise ArithmeticError(self._left(len(self.x)))
        self.x, self.spread = self.x[stays], self.spread[stays]

    def _left(self, number: int) -> str:
        return (
            f"{number} of {self.begun} trajectories of {self.asked.system.name} leave for infinity "
            f"(a state beyond {GONE:g} after {self.t:,} steps); exponents belong to bounded motion: begin from other "
            f"starts" + (", or take shorter steps (step=...)" if self.asked.system.kind is Kind.FLOW else "")
        )

    def _cut(self, met: Sequence[Tensor] = ()) -> None:
        """Into how many parts a flow's step has to be cut, by the volume of a frame at the states as they are.

        Of a small system also at the states (1, n) that were ``met``: one trajectory may just be where little happens.
        """
        if self.asked.system.kind is Kind.MAP:
            return
        rows = slice(0, TRIED if self.asked.system.n_state <= FORMED else 1)
        before, fewest = np.inf, self._least_parts(self.x[rows])
        for parts in (fewest, *(parts for parts in PARTS if parts > fewest)):
            self.parts = parts
            x = torch.cat([self.x[rows], *(met if self.asked.system.n_state <= FORMED else [])])
            error = _inaccuracy(self.stepper, x, self._for(self.inputs(self.t * parts), x), parts)
            if error <= ACCURATE or error > before / 2:  # what is not smooth gets no better: the sum rule will tell
                return
            before = error

    def _least_parts(self, x: Tensor) -> int:
        """Of a step, in which the modes at the states x decay that decay fastest, instead of blowing up."""
        asked = self.asked
        if asked.system.n_state > FULL:
            return 1
        J = asked.system.jacobian(x, self._for(self.inputs(self.t * self.parts), x))
        finite = torch.isfinite(J).all(dim=2).all(dim=1)
        rate = float(eigvals(J[finite]).abs().max()) if bool(finite.any()) else 0.0
        parts = int(np.ceil(asked.step * rate / STABLE))
        if parts > MOST_PARTS and self.t:  # on the way to its attractor it may have come from far out
            raise ValueError(
                f"modes of {asked.system.name} change at a rate of {rate:.3g} per time constant, and steps are "
                f"{asked.step:g} of them long: give step={STABLE / 2 * MOST_PARTS / rate:.1g}, say, and more steps"
            )
        return min(max(parts, 1), MOST_PARTS)

    def result(self, began: float, stopped: str = "") -> Exponents | None:
        if not self.logs and not len(self.rested):
            return None
        return apart(self, time.perf_counter() - began, stopped)


def _inaccuracy(stepper: Stepper, x: Tensor, u: Tensor, parts: int) -> float:
    """How far the volume that a frame spans grows otherwise than it has to over a step, relative to its growth: than by
    the divergence, or, of a large system, than in steps of half the length.
    """
    n = x.shape[1]
    if n <= FULL:
        growth, volume = _spanned(stepper, x, u, parts, n, True)
    else:
        growth, _ = _spanned(stepper, x, u, parts, 4, False)
        volume, _ = _spanned(Stepper(stepper.system, stepper.length / 2), x, u, 2 * parts, 4, False)
    error = (growth - volume).abs() / (growth.abs() + stepper.length * parts)
    return float(error.nan_to_num(torch.inf).max())


def _spanned(stepper: Stepper, x: Tensor, u: Tensor, steps: int, k: int, volume: bool) -> tuple[Tensor, Tensor]:
    frames = Frames(stepper, x, torch.eye(x.shape[1], k, dtype=x.dtype).expand(len(x), -1, -1), lambda t: u)
    logs, total = frames.grow(steps, volume)
    return logs.sum(dim=1), total


def _with_vectors(found: Exponents, asked: Asked, run: _Run) -> Exponents:
    """The exponents with covariant vectors of the first trajectory that moves, from where it ended on."""
    if found.lost:
        raise ArithmeticError(f"{found.lost} directions are sent to nothing: covariant vectors do not exist for them")
    if asked.inputs is not None:
        raise ValueError("covariant vectors go on from the end of a run, and there are no more inputs: leave them out")
    x, k = run.x[:1] if len(run.x) else run.rested[:1], asked.k
    generator = torch.Generator().manual_seed(asked.seed)
    Q = torch.linalg.qr(torch.randn(1, x.shape[1], k, generator=generator, dtype=x.dtype))[0]
    frames = Frames(run.stepper, x, run.groups[0].Q[:1] if run.groups else Q, lambda t: asked.held)
    margin = 200 * run.parts
    frames.grow(margin)
    frames.rules, frames.between = dataclasses.replace(frames.rules, longest=1), 1
    states: list[Tensor] = []
    Qs: list[Tensor] = [frames.Q[0]]
    Rs: list[Tensor] = []

    def keep(Q: Tensor, R: Tensor) -> None:
        Qs.append(Q[0])
        Rs.append(R[0])

    frames.kept = keep
    for _ in range(min(asked.steps, 1000) * run.parts + margin):
        states.append(frames.x[0])
        frames.grow(1)
    vectors: Covariant = backward(states, Qs[:-1], Rs, margin, asked.seed)
    return dataclasses.replace(found, covariant=vectors)
