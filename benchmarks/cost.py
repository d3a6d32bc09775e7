"""What a search costs against starts and against units, and how much of what the machine can do it gets out of it.

python benchmarks/cost.py -o docs/cost.png

The networks are x' = tanh(W x) with three bistable blocks and a random part in W: 27 fixed points, or nearly, at any
size. Of checkpoints as for benchmarks/peers.py the cost against starts is measured as well.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import plotly.graph_objects as go
import torch
from operations import Machine, Operation, Tally, counted
from plotly.subplots import make_subplots
from recurrent import Array, noisy_starts
from threadpoolctl import threadpool_limits
from torch import nn

import dynsys
from dynsys.plots import save_picture, style
from dynsys.systems.system import System

NOISE = 0.5


@dataclass(frozen=True)
class Cost:
    """One search: its size, its points, its CPU seconds, and the seconds that the counted operations need."""

    name: str
    units: int
    starts: int
    points: int
    seconds: float
    flops32: float
    flops64: float
    at_peak: float  # were all as fast as a large product of matrices
    attainable: float  # products at that rate, factorisations and eigenvalues as fast as they go alone

    def row(self) -> str:
        return (
            f"{self.name:10} {self.units:5} {self.starts:6} {self.points:6} {self.seconds:8.3f} "
            f"{self.flops32 / 1e9:11.2f} {self.flops64 / 1e9:11.2f} {self.at_peak / self.seconds:8.0%} "
            f"{self.attainable / self.seconds:10.0%}"
        )


HEADER = "network    units starts points    CPU s  Gflop in 32  Gflop in 64  of peak  attainable"


def planted(units: int, folder: Path, seed: int = 0, gain: float = 2.0, randomness: float = 0.5) -> Path:
    """The state dict of a tanh network in which three blocks of units each hold one bit, W_ij = gain / block, plus
    random weights of standard deviation randomness / sqrt(units).
    """
    generator = torch.Generator().manual_seed(seed)
    network = nn.ModuleDict({"rnn": nn.RNN(3, units, batch_first=True)})
    block = torch.arange(units) % 3
    same = (block[:, None] == block[None]).float()
    W = gain * same / same.sum(dim=1, keepdim=True)
    W += randomness / units**0.5 * torch.randn(units, units, generator=generator)
    state = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
    state["rnn.weight_hh_l0"], state["rnn.weight_ih_l0"] = W, nn.functional.one_hot(block, 3).float()
    torch.save(state, folder / f"tanh{units}.pt")
    return folder / f"tanh{units}.pt"


def planted_starts(units: int, n: int, seed: int = 0) -> Array:
    """States in which each block is on, off or between, plus noise."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(-1, 2, size=(n, 3))
    return 0.95 * bits[:, np.arange(units) % 3] + NOISE * rng.standard_normal((n, units))


def search(system: System, starts: Array) -> dynsys.FixedPoints:
    """As a user gets it: every eigenvalue up to 256 units, the leading ones above."""
    return dynsys.find_fixed_points(system, starts=starts, workers=1, verify=False)


def cost(name: str, system: System, starts: Array, machine: Machine, repeats: int) -> tuple[Cost, Tally]:
    """The fastest of some runs, and what one more of them counts."""
    seconds = []
    for _ in range(repeats):
        before = time.process_time()
        points = search(system, starts)
        seconds.append(time.process_time() - before)
    with counted() as tally:
        search(system, starts)
    found = int((points.verdict == "fixed").sum())
    flops = tally.flops(torch.float32), tally.flops(torch.float64)
    limits = machine.at_peak(tally), machine.seconds(tally)
    return Cost(name, system.n_state, len(starts), found, min(seconds), *flops, *limits), tally


def largest(tally: Tally, machine: Machine, shown: int = 6) -> list[str]:
    """The operations that need most time even when each goes as fast as it can."""

    def limit(item: Operation) -> float:
        return machine.seconds(Tally({item: tally.entries[item]}))

    seconds = sorted(((limit(item), item) for item in tally.entries), key=lambda pair: -pair[0])
    return [
        f"    {spent:8.3f} s  {item.name} {'x'.join(map(str, item.shape)) if any(item.shape) else ''} "
        f"{str(item.dtype).removeprefix('torch.')}, {tally.entries[item].times} times"
        for spent, item in seconds[:shown]
    ]


def measured(cases: list[tuple[str, System, Array]], machine: Machine, repeats: int, parts: bool) -> list[Cost]:
    """The cost of each case, printed as it comes."""
    found = []
    search(cases[0][1], cases[0][2])
    for name, system, starts in cases:
        result, tally = cost(name, system, starts, machine, repeats)
        print(result.row(), flush=True)
        if tally.unknown:
            print(f"    not counted: {', '.join(sorted(tally.unknown))}")
        if parts:
            print("\n".join(largest(tally, machine)), flush=True)
        found.append(result)
    return found


def usual(costs: list[Cost]) -> Cost:
    """That of 1024 starts, or else the first: what the others are compared with."""
    return next((c for c in costs if c.starts == 1024), costs[0])


