"""A run of several inputs: each searched at, and kept apart in the table, the file, the JSON and the portrait.

x' = -x + W tanh(x) + u with W = [[2, -2], [2, 2]]: at u = 0 an unstable focus, 1 +- 2i, within a limit cycle; at u =
(5, 5) both units are saturated and x = (5, 9) is all there is, to tanh(5).
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import dynsys
from dynsys import FixedPoints
from dynsys.analyses.contexts.trial import trial_portrait
from dynsys.analyses.pictures import Asked, figure_of
from dynsys.analyses.run import search_and_save
from dynsys.cli import main
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.plots import style
from dynsys.search.find import SearchInterrupted


@pytest.fixture(scope="module")
def turning(tmp_path_factory):
    path = tmp_path_factory.mktemp("turning") / "turning.safetensors"
    return save_checkpoint(path, LeakyRate(np.array([[2.0, -2.0], [2.0, 2.0]]), np.eye(2), tau=2.0))


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result


@pytest.fixture(scope="module")
def found(turning, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    told = run("find", turning, "-o", folder, "--input", "0,0", "--input", "5,5", "--starts", 32, "--json")
    return folder, json.loads(told.stdout)


def test_the_points_of_each_input_stand_under_its_label(found):
    folder, told = found
    focus, node = told["points"]
    assert (focus["label"], focus["stability"], focus["input"]) == ("input 0, 0", "unstable focus", [0, 0])
    assert np.allclose(focus["leading_eigenvalue"], [1, 2])
    assert (node["label"], node["stability"], node["input"]) == ("input 5, 5", "stable node", [5, 5])
    points = FixedPoints.load(folder / "fixed_points.safetensors")
    assert points.label.tolist() == ["input 0, 0", "input 5, 5"]
    assert np.allclose(points.states, [[0, 0], [5, 9]], atol=1e-3)
    assert told["input"] == [[0, 0], [5, 5]]


def test_a_file_names_the_inputs_as_rows(found, turning, tmp_path):
    (tmp_path / "inputs.csv").write_text("u0,u1\n0,0\n5,5\n")
    told = run("find", turning, "-o", tmp_path / "run", "--inputs", tmp_path / "inputs.csv", "--starts", 32)
    assert "input 0, 0: Found 1 fixed point: 1 unstable focus" in " ".join(told.stdout.split())
    again = FixedPoints.load(tmp_path / "run" / "fixed_points.safetensors")
    assert np.array_equal(again.states, FixedPoints.load(found[0] / "fixed_points.safetensors").states)


def test_the_portrait_has_a_colour_for_each_input_and_the_cycle_of_its_own(found, tmp_path):
    figure, _ = figure_of(None, Asked(found[0]))
    names = {trace.name: trace for trace in figure.data}
    cycle = names["input 0, 0: oscillation"]
    assert cycle.line.color == names["input 0, 0: 2 or more unstable directions"].marker.color == style.BLUE
    assert names["input 5, 5: stable"].marker.color == style.ORANGE
    assert not any(name.startswith("input 5, 5: osc") for name in names)


def test_a_mistake_with_inputs_is_one_clear_line(turning, tmp_path):
    told = run("find", turning, "-o", tmp_path / "a", "--input", "0,0", "--input", "0,0", code=1)
    assert "input 0, 0 is given twice" in told.stderr
    told = run("find", turning, "-o", tmp_path / "a", "--input", "0,0", "--input", "1", code=1)
    assert "an input of 1 numbers is given; " in told.stderr
    assert not (tmp_path / "a").exists()
    told = run("find", turning, "-o", tmp_path / "a", "--input", "0,0", "--inputs", "x.csv", code=2)
    assert "give one of them" in told.stderr
    assert "takes 2 input values" in run("find", turning, "-o", tmp_path / "a", "--input", "1", code=1).stderr


def test_ctrl_c_keeps_the_points_of_the_inputs_before(turning, tmp_path):
    begun = []

    def interrupt(stage, done, total):
        begun.append(stage)
        if len(set(begun)) > 1 and stage == begun[0]:  # the stages come round again: the second input
            raise KeyboardInterrupt

    with pytest.raises(SearchInterrupted):
        search_and_save(load(turning), tmp_path, turning, interrupt, inputs=[[0.0, 0.0], [5.0, 5.0]], n_starts=32)
    assert "input 0, 0" in FixedPoints.load(tmp_path / "fixed_points.safetensors").label.tolist()


def test_points_are_carried_from_the_inputs_that_are_searched_at(found, turning, tmp_path):
    asked = ("--input", "0,0", "--input", "5,5", "--searches", 1, "--starts", 32)
    told = run("find", turning, "-o", tmp_path, *asked)
    assert "points were carried from another input" in " ".join(told.stdout.split())
    carried = FixedPoints.load(tmp_path / "fixed_points.safetensors")
    assert np.allclose(carried.states, FixedPoints.load(found[0] / "fixed_points.safetensors").states)


def test_one_input_is_searched_at(turning, tmp_path):
    told = run("find", turning, "-o", tmp_path / "run", "--input", "0,0", "--searches", 1, code=1)
    assert "searches is 1; there is one input" in " ".join(told.stderr.split())


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """An unstable focus at 0 before the step to (5, 5), a node after."""
    path = tmp_path_factory.mktemp("trials") / "trials.npz"
    u = np.zeros((2, 6, 2))
    u[1, 3:] = 5
    np.savez(path, hidden=np.full((2, 6, 2), 0.5), inputs=u)
    return path


@pytest.fixture(scope="module")
def moved(turning, trials, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    run("inputs", turning, "--trajectories", trials, "--trial", 1, "-o", folder)
    return folder


def test_a_row_for_each_stretch_of_equal_inputs(moved):
    first, second = json.loads((moved / "trial.json").read_text())["rows"]
    assert (first["from"], first["to"], first["points"], first["stable"]) == (0, 2, 1, 0)
    assert (second["from"], second["to"], second["points"], second["stable"]) == (3, 5, 1, 1)


def test_the_weakest_input_is_searched_at_and_that_the_others_are_not_is_told(tmp_path):
    """x' = x - x^3 + u has three zeros at u = 0, of which one is a saddle, and one zero at u = 1."""
    system = dynsys.Flow(lambda x, u: x - x**3 + u[:, :1], n_state=1, n_input=1, bounds=(-3, 3))
    how = {"searches": 1, "verify": False, "n_starts": 16}
    u = np.array([[1.0], [0.0], [1.0]])
    found = trial_portrait(system, np.zeros((3, 1)), u, tmp_path, "switch", lambda *stage: None, **how)
    assert [(row["points"], row["stable"]) for row in found.rows()] == [(1, 1), (3, 2), (1, 1)]
    assert found.sentence.startswith("1 of 2 inputs were searched at; to the others points were carried: unstable ones")


def test_the_points_stay_in_the_folder_as_a_search_leaves_them(moved):
    points = FixedPoints.load(moved / "fixed_points.safetensors")
    assert np.allclose(points.states, [[0, 0], [5, 9]], atol=1e-3)
    assert points.label.tolist() == ["input 0, 0", "input 5, 5"]


def test_a_file_without_that_trial_or_without_inputs_is_told(turning, trials, tmp_path):
    told = run("inputs", turning, "--trajectories", trials, "--trial", 2, "-o", tmp_path / "run", code=1)
    assert "it has no trial 2; its trials are 0 to 1" in " ".join(told.stderr.split())
    np.savez(tmp_path / "states.npz", hidden=np.zeros((4, 2)), time=np.arange(4.0))
    told = run("inputs", turning, "--trajectories", tmp_path / "states.npz", "-o", tmp_path / "run", code=1)
    assert "hidden" in told.stderr
    assert not (tmp_path / "run").exists()
