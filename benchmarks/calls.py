"""Where the calls of torch and the CPU seconds of a search of a small network go, stage by stage.

python benchmarks/calls.py --checkpoints CHECKPOINTS [--networks tanh16,gru16] [--only-search]

CHECKPOINTS holds NAME.pt, a state dict, and NAME_trajectories.npz. A call is what reaches torch's dispatcher, views
included. Seconds are those of one thread in a warm process, each stage without the stages within it.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from recurrent import noisy_starts
from threadpoolctl import threadpool_limits
from torch.utils._python_dispatch import TorchDispatchMode

import dynsys
from dynsys.attractors import known
from dynsys.result import describe, report
from dynsys.search import course, guesses, landing, refine, rounds
from dynsys.search.known import distinct
from dynsys.search.slow_points import slow

STAGES: dict[str, list[tuple[Any, str]]] = {
    "way down": [(landing.Descender, "land"), (landing.Descender, "nearer")],
    "last digits": [(distinct, "assess"), (landing.Descender, "finish")],
    "told apart": [(distinct.Catalogue, "owners"), (distinct.Catalogue, "enter"), (rounds, "_leaders")],
    "starts made": [(guesses.Closure, "starts")],
    "slow points": [(slow.Minima, "follow")],
    "proofs": [(refine, "certify")],
    "eigenvalues": [(describe, "spectra")],
    "words": [(describe, "_judged")],
    "settling": [(report, "settle"), (report, "periodic"), (known.Known, "discover")],
    "missing": [(course, "estimated")],
}
REST = "rest"


@dataclass
class Ledger:
    """Seconds and calls by stage; the stage that is running is the last of ``within``."""

    seconds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    within: list[str] = field(default_factory=lambda: [REST])
    since: float = field(default_factory=time.process_time)

    def book(self) -> None:
        now = time.process_time()
        self.seconds[self.within[-1]] += now - self.since
        self.since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **named: Any) -> Any:
            self.book()
            self.within.append(stage)
            try:
                return function(*args, **named)
            finally:
                self.book()
                self.within.pop()

        return run


class Counted(TorchDispatchMode):
    """Every call that reaches the dispatcher is booked to the stage that is running."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ledger.calls[self.ledger.within[-1]] += 1
        return function(*args, **(kwargs or {}))


@contextmanager
def watched() -> Iterator[Ledger]:
    """The stages report to the ledger as long as this lasts."""
    ledger, before = Ledger(), []
    for stage, places in STAGES.items():
        for owner, name in places:
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, ledger.timed(stage, getattr(owner, name)))
    try:
        yield ledger
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def table(search: Callable[[], Any], repeats: int) -> list[str]:
    """A line for each stage: calls of one search, and the least seconds of several."""
    search()
    with watched() as ledger:
        with Counted(ledger):
            search()
        calls, seconds = Counter(ledger.calls), []
        for _ in range(repeats):
            ledger.seconds.clear()
            ledger.book()
            ledger.seconds.clear()
            search()
            ledger.book()
            seconds.append(Counter(ledger.seconds))
    best = min(seconds, key=lambda each: sum(each.values()))
    total = sum(best.values())
    lines = [
        f"  {stage:14}{calls[stage]:8}{1e3 * best[stage]:9.1f} ms{best[stage] / total:6.0%}"
        for stage in [*STAGES, REST]
    ]
    return [*lines, f"  {'all':14}{sum(calls.values()):8}{1e3 * total:9.1f} ms"]


@click.command()
@click.option("--checkpoints", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--networks", default="tanh16,lstm16,gru16,gru128,tanh256", show_default=True, help="With commas.")
@click.option("--only-search", is_flag=True, help="Without proofs and settling.")
@click.option("--repeats", default=5, show_default=True)
def main(checkpoints: Path, networks: str, only_search: bool, repeats: int) -> None:
    """Print a table for each network."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in networks.split(","):
            system = dynsys.load(checkpoints / f"{name}.pt")
            starts = noisy_starts(checkpoints / f"{name}_trajectories.npz", 1024, 0.5, 0)
            search = functools.partial(
                dynsys.find_fixed_points, system, starts, workers=1, verify=not only_search, seed=0
            )
            print(f"{name}{', search only' if only_search else ''}")
            print("\n".join(table(search, repeats)), flush=True)


if __name__ == "__main__":
    main()
