"""How fast the door opens: CPU seconds of whole commands on a small checkpoint, as a ratio to importing torch.

Processes alternate, so that what else the machine does falls on all of them alike.

python benchmarks/opening.py [--rounds 7]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click
import torch


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of a process and its children, which has to succeed."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def small_checkpoint(path: Path, units: int = 16) -> None:
    """A tanh network that keeps two patterns and their opposites, with a readout, as torch leaves it on disk."""
    torch.manual_seed(0)
    cell, out = torch.nn.RNN(3, units), torch.nn.Linear(units, 3)
    patterns = torch.randint(0, 2, (2, units)) * 2.0 - 1.0
    state = cell.state_dict()
    state["weight_hh_l0"] = 2.0 / units * patterns.T @ patterns
    state["bias_ih_l0"] = state["bias_hh_l0"] = torch.zeros(units)
    torch.save({**{f"rnn.{k}": v for k, v in state.items()}, "out.weight": out.weight, "out.bias": out.bias}, path)


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each command is run; the median counts.")
def main(rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_checkpoint(folder / "net.pt")
        verb = [sys.executable, "-m", "dynsys"]
        found = [*verb, "find", str(folder / "net.pt"), "-o", str(folder / "run")]
        subprocess.run(found, check=True, capture_output=True)
        commands = {
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "dynsys --help": [*verb, "--help"],
            "dynsys info": [*verb, "info", str(folder / "net.pt")],
            "dynsys find": found,
            "dynsys portrait": [*verb, "portrait", str(folder / "run"), "-o", str(folder / "page.html")],
        }
        times: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(rounds):
            for label, command in commands.items():
                times[label].append(cpu_seconds(command))
        base = median(times["python -c 'import torch'"])
        click.echo(f"{'command':<26}{'CPU s':>8}{'ratio':>8}")
        for label, each in times.items():
            click.echo(f"{label:<26}{median(each):8.2f}{median(each) / base:8.2f}")


if __name__ == "__main__":
    main()
