"""Flax: flax.serialization.to_bytes is msgpack with an extension type for arrays. Kernels act from the right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from door.drawing import draw
from door.equations import Parts, alone, lstm, sigmoid
from door.layout import OPEN, REFUSED, Network, layout

Rng = np.random.Generator
ARRAY = 1  # the extension type of an ndarray: msgpack of (shape, name of the dtype, bytes)


def write(path: Path, tree: Mapping[str, Any]) -> None:
    import msgpack

    def extension(value: Any) -> Any:
        value = np.ascontiguousarray(value)
        packed = msgpack.packb((value.shape, value.dtype.name, value.tobytes()), use_bin_type=True)
        return msgpack.ExtType(ARRAY, packed)

    path.write_bytes(msgpack.packb(tree, default=extension, strict_types=True))


def kernel(rng: Rng, rows: int, n: int, bias: bool) -> dict[str, Any]:
    made = {"kernel": draw(rng, rows, n).astype(np.float32)}
    return made | ({"bias": draw(rng, n).astype(np.float32)} if bias else {})


def affine(part: Mapping[str, Any], x: Any) -> Any:
    return x @ part["kernel"].astype(float) + np.asarray(part.get("bias", 0.0), dtype=float)


@layout("flax", OPEN, "msgpack")
def flax_simple_cell(folder: Path, rng: Rng, n: int, m: int) -> Network:
    p = {"i": kernel(rng, m, n, True), "h": kernel(rng, n, n, False)}
    write(folder / "params.msgpack", {"params": {"SimpleCell_0": p}})
    step = alone(lambda u, s: (np.tanh(affine(p["i"], u) + affine(p["h"], s[0])),), n)
    return Network(folder / "params.msgpack", step, n, m)


@layout("flax", OPEN, "msgpack")
def flax_gru(folder: Path, rng: Rng, n: int, m: int) -> Network:
    p = {"i" + g: kernel(rng, m, n, True) for g in "rzn"} | {"h" + g: kernel(rng, n, n, g == "n") for g in "rzn"}
    head = kernel(rng, n, 2, True)
    write(folder / "params.msgpack", {"params": {"GRUCell_0": p, "Dense_0": head}})

    def cell(u: Any, s: Parts) -> Parts:
        (h,) = s
        r, z = (sigmoid(affine(p["i" + g], u) + affine(p["h" + g], h)) for g in "rz")
        new = np.tanh(affine(p["in"], u) + r * affine(p["hn"], h))
        return ((1 - z) * new + z * h,)

    return Network(folder / "params.msgpack", alone(cell, n), n, m, readout=lambda x: affine(head, x))


def lstm_tree(rng: Rng, n: int, m: int) -> dict[str, Any]:
    return {"i" + g: kernel(rng, m, n, False) for g in "ifgo"} | {"h" + g: kernel(rng, n, n, True) for g in "ifgo"}


def lstm_step(p: Mapping[str, Any], n: int) -> Any:
    return alone(lstm(lambda u, h: [affine(p["i" + g], u) + affine(p["h" + g], h) for g in "ifgo"]), n, 2)


@layout("flax", OPEN, "msgpack")
def flax_lstm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    p = lstm_tree(rng, n, m)
    write(folder / "params.msgpack", {"params": {"OptimizedLSTMCell_0": p}})
    return Network(folder / "params.msgpack", lstm_step(p, n), 2 * n, m)


@layout("flax", OPEN, "msgpack")
def flax_train_state(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """The moments of Adam have the names of the parameters and are no networks."""
    p = lstm_tree(rng, n, m)
    moments = {g: {"params": {"lstm": lstm_tree(rng, n, m)}} for g in ("mu", "nu")}
    opt = {"0": {"count": np.array(7, dtype=np.int32), **moments}, "1": {}}
    write(folder / "state.msgpack", {"step": 7, "params": {"params": {"lstm": p}}, "opt_state": opt})
    known = {"part": "params.lstm"}
    return Network(folder / "state.msgpack", lstm_step(p, n), 2 * n, m, known=known, way_out="--part")


@layout("flax", REFUSED, "msgpack")
def flax_simple_cell_with_a_norm(folder: Path, rng: Rng, n: int, m: int) -> Network:
    p = {"i": kernel(rng, m, n, True), "h": kernel(rng, n, n, False)}
    norm = {"scale": rng.random(n), "bias": draw(rng, n)}
    write(folder / "params.msgpack", {"params": {"cell": {**p, "LayerNorm_0": norm}}})
    return Network(folder / "params.msgpack", way_out="LayerNorm(.|\\n)*(--form|--matrix|wrap|dynsys.Map)")


@layout("flax", REFUSED, "msgpack")
def flax_minimal_gated_unit(folder: Path, rng: Rng, n: int, m: int) -> Network:
    """MGUCell has one gate f: no GRU of these names."""
    p = {"i" + g: kernel(rng, m, n, True) for g in "fn"} | {"h" + g: kernel(rng, n, n, g == "n") for g in "fn"}
    write(folder / "params.msgpack", {"params": {"MGUCell_0": p}})
    return Network(folder / "params.msgpack", way_out="--form|--matrix|wrap|dynsys.Map")
