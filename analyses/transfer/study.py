"""Transfer (Jang, section 7.1): b bits from scratch against b bits on top of b - 1 that are known already.

What is compared are the scores and the geometry of the memories: how far they lie apart, what becomes of the corners
of the smaller network's cube, what solid they are on three principal components (Jang's figure 8).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dynsys.analyses.flipflop_memories import Memories, memories
from dynsys.analyses.report import cut_short
from dynsys.analyses.run import Progress
from dynsys.analyses.transfer.cube_projection import Shape, projected_shape
from dynsys.analyses.transfer.cube_survival import Survival, survival
from dynsys.analyses.transfer.geometry import Distances, bit_axes, distances, principal_angles
from dynsys.analyses.transfer.networks import LARGE, NETWORKS, SCRATCH, SMALL, TRANSFER, searched, trained
from dynsys.deadline import Deadline, Part
from dynsys.files import check_writable
from dynsys.models.echo_state import EchoStateNetwork
from dynsys.models.recipe import LEARNED, PRESETS, Recipe
from dynsys.models.schedule import Wanted, every_or_at
from dynsys.models.transfer import load_start
from dynsys.points import FixedPoints

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

    def recipe(self, bits: int, units: int, activation: str) -> Recipe:
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


def run(
    settings: Transfer, folder: str | Path, progress: Progress, seconds: float | Deadline | None = None
) -> Comparison:
    """Train and search what the folder does not hold yet, compare, and write ``results.json`` and ``report.html``.

    After so many ``seconds`` nothing more is begun, and a training that is under way is left as it is: where networks
    or their points are missing then, they cannot be compared, CutShort is raised, and the same call goes on.

    Each network has a run's folder there, as ``dynsys train`` and ``find`` write it. Raises ValueError where the folder
    holds a network of other settings, CheckpointError for a ``start`` of another kind, OutputError.
    """
    from dynsys.analyses.transfer.report import command, title, write_comparison

    folder, deadline = Path(folder), Deadline.of(seconds)
    if settings.start is not None:
        load_start(settings.start, settings.bits - 1)  # a mistake is told before the folder is made
    check_writable(folder)
    networks = {}
    found = trained(settings, folder, progress, deadline)
    for name, (network, metrics) in found.items():
        points = searched(settings, folder / name, network, _of(name, progress), deadline)
        if points is None:
            break
        networks[name] = described(name, network, metrics, points)
    cut = deadline.cut(
        *(Part(len(done), len(NETWORKS), what) for done, what in ((found, "trainings"), (networks, "searches")))
    )
    if cut is not None:
        raise cut_short(cut, title(settings), command(settings, folder), dataclasses.asdict(settings), SCHEMA, folder)
    compared = compare(settings, networks)
    progress("report", 0, 1)
    write_comparison(compared, folder)
    progress("report", 1, 1)
    return compared


def _of(name: str, progress: Progress) -> Progress:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def described(name: str, network: EchoStateNetwork, metrics: dict[str, float], points: FixedPoints) -> Network:
    """Which of the points are memories, and how these lie."""
    found = memories(points)
    rates = network.rates(network.W.new_tensor(found.states)).numpy()
    spaces = dict(zip(SPACES, (found.states, rates, found.readouts), strict=True))
    geometry = {key: distances(states, found.bits) for key, states in spaces.items()} if found.edges else {}
    if not found.determined:
        return Network(name, network, metrics, points, found, geometry, None, (), None)
    axes = bit_axes(found.states, found.bits)
    shape = projected_shape(found.states, axes.axes)
    feedback = tuple(principal_angles(axes.axes, network.W_fb.T.numpy()).tolist())
    return Network(name, network, metrics, points, found, geometry, axes.share, feedback, shape)


def compare(settings: Transfer, networks: dict[str, Network]) -> Comparison:
    """Where memories are missing, what cannot be compared without them is left out."""
    small = networks[SMALL].memories
    survived, angles = {}, {}
    for name in LARGE:
        new = networks[name].memories
        if small.edges:
            survived[name] = survival(small, new)
        if small.determined and new.determined:
            spans = (bit_axes(m.states, m.bits).axes for m in (small, new))
            angles[name] = tuple(principal_angles(*spans).tolist())
    return Comparison(settings, networks, survived, angles)


def in_words(compared: Comparison, name: str) -> str:
    """The network's name for a table or a heading."""
    small = compared.settings.bits - 1
    return WORDS[name].format(bits=compared.settings.bits, small=small, s="" if small == 1 else "s")
