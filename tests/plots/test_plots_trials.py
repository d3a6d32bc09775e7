"""Trials by condition, several results in one portrait, directions as arrows."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import Flow, find_fixed_points, plots
from dynsys.cli import main
from dynsys.plots import style
from dynsys.plots.portrait.trials import by_condition, mean
from dynsys.trajectories.projection import Projection

WELLS = Flow(
    lambda x, u: torch.stack([u[:, 0] + x[:, 0] - x[:, 0] ** 3, -x[:, 1], -x[:, 2]], 1),
    n_state=3,
    n_input=1,
    bounds=(-2, 2),
)
PLAIN = Projection(np.zeros(3), np.eye(3), np.array([0.5, 0.3, 0.2]))


@pytest.fixture(scope="module")
def results():
    return [find_fixed_points(WELLS, input=[u], n_starts=16, verify=False) for u in (0.0, 1.0)]


def traces(figure):
    return {one.name: one for one in figure.data}


def xyz(one):
    return np.stack([one.x, one.y, one.z], axis=1).astype(float)


@pytest.fixture
def runs():
    """Four trials of 5, 5, 4 and 6 steps: trial i is at (i, t, 0)."""
    return [np.stack([np.full(n, float(i)), np.arange(float(n)), np.zeros(n)], 1) for i, n in enumerate((5, 5, 4, 6))]


def test_the_mean_of_a_condition_is_over_the_trials_that_last_so_long(results, runs):
    figure = plots.phase_portrait(results[0], runs, conditions=[1, 1, 2, 2], projection=PLAIN)
    drawn = [one for one in figure.data if one.name in ("1", "2")]
    means = {one.name: xyz(one) for one in drawn if one.showlegend is None or one.showlegend}
    np.testing.assert_allclose(means["1"], [[0.5, t, 0] for t in range(5)])
    np.testing.assert_allclose(means["2"], [[2.5, t, 0] for t in range(4)])  # of the shorter half
    assert sum(len(one.x) for one in drawn if one.showlegend is False) == 5 + 5 + 4 + 6 + 2  # and a break in each
    assert len({one.line.color for one in drawn}) == 2


def test_conditions_are_ordered_by_value_and_one_for_each_trajectory(runs):
    assert list(by_condition(runs, [10, 2, 2, 10], "all")) == ["2", "10"]
    assert list(by_condition(runs, ["right", "left", "left", "left"], "all")) == ["left", "right"]
    with pytest.raises(ValueError, match="3 conditions for 4 trajectories"):
        by_condition(runs, [1, 2, 3], "all")


def test_a_mean_lasts_as_long_as_half_of_the_trials():
    assert len(mean([np.zeros((n, 1)) for n in (1, 2, 9, 10)])) == 2
    assert len(mean([np.zeros((n, 1)) for n in (1, 5, 9)])) == 5


def test_epochs_are_marked_on_the_means_that_reach_them(results, runs):
    figure = plots.phase_portrait(
        results[0], runs, conditions=[1, 1, 2, 2], epochs={"cue": 1, "go": 4}, projection=PLAIN
    )
    found = traces(figure)
    np.testing.assert_allclose(xyz(found["cue (step 1)"]), [[0.5, 1, 0], [2.5, 1, 0]])
    np.testing.assert_allclose(xyz(found["go (step 4)"]), [[0.5, 4, 0]])
    with pytest.raises(ValueError, match="'late' begins at step 6; the longest trajectory has steps 0 to 5"):
        plots.phase_portrait(results[0], runs, epochs={"late": 6})


def test_several_results_stand_in_one_portrait_each_in_its_colour(results, runs):
    """u = 0 has -1, 0, 1; u = 1 the real root of x^3 = x + 1."""
    figure = plots.phase_portrait(results, [runs[:2], None], labels=["rest", "pushed"], projection=PLAIN)
    found = traces(figure)
    np.testing.assert_allclose(sorted(xyz(found["rest: stable"])[:, 0]), [-1, 1], atol=1e-6)
    np.testing.assert_allclose(xyz(found["pushed: stable"])[:, 0], [1.324718], atol=1e-6)
    assert found["rest: stable"].marker.color == found["rest: 1 unstable direction"].marker.color == style.LABELS[0]
    assert found["pushed: stable"].marker.color == style.LABELS[1]
    assert found["rest"].line.color == style.LABELS[0]
    (caption,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    assert "rest: 3 points" in caption
    assert "pushed: 1 point" in caption


def test_what_belongs_to_one_result_is_refused_of_several(results, runs):
    with pytest.raises(ValueError, match="a list of as many"):
        plots.phase_portrait(results, runs)
    with pytest.raises(ValueError, match="leave out conditions"):
        plots.phase_portrait(results, conditions=[1])
    with pytest.raises(ValueError, match="labels are those of several results"):
        plots.phase_portrait(results[0], labels=["a"])


def test_an_arrow_is_a_unit_vector_as_it_looks_in_the_picture(results):
    """Of length 0.3 of the longest side, from the middle of the points, or from the state that is given."""
    figure = plots.phase_portrait(
        results[0],
        arrows={"input": [2.0, 0, 0], "at": (np.array([0.0, 1, 0]), np.array([0, 0, -3.0]))},
        projection=PLAIN,
    )
    side = max(np.ptp(figure.layout.scene[f"{key}axis"].range) for key in "xyz")
    found = traces(figure)
    np.testing.assert_allclose(xyz(found["input"])[:2], [[0, 0, 0], [0.3 * side, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(xyz(found["at"])[:2], [[0, 1, 0], [0, 1, -0.3 * side]], atol=1e-5)
    with pytest.raises(ValueError, match="'none' needs a vector"):
        plots.phase_portrait(results[0], arrows={"none": [0.0, 0, 0]})


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result.output + result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two searches of one GRU, at two inputs, from 6 trials of two conditions; the last trial is NaN."""
    place = tmp_path_factory.mktemp("gru")
    torch.manual_seed(0)
    module = torch.nn.GRU(2, 3, batch_first=True)
    torch.save(module.state_dict(), place / "gru.pt")
    hidden = module(torch.randn(6, 20, 2))[0].detach().numpy()
    hidden[5] = np.nan
    np.savez(place / "trials.npz", hidden=hidden, choice=[1, -1, 1, -1, 1, 1])
    few = ("--trajectories", place / "trials.npz", "--starts", 16, "--no-verify")
    run("find", place / "gru.pt", "-o", place / "a", *few)
    run("find", place / "gru.pt", "-o", place / "b", "--input", "1,0", *few)
    return place


