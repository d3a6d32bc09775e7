"""Networks to files and back: our own checkpoints, and the weights of other tools recognised by their names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dynsys.io.errors import CheckpointError
from dynsys.io.files import HEADER, Arrays, file_error, first_bytes, read_tensors, write_tensors
from dynsys.models.loading.choices import Choices, Recognised
from dynsys.models.loading.contents import read_arrays
from dynsys.models.loading.made import system_of
from dynsys.models.loading.recognition.equations import equation
from dynsys.models.loading.recognition.recognise import recognise
from dynsys.models.loading.run_folder import network_of, note_of
from dynsys.models.loading.snapshot import checkpoint_of, is_snapshot, read_snapshot
from dynsys.models.recurrent.stack import Stack
from dynsys.models.registry import MODELS, TASKS
from dynsys.systems.system import System
from dynsys.trajectories.recorded import remembering

SCHEMA = "dynsys.checkpoint/1"


def save_checkpoint(path: str | Path, system: Any, about: dict[str, Any] | None = None) -> Path:
    """Write a network of ``MODELS``; ``about`` (metrics, recipe) is kept beside it. Raises OutputError."""
    task = getattr(system, "task", None)
    header = {
        "schema": SCHEMA,
        "model": system.name,
        "hyperparameters": system.settings(),
        "task": None if task is None else {"name": _task_name(task), **dataclasses.asdict(task)},
        "about": about or {},
    }
    return write_tensors(path, system.arrays(), header)


def load(path: str | Path, **choices: Any) -> System:
    """The system in a checkpoint: ours, a run's folder, or a .safetensors, .npz, .mat, .pt file of named weights.

    ``choices`` are the fields of ``Choices``: what a file of another tool does not say itself, such as
    ``activation="relu"`` or ``part="encoder"``. The name of a model that needs no training (``simple2d``,
    ``bistable``) stands for that model. Loading never runs code from the file. Raises CheckpointError, which says what
    is wrong with the file and what to do, and ValueError for a choice that there is not.
    """
    return load_and_tell(path, **choices)[0]


def load_and_tell(path: str | Path, **choices: Any) -> tuple[System, Recognised | None]:
    """As ``load``, with how the network was recognised where the file is another tool's.

    The network of a run's folder takes its starts from the trials that the folder keeps, where it keeps any.
    """
    folder = Path(path)
    path, choices = _located(folder, choices)
    chosen = _choices(choices)
    if _is_example(path):
        chosen.refuse(path, tuple(chosen.given()), "it is no file")
        return _example(str(path)), None
    file, arrays, header = read_checkpoint(path, chosen)
    system = remembering(_restore(file, arrays, header), folder)
    system.read_from = note_of(file, chosen.given())
    return system, header.get("found")


def _located(path: Path, choices: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Of a run's folder the network that it is about, with the choices with which it was loaded, others on top."""
    located = network_of(path) if path.is_dir() else None
    return (path, choices) if located is None else (located.path, {**located.loading, **choices})


def _is_example(path: Path) -> bool:
    return str(path) in MODELS and not path.exists()


def _choices(given: dict[str, Any]) -> Choices:
    legal = [field.name for field in dataclasses.fields(Choices)]
    unknown = [name for name in given if name not in legal]
    if unknown:
        raise ValueError(f"load knows no choice {unknown[0]!r}; it knows {', '.join(legal)}")
    return Choices(**given)


def read_checkpoint(path: str | Path, choices: Choices | None = None) -> tuple[Path, Arrays, dict[str, Any]]:
    """The file itself (inside a run's folder), its arrays and its header; a header is made up for foreign files."""
    path, given = _located(Path(path), {} if choices is None else choices.given())
    choices = Choices(**given)
    error = None if path.is_dir() else file_error(path)
    if error is not None:
        raise error
    if _is_ours(path):
        choices.refuse(path, tuple(choices.given()), "dynsys wrote it, and it says itself what it holds")
        return path, *(_of_snapshot(path) if is_snapshot(path) else read_tensors(path, SCHEMA))
    found = recognise(path, read_arrays(path), choices)
    header = {"model": found.model, "hyperparameters": found.settings, "task": None, "about": {}, "found": found}
    return path, found.arrays, header


