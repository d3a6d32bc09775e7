"""Files that dynsys knows and cannot read, since they hold programs or need their own tool: with the way out.

The way out is what to run where the tool is, so that the weights come into a file that dynsys reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from dynsys.models.loading.formats.archives import names_of, zip_with
from dynsys.models.loading.formats.onnx import is_onnx
from dynsys.models.loading.values import Format, Read, Unfit, starts

TENSORFLOW = (
    "run in Python: import numpy as np, tensorflow as tf; r = tf.train.load_checkpoint({path!r}); "
    "np.savez('weights.npz', **{{k: r.get_tensor(k) for k in r.get_variable_to_shape_map()}})"
)
ORBAX = (
    "run in Python: import numpy as np, orbax.checkpoint as ocp; from flax.traverse_util import flatten_dict; "
    "np.savez('weights.npz', **flatten_dict(ocp.PyTreeCheckpointer().restore({path!r}), sep='.'))"
)
SCRIPT = "save torch.save(torch.jit.load({path!r}).state_dict(), 'weights.pt')"
EXPORTED = "save torch.save(torch.export.load({path!r}).state_dict, 'weights.pt')"
PACKAGE = "save torch.save(model.state_dict(), 'weights.pt') of the model that torch.package.PackageImporter loads"
SOURCE = "save the weights of the network that it was made of: torch.save(model.state_dict(), 'weights.pt')"
TFLITE = "save the weights of the Keras model that it was made of: model.save('model.keras')"
GGUF = (
    "run in Python: import gguf, numpy as np; np.savez('weights.npz', "
    "**{{t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader({path!r}).tensors}})"
)
JOBLIB = "where you trust it, run in Python: import joblib; joblib.dump(joblib.load({path!r}), 'plain.joblib')"
TAR = (
    "unpack it with tar -xf, and name the file with the weights; torch before 0.2 wrote tar files itself: "
    "where you trust it, torch.save(torch.load({path!r}, weights_only=False), 'weights.pt') makes it one of today"
)
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
COMPRESSED |= {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "unrar"}
LEVELDB = (0xDB4775248B80FB57).to_bytes(8, "little")  # at the end of its tables
ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")

IsOne = Callable[[Path, bytes], bool]


def is_script(path: Path, head: bytes) -> bool:
    """A zip of torch with a program in it: constants, code, or the model.json of the first ones."""
    if not head.startswith(b"PK"):
        return False
    inside = [name.partition("/")[2] for name in names_of(path)]
    return any(name in ("constants.pkl", "model.json", "bytecode.pkl") or name.startswith("code/") for name in inside)


def is_saved_model(path: Path, head: bytes) -> bool:
    """TensorFlow's folder, or the graph in it."""
    return (path / "saved_model.pb").is_file() or (path.name == "saved_model.pb" and not path.is_dir())


def is_graph(path: Path, head: bytes) -> bool:
    return path.suffix in (".pb", ".pbtxt", ".meta") and not path.is_dir() and not is_onnx(path, head)


def is_tensorflow_checkpoint(path: Path, head: bytes) -> bool:
    """A folder or one of the files in it, which only their names and a table's end tell."""
    if path.is_dir():
        return bool(_of_tensorflow(path))
    if path.name == "checkpoint":
        return head.startswith(b"model_checkpoint_path")
    if re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        return True
    return path.suffix == ".index" and path.read_bytes()[-8:] == LEVELDB


def _of_tensorflow(folder: Path) -> list[str]:
    """The checkpoints in a folder, by the names that TensorFlow takes for them."""
    return sorted(entry.name.removesuffix(".index") for entry in folder.iterdir() if entry.suffix == ".index")


def prefix_of(path: Path) -> str:
    """What TensorFlow takes for the name of a checkpoint: without the ending of its files; of a folder the last one."""
    if (path / "saved_model.pb").is_file() or path.name == "saved_model.pb":
        return str((path if path.is_dir() else path.parent) / "variables" / "variables")
    if path.is_dir():
        return str(path / _of_tensorflow(path)[-1])
    return str(path.parent) if path.name == "checkpoint" else re.sub(r"\.(index|meta|data-[\d\w-]+)$", "", str(path))


def is_orbax(path: Path, head: bytes) -> bool:
    folder = path if path.is_dir() else path.parent
    marks = ("_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA", "_sharding")
    return any((folder / mark).exists() for mark in marks) and (path.is_dir() or path.name in marks)


def has_at(place: int, mark: bytes) -> IsOne:
    return lambda path, head: head[place : place + len(mark)] == mark


def refused(name: str, is_one: IsOne, wrong: str, remedy: str, named: Callable[[Path], str] = str) -> Format:
    """A line of the table whose reader says what it is and what to run; ``{path}`` in it is the file by ``named``."""

    def refuse(path: Path) -> Read:
        raise Unfit(wrong, remedy.format(path=named(path)))

    return Format(name, is_one, refuse)


def orbax_folder(path: Path) -> str:
    return str((path if path.is_dir() else path.parent).absolute())  # orbax takes no other


UNREADABLE = (
    refused("torchscript", is_script, "it is a TorchScript program, not weights", SCRIPT),
    refused(
        "torch.export",
        zip_with("/archive_format", "serialized_exported_program.json", "models/model.json"),
        "it is a program of torch.export, not weights",
        EXPORTED,
    ),
    refused("torch.package", zip_with("/.data/extern_modules"), "it is a package of torch, with code", PACKAGE),
    refused("executorch", has_at(4, b"ET12"), "it is a compiled program of ExecuTorch", SOURCE),
    refused("saved-model", is_saved_model, "it is a SavedModel of TensorFlow", TENSORFLOW, prefix_of),
    refused("tensorflow", is_tensorflow_checkpoint, "it is a checkpoint of TensorFlow", TENSORFLOW, prefix_of),
    refused("graph", is_graph, "it is a graph of TensorFlow, which is a program", TFLITE),
    refused("tflite", has_at(4, b"TFL3"), "it is a compiled model of TensorFlow Lite", TFLITE),
    refused("orbax", is_orbax, "it is a checkpoint of orbax", ORBAX, orbax_folder),
    refused("gguf", starts(b"GGUF"), "it is a GGUF file of quantised weights", GGUF),
    refused("tar", has_at(257, b"ustar"), "it is a tar archive", TAR),
    refused("zlib", starts(*ZLIB), "it is compressed by zlib, as joblib.dump(..., compress=3) does", JOBLIB),
    *(
        refused(tool, starts(head), f"it is compressed by {tool}", f"unpack it with {tool}, and name what is in it")
        for head, tool in COMPRESSED.items()
    ),
)
