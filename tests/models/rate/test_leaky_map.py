"""Leaky networks in discrete time: their equations, their points, and a stability that is not that of the flow."""

import itertools

import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.activations import ACTIVATIONS
from dynsys.models.driven.perturbation import perturbed, weights_chosen
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.rate.leaky_map import LeakyMap, LeakyRateMap
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.testing import check_system

KINDS = {"leaky": LeakyMap, "leaky-rate": LeakyRateMap, "rate": LeakyRate, "activity": LeakyActivity}
F = {
    "tanh": np.tanh,
    "logistic": lambda y: 1 / (1 + np.exp(-y)),
    "relu": lambda y: np.maximum(y, 0),
    "softplus": lambda y: np.log1p(np.exp(y)),
    "hard-sigmoid": lambda y: np.clip(y / 6 + 0.5, 0, 1),
    "elu": lambda y: np.where(y > 0, y, np.expm1(y)),
    "relu^2": lambda y: np.maximum(y, 0) ** 2,
    "identity": lambda y: y,
}
EACH = np.array([0.1, 0.25, 0.5, 0.9, 1.0])


def parts(n=5, seed=0):
    rng = np.random.default_rng(seed)
    W, B, b = rng.standard_normal((n, n)) * 1.3 / np.sqrt(n), rng.standard_normal((n, 2)), rng.standard_normal(n)
    return W, B, b, rng.standard_normal((3, n)), rng.standard_normal(3)


@pytest.mark.parametrize("alpha", [0.3, 1.0, EACH], ids=["one leak", "no leak", "leaks of their own"])
@pytest.mark.parametrize("activation", F)
def test_steps_and_readouts_are_their_equations(activation, alpha):
    W, B, b, W_out, b_out = parts()
    rng, f = np.random.default_rng(1), F[activation]
    x, u = rng.standard_normal((4, 5)), rng.standard_normal((4, 2))
    steps = {
        LeakyMap: (1 - alpha) * x + alpha * f(x @ W.T + u @ B.T + b),
        LeakyRateMap: (1 - alpha) * x + alpha * (f(x) @ W.T + u @ B.T + b),
    }
    for kind, step in steps.items():
        net = kind(W, B, b, W_out, b_out, alpha=alpha, activation=activation)
        at = torch.as_tensor(x)
        np.testing.assert_allclose(at + net.velocity(at, torch.as_tensor(u)), step, atol=1e-13)
        seen = x if kind is LeakyMap else f(x)
        np.testing.assert_allclose(net.readout(at), seen @ W_out.T + b_out, atol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_activation_and_pace_keeps_the_contract(kind, activation):
    name = "alpha" if kind.startswith("leaky") else "tau"
    for value in (0.4, EACH):
        check_system(KINDS[kind].random(5, activation=activation, **{name: value}))


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity])
def test_a_flow_goes_at_the_pace_of_each_time_constant(kind):
    """tau_i dx_i/dt = ..., in units of the geometric mean of all tau."""
    W, B, b, *_ = parts()
    tau = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    one, own = kind(W, B, b), kind(W, B, b, tau=tau)
    x, u = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    assert own.time_constant == pytest.approx(4.0)
    np.testing.assert_allclose(
        own.velocity(x, u) / own.time_constant, one.velocity(x, u) / torch.as_tensor(tau), atol=1e-13
    )
    check_system(own)
    same = kind(W, B, b, tau=[3.0] * 5)
    assert same.time_constant == 3.0
    assert same.settings()["tau"] == 3.0


def test_a_long_step_turns_a_stable_focus_into_an_unstable_one():
    """W = (1/2, -3; 3, 1/2) at 0: the flow has -1/2 +- 3i, its step of 1/2 has 1 + (-1/2 +- 3i) / 2, of size 1.68."""
    W = np.array([[0.5, -3.0], [3.0, 0.5]])
    net = LeakyMap(W, alpha=0.5)
    points = dynsys.find_fixed_points(net)
    np.testing.assert_allclose(points.states, [[0.0, 0.0]], atol=1e-12)
    assert list(points.stability) == ["unstable focus"]
    np.testing.assert_allclose(np.sort_complex(points.eigenvalues[0]), [0.75 - 1.5j, 0.75 + 1.5j], atol=1e-12)
    beside = dynsys.find_fixed_points(net.flow())
    assert list(beside.stability) == ["stable focus"]
    assert net.flow().time_constant == 2.0  # steps


