"""What Jang says of transfer (section 7.1), each claim beside what these networks measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynsys.analyses.transfer.comparison import LARGE, NETWORKS, SCRATCH, TRANSFER, Comparison, in_words
from dynsys.analyses.transfer.cube_projection import SHAPES
from dynsys.analyses.transfer.geometry import hypercube_spread

PRISM, CUBOID = 3, 2  # axes that are looked along: see cube_projection
TIE = 0.05  # of an edge, up to which two lengths are taken to be the same
EQUAL = 0.5  # of a hypercube's spread, below which distances are nearer to equal ones than to its own


@dataclass(frozen=True)
class Claim:
    """A claim, whether it holds here (None: that could not be decided), and the figures that say so.

    ``verdict`` says it in a word, or why it could not.
    """

    claim: str
    holds: bool | None
    found: str
    why_not: str = ""

    @property
    def verdict(self) -> str:
        if self.why_not:
            return self.why_not
        return "not measured" if self.holds is None else "yes" if self.holds else "no"

    def as_json(self) -> dict[str, Any]:
        return {"claim": self.claim, "holds": self.holds, "verdict": self.verdict, "found": self.found}


NOT_LEARNED, NO_DIFFERENCE = "did not learn", "no difference"


def claims(compared: Comparison) -> list[Claim]:
    """Of one set of networks; what holds in general takes several seeds."""
    return [_all_memories(compared), _equal_distances(compared), *_shapes(compared), _cube(compared)]


def _all_memories(compared: Comparison) -> Claim:
    network = compared.networks[SCRATCH]
    wanted = 1 << compared.settings.bits
    held = len(network.memories)
    return Claim(
        f"{compared.settings.bits} bits from scratch give {wanted} memories", held == wanted, f"{held} memories"
    )


def _equal_distances(compared: Comparison) -> Claim:
    claim, geometry = "From scratch the memories are about equally far apart", compared.networks[SCRATCH].geometry
    if unlearned := _unlearned(compared, claim, SCRATCH):
        return unlearned
    spread, exact = geometry["state"].spread, hypercube_spread(compared.settings.bits)
    return Claim(claim, spread < EQUAL * exact, f"spread {spread:.3f}; a hypercube {exact:.3f}, equal distances 0")


def _shapes(compared: Comparison) -> list[Claim]:
    if compared.settings.bits != 4:
        return []
    return [
        _shape(compared, SCRATCH, PRISM, "From scratch they are a hexagonal prism on three principal components"),
        _shape(compared, TRANSFER, CUBOID, "After transfer they are a cuboid there"),
    ]


def _unlearned(compared: Comparison, claim: str, *names: str) -> Claim | None:
    """The claim undecided where a network that it is about lacks memories, or fails at the task: nothing says how the
    memories of one that learned would lie."""
    for name in names:
        network = compared.networks[name]
        if network.memories.missing or not network.learned:
            held, wanted = len(network.memories), 1 << network.memories.n_bits
            told = f"{held} of {wanted} memories, {network.metrics['settled_bit_accuracy']:.1%} of the bits right"
            return Claim(claim, None, f"{in_words(compared, name)}: {told}", NOT_LEARNED)
    return None


def _shape(compared: Comparison, name: str, wanted: int, claim: str) -> Claim:
    """It holds where the shape is that one by more than chance."""
    shape = compared.networks[name].shape
    if unlearned := _unlearned(compared, claim, name):
        return unlearned
    if shape is None or shape.name is None:
        return Claim(claim, None, "too few memories")
    return Claim(claim, shape.name == SHAPES[wanted] and not shape.by_chance, shape.word)


def _cube(compared: Comparison) -> Claim:
    small = compared.settings.bits - 1
    claim = f"Transfer leaves the {small}-bit memories nearer to their places than training from scratch comes to them"
    if unlearned := _unlearned(compared, claim, *NETWORKS):
        return unlearned
    middles = {
        name: [middle for middle in compared.survival[name].middle_shift if middle is not None]
        for name in LARGE
        if name in compared.survival
    }
    if len(middles) < 2 or not all(middles.values()):
        return Claim(claim, None, "too few memories")
    scratch, transfer = (float(np.mean(middles[name])) for name in LARGE)
    told = f"{transfer:.3f} edges from the middle of the two that begin with their bits, and {scratch:.3f} from scratch"
    tie = abs(transfer - scratch) < TIE
    return Claim(claim, transfer < scratch and not tie, told, NO_DIFFERENCE if tie else "")
