"""States to start from out of recorded trajectories, whatever the file calls them."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.trajectories import (
    conditions_from_file,
    inputs_from_file,
    starts_from_file,
    states_from_file,
)

N = 4
FLOW = dynsys.Flow(lambda x, u: -x, n_state=N)
RNG = np.random.default_rng(0)
STATES = RNG.standard_normal((3, 7, N))  # trials x time x units


@pytest.mark.parametrize("name", ["hidden", "h", "states", "rnn.hidden", "Hidden", "whatever"])
def test_states_are_found_by_name_or_by_width(tmp_path, name):
    np.savez(tmp_path / "t.npz", inputs=np.ones((3, 7, 2)), **{name: STATES})
    np.testing.assert_array_equal(states_from_file(tmp_path / "t.npz", FLOW), STATES.reshape(-1, N))


def test_hidden_and_cell_make_the_state_of_an_lstm_in_that_order(tmp_path):
    cell, hidden = STATES[..., :2], STATES[..., 2:]
    np.savez(tmp_path / "t.npz", cell=cell, hidden=hidden)
    expected = np.concatenate([hidden, cell], axis=-1).reshape(-1, N)
    np.testing.assert_array_equal(states_from_file(tmp_path / "t.npz", FLOW), expected)


def test_arrays_can_be_named_and_one_trial_needs_no_axis_of_trials(tmp_path):
    np.savez(tmp_path / "t.npz", a=STATES[0], b=-STATES[0])
    np.testing.assert_array_equal(states_from_file(tmp_path / "t.npz", FLOW, ["b"]), -STATES[0])
    with pytest.raises(
        CheckpointError, match=r"a \(7, 4\), b \(7, 4\) could all be the states; name one with --states"
    ):
        states_from_file(tmp_path / "t.npz", FLOW)


def test_npy_mat_and_pt_hold_states_too(tmp_path):
    from scipy.io import savemat

    np.save(tmp_path / "t.npy", STATES)
    savemat(tmp_path / "t.mat", {"run": {"hidden": STATES}})
    torch.save({"hidden": torch.tensor(STATES)}, tmp_path / "t.pt")
    torch.save(torch.tensor(STATES), tmp_path / "alone.pt")
    for name in ("t.npy", "t.mat", "t.pt", "alone.pt"):
        np.testing.assert_array_equal(states_from_file(tmp_path / name, FLOW), STATES.reshape(-1, N))


@pytest.mark.parametrize(
    "text",
    [
        "0 1\n2 3\n",
        "0,1\n2,3",
        "u0;u1\n0;1\n2;3",
        "# u0 u1\n0 1\n2 3\n",
        "left\tright\n0\t1\n2\t3\n",
        "# noted\n0, 1\n2, 3\n",
    ],
)
def test_every_option_reads_tables_of_text(tmp_path, text):
    place = tmp_path / "t.txt"
    place.write_text(text)
    np.testing.assert_array_equal(inputs_from_file(place, 2), [[0, 1], [2, 3]])
    if "u0" not in text:
        np.testing.assert_array_equal(
            states_from_file(place, dynsys.Flow(lambda x, u: -x, n_state=2)), [[0, 1], [2, 3]]
        )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("0,1\n2\n", "row 2 has 1 columns, not 2"), ("0,1\n2,x\n", "row 2 has 'x'"), ("u0,u1\n", "no numbers")],
)
def test_text_that_is_no_table_is_told_by_its_row(tmp_path, text, wrong):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(CheckpointError, match=wrong):
        inputs_from_file(tmp_path / "t.txt", 2)


def test_padding_of_short_trials_is_left_out(tmp_path):
    padded = STATES.copy()
    padded[1, 3:] = np.nan
    np.savez(tmp_path / "t.npz", hidden=padded)
    expected = np.concatenate([STATES[0], STATES[1, :3], STATES[2]])
    np.testing.assert_array_equal(states_from_file(tmp_path / "t.npz", FLOW), expected)
    np.savez(tmp_path / "t.npz", hidden=padded * np.nan)
    with pytest.raises(CheckpointError, match="no state without NaN"):
        states_from_file(tmp_path / "t.npz", FLOW)


def test_without_noise_every_state_is_drawn_once_before_any_twice(tmp_path):
    np.savez(tmp_path / "t.npz", hidden=STATES)
    drawn = starts_from_file(tmp_path / "t.npz", FLOW, 42, noise=0)
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, np.unique(STATES.reshape(-1, N), axis=0))
    assert set(counts) == {2}


def test_noise_has_the_standard_deviation_asked_for_and_comes_from_the_seed(tmp_path):
    np.savez(tmp_path / "t.npz", hidden=np.zeros((2, N)))
    drawn = starts_from_file(tmp_path / "t.npz", FLOW, 10_000, noise=0.5, seed=3)
    assert abs(drawn.std() - 0.5) < 0.01  # of 40,000 deviates the error is 0.5 / sqrt(80,000) = 0.002
    np.testing.assert_array_equal(drawn, starts_from_file(tmp_path / "t.npz", FLOW, 10_000, noise=0.5, seed=3))
    assert not np.array_equal(drawn, starts_from_file(tmp_path / "t.npz", FLOW, 10_000, noise=0.5, seed=4))


@pytest.mark.parametrize(
    ("arrays", "keys", "says"),
    [
        ({"hidden": STATES[..., :3]}, None, r"no states of this network in hidden \(3, 7, 3\); .* 4 state variables"),
        ({"hidden": STATES[..., 0]}, None, r"hidden \(3, 7\)"),
        ({"hidden": STATES}, ["cell"], r"no array 'cell'; it holds hidden \(3, 7, 4\)"),
        ({"a": STATES[..., :3], "b": STATES}, ["a", "b"], r"a \(3, 7, 3\), b \(3, 7, 4\)"),
        ({"a": STATES[:2, :, :2], "b": STATES[..., :2]}, ["a", "b"], r"a \(2, 7, 2\), b \(3, 7, 2\)"),
        ({"scalar": np.float64(1)}, None, r"no states of this network in scalar \(\)"),
    ],
    ids=["width", "no units", "key", "too wide together", "trials differ", "nothing"],
)
def test_what_cannot_be_the_states_is_named_with_its_shape(tmp_path, arrays, keys, says):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(CheckpointError, match=says):
        states_from_file(tmp_path / "t.npz", FLOW, keys)


def test_senseless_numbers_and_files_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", hidden=STATES)
    with pytest.raises(ValueError, match="n is 0"):
        starts_from_file(tmp_path / "t.npz", FLOW, 0)
    with pytest.raises(ValueError, match="noise is -1"):
        starts_from_file(tmp_path / "t.npz", FLOW, 5, noise=-1)
    with pytest.raises(CheckpointError, match="no such file"):
        states_from_file(tmp_path / "nowhere.npz", FLOW)


def test_a_row_of_an_array_is_one_condition(tmp_path):
    np.savez(tmp_path / "t.npz", hidden=STATES, last=[[1.0, -1.0], [-1.0, 0.0], [0.5, 1.0]], count=[[3], [1], [2]])
    assert conditions_from_file("last", tmp_path / "t.npz", 3) == ["1 -1", "-1 0", "0.5 1"]
    assert conditions_from_file("count", tmp_path / "t.npz", 3) == [3, 1, 2]
    with pytest.raises(CheckpointError, match="it has 6 conditions for 4 trials"):
        conditions_from_file("last", tmp_path / "t.npz", 4)


def test_arrays_of_other_axes_are_refused_with_their_shapes(tmp_path):
    for array in (STATES[None], STATES[0, 0]):
        np.savez(tmp_path / "t.npz", hidden=array)
        with pytest.raises(CheckpointError, match=r"in hidden \(.*4,?\); give trials x time x units, or time x units"):
            states_from_file(tmp_path / "t.npz", FLOW)
