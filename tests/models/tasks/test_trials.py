"""Tasks of trials: what is asked in them, by mathematics; what counts; and networks that learn and remember them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.models.tasks.sine import SineWave
from dynsys.models.tasks.trials import Trials, TrialTask, fields_of
from dynsys.models.training.learners import learner
from dynsys.models.training.trials import TrialsLesson


def test_each_of_51_inputs_stands_for_a_sine_of_its_frequency():
    """s(t + 1) + s(t - 1) = 2 cos(w) s(t) is what a sine of w radians per step obeys, and no other does."""
    trials = SineWave().trials(51, seed=3)
    j = np.round((trials.inputs[:, 0, 0] - 0.25) * 51)
    assert sorted(j) == list(range(51))
    assert (trials.inputs == trials.inputs[:, :1]).all()
    w, s = 0.1 * (0.1 + 0.01 * j)[:, None], trials.target[..., 0]
    np.testing.assert_allclose(s[:, 2:] + s[:, :-2], 2 * np.cos(w) * s[:, 1:-1], atol=1e-12)
    np.testing.assert_allclose(s[:, 0], np.sin(w[:, 0]))


def test_in_a_long_run_the_wave_changes_its_frequency_and_never_jumps():
    task = SineWave(steps=50)
    run = task.trial(5_000, seed=0)
    assert len(np.unique(run.inputs)) == 51
    assert np.abs(np.diff(run.target[:, 0])).max() <= 0.6 * 0.1


@pytest.mark.parametrize("off", [0.0, 0.03, 0.08])
def test_the_score_of_waves_is_how_far_off_their_frequency_is(off):
    task = SineWave(dt=0.5)
    trials = task.test(0)
    w = 0.5 * (0.1 + 0.01 * np.arange(51))
    output = 0.9 * np.cos(np.outer(w * (1 + off), np.arange(trials.target.shape[1])) + 1)
    scores = task.scores(trials, output[..., None])
    assert scores["frequency_error"] == pytest.approx(off, abs=2e-3)
    assert 0.88 < scores["least_amplitude"] <= scores["largest_amplitude"] <= 0.9
    assert task.learned(scores) == (off < 0.05)


def test_a_wave_that_dies_out_is_not_learned():
    task = SineWave(dt=0.5)
    trials = task.test(0)
    output = trials.target * np.exp(-0.1 * np.arange(trials.target.shape[1]))[:, None]
    assert not task.learned(task.scores(trials, output))


@dataclass(frozen=True)
class Echo(TrialTask):
    """The input comes out again; the first of four steps does not count."""

    n_input = 1
    length = 4

    def trials(self, count, seed):
        inputs = np.random.default_rng(seed).standard_normal((count, 4, 1))
        mask = np.ones((count, 4), dtype=bool)
        mask[:, 0] = False
        return Trials(inputs, inputs, mask)

    def scores(self, trials, output):
        return {"mse": trials.mse(output)}

    def learned(self, scores):
        return scores["mse"] < 1e-3


class Shifted(nn.Module):
    """Its input, with something added in some steps."""

    def __init__(self, *added):
        super().__init__()
        self.added = torch.tensor(added).reshape(1, -1, 1)

    def forward(self, inputs):
        return inputs + self.added


def test_what_the_mask_leaves_out_counts_nowhere():
    lesson = TrialsLesson(Echo(), batch=8)
    elsewhere, there = Shifted(9.0, 0.0, 0.0, 0.0), Shifted(0.0, 0.0, 3.0, 0.0)
    assert lesson.loss(elsewhere, 0) == 0
    assert lesson.error(elsewhere) < 1e-12  # outputs are of single precision
    assert lesson.loss(there, 0) == pytest.approx(3.0**2 / 3)
    assert lesson.error(there) == pytest.approx(3.0**2 / 3)


def test_a_user_sets_the_numbers_of_a_task_by_name():
    assert SineWave(**fields_of(SineWave, {"waves": "7", "dt": "0.2"})) == SineWave(waves=7, dt=0.2)
    with pytest.raises(ValueError, match="speed is nothing that can be set"):
        fields_of(SineWave, {"speed": "1"})
    with pytest.raises(ValueError, match=r"waves is '1\.5'; it has to be a whole number"):
        fields_of(SineWave, {"waves": "1.5"})
    with pytest.raises(ValueError, match=r"slowest is 0\.9"):
        SineWave(slowest=0.9)


def test_a_network_trained_by_force_remembers_its_task_and_is_searched_at_its_inputs(tmp_path):
    options = {"waves": "3", "steps": "100"}
    trained = learner("sine", "esn")(tmp_path, units=20, steps=600, options=options)
    network = dynsys.load(tmp_path)
    assert network.task == trained.network.task == SineWave(waves=3, steps=100)
    points = dynsys.find_fixed_points(network, n_starts=30, verify=False)
    assert points.search.inputs == [[0.25], [0.25 + 1 / 3], [0.25 + 2 / 3]]
