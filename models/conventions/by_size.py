"""What sizes alone tell where a file has no configuration: which linear layer reads which cell.

Whether one cell feeds another they do not tell: between an encoder and a decoder sizes fit as well. So each cell is a
network of its own, and the user says which follow each other, ``--part gru+gru_1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dynsys.io.files import Arrays
from dynsys.models.conventions.network import Array, Cell, Network, Readout


@dataclass(frozen=True)
class Linear:
    """A linear layer beside the recurrent ones, W (outputs, inputs) and b, by the keys of the file."""

    W: Array
    b: Array | None
    keys: tuple[str, ...]


def networks_by_size(
    tool: str, arrays: Arrays, cells: Sequence[Cell], beside: Mapping[str, Linear], assumed: tuple[str, ...] = ()
) -> list[Network]:
    """Each cell with the one layer ``beside`` that can read its h; ``arrays`` are all that the file holds."""
    used = {key for cell in cells for key in cell.keys} | {key for linear in beside.values() for key in linear.keys}
    others = {size for key, array in arrays.items() if key not in used for size in array.shape}
    widths = [cell.units for cell in cells]
    networks = []
    for cell in cells:
        readout: Readout | None = None
        about: tuple[str, ...] = ()
        if widths.count(cell.units) == 1 or cell is cells[-1]:
            readout, about = _readout(cell.units, beside, others)
        networks.append(Network(tool, (cell,), None, readout, about, assumed, order_is_known=False))
    return networks


def _readout(width: int, beside: Mapping[str, Linear], others: set[int]) -> tuple[Readout | None, tuple[str, ...]]:
    """The one linear layer that can read h, and what is said where there is none or more than one."""
    fits = [name for name, linear in beside.items() if linear.W.shape[1] == width]
    if fits and width in others:
        return None, (f"no readout: other arrays of {width} entries may stand between h and {', '.join(fits)}",)
    if len(fits) != 1:
        return None, (f"no readout: {', '.join(fits)} could each read its h",) if fits else ()
    found = beside[fits[0]]
    after = [name for name, linear in beside.items() if name != fits[0] and linear.W.shape[1] == len(found.W)]
    said = f"readout: the layer {fits[0]} ({width} to {len(found.W)})"
    said += f", without {', '.join(after)}, which could read it" if after else ""
    silent = f"the readout {fits[0]} is linear and reads h, as its size fits and the file does not say"
    return Readout(found.W, found.b, found.keys, (said,), None, (silent,)), ()
