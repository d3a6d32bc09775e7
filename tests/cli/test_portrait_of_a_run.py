"""What the portrait of a run shows: the trajectories that its search began from, and attractors that are no points."""

import dataclasses

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import FixedPoints, find_fixed_points, plots
from dynsys.analyses.portrait import portrait
from dynsys.analyses.run import load_run
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.io.files import write_tensors
from dynsys.models.loading.checkpoint import load
from dynsys.systems.system import Kind
from dynsys.trajectories.recorded import RECORDED, Recorded, Recording


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result


@pytest.fixture
def gru(tmp_path):
    """A GRU's file, its own run of 7 trials of 30 steps, trials x time x units, and the last trial cut short by NaN."""
    torch.manual_seed(0)
    module = torch.nn.GRU(2, 3, batch_first=True)
    torch.save(module.state_dict(), tmp_path / "gru.pt")
    hidden = module(torch.randn(7, 30, 2))[0].detach().numpy()
    hidden[6, 10:] = np.nan
    np.savez(tmp_path / "trials.npz", hidden=hidden)
    return tmp_path / "gru.pt", tmp_path / "trials.npz", hidden


def drawn(folder):
    points, system = load_run(folder)
    recorded = Recorded.load(folder / RECORDED) if (folder / RECORDED).is_file() else None
    return {one.name: one for one in portrait(points, system, recorded=recorded).data}


def test_the_trajectories_drawn_are_those_that_the_search_began_from(gru, tmp_path):
    model, trials, hidden = gru
    folder = tmp_path / "run"
    run("find", model, "-o", folder, "--trajectories", trials, "--starts", 16, "--no-verify")
    for kept, trial in zip(Recorded.load(folder / RECORDED).runs, hidden, strict=True):
        np.testing.assert_array_equal(kept, trial[np.isfinite(trial).all(axis=1)])
    figure = drawn(folder)
    assert "recorded trajectories" in figure
    assert len(figure["recorded trajectories"].x) == 6 * 30 + 10 + 6  # and a break between each two
    run("portrait", folder, "-o", tmp_path / "p.html", "--fit", "trajectories")
    assert "recorded trajectories" in (tmp_path / "p.html").read_text()


def test_the_starts_of_a_search_are_kept_with_its_points_and_drawn_where_asked(tmp_path):
    """Each of those used is one of those given, in single precision."""
    given = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    points = find_fixed_points(load("simple2d"), given, workers=1)
    assert len(points.starts) == points.search.starts
    rows = {tuple(row) for row in given.astype(np.float32).tolist()}
    assert {tuple(row) for row in points.starts.tolist()} <= rows
    again = FixedPoints.load(points.save(tmp_path / "points.safetensors"))
    np.testing.assert_array_equal(again.starts, points.starts)
    figure = {one.name: one for one in plots.phase_portrait(again, starts=True).data}
    assert len(figure["starts of the search"].x) == len(points.starts)
    assert "starts of the search" not in {one.name for one in plots.phase_portrait(again).data}
    nothing = dataclasses.replace(points, starts=points.starts[:0])
    with pytest.raises(ValueError, match="do not tell what their search began from"):
        plots.phase_portrait(nothing, starts=True)


def test_the_starts_are_drawn_by_the_command_and_by_no_other_picture(tmp_path):
    run("find", "simple2d", "-o", tmp_path, "--starts", 16, "--no-verify")
    run("portrait", tmp_path, "-o", tmp_path / "p.html", "--starts")
    assert "starts of the search" in (tmp_path / "p.html").read_text()
    told = run("portrait", tmp_path, "-o", tmp_path / "s.html", "--starts", "--picture", "spectrum", code=1)
    assert "--starts makes no difference to the picture 'spectrum'" in told.stderr


def test_basins_take_the_states_that_were_recorded(gru, tmp_path):
    model, trials, _ = gru
    folder = tmp_path / "run"
    run("find", model, "-o", folder, "--trajectories", trials, "--starts", 16)
    told = run("basins", folder, "--samples", 8).stdout
    assert "8 of the recorded states end in" in told
    run("find", model, "-o", folder, "--starts", 16)
    assert "8 of the states under random inputs end in" in run("basins", folder, "--samples", 8).stdout


