"""Named arrays and settings out of other tools' files, by a table of formats with a reader for each.

The kind is told by the first bytes, not by the name. Nothing in a file is ever executed. What is nested gets dotted
names: ``state_dict.rnn.weight_hh_l0``, ``params.W``.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dynsys.io.errors import CheckpointError, printable
from dynsys.io.files import Arrays, first_bytes
from dynsys.models.loading.formats.archives import is_torch_zip, unpacked, weights_in_zip, zip_with
from dynsys.models.loading.formats.flax import is_flax, read_flax
from dynsys.models.loading.formats.folders import holds_arrays, holds_safetensors, read_folder, read_only_safetensors
from dynsys.models.loading.formats.hdf5 import is_hdf5, read_hdf5
from dynsys.models.loading.formats.json_weights import is_json, read_json
from dynsys.models.loading.formats.keras import is_keras, read_keras
from dynsys.models.loading.formats.mat4 import is_mat4, read_mat4
from dynsys.models.loading.formats.mat5 import read_mat
from dynsys.models.loading.formats.numpy_files import is_leaves, read_npy, read_npz, read_safetensors
from dynsys.models.loading.formats.onnx import is_onnx, read_onnx
from dynsys.models.loading.formats.unreadable import UNREADABLE
from dynsys.models.loading.pickles.plain import is_pickle, read_pickle
from dynsys.models.loading.pickles.torch_files import is_old_torch, read_old_torch, read_torch_zip
from dynsys.models.loading.values import OBJECTS, Format, Odd, Read, Unfit, starts


@dataclass(frozen=True)
class Contents:
    """What a file of another tool holds: arrays of real numbers, single values that are settings, and the rest.

    ``settings`` has every single value by its full dotted name, ``hyper_parameters.nonlinearity``; an array of one
    number is in both. ``odd`` says of each array that cannot be used what it is. ``container`` is the entry of the
    file that held the arrays ('state_dict' in many checkpoints); their names leave it out. ``format`` is that of the
    table.
    """

    arrays: Arrays
    settings: dict[str, Any] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    container: str = ""
    format: str = ""

    def said(self, name: str) -> dict[str, Any]:
        """The settings whose last name is ``name``, by their full names, in the file's order."""
        return {key: value for key, value in self.settings.items() if key.rpartition(".")[2] == name}


FORMATS = (  # the first that fits is taken
    Format("folder", holds_arrays, read_folder),
    Format("safetensors", holds_safetensors, read_only_safetensors),
    Format("keras", is_keras, read_keras),
    *UNREADABLE,
    Format("torch", is_torch_zip, read_torch_zip),
    Format("npz", zip_with(".npy"), read_npz),
    Format("torch", lambda path, head: is_old_torch(head), read_old_torch),
    Format("npy", starts(b"\x93NUMPY"), read_npy),
    Format("npy", is_leaves, read_npy),
    Format("mat", starts(b"MATLAB 5"), read_mat),
    Format("mat", starts(b"MATLAB 7.3"), read_hdf5),
    Format("mat", is_mat4, read_mat4),
    Format("hdf5", is_hdf5, read_hdf5),
    Format("json", is_json, read_json),
    Format("onnx", is_onnx, read_onnx),
    Format("flax", is_flax, read_flax),
    Format("safetensors", lambda path, head: head[8:9] == b"{", read_safetensors),
    Format("pickle", is_pickle, read_pickle),
)

MOST_ARRAYS = 10_000  # of a network; what tells networks apart looks at each beside each
LONGEST_NAME = 1000  # letters
LARGEST_INTEGER = 2**63  # longer ones are states of random generators, and no float
READ = "safetensors, .npz, .npy, .mat, .h5, .keras, .onnx, .json, msgpack of flax, pickles and .pt/.pth"


def read_arrays(path: Path, within: str = "") -> Contents:
    """Everything in the file that is an array or a single value; raises CheckpointError where it is damaged.

    ``within`` says that it was taken out of a zip, by its name there: zips in zips are left alone.
    """
    head = b"" if path.is_dir() else first_bytes(path)
    try:
        format = next((format for format in FORMATS if format.is_one(path, head)), None)
        if format is None and head.startswith(b"PK") and not within:
            return _of_zip(path)
        if format is None and path.is_dir():
            wrong = "the folder has no checkpoint.safetensors in it, nor another file that tells what it is"
            raise CheckpointError(path, wrong, "name a checkpoint, or train into it")
        if format is None:
            wrong = f"its first bytes {head[:8]!r} are of no format that dynsys reads"
            raise CheckpointError(path, wrong, f"it reads {READ}; save the arrays with numpy.savez")
        return sorted_out(format.read(path), format.name)
    except CheckpointError:
        raise
    except Unfit as error:
        raise CheckpointError(path, error.wrong, error.remedy) from error
    except MemoryError as error:
        raise CheckpointError(path, "it takes more memory than there is", "save the recurrent part alone") from error
    except Exception as error:  # every library has its own errors for a file that is cut
        raise _damaged(path, error) from error


def _of_zip(path: Path) -> Contents:
    """What the one file of weights in a zip holds; its name there is the container, unless it has one itself."""
    name = weights_in_zip(path)
    with tempfile.TemporaryDirectory() as folder:
        inside = unpacked(path, name, folder)
        try:
            contents = read_arrays(inside, within=name)
        except CheckpointError as error:
            remedy = error.remedy.replace(str(inside), name)  # what to run on it, once it is unpacked
            raise CheckpointError(path, f"of its file {name}: {error.wrong}", remedy) from error
    return dataclasses.replace(contents, container=contents.container or name)


def sorted_out(read: Read, format: str) -> Contents:
    """The values of a reader, told apart: real numbers, settings, and what can be neither.

    Names that cannot be printed, with line breaks or a terminal's escapes, are written out: so they are shown and said.
    """
    arrays: Arrays = {}
    settings: dict[str, Any] = {}
    odd: dict[str, str] = {}
    for name, value in read.values.items():
        if len(name) > LONGEST_NAME:
            raise Unfit(f"one of its names has {len(name):,} letters", "save it with shorter names")
        key = printable(name)
        if isinstance(value, Odd):
            odd[key] = value.why
            continue
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, str | int | float):
            settings |= {key: value} if not isinstance(value, int) or abs(value) < LARGEST_INTEGER else {}
            continue
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "fiubU":
            settings[key] = array.item()
        if array.dtype.kind in "fiub":
            arrays[key] = array
        else:
            odd[key] = OBJECTS if array.dtype.kind == "O" else f"of type {array.dtype}, not of real numbers"
    if len(arrays) + len(odd) > MOST_ARRAYS:
        raise Unfit(f"it holds {len(arrays) + len(odd):,} arrays", "save those of the recurrent part alone")
    return Contents(arrays, settings, odd, printable(read.container), format)


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return CheckpointError(path, f"it is cut or damaged ({reason})", "copy or make it again")
