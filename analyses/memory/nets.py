"""The memories by name, each made of the patterns it stores, and what they do with a cue: the course of a recall.

What a course goes by differs from net to net: changes of one unit, steps of all units at once, passes from layer to
layer, time constants of a flow. Energies are given where there is one that falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.analyses.memory.pattern_files import Patterns
from dynsys.models.associative.associator import Associator
from dynsys.models.associative.bidirectional import BidirectionalMemory
from dynsys.models.associative.continuous import ContinuousHopfield
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.associative.descent import PatternDescent
from dynsys.models.associative.hopfield import Hopfield
from dynsys.models.associative.polynomial import PolynomialMemory
from dynsys.models.associative.recurrent import Outcome, RecurrentAssociator
from dynsys.models.associative.theory.spurious import Name, named
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System
from dynsys.trajectories.simulate import relax

Array = NDArray[np.float64]

STEP = 0.1  # time constants between two states of a flow
BLOCK, BLOCKS = 100, 100  # steps between two looks at whether a flow or map is at rest, and how often
REST, NEAR = 1e-9, 1e-4  # the speed at rest, and how near to it a course ends, against the size of a pattern
Ends = tuple[Array, NDArray[np.bool_]]
CLOSE = 0.5  # of a unit of a graded state, from which on it counts as 1 or -1


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer along a course: its states (k + 1, n), the patterns that it may come to, and the shape of a picture."""

    name: str
    states: Array
    patterns: Patterns


@dataclass(frozen=True, eq=False)
class Course:
    """A recall: where it was after how much of ``unit``, its energies, and whether it came to rest (how it ended)."""

    layers: tuple[Layer, ...]
    at: Array
    unit: str
    energies: Array | None
    rested: bool
    how: str


@dataclass(frozen=True, eq=False)
class Net:
    """A memory: the course of a recall from a cue and a seed; ``system`` is it, where its states are continuous.

    ``many`` gives the ends of cues (B, n) and which of them are at rest, where that is quicker than course by course;
    ``discrete`` is the net where ``enumerated`` takes it; ``held`` where the cue stays on as external input.
    """

    course: Callable[[Array, int], Course]
    system: System | None = None
    many: Callable[[Array, int], Ends] | None = None
    discrete: Any = None
    held: bool = False

    def ends(self, cues: Array, seed: int) -> Ends:
        """Where cues (B, n) end, and which (B,) are at rest there; of an answer in one step all are."""
        if self.many is not None:
            return self.many(cues, seed)
        courses = [self.course(cue, seed + k) for k, cue in enumerate(cues)]
        rested = np.array([course.rested for course in courses])
        return np.array([course.layers[0].states[-1] for course in courses]), rested


@dataclass(frozen=True)
class Choices:
    """What a user may choose of a net; None where it was left to the net."""

    rule: str | None = None
    ties: str | None = None
    beta: float | None = None
    order: int | str | None = None
    gain: float | None = None
    hold: bool | None = None
    first: str | None = None
    targets: Patterns | None = field(default=None, compare=False)

    @property
    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


def hopfield(patterns: Patterns, rule: str = "hebb", hold: bool = False) -> Net:
    """One unit at a time; the cue is where the net starts, and with ``hold`` it stays on as external input too."""
    net = Hopfield.learned(patterns.S, rule)

    def course(cue: Array, seed: int) -> Course:
        run = net.run(cue, seed=seed, external=cue if hold else np.zeros_like(cue))
        states, changed = run.states_after(run.changes), np.concatenate([[0], run.changes + 1])
        energies = run.energies[changed] if net.has_energy else None
        layers = (Layer("", states, patterns),)
        how = "no unit changes any more" if run.settled else "units were still changing"
        return Course(layers, np.arange(float(len(changed))), "units changed", energies, run.settled, how)

    def many(cues: Array, seed: int) -> Ends:
        runs = [net.run(c, seed=seed + k, external=c if hold else np.zeros_like(c)) for k, c in enumerate(cues)]
        return np.array([run.end for run in runs]), np.array([run.settled for run in runs])

    return Net(course, many=many, discrete=None if hold else net)


