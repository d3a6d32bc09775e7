"""Seconds, points found, junk and q of the search, beside what else a user would run from the same starts.

python benchmarks/peers.py --checkpoints CHECKPOINTS --peer FixedPointFinder --networks lstm16,gru16 --seeds 10

CHECKPOINTS holds NAME.pt, a state dict, and NAME_trajectories.npz; ``--peer`` is a checkout of FixedPointFinder.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from recurrent import Array, Recurrent, distinct, module_of, noisy_starts, recurrent
from scipy import optimize
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import dynsys
from dynsys.stability.spectrum import FULL_LIMIT

RATES = "0.03,0.1,0.3,1"  # the peer's default is 1
PEER, OURS, PROVED, LEADING = "FixedPointFinder", "dynsys", "dynsys, with proofs", "dynsys, leading eigenvalues"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one tool made of one set of starts."""

    states: Array  # as reported, (k, n_state)
    cpu: float  # seconds of one thread
    wall: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Judged:
    """An outcome by the measure of the float64 network: its real points, each once, and its largest q."""

    outcome: Outcome
    real: Array
    q: float

    @property
    def junk(self) -> int:
        return len(self.outcome.states) - len(self.real)


def judged(outcome: Outcome, network: Recurrent) -> Judged:
    q = network.q(outcome.states)
    return Judged(outcome, network.real_points(outcome.states), float(q.max(initial=0.0)))


def timed(search: Callable[[], Array], note: str = "") -> Outcome:
    cpu, wall = time.process_time(), time.perf_counter()
    states = search()
    return Outcome(states, time.process_time() - cpu, time.perf_counter() - wall, note)


class Joined(nn.Module):
    """An LSTM in the form that the peer can take: one state, h and c side by side."""

    batch_first = True

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h, c = (part.contiguous() for part in state.chunk(2, dim=-1))
        output, after = self.lstm(u, (h, c))
        return output, torch.cat(after, dim=-1)


def peer(checkpoint: Path, starts: Array, rate: float) -> Outcome:
    """FixedPointFinder, joint, with its defaults but the learning rate; Jacobians and eigenvalues of every point."""
    from FixedPointFinderTorch import FixedPointFinderTorch

    module = module_of(checkpoint)
    inputs = np.zeros((1, module.input_size), np.float32)
    network = Joined(module) if isinstance(module, nn.LSTM) else module

    def search() -> Array:
        finder = FixedPointFinderTorch(network, lr_init=rate, method="joint", verbose=False)
        return finder.find_fixed_points(starts.astype(np.float32), inputs)[0].xstar

    with contextlib.redirect_stdout(io.StringIO()):
        return timed(search, f"at rate {rate:g}")


def ours(checkpoint: Path, starts: Array, every: bool = True, verify: bool = False) -> Outcome:
    """The search; with every eigenvalue, like the peer, or as by default, leading ones only in a large network.

    ``verify`` adds what only we do: proofs, and following trajectories to where they settle.
    Up to ``FULL_LIMIT`` units every eigenvalue comes by default: those that decide in float64 and above 64 units the
    others in float32, as are all of the peer's.
    """
    system = dynsys.load(checkpoint)
    full = every and system.n_state > FULL_LIMIT

    def search() -> Array:
        points = dynsys.find_fixed_points(system, starts=starts, workers=1, full_spectrum=full, verify=verify)
        return points[points.verdict == "fixed"].states

    return timed(search)


def root(network: Recurrent, x: Array) -> Array:
    return optimize.root(network.velocity, x, jac=network.jacobian, tol=1e-13).x


def least_squares(network: Recurrent, x: Array) -> Array:
    tight = {"xtol": 1e-13, "ftol": 1e-13, "gtol": 1e-13}
    return optimize.least_squares(network.velocity, x, jac=network.jacobian, method="lm", **tight).x


def scipy(solve: Callable[[Recurrent, Array], Array], network: Recurrent, starts: Array, budget: float) -> Outcome:
    """One start after the other, until the seconds of the budget are used up; the time is scaled to all starts.

    What ends in the box with q below 1e-20 counts as found, once where nearer than 1e-6; then the eigenvalues of each.
    """
    solve(network, starts[0])
    ends: list[Array] = []

    def search() -> Array:
        until = time.process_time() + budget
        for x in starts:
            ends.append(solve(network, x))
            if time.process_time() > until:
                break
        return np.array(ends)

    def classify() -> Array:
        x = way.states[network.q(way.states) < 1e-20]
        x = distinct(x[np.abs(x[:, : network.units]).max(axis=1) <= 1])
        np.linalg.eigvals(network.jacobian(x) + np.eye(network.n_state))
        return x

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        way = timed(search)
        rest = timed(classify)
    share = len(ends) / len(starts)
    note = f"{len(ends)} starts, seconds scaled up" if share < 1 else ""
    return Outcome(rest.states, way.cpu / share + rest.cpu, way.wall / share + rest.wall, note)


SOLVERS = {"scipy root": root, "scipy least_squares": least_squares}


def best_rate(pilots: dict[float, list[Judged]]) -> float:
    """The rate that finds most points, summed over the pilot runs, and of those the fastest."""

    def merit(rate: float) -> tuple[int, float]:
        return -sum(len(run.real) for run in pilots[rate]), sum(run.outcome.cpu for run in pilots[rate])

    return min(pilots, key=merit)


