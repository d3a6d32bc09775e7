"""What Lyapunov exponents cost, and whether their intervals hold what they promise.

Speed: x' = J tanh(x), J ~ N(0, g^2 / N), g = 3, one trajectory and one thread, in seconds of that thread, beside the
rate of the machine's own matrix product and a plain NumPy loop that puts the frame upright by QR at every step.

python benchmarks/lyapunov.py
python benchmarks/lyapunov.py --mean-field
python benchmarks/lyapunov.py --coverage
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys import Kind, Map, System, lyapunov_exponents
from dynsys.exponents.spectrum import Exponents
from dynsys.models.rate.leaky_map import LeakyRateMap

Array = NDArray[np.float64]
Step = Callable[[Array, Array], tuple[Array, Array]]

SIZES = ((256, 96, 1000), (1024, 256, 200))  # N, exponents, steps
BURN_IN = 100
GAIN = 3.0
GAINS = (1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 10.0)
UNITS = (128, 256, 512)  # networks of the extrapolation
BEFORE = 5000


def weights(n: int, gain: float, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((n, n)) * (gain / np.sqrt(n))


# Speed


def plain_loop(W: Array, k: int, steps: int) -> Array:
    """The exponents as anyone would compute them: J formed, times Q, QR, at every step."""
    rng = np.random.default_rng(0)
    n = len(W)
    x, Q = rng.uniform(-1, 1, n), np.linalg.qr(rng.standard_normal((n, k)))[0]
    logs = np.zeros(k)
    for t in range(BURN_IN + steps):
        rates = np.tanh(x)
        Q, R = np.linalg.qr((W * (1 - rates**2)) @ Q)
        x = W @ rates
        if t >= BURN_IN:
            logs += np.log(np.abs(np.diag(R)))
    return logs / steps


def timed(run: Callable[[], object], repeats: int) -> float:
    """The least time of the thread in seconds: what else the machine does counts only where it takes the caches."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def speed(repeats: int) -> None:
    for n, k, steps in SIZES:
        W = weights(n, GAIN)
        network, found = LeakyRateMap(W, alpha=1.0), list[Exponents]()

        def ours(system: System = network, k: int = k, steps: int = steps, found: list[Exponents] = found) -> None:
            found.append(lyapunov_exponents(system, k, steps=steps, burn_in=BURN_IN, starts=1, workers=1))

        seconds = timed(ours, repeats)
        plain = timed(lambda W=W, k=k, steps=steps: plain_loop(W, k, steps), 1)  # type: ignore[misc]
        A, B = torch.as_tensor(W), torch.randn(n, k, dtype=torch.float64)
        product = timed(lambda A=A, B=B: [A @ B for _ in range(50)], 3) / 50  # type: ignore[misc]
        share = product * (steps + BURN_IN) / seconds
        click.echo(
            f"N = {n}, {k} exponents, {steps} steps: {seconds:.2f} s of one thread; plain loop {plain:.2f} s, "
            f"{plain / seconds:.1f} times as long; products with J alone take {share:.0%} of it, at "
            f"{2e-9 * n * n * k / product:.0f} Gflop/s; first exponent {found[-1].values[0]:.4f}, "
            f"KY/N {found[-1].kaplan_yorke / n:.4f} (NaN: more exponents define it)"
        )


# Mean field


def gaussian_mean(function: Callable[[Array], Array], variance: float) -> float:
    nodes = np.linspace(-9, 9, 20_001)  # Gauss-Hermite nodes are too few where tanh is steep
    weight = np.exp(-(nodes**2) / 2)
    return float((weight * function(np.sqrt(variance) * nodes)).sum() / weight.sum())


def mean_field(gain: float) -> float:
    """log(g sqrt <sech^4>) at the variance D = g^2 <tanh^2>."""
    D = gain**2
    for _ in range(300):
        D = gain**2 * gaussian_mean(lambda x: np.tanh(x) ** 2, D)
    return float(np.log(gain * np.sqrt(gaussian_mean(lambda x: (1 - np.tanh(x) ** 2) ** 2, D))))


def simulated(gain: float, n: int, seed: int, steps: int) -> float:
    W = torch.as_tensor(weights(n, gain, 1000 * n + seed))
    return float(
        lyapunov_exponents(LeakyRateMap(W, alpha=1.0), 1, steps=steps, burn_in=500, starts=2, workers=1).values[0]
    )


def extrapolated(gain: float, steps: int, networks: int) -> tuple[float, float]:
    """The first exponent at 1 / N -> 0 by a line through the means over networks, weighted by their errors."""
    means, errors = [], []
    for n in UNITS:
        values = [simulated(gain, n, seed, steps) for seed in range(networks)]
        means.append(np.mean(values))
        errors.append(max(np.std(values, ddof=1) / np.sqrt(networks), 1e-6))
    design = np.stack([np.ones(len(UNITS)), 1 / np.array(UNITS)], axis=1) / np.array(errors)[:, None]
    covariance = np.linalg.inv(design.T @ design)
    value = covariance @ design.T @ (np.array(means) / np.array(errors))
    return float(value[0]), float(np.sqrt(covariance[0, 0]))


def against_mean_field(gains: Sequence[float], steps: int, networks: int) -> None:
    click.echo(f"{'g':>5} {'mean field':>11} {'1/N -> 0':>10} {'error':>8} {'off by':>8}")
    for gain in gains or GAINS:
        exact = mean_field(gain)
        value, error = extrapolated(gain, steps, networks)
        click.echo(f"{gain:>5g} {exact:>11.6f} {value:>10.5f} {error:>8.5f} {(value - exact) / error:>6.1f} s")


