"""What being right about every point costs, in CPU seconds and as a share of the search without it.

python benchmarks/shares.py --checkpoints CHECKPOINTS [--esn RUN]

CHECKPOINTS holds NAME.pt, RUN is the folder of an echo state network. Each part is timed by itself on the result of the
search, the fastest of a few runs, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import dynsys
from dynsys.attractors.basins import basins
from dynsys.attractors.connections import connections
from dynsys.proof.certificate import certify
from dynsys.search.starts import first_starts
from dynsys.stability.modes import linear_modes
from dynsys.systems.held import Held
from dynsys.trajectories.settling import settle

FOLLOWED = 64


def seconds(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """CPU seconds of the fastest run, and what it gave."""
    least, result = float("inf"), None
    for _ in range(repeats):
        began = time.process_time()
        result = work()
        least = min(least, time.process_time() - began)
    return least, result


def parts(system: dynsys.System, repeats: int) -> dict[str, float]:
    """CPU seconds of each part."""
    find = dynsys.find_fixed_points
    search, points = seconds(lambda: find(system, workers=1, verify=False), repeats)
    whole, points = seconds(lambda: find(system, workers=1), repeats)
    x, u = torch.as_tensor(points.states), torch.as_tensor(points.inputs)
    stable = points[np.char.startswith(points.stability, "stable")]
    starts = first_starts(system, u[:1], FOLLOWED, 0)
    known = {"points": torch.as_tensor(stable.states), "leading": stable.leading_eigenvalue}
    return {
        "points": len(points),
        "search": search,
        "with all": whole,
        "proofs": seconds(lambda: certify(Held(system, u, 1.0), x), repeats)[0],
        "settling": seconds(lambda: settle(system, starts, u[:1], **known), repeats)[0],
        "modes": seconds(lambda: linear_modes(points), 2)[0],
        "branches": seconds(lambda: connections(points), 1)[0],
        "basins": seconds(lambda: basins(points, 256), 1)[0],
    }


@click.command()
@click.option("--checkpoints", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--networks", default="tanh16,lstm16,gru16,gru128,tanh256", show_default=True, help="With commas.")
@click.option(
    "--esn", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Run of an echo state network."
)
@click.option("--repeats", default=5, show_default=True)
def main(checkpoints: Path, networks: str, esn: Path | None, repeats: int) -> None:
    """Print a line for each network: the search, the search with all that a result says, and each part."""
    paths = {name: checkpoints / f"{name}.pt" for name in networks.split(",")} | ({"esn": esn} if esn else {})
    with threadpool_limits(1):
        for i, (name, path) in enumerate(paths.items()):
            found = parts(dynsys.load(path), 1 if name == "esn" else repeats)
            if i == 0:
                print(f"{'network':10}" + "".join(f"{key:>10}" for key in found) + f"{'more':>8}   CPU seconds")
            more = found["with all"] / found["search"] - 1
            print(
                f"{name:10}{found['points']:10.0f}"
                + "".join(f"{v:10.3f}" for v in list(found.values())[1:])
                + f"{more:8.0%}"
            )


if __name__ == "__main__":
    main()
