"""Work for sweeps in other processes: it counts its tries, and does to its process what it is told."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from dynsys.sweep import Task


def tries(folder, name):
    """How often the task of that name was begun."""
    file = Path(folder) / name
    return len(file.read_text().splitlines()) if file.is_file() else 0


def work(arguments, seed):
    before = tries(arguments["folder"], arguments["name"])
    with open(Path(arguments["folder"]) / arguments["name"], "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(arguments.get("seconds", 0.0))
    end = arguments.get("end")
    if end == "raise":
        raise ArithmeticError(f"{arguments['name']} cannot be done")
    if end == "exit" or (end == "exit once" and before == 0):
        os._exit(7)
    if end == "kill" or (end == "kill once" and before == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    threads = {pool["num_threads"] for pool in threadpool_info()}
    draw = np.random.default_rng(seed).normal(size=(150, 150))
    return {
        "determinant": np.linalg.slogdet(draw @ draw)[1],  # its last bits depend on the order of the sums
        "name": arguments["name"],
        "threads": sorted(threads),
    }


def tasks(folder, count, ends=None, seconds=0.0):
    """``count`` tasks named by number; ``ends`` tells what some of them do to their process."""
    names = [f"task-{i}" for i in range(count)]
    return [
        Task(name, {"folder": str(folder), "name": name, "end": (ends or {}).get(i), "seconds": seconds})
        for i, name in enumerate(names)
    ]


def alike(rows):
    """The rows without what may differ between two runs."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
