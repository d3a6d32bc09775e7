"""Files that hold no network which can be read without running a program: refused, with one line of a way out."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from door.drawing import drawn
from door.layout import REFUSED, Network, layout

Rng = np.random.Generator
SAVE = r"state_dict|npz|\.h5|save_weights|\.keras|msgpack"


@layout("unreadable", REFUSED)
def torchscript(folder: Path, rng: Rng, n: int, m: int) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.LSTM(m, n)), folder / "model.pt")
    return Network(folder / "model.pt", way_out="state_dict")


@layout("unreadable", REFUSED)
def quantised_state_dict(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Packed parameters, behind a call into torch's quantised engine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(m, n)), {nn.LSTM}, dtype=torch.qint8)
    torch.save(small.state_dict(), folder / "q.pt")
    return Network(folder / "q.pt", way_out="(?i)quanti(.|\n)*(before|save|state_dict)")


@layout("unreadable", REFUSED)
def tensorflow_saved_model(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """saved_model.pb: protobuf, field 1 (the schema version), then a graph."""
    (folder / "saved_model.pb").write_bytes(
        b"\x08\x01\x12\x97\x01\x0a\x0c\x12\x03add\x1a\x05\x0a\x03sub" + bytes(range(120))
    )
    return Network(folder / "saved_model.pb", way_out=SAVE)


@layout("unreadable", REFUSED)
def tensorflow_saved_model_folder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    tensorflow_files(folder / "variables", "variables")
    return Network(tensorflow_saved_model(folder, rng, n, m).path.parent, way_out=SAVE)


def tensorflow_files(folder: Path, name: str) -> None:
    """.index is a table of LevelDB, with its magic number at the end; .data holds bare numbers."""
    folder.mkdir(exist_ok=True)
    table = b"\x00\x00\x0ckernel/.ATTR" + bytes(60) + (0xDB4775248B80FB57).to_bytes(8, "little")
    (folder / f"{name}.index").write_bytes(table)
    (folder / f"{name}.data-00000-of-00001").write_bytes(
        np.random.default_rng(0).normal(size=99).astype("<f4").tobytes()
    )


@layout("unreadable", REFUSED)
def tensorflow_checkpoint_index(folder: Path, rng: Rng, n: int, m: int) -> Network:
    tensorflow_files(folder, "model.ckpt-700")
    return Network(folder / "model.ckpt-700.index", way_out=SAVE)


@layout("unreadable", REFUSED)
def tensorflow_checkpoint_data(folder: Path, rng: Rng, n: int, m: int) -> Network:
    tensorflow_files(folder, "model.ckpt-700")
    return Network(folder / "model.ckpt-700.data-00000-of-00001", way_out=SAVE)


@layout("unreadable", REFUSED)
def tensorflow_checkpoint_folder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    tensorflow_files(folder, "ckpt-1")
    (folder / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-1"\n')
    return Network(folder, way_out=SAVE)


@layout("unreadable", REFUSED)
def orbax_folder(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """Arrays in OCDBT, a database of its own."""
    (folder / "_METADATA").write_text('{"tree_metadata": {}, "use_ocdbt": true, "use_zarr3": false}')
    (folder / "_CHECKPOINT_METADATA").write_text("{}")
    (folder / "manifest.ocdbt").write_bytes(b"\x0c\xdb\x3a\x2a" + bytes(40))
    (folder / "d").mkdir()
    (folder / "d" / "9a8f").write_bytes(bytes(64))
    return Network(folder, way_out=SAVE)


@layout("unreadable", REFUSED)
def cut_in_half(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The one kind of file that is damaged, and has to be called so."""
    torch.save(drawn(nn.GRU(m, n), rng).state_dict(), folder / "whole.pt")
    content = (folder / "whole.pt").read_bytes()
    (folder / "model.pt").write_bytes(content[: len(content) // 2])
    return Network(folder / "model.pt", way_out="(cut|damaged)(.|\n)*again")


@layout("unreadable", REFUSED)
def convolutional_network(folder: Path, rng: Rng, n: int, m: int) -> Network:
    net = nn.Sequential(nn.Conv1d(m, n, 3), nn.ReLU(), nn.Linear(n, n + 1), nn.BatchNorm1d(n + 1))
    torch.save(net.state_dict(), folder / "net.pt")
    return Network(folder / "net.pt", way_out="recurrent|--matrix|--form")


@layout("unreadable", REFUSED)
def transformer(folder: Path, rng: Rng, n: int, m: int) -> Network:
    torch.save(nn.TransformerEncoderLayer(8, 2, 16).state_dict(), folder / "net.pt")
    return Network(folder / "net.pt", way_out="recurrent|--matrix|--form")


@layout("unreadable", REFUSED)
def complex_weights(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """A linear recurrent unit: its imaginary parts cannot be dropped."""
    W = torch.complex(torch.rand(n, n), torch.rand(n, n))
    torch.save({"rnn.weight_hh_l0": W, "rnn.weight_ih_l0": torch.rand(n, m)}, folder / "net.pt")
    return Network(folder / "net.pt", way_out="complex")