def associator(patterns: Patterns, rule: str = "hebb", ties: str = "zero", targets: Patterns | None = None) -> Net:
    """One layer, one step; with ``targets`` it answers with those."""
    T = None if targets is None else _paired(patterns, targets).S
    if rule == "pseudo-inverse":
        net = Associator.pseudo_inverse(patterns.S, T, ties=ties)
    elif rule in ("hebb", "modified"):
        net = Associator.hebb(patterns.S, T, modified=rule == "modified", ties=ties)
    else:
        raise ValueError(f"rule is {rule!r}; an associator learns by hebb, modified, pseudo-inverse")

    def course(cue: Array, seed: int) -> Course:
        there = net.recall(cue)
        if targets is None:
            layers: tuple[Layer, ...] = (Layer("", np.array([cue, there]), patterns),)
        else:
            before = np.full_like(there, np.nan)
            shown = Layer("input", np.array([cue, cue]), patterns), Layer("answer", np.array([before, there]), targets)
            layers = shown
        return Course(layers, np.arange(2.0), "steps", None, True, "one layer answers in one step")

    return Net(course)


def recurrent(patterns: Patterns, ties: str = "zero") -> Net:
    """All units at once, until a stored pattern, or a state seen before."""
    net = RecurrentAssociator.hebb(patterns.S, ties=ties)

    def course(cue: Array, seed: int) -> Course:
        run = net.run(cue)
        rested = run.outcome is Outcome.FIXED or (run.outcome is Outcome.STORED and run.period == 1)
        period = f", of period {run.period}" if run.outcome is Outcome.CYCLE else ""
        how = run.outcome.message.replace("a cycle", f"a cycle{period}")
        layers = (Layer("", np.asarray(run), patterns),)
        return Course(layers, np.arange(float(len(run))), "steps", None, rested, how)

    return Net(course, discrete=net)


def bam(patterns: Patterns, first: str = "y", targets: Patterns | None = None) -> Net:
    """Two layers in turn, the y-layer unknown at first; without ``targets`` each pattern is paired with the next."""
    if targets is None:
        order = np.roll(np.arange(len(patterns)), -1)
        paired = Patterns(tuple(patterns.names[i] for i in order), patterns.S[order], patterns.shape)
    else:
        paired = _paired(patterns, targets)
    net = BidirectionalMemory.hebb(patterns.S, paired.S)

    def course(cue: Array, seed: int) -> Course:
        run = net.run(cue, np.zeros(paired.S.shape[1]), first=first)
        layers = Layer("x", run.x, patterns), Layer("y", run.y, paired)
        how = "neither layer changes any more" if run.settled else "layers were still changing"
        return Course(layers, np.arange(float(len(run.x))), "passes", run.energies, run.settled, how)

    return Net(course, discrete=net)


def polynomial(patterns: Patterns, order: int | str = 3) -> Net:
    """One unit at a time, overlaps counted by a power or an exponential."""
    net = PolynomialMemory(patterns.S, order)

    def course(cue: Array, seed: int) -> Course:
        states = net.run(cue, seed=seed)
        energies = np.array([net.energy(y) for y in states])
        rested = bool((states[-1] == states[-2]).all())
        how = "no unit changes any more" if rested else "units were still changing"
        layers = (Layer("", states, patterns),)
        return Course(layers, np.arange(float(len(states))), "sweeps", energies, rested, how)

    return Net(course, discrete=net)


def dense(patterns: Patterns, beta: float = 1.0) -> Net:
    """Continuous states, every update softmax attention over the patterns."""
    net = DenseMemory(patterns.S, beta)
    return _of_system(net, patterns, net.energy, lambda x: x, "steps")


def continuous(patterns: Patterns, rule: str = "hebb", gain: float = 4.0, hold: bool = False) -> Net:
    """Graded units that relax; what is shown is their outputs tanh(gain x)."""
    net = ContinuousHopfield.learned(patterns.S, rule, gain)
    return _of_system(net, patterns, net.energy, lambda x: np.tanh(net.gain * x), "time constants", hold)


def descent(patterns: Patterns) -> Net:
    """Descent of Shepard's function, which has a minimum at each pattern; every pattern has a target of its own."""
    net = PatternDescent(patterns.S, patterns.names)
    return _of_system(net, patterns, net.value, lambda x: x, "time constants")