def _of_snapshot(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Of a snapshot of a training the arrays and header of its network; the scores at the end are not those of then."""
    whole, header = read_tensors(checkpoint_of(path), SCHEMA)
    step, arrays = read_snapshot(path, whole)
    about = {key: value for key, value in (header.get("about") or {}).items() if key == "recipe"}
    return {**whole, **arrays}, {**header, "about": {**about, "step": step}}


def _is_ours(path: Path) -> bool:
    """Whether it is a safetensors file with a header of ours, be that as broken as it may."""
    from safetensors import SafetensorError, safe_open

    head = b"" if path.is_dir() else first_bytes(path)
    if head[8:9] != b"{" or b"\x00" not in head[:8]:  # the length of its header; JSON has no zero bytes
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            return HEADER in (file.metadata() or {})
    except (SafetensorError, ValueError, TypeError, OSError, RecursionError):
        return True  # for the reader of our own files to say what is wrong


def describe_checkpoint(path: str | Path, **choices: Any) -> dict[str, Any]:
    """What ``dynsys info`` tells: the network, its equation and sizes, how it was recognised, what was assumed."""
    path, choices = _located(Path(path), choices)
    chosen = _choices(choices)
    header: dict[str, Any] = {}
    if _is_example(path):
        system, why = load(path, **choices), ["the name of a model that needs no training"]
    else:
        file, arrays, header = read_checkpoint(path, chosen)
        system = _restore(file, arrays, header)
        why = [f"written by dynsys {header.get('version')}"]
        if isinstance(header.get("about"), dict) and "step" in header["about"]:
            why.append(f"a snapshot of the training, at step {header['about']['step']}")
    found, about = header.get("found"), header.get("about")
    settings = header.get("hyperparameters", {})
    return {
        "model": system.name,
        "equation": equation(str(header.get("model", system.name)), settings) or "-",
        "kind": str(system.kind),
        "state variables": system.n_state,
        "state": {name: part.stop - part.start for name, part in system.state_parts.items()}
        if isinstance(system, Stack)
        else {"x": system.n_state},
        "inputs": system.n_input,
        "outputs": system.n_output,
        "time constant": system.time_constant,
        "settings": settings,
        "task": header.get("task") or "none known",
        "metrics": about.get("metrics", {}) if isinstance(about, dict) else {},
        "recognised": list(found.why) if found else why,
        "assumed": list(found.assumed) if found else [],
        "unused": list(found.unused) if found else [],
    }


def _example(name: str) -> System:
    if MODELS[name].from_arrays is not None:
        known = ", ".join(key for key, model in MODELS.items() if model.from_arrays is None)
        raise CheckpointError(name, "this network has to be trained", f"name its checkpoint, or one of {known}")
    return MODELS[name].example()


def _restore(path: Path, arrays: Arrays, header: dict[str, Any]) -> System:
    found = header.get("found")
    if found is not None:
        system = system_of(path, found)
        system.assumed, system.unread = found.assumed, found.unused
        return system
    model = MODELS.get(str(header.get("model")))
    if model is None or model.from_arrays is None:
        known = ", ".join(name for name, m in MODELS.items() if m.from_arrays is not None)
        raise CheckpointError(path, f"its model is {header.get('model')!r}", f"this version knows {known}")
    try:
        return model.from_arrays(arrays, header["hyperparameters"], _task(header.get("task")))
    except KeyError as error:
        raise CheckpointError(path, f"it lacks {error}", "train again, or mend the file") from error
    except (ValueError, TypeError, AttributeError, RuntimeError, OverflowError, IndexError) as error:
        raise CheckpointError(path, str(error), "train again, or mend the file") from error


def _task_name(task: Any) -> str:
    return next(name for name, kind in TASKS.items() if type(task) is kind)


def _task(settings: dict[str, Any] | None) -> Any:
    if settings is None:
        return None
    values = dict(settings)
    name = values.pop("name")
    if name not in TASKS:
        raise ValueError(f"its task is {name!r}; this version knows {', '.join(TASKS)}")
    return TASKS[name](**values)
