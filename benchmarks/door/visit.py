"""One file at the door: opened with nothing said, with the line that the refusal prints, with its owner's line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from door.layout import LINE, OPEN, SAID, Layout, Network
from door.printed import Options, parsed, printed_lines

TOLERANCE = 1e-9
TRIED = 5  # random states and inputs at which one step is compared

RIGHT, AFTER_LINE, WAY_OUT = "right", "right after the printed line", "refused with a way out"
NO_WAY_OUT, WRONG, CRASHED = "refused without", "OPEN AS ANOTHER NETWORK", "crashed"
PARTLY = "right, but for its inputs"
HARMED, SKIPPED = "RAN CODE OF THE FILE", "skipped"
DAMAGED = re.compile(r"\b(cut|damaged)\b")


@dataclass
class Visit:
    """What became of a file, and (``said``) of its owner's own line: right, refused, wrong, or None if untried."""

    file: str
    kind: str
    must: str
    verdict: str
    note: str = ""
    said: str | None = None
    said_note: str = ""
    line: str = ""

    @property
    def as_it_must(self) -> bool:
        if self.verdict in (WRONG, CRASHED, HARMED):
            return False
        if self.must == OPEN:
            return self.verdict == RIGHT
        if self.must == LINE:
            return self.verdict in (RIGHT, AFTER_LINE)
        if self.must == SAID:
            return self.said == RIGHT or self.verdict in (RIGHT, AFTER_LINE)
        return self.verdict in (RIGHT, AFTER_LINE, WAY_OUT)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"as_it_must": self.as_it_must}


@dataclass(frozen=True)
class Outcome:
    """Of one attempt to load: right, refused, wrong or crashed, and the message or the difference."""

    verdict: str
    note: str


def attempt(network: Network, choices: Mapping[str, Any]) -> Outcome:
    from dynsys import load, wrap
    from dynsys.models.loading.checkpoint import describe_checkpoint

    held = network.module is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            system = wrap(network.module, **network.wrapping) if held else load(network.path, **choices)
    except ValueError as error:  # CheckpointError is one
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome(CRASHED, f"{type(error).__name__}: {error}")
    try:
        difference = compare(system, network)
        if not held:
            describe_checkpoint(network.path, **choices)
    except Exception as error:
        return Outcome(CRASHED, f"it opens, and a step or its description fails: {type(error).__name__}: {error}")
    return Outcome(RIGHT if difference is None else WRONG, difference or "")


def compare(system: Any, network: Network) -> str | None:
    """How the system differs from the network; None where it does not."""
    if network.step is None:
        return f"nothing of it can be read, and {system.name} is opened"
    if str(system.kind) != ("flow" if network.flow else "map"):
        return f"it is no {system.kind}"
    sizes, true = (system.n_state, system.n_input), (network.n_state, network.n_input)
    if sizes != true:
        return f"{sizes} state variables and inputs instead of {true}"
    rng = np.random.default_rng(0)
    worst, read = 0.0, 0.0
    for _ in range(TRIED):
        x, u = rng.normal(size=network.n_state), rng.normal(size=network.n_input)
        X, U = torch.as_tensor(x)[None], torch.as_tensor(u)[None]
        F = system.velocity(X, U)[0].detach().numpy()
        mine = F / system.time_constant if network.flow else F + x
        worst = max(worst, off(mine, network.step(x, u)))
        if network.readout is not None and system.n_output:
            read = max(read, off(system.readout(X)[0].detach().numpy(), network.readout(x)))
    if worst > TOLERANCE:
        return f"one step is off by {worst:.2g}"
    return f"the step is right, the readout off by {read:.2g}" if read > TOLERANCE else None


def off(mine: Any, true: Any) -> float:
    """The largest difference over the largest of the true values."""
    if np.shape(mine) != np.shape(true):
        return np.inf
    return float(np.abs(mine - true).max(initial=0) / max(np.abs(true).max(initial=0), 1e-300))


def follow(network: Network, message: str) -> tuple[Outcome | None, str]:
    """A printed line followed, and the line; None where the message prints none.

    Where the message offers several, for several cases, the owner takes the network's own if it is there. A line that
    says which arrays to leave out, or which part to take, is for the owner to judge: it is followed where it leads to
    the network, and blamed for nothing where it does not.
    """
    tried = [(follow_one(network, options), shown(options)) for options in printed_lines(message)]
    right = [t for verdict in (RIGHT, PARTLY) for t in tried if t[0].verdict == verdict]
    wrong = [t for t in tried if t[0].verdict == WRONG and not re.search("--(ignore|part|direction)", t[1])]
    others = [t for t in tried if t[0].verdict != WRONG]
    return next(iter(right + wrong + others), (None, ""))


def shown(options: Options) -> str:
    return " ".join(f"--{name} {value!r}" if value else f"--{name}" for name, value in options)


def follow_one(network: Network, options: Options) -> Outcome:
    try:
        choices = parsed(network.path, options, network.known)
    except click.UsageError as error:
        return Outcome("refused", f"the command line does not take it: {error.format_message()}")
    outcome = attempt(network, choices)
    if (
        outcome.verdict == WRONG
        and network.step is not None
        and attempt(held_at_zero(network), choices).verdict == RIGHT
    ):
        return Outcome(PARTLY, "the line leaves the inputs out, and opens the network without them")
    return outcome


def held_at_zero(network: Network) -> Network:
    """The same network without inputs: less than the whole, but nothing else than it."""
    step, none = network.step, np.zeros(network.n_input)
    assert step is not None
    return replace(network, step=lambda x, u: step(x, none), n_input=0)


def visit(entry: Layout, folder: Path, seed: int) -> Visit:
    missing = entry.missing()
    file = f"{entry.name} {seed}"
    if missing:
        return Visit(file, entry.kind, entry.must, SKIPPED, f"without {missing}")
    network = entry.make(folder, seed)
    seen = Visit(file, entry.kind, entry.must, *judged(network))
    if network.harm is not None and network.harm.exists():
        seen.verdict = HARMED
    if network.said is not None and seen.verdict != RIGHT:
        outcome = attempt(network, network.said)
        seen.said, seen.said_note = outcome.verdict, outcome.note
    return seen


def judged(network: Network) -> tuple[str, str, str | None, str, str]:
    """Verdict, note, (said and its note: untried) and the printed line."""
    first = attempt(network, {})
    if first.verdict != "refused":
        return first.verdict, first.note, None, "", ""
    if "unknown choice" in first.note:
        return NO_WAY_OUT, first.note, None, "", ""
    second, line = follow(network, first.note) if network.module is None else (None, "")
    if second is not None and second.verdict in (RIGHT, WRONG, CRASHED):
        verdict = AFTER_LINE if second.verdict == RIGHT else second.verdict
        note = (
            "" if second.verdict == RIGHT else f"after the printed line: {second.note}; it was printed in: {first.note}"
        )
        return verdict, note, None, "", line
    note = first.note if second is None else f"{first.note} -> the line followed: {second.note}"
    return (WAY_OUT if leads_on(network, first.note) else NO_WAY_OUT), note, None, "", line


def leads_on(network: Network, message: str) -> bool:
    """A refusal names the way out where it says what this layout needs, and calls no sound file damaged."""
    damaged = DAMAGED.search(message) and not DAMAGED.search(network.way_out)
    return not damaged and re.search(network.way_out, message) is not None
