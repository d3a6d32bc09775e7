"""Networks whose fixed points are all known: by mathematics, by enumeration, or by a long union of other searches.

Known exactly are products of bistable units (each has three zeros) and threshold-linear networks, where every subset of
active units gives one linear system to solve. The others have a reference in a folder: scipy's ``root`` from many
thousands of starts, together with several searches of both engines, until neither finds anything new; where the indices
of all zeros must sum to 1, they do.

python benchmarks/saturated.py            checks the references, and makes those that are missing
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import click
import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from random_maps import HERE as MAPS
from random_maps import RandomMap
from random_maps import reference as reference_of_map

from dynsys import find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.base import random_weights
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.search.starts import first_starts, states_in_box
from dynsys.systems.system import System

Array = NDArray[np.float64]

FILE = MAPS / "saturated.npz"
APART = 1e-5  # relative to their norm, beyond which two polished zeros are two
BATCH, QUIET = 400, 3  # starts of scipy in a batch, and batches in a row that must bring nothing new
MOST = 40  # batches, after which a network does not count as saturated


@dataclass(frozen=True)
class Network:
    """A system and the number of its isolated fixed points; ``exact`` where that is proved."""

    name: str
    system: System
    number: int
    exact: bool
    seed: int

    @property
    def held_out(self) -> bool:
        """Whether it was drawn after the rules of ``dynsys.search.known.missing`` had been chosen on the others."""
        return self.seed >= 100


def products() -> Iterator[Network]:
    """3^n points in rotated coordinates; the smaller w, the nearer the two outer zeros of a unit to the inner one."""
    chosen_on = [(2, 2.0), (3, 1.5), (3, 4.0), (4, 2.0), (4, 1.2), (5, 2.0), (5, 6.0)]
    for seed, (n, w) in [*enumerate(chosen_on), (100, (3, 1.1)), (101, (4, 8.0)), (102, (5, 1.4))]:
        yield Network(f"bistable n={n} w={w:g} seed {seed}", Bistable(n, w, seed), 3**n, True, seed)


def threshold_linear(W: Array, b: Array) -> System:
    """x(t+1) = relu(W x + b), with the fixed points of x' = -x + relu(W x + b)."""
    n = len(W)
    weights = {"weight_ih_l0": np.zeros((n, 1)), "weight_hh_l0": W, "bias_ih_l0": b, "bias_hh_l0": np.zeros(n)}
    return RNN(weights, nonlinearity="relu")


def enumerated(W: Array, b: Array) -> int:
    """How many subsets D of active units have a solution x = D (W x + b) that is active in D and nowhere else."""
    n = len(W)
    D = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    x = np.linalg.solve(np.eye(n) - D[:, :, None] * W, (D * b)[:, :, None])[:, :, 0]
    drive = x @ W.T + b
    return int(((drive > 0) == (D > 0)).all(axis=1).sum())


def competitive(n: int, p: float, seed: int) -> tuple[Array, Array]:
    """Combinatorial threshold-linear networks (Morrison et al. 2016) of a random graph with edges of probability p."""
    rng = np.random.default_rng(seed)
    W = np.where(rng.uniform(size=(n, n)) < p, -0.75, -1.5)  # -1 + epsilon, -1 - delta
    return W - np.diag(np.diag(W)), np.ones(n)


def threshold_networks() -> Iterator[Network]:
    drawn = [(6, 0.3, 0), (8, 0.2, 1), (8, 0.5, 2), (10, 0.1, 3), (10, 0.3, 4), (12, 0.2, 5), (12, 0.4, 6)]
    fresh = [(7, 0.2, 100), (9, 0.1, 101), (9, 0.3, 102), (10, 0.2, 103), (11, 0.15, 104), (12, 0.3, 105)]
    for n, p, seed in drawn + fresh:
        W, b = competitive(n, p, seed)
        name = f"threshold-linear n={n} p={p:g} seed {seed}"
        yield Network(name, threshold_linear(W, b), enumerated(W, b), True, seed)


def hopfield(n: int, patterns: int, gain: float, seed: int) -> System:
    """A rate network that has learned random patterns of +-1 by Hebb's rule."""
    xi = np.random.default_rng(seed).choice([-1.0, 1.0], (patterns, n))
    W = gain * xi.T @ xi / n
    np.fill_diagonal(W, 0.0)
    return SimpleRNN(W)


