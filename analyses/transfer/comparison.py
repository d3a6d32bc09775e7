"""The three networks of a study of transfer: what was asked for, and what they are compared by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from dynsys.analyses.flipflop_memories import Memories
from dynsys.analyses.transfer.cube_projection import Shape
from dynsys.analyses.transfer.cube_survival import Survival
from dynsys.analyses.transfer.geometry import Distances
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.tasks.flipflop import LEARNED, FlipFlop
from dynsys.models.training.by_force.recipes import PRESETS, Recipe
from dynsys.models.training.schedule import Wanted, every_or_at
from dynsys.result.fixed_points import FixedPoints

SMALL, SCRATCH, TRANSFER = "small", "scratch", "transfer"
LARGE = (SCRATCH, TRANSFER)
NETWORKS = (SMALL, *LARGE)
SCHEMA = "dynsys.transfer/1"
WORDS = {SMALL: "{small} bit{s}", SCRATCH: "{bits} bits from scratch", TRANSFER: "{bits} bits on top of {small}"}
SPACES = ("state", "rate", "readout")  # x, r = f(x) and z, in which distances are measured


@dataclass(frozen=True)
class Transfer:
    """``bits`` of the two networks that are compared, which learn by the recipe ``preset`` of ``PRESETS``. ``steps`` of
    None are as many as that has.

    ``start`` is a run or checkpoint that remembers ``bits`` - 1 already: units and activation are then its own. With
    ``fresh`` the network from scratch has feedback and input weights of its own. With ``memories_only`` stable points
    alone are searched for, where the networks come to rest: nothing else is compared, and it takes seconds.
    """

    bits: int = 4
    units: int | None = None
    activation: str | None = None
    seed: int = 0
    steps: int | None = None
    n_starts: int = 512
    snapshots: Wanted = 0
    start: str | None = None
    fresh: bool = False
    preset: str = "default"
    memories_only: bool = False

    def __post_init__(self) -> None:
        if self.bits < 2:
            raise ValueError(f"bits is {self.bits}; the network that learns one more has to know one: give 2 or more")
        if self.start is not None and (self.units is not None or self.activation is not None):
            raise ValueError("units and activation are those of the network to start from; leave them out")

    def recipe(self, bits: int, units: int, activation: str) -> Recipe[FlipFlop]:
        """By which the network of so many bits learns."""
        usual = PRESETS[self.preset](bits, units, activation, self.seed)
        steps = (self.steps if bits == self.bits else None) or usual.steps
        every, at = every_or_at(self.snapshots, steps)
        force = dataclasses.replace(usual.force, snapshot_every=every, snapshot_steps=at)
        return dataclasses.replace(usual, steps=steps, force=force)


@dataclass(frozen=True, eq=False)
class Network:
    """One of the three: what it scored on held-out pulses, its points and which of them are memories.

    ``geometry`` has the distances of the memories in each of ``SPACES`` where two of them are neighbours; ``affine`` is
    the share of their variance that a parallelepiped explains, None where they do not determine one; ``feedback`` are
    the degrees between the subspaces that its axes and the feedback weights W_fb span.
    """

    name: str
    network: EchoStateNetwork
    metrics: dict[str, float]
    points: FixedPoints
    memories: Memories
    geometry: dict[str, Distances]
    affine: float | None
    feedback: tuple[float, ...]
    shape: Shape | None

    @property
    def learned(self) -> bool:
        return self.metrics["settled_bit_accuracy"] >= LEARNED


@dataclass(frozen=True, eq=False)
class Comparison:
    """All three, by name; what became of the small cube in the other two; degrees between their memory subspaces."""

    settings: Transfer
    networks: dict[str, Network]
    survival: dict[str, Survival]
    angles: dict[str, tuple[float, ...]]


def in_words(compared: Comparison, name: str) -> str:
    """The network's name for a table or a heading."""
    small = compared.settings.bits - 1
    return WORDS[name].format(bits=compared.settings.bits, small=small, s="" if small == 1 else "s")
