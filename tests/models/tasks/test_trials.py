"""Tasks of trials: what is asked in them, by mathematics; what counts; and networks that learn and remember them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys.models.driven.of_task import held_inputs
from dynsys.models.tasks.integration import Integration
from dynsys.models.tasks.match_to_sample import MatchToSample
from dynsys.models.tasks.moving_average import MovingAverage
from dynsys.models.tasks.ready_set_go import ReadySetGo
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


def test_in_a_long_run_the_wave_changes_its_frequency_after_two_periods_and_never_jumps():
    run = SineWave(waves=5, steps=300).trial(5_000, seed=0)
    changes = np.flatnonzero(np.diff(run.inputs[:, 0]))
    w = 0.1 * (0.1 + 0.125 * np.round((run.inputs[changes, 0] - 0.25) * 5))  # of the wave that ends there
    assert (np.diff(changes) == np.maximum(300, np.ceil(4 * np.pi / w[1:]))).all()
    assert len(np.unique(run.inputs)) == 5
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


def test_the_choice_is_the_sign_of_the_integral_of_the_stream_in_context():
    task = Integration(stimulus=30, response=5)
    trials = task.trials(200, seed=1)
    some = zip(trials.inputs, trials.target[..., 0], trials.mask, strict=True)
    for u, target, counts in some:
        context = u[0, 2:]
        assert sorted(context) == [0, 1]
        assert (u[:, 2:] == context).all()
        integral = u[:30, int(context[1])].sum()
        assert (target[30:] == np.sign(integral)).all()
        assert not u[30:, :2].any()
        assert counts.nonzero()[0].tolist() == [0, 30, 31, 32, 33, 34]
    assert not trials.target[:, 0].any()


def test_evidence_has_the_mean_and_the_noise_of_its_step():
    """A mean uniform in +-c has the variance c^2 / 3; noise per root of time falls with the root of a step."""
    shown = Integration(stimulus=50, dt=4.0, coherence=0.9, noise=1.0).trials(4000, seed=0).inputs[:, :50, :2]
    assert shown.var(axis=1).mean() == pytest.approx(1 / 4, rel=0.05)
    assert shown.mean(axis=1).var() == pytest.approx(0.9**2 / 3 + 1 / (4 * 50), rel=0.05)


def test_a_choice_counts_by_its_sign_in_each_context():
    task = Integration(stimulus=5, response=2)
    trials = task.trials(100, seed=0)
    wrong_on_color = np.where(trials.inputs[..., 3:] > 0, -trials.target, trials.target)
    scores = task.scores(trials, wrong_on_color)
    assert (scores["accuracy_motion"], scores["accuracy_color"]) == (1, 0)
    assert not task.learned(scores)
    assert task.learned(task.scores(trials, 0.2 * trials.target))


def test_the_average_is_that_of_the_last_two_pulses_and_counts_when_they_have_come():
    task = MovingAverage(steps=90, pulse=3, settle=6, shortest=10, longest=20)
    trials = task.trials(40, seed=2)
    for u, target, counts in zip(trials.inputs, trials.target[..., 0], trials.mask, strict=True):
        sizes, since = [], 99
        for t in range(90):
            begins = u[t, 1] == 1 and (t == 0 or u[t - 1, 1] == 0)
            sizes, since = ([*sizes, u[t, 0]], 0) if begins else (sizes, since + 1)
            assert (u[t, 1] == 1) == (since < 3)
            assert u[t, 0] == (sizes[-1] if since < 3 else 0)
            assert counts[t] == (len(sizes) >= 2 and since >= 6)
            if counts[t]:
                assert target[t] == pytest.approx((sizes[-1] + sizes[-2]) / 2)
    assert task.learned(task.scores(trials, trials.target))
    assert not task.learned(task.scores(trials, np.zeros_like(trials.target)))


def test_a_match_is_told_from_a_mismatch_after_the_second_stimulus():
    task = MatchToSample(shown=4, shortest=3, longest=9, response=5)
    begun, whole = task.eased(0), task.eased(1000)
    assert (begun.shown, begun.shortest, begun.longest, begun.response) == (4, 0, 5, 5)  # 5 of each at the most
    assert whole == task
    trials = task.trials(200, seed=0)
    delays, matches = [], 0
    for u, target, counts in zip(trials.inputs, trials.target[..., 0], trials.mask, strict=True):
        on = np.flatnonzero(u.sum(axis=1))
        assert len(on) == 8
        first, second = u[on[0]].argmax(), u[on[-1]].argmax()
        delays.append(on[4] - on[3] - 1)
        assert np.flatnonzero(counts).tolist() == [0, *range(on[-1] + 1, on[-1] + 6)]
        assert (target[counts] == [0, *[1 if first == second else -1] * 5]).all()
        matches += first == second
    assert (min(delays), max(delays)) == (3, 9)
    assert 70 < matches < 130
    assert task.scores(trials, -trials.target)["accuracy"] == 0
    assert task.learned(task.scores(trials, 0.1 * trials.target))


def test_the_ramp_passes_one_when_the_interval_has_gone_by_again():
    task = ReadySetGo(shortest=6, longest=15, pulse=2, wait=4)
    trials = task.trials(100, seed=0)
    intervals = []
    for u, target in zip(trials.inputs, trials.target[..., 0], strict=True):
        ready, then = (np.flatnonzero(u[:, k])[0] for k in (0, 1))
        intervals.append(then - ready)
        assert u.sum(axis=0).tolist() == [2, 2]
        assert not target[: then + 1].any()
        assert target[then + intervals[-1]] == pytest.approx(1)
        assert np.diff(target[then:]) == pytest.approx(1 / intervals[-1])
    assert (min(intervals), max(intervals)) == (6, 15)
    assert trials.mask[trials.target[..., 0] < 1.2].all()


@pytest.mark.parametrize("slower", [1.0, 1.08, 2.0])
def test_an_interval_is_wrong_by_as_much_as_the_output_is_slower(slower):
    task = ReadySetGo(shortest=10, longest=20)
    trials = task.trials(50, seed=0)
    scores = task.scores(trials, trials.target / slower)
    assert scores["interval_error"] == pytest.approx(slower - 1, abs=1e-9)  # twice as slow is wrong by all of it
    assert task.learned(scores) == (slower < 1.1)


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


def test_a_network_trained_by_force_remembers_its_task(tmp_path):
    trained = learner("sine", "esn")(tmp_path, units=20, steps=600, options={"waves": "3", "steps": "100"})
    network = dynsys.load(tmp_path)
    assert network.task == trained.network.task == SineWave(waves=3, steps=100)
    assert held_inputs(network).tolist() == [[0.25], [0.25 + 1 / 3], [0.25 + 2 / 3]]
    assert held_inputs(dynsys.load("bistable")) is None