def _of_system(
    system: Any,
    patterns: Patterns,
    energy: Callable[..., Array],
    shown: Callable[[Array], Array],
    unit: str,
    hold: bool = False,
) -> Net:
    def course(cue: Array, seed: int) -> Course:
        u = cue if hold else np.zeros(system.n_input)
        states, rested = _followed(Held(system, torch.as_tensor(u).reshape(1, -1)), cue)
        energies = energy(states, u) if hold else energy(states)
        at = np.arange(float(len(states))) * (1.0 if system.kind is Kind.MAP else STEP)
        how = "it is at rest" if rested else "it was still moving"
        return Course((Layer("", shown(states), patterns),), at, unit, energies, rested, how)

    def many(cues: Array, seed: int) -> Ends:
        ends, rested = at_rest(system, cues, cues if hold else np.zeros((len(cues), system.n_input)))
        return shown(ends), rested

    return Net(course, system, many, held=hold)


def at_rest(system: System, cues: Array, inputs: Array) -> Ends:
    """Where all cues (B, n) come to under the inputs held (B, n_input), and which of them are at rest."""
    x, u = torch.as_tensor(cues).clone(), torch.as_tensor(inputs)
    moving, small = torch.arange(len(x)), REST * float(np.sqrt(x.shape[1]))
    for _ in range(BLOCKS):
        x[moving] = relax(Held(system, u[moving]), x[moving], BLOCK, STEP)[-1]
        fast = system.velocity(x[moving], u[moving]).norm(dim=1) > small
        moving = moving[fast]
        if not len(moving):
            break
    rested = torch.ones(len(x), dtype=torch.bool)
    rested[moving] = False
    return np.asarray(x), np.asarray(rested)


def _followed(held: Held, x: Array) -> tuple[Array, bool]:
    """The states (k + 1, n) from x to near where its speed is nothing, and whether it came to that."""
    states, size = torch.as_tensor(x).reshape(1, 1, -1), float(np.sqrt(len(x)))
    for _ in range(BLOCKS):
        states = torch.cat([states, relax(held, states[-1], BLOCK, STEP)])
        if float(held.velocity(states[-1]).norm()) <= REST * size:
            near = (states - states[-1]).norm(dim=2)[:, 0] <= NEAR * size
            return np.asarray(states[: max(int(near.nonzero()[0, 0]), 1) + 1, 0]), True
    return np.asarray(states[:, 0]), False


def _paired(patterns: Patterns, targets: Patterns) -> Patterns:
    if len(targets) != len(patterns):
        raise ValueError(f"there are {len(patterns)} patterns and {len(targets)} targets; each pattern needs its own")
    return targets


NETS: dict[str, Callable[..., Net]] = {
    "hopfield": hopfield,
    "associator": associator,
    "recurrent": recurrent,
    "bam": bam,
    "polynomial": polynomial,
    "dense": dense,
    "continuous": continuous,
    "descent": descent,
}
USES: Mapping[str, tuple[str, ...]] = {  # which choices make a difference to which net
    "hopfield": ("rule", "hold"),
    "associator": ("rule", "ties", "targets"),
    "recurrent": ("ties",),
    "bam": ("first", "targets"),
    "polynomial": ("order",),
    "dense": ("beta",),
    "continuous": ("rule", "gain", "hold"),
    "descent": (),
}


def net_of(model: str, patterns: Patterns, choices: Choices) -> Net:
    """The net of that name; ValueError for a choice that makes no difference to it."""
    for name in choices.given:
        if name not in USES[model]:
            those = ", ".join(other for other, uses in USES.items() if name in uses)
            raise ValueError(f"--{name} makes no difference to {model}; it does to {those}")
    return NETS[model](patterns, **choices.given)


def signs_of(end: Array) -> Array:
    """A graded state as -1, 0 and 1."""
    return np.where(end > CLOSE, 1.0, np.where(end < -CLOSE, -1.0, 0.0))


def in_words(end: Array, patterns: Patterns) -> str:
    """What a state is to the patterns, by their names; of a graded one its nearest signs."""
    signs = signs_of(end)
    if not signs.any():
        return "all units at 0"
    state = named(signs, patterns.S)
    names = [patterns.names[p] for p in state.patterns]
    made = " ".join(f"{'+' if sign > 0 else '-'}{name}" for name, sign in zip(names, state.signs, strict=True))
    return {
        Name.STORED: names[0],
        Name.NEGATIVE: f"the negative of {names[0]}",
        Name.MIXTURE: f"the mixture {made}" + (f", {state.zeros} units at 0" if state.zeros else ""),
        Name.UNFINISHED: f"{made} where it is not 0, {state.zeros} units left at 0",
        Name.OTHER: f"none of them; overlap {state.overlap:.2f} with {names[0]}",
    }[state.name]
