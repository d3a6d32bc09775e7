"""The networks of a comparison: loaded, named, known again by their content, and refused where they cannot be compared.

What a trial was done with is known by content, so that a study that was moved, or merged from elsewhere, goes on: the
fields that count in a comparison make a task's fingerprint; a path says where to look and does not count."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dynsys.io.provenance import File, digest
from dynsys.models.driven.perturbation import weights_chosen, weights_of
from dynsys.models.loading.checkpoint import load
from dynsys.models.loading.run_folder import FILE_NAME, Located, network_of
from dynsys.models.wrapping.wrap import wrap
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import System

TRIED, PLACES = 4, 9  # states at which a system is tried, and decimals of F and of the readout that count
PLACES_OF_POINTS = 4  # decimals of a state that count: another machine's rounding makes no other points


@dataclass(frozen=True)
class Held:
    """A system that is in no file, by what it does: F and the readout at some states, and its task."""

    system: System = field(compare=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        system, draw = self.system, torch.Generator().manual_seed(0)
        x, u = (
            torch.randn(TRIED, size, generator=draw, dtype=torch.float64) for size in (system.n_state, system.n_input)
        )
        does = [np.round(values.numpy(), PLACES).tolist() for values in (system.velocity(x, u), system.readout(x))]
        told = f"{system.name} {system.kind} {getattr(system, 'task', None)!r} {does}"
        object.__setattr__(self, "identity", digest(told))


@dataclass(frozen=True)
class PointsFile:
    """The file of a network's points, by those that are followed: "all", or "memories"."""

    path: Path = field(compare=False)
    which: str
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", _digest(FixedPoints.load(self.path, find_system=False), self.which))


def _digest(points: FixedPoints, which: str) -> str:
    """Of the states and their unstable directions, in whatever order they were found."""
    stable = np.char.startswith(points.stability.astype(str), "stable")
    followed = (points.verdict == "fixed") & (stable | (which == "all"))
    told = np.column_stack([points.states, points.n_unstable])[followed]
    rounded: NDArray[np.float64] = np.round(told, PLACES_OF_POINTS) + 0.0  # no negative zeros
    return digest(rounded[np.lexsort(rounded.T)])


@dataclass(frozen=True, eq=False)
class Network:
    """A network to be compared: its name, the system, and its file, or itself, or the name of a model."""

    name: str
    system: System
    source: File | Held | str
    folder: Path | None = None  # where its points may be
    loading: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Any:
        return getattr(self.system, "task", None)

    @property
    def path(self) -> Path | None:
        return self.source.path if isinstance(self.source, File) else None

    @property
    def identity(self) -> str:
        """The same for the same network, wherever it is: the sha256 of its file, if it has one."""
        return self.source if isinstance(self.source, str) else self.source.identity

    @property
    def sha256(self) -> str | None:
        return self.source.identity if isinstance(self.source, File) else None


def networks_of(given: Sequence[Any], loading: Mapping[str, Any] | None = None) -> list[Network]:
    """From paths of checkpoints or runs' folders, systems, or modules that ``dynsys.wrap`` knows; or (name, any)."""
    if not given:
        raise ValueError("no network is given; name one checkpoint at least")
    found = [_network(one, dict(loading or {})) for one in given]
    names = _distinct(found)
    return [dataclasses.replace(network, name=name) for network, name in zip(found, names, strict=True)]


def check_comparable(networks: Sequence[Network], on: str, weights: Sequence[str]) -> None:
    """Raise ValueError where networks differ in task or size, so that the same noise means nothing to them."""
    first = networks[0]
    for other in networks[1:]:
        if other.task != first.task:
            raise ValueError(
                f"{first.name} learned {_task(first)}, {other.name} {_task(other)}; compare networks of one task"
            )
        if _sizes(other) != _sizes(first):
            raise ValueError(
                f"{first.name} has {_spoken(first)}, {other.name} {_spoken(other)}; the same noise needs equal sizes"
            )
    if on == "input" and not first.system.n_input:
        raise ValueError(f"{first.name} has no inputs; noise can be on its weights or its state")
    if on != "weights":
        return
    shapes = [[weights_of(n.system)[name].shape for name in weights_chosen(n.system, weights)] for n in networks]
    for other, shape in zip(networks, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"the weights that get noise have shapes {shapes[0]} in {first.name} and {shape} in {other.name}; the "
                "same noise needs equal shapes: compare fewer networks, or choose --weights"
            )


def _network(given: Any, loading: dict[str, Any]) -> Network:
    if isinstance(given, tuple):
        name, given = given
        return dataclasses.replace(_network(given, loading), name=str(name))
    if isinstance(given, System):
        return Network(given.name, given, Held(given))
    if isinstance(given, nn.Module):
        system = _wrapped(given)
        return Network(type(given).__name__, system, Held(system))
    path = Path(given)
    system = load(path, **loading)
    located = (network_of(path) if path.is_dir() else None) or Located(path)
    if not located.path.exists():
        return Network(str(located.path), system, str(located.path))  # the name of a model that needs no file
    folder = path if path.is_dir() else path.parent
    loading = {**located.loading, **loading}
    return Network(_called(located.path), system, File(located.path.resolve()), folder.resolve(), loading)


def _wrapped(module: nn.Module) -> System:
    try:
        return wrap(module)
    except ValueError as error:
        raise ValueError(
            f"{error}: pass dynsys.wrap(module, n_state=..., n_input=...) in place of the module"
        ) from error


def _called(file: Path) -> str:
    """A run's folder by its own name, any other file by its own."""
    return file.resolve().parent.name if file.name == FILE_NAME else file.stem


def _distinct(networks: Sequence[Network]) -> list[str]:
    """Names that are fit for folders, with a number where two would be the same."""
    plain = [re.sub(r"[^\w.+=-]+", "-", network.name) or "network" for network in networks]
    return [name if plain.count(name) == 1 else f"{name}-{plain[: i + 1].count(name)}" for i, name in enumerate(plain)]


def _sizes(network: Network) -> tuple[int, int, int]:
    return network.system.n_state, network.system.n_input, network.system.n_output


def _spoken(network: Network) -> str:
    n, m, o = _sizes(network)
    return f"{n} state variables, {m} inputs and {o} outputs"


def _task(network: Network) -> str:
    if network.task is None:
        return "a task that is not known"
    settings = ", ".join(f"{key}={value}" for key, value in dataclasses.asdict(network.task).items())
    return f"{type(network.task).__name__}({settings})"
