"""What makes a step out of a gradient, against autograd and the recursions; where weights begin, against their laws."""

import dataclasses

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys.cli import main
from dynsys.io.files import read_tensors
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.networks.recurrent import RecurrentNetwork
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.models.training.backprop import Backprop, train
from dynsys.models.training.beginning import begin_matrices
from dynsys.models.training.flipflop import flipflop_course
from dynsys.models.training.learners import learner
from dynsys.models.training.optimisers import OPTIMISERS

PULLS = np.random.default_rng(3).normal(size=(40, 3))  # the gradient of every step


class Point(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))


class Pulled:
    def loss(self, network, step):
        return (torch.as_tensor(PULLS[step]) * network.w).sum()

    def error(self, network):
        return 1 / (1 + float(network.w.norm()))


def test_a_step_of_descent_is_the_rate_times_the_gradient_of_autograd():
    course = flipflop_course("gru", bits=2, units=4, optimizer="sgd", learning_rate=0.3)
    course = dataclasses.replace(course, lesson=dataclasses.replace(course.lesson, test_batch=2, test_steps=50))
    network, before = course.network, [w.detach().clone() for w in course.network.parameters()]
    gradients = torch.autograd.grad(course.lesson.loss(network, 0), list(network.parameters()))
    train(network, course.lesson, Backprop(1, 0.3, clip=1e9, optimizer="sgd"))
    for w, was, gradient in zip(network.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(w.detach(), was - 0.3 * gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("momentum", "mu"), [(None, 0.9), (0.5, 0.5), (0.0, 0.0)])
def test_momentum_is_its_recursion_under_the_cosine(momentum, mu):
    settings = Backprop(40, 0.1, clip=1e9, validate_every=40, optimizer="momentum", momentum=momentum)
    rates = 0.1 * (0.01 + 0.99 * (1 + np.cos(np.pi * np.arange(40) / 40)) / 2)
    w, v = np.zeros(3), np.zeros(3)
    for rate, g in zip(rates, PULLS, strict=True):
        v = mu * v + g
        w = w - rate * v
    network = Point()
    train(network, Pulled(), settings)
    np.testing.assert_allclose(network.w.detach(), w, rtol=1e-12)


def test_a_constant_pull_with_momentum_comes_to_be_a_pull_of_one_over_one_minus_mu():
    """v is the sum of mu^k g, k < t: in the limit g / (1 - mu)."""
    network, seen = Point(), []
    lesson = Pulled()
    lesson.loss = lambda network, step: network.w.sum()
    settings = Backprop(300, 1e-3, last_rate=1.0, clip=1e9, optimizer="momentum", momentum=0.8)
    train(network, lesson, settings, callbacks=[lambda progress: seen.append(float(network.w.detach()[0]))])
    assert seen[-1] - seen[-2] == pytest.approx(-1e-3 / 0.2, rel=1e-9)


class Stop(Exception):
    pass


def stop(progress):
    if progress.step == 17:
        raise Stop


@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_every_optimizer_goes_on_to_the_same_bits(optimizer, tmp_path):
    settings = Backprop(40, 0.05, validate_every=10, optimizer=optimizer)
    whole = train(Point(), Pulled(), settings)
    with pytest.raises(Stop):
        train(Point(), Pulled(), settings, folder=tmp_path, callbacks=[stop])
    again = train(Point(), Pulled(), settings, folder=tmp_path)
    assert torch.equal(again.network.w, whole.network.w)
    assert again.losses == whole.losses


def uniform_between(values, bound):
    """Within the bounds, and mean and variance those of the law to five standard deviations of their estimates."""
    x = values.detach().double().numpy().ravel()
    assert np.abs(x).max() <= bound
    assert np.abs(x).max() > bound * (1 - 20 / len(x))  # it reaches to them
    assert abs(x.mean()) < 5 * bound / np.sqrt(3 * len(x))
    fourth = bound**4 / 5  # E x^4, so that the variance of x^2 is a^4 (1/5 - 1/9)
    assert abs((x**2).mean() - bound**2 / 3) < 5 * np.sqrt((fourth - bound**4 / 9) / len(x))


@pytest.mark.parametrize("reach", [None, 0.3])
def test_an_irnn_begins_uniform_in_all_of_its_matrices(reach):
    network = RecurrentNetwork("irnn", 30, 60, 40, begin="uniform", reach=reach)
    for W in (network.rnn.weight_ih_l0, network.rnn.weight_hh_l0, network.readout.weight):
        uniform_between(W, (6 / sum(W.shape)) ** 0.5 if reach is None else reach)
    assert not network.rnn.bias_hh_l0.any()


def test_a_uniform_square_matrix_has_the_spectral_radius_one():
    """Of independent entries of variance s^2 it tends to s sqrt(n), and s^2 is (3 / n) / 3 (the circular law)."""
    W = torch.empty(400, 400, dtype=torch.float64)
    torch.manual_seed(0)
    begin_matrices([W], "uniform", identity=1.0, reach=None)
    assert float(torch.linalg.eigvals(W).abs().max()) == pytest.approx(1.0, abs=0.1)


def test_fast_weights_begin_at_a_scaled_identity_in_all_of_their_matrices():
    network = FastWeightsNetwork(FastWeightsConfig(6, identity=0.25, begin="identity"))
    for W in (network.W, network.C.weight, network.hidden.weight):
        assert np.array_equal(W.detach(), 0.25 * np.eye(*W.shape))
    usual = FastWeightsNetwork(FastWeightsConfig(6, identity=0.25))
    assert np.array_equal(usual.W.detach(), 0.25 * np.eye(6))
    assert np.count_nonzero(usual.C.weight.detach()) == 600


REFUSED = {
    "momentum of adam": (["gru", "--momentum", "0.5"], "only 'momentum' has one"),
    "range of the usual": (["irnn", "--range", "0.5"], "only uniform weights have one"),
    "identity of the uniform": (["irnn", "--begin", "uniform", "--identity", "1"], "leave one of them out"),
    "beginning of a GRU": (["gru", "--begin", "uniform"], "begin is no choice of this network"),
    "optimizer of FORCE": (["esn", "--optimizer", "sgd"], "optimizer is no choice of this network"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_choice_that_would_not_be_used_is_refused(case, tmp_path):
    (model, *options), says = REFUSED[case]
    result = CliRunner().invoke(main, ["train", "flipflop", model, "-o", str(tmp_path / "x"), *options])
    assert result.exit_code == 1
    assert says in result.stderr


@pytest.mark.parametrize(("task", "model", "size"), [("flipflop", "irnn", {}), ("retrieval", "irnn", {"batch": 4})])
def test_what_was_chosen_is_kept_with_the_network(task, model, size, tmp_path, monkeypatch):
    few = Retrieval().sets(0, train=20, validation=5, test=5)
    monkeypatch.setattr("dynsys.models.training.retrieval.strings", lambda task, seed: few)
    chosen = {"optimizer": "momentum", "momentum": 0.7, "learning_rate": 0.02}
    chosen |= {"begin": "uniform", "reach": 0.2} if model == "irnn" else {}
    learner(task, model)(tmp_path, units=3, steps=2, **size, **chosen)
    recipe = read_tensors(tmp_path / FILE_NAME, "dynsys.checkpoint/1")[1]["about"]["recipe"]
    assert recipe["rate" if task == "retrieval" else "learning_rate"] == 0.02
    assert all(recipe[name] == value for name, value in chosen.items() if name != "learning_rate")