# Coverage


def henon(x: Tensor, u: Tensor) -> Tensor:
    return torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1)


class Lorenz(System):
    """With its Jacobian in closed form, which takes a third of the time."""

    kind, n_state, name = Kind.FLOW, 3, "Lorenz"
    LINEAR = torch.tensor([[-10.0, 10.0, 0.0], [28.0, -1.0, 0.0], [0.0, 0.0, -8 / 3]], dtype=torch.float64)

    def velocity(self, x: Tensor, u: Tensor) -> Tensor:
        F = x @ self.LINEAR.T
        F[:, 1] -= x[:, 0] * x[:, 2]
        F[:, 2] += x[:, 0] * x[:, 1]
        return F

    def jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        J = self.LINEAR.repeat(len(x), 1, 1)
        J[:, 1, 0] -= x[:, 2]
        J[:, 1, 2] -= x[:, 0]
        J[:, 2, 0] += x[:, 1]
        J[:, 2, 1] += x[:, 0]
        return J


def henon_step(x: Array, v: Array) -> tuple[Array, Array]:
    return (
        np.stack([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]),
        np.stack([-2.8 * x[0] * v[0] + v[1], 0.3 * v[0]]),
    )


def lorenz_step(x: Array, v: Array, h: float = 0.01) -> tuple[Array, Array]:
    """By the classical Runge-Kutta method, which is another than that of the library."""

    def slope(y: Array) -> Array:
        a, b, c, da, db, dc = y
        F = [10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c]
        return np.stack([*F, 10 * (db - da), da * (28 - c) - a * dc - db, da * b + a * db - 8 / 3 * dc])

    y = np.concatenate([x, v])
    k1 = slope(y)
    k2 = slope(y + h / 2 * k1)
    k3 = slope(y + h / 2 * k2)
    y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3))
    return y[:3], y[3:]


def network_step(W: Array) -> Step:
    def step(x: Array, v: Array) -> tuple[Array, Array]:
        rates = np.tanh(x)
        return W @ rates, W @ ((1 - rates**2) * v)

    return step


def long_run(step: Step, x: Array, steps: int, length: float = 1.0) -> tuple[float, float, Array]:
    """The first exponent of many trajectories (n, B) at once, with its standard error over them, and where they end.

    So many steps come before it that trajectories have left the slow spirals about the equilibria of Lorenz's system.
    """
    v = np.random.default_rng(0).standard_normal(x.shape)
    total = np.zeros(x.shape[1])
    for t in range(steps + BEFORE):
        x, v = step(x, v)
        size = np.linalg.norm(v, axis=0)
        v = v / size
        if t >= BEFORE:
            total += np.log(size)
    rates = total / steps / length
    return float(rates.mean()), float(rates.std(ddof=1) / np.sqrt(len(rates))), x


def covered(name: str, system: System, truth: tuple[float, float, Array], steps: int, runs: int) -> None:
    """Runs of one trajectory each, from where the long run came to."""
    inside, widths, verdicts = 0, [], 0
    for seed in range(runs):
        found = lyapunov_exponents(
            system, 1, starts=truth[2][:, [seed]].T, seed=seed, steps=steps, burn_in=BURN_IN, workers=1
        )
        low, high = found.interval[0]
        inside += bool(low <= truth[0] <= high)
        widths.append(found.half_width[0])
        verdicts += found.verdict == "converged"
    click.echo(
        f"{name}: {inside} of {runs} intervals hold {truth[0]:.5f} +- {truth[1]:.5f}; half width "
        f"{np.mean(widths):.2g} in the mean; {verdicts} converged"
    )


def coverage(runs: int) -> None:
    rng, W = np.random.default_rng(7), weights(100, GAIN, 5)
    truth = long_run(henon_step, rng.uniform(-0.1, 0.1, (2, 1000)), 40_000)
    covered("Henon, 4000 steps", Map(henon, n_state=2), truth, 4000, runs)
    truth = long_run(network_step(W), rng.standard_normal((100, 200)), 15_000)
    covered("network of 100 units, 2000 steps", LeakyRateMap(W, alpha=1.0), truth, 2000, runs)
    truth = long_run(lorenz_step, rng.standard_normal((3, 1000)) + 1, 20_000, 0.01)
    covered("Lorenz, 600 steps of 0.1", Lorenz(), truth, 600, runs)


@click.command()
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1), help="Of each timing; the least counts."
)
@click.option("--mean-field", "field", is_flag=True, help="First exponents by extrapolation in 1/N: some minutes.")
@click.option("--steps", default=1000, show_default=True, type=click.IntRange(100), help="Of each network of those.")
@click.option("--gain", "gains", multiple=True, type=float, help="g of those, once for each; nine of them by default.")
@click.option("--networks", default=8, show_default=True, type=click.IntRange(2), help="Of each size of those.")
@click.option("--runs", default=100, show_default=True, type=click.IntRange(1), help="Whose intervals are looked at.")
@click.option("--coverage", "intervals", is_flag=True, help="How many of 100 intervals hold: some minutes.")
def main(
    repeats: int, field: bool, gains: tuple[float, ...], steps: int, networks: int, intervals: bool, runs: int
) -> None:
    """Seconds of Lyapunov exponents; with a flag, their values or their intervals instead."""
    torch.set_num_threads(1)
    if field:
        against_mean_field(gains, steps, networks)
    if intervals:
        coverage(runs)
    if not (field or intervals):
        speed(repeats)


if __name__ == "__main__":
    main()
