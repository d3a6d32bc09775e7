"""A survey of many networks: seconds of the whole command, and whether one that is killed comes to the same table.

Each network has units of tanh, two to four memories and a random part besides. The second survey is ended by SIGKILL
when a third of its rows are there, and goes on with the same command.

python benchmarks/survey.py [--networks 300] [--units 64] [--jobs 2]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np


def make(folder: Path, networks: int, units: int) -> None:
    for i in range(networks):
        rng = np.random.default_rng(i)
        memories = rng.standard_normal((units, 1 + i % 2))
        W = 1.5 * memories @ memories.T / units + 0.3 * rng.standard_normal((units, units)) / units**0.5
        np.savez(folder / f"net{i:04}.npz", W=W, W_out=rng.standard_normal((2, units)))


def command(nets: Path, out: Path, jobs: int) -> list[str]:
    form = ["--form", "rnn", "--matrix", "recurrent=W", "--matrix", "readout=W_out"]
    return [sys.executable, "-m", "dynsys", "survey", str(nets), "-o", str(out), *form, "--jobs", str(jobs)]


def whole(nets: Path, out: Path, jobs: int) -> tuple[float, float]:
    """Seconds by the clock, and of CPU with its workers."""
    began = time.monotonic()
    process = subprocess.Popen(command(nets, out, jobs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the survey ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def killed(nets: Path, out: Path, jobs: int, after: int) -> int:
    """The rows that are there when the command is killed."""
    process = subprocess.Popen(
        command(nets, out, jobs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    rows = out / "rows.jsonl"
    while process.poll() is None and (not rows.is_file() or rows.read_text().count("\n") < after):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return rows.read_text().count("\n")


@click.command()
@click.option("--networks", default=300)
@click.option("--units", default=64)
@click.option("--jobs", default=2)
def main(networks: int, units: int, jobs: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        nets, first, second = (Path(place) / name for name in ("nets", "first", "second"))
        nets.mkdir()
        make(nets, networks, units)
        seconds, cpu = whole(nets, first, jobs)
        there = killed(nets, second, jobs, networks // 3)
        whole(nets, second, jobs)
        same = (first / "table.csv").read_bytes() == (second / "table.csv").read_bytes()
        print(f"{networks} networks of {units} units, {jobs} jobs: {seconds:.0f} s, {cpu:.0f} CPU s")
        print(f"killed after {there} rows and resumed: the table is {'the same' if same else 'another'}")


if __name__ == "__main__":
    main()
