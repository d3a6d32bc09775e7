"""How many of many hostile and broken pickles get something executed (none may), and how reading them ends.

python benchmarks/fuzz_pickles.py              10,000 files of one seed
python benchmarks/fuzz_pickles.py --seed 1     10,000 others

Executed is whatever Python's audit hook is told of: an import that is none of the reader's own, code that is compiled
or run, a process, a connection, a file opened to write, and every call of a canary module that the files name.
"""

from __future__ import annotations

import ast
import contextlib
import resource
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from hostile_pickles import CANARY, hostile, sound_files

from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import load

READERS = {"h5py", "msgpack", "onnx", "safetensors", "google"}  # what readers of other formats import when one is met
RUN = ("exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pty.spawn")
RUN += ("pickle.find_class", "os.mkdir", "os.remove", "os.rename", "shutil.rmtree", "ctypes.dlopen", "webbrowser.open")
LITERALS = "<unknown>"  # what ast.literal_eval, by which NumPy reads its headers, gives for a file name


@dataclass
class Watch:
    """What was executed since the watch began; ``own`` is the folder in which the reader itself may write."""

    own: str
    seen: Counter[str] = field(default_factory=Counter)
    on: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and self.harmful(event, arguments):
            self.seen[f"{event} {str(arguments)[:100]}"] += 1

    def harmful(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "import":
            return str(arguments[0]).split(".")[0] not in READERS
        if event == "compile":
            return arguments[1] != LITERALS
        if event == "open":
            writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            return bool(writes) and not self.inside(arguments)
        return event in RUN and not (event == "os.remove" and arguments[1] >= 0) and not self.inside(arguments)

    def inside(self, arguments: tuple[Any, ...]) -> bool:
        return bool(arguments) and str(arguments[0]).startswith(self.own)


def canary(calls: Counter[str]) -> types.ModuleType:
    module = types.ModuleType(CANARY)
    module.sing = lambda *given, **named: calls.update(["canary"])  # type: ignore[attr-defined]
    module.Bird = type("Bird", (), {"__init__": module.sing, "__setstate__": module.sing})  # type: ignore[attr-defined]
    return module


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    watch.on = True
    try:
        yield
    finally:
        watch.on = False


@dataclass
class Tally:
    opened: int = 0
    refused: int = 0
    crashed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def read(path: Path, tally: Tally, watch: Watch) -> None:
    begin = time.perf_counter()
    try:
        with watched(watch):
            load(path)
        tally.opened += 1
    except CheckpointError as error:
        tally.refused += 1
        if not str(error).isprintable():
            tally.crashed["an error that is not to be printed"] += 1
    except Exception as error:
        tally.crashed[repr(error)[:200]] += 1
    tally.slowest = max(tally.slowest, time.perf_counter() - begin)


def fuzzed(files: int, seed: int) -> tuple[Tally, Counter[str]]:
    """Read so many files; what became of them, and what they got executed."""
    rng, tally, sound = np.random.default_rng(seed), Tally(), sound_files()
    with tempfile.TemporaryDirectory() as folder:
        path, mark = Path(folder) / "file", Path(folder) / "mark"
        watch = Watch(own=str(Path(tempfile.gettempdir()) / "tmp"))
        mark = Path(folder).parent / f"mark-{Path(folder).name}"  # not where the reader may write
        sys.modules[CANARY] = canary(watch.seen)
        sys.addaudithook(watch)
        ast.parse("\u00e9")  # what Python itself imports for foreign letters, in a header of NumPy's too
        "\n".encode("unicode_escape")
        for content in sound.values():  # the reader's own imports, which come once
            path.write_bytes(content)
            with contextlib.suppress(CheckpointError):
                load(path)
        for _ in range(files):
            path.write_bytes(hostile(rng, mark, sound))
            read(path, tally, watch)
        watch.seen["a file that was written"] += mark.exists()
    return tally, +watch.seen


@click.command()
@click.option("--files", default=10_000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(files: int, seed: int) -> None:
    tally, executed = fuzzed(files, seed)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"files {files}, opened {tally.opened}, refused {tally.refused}")
    print(f"executed {sum(executed.values())}", *executed.items(), sep="\n  ")
    print(f"crashed {sum(tally.crashed.values())}", *tally.crashed.items(), sep="\n  ")
    print(f"slowest {tally.slowest:.2f} s, memory {memory:.0f} MiB")


if __name__ == "__main__":
    main()
