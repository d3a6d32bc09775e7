"""How much of each basin is proved: the radius of the ball over the distance to the nearest state found that leaves.

Hopfield-like networks h' = tanh(W h), W = gain times that of Hebb, and noise / sqrt(n), and networks trained to
hold bits. Exits are sought along rays to all other points, along random ones, and by ``dynsys flip``'s edges. Of random
starts on the border of each ellipsoid and ball it is counted how many do not come home.

python benchmarks/certified.py [--starts 100000]
python benchmarks/certified.py --flip
python benchmarks/certified.py --contraction 1000
python benchmarks/certified.py --checkpoint gru16.pt --checkpoint lstm16.pt
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import dynsys
from dynsys import FixedPoints, System
from dynsys.attractors.edge import Edges
from dynsys.attractors.ends import iterated
from dynsys.attractors.flip import flips
from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.lyapunov.whole import contraction_rate
from dynsys.models.recurrent.vanilla import RNN

Array = NDArray[np.float64]

NETWORKS = (  # units, patterns, gain, noise
    (64, 4, 2.0, 0.3),
    (64, 4, 1.3, 0.0),
    (128, 4, 2.0, 0.0),
    (128, 8, 4.0, 0.1),
    (256, 8, 2.0, 0.3),
    (256, 6, 1.3, 0.0),
)
FLIPS = ((64, 4, 2.0, 0.0), (128, 3, 2.0, 0.0), (256, 3, 2.0, 0.0))
NEIGHBOURS = 4  # memories, nearest first, towards which the edge is sought
RAYS = 300
SECTIONS, ROUNDS = 7, 6
APART = 1e-6  # distance of trajectories that have not come together


def hopfield(n: int, P: int, gain: float, noise: float, seed: int = 0) -> tuple[System, Array]:
    """The network, and the states at which to look for memories."""
    rng = np.random.default_rng(seed)
    S = np.sign(rng.standard_normal((P, n)))
    W = gain * S.T @ S / n + noise * rng.standard_normal((n, n)) / np.sqrt(n)
    zeros = {"weight_ih_l0": np.zeros((n, 1)), "bias_ih_l0": np.zeros(n), "bias_hh_l0": np.zeros(n)}
    return RNN({**zeros, "weight_hh_l0": W}), np.concatenate([S, -S])


def nearest_exits(system: System, points: FixedPoints, memories: NDArray[np.int64]) -> Array:
    """The distance of the nearest state found that does not come back, for each memory."""
    u = torch.as_tensor(points.inputs[:1])
    edges = Edges(system, torch.as_tensor(points.states[memories]), u)
    k = len(memories)
    found = np.full(k, np.inf)
    if k > 1:
        apart = np.linalg.norm(points.states[memories][:, None] - points.states[memories], axis=2)
        pairs = torch.tensor([(i, j) for i in range(k) for j in np.argsort(apart[i])[1 : 1 + NEIGHBOURS]])
        for some in torch.split(pairs, 64):
            lengths = edges.pushes(some).lengths.numpy()
            np.minimum.at(found, some[:, 0].numpy(), np.where(np.isfinite(lengths), lengths, np.inf))
    rng = np.random.default_rng(0)
    for row, i in enumerate(memories):
        x = torch.as_tensor(points.states[i])
        rays = np.concatenate([np.delete(points.states, i, 0) - points.states[i], rng.standard_normal((RAYS, len(x)))])
        rays = torch.as_tensor(rays / np.linalg.norm(rays, axis=1, keepdims=True))
        furthest = min(found[row], 2 * np.linalg.norm(points.states - points.states[i], axis=1).max() or 1.0)
        found[row] = min(found[row], along(edges, x, rays, row, furthest))
    return found


def along(edges: Edges, x: Tensor, rays: Tensor, home: int, furthest: float) -> float:
    """The least distance at which a state on one of the rays ends elsewhere than at home."""
    low, high = torch.zeros(len(rays), dtype=x.dtype), torch.full((len(rays),), furthest, dtype=x.dtype)
    share = torch.arange(1, SECTIONS + 2, dtype=x.dtype) / (SECTIONS + 1)
    any_out = torch.zeros(len(rays), dtype=torch.bool)
    for _ in range(ROUNDS):
        lengths = low.unsqueeze(1) + (high - low).unsqueeze(1) * share
        states = x + lengths.unsqueeze(2) * rays.unsqueeze(1)
        out = (edges.home(states.flatten(0, 1)) != home).view(lengths.shape)
        any_out |= out.any(1)
        first = torch.where(out.any(1), out.int().argmax(1), SECTIONS)
        ends = torch.cat([low.unsqueeze(1), lengths], 1)
        low, high = (ends.gather(1, (first + k).unsqueeze(1)).squeeze(1) for k in (0, 1))
    return float(torch.where(any_out, high, torch.inf).min())


def escaped(system: System, basins: CertifiedBasins, i: int, u: Tensor, starts: int) -> int:
    """Of starts on the border of the ellipsoid and on that of the ball, as many that do not come to the point."""
    rng = np.random.default_rng(1)
    x = torch.as_tensor(basins.states[i])
    lost = 0
    frames = [torch.as_tensor(basins.ellipsoids[i])] if basins.has_ellipsoid[i] else []
    frames.append(float(basins.radius[i]) * torch.eye(len(x), dtype=x.dtype))
    edges = Edges(system, x[None].expand(2, -1) + torch.tensor([[0.0], [1.0]], dtype=x.dtype), u)
    for X in frames:
        for _ in range(0, starts, 10_000):
            y = torch.as_tensor(rng.standard_normal((min(starts, 10_000), len(x))))
            y = y / y.norm(dim=1, keepdim=True)
            lost += int((edges.home(x + y @ X.T) != 0).sum())
    return lost


def told(name: str, system: System, points: FixedPoints, starts: int) -> None:
    held = iterated(points)
    stable = (points.verdict == "fixed") & (points.n_unstable == 0) & (points.stability != "marginal")
    memories = np.flatnonzero(stable)
    if not len(memories):
        click.echo(f"{name}: no stable point")
        return
    began = time.process_time()
    basins = dynsys.certified_basins(points, system)
    seconds = time.process_time() - began
    exits = nearest_exits(held, points, memories)
    share = basins.radius[memories] / exits
    u = torch.as_tensor(points.inputs[:1])
    lost = sum(escaped(held, basins, int(i), u, starts) for i in memories if basins.radius[i] > 0 and starts)
    why = sorted(set(basins.reasons[memories]) - {""})
    click.echo(
        f"{name}: {len(memories)} memories, {int((basins.radius[memories] > 0).sum())} proved, "
        f"{share.min():.0%} to {share.max():.0%} of the way (median {np.median(share):.0%}), "
        f"{seconds / len(memories):.2f} s each, {seconds:.1f} s in all; {lost} starts escaped"
        + (f"; {', '.join(why)}" if why else "")
    )


def contracting(networks: int) -> None:
    """How many random networks are proved to contract, by norms and by the inequality, and whether any two states of
    those stay apart."""
    lmi = all(importlib.util.find_spec(name) for name in ("cvxpy", "scs"))
    claims = parted = more = 0
    for seed in range(networks):
        rng = np.random.default_rng(seed)
        n, gain = int(rng.integers(2, 9)), rng.uniform(0.4, 1.6)
        W = rng.standard_normal((n, n)) * gain / np.sqrt(n)
        zeros = {"weight_ih_l0": np.zeros((n, 1)), "bias_ih_l0": np.zeros(n)}
        net = RNN({**zeros, "weight_hh_l0": W, "bias_hh_l0": rng.standard_normal(n) * (seed % 2)})
        u = torch.zeros(1, 1, dtype=torch.float64)
        x = torch.as_tensor(rng.uniform(-1, 1, (64, n)))
        for _ in range(3000):
            x = x + net.velocity(x, u.expand(64, -1))
        A = net.jacobian(x[:1], u)[0].numpy() + np.eye(n)
        if np.abs(np.linalg.eigvals(A)).max() >= 1:
            continue  # no stable point to begin from
        plain = contraction_rate(net, u, A)
        found = contraction_rate(net, u, A, lmi=lmi) if plain is None else plain
        claims += found is not None
        more += found is not None and plain is None
        parted += found is not None and float((x - x[:1]).abs().max()) > APART
    click.echo(
        f"{networks} random networks of 2 to 8 units: {claims} proved to contract, {more} by the inequality alone"
        f"{'' if lmi else ' (not installed)'}; in {parted} of those two trajectories stay apart"
    )


def flipped(n: int, P: int, gain: float, noise: float, seed: int) -> None:
    """What was found over what is proved, of pushes and of pulses of three inputs."""
    net, S = hopfield(n, P, gain, noise, seed)
    rng = np.random.default_rng(seed)
    net = net.with_weights({"weight_ih_l0": rng.standard_normal((n, 3)) / np.sqrt(3)})
    points = dynsys.find_fixed_points(net, S, n_starts=64, seed=seed, verify=False, seconds=30)
    for pulse in (None, 1.0):
        began = time.process_time()
        found = flips(points, pulse=pulse)
        seconds = time.process_time() - began
        lower, upper = (found.lower, found.upper) if pulse is None else (found.pulse_lower, found.pulse_upper)
        known = np.isfinite(upper) & (lower > 0)[:, None]
        ratio = (upper / np.where(lower > 0, lower, 1)[:, None])[known]
        told = f"at most {ratio.max():.3g}, median {np.median(ratio):.3g}" if len(ratio) else "none"
        click.echo(
            f"{n} units, {P} patterns, gain {gain:g}, noise {noise:g}, {'pushes' if pulse is None else 'pulses too'}: "
            f"{len(lower)} memories, found over proved for {len(ratio)} pairs: {told}; {seconds:.1f} s"
        )


@click.command()
@click.option("--starts", default=100_000, show_default=True, type=click.IntRange(0), help="On each border.")
@click.option("--checkpoint", "paths", multiple=True, type=Path, help="Trained networks, instead of Hopfield's.")
@click.option("--period", default=1, show_default=True, type=click.IntRange(1), help="Of their memories.")
@click.option("--contraction", default=0, type=int, help="Random networks that may contract, instead.")
@click.option("--flip", is_flag=True, help="How far apart the bounds of dynsys flip are, instead.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
def main(starts: int, paths: tuple[Path, ...], period: int, flip: bool, contraction: int, seed: int) -> None:
    """How much of each basin is proved, and whether anything escapes from it."""
    torch.set_num_threads(1)
    if contraction:
        contracting(contraction)
        return
    for sizes in FLIPS if flip else ():
        flipped(*sizes, seed)
    for path in paths:
        system = dynsys.load(path)
        told(path.name, system, dynsys.find_fixed_points(system, period=period, seed=seed), starts)
    for n, P, gain, noise in () if paths or flip else NETWORKS:
        net, S = hopfield(n, P, gain, noise, seed)
        points = dynsys.find_fixed_points(net, S, n_starts=64, seed=seed, verify=False, seconds=30)
        told(f"{n} units, {P} patterns, gain {gain:g}, noise {noise:g}", net, points, starts)


if __name__ == "__main__":
    main()
