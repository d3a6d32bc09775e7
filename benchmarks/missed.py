"""Whether the interval for the number of fixed points holds the true number, on networks where that is known.

The default search; searches that were told to use nothing but a few starts (``closure=False``); and searches
interrupted after eight rounds, as by Ctrl-C. The rules of ``dynsys.search.known.missing`` were chosen on some of the
networks; the others, drawn from seeds of 100 and more, were made afterwards.

python benchmarks/missed.py                 every network and search: some ten minutes of one thread
python benchmarks/missed.py --estimators    what each estimator says after 512 starts alone
python benchmarks/missed.py --large         a network that no search exhausts
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from random_maps import RandomMap
from saturated import Network, networks

from dynsys.io.progress import Progress, silent
from dynsys.numerics.threads import alone
from dynsys.search.budget import Budget, bytes_of
from dynsys.search.course import Exploration, Settings
from dynsys.search.known.missing import Missing, Tally, chao, chao_least, chao_most
from dynsys.search.solvers import solver_named
from dynsys.search.starts import first_starts
from dynsys.systems.system import System

ROUNDS = 8  # after which a search is interrupted
SEARCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "32 starts": {"n_starts": 32, "closure": False},
    "128 starts": {"n_starts": 128, "closure": False},
    "512 starts": {"n_starts": 512, "closure": False},
    "interrupted": {"n_starts": 128, "interrupted": True},
}


class Row(NamedTuple):
    network: str
    true: int
    search: str
    held_out: bool  # whether the network took no part in choosing the rules
    missing: Missing

    @property
    def covered(self) -> bool:
        low, high = self.missing.interval
        return low <= self.true <= high


def interrupting(rounds: int) -> Progress:
    left = iter(range(rounds - 1))

    def progress(stage: str, done: int, total: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return progress


def searched(
    system: System, seed: int = 0, n_starts: int = 512, closure: bool = True, interrupted: bool = False
) -> Exploration:
    """A search as ``find_fixed_points`` makes it, without the eigenvalues at its end."""
    u, solver = torch.zeros(1, system.n_input), solver_named("auto")
    x = first_starts(system, u, n_starts, seed)
    settings = Settings(
        adaptive=True,
        slow_q=1e-4,
        closure=closure,
        engine="auto",
        verify=False,
        seed=seed,
        workers=1,
        budget=Budget(bytes_of(None), 1),
        progress=interrupting(ROUNDS) if interrupted else silent,
    )
    with alone():
        search = Exploration(system, solver, u, torch.zeros(len(x), dtype=torch.long), x, settings)
        try:
            search.run()
        except KeyboardInterrupt:
            search.interrupt()
    return search


def told(search: Exploration) -> Missing:
    return search.missing(search.catalogue.index_sum())


def rows(all_networks: list[Network], seed: int) -> Iterator[Row]:
    for network in all_networks:
        for search, options in SEARCHES.items():
            missing = told(searched(network.system, seed, **options))
            yield Row(network.name, network.number, search, network.held_out, missing)


def summary(found: list[Row]) -> None:
    click.echo("\nsearch       networks       all found  covered  limited  of these covered  most / true  false calm")
    for search in SEARCHES:
        for held_out in (False, True):
            some = [row for row in found if row.search == search and row.held_out is held_out]
            if not some:
                continue
            limited = [row for row in some if row.missing.most is not None]
            width = np.median([row.missing.interval[1] / row.true for row in limited] or [np.nan])
            calm = sum("All points" in row.missing.sentence and row.missing.known < row.true for row in some)
            complete = sum(row.missing.known == row.true for row in some)
            click.echo(
                f"{search:12} {len(some):3} {'held out' if held_out else 'chosen on':10} {complete:9}"
                f"  {np.mean([row.covered for row in some]):7.0%}  {len(limited):7}"
                f"  {np.mean([row.covered for row in limited] or [1.0]):16.0%}  {width:11.2f}  {calm:10}"
            )
    click.echo("\nnot covered")
    for row in found:
        if not row.covered:
            m = row.missing
            click.echo(f"{row.search:12}  {row.network:36} true {row.true:4}  known {m.known:4}  {m.least} to {m.most}")


def table(found: list[Row], search: str) -> None:
    click.echo(f"\n{search}: network, true number, what is said")
    for row in found:
        if row.search == search:
            click.echo(f"{row.network:36} {row.true:4}  {row.missing.sentence}")


def estimators(tally: Tally) -> dict[str, float]:
    """Estimates of the points in all from hits alone, the dominant point left out but for those it cannot matter to."""
    hits = tally.without_dominant().hits
    hits = hits[hits > 0]
    total, seen = int(hits.sum()), len(hits) + 1
    f1, f2, f3, f4 = (int((hits == k).sum()) for k in (1, 2, 3, 4))
    rare = hits[hits <= 10]
    covered = 1 - f1 / max(int(rare.sum()), 1)
    pairs = float((rare * (rare - 1)).sum()) / max(int(rare.sum()) * (int(rare.sum()) - 1), 1)
    uneven = max(len(rare) / covered * pairs - 1, 0.0) if covered > 0 else np.inf
    lift = max(f1 - f2 * f3 / (2 * max(f4, 1)), 0.0) * f3 / (4 * max(f4, 1))
    return {
        "seen": seen,
        "Good-Turing, all": (seen / (1 - f1 / tally.hits.sum())) if f1 < tally.hits.sum() else np.inf,
        "Good-Turing": seen / (1 - f1 / total) if f1 < total else np.inf,
        "Chao 1": seen + chao(f1, f2),
        "iChao 1": seen + chao(f1, f2) + lift,
        "jackknife 1": seen + f1,
        "jackknife 2": seen + max(2 * f1 - f2, 0),
        "ACE": seen - len(rare) + (len(rare) + f1 * uneven) / covered if covered > 0 else np.inf,
    }


def chao_log_normal(hits: Any) -> float:
    """The upper end of the log-normal interval; its lower end times it is the square of the unseen."""
    seen = int((hits > 0).sum())
    unseen, least = chao(int((hits == 1).sum()), int((hits == 2).sum())), chao_least(hits) - seen
    return seen + (unseen**2 / least if least > 0 else 0.0)


def compare(known: list[tuple[int, Tally]]) -> None:
    """Estimate / true of pairs (true number, hits) with at least five hits, and how often two upper limits hold."""
    ratios: dict[str, list[float]] = {}
    limits: dict[str, list[bool]] = {"log-normal": [], "Poisson": [], "Poisson, where it is given": []}
    for number, tally in known:
        rest = tally.without_dominant().hits
        if rest.sum() < 5:
            continue
        for name, value in estimators(tally).items():
            ratios.setdefault(name, []).append(value / number)
        most = chao_most(rest)
        limits["log-normal"].append(chao_log_normal(tally.hits) >= number)
        limits["Poisson"].append(most is None or most + 1 >= number)
        if most is not None:
            limits["Poisson, where it is given"].append(most + 1 >= number)
    click.echo("\nestimator          estimate / true: quartile, median, quartile   above 1.1   (512 starts alone)")
    for name, values in ratios.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
        over = np.mean(np.array(values) > 1.1)
        click.echo(f"{name:18} {low:6.2f} {middle:6.2f} {high:6.2f}   {over:24.0%}")
    for name, held in limits.items():
        click.echo(f"upper limit, {name}: {np.mean(held):.0%} of {len(held)}")


def large(seed: int) -> None:
    search = searched(RandomMap(64, 6.0, 0), seed, n_starts=256)
    click.echo(f"N = 64, g = 6: {told(search).sentence}\n  {told(search)}\n  stopped: {search.stopped}")


@click.command()
@click.option("--only", default="", help="Part of the names.")
@click.option("--seed", default=0, show_default=True, help="Of the searches.")
@click.option("--estimators", "compared", is_flag=True, help="Compare estimators instead.")
@click.option("--large", "is_large", is_flag=True, help="Search N = 64, g = 6 instead.")
def main(only: str, seed: int, compared: bool, is_large: bool) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    if is_large:
        large(seed)
    elif compared:
        alone_found = ((network, searched(network.system, seed, closure=False)) for network in networks(only))
        compare([(network.number, search.catalogue.tallies()[0]) for network, search in alone_found])
    else:
        found = []
        for row in rows(networks(only), seed):
            found.append(row)
            click.echo(f"{row.search:12} {row.network:36} {row.true:4}  {row.missing.sentence}", err=True)
        table(found, "default")
        summary(found)


if __name__ == "__main__":
    main()
