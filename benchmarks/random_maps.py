"""How many fixed points of random tanh maps x' = tanh(W x), W ~ N(0, g^2 / N), a search finds, and in what time.

No formula gives the points of such a map, so they are compared with a reference: the union of Levenberg-Marquardt from
many thousands of starts and of fibers through everything found, until nothing new has come for long. It is made once
and kept in a folder. Times are those of one thread.

python benchmarks/random_maps.py --seeds 5
python benchmarks/random_maps.py --compare --seeds 2
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from dynsys import find_fixed_points
from dynsys.search.fibers.directional_fibers import ARCLENGTH, Fibers
from dynsys.systems.system import Kind, System

SETS = {(64, 3.0): 15.0, (32, 6.0): 8.0}  # (N, g): seconds allowed
APART = 1e-6  # polished points farther apart are two; the closest pair of any reference is 1e4 times as far apart
HERE = Path(__file__).parent / "references"


def fibers(steps: int) -> Fibers:
    """The engine with so many steps at each end of a fiber."""
    return Fibers(dataclasses.replace(ARCLENGTH, max_steps=steps))


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


class Ways:
    """Ways to candidates for new points, most of them from the points that a union holds."""

    def __init__(self, union: Union, seed: int) -> None:
        self.union, self.system, self.n = union, union.system, union.system.n_state
        self.generator, self.used = torch.Generator().manual_seed(seed), torch.zeros(0)

    def known(self, B: int) -> Tensor:
        return self.union.points[torch.randint(len(self.union.points), (B,), generator=self.generator)]

    def noise(self, B: int) -> Tensor:
        return torch.randn(B, self.n, generator=self.generator, dtype=torch.float64)

    def scattered(self, B: int = 64) -> Tensor:
        """Half from the box, half normal with a random size."""
        box = 2 * torch.rand(B, self.n, generator=self.generator, dtype=torch.float64) - 1
        size = torch.rand(B, 1, generator=self.generator, dtype=torch.float64)
        return torch.where(torch.arange(B).unsqueeze(1) % 2 == 0, box, size * self.noise(B))

    def midpoints(self, B: int = 64) -> Tensor:
        return (self.known(B) + self.known(B)) / 2

    def reflections(self, B: int = 64) -> Tensor:
        return (2 * self.known(B) - self.known(B)).clamp(-1, 1)

    def parallelograms(self, B: int = 64) -> Tensor:
        return (self.known(B) + self.known(B) - self.known(B)).clamp(-1, 1)

    def descend(self, x: Tensor) -> Tensor:
        return levenberg_marquardt(self.system, x)

    def follow(self, x: Tensor, steps: int) -> Tensor:
        """Fibers through the points x in random directions."""
        return fibers(steps).follow(self.system, x, self.noise(len(x)), nothing(len(x))).x

    def from_newest(self, steps: int = 200, batch: int = 16) -> Tensor:
        """Fibers through the points that have had fewest, and of those the newest."""
        self.used = torch.cat([self.used, torch.zeros(len(self.union.points) - len(self.used))])
        chosen = torch.argsort(1e6 * self.used - torch.arange(len(self.used)))[:batch]
        self.used[chosen] += 1
        return self.follow(self.union.points[chosen].repeat(-(-batch // len(chosen)), 1)[:batch], steps)

    def from_states(self) -> Tensor:
        x = self.scattered(16)
        return fibers(200).follow(self.system, x, self.system.velocity(x, nothing(16)), nothing(16)).x


def fibers_alone(union: Union, seconds: float, seed: int) -> None:
    ways, began = Ways(union, seed), time.process_time()
    while time.process_time() - began < seconds:
        union.add(ways.from_newest())


def mixture(union: Union, seconds: float, seed: int) -> None:
    """At each turn the way that has lately found most new points per second; the others come back slowly."""
    ways, began = Ways(union, seed), time.process_time()
    arms: list[Callable[[], Tensor]] = [
        ways.from_newest,
        lambda: ways.descend(ways.scattered()),
        lambda: ways.descend(ways.midpoints()),
        lambda: ways.descend(ways.parallelograms()),
    ]
    pace = [float("inf")] * len(arms)
    while time.process_time() - began < seconds:
        k, then = pace.index(max(pace)), time.process_time()
        new = union.add(arms[k]()) / (time.process_time() - then)
        pace[k] = new if pace[k] == float("inf") else 0.6 * pace[k] + 0.4 * new
        best = max((p for p in pace if p < float("inf")), default=0.0)
        pace = [p if i == k else p + 0.02 * best + 0.05 for i, p in enumerate(pace)]


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
        check_distinct(system, union.points)
        return union.points
    click.echo(f"making the reference of N={n} g={gain:g} seed {seed} in {seconds:g} s", err=True)
    ways, began = Ways(union, seed), time.process_time()
    while time.process_time() - began < 0.4 * seconds:
        union.add(ways.descend(ways.scattered(256)))
    mixture(union, 0.6 * seconds, seed)
    check_distinct(system, union.points)
    keep(path, union.points)
    return union.points


def check_distinct(system: RandomMap, points: Tensor) -> None:
    """Newton-Kantorovich: every point has a true zero within 2 b |F| of it, and these balls are disjoint.

    b = |J^-1|, and J changes by at most L per distance, |tanh''| being below 0.77; b L (b |F|) must be below 1/2.
    """
    inverse = 1 / torch.linalg.svdvals(system.jacobian(points, nothing(len(points))))[:, -1]
    step = inverse * (system.velocity(points, nothing(len(points))).norm(dim=1) + 1e-14 * system.n_state)  # rounding
    lipschitz = 0.77 * system.W.norm(dim=1).max() * torch.linalg.matrix_norm(system.W, 2)
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    if bool((inverse * lipschitz * step >= 0.5).any()) or float(apart.min()) <= 4 * float(step.max()):
        raise click.ClickException(f"{system.n_state} units: two points of the reference may be one")


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
    columns = ("search: found", "fibers alone", "     mixture")
    heads = [f"{column}  recall  {'seconds  ' if column == columns[0] else ''}not known" for column in columns]
    click.echo("seed  known | " + " | ".join(heads))
    for seed in range(seeds):
        system, known = RandomMap(n, gain, seed), reference(n, gain, seed, folder, seconds)
        began = time.process_time()
        points = find_fixed_points(system, workers=1, seed=seed)
        spent = time.process_time() - began
        states = torch.as_tensor(points.states[points.verdict == "fixed"])
        own = found_of(known, states)
        others = []
        for way in (fibers_alone, mixture):
            union = Union(system)
            way(union, limit, seed)
            met = found_of(known, union.points)
            others.append(f"{len(met):12}  {len(met) / len(known):6.1%}  {len(union.points) - len(met):9}")
        search = f"{len(own):13}  {len(own) / len(known):6.1%}  {spent:7.1f}  {len(states) - len(own):9}"
        click.echo(f"{seed:4}  {len(known):5} | {search} | {others[0]} | {others[1]}")


def strategies(n: int, gain: float, seed: int, known: Tensor, seconds: float) -> None:
    """From a random half of the points, each with its mirror image: how many of the others each way finds."""
    half = Union(RandomMap(n, gain, seed))
    for i in torch.randperm(len(known), generator=torch.Generator().manual_seed(0)).tolist():
        if len(half.points) < len(known) / 2:
            half.add(known[i : i + 1])
    given, of = half.points, Ways(half, seed)
    ways: dict[str, Callable[[], Tensor]] = {
        "LM from the box and noise": lambda: of.descend(of.scattered(256)),
        "LM from midpoints": lambda: of.descend(of.midpoints(256)),
        "LM from reflections 2a - b": lambda: of.descend(of.reflections(256)),
        "LM from a + b - c": lambda: of.descend(of.parallelograms(256)),
        "LM from known + 0.3 noise": lambda: of.descend(of.known(256) + 0.3 * of.noise(256)),
        "Newton from known + 0.1 noise": lambda: of.known(256) + 0.1 * of.noise(256),
        "Newton from known + 0.3 noise": lambda: of.known(256) + 0.3 * of.noise(256),
        "Newton from midpoints": lambda: of.midpoints(256),
        "fibers from random states": of.from_states,
        "fibers from known, 100 steps": lambda: of.follow(of.known(16), 100),
        "fibers from known, 200 steps": lambda: of.follow(of.known(16), 200),
        "fibers from known, 1000 steps": lambda: of.follow(of.known(16), 1000),
    }
    click.echo(f"\nN = {n}, g = {gain:g}, seed {seed}: {len(given)} of {len(known)} given, {seconds:g} s each")
    click.echo("way                              found  per second")
    for name, way in ways.items():
        union, began = Union(half.system), time.process_time()
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
