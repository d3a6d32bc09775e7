"""A run's folder keeps points and network together, wherever it is moved."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

import dynsys
from dynsys.analyses.flipflop import Demo, run
from dynsys.analyses.pictures import draw
from dynsys.analyses.portrait import releases
from dynsys.analyses.run import load_run, search_and_save
from dynsys.io.errors import CheckpointError
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.result.summary import summary


def quiet(stage, done, total):
    pass


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "run" / FILE_NAME, SimpleRNN.random(8))
    search_and_save(load(tmp_path / "run"), tmp_path / "run", tmp_path / "run" / FILE_NAME, quiet, n_starts=16)
    return tmp_path / "run"


def test_a_run_that_was_moved_finds_its_network_beside_it(folder, tmp_path):
    shutil.move(folder, tmp_path / "elsewhere")
    points, system = load_run(tmp_path / "elsewhere")
    assert torch.equal(system.W, SimpleRNN.random(8).W)
    assert points.system is system


def test_points_are_never_drawn_over_another_network(folder):
    save_checkpoint(folder / FILE_NAME, SimpleRNN.random(8, seed=1))
    with pytest.raises(CheckpointError, match="trained again since"):
        draw("phase", folder, folder / "portrait.html")
    assert not (folder / "portrait.html").exists()


@pytest.fixture
def relu_file(tmp_path):
    """A state dict that does not tell tanh from relu."""
    torch.manual_seed(0)
    torch.save(torch.nn.RNN(2, 5, nonlinearity="relu").state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_a_run_loads_its_network_again_as_it_was_loaded(relu_file, tmp_path):
    choices = {"activation": "relu"}
    search_and_save(load(relu_file, **choices), tmp_path / "run", relu_file, quiet, loading=choices, n_starts=8)
    points, system = load_run(tmp_path / "run")
    assert points.about["loading"] == choices
    assert system.nonlinearity == "relu"
    shutil.move(relu_file, tmp_path / "run" / "model.pt")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    assert load_run(tmp_path / "elsewhere")[1].nonlinearity == "relu"


@pytest.mark.parametrize("loading", [{"color": "red"}, {"matrices": 3}, [1], "relu"], ids=str)
def test_a_note_of_the_loading_that_makes_no_sense_is_one_clear_error(relu_file, tmp_path, loading):
    points = search_and_save(load(relu_file), tmp_path / "run", relu_file, quiet, n_starts=8)
    spoilt = dataclasses.replace(points, about={**points.about, "loading": loading})
    spoilt.save(tmp_path / "run" / "fixed_points.safetensors")
    with pytest.raises(CheckpointError, match=r"makes no sense|is no dict"):
        load_run(tmp_path / "run")


def test_a_refused_search_leaves_no_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="solver is 'magic'"):
        search_and_save(Simple2D(), tmp_path / "new", "simple2d", quiet, solver="magic")
    assert not (tmp_path / "new").exists()


def test_releases_follow_the_flow_and_end_where_they_leave_the_scene():
    """x' = x escapes like exp(t): each path is e^(0.1 k) times its start until it is three times the largest start."""
    flow = dynsys.Flow(lambda x, u: x, n_state=2, bounds=(-1, 1))
    for path in releases(flow, torch.zeros(1, 0, dtype=torch.float64), seed=0):
        growth = np.linalg.norm(path, axis=1) / np.linalg.norm(path[0])
        np.testing.assert_allclose(growth, np.exp(0.1 * np.arange(len(path))), rtol=1e-5)
        assert len(path) < 80


def test_the_summary_counts_by_kind():
    points = dynsys.find_fixed_points(Simple2D(), n_starts=32)
    assert summary(points) == "3 fixed points: 2 stable, 1 saddle with 1 unstable direction"


def test_the_demo_runs_at_toy_size(tmp_path):
    stages = []
    result = run(Demo(bits=1, units=60, n_starts=32), tmp_path, lambda stage, done, total: stages.append(stage))
    assert {"train", "search", "classify", "draw"} <= set(stages)
    written = {path.name for path in tmp_path.iterdir()}
    assert {
        FILE_NAME,
        "fixed_points.safetensors",
        "fixed_points.json",
        "portrait.html",
        "report.html",
        "results.json",
    } <= written
    assert len(result.points) >= 3
    assert result.trained.learned