def figure(against_starts: dict[str, list[Cost]], against_units: list[Cost]) -> go.Figure:
    """Seconds against starts, seconds against units, and the shares of what the machine can do."""
    picture = make_subplots(rows=1, cols=3, horizontal_spacing=0.09)
    colours = [style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.BROWN]

    def line(x: list[int], y: list[float], name: str, colour: str, col: int, dash: str = "solid") -> None:
        mark = {"size": 8, "color": colour}
        trace = go.Scatter(x=x, y=y, name=name, mode="lines+markers", marker=mark, line={"color": colour, "dash": dash})
        picture.add_trace(trace, 1, col)

    for colour, (name, costs) in zip(colours, against_starts.items(), strict=False):
        one = usual(costs).seconds
        line([c.starts for c in costs], [c.seconds / one for c in costs], f"{name}, against starts", colour, 1)
    units = [c.units for c in against_units]
    line(units, [c.seconds for c in against_units], "CPU seconds, against units", style.INK, 2)
    line(units, [c.attainable for c in against_units], "needed for the counted operations", style.GREY, 2, "dash")
    line(units, [c.attainable / c.seconds for c in against_units], "share of what is attainable", style.RED, 3)
    line(
        units, [c.at_peak / c.seconds for c in against_units], "share of the peak of a product", style.BROWN, 3, "dash"
    )
    shown = usual(next(iter(against_starts.values()))).starts
    log, share = {"type": "log", "dtick": 1}, {"range": [0, 1.05], "tickformat": ".0%"}
    axes: list[tuple[str, str, dict[str, Any]]] = [
        ("starts", f"CPU seconds, over those of {shown:,} starts", {"rangemode": "tozero"}),
        ("units", "CPU seconds", log),
        ("units", "share of what the machine can do", share),
    ]
    for col, (x, y, settings) in enumerate(axes, 1):
        picture.update_xaxes(style.axis(x, type="log", dtick=np.log10(4)), row=1, col=col)
        picture.update_yaxes(style.axis(y, **settings), row=1, col=col)
    starts = against_units[0].starts
    caption = (
        "One thread. Every eigenvalue of each point up to 256 units, the leading ones above. "
        f"Middle and right: {starts:,} starts; counted are products and factorisations.<br>"
        "Attainable: products at the rate of a large one, "
        "factorisations and eigenvalues at the rate at which they go alone, at their size."
    )
    return style.dressed(
        picture,
        "What a search costs",
        caption,
        below=62,
        margin={"l": 80, "r": 30, "t": 130, "b": 120},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.03, "yanchor": "bottom"},
    )


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


@click.command()
@click.option("--starts", default="64,128,256,512,1024,2048,4096,8192", show_default=True, help="With commas.")
@click.option("--units", default="16,32,64,128,256,512,1024", show_default=True, help="With commas.")
@click.option("--units-of-starts", default=128, show_default=True, help="Units at which the starts are varied.")
@click.option("--starts-of-units", default=1024, show_default=True, help="Starts with which the units are varied.")
@click.option("--checkpoints", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of NAME.pt.")
@click.option("--networks", default="lstm16,gru16,gru128", show_default=True, help="Of that folder, with commas.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each, of which the fastest counts.")
@click.option("--parts", is_flag=True, help="Print the dearest operations of each search.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Draw the costs into this PNG.")
def main(
    starts: str,
    units: str,
    units_of_starts: int,
    starts_of_units: int,
    checkpoints: Path | None,
    networks: str,
    repeats: int,
    parts: bool,
    output: Path | None,
) -> None:
    """Print one line for each search, all with one thread, and draw them."""
    torch.set_num_threads(1)
    machine = Machine()
    with threadpool_limits(1), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for bits in (32, 64):
            peak = machine.peak(getattr(torch, f"float{bits}"))
            print(f"peak of one thread in float{bits}: {peak / 1e9:.1f} Gflop/s, products of {machine.gemm_size}")
        print(HEADER)
        against_starts, counts = {}, numbers(starts)
        fixed = dynsys.load(planted(units_of_starts, folder))
        cases = [(f"tanh{units_of_starts}", fixed, planted_starts(units_of_starts, n)) for n in counts]
        against_starts[cases[0][0]] = measured(cases, machine, repeats, parts)
        for network in networks.split(",") if checkpoints else []:
            checkpoint = Path(checkpoints or "", f"{network}.pt")
            system, states = dynsys.load(checkpoint), checkpoint.with_name(f"{network}_trajectories.npz")
            cases = [(network, system, noisy_starts(states, n, NOISE, seed=0)) for n in counts]
            against_starts[network] = measured(cases, machine, repeats, parts)
        for network, costs in against_starts.items():
            first, last = usual(costs), costs[-1]
            print(f"{network}: {last.starts} starts cost {last.seconds / first.seconds:.2f} times {first.starts}")
        cases = [
            (f"tanh{n}", dynsys.load(planted(n, folder)), planted_starts(n, starts_of_units)) for n in numbers(units)
        ]
        against_units = measured(cases, machine, repeats, parts)
    if output:
        print(save_picture(figure(against_starts, against_units), output, width=1500, height=620))


if __name__ == "__main__":
    main()