@pytest.mark.parametrize("kind", [LeakyMap, LeakyRateMap])
@pytest.mark.parametrize("alpha", [0.3, EACH])
def test_a_map_is_one_euler_step_of_its_flow(kind, alpha):
    net = kind(*parts(), alpha=alpha, initial=np.ones(5))
    flow = net.flow()
    x, u = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(net.velocity(x, u), flow.velocity(x, u) / flow.time_constant)
    torch.testing.assert_close(net.readout(x), flow.readout(x))
    torch.testing.assert_close(flow.initial_state, torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("activation", F)
@pytest.mark.parametrize("kind", KINDS)
def test_points_found_solve_the_equation_and_are_certified(kind, activation):
    W, B, b, *_ = parts(4, seed=2)
    pace = {"alpha": 0.4} if kind.startswith("leaky") else {"tau": np.array([1.0, 2.0, 3.0, 4.0])}
    W, b, u = 0.3 * W, 0.3 * b, np.array([0.1, -0.2])
    net = KINDS[kind](W, B, b, activation=activation, **pace)
    points = dynsys.find_fixed_points(net, input=u, n_starts=48)
    assert len(points)
    f, drive = F[activation], B @ u + b
    for x in points.states:
        there = W @ f(x) + drive if "rate" in kind else f(W @ x + drive)
        np.testing.assert_allclose(there, x, atol=1e-12)
    assert points.certified.all()


@pytest.mark.parametrize("kind", [LeakyMap, LeakyRateMap])
def test_all_points_of_a_network_of_relus_are_those_of_its_regions(kind):
    """Each of the 32 sign patterns of W x + b (or of x) is solved by itself."""
    counts = []
    for seed in range(6):
        W, _, b, *_ = parts(5, seed)
        W = 2.5 * W
        expected = []
        for signs in itertools.product((0.0, 1.0), repeat=5):
            D = np.diag(signs)
            A, c = (D @ W, D @ b) if kind is LeakyMap else (W @ D, b)
            x = np.linalg.solve(np.eye(5) - A, c)
            y = W @ x + b if kind is LeakyMap else x
            if np.array_equal(y > 0, np.array(signs) > 0):
                expected.append(x)
        points = dynsys.find_fixed_points(kind(W, b=b, activation="relu", alpha=0.2))
        counts.append(len(points))
        assert len(points) == len(expected)
        assert points.certified.all()
        for x in expected:
            assert np.abs(points.states - x).max(axis=1).min() < 1e-9
        assert points.search.complete
    assert max(counts) > 1


def test_cycles_of_a_leaky_map_of_relus_are_found():
    """x' = x / 2 + max(1 - 6 x, 0) / 2: (1 - 5 x) / 2 below 1/6 and x / 2 above. From a below to c = 2 a above and back
    a = (1 - 5 a) / 4, so that a = 1/9."""
    net = LeakyMap([[-6.0]], b=[1.0], activation="relu", alpha=0.5)
    points = dynsys.find_fixed_points(net, period=2)
    np.testing.assert_allclose(np.sort(points.states.ravel()), [1 / 9, 2 / 9], atol=1e-14)
    assert points.certified.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [False, True])
def test_a_checkpoint_gives_the_network_back(tmp_path, kind, own):
    value = EACH if own else 0.7
    pace = {"alpha" if kind.startswith("leaky") else "tau": value}
    net = KINDS[kind](*parts(), activation="softplus", initial=np.linspace(-1, 1, 5), **pace)
    path = save_checkpoint(tmp_path / "net.safetensors", net)
    again = load(path)
    x, u = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    assert type(again) is KINDS[kind]
    assert torch.equal(again.velocity(x, u), net.velocity(x, u))
    assert torch.equal(again.readout(x), net.readout(x))
    assert torch.equal(again.initial_state, net.initial_state)
    assert again.time_constant == net.time_constant
    halved = again.with_weights({"W": 0.5 * net.arrays()["W"]})
    assert torch.equal(halved.W, net.W / 2)
    assert torch.equal(halved.initial_state, net.initial_state)
    assert halved.settings() == net.settings()
    assert (halved.pace is None) == (net.pace is None)
    assert weights_chosen(net) == ("W",)
    noisy = perturbed(net, {"W": np.ones((5, 5))}, 0.1)
    np.testing.assert_allclose(noisy.W, net.W.numpy() + 0.1)
    assert torch.equal(noisy.B, net.B)


def test_runs_begin_at_the_first_state():
    net = LeakyMap(*parts(), alpha=1e-12, initial=np.full(5, 0.5))
    visited = net.task_trajectories(2, 3, seed=0)
    torch.testing.assert_close(visited[0, :2], torch.full((2, 5), 0.5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha is 0.0; it must be above 0 and at most 1"),
        ({"alpha": 1.5}, "at most 1"),
        ({"alpha": np.nan}, "alpha is nan"),
        ({"alpha": [0.1, 0.2]}, r"alpha has shape \(2,\); it must be one number, or \(5,\) for 5 units"),
        ({"alpha": 0.5, "activation": "sine"}, "activation is 'sine'; it can be tanh"),
        ({"alpha": 0.5, "initial": np.zeros(4)}, r"initial has shape \(4,\); .* needs \(5,\)"),
        ({"alpha": 0.5, "initial": np.full(5, np.inf)}, "initial holds 5 values that are NaN or infinite"),
    ],
)
def test_impossible_leaky_maps_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LeakyMap(*parts(), **options)


@pytest.mark.parametrize("tau", [0.0, -1.0, np.inf, [1.0, 2.0, 3.0, 4.0, 0.0]])
def test_a_time_constant_is_positive(tau):
    with pytest.raises(ValueError, match="it must be positive"):
        LeakyRate(*parts(), tau=tau)
