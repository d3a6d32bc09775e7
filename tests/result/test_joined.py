"""Several results as one: their points keep what is known of them, under labels."""

import numpy as np
import pytest
import torch

from dynsys import FixedPoints, Flow, Map, find_fixed_points

PITCHFORK = Flow(lambda x, u: u * x - x**3, n_state=1, n_input=1, bounds=(-3, 3))


@pytest.fixture(scope="module")
def parts():
    """x' = u x - x^3 at u = 4: -2, 0, 2; at u = -1: 0."""
    return [find_fixed_points(PITCHFORK, input=[u], n_starts=16, verify=False) for u in (4.0, -1.0)]


def test_points_of_both_stand_in_one_table_with_their_inputs(parts):
    both = FixedPoints.concatenate(parts)
    assert both.label.tolist() == ["input 4"] * 3 + ["input -1"]
    np.testing.assert_allclose(sorted(both.states[:3, 0]), [-2, 0, 2], atol=1e-12)
    np.testing.assert_allclose(both.inputs[:, 0], [4, 4, 4, -1])
    np.testing.assert_allclose(both.leading_eigenvalue.real, both.inputs[:, 0] - 3 * both.states[:, 0] ** 2, atol=1e-9)
    assert [row["label"] for row in both.rows()] == both.label.tolist()
    assert both.search.inputs == [[4.0], [-1.0]]
    assert both.search.starts == sum(part.search.starts for part in parts)


def test_its_words_are_those_of_each_part(parts):
    both = FixedPoints.concatenate(parts, ["on", "off"])
    for label, part in zip(["on", "off"], parts, strict=True):
        assert f"{label}: {part.summary()}" in both.summary()


def test_it_is_saved_and_read_with_its_labels_and_one_network_stays_at_hand(parts, tmp_path):
    both = FixedPoints.concatenate(parts)
    np.testing.assert_allclose(both.jacobians[:, 0, 0], both.leading_eigenvalue.real, atol=1e-12)
    again = FixedPoints.load(both.save(tmp_path / "both.safetensors"))
    assert again.label.tolist() == both.label.tolist()
    assert again.summary() == both.summary()
    assert again.to_json()["points"][0]["label"] == "input 4"


def test_another_network_has_no_system_in_common(parts):
    other = find_fixed_points(Flow(lambda x, u: 1 - x, n_state=1, n_input=1, bounds=(-3, 3)), n_starts=8, verify=False)
    assert FixedPoints.concatenate([parts[0], other]).system is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Flow(lambda x, u: -x, n_state=2, bounds=(-1, 1)), "1 and 2 state variables"),
        (Map(lambda x, u: x / 2, n_state=1, bounds=(-1, 1)), "differ in kind (flow, map)"),
    ],
)
def test_what_has_no_room_in_one_table_is_refused(parts, other, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        FixedPoints.concatenate([parts[0], find_fixed_points(other, n_starts=8, verify=False)])


@pytest.mark.parametrize("labels", [["a"], ["a", "a"]])
def test_labels_are_one_for_each_and_differ(parts, labels):
    with pytest.raises(ValueError, match="need as many, each another"):
        FixedPoints.concatenate(parts, labels)


def test_numbers_of_manifolds_go_on_from_part_to_part():
    """x' = 0, y' = -y rests on a line."""
    line = Flow(lambda x, u: torch.stack([0 * x[:, 0], -x[:, 1]], 1), n_state=2, bounds=(-1, 1))
    one = find_fixed_points(line, n_starts=32, verify=False)
    assert len(one.manifolds) == 1
    both = FixedPoints.concatenate([one, one], ["a", "b"])
    assert len(both.manifolds) == 2
    assert set(both.manifold[both.label == "a"].tolist()) == {0}
    assert set(both.manifold[both.label == "b"].tolist()) == {1}
