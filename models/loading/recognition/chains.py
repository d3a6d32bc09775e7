"""Layers that a file keeps as modules of their own: a list, ``cells.0`` and ``cells.1``, or ``lstm1`` and ``lstm2``.

Whether one reads the h of another no file says; between an encoder and its decoder sizes fit as well. A numbered list
whose sizes fit, and in which nothing else stands, is taken for layers, and that is told. Others the user names in their
order, ``--part lstm1+lstm2``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from dynsys.io.errors import CheckpointError
from dynsys.io.files import Arrays
from dynsys.models.loading.evidence.beside import NORMS
from dynsys.models.loading.evidence.stated import words_of
from dynsys.models.loading.recognition.state_dict import Part, read_stack

FEW = 8  # parts that are put together for a line that is printed


class Called(Protocol):
    """What has a name to be chosen by."""

    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=Called)


def choose_part(path: Path, arrays: Arrays, parts: dict[str, Part], choice: str | None) -> Part:
    """The one part there is, the layers of a list, or those that were asked for; else a CheckpointError names all."""
    found = "; ".join(f"{part.name or '(no prefix)'} ({_summary(path, arrays, part)})" for part in parts.values())
    if choice is not None:
        chosen = [_asked_for(path, parts, name, found) for name in choice.split("+")]
        return chosen[0] if len(chosen) == 1 else _in_that_order(path, arrays, chosen, choice, found)
    if len(parts) == 1:
        return next(iter(parts.values()))
    layers = _listed_layers(path, arrays, parts)
    if layers is None:
        _refuse_unreadable(path, arrays, parts)
        wrong = f"it holds {len(parts)} recurrent networks: {found}"
        raise CheckpointError(path, wrong, f"choose one with --part, such as {_such_as(path, arrays, parts)}")
    return layers


def _refuse_unreadable(path: Path, arrays: Arrays, parts: dict[str, Part]) -> None:
    """Where none of the parts can be read, the CheckpointError of the first."""
    errors = []
    for part in parts.values():
        try:
            read_stack(path, arrays, part, part.keys["forward"], "backward" in part.keys)
        except CheckpointError as error:
            errors.append(error)
    if len(errors) == len(parts):
        raise errors[0]


def _asked_for(path: Path, parts: dict[str, Part], name: str, found: str) -> Part:
    wanted = name.rstrip("._/")
    fits = [part for part in parts.values() if part.name == wanted]
    fits = fits or [part for part in parts.values() if f".{part.name}".endswith(f".{wanted}")]
    if len(fits) != 1:
        wrong = f"--part {name} fits {len(fits)} of its recurrent networks"
        raise CheckpointError(path, wrong, f"it holds {found}")
    return fits[0]


def _such_as(path: Path, arrays: Arrays, parts: dict[str, Part]) -> str:
    named = [part for part in parts.values() if part.name]
    return part_line(named, lambda below, above: _follow(path, arrays, [below, above]))


def part_line(parts: Sequence[P], follows: Callable[[P, P], bool]) -> str:
    """What to say for one of the parts, and for the most that can follow each other where the file does not tell."""
    parts = parts[:FEW]
    chains = []
    for first in parts:
        chain = [first]
        for _ in parts:
            chain += [part for part in parts if all(part is not one for one in chain) and follows(chain[-1], part)][:1]
        chains.append(chain)
    best = max(chains, key=len)
    alone = f"--part {best[0].name}"
    if len(best) == 1:
        return alone
    names = "+".join(part.name for part in best)
    return f"--part {names} where each reads h of the one before it in every step, or {alone} for it alone"


def _summary(path: Path, arrays: Arrays, part: Part) -> str:
    try:
        both = "backward" in part.keys
        text = str(read_stack(path, arrays, part, part.keys["forward"], both))
        return f"bidirectional {text}" if both else text
    except CheckpointError as error:
        return error.wrong


def _joined(parts: Sequence[Part]) -> Part:
    """One part of the layers of several, the first of which reads the input."""
    layers = [keys for part in parts for keys in part.keys["forward"]]
    return Part(parts[-1].prefix, {"forward": layers}, tuple(part.prefix for part in parts))


def _listed_layers(path: Path, arrays: Arrays, parts: dict[str, Part]) -> Part | None:
    """The modules of one numbered list as layers, where there are no other parts and the list holds nothing else."""
    numbered = [re.fullmatch(r"(.*[._/])?(\d+)", part.name) for part in parts.values()]
    if len(parts) < 2 or any(match is None for match in numbered):
        return None
    base = {match[1] or "" for match in numbered if match}
    order = sorted(zip([int(match[2]) for match in numbered if match], parts.values(), strict=True), key=lambda x: x[0])
    if len(base) > 1 or [number for number, _ in order] != list(range(len(order))):
        return None
    prefix = base.pop()
    around = re.sub(r"[^./]*[./]$", "", prefix)
    used = {key for part in parts.values() for keys in part.keys.get("forward", []) for key in keys.values()}
    left = [key for key in arrays if key not in used and key.startswith(around)]
    if any((prefix and key.startswith(prefix)) or words_of(key[len(around) :]) & NORMS for key in left):
        return None
    chain = [part for _, part in order]
    return _joined(chain) if _follow(path, arrays, chain) else None


def _in_that_order(path: Path, arrays: Arrays, chosen: list[Part], text: str, found: str) -> Part:
    """The parts on top of each other as the user says; CheckpointError where their sizes do not fit."""
    if not _follow(path, arrays, chosen):
        wrong = f"--part {text} names no networks of which each can read h of the one before it"
        raise CheckpointError(path, wrong, f"it holds {found}")
    return _joined(chosen)


def about_layers(part: Part) -> list[str]:
    """What is assumed of parts that were put together."""
    names = [prefix.rstrip("._/") for prefix in part.prefixes]
    return [
        f"{above} reads h of {below} in the same step, and nothing else" for below, above in itertools.pairwise(names)
    ]


def _follow(path: Path, arrays: Arrays, chain: Sequence[Part]) -> bool:
    """Whether each can read h of the one before it: one kind, one direction, and sizes that fit."""
    if len(set(map(id, chain))) < len(chain) or any("backward" in part.keys or not part.name for part in chain):
        return False
    try:
        stacks = [read_stack(path, arrays, part, part.keys["forward"]) for part in chain]
    except CheckpointError:
        return False
    return all(a.cell == b.cell and a.width == b.n_input for a, b in itertools.pairwise(stacks))