@dataclass(frozen=True)
class Comparison:
    """One network and what every tool makes of the same starts."""

    folder: Path
    name: str
    n_starts: int = 1024
    noise: float = 0.5

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.pt"

    def starts(self, seed: int) -> Array:
        return noisy_starts(self.folder / f"{self.name}_trajectories.npz", self.n_starts, self.noise, seed)

    def run(
        self, seeds: int, with_peer: bool, rates: list[float], pilots: int, scipy_seconds: float
    ) -> dict[str, list[Judged]]:
        """The judged runs of each tool, one for each seed; scipy has one seed only. One untimed run of each first."""
        network = recurrent(self.checkpoint)
        ours(self.checkpoint, self.starts(seeds))
        runs: dict[str, list[Judged]] = {}
        if with_peer:
            peer(self.checkpoint, self.starts(seeds)[:8], rates[0])
            tried = {
                rate: [judged(peer(self.checkpoint, self.starts(seed), rate), network) for seed in range(pilots)]
                for rate in (rates if len(rates) > 1 else [])
            }
            rate = best_rate(tried) if tried else rates[0]
            runs |= {f"  pilot at rate {other:g}": found for other, found in tried.items()}
            runs[PEER] = []
        runs[OURS], runs[PROVED] = [], []
        for seed in range(seeds):
            starts = self.starts(seed)
            if with_peer:
                runs[PEER].append(judged(peer(self.checkpoint, starts, rate), network))
            runs[OURS].append(judged(ours(self.checkpoint, starts), network))
            runs[PROVED].append(judged(ours(self.checkpoint, starts, verify=True), network))
            if network.n_state > FULL_LIMIT:
                leading = judged(ours(self.checkpoint, starts, every=False), network)
                runs.setdefault(LEADING, []).append(leading)
        if scipy_seconds:
            for name, solve in SOLVERS.items():
                runs[name] = [judged(scipy(solve, network, self.starts(0), scipy_seconds), network)]
        return runs


def known_points(runs: dict[str, list[Judged]]) -> int:
    """How many real points all tools together have found."""
    return len(distinct(np.concatenate([run.real for judgements in runs.values() for run in judgements])))


def table(runs: dict[str, list[Judged]]) -> list[str]:
    """One line for each tool, and the ratios of seconds to ours on the same starts."""
    lines = [
        f"{'':28} {'CPU s: median, least, most':>28} {'wall s':>8} {'reported':>10} {'real':>8} {'junk':>9} "
        f"{'largest q':>9}  ratio of CPU s to ours: least, median"
    ]
    for tool, judgements in runs.items():
        cpu = [run.outcome.cpu for run in judgements]
        wall = float(np.median([run.outcome.wall for run in judgements]))
        reported = span([len(run.outcome.states) for run in judgements])
        real, junk = span([len(run.real) for run in judgements]), span([run.junk for run in judgements])
        ratios = [a / b.outcome.cpu for a, b in zip(cpu, runs[OURS], strict=False)]
        ratio = "" if tool == OURS else f"{min(ratios):6.1f} {np.median(ratios):6.1f}  "
        lines.append(
            f"{tool:28} {np.median(cpu):12.3f} {min(cpu):7.3f} {max(cpu):7.3f} {wall:8.3f} {reported:>10} {real:>8} "
            f"{junk:>9} {max(run.q for run in judgements):9.1e}  {ratio}{judgements[0].outcome.note}"
        )
    return lines


def span(values: list[int]) -> str:
    return str(values[0]) if min(values) == max(values) else f"{min(values)}-{max(values)}"


@click.command()
@click.option("--checkpoints", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--peer", "peer_folder", type=click.Path(exists=True, file_okay=False), help="Checkout of FixedPointFinder."
)
@click.option("--networks", default="tanh16,lstm16,gru16,gru128,tanh256", show_default=True, help="With commas.")
@click.option("--seeds", default=10, show_default=True, help="Sets of starts, seeds 0, 1, ...")
@click.option("--starts", default=1024, show_default=True)
@click.option("--noise", default=0.5, show_default=True, help="Standard deviation of what is added to the starts.")
@click.option("--rates", default=RATES, show_default=True, help="Learning rates of the peer, with commas.")
@click.option("--pilots", default=1, show_default=True, help="Sets of starts on which its best rate is chosen.")
@click.option("--scipy-seconds", default=5.0, show_default=True, help="For each of scipy's solvers; 0 leaves them out.")
def main(
    checkpoints: Path,
    peer_folder: str | None,
    networks: str,
    seeds: int,
    starts: int,
    noise: float,
    rates: str,
    pilots: int,
    scipy_seconds: float,
) -> None:
    """Print a table for each network. Every tool has one thread, a warm process, and eigenvalues of every point."""
    if peer_folder:
        sys.path.insert(0, peer_folder)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")  # in the peer
    with threadpool_limits(1):
        for name in networks.split(","):
            comparison = Comparison(checkpoints, name, starts, noise)
            runs = comparison.run(seeds, bool(peer_folder), [float(r) for r in rates.split(",")], pilots, scipy_seconds)
            print(f"{name}: {starts} starts, noise {noise}, {seeds} seeds, {known_points(runs)} points known")
            print("\n".join(table(runs)), "\n", flush=True)


if __name__ == "__main__":
    main()
