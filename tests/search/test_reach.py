"""How far a search gets from few, badly placed or reordered starts, and that its numbers are those of its seed."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys import Flow, find_fixed_points
from dynsys.io.record import per
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.result.fixed_points import FixedPoints


def distances(points, states):
    return np.linalg.norm(points.states[:, None] - states[None], axis=2)


@pytest.mark.parametrize("seed", range(6))
def test_64_starts_near_one_corner_of_five_bistable_units_find_nine_tenths_of_243(seed):
    system = Bistable(5, seed=seed)
    states, n_unstable = system.fixed_points()
    rng = np.random.default_rng(seed)
    corner = rng.choice(states[n_unstable == 0])
    points = find_fixed_points(system, corner + 0.3 * rng.standard_normal((64, 5)), seed=seed, workers=1)
    assert len(points) >= 0.9 * 243
    assert distances(points, states).min(axis=1).max() < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_so_they_do_where_no_box_and_no_index_tell_that_points_are_missing(seed):
    network = Bistable(5, seed=seed)
    states, _ = network.fixed_points()
    system = Flow(network.velocity, n_state=5)
    starts = states[-1] + 0.3 * np.random.default_rng(seed).standard_normal((64, 5))
    points = find_fixed_points(system, starts, seed=seed, workers=1)
    assert points.search.index_sum is None
    assert len(points) >= 0.9 * 243
    assert distances(points, states).min(axis=1).max() < 1e-10


@pytest.mark.parametrize("w", [1.05, 1.5, 4.0])
def test_shallow_and_steep_units_are_found_alike(w):
    system = Bistable(4, w=w)
    points = find_fixed_points(system, system.fixed_points()[0][-1:] + np.zeros((16, 1)), workers=1)
    assert len(points) == 81


def three_bits(units, seed):
    """A tanh network in which three blocks of units hold a bit each, with random weights among them (27 points)."""
    torch.manual_seed(seed)
    network = nn.RNN(3, units, bias=False)
    block = torch.arange(units) % 3
    same = (block[:, None] == block[None]).float()
    with torch.no_grad():
        network.weight_hh_l0.copy_(2.0 * same / same.sum(dim=1, keepdim=True))
        network.weight_hh_l0 += 0.5 / units**0.5 * torch.randn(units, units)
        network.weight_ih_l0.copy_(nn.functional.one_hot(block, 3).float())
    return network


def states_of_its_own(network, n, seed):
    """n states of trajectories that random pulses drive from memory to memory."""
    rng = np.random.default_rng(seed)
    pulses = 2.0 * rng.choice([-1, 0, 1], p=[0.04, 0.92, 0.04], size=(100, 8, 3))
    with torch.no_grad():
        visited = network(torch.as_tensor(pulses, dtype=torch.float32))[0].flatten(0, 1)
    return rng.permutation(visited.double().numpy())[:n]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("units", [12, 45])
def test_128_starts_from_its_trajectories_find_the_27_points_of_a_network_of_three_bits(units, seed):
    network = three_bits(units, seed)
    points = find_fixed_points(dynsys.wrap(network), states_of_its_own(network, 128, seed), seed=seed, workers=1)
    assert len(points) == 27
    assert points.search.index_sum == 1
    assert np.bincount(points.n_unstable).tolist() == [8, 12, 6, 1]  # corners, edges, faces and centre of a cube
    W = network.weight_hh_l0.detach().double().numpy()
    assert np.abs(np.tanh(points.states @ W.T) - points.states).max() < 1e-13


def zeros_of_relu(W, b):
    """Every zero of relu(W x + b) - x: in each of the 2^n regions the map is affine."""
    zeros = []
    for active in itertools.product([False, True], repeat=len(b)):
        on = np.array(active)
        x = np.linalg.solve(np.eye(len(b)) - on[:, None] * W, on * b)
        if (((W @ x + b) > 0) == on).all():
            zeros.append(x)
    return np.array(zeros).reshape(-1, len(b))


@pytest.mark.parametrize("n", [2, 4, 6])
def test_a_network_of_rectifiers_has_the_points_that_its_affine_pieces_have(n):
    """Kinks everywhere, and no reachable box; some of these networks have no fixed point at all."""
    for seed in range(8):
        torch.manual_seed(seed)
        network = nn.RNN(1, n, nonlinearity="relu")
        with torch.no_grad():
            network.weight_hh_l0.copy_(2.5 / n**0.5 * torch.randn(n, n))
            network.bias_hh_l0.copy_(torch.randn(n))
            network.bias_ih_l0.zero_()
        W, b = (p.detach().double().numpy() for p in (network.weight_hh_l0, network.bias_hh_l0))
        zeros = zeros_of_relu(W, b)
        points = find_fixed_points(dynsys.wrap(network), n_starts=96, workers=1)
        fixed = points[points.verdict == "fixed"]
        assert len(fixed) == len(zeros)
        if len(zeros):
            assert sorted(distances(fixed, zeros).argmin(axis=1)) == list(range(len(zeros)))
            assert distances(fixed, zeros).min(axis=1).max() < 1e-10


def same_numbers(a, b):
    return all(
        np.array_equal(getattr(a, key), getattr(b, key), equal_nan=getattr(a, key).dtype.kind in "fc")
        for key in per(FixedPoints, "k")
    )


def gated(kind, n, gain):
    torch.manual_seed(0)
    module = getattr(nn, kind)(2, n)
    with torch.no_grad():
        module.weight_hh_l0 *= gain
    return dynsys.wrap(module)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda: Bistable(4), {"n_starts": 32}),
        (lambda: SimpleRNN.random(30, 2.0), {"n_starts": 32}),
        (lambda: SimpleRNN.random(260, 1.1, seed=1), {"n_starts": 6}),
        (lambda: gated("GRU", 16, 4.0), {"n_starts": 64}),
        (lambda: gated("LSTM", 8, 6.0), {"n_starts": 64}),
        (lambda: gated("GRU", 100, 3.0), {"n_starts": 16}),
        (lambda: SimpleRNN.random(6, 4.0, seed=2), {"n_starts": 24, "engine": "fiber"}),
        (lambda: Flow(lambda x, u: 1e-4 + x**2, n_state=1, bounds=(-2, 2)), {"n_starts": 8, "closure": False}),
    ],
    ids=["bistable", "30 units", "260 units", "gru", "lstm", "gru of 100", "fibers", "slow point"],
)
def test_the_same_seed_gives_the_same_bits_on_one_worker_and_on_two(make, settings):
    one, two = (find_fixed_points(make(), seed=5, workers=k, **settings) for k in (1, 2))
    assert len(one) > 0
    assert same_numbers(one, two)
    assert one.search.discovery == two.search.discovery
    assert one.search.rejected == two.search.rejected


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_starts_does_not_matter_for_what_is_found(seed):
    for system in (Bistable(3, seed=seed), SimpleRNN.random(8, 2.5, seed=seed), gated("GRU", 5, 6.0)):
        rng = np.random.default_rng(seed)
        starts = rng.standard_normal((96, system.n_state))
        orders = (np.arange(96), np.arange(96)[::-1], rng.permutation(96))
        results = [find_fixed_points(system, starts[order], workers=1) for order in orders]
        for other in results[1:]:
            apart = distances(other, results[0].states)
            assert sorted(apart.argmin(axis=1)) == list(range(len(results[0])))
            assert apart.min(axis=1).max() < 1e-9


def test_another_seed_finds_the_same_points_too():
    system = Bistable(4)
    states, _ = system.fixed_points()
    for seed in range(5):
        points = find_fixed_points(system, n_starts=48, seed=seed, workers=1)
        assert sorted(distances(points, states).argmin(axis=1)) == list(range(81))
