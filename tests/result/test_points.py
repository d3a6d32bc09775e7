"""The result of a search: kept on disk to the last bit, cut by masks, and printed as the documented JSON."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.io
import torch

import dynsys
from dynsys import CheckpointError, FixedPoints, Flow, Map, OutputError, find_fixed_points, settle, simulate
from dynsys.analyses.run import search_and_save
from dynsys.io.files import write_tensors
from dynsys.io.record import per
from dynsys.models.examples.bistable import Bistable
from dynsys.result.export import write_csv, write_mat

POINT_KEYS = {"id", "verdict", "q", "error_bound", "stability", "n_unstable", "leading_eigenvalue", "readout"}
COLUMNS = {"verdict", "stability", "n_unstable", "eig_re", "eig_im", "time_constant", "q", "error_bound"}
SEARCH_KEYS = {"starts", "solver", "seconds", "found", "slow", "rejected", "estimated_missed", "discovery"}


@pytest.fixture(scope="module")
def points():
    return find_fixed_points(Bistable(2), n_starts=64, workers=1)


@pytest.fixture
def none():
    return find_fixed_points(Flow(lambda x, u: 1 + x**2, n_state=1, bounds=(-1, 1)), n_starts=4, workers=1)


def assert_equal(a, b):
    for key in per(FixedPoints, "k"):
        np.testing.assert_array_equal(getattr(a, key), getattr(b, key), err_msg=key)
        assert getattr(a, key).dtype.kind == getattr(b, key).dtype.kind
    assert a.search == b.search
    assert a.about == b.about


def test_saved_points_come_back_to_the_last_bit(points, tmp_path):
    path = points.save(tmp_path / "run" / "points.safetensors")
    assert_equal(FixedPoints.load(path), points)


def test_arrays_in_any_memory_order_come_back_as_they_were(points, tmp_path):
    """Safetensors by itself writes a transposed array in the wrong order without a word."""
    other = {key: np.asfortranarray(getattr(points, key)) for key in ("states", "eigenvalues", "readouts")}
    other["modes"] = points.modes.transpose(2, 0, 1).copy().transpose(1, 2, 0)
    other["q"] = np.repeat(points.q, 2)[::2]
    shuffled = dataclasses.replace(points, **other)
    assert not shuffled.states.flags.c_contiguous
    assert_equal(FixedPoints.load(shuffled.save(tmp_path / "points.safetensors")), points)


def test_no_points_at_all_can_be_saved_and_printed(none, tmp_path):
    assert len(none) == 0
    assert none.states.shape == (0, 1)
    assert_equal(FixedPoints.load(none.save(tmp_path / "none.safetensors")), none)
    assert json.loads(json.dumps(none.to_json(), allow_nan=False))["points"] == []


def test_points_without_a_bound_can_be_saved_and_printed(tmp_path):
    double = find_fixed_points(Flow(lambda x, u: x**2, n_state=1, bounds=(-1, 1)), n_starts=4, workers=1)
    assert_equal(FixedPoints.load(double.save(tmp_path / "double.safetensors")), double)
    printed = json.loads(json.dumps(double.to_json(), allow_nan=False))
    assert printed["points"][0]["error_bound"] is None


def test_a_mask_keeps_the_same_rows_of_everything(points):
    stable = points[points.stability == "stable node"]
    assert len(stable) == 4
    for key in per(FixedPoints, "k"):
        np.testing.assert_array_equal(getattr(stable, key), getattr(points, key)[points.stability == "stable node"])
    assert stable.search == points.search


def test_slices_lists_and_single_indices_keep_the_shape(points):
    assert len(points[2:5]) == 3
    assert len(points[[0, 3]]) == 2
    assert points[1].states.shape == (1, 2)
    assert points[-1].q[0] == points.q[-1]
    with pytest.raises(IndexError):
        points[np.ones(3, dtype=bool)]


def test_the_most_stable_points_come_first(points):
    assert points.n_unstable.tolist() == [0] * 4 + [1] * 4 + [2]
    assert (np.diff(points.readouts[:4, 0]) >= -1e-6).all()


def test_the_json_has_the_documented_keys(points):
    printed = json.loads(json.dumps(points.to_json(), allow_nan=False))
    assert printed["schema"] == "dynsys.fixed_points/1"
    assert set(printed) == {"schema", "system", "input", "points", "manifolds", "search"}
    assert all(set(row) >= POINT_KEYS for row in printed["points"])
    assert set(printed["search"]) >= SEARCH_KEYS
    assert printed["system"]["name"] == "bistable"
    for row, q, leading, readout in zip(
        printed["points"], points.q, points.leading_eigenvalue, points.readouts, strict=True
    ):
        assert row["q"] == q
        assert complex(*row["leading_eigenvalue"]) == leading
        assert row["readout"] == readout.tolist()
    assert [row["id"] for row in printed["points"]] == list(range(9))


def test_the_json_tells_the_input_of_every_point():
    system = Flow(lambda x, u: u - x, n_state=1, n_input=1)
    points = find_fixed_points(system, np.zeros((2, 1)), [[1.0], [2.0]], workers=1)
    assert [row.get("input") for row in points.to_json()["points"]] == points.inputs.tolist()


def test_a_frame_has_one_row_per_point(points):
    pytest.importorskip("pandas")
    frame = points.to_frame()
    assert len(frame) == 9
    assert set(frame.columns) >= COLUMNS
    assert frame.index.name == "id"
    assert (frame["n_unstable"] == points.n_unstable).all()


def test_a_frame_is_flat(points):
    """At the middle of both units the leading rate is w - 1 = 1, and the time constant -1."""
    pytest.importorskip("pandas")
    frame = points.to_frame(states=True)
    assert frame["eig_re"].iloc[-1] == pytest.approx(1.0)
    assert frame["time_constant"].iloc[-1] == pytest.approx(-1.0)
    assert frame[["x_1", "x_2"]].to_numpy().tolist() == points.states.tolist()
    assert not any(isinstance(value, list) for value in frame.iloc[0])


def test_a_map_forgets_by_the_logarithm_of_its_eigenvalue():
    halves = Map(lambda x, u: x / 2, n_state=1)
    rows = find_fixed_points(halves, np.zeros((2, 1)), workers=1).rows()
    assert rows[0]["time_constant"] == pytest.approx(1 / np.log(2))


def test_some_of_the_points_by_name_and_how_many_there_are(points):
    assert (len(points.stable), len(points.fixed), len(points.slow)) == (4, 9, 0)
    assert points.counts() == {"stable node": 4, "saddle": 4, "unstable node": 1}


def test_a_notebook_shows_the_table_and_what_was_found(points):
    page = points._repr_html_()
    assert page.count("<tr>") == 10
    assert "Found 9 fixed points" in page


def test_points_find_their_network_where_it_lies(tmp_path):
    torch.manual_seed(0)
    torch.save(torch.nn.RNN(1, 3).state_dict(), tmp_path / "net.pt")
    system = dynsys.load(tmp_path / "net.pt")
    search_and_save(system, tmp_path / "run", tmp_path / "net.pt", lambda *_: None, n_starts=8)
    path = tmp_path / "run" / "fixed_points.safetensors"
    assert FixedPoints.load(path).jacobians.shape[1:] == (3, 3)
    assert FixedPoints.load(path, find_system=False).system is None
    (tmp_path / "net.pt").unlink()
    assert FixedPoints.load(path).system is None


def test_points_found_in_python_find_the_network_that_was_loaded_and_no_changed_one(tmp_path):
    torch.manual_seed(0)
    torch.save(torch.nn.RNN(1, 3, nonlinearity="relu").state_dict(), tmp_path / "net.pt")
    system = dynsys.load(tmp_path / "net.pt", activation="relu")
    x = np.ones((1, 3))
    find_fixed_points(system, x, workers=1).save(tmp_path / "points.safetensors")
    found = FixedPoints.load(tmp_path / "points.safetensors").system
    np.testing.assert_array_equal(found.velocity(x, [[0.5]]), system.velocity(x, [[0.5]]))
    changed = system.with_weights({"weight_ih_l0": 2 * system.arrays()["weight_ih_l0"]})
    find_fixed_points(changed, x, workers=1).save(tmp_path / "points.safetensors")
    assert FixedPoints.load(tmp_path / "points.safetensors").system is None


def test_other_programs_read_what_is_written_for_them(points, tmp_path):
    lines = write_csv(points, tmp_path / "points.csv").read_text().splitlines()
    assert len(lines) == 10
    assert {"eig_re", "x_1", "readout_1"} <= set(lines[0].split(","))
    back = scipy.io.loadmat(write_mat(points, tmp_path / "points.mat"))
    np.testing.assert_array_equal(back["states"], points.states)
    assert str(back["stability"][0][0][0]) == "stable node"


@pytest.mark.parametrize(("write", "name"), [(write_csv, "net.csv"), (write_mat, "net.mat")])
def test_an_export_replaces_an_export_and_nothing_else(points, tmp_path, write, name):
    path = tmp_path / name
    scipy.io.savemat(path, {"W": np.eye(2)}, appendmat=False)
    weights = path.read_bytes()
    with pytest.raises(ValueError, match="give another name"):
        write(points, path)
    assert path.read_bytes() == weights
    path.unlink()
    write(points, path)
    write(points[:2], path)
    with pytest.raises(ValueError, match="has to end in"):
        write(points, tmp_path / "points.txt")


def test_arrays_of_numpy_are_followed_as_tensors_are():
    decay = Flow(lambda x, u: -x, n_state=1)
    states = simulate(decay, np.ones((1, 1)), np.zeros((3, 0)), step=0.5)
    assert states.ravel().tolist() == [0.5, 0.25, 0.125]
    assert str(settle(decay, np.ones((1, 1))).kind[0]).startswith("settles")


def test_a_frame_of_no_points_is_empty(none):
    pytest.importorskip("pandas")
    assert len(none.to_frame()) == 0


def test_jacobians_are_those_of_the_system_and_need_it(points, tmp_path):
    """At the zeros of bistable units J = Q diag(slopes) Q^T, with slope w - 1 at the unit's middle."""
    assert points.jacobians.shape == (9, 2, 2)
    np.testing.assert_allclose(points.jacobians[-1], np.eye(2), atol=1e-12)
    path = points.save(tmp_path / "points.safetensors")
    with pytest.raises(ValueError, match=r"FixedPoints\.load\(path, system\)"):
        _ = FixedPoints.load(path).jacobians
    np.testing.assert_array_equal(FixedPoints.load(path, Bistable(2)).jacobians, points.jacobians)


def test_a_damaged_result_is_refused(points, tmp_path):
    path = points.save(tmp_path / "points.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="checksum"):
        FixedPoints.load(path)
    path.write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(CheckpointError, match="cut or damaged"):
        FixedPoints.load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = write_tensors(tmp_path / "x.safetensors", {"states": np.zeros((1, 1))}, {"schema": "dynsys.checkpoint/1"})
    with pytest.raises(CheckpointError, match=r"'dynsys.checkpoint/1' where 'dynsys.fixed_points/1' is needed"):
        FixedPoints.load(path)
    with pytest.raises(CheckpointError, match="no such file"):
        FixedPoints.load(tmp_path / "absent.safetensors")


def test_a_place_that_cannot_be_written_is_told(points, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError):
        points.save(tmp_path / "file" / "points.safetensors")