def test_a_run_remembers_its_trials_and_starts_from_them(gru, tmp_path):
    """Whatever is loaded from its folder does, and a search that begins from the folder keeps them."""
    model, trials, hidden = gru
    folder = tmp_path / "run"
    told = run("find", model, "-o", folder, "--trajectories", trials, "--starts", 16).stdout
    assert "64 trajectories from recorded states settle" in told
    given = hidden.reshape(-1, 3)
    given = given[np.isfinite(given).all(axis=1)]
    points = FixedPoints.load(folder / "fixed_points.safetensors")
    for system in (load(folder), load_run(folder)[1], points.system):
        np.testing.assert_array_equal(system.recorded.numpy(), given)
    assert load(model).recorded is None
    told = run("find", folder, "-o", tmp_path / "again", "--starts", 16, "--no-verify")
    assert "from the trials that" in told.stderr
    np.testing.assert_array_equal(load(tmp_path / "again").recorded.numpy(), given)


def test_a_search_without_recorded_trajectories_forgets_those_of_the_one_before(gru, tmp_path):
    model, trials, _ = gru
    folder = tmp_path / "run"
    run("find", model, "-o", folder, "--trajectories", trials, "--starts", 16, "--no-verify")
    run("find", model, "-o", folder, "--starts", 16, "--no-verify")
    assert not (folder / RECORDED).exists()
    assert "runs under random pulses (no task is known)" in drawn(folder)
    assert not [name for name in drawn(folder) if name == "trajectories"]


@pytest.mark.parametrize(
    ("lengths", "kind", "kept"),
    [
        ([400] * 10, Kind.MAP, [400, 400]),  # 1,000 states have room for two
        ([400] * 10, Kind.FLOW, [400] * 10),
        ([5000], Kind.MAP, [1000]),
        ([3, 2], Kind.MAP, [3, 2]),
    ],
)
def test_whole_trials_are_kept_as_far_as_there_is_room(lengths, kind, kept):
    runs = [np.full((length, 2), float(i)) for i, length in enumerate(lengths)]
    recorded = Recorded.of(Recording(runs), kind)
    assert [len(one) for one in recorded.runs] == kept
    assert recorded.called == (
        "recorded trajectories" if len(kept) == len(runs) else f"recorded trajectories ({len(kept)} of {len(runs)})"
    )


@pytest.mark.parametrize("lengths", [[2, 2], [0, 3], [-1, 4], []])
def test_kept_trajectories_that_make_no_sense_are_one_clear_error(tmp_path, lengths):
    tensors = {"states": np.zeros((3, 2), dtype=np.float32), "lengths": np.array(lengths, dtype=np.int64)}
    write_tensors(tmp_path / "x", tensors, {"schema": "dynsys.trajectories/1", "trials": 2})
    with pytest.raises(CheckpointError, match="no whole set of trajectories"):
        Recorded.load(tmp_path / "x")


def test_a_memory_that_is_an_orbit_is_in_the_picture_and_in_its_caption(tmp_path):
    """x' = tanh(-3 x) goes to and fro between +-a with a = tanh(3 a); its only fixed point, 0, is unstable."""
    np.savez(tmp_path / "w.npz", W=[[-3.0]])
    system = load(tmp_path / "w.npz", form="rnn", activation="tanh", matrices={"recurrent": "W"})
    points = find_fixed_points(system, n_starts=32)
    figure = portrait(points, system)
    (loop,) = [one for one in figure.data if one.name == "stable orbit of period 2"]
    (note,) = [one.text for one in figure.layout.annotations if one.name == "caption"]
    assert "Attractors that are no points: 1 stable orbit of period 2." in note
    x = np.ones(1)
    for _ in range(200):
        x = np.tanh(3 * x)
    axis = [one for one in figure.data if one.name == "where they start"]
    assert axis
    np.testing.assert_allclose(np.ptp(loop.x), 2 * x[0], rtol=1e-6)


def test_a_network_whose_trajectories_all_end_at_its_points_has_nothing_beside_them(tmp_path):
    np.savez(tmp_path / "w.npz", W=[[3.0]])
    system = load(tmp_path / "w.npz", form="rnn", activation="tanh", matrices={"recurrent": "W"})
    figure = portrait(find_fixed_points(system, n_starts=32), system)
    assert "no points:" not in next(one.text for one in figure.layout.annotations if one.name == "caption")
