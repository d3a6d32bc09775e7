"""Networks to files and back: our own checkpoints, and the weights of other tools recognised by their names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dynsys.errors import CheckpointError
from dynsys.files import Arrays, file_error, read_header, read_tensors, write_tensors
from dynsys.models.arrays import read_arrays
from dynsys.models.registry import MODELS, TASKS
from dynsys.system import System

SCHEMA = "dynsys.checkpoint/1"
FILE_NAME = "checkpoint.safetensors"


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


def load(path: str | Path) -> System:
    """The system in a checkpoint: ours, a run's folder, or a .safetensors, .npz, .mat, .pt file of named weights.

    The name of a model that needs no training (``simple2d``, ``bistable``) stands for that model. Loading never runs
    code from the file. Raises CheckpointError, which says what is wrong with the file and what to do.
    """
    path = Path(path)
    if str(path) in MODELS and not path.exists():
        return _example(str(path))
    return _restore(*read_checkpoint(path))


def read_checkpoint(path: str | Path) -> tuple[Path, Arrays, dict[str, Any]]:
    """The file itself (inside a run's folder), its arrays and its header; a header is made up for foreign files."""
    path = Path(path)
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise CheckpointError(path, f"the folder has no {FILE_NAME} in it", "name a checkpoint, or train into it")
        path = path / FILE_NAME
    error = file_error(path)
    if error is not None:
        raise error
    if read_header(path) is not None:
        return path, *read_tensors(path, SCHEMA)
    arrays, settings = read_arrays(path)
    return path, arrays, {"model": _recognised(path, arrays), "hyperparameters": settings, "task": None, "about": {}}


def describe_checkpoint(path: str | Path) -> dict[str, Any]:
    """What ``dynsys info`` tells: the network, its sizes, its task, its scores, and how it was recognised."""
    if str(path) in MODELS and not Path(path).exists():
        header: dict[str, Any] = {}
        system, why = _example(str(path)), "the name of a model that needs no training"
    else:
        file, arrays, header = read_checkpoint(path)
        system = _restore(file, arrays, header)
        ours = "schema" in header
        why = f"written by dynsys {header['version']}" if ours else f"by its arrays {', '.join(sorted(arrays))}"
    about = header.get("about")
    return {
        "model": system.name,
        "kind": str(system.kind),
        "units": system.n_state,
        "inputs": system.n_input,
        "outputs": system.n_output,
        "time constant": system.time_constant,
        "settings": header.get("hyperparameters", {}),
        "task": header.get("task") or "none known",
        "metrics": about.get("metrics", {}) if isinstance(about, dict) else {},
        "recognised": why,
    }


def _example(name: str) -> System:
    if MODELS[name].from_arrays is not None:
        known = ", ".join(key for key, model in MODELS.items() if model.from_arrays is None)
        raise CheckpointError(name, "this network has to be trained", f"name its checkpoint, or one of {known}")
    return MODELS[name].example()


def _recognised(path: Path, arrays: Arrays) -> str:
    for name, model in MODELS.items():
        if model.weights and set(model.weights) <= set(arrays):
            return name
    held = ", ".join(sorted(arrays)[:8]) or "nothing"
    legal = "; ".join(f"{', '.join(model.weights)} for {name}" for name, model in MODELS.items() if model.weights)
    raise CheckpointError(path, f"no known network: it holds {held}", f"dynsys looks for the arrays {legal}")


def _restore(path: Path, arrays: Arrays, header: dict[str, Any]) -> System:
    model = MODELS.get(str(header.get("model")))
    if model is None or model.from_arrays is None:
        known = ", ".join(name for name, m in MODELS.items() if m.from_arrays is not None)
        raise CheckpointError(path, f"its model is {header.get('model')!r}", f"this version knows {known}")
    weights = {key: arrays[key] for key in model.weights if key in arrays}
    try:
        return model.from_arrays(weights, header["hyperparameters"], _task(header.get("task")))
    except KeyError as error:
        raise CheckpointError(path, f"it lacks {error}", "train again, or mend the file") from error
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
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