def self_exciting(kind: str, n: int, own: float, gain: float, seed: int) -> System:
    """Units that keep their own state by a weight ``own``, coupled at random, as those of trained memories are."""
    cls, gates, candidate = CLASSES[kind]
    weights = random_weights(gates, n, 1, seed, gain)
    weights["weight_hh_l0"][candidate * n : (candidate + 1) * n] += own * np.eye(n)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        weights[name] *= 0.3
    return cls(weights)


MAPS_DRAWN = [
    *[(8, 4, 0), (16, 3, 3), (12, 6, 2), (16, 6, 4), (16, 6, 5), (20, 8, 10), (24, 4, 6), (24, 6, 7), (32, 4, 10)],
    *[(40, 3, 10), (16, 8, 100), (24, 5, 101), (28, 6, 102)],
]
WITH_BIAS = [(16, 4, 2), (24, 4, 3), (24, 6, 0), (24, 6, 1), (20, 6, 100), (28, 5, 101)]
SELF_EXCITING = [
    *[("rnn", 5, 2.0, 1.0, 0), ("rnn", 6, 2.0, 1.5, 1)],
    *[("gru", 4, 3.0, 1.0, 0), ("gru", 6, 3.0, 1.0, 0), ("gru", 8, 3.0, 1.5, 1), ("gru", 6, 4.0, 2.0, 0)],
    *[("gru", 10, 3.0, 2.0, 0), ("gru", 10, 3.0, 2.0, 1)],
    *[("lstm", 4, 4.0, 1.0, 0), ("lstm", 5, 4.0, 1.0, 0), ("lstm", 5, 4.0, 1.0, 1), ("lstm", 6, 3.0, 1.0, 1)],
    *[("rnn", 5, 2.5, 1.0, 100), ("gru", 5, 3.0, 1.0, 101), ("gru", 8, 3.0, 2.0, 102), ("lstm", 5, 3.0, 1.0, 103)],
]
GATED = [("gru", 8, 6.0, 0), ("gru", 12, 6.0, 1), ("lstm", 6, 3.0, 0), ("lstm", 8, 4.0, 1)]
LEARNED = [(16, 3, 3, 0), (32, 5, 2, 2), (16, 4, 6, 3), (20, 4, 4, 100)]
CLASSES = {"rnn": (RNN, 1, 0), "gru": (GRU, 3, 2), "lstm": (LSTM, 4, 2)}  # gates, and which of them is the candidate


def referenced() -> dict[str, tuple[int, Callable[[], System]]]:
    """Systems that need a reference, by name, with the seed they are drawn from."""
    made: dict[str, tuple[int, Callable[[], System]]] = {}
    for n, gain, seed in MAPS_DRAWN:
        made[f"tanh map n={n} g={gain} seed {seed}"] = seed, partial(RandomMap, n, gain, seed)
    for n, gain, seed in WITH_BIAS:
        made[f"rnn n={n} g={gain} seed {seed}"] = seed, partial(RNN.random, n, seed=seed, gain=gain)
    for kind, n, own, coupled, seed in SELF_EXCITING:
        name = f"self-exciting {kind} n={n} {own:g}+{coupled:g} seed {seed}"
        made[name] = seed, partial(self_exciting, kind, n, own, coupled, seed)
    for kind, n, coupled, seed in GATED:
        name = f"{kind} n={n} g={coupled:g} seed {seed}"
        made[name] = seed, partial(CLASSES[kind][0].random, n, seed=seed, gain=coupled)
    for n, patterns, gain, seed in LEARNED:
        name = f"hopfield n={n} patterns={patterns} g={gain} seed {seed}"
        made[name] = seed, partial(hopfield, n, patterns, gain, seed)
    return made


