"""Fast weights: training in the attention form is the explicit matrix; the three views are one network."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from dynsys import Map
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.models.training.learners import learner
from dynsys.models.training.retrieval import retrieval_course
from dynsys.search.find import find_fixed_points
from dynsys.testing import check_system
from dynsys.trajectories.simulate import relax

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import training_step

from dynsys.systems.held import Held

STRINGS = Retrieval().sets(3, some=40)["some"]


def network(units=6, inner=2, normalise="all", rate=0.5, **settings):
    return FastWeightsNetwork(
        FastWeightsConfig(units, inner, rate, normalise=normalise, embedding=5, hidden=7, seed=1, **settings)
    ).double()


def with_explicit_matrix(net, characters):
    """h_T by the equations of the paper, the fast weights A a matrix: A_t = lambda A_{t-1} + eta h h^T."""
    c = net.config
    x = net.C(net.embedding(characters))  # (B, T, R)
    h = x.new_zeros(len(x), c.units)
    A = x.new_zeros(len(x), c.units, c.units)

    def LN(a):
        return functional.layer_norm(a, (c.units,), net.gain, net.shift)

    for t in range(x.shape[1]):
        z = x[:, t] + h @ net.W.T
        h = torch.relu(LN(z))
        for _ in range(c.inner if t else 0):
            recalled = torch.einsum("bij,bj->bi", A, h)
            h = torch.relu(LN(z + recalled) if c.normalise == "all" else LN(z) + recalled)
        A = c.decay * A + c.rate * torch.einsum("bi,bj->bij", h, h)
    return h


@pytest.mark.parametrize(("normalise", "rate"), [("all", 0.5), ("slow", 0.002)])
@pytest.mark.parametrize("inner", [0, 1, 3])
def test_attention_form_and_its_gradient_are_those_of_the_explicit_matrix(normalise, rate, inner):
    net = network(7, inner, normalise, rate)
    with torch.no_grad():
        net.gain += 0.3 * torch.randn(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        net.shift += 0.2
    characters = torch.as_tensor(STRINGS.characters)
    answers = torch.as_tensor(STRINGS.answers)
    both = []
    for h in (net.states(characters)[-1], with_explicit_matrix(net, characters)):
        loss = functional.cross_entropy(net.read(h), answers)
        both.append((h.detach(), torch.autograd.grad(loss, list(net.parameters()))))
    (h, found), (expected_h, expected) = both
    assert float((h - expected_h).abs().max()) <= 1e-12
    for got, wanted in zip(found, expected, strict=True):
        assert float((got - wanted).abs().max()) <= 1e-12 * max(1.0, float(wanted.abs().max()))


def test_gradients_reach_every_state_and_not_only_the_last():
    net = network(5, 2)
    characters = torch.as_tensor(STRINGS.characters[:6])
    weights = torch.randn(11, 6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (got,) = torch.autograd.grad((weights * net.states(characters)).sum(), [net.W])
    total = torch.zeros_like(got)
    for t in range(11):  # h_t of a string is the last state of its first t + 1 characters
        h = with_explicit_matrix(net, characters[:, : t + 1])
        total += torch.autograd.grad((weights[t] * h).sum(), [net.W])[0]
    np.testing.assert_allclose(got, total, rtol=0, atol=1e-12 * float(total.abs().max()))


@pytest.mark.parametrize("normalise", ["all", "slow"])
@pytest.mark.parametrize("view", ["inner", "step", "joint"])
def test_every_view_passes_check_system(view, normalise):
    rate = 0.5 if normalise == "all" else 0.002
    check_system(FastWeights.of(network(6, 2, normalise, rate), view))


def test_layer_normalisation_is_over_the_units_of_one_string():
    net = network(6, 1)
    alone = net(torch.as_tensor(STRINGS.characters[:1]))
    np.testing.assert_allclose(net(torch.as_tensor(STRINGS.characters))[:1].detach(), alone.detach(), atol=1e-13)


@pytest.mark.parametrize("view", ["inner", "step", "joint"])
@pytest.mark.parametrize("normalise", ["all", "slow"])
def test_from_its_context_every_view_takes_the_step_that_the_network_takes(view, normalise):
    net = network(6, 2, normalise, 0.5 if normalise == "all" else 0.002)
    system = FastWeights.of(net, view)
    u, x = system.context(STRINGS)
    for _ in range(net.config.inner if view == "inner" else 1):
        x = x + system.velocity(x, u)
    np.testing.assert_allclose(
        x[:, :6], with_explicit_matrix(net, torch.as_tensor(STRINGS.characters)).detach(), atol=1e-12
    )


def test_A_is_used_before_the_current_state_is_stored():
    """At the query it is made of the ten states before, each once, the newest with the rate eta itself."""
    net = network(12, 1)
    states, _, A = FastWeights.of(net).states_of(STRINGS)
    expected = torch.zeros_like(A)
    for h in states[1:-1]:
        expected = net.config.decay * expected + net.config.rate * h.unsqueeze(2) * h.unsqueeze(1)
    np.testing.assert_allclose(A, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        states[-1], with_explicit_matrix(net, torch.as_tensor(STRINGS.characters)).detach(), atol=1e-12
    )


def test_fixed_points_of_the_joint_system_hold_their_own_state_in_A():
    """A* = lambda A* + eta h* h*^T, so that A* = eta / (1 - lambda) h* h*^T."""
    system = FastWeights.of(network(5, 2, rate=0.2), "joint")
    u, x = system.context(STRINGS[:3])
    points = find_fixed_points(system, relax(Held(system, u), x, 400)[-1].numpy(), u.numpy(), closure=False)
    assert len(points) >= 3
    assert set(points.verdict) == {"fixed"}
    h, A = points.states[:, :5], points.states[:, 5:].reshape(-1, 5, 5)
    share = system.config.rate / (1 - system.config.decay)
    np.testing.assert_allclose(A, share * h[:, :, None] * h[:, None, :], atol=1e-9)


def test_a_network_goes_on_from_the_weights_of_another_run(tmp_path):
    first = learner("retrieval", "fast-weights")(tmp_path / "one", units=6, steps=2, batch=4).network
    course = retrieval_course("fast-weights", units=6, inner=3, start=tmp_path / "one")
    assert course.network.config.inner == 3
    assert course.settings.steps == 5000
    for key, value in first.arrays().items():
        np.testing.assert_array_equal(course.network.state_dict()[key], value.astype(np.float32))
    assert course.about["start"] == str(tmp_path / "one")


def test_a_start_of_another_size_or_kind_is_refused(tmp_path):
    save_checkpoint(tmp_path / "six.safetensors", FastWeights.of(network(6).float()))
    with pytest.raises(ValueError, match="holds a network of 6 units; one of 8 cannot begin from it"):
        retrieval_course("fast-weights", units=8, start=tmp_path / "six.safetensors")
    learner("retrieval", "gru")(tmp_path / "gru", units=6, steps=1, batch=4)
    with pytest.raises(ValueError, match="holds a gru network; only a fast-weights network begins from another"):
        retrieval_course("fast-weights", units=6, start=tmp_path / "gru")
    with pytest.raises(ValueError, match="start is no choice of this network"):
        learner("retrieval", "gru")(tmp_path / "two", units=6, start=str(tmp_path / "gru"))


def test_a_search_without_starts_or_input_looks_at_queries_of_the_task():
    system = FastWeights.of(network(6, 3))
    points = find_fixed_points(system, n_starts=64, closure=False)
    strings = system.task_strings(8, seed=0)
    inputs, starts = system.context(strings)
    assert {tuple(u) for u in points.search.inputs} == {tuple(u) for u in inputs.tolist()}
    ends = relax(Held(system, inputs), starts, 2000)[-1]
    found = {tuple(u): x for u, x in zip(points.inputs.tolist(), points.states, strict=True)}
    for u, end in zip(inputs.tolist(), ends.numpy(), strict=True):
        np.testing.assert_allclose(found[tuple(u)], end, atol=1e-8)


def test_contexts_begin_with_the_states_that_the_strings_lead_to():
    system = FastWeights.of(network(6, 3))
    inputs, starts = system.contexts(STRINGS[:3], 20, seed=5)
    own_inputs, own = system.context(STRINGS[:3])
    np.testing.assert_array_equal(starts[:3], own)
    for k in range(20):
        np.testing.assert_array_equal(inputs[k], own_inputs[k % 3])
    low, high = system.box(inputs)
    assert bool(((starts >= low) & (starts <= high)).all())


def test_units_that_are_off_do_not_make_a_stable_point_marginal():
    """30 of 50 units depend on nothing, and the others have a Jordan block at 0: still |l| <= 1/2 for all of them."""
    rng = np.random.default_rng(0)
    G = np.zeros((50, 50))
    G[:20] = rng.standard_normal((20, 50))
    basis = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    inner = np.diag(np.r_[np.linspace(0.5, 0.1, 17), np.zeros(3)]) + np.diag(np.r_[np.zeros(17), 1.0, 1.0], 1)
    G[:20, :20] = basis @ inner @ basis.T
    matrix = torch.as_tensor(G)
    points = find_fixed_points(Map(lambda x, u: x @ matrix.T + 1.0, n_state=50, bounds=(-50, 50)), n_starts=16)
    assert points.stability.tolist() == ["stable node"]
    np.testing.assert_allclose(np.sort(points.eigenvalues[0].real)[-17:], np.linspace(0.1, 0.5, 17), atol=1e-9)
    mode = points.modes[0, 0]
    np.testing.assert_allclose(G @ mode, 0.5 * mode, atol=1e-9)


def test_the_forms_that_the_benchmark_times_are_one_network():
    characters = torch.as_tensor(STRINGS.characters)
    forms = training_step.networks(9, 2)
    assert list(forms) == ["attention", "by autograd", "explicit A", "nn.LSTM"]
    expected = forms["attention"].double()(characters)
    for name in ("by autograd", "explicit A"):
        np.testing.assert_allclose(forms[name].double()(characters).detach(), expected.detach(), atol=1e-12)
    lesson = training_step.RetrievalLesson({"train": STRINGS}, 8)
    best = training_step.milliseconds(
        {name: training_step.step_of(net.float(), lesson) for name, net in forms.items()}, 2
    )
    assert all(value > 0 for value in best.values())


def test_a_network_normalised_around_z_alone_begins_at_a_rate_at_which_it_lives():
    course = retrieval_course("fast-weights", units=50, normalise="slow")
    assert course.network.config.rate < 0.01
    assert bool(torch.isfinite(course.lesson.loss(course.network, 0)))
    assert retrieval_course("fast-weights", units=50).network.config.rate == 0.1
    with pytest.raises(ValueError, match="normalise is 'none'; it is one of all, slow"):
        retrieval_course("fast-weights", normalise="none")
