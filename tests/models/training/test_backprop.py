"""The trainer: Adam under clipping and a cosine, validation and early stopping, divergence, and going on."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dynsys.io.errors import CheckpointError
from dynsys.models.training.backprop import STATE, Backprop, TrainingDiverged, train

PULLS = np.random.default_rng(0).normal(size=(60, 3)) * np.geomspace(0.1, 30, 60)[:, None]  # of every step


class Point(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size, dtype=torch.float64))


class Pulled:
    """The loss of step t is g_t . w, so that its gradient is g_t; the error of a validation is what ``errors`` says."""

    def __init__(self, pulls=PULLS, errors=None):
        self.pulls, self.errors, self.steps = torch.as_tensor(pulls), errors, []

    def loss(self, network, step):
        self.steps.append(step)
        return (self.pulls[step] * network.w).sum()

    def error(self, network):
        return self.errors.pop(0) if self.errors is not None else float(network.w.norm()) + 1


class Noisy:
    """Least squares on other points in every step."""

    def loss(self, network, step):
        x = torch.as_tensor(np.random.default_rng([7, step]).normal(size=(8, 3)))
        return ((x @ network.w - x.sum(1)) ** 2).mean()

    def error(self, network):
        return float(((network.w - 1) ** 2).sum())


def adam(gradients, rates, clip):
    """Algorithm 1 of Kingma & Ba (2015), of gradients whose norm is cut."""
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g = g * min(1.0, clip / (np.linalg.norm(g) + 1e-6))  # that 1e-6 is torch's
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def test_training_is_adam_with_clipped_gradients_under_a_cosine():
    settings = Backprop(60, 0.02, last_rate=0.1, clip=2.0, validate_every=60)
    rates = 0.02 * (0.1 + 0.9 * (1 + np.cos(np.pi * np.arange(60) / 60)) / 2)
    network = Point()
    train(network, Pulled(), settings)
    np.testing.assert_allclose(network.w.detach(), adam(PULLS, rates, 2.0), rtol=1e-9)
    free = adam(PULLS, rates, math.inf)
    assert np.abs(network.w.detach().numpy() - free).max() > 1e-3  # clipping is seen in the result


def test_the_rate_rises_in_the_warmup_and_ends_at_its_share():
    settings = Backprop(100, 1.0, last_rate=0.25, warmup=10)
    assert [settings.rate(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert settings.rate(10) == 1.0
    assert settings.rate(55) == pytest.approx(0.625)  # half-way: the mean of both ends
    assert settings.rate(100) == pytest.approx(0.25)


def test_a_gradient_that_never_turns_moves_by_the_rate_in_every_step():
    settings = Backprop(60, 0.02, last_rate=1.0, clip=1e9)
    network = Point()
    train(network, Pulled(np.full((60, 3), [1.0, -5.0, 0.3])), settings)
    np.testing.assert_allclose(network.w.detach(), 60 * 0.02 * np.array([-1, 1, -1]), rtol=1e-6)


def test_training_stops_when_it_is_patient_no_longer_and_keeps_the_best():
    lesson, after = Pulled(errors=[5.0, 3.0, 4.0, 3.0, 2.0]), []
    settings = Backprop(60, 0.02, validate_every=5, patience=2)
    network = Point()
    progress = train(network, lesson, settings, callbacks=[lambda p: after.append(p.network.w.detach().clone())])
    assert progress.validated == [(5, 5.0), (10, 3.0), (15, 4.0), (20, 3.0)]
    assert (progress.step, progress.best_step, progress.best_error) == (20, 10, 3.0)
    assert torch.equal(network.w, after[9])
    assert not torch.equal(network.w, after[-1])


def test_training_stops_when_it_is_good_enough():
    progress = train(Point(), Pulled(errors=[5.0, 0.5, 0.1]), Backprop(60, 0.02, validate_every=5, enough=0.5))
    assert progress.step == 10


def test_the_last_step_is_validated_whatever_the_interval():
    progress = train(Point(), Pulled(), Backprop(17, 0.02, validate_every=5))
    assert [step for step, _ in progress.validated] == [5, 10, 15, 17]


class Stop(Exception):
    pass


def stop_at(step):
    def callback(progress):
        if progress.step == step:
            raise Stop

    return callback


@pytest.mark.parametrize("at", [1, 19, 20, 21, 47])
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(at, tmp_path):
    settings = Backprop(50, 0.05, validate_every=10, warmup=7)
    whole = train(Point(), Noisy(), settings)
    with pytest.raises(Stop):
        train(Point(), Noisy(), settings, folder=tmp_path, callbacks=[stop_at(at)])
    lesson = Noisy()
    seen = []
    again = train(Point(), lesson, settings, folder=tmp_path, callbacks=[lambda p: seen.append(p.step)])
    assert seen[0] == at // 10 * 10 + 1
    assert torch.equal(again.network.w, whole.network.w)
    assert (again.losses, again.validated, again.best_step) == (whole.losses, whole.validated, whole.best_step)


def test_a_training_that_had_ended_is_not_begun_again(tmp_path):
    settings = Backprop(20, 0.05, validate_every=10)
    first = train(Point(), Noisy(), settings, folder=tmp_path)
    lesson = Pulled()
    again = train(Point(), lesson, settings, folder=tmp_path)
    assert lesson.steps == []
    assert torch.equal(again.network.w, first.network.w)


def nan_from(step):
    pulls = PULLS.copy()
    pulls[step:] = np.nan
    return Pulled(pulls)


def test_a_loss_that_is_no_number_ends_training_and_keeps_the_best_weights(tmp_path):
    settings = Backprop(60, 0.02, clip=3.0, validate_every=10)
    after = []
    network = Point()
    with pytest.raises(TrainingDiverged, match=r"step 25.*learning rate \(0\.02\).*clipped \(3\).*step 10 are") as told:
        train(network, nan_from(25), settings, folder=tmp_path, callbacks=[lambda p: after.append(p.network.w.clone())])
    assert told.value.kept == 10  # the error of this lesson grows with w
    assert torch.equal(network.w, after[9])
    assert (tmp_path / STATE).is_file()
    with pytest.raises(TrainingDiverged, match="step 25"):
        train(Point(), nan_from(25), settings, folder=tmp_path)


def test_a_loss_that_was_never_a_number_keeps_nothing(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"step 3.*clipped \(1\)$") as told:
        train(Point(), nan_from(3), Backprop(60, 0.02, validate_every=10), folder=tmp_path)
    assert told.value.kept == 0
    assert not (tmp_path / STATE).exists()


def test_a_validation_error_that_is_no_number_is_a_divergence():
    with pytest.raises(TrainingDiverged, match="step 10"):
        train(Point(), Pulled(errors=[1.0, math.nan]), Backprop(60, 0.02, validate_every=5))


def test_the_state_of_another_run_is_refused(tmp_path):
    settings = Backprop(50, 0.05, validate_every=10)
    with pytest.raises(Stop):
        train(Point(), Noisy(), settings, folder=tmp_path, about={"units": 3}, callbacks=[stop_at(15)])
    with pytest.raises(CheckpointError, match=r"another learning_rate.*another folder"):
        train(Point(), Noisy(), Backprop(50, 0.01, validate_every=10), folder=tmp_path, about={"units": 3})
    with pytest.raises(CheckpointError, match="another units"):
        train(Point(), Noisy(), settings, folder=tmp_path, about={"units": 4})
    with pytest.raises(CheckpointError, match=r"state of another network.*another folder"):
        train(Point(4), Noisy(), settings, folder=tmp_path, about={"units": 3})


def test_a_state_that_was_cut_is_refused(tmp_path):
    with pytest.raises(Stop):
        train(Point(), Noisy(), Backprop(50, validate_every=10), folder=tmp_path, callbacks=[stop_at(15)])
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        train(Point(), Noisy(), Backprop(50, validate_every=10), folder=tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"validate_every": 0}, {"learning_rate": 0.0}, {"clip": -1.0}, {"learning_rate": math.nan}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backprop(**wrong)