class Zeros:
    """Distinct zeros of a system in its box, under zero input."""

    def __init__(self, system: System) -> None:
        self.system, self.u = system, torch.zeros(1, system.n_input, dtype=torch.float64)
        self.x = np.zeros((0, system.n_state))
        box = system.box(self.u)
        self.box = None if box is None else (box[0].numpy() - 1e-9, box[1].numpy() + 1e-9)

    def F(self, x: Array) -> Array:
        return self.system.velocity(torch.as_tensor(x)[None], self.u)[0].numpy()

    def J(self, x: Array) -> Array:
        return self.system.jacobian(torch.as_tensor(x)[None], self.u)[0].numpy()

    def add(self, x: Array) -> int:
        """Polish x (B, n) by Newton; those that converge within the box and are new are entered, and counted."""
        before = len(self.x)
        for y in x:
            for _ in range(4):
                y = y - np.linalg.lstsq(self.J(y), self.F(y), rcond=1e-14)[0]
            far = np.linalg.norm(self.x - y, axis=1) > APART * (1 + np.linalg.norm(y))
            inside = self.box is None or ((y >= self.box[0]) & (y <= self.box[1])).all()
            if np.linalg.norm(self.F(y)) < 1e-12 * (1 + np.linalg.norm(y)) and inside and far.all():
                self.x = np.vstack([self.x, y])
        return len(self.x) - before

    def solve(self, x: Array) -> int:
        """scipy's ``root`` from each x (B, n)."""
        ends = [scipy.optimize.root(self.F, y, jac=self.J, method="hybr", options={"maxfev": 200}) for y in x]
        return self.add(np.array([end.x for end in ends if end.success]).reshape(-1, x.shape[1]))

    def index_sum(self) -> int:
        return int(sum(np.sign(np.linalg.det(-self.J(y))) for y in self.x))

    def starts(self, n: int, seed: int) -> Array:
        """A quarter each from the box, from where the network goes, between the zeros known, and near them."""
        rng = np.random.default_rng(seed)
        parts = [states_in_box(self.system, self.u, n // 4, rng), first_starts(self.system, self.u, n // 4, seed)]
        fresh = np.concatenate([part.numpy() for part in parts])
        if len(self.x) < 2:
            return np.concatenate([fresh, 2 * fresh])
        a, b, c = self.x[rng.integers(0, len(self.x), (3, n // 4))]
        kind = rng.integers(0, 3, (n // 4, 1))
        between = np.where(kind == 0, (a + b) / 2, np.where(kind == 1, 2 * a - b, a + b - c))
        near = a + rng.uniform(0, 0.5, (n // 4, 1)) * self.x.std(axis=0) * rng.standard_normal(a.shape)
        return np.concatenate([fresh, between, near])


def made(system: System) -> Array:
    """Zeros from batches of scipy's and searches of both engines in turn, until neither has brought anything new."""
    zeros, quiet = Zeros(system), 0
    for batch in range(MOST):
        new = zeros.solve(zeros.starts(BATCH, batch))
        if batch < 4 or (new == 0 and quiet == QUIET - 1):
            engine = "fiber" if batch % 2 else "auto"
            points = find_fixed_points(system, n_starts=1024, engine=engine, seed=1000 + batch, workers=1)
            new += zeros.add(points.states[points.verdict == "fixed"])
        quiet = 0 if new else quiet + 1
        click.echo(f"  batch {batch}: {new} new, {len(zeros.x)} in all", err=True)
        if quiet >= QUIET and batch >= 4:
            return zeros.x
    raise click.ClickException("not saturated")


def networks(only: str = "") -> list[Network]:
    """All of them, or those whose names hold ``only``; a reference that does not check out is an error."""
    found = [network for network in (*products(), *threshold_networks()) if only in network.name]
    for (n, gain), seed in itertools.product([(32, 6.0), (64, 3.0)], range(5)):
        name = f"tanh map n={n} g={gain:g} seed {seed}"
        if only in name:
            points = reference_of_map(n, gain, seed, MAPS, 0.0)
            found.append(Network(name, RandomMap(n, gain, seed), len(points), False, seed))
    kept = dict(np.load(FILE, allow_pickle=False)) if FILE.exists() else {}
    for name, (seed, make) in referenced().items():
        if only in name and name in kept:
            found.append(Network(name, make(), checked(name, make(), kept[name]), False, seed))
    return found


def checked(name: str, system: System, points: Array) -> int:
    """The number of zeros that the stored points lead to; an error where two have become one, or indices do not fit."""
    zeros = Zeros(system)
    zeros.add(points.astype(np.float64))
    if len(zeros.x) != len(points):
        raise click.ClickException(f"{name}: {len(points)} points stored, {len(zeros.x)} zeros: delete it")
    if system.box_is_trapping and zeros.index_sum() != 1:
        raise click.ClickException(f"{name}: the indices sum to {zeros.index_sum()}: points are missing")
    return len(points)


@click.command()
@click.option("--only", default="", help="Part of the names.")
def main(only: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    kept = dict(np.load(FILE, allow_pickle=False)) if FILE.exists() else {}
    for name, (_, make) in referenced().items():
        if only in name and name not in kept:
            click.echo(name, err=True)
            try:
                points = made(make())
                checked(name, make(), points)
            except click.ClickException as error:
                click.echo(f"  {error.message}", err=True)
                continue
            kept[name] = points.astype(np.float32)
            np.savez_compressed(FILE, **kept)
    for network in networks(only):
        click.echo(f"{network.number:5} {'exact' if network.exact else '     '} {network.name}")


if __name__ == "__main__":
    main()
