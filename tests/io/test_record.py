"""A record in a file: every field comes back, and what does not fit together is refused."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dynsys.attractors.attractor import Node
from dynsys.io.errors import CheckpointError
from dynsys.io.files import read_tensors, write_tensors
from dynsys.io.provenance import differing
from dynsys.io.record import ABSENT, PARTS, Record, axes, per, said


@dataclass(frozen=True, eq=False)
class Part:
    name: Node
    values: NDArray[np.float64] = field(metadata=axes("f p"))


@dataclass(frozen=True, eq=False)
class Toy(Record, schema="test.toy/1", what="toy", remedy="make it again"):
    z: NDArray[np.complex128] = field(metadata=axes("c k m"))
    words: NDArray[np.str_] = field(metadata=axes("s k", name="said"))
    seed: int
    settings: dict[str, Any] = field(metadata=said(dict[str, float], "system"))
    late: NDArray[np.float64] = field(default=ABSENT, metadata=axes("f k", np.nan))
    grown: NDArray[np.float64] = field(default=ABSENT, metadata=axes("f k", 0.0, needed=True))
    unit: str = field(default="steps", metadata=said(needed=True))
    parts: list[Part] = field(default_factory=list, metadata=PARTS)


Z = np.array([[1 + 2j, np.nan], [-3j, np.inf]])


def toy(**changed):
    whole = {"z": Z, "words": np.array(["a", "bc"]), "seed": 3, "settings": {"x": 0.5}, "late": np.ones(2)}
    return Toy(
        **{**whole, "parts": [Part(Node("orbit", 1), np.arange(3.0)), Part(Node("lost"), np.zeros(0))], **changed}
    )


def test_complex_arrays_words_and_parts_come_back_as_they_were(tmp_path):
    back = Toy.load(toy().save(tmp_path / "x"))
    np.testing.assert_array_equal(back.z, Z)
    assert (back.words.tolist(), back.seed, back.settings, back.late.tolist()) == (["a", "bc"], 3, {"x": 0.5}, [1, 1])
    assert [(part.name.kind, part.name.number, part.values.tolist()) for part in back.parts] == [
        ("orbit", 1, [0, 1, 2]),
        ("lost", None, []),
    ]


def test_names_of_files_are_those_of_the_fields_or_their_own(tmp_path):
    tensors, header = read_tensors(toy().save(tmp_path / "x"), "test.toy/1")
    assert {key: value.shape for key, value in tensors.items()} == {
        "z": (2, 2, 2),
        "late": (2,),
        "grown": (2,),
        "parts.0.values": (3,),
        "parts.1.values": (0,),
    }
    assert header["said"] == ["a", "bc"]
    assert header["system"] == {"x": 0.5}
    assert per(Toy, "k") == ("z", "words", "late", "grown")


def test_a_file_that_lacks_what_came_later_says_nothing_of_it(tmp_path):
    tensors, header = read_tensors(toy().save(tmp_path / "x"), "test.toy/1")
    del tensors["late"]
    back = Toy.load(write_tensors(tmp_path / "y", tensors, header))
    assert np.isnan(back.late).tolist() == [True, True]


@pytest.mark.parametrize("gone", ["grown", "unit", "z", "said", "seed", "parts.1.values"])
def test_what_has_a_default_and_is_needed_all_the_same_is_missed_in_a_file(gone, tmp_path):
    tensors, header = read_tensors(toy().save(tmp_path / "x"), "test.toy/1")
    assert (gone in tensors) != (gone in header)
    tensors.pop(gone, None)
    header.pop(gone, None)
    with pytest.raises(CheckpointError, match="it is no whole toy"):
        Toy.load(write_tensors(tmp_path / "y", tensors, header))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"words": np.array(["a"])}, r"words has shape \(1,\)"),
        ({"late": np.ones(3)}, r"late has shape \(3,\)"),
        ({"seed": "x"}, "seed is 'x', which is no int"),
        ({"settings": {"x": "y"}}, "system.x is 'y', which is no float"),
        ({"parts": [Part(Node("orbit", 1), np.zeros((1, 1)))]}, "values has shape"),
    ],
)
def test_parts_that_do_not_fit_together_are_one_error_that_says_which(changed, told, tmp_path):
    with pytest.raises(CheckpointError, match=rf"it is no whole toy .*{told}.*; make it again"):
        Toy.load(toy(**changed).save(tmp_path / "x"))


def test_an_array_that_is_no_part_of_it_is_refused(tmp_path):
    tensors, header = read_tensors(toy().save(tmp_path / "x"), "test.toy/1")
    with pytest.raises(CheckpointError, match="it holds odd, which is no part of it"):
        Toy.load(write_tensors(tmp_path / "y", {**tensors, "odd": np.zeros(1)}, header))


def test_what_a_file_was_made_from_differs_where_its_values_do_and_not_where_json_has_them_alike():
    assert differing({"a": (1, 2), "b": 1, "gone": 0}, {"a": [1, 2], "b": 2, "new": 0}) == ["b", "new", "gone"]


@pytest.mark.parametrize("name", ["point 3", "oscillation 12", "escaped", "", " 3", "point x", "x 1.5"])
def test_a_node_is_the_string_that_it_is_read_from(name):
    node = Node(name)
    assert node == name
    assert (node.number is None) == (name not in ("point 3", "oscillation 12"))
    assert Node(node.kind, node.number) == name
