"""How many fixed points of random tanh maps x' = tanh(W x), W ~ N(0, g^2 / N), a search finds, and in what time.

No formula gives the points of such a map, so they are compared with a reference: the union of Levenberg-Marquardt from
many thousands of starts and of fibers through everything found, until nothing new has come for long. It is made once
and kept in a folder. Times are those of one thread.

python benchmarks/random_maps.py --seeds 5
python benchmarks/random_maps.py --compare --seeds 2
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from dynsys import find_fixed_points
from dynsys.fiber import Fibers
from dynsys.system import Kind, System

SETS = {(64, 3.0): 15.0, (32, 6.0): 8.0}  # (N, g): seconds allowed
APART = 1e-6  # polished points farther apart are two; the closest pair of any reference is 1e4 times as far apart
HERE = Path(__file__).parent / "references"


class RandomMap(System):
    """x' = tanh(W x), with its Jacobian in closed form."""

    kind = Kind.MAP
    name = "random tanh map"
    box_is_trapping = True

    def __init__(self, n: int, gain: float, seed: int) -> None:
        self.n_state = n
        self.W = torch.as_tensor(np.random.default_rng(seed).standard_normal((n, n)) * (gain / np.sqrt(n)))

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.tanh(x @ self.W.T) - x

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self._slopes(x).unsqueeze(2) * self.W
        J.diagonal(dim1=1, dim2=2).sub_(1.0)
        return J

    def jacobian_product(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return self._slopes(x) * (v @ self.W.T) - v

    def transposed_product(self, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        return (self._slopes(x) * w) @ self.W - w

    def _slopes(self, x: Tensor) -> Tensor:
        return 1 - torch.tanh(x @ self.W.T) ** 2

    def box(self, u: Tensor) -> tuple[Tensor, Tensor]:
        one = u.new_ones(len(u), self.n_state)
        return -one, one


class Union:
    """Distinct zeros, each with its mirror image: F(-x) = -F(x)."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.points = torch.zeros(1, system.n_state, dtype=torch.float64)  # the origin

    def add(self, x: Tensor) -> int:
        """Polish x (B, n) by Newton and enter what is a zero, in the box and new; returns how many were."""
        before = len(self.points)
        for point in polished(self.system, x):
            for signed in (point, -point):
                if float((self.points - signed).norm(dim=1).min()) > APART:
                    self.points = torch.cat([self.points, signed[None]])
        return len(self.points) - before


def nothing(B: int) -> Tensor:
    return torch.zeros(B, 0, dtype=torch.float64)


def polished(system: System, x: Tensor) -> Tensor:
    """Those x (B, n) that Newton takes to a zero within the box, there."""
    for _ in range(6):
        step = torch.linalg.solve_ex(system.jacobian(x, nothing(len(x))), system.velocity(x, nothing(len(x))))[0]
        x = x - step.nan_to_num(torch.inf)
    good = system.velocity(x, nothing(len(x))).norm(dim=1) < 1e-13 * system.n_state
    return x[good & (x.abs().amax(dim=1) <= 1)]


def levenberg_marquardt(system: System, x: Tensor, steps: int = 150) -> Tensor:
    """Independent of the library's own solver: the x (B, n) that it takes near a zero."""
    u, damping, growth = nothing(len(x)), torch.full((len(x),), 0.1), torch.full((len(x),), 2.0)
    F, ended = system.velocity(x, u), []
    for _ in range(steps):
        J = system.jacobian(x, u)
        g = (J.mT @ F.unsqueeze(2)).squeeze(2)
        A = J.mT @ J
        A.diagonal(dim1=1, dim2=2).add_(damping.unsqueeze(1))
        d = -torch.linalg.solve_ex(A.mT, g.unsqueeze(2))[0].squeeze(2)
        G = system.velocity(x + d, u)
        promised = (d * (damping.unsqueeze(1) * d - g)).sum(1).clamp_min(1e-300)
        gain = ((F * F).sum(1) - (G * G).sum(1)) / promised
        good = gain > 0
        shrink = (1 - (2 * gain - 1) ** 3).clamp(1 / 3, 2.0)
        damping = torch.where(good, damping * shrink, damping * growth).clamp(1e-14, 1e8)
        growth = torch.where(good, 2.0, 2 * growth)
        x, F = torch.where(good.unsqueeze(1), x + d, x), torch.where(good.unsqueeze(1), G, F)
        near = F.norm(dim=1) < 1e-6
        ended.append(x[near])
        going = ~near & (damping < 1e6)
        x, F, u, damping, growth = x[going], F[going], u[going], damping[going], growth[going]
        if len(x) == 0:
            break
    return torch.cat(ended)


def scattered(n: int, B: int, generator: torch.Generator) -> Tensor:
    """Half from the box, half normal with a random size."""
    box = 2 * torch.rand(B, n, generator=generator, dtype=torch.float64) - 1
    normal = torch.randn(B, n, generator=generator, dtype=torch.float64)
    size = torch.rand(B, 1, generator=generator, dtype=torch.float64)
    return torch.where(torch.arange(B).unsqueeze(1) % 2 == 0, box, size * normal)


def fibers_from_newest(union: Union, seconds: float, seed: int, batch: int = 16, max_steps: int = 200) -> None:
    """Fibers in random directions through the points found, those that have had fewest first and then the newest."""
    generator, used, began = torch.Generator().manual_seed(seed), torch.zeros(0), time.process_time()
    while time.process_time() - began < seconds:
        used = torch.cat([used, torch.zeros(len(union.points) - len(used))])
        chosen = torch.argsort(1e6 * used - torch.arange(len(used)))[:batch]
        used[chosen] += 1
        x = union.points[chosen].repeat(-(-batch // len(chosen)), 1)[:batch]
        c = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        union.add(Fibers(max_steps=max_steps).follow(union.system, x, c, nothing(batch)).x)


def reference(n: int, gain: float, seed: int, folder: Path, seconds: float) -> Tensor:
    """The points of the union, from the folder or made in the time given; half of them, in float32, are kept."""
    system, path = RandomMap(n, gain, seed), folder / f"N{n}_g{gain:g}_seed{seed}.npz"
    union = Union(system)
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            union.add(torch.as_tensor(kept["points"].astype(np.float64)))
            expected = int(kept["number"])
        if len(union.points) != expected:
            raise click.ClickException(f"{path} gives {len(union.points)} points, not {expected}: delete it")
        return union.points
    click.echo(f"making the reference of N={n} g={gain:g} seed {seed} in {seconds:g} s", err=True)
    generator, began = torch.Generator().manual_seed(seed), time.process_time()
    while time.process_time() - began < 0.4 * seconds:
        union.add(levenberg_marquardt(system, scattered(n, 256, generator)))
    fibers_from_newest(union, 0.6 * seconds, seed, max_steps=600)
    keep(path, union.points)
    return union.points


def keep(path: Path, points: Tensor) -> None:
    first = (points != 0).double().argmax(dim=1, keepdim=True)
    half = points[points.gather(1, first).squeeze(1) > 0]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, points=half.numpy().astype(np.float32), number=len(points))


def found_of(known: Tensor, x: Tensor) -> set[int]:
    """Which of the known points are among x."""
    if len(x) == 0:
        return set()
    apart = torch.cdist(x, known, compute_mode="donot_use_mm_for_euclid_dist")
    near, which = apart.min(dim=1)
    return set(which[near <= APART].tolist())


def recall_table(n: int, gain: float, seeds: int, folder: Path, seconds: float, limit: float) -> None:
    click.echo(f"\nN = {n}, g = {gain:g}: within {limit:g} s of one thread")
    click.echo("seed  known | search: found  recall  seconds  not known | fibers alone: found  recall  not known")
    for seed in range(seeds):
        system, known = RandomMap(n, gain, seed), reference(n, gain, seed, folder, seconds)
        began = time.process_time()
        points = find_fixed_points(system, workers=1, seed=seed)
        spent = time.process_time() - began
        states = torch.as_tensor(points.states[points.verdict == "fixed"])
        own = found_of(known, states)
        alone = Union(system)
        fibers_from_newest(alone, limit, seed)
        met = found_of(known, alone.points)
        search = f"{len(own):13}  {len(own) / len(known):6.1%}  {spent:7.1f}  {len(states) - len(own):9}"
        fibers = f"{len(met):19}  {len(met) / len(known):6.1%}  {len(alone.points) - len(met):9}"
        click.echo(f"{seed:4}  {len(known):5} | {search} | {fibers}")


def strategies(n: int, gain: float, seed: int, known: Tensor, seconds: float) -> None:
    """From a random half of the points, each with its mirror image: how many of the others each way finds."""
    system, generator = RandomMap(n, gain, seed), torch.Generator().manual_seed(0)
    half = Union(system)
    order = torch.randperm(len(known), generator=generator)
    for i in order.tolist():
        if len(half.points) < len(known) / 2:
            half.add(known[i : i + 1])
    given = half.points

    def some() -> Tensor:
        return given[torch.randint(len(given), (256,), generator=generator)]

    def noise(B: int) -> Tensor:
        return torch.randn(B, n, generator=generator, dtype=torch.float64)

    def through(x: Tensor, c: Tensor, steps: int) -> Tensor:
        return Fibers(max_steps=steps).follow(system, x, c, nothing(len(x))).x

    def from_states() -> Tensor:
        x = scattered(n, 16, generator)
        return through(x, system.velocity(x, nothing(16)), 200)

    ways: dict[str, Callable[[], Tensor]] = {
        "LM from the box": lambda: levenberg_marquardt(system, scattered(n, 256, generator)),
        "LM from midpoints": lambda: levenberg_marquardt(system, (some() + some()) / 2),
        "LM from reflections 2a - b": lambda: levenberg_marquardt(system, (2 * some() - some()).clamp(-1, 1)),
        "LM from a + b - c": lambda: levenberg_marquardt(system, (some() + some() - some()).clamp(-1, 1)),
        "LM from known + 0.3 noise": lambda: levenberg_marquardt(system, some() + 0.3 * noise(256)),
        "Newton from known + 0.1 noise": lambda: some() + 0.1 * noise(256),
        "Newton from known + 0.3 noise": lambda: some() + 0.3 * noise(256),
        "Newton from midpoints": lambda: (some() + some()) / 2,
        "fibers from random states": from_states,
        "fibers from known, 100 steps": lambda: through(some()[:16], noise(16), 100),
        "fibers from known, 200 steps": lambda: through(some()[:16], noise(16), 200),
        "fibers from known, 1000 steps": lambda: through(some()[:16], noise(16), 1000),
    }
    click.echo(f"\nN = {n}, g = {gain:g}, seed {seed}: {len(given)} of {len(known)} given, {seconds:g} s each")
    click.echo("way                              found  per second")
    for name, way in ways.items():
        union, began = Union(system), time.process_time()
        union.points = given
        while time.process_time() - began < seconds:
            union.add(way())
        spent, new = time.process_time() - began, len(union.points) - len(given)
        click.echo(f"{name:32} {new:5}  {new / spent:10.1f}")


@click.command()
@click.option("--references", type=click.Path(path_type=Path), default=HERE, help="Folder of the references.")
@click.option("--make-seconds", default=120.0, show_default=True, help="Time for a reference that is missing.")
@click.option("--seeds", default=5, show_default=True, help="Maps drawn, seeds 0, 1, ...")
@click.option("--compare", is_flag=True, help="Compare ways to find more points instead.")
@click.option("--seconds", default=3.0, show_default=True, help="Time of each way compared.")
def main(references: Path, make_seconds: float, seeds: int, compare: bool, seconds: float) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    for (n, gain), limit in SETS.items():
        if not compare:
            recall_table(n, gain, seeds, references, make_seconds, limit)
            continue
        for seed in range(seeds):
            strategies(n, gain, seed, reference(n, gain, seed, references, make_seconds), seconds)


if __name__ == "__main__":
    main()