def drawn(page):
    return page.read_text()


def test_portrait_colours_the_trials_of_the_search_by_an_array_of_their_file(folder, tmp_path):
    said = run("portrait", folder / "a", "-o", tmp_path / "p.html", "--conditions", "choice", "--epochs", "cue=5")
    assert "recorded in trials.npz" in said
    page = drawn(tmp_path / "p.html")
    assert '"name":"-1"' in page
    assert "cue (step 5)" in page


def test_conditions_stand_in_a_text_file_too(folder, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("left\nright\nleft\nright\nleft\nleft\n")
    run("portrait", folder / "a", "-o", tmp_path / "p.html", "--conditions", words)
    assert '"name":"right"' in drawn(tmp_path / "p.html")
    words.write_text("left\n")
    said = run("portrait", folder / "a", "-o", tmp_path / "p.html", "--conditions", words, code=1)
    assert "1 conditions for 6 trials" in said


def test_a_recording_that_changed_is_asked_for(folder, tmp_path):
    held = dict(np.load(folder / "trials.npz"))
    other = tmp_path / "other.npz"
    np.savez(other, **held)
    run("find", folder / "gru.pt", "-o", tmp_path / "run", "--trajectories", other, "--starts", 16, "--no-verify")
    np.savez(other, **{**held, "choice": [1, 1, 1, 1, 1, -1]})
    said = run("portrait", tmp_path / "run", "-o", tmp_path / "p.html", "--conditions", "choice", code=1)
    assert "has changed since the search began from it" in said
    run("portrait", tmp_path / "run", "-o", tmp_path / "p.html", "--conditions", "choice", "--trajectories", other)


def test_runs_together_have_the_names_of_their_folders(folder, tmp_path):
    said = run("portrait", folder / "a", folder / "b", "-o", tmp_path / "p.html")
    assert "a: 1 point" in said
    assert "b: 1 point" in said
    said = run("portrait", folder / "a", folder / "b", "-o", tmp_path / "p.html", "--picture", "spectrum", code=1)
    assert "is of one run" in said
    said = run("portrait", folder / "a", folder / "b", "-o", tmp_path / "p.html", "--conditions", "choice", code=1)
    assert "one run" in said


@pytest.mark.parametrize("given", ["cue", "cue=x", "=5"])
def test_epochs_are_names_with_steps(folder, given):
    assert "NAME=STEP" in run("portrait", folder / "a", "--epochs", given, code=2)


def test_points_tell_where_their_trials_came_from(folder):
    from dynsys.analyses.run import RECORDED
    from dynsys.trajectories.recorded import Recorded

    recorded = Recorded.load(folder / "a" / RECORDED)
    assert recorded.file == str(folder / "trials.npz")
    assert len(recorded.digest) == 64
    assert json.loads((folder / "a" / "fixed_points.json").read_text())["schema"]
