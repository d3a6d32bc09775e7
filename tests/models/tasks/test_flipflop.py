"""The flip-flop task by properties, its score by hand-made outputs, and a small network that learns it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynsys.models.tasks.flipflop import FlipFlop, Trial, of_the_error
from dynsys.models.training.by_force.recipes import PRESETS, train_esn

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def tasks(draw, may_overlap=True):
    pulse = draw(st.integers(1, 30))
    return FlipFlop(
        bits=draw(st.integers(1, 5)),
        pulse=pulse,
        gap=draw(st.floats(2.0, 200.0)),
        settle=draw(st.integers(pulse, 60)),
        overlap=may_overlap and draw(st.booleans()),
    )


@given(tasks(), SEEDS)
def test_the_target_is_the_sign_of_the_last_pulse_on_its_channel(task, seed):
    trial, last = task.trial(600, seed), np.zeros(task.bits)
    for u, target in zip(trial.inputs, trial.target, strict=True):
        last = np.where(u != 0, u, last)
        assert np.array_equal(target, last)
    assert set(np.unique(trial.inputs)) <= {-1.0, 0.0, 1.0}


@given(tasks(may_overlap=False), SEEDS)
def test_without_overlap_there_is_one_pulse_at_a_time_of_the_length_asked_for(task, seed):
    inputs = task.trial(600, seed).inputs
    assert (np.count_nonzero(inputs, axis=1) <= 1).all()
    for channel in inputs.T:
        starts_and_ends = np.flatnonzero(np.diff(np.concatenate([[0.0], channel, [0.0]])))
        lengths = np.diff(starts_and_ends)[channel[starts_and_ends[:-1]] != 0]
        complete = lengths[:-1]  # the last may be cut off by the end; two of one sign may touch, two of others may not
        assert (complete % task.pulse == 0).all()


@given(tasks(), SEEDS)
def test_same_seed_same_trial(task, seed):
    first, again = task.trial(300, seed), task.trial(300, seed)
    assert np.array_equal(first.inputs, again.inputs)
    assert np.array_equal(first.target, again.target)
    assert np.array_equal(first.settled, again.settled)


@given(tasks(), SEEDS)
def test_settled_is_where_no_pulse_began_within_the_settling_time(task, seed):
    trial = task.trial(600, seed)
    before = np.vstack([np.zeros(task.bits), trial.target[:-1]])
    for t in np.flatnonzero((trial.target != before).any(axis=1)):  # a change of target is the start of a pulse
        assert not trial.settled[t : t + task.settle].any()
    ends = np.flatnonzero((trial.inputs != 0).any(axis=1))
    quiet = np.setdiff1d(np.arange(600), (ends[:, None] + np.arange(task.settle)).ravel())
    assert trial.settled[quiet].all()


@given(SEEDS, st.floats(-2, 2))
def test_bits_not_pulsed_yet_are_left_out_of_the_settled_scores(seed, guess):
    trial = FlipFlop(3).trial(400, seed)
    output = np.where(trial.target == 0, guess, trial.target)
    scores = trial.score(output)
    assume((trial.settled[:, None] & (trial.target != 0)).any())
    assert scores["settled_mse"] == 0.0
    assert scores["settled_bit_accuracy"] == 1.0


def test_the_score_counts_settled_bits_and_only_these():
    inputs, target = np.zeros((4, 2)), np.array([[1.0, 0.0], [1.0, 0.0], [1.0, -1.0], [1.0, -1.0]])
    trial = Trial(inputs, target, settled=np.array([False, True, False, True]))
    output = np.array([[-9.0, 9.0], [1.0, 9.0], [-9.0, 9.0], [-1.0, -1.0]])
    scores = trial.score(output)  # judged: (1, 0), (3, 0), (3, 1); of these (3, 0) is wrong by 2
    assert scores["settled_bit_accuracy"] == pytest.approx(2 / 3)
    assert scores["settled_mse"] == pytest.approx(4 / 3)
    assert scores["mse"] == pytest.approx((100 + 0 + 100 + 100 + 4 + 0) / 6)  # bit 1 has no target in steps 0 and 1
    assert scores["mse_after_pulses"] == pytest.approx((100 + 100 + 100) / 6)
    assert of_the_error(scores, 3) == "99 % of it within 3 steps of the beginning of a pulse"  # 300 / 304


def test_a_network_that_turns_at_once_has_no_error_at_all():
    """Nothing keeps a map from that: its state and what is read out of it can jump as the target does."""
    trial = FlipFlop(2, pulse=1, gap=5.0, settle=3, overlap=True).trial(200, seed=0)
    held, said = np.zeros(2), []
    for u in trial.inputs:
        held = np.where(u != 0, u, held)
        said.append(held)
    scores = trial.score(np.array(said))
    assert (scores["mse"], scores["settled_mse"], scores["settled_bit_accuracy"]) == (0.0, 0.0, 1.0)
    assert of_the_error(scores, 3) == ""


@pytest.mark.parametrize("guess", [-1.0, 0.0, 3.0])
def test_what_is_said_before_a_bit_was_pulsed_makes_no_error(guess):
    trial = FlipFlop(3).trial(400, 0)
    scores = trial.score(np.where(trial.target == 0, guess, trial.target + 0.5))
    assert scores["mse"] == pytest.approx(0.25)


def test_many_trials_score_as_all_of_their_bits_together():
    many = FlipFlop(2, pulse=1, gap=5.0, settle=3, overlap=True).trials(4, 50, 0)
    output = np.random.default_rng(0).standard_normal((4, 50, 2))
    squares = [
        (output[b, t, i] - many.target[b, t, i]) ** 2
        for b in range(4) for t in range(50) for i in range(2) if many.target[b, t, i]
    ]  # fmt: skip
    assert many.score(output)["mse"] == pytest.approx(np.mean(squares))


def test_a_trial_in_which_nothing_settles_scores_nan_and_not_a_warning():
    scores = FlipFlop(2).trial(10, seed=0).score(np.zeros((10, 2)))
    assert np.isnan(scores["settled_bit_accuracy"])
    assert np.isnan(scores["settled_mse"])


@pytest.mark.parametrize("wrong", [{"bits": 0}, {"pulse": 0}, {"gap": 0.0}, {"settle": 5}])
def test_a_task_that_cannot_be_is_refused_with_its_values(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        FlipFlop(**wrong)


def test_transitions_are_counted_as_they_are_for_one_and_two_bits():
    assert FlipFlop(1).transitions == 4  # from either of two memories, either of two pulses
    assert FlipFlop(2).transitions == 16


def test_the_paper_preset_is_table_1():
    recipe = PRESETS["paper"]()
    assert (recipe.network.units, recipe.network.gain, recipe.network.tau) == (1000, 1.5, 10.0)
    assert (recipe.force.alpha, recipe.force.interval) == (1.0, 2)
    assert (recipe.steps, recipe.test_steps) == (30_000, 5_000)
    assert recipe.task.overlap
    ours = PRESETS["default"]().network
    assert (recipe.network.feedback, recipe.network.input_scale) == (ours.feedback, ours.input_scale) == (3.0, 3.0)
    inputs = recipe.task.trial(200_000, seed=0).inputs
    silent = np.mean(inputs == 0)
    assert silent == pytest.approx(0.98**10, abs=0.01)  # no pulse began in the last ten steps


def test_a_small_network_learns_two_bits():
    recipe = PRESETS["default"](bits=2, units=200)
    trained = train_esn(recipe)
    assert trained.learned
    assert trained.metrics["settled_mse"] < 1e-2
    assert trained.record.W_out.shape == (2, 200)


def test_a_run_far_too_short_did_not_learn():
    recipe = replace(PRESETS["default"](units=20), steps=50, test_steps=1000)
    assert not train_esn(recipe).learned
