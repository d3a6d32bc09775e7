"""How many fixed points there are "depending on the tolerance levels used" (Jang, section 6: 9 to 26).

    python benchmarks/tolerances.py --units 500 --seeds 5

For each of a few networks that the paper's preset trains, trust-region Newton-CG goes down from states of its test
trajectories, as the paper's search does, to ever smaller q; at each q the states that have come so far are counted as
points, one within every distance. Beside them: how many of those counted have a true zero within their error bound.
"""

from __future__ import annotations

import click
import numpy as np
import torch

from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.models.training.by_force.recipes import PRESETS, train_esn
from dynsys.numerics.threads import alone
from dynsys.proof.kantorovich import assess
from dynsys.search.descent import descend
from dynsys.search.solvers import solver_named
from dynsys.search.starts import states_at
from dynsys.search.tolerances import distinct
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of

STEPS, RUNS = 5000, 1  # of the test, as in the paper
Q = (1e-1, 1e-2, 1e-4, 1e-6, 1e-9, 1e-12, 1e-18, 1e-24, 1e-30)
UNIQUE = (1.0, 1e-1, 1e-2, 1e-3, 1e-6)


def counted(network: EchoStateNetwork, starts: int, seed: int) -> tuple[np.ndarray, list[int], list[int]]:
    """Points (Q, UNIQUE); at each q how many starts came so far, and how many points, one within 1e-2, are zeros."""
    visited = network.task_trajectories(STEPS, RUNS, seed)
    assert visited is not None
    x = states_at(visited.flatten(0, 1), starts, seed)
    unit, u = float(x.norm(dim=1).median()), torch.zeros(1, network.n_input, dtype=x.dtype)
    points, reached, real = [], [], []
    for limit in Q:
        ended = descend(solver_named("trust-region"), Held(network, u.expand(len(x), -1), unit), x, limit)
        came = q_of(ended.F) <= limit  # the others come no farther
        x, q = ended.x[came], q_of(ended.F[came])
        groups = torch.zeros(len(x), dtype=torch.long)
        rows = [distinct(x, q, groups, q <= limit, apart, None) for apart in UNIQUE]
        points.append([len(one) for one in rows])
        reached.append(len(x))
        known = [assess(Held(network, u, unit), x[i : i + 1]) for i in rows[2].tolist()]
        near = [float((one.x - x[i]).norm()) for one, i in zip(known, rows[2].tolist(), strict=True)]
        real.append(sum(bool(a.converged) and d <= UNIQUE[2] for a, d in zip(known, near, strict=True)))
    return np.array(points), reached, real


@click.command()
@click.option("--units", default=500, show_default=True)
@click.option("--bits", default=3, show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--starts", default=100, show_default=True)
@click.option("--preset", default="paper", show_default=True, type=click.Choice(list(PRESETS)))
def main(units: int, bits: int, seeds: int, starts: int, preset: str) -> None:
    """Print a table of counts for each network, and the least and most over all."""
    every = []
    for seed in range(seeds):
        trained = train_esn(PRESETS[preset](bits, units, "tanh", seed))
        with alone():
            points, reached, real = counted(trained.network, starts, seed)
        every.append(points)
        print(f"preset {preset}, {units} units, seed {seed}, accuracy {trained.metrics['settled_bit_accuracy']:.4f}")
        print(f"q at most  of {starts} starts  " + "".join(f"  within {d:<6g}" for d in UNIQUE) + "  with a zero near")
        for i, q in enumerate(Q):
            row = "".join(f"{count:15}" for count in points[i])
            print(f"{q:9.0e}  {reached[i]:13}  {row}  {real[i]:16}", flush=True)
    low, high = np.min(every, axis=0), np.max(every, axis=0)
    print("all seeds: least to most")
    for i, q in enumerate(Q):
        print(f"{q:9.0e}  " + "".join(f"{f'{a} to {b}':>15}" for a, b in zip(low[i], high[i], strict=True)))


if __name__ == "__main__":
    main()
