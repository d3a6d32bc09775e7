"""Milliseconds per training step on associative retrieval: fast weights in four forms, and an LSTM of equal size.

python benchmarks/training_step.py --units 20,50,100

One step is the loss of a batch, its gradient, clipping and Adam, on one thread. "attention" is what trains
(``dynsys.models.fast_weights.attention``, one autograd node); "by autograd" is the same sum left to autograd;
"explicit A" forms the matrix; "arithmetic" is what the step's operations would take at the rate of a matrix product of
its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.models.training.retrieval import RetrievalLesson

BATCH, CLIP, RATE = 128, 5.0, 1e-3


class ByAutograd(FastWeightsNetwork):
    """The attention form, every operation a node of autograd."""

    def states(self, characters: Tensor) -> Tensor:
        driven = functional.embedding(characters.T, self.C(self.embedding.weight))
        T, B, R = driven.shape
        h, past, weights = driven.new_zeros(B, R), driven.new_zeros(0, B, R), self.config.constants.weights(T, driven)
        for t in range(T):
            z = driven[t] + h @ self.W.T
            h = torch.relu(self.normalised(z))
            for _ in range(self.config.inner if t else 0):
                attention = weights[T - t :] * (past * h).sum(2, keepdim=True)
                h = torch.relu(self.normalised(z + (attention * past).sum(0)))
            past = torch.cat([past, h.unsqueeze(0)])
        return past

    def normalised(self, a: Tensor) -> Tensor:
        return functional.layer_norm(a, a.shape[-1:], self.gain, self.shift)


class ExplicitMatrix(ByAutograd):
    """The equations as they stand in the paper: A_t = lambda A_{t-1} + eta h h^T."""

    def states(self, characters: Tensor) -> Tensor:
        driven = functional.embedding(characters.T, self.C(self.embedding.weight))
        T, B, R = driven.shape
        h, A, states = driven.new_zeros(B, R), driven.new_zeros(B, R, R), []
        for t in range(T):
            z = driven[t] + h @ self.W.T
            h = torch.relu(self.normalised(z))
            for _ in range(self.config.inner if t else 0):
                h = torch.relu(self.normalised(z + torch.bmm(A, h.unsqueeze(2)).squeeze(2)))
            A = self.config.decay * A + self.config.rate * h.unsqueeze(2) * h.unsqueeze(1)
            states.append(h)
        return torch.stack(states)


def networks(units: int, inner: int) -> dict[str, nn.Module]:
    """What is compared, by the name of its column."""
    config = FastWeightsConfig(units, inner)
    fast = {"attention": FastWeightsNetwork, "by autograd": ByAutograd, "explicit A": ExplicitMatrix}
    return {**{name: kind(config) for name, kind in fast.items()}, "nn.LSTM": StringNetwork("lstm", units)}


def step_of(network: nn.Module, lesson: RetrievalLesson) -> Callable[[], None]:
    """One step of training, always on the same batch."""
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)

    def step() -> None:
        loss = lesson.loss(network, 0)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()

    return step


def milliseconds(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """The least of some repeats of each, taken in turns: what else the machine does can only add."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def operations(config: FastWeightsConfig, length: int) -> float:
    """Floating-point operations of a step: two per product and sum, and twice as many back as forth."""
    R, E, H = config.units, config.embedding, config.hidden
    recurrent = 2 * BATCH * length * R**2
    attended = 4 * BATCH * R * config.inner * length * (length - 1) / 2
    read = 2 * BATCH * (R * H + H * 10)
    return 3 * (recurrent + attended + read + 2 * 37 * E * R)


def rate(units: int, repeats: int) -> float:
    """Floating-point operations in a millisecond of a (batch, units) by (units, units) product in single precision."""
    h, W = torch.randn(BATCH, units), torch.randn(units, units)
    return 2 * BATCH * units**2 / milliseconds({"": lambda: [h @ W for _ in range(20)] and None}, repeats)[""] * 20


@click.command()
@click.option("--units", default="20,50,100", help="Sizes, like 20,50,100.")
@click.option("--inner", default="1,5", help="Inner steps S, like 1,5.")
@click.option("--repeats", default=100, help="Steps of each, of which the fastest counts.")
def main(units: str, inner: str, repeats: int) -> None:
    task = Retrieval()
    lesson = RetrievalLesson(task.sets(0, train=BATCH), BATCH)
    click.echo(f"batch {BATCH}, milliseconds per step")
    click.echo("| units | S | attention | by autograd | explicit A | nn.LSTM | arithmetic |")
    click.echo("|---|---|---|---|---|---|---|")
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for R in map(int, units.split(",")):
            for S in map(int, inner.split(",")):
                best = milliseconds({name: step_of(net, lesson) for name, net in networks(R, S).items()}, repeats)
                floor = operations(FastWeightsConfig(R, S), task.length) / rate(R, repeats)
                told = [f"{best[name]:.1f} ({best[name] / best['attention']:.2f}x)" for name in list(best)[1:]]
                click.echo(f"| {R} | {S} | {best['attention']:.1f} | {' | '.join(told)} | {floor:.1f} |")


if __name__ == "__main__":
    main()
