"""Piecewise-linear systems as data: the same F as the network's own, in and across regions, once and iterated."""

import numpy as np
import pytest
import torch

from dynsys.models.gru import GRU
from dynsys.models.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.simple_rnn import SimpleRNN
from dynsys.models.stack import Stack
from dynsys.models.vanilla import RNN
from dynsys.relu.pieces import Pieces, iterated, unrolled

DOUBLE = torch.float64


def leaky(kind, n=6):
    rng = np.random.default_rng(1)
    return kind(rng.standard_normal((n, n)), rng.standard_normal((n, 2)), rng.standard_normal(n), activation="relu")


SYSTEMS = {
    "rate": leaky(LeakyRate),
    "activity": leaky(LeakyActivity),
    "simple": SimpleRNN.random(6, activation="relu"),
    "one layer": RNN.random(5, seed=1, nonlinearity="relu"),
    "three layers": RNN.random(4, layers=3, seed=2, nonlinearity="relu"),
    "held below": Stack(RNN.random(4, layers=2, seed=3, nonlinearity="relu").layers, fresh=False),
}


def states(system, count=200, seed=0):
    return 2 * torch.randn(count, system.n_state, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=SYSTEMS, ids=list(SYSTEMS))
def case(request):
    system = SYSTEMS[request.param]
    u = torch.linspace(-1, 1, system.n_input, dtype=DOUBLE).unsqueeze(0)
    return system, u, system.pieces(u)


def test_the_velocity_is_that_of_the_system(case):
    system, u, pieces = case
    x = states(system)
    torch.testing.assert_close(pieces.velocity(x), system.velocity(x, u.expand(len(x), -1)), rtol=0, atol=1e-12)


def test_within_a_region_the_velocity_is_affine_and_its_slope_the_jacobian(case):
    system, u, pieces = case
    x = states(system)
    A, b = pieces.affine(pieces.pattern(x))
    torch.testing.assert_close((A @ x.unsqueeze(2)).squeeze(2) + b, pieces.velocity(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(A, system.jacobian(x, u.expand(len(x), -1)), rtol=0, atol=1e-12)


def test_the_unfolded_system_has_the_zero_of_the_affine_part(case):
    _, _, pieces = case
    patterns = torch.rand(50, pieces.n_units, generator=torch.Generator().manual_seed(0)) < 0.5
    A, b = pieces.affine(patterns)
    K, h = pieces.unfolded(patterns)
    v = torch.linalg.solve(K, h.expand(len(K), -1))
    x = v[:, : pieces.n_state]
    scale = 1 + x.abs().amax(1, keepdim=True)
    assert float((((A @ x.unsqueeze(2)).squeeze(2) + b) / scale).abs().max()) < 1e-10


def test_preactivations_change_sign_where_the_jacobian_jumps():
    system = SYSTEMS["three layers"]
    u = torch.zeros(1, 2, dtype=DOUBLE)
    pieces = system.pieces(u)
    a, b = states(system, 2)
    way = torch.linspace(0, 1, 2001, dtype=DOUBLE).unsqueeze(1)
    x = a + way * (b - a)
    J, pattern = system.jacobian(x, u.expand(len(x), -1)), pieces.pattern(x)
    jumps = ((J[1:] - J[:-1]).abs().amax((1, 2)) > 1e-12).nonzero()
    crossings = (pattern[1:] != pattern[:-1]).any(1).nonzero()
    assert len(jumps) >= 3
    assert jumps.tolist() == crossings.tolist()


@pytest.mark.parametrize("name", ["one layer", "three layers"])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_an_iterated_map_is_the_map_applied_so_often(name, k):
    system = SYSTEMS[name]
    u = torch.ones(1, 2, dtype=DOUBLE)
    many, x = iterated(system.pieces(u), k), states(system, 40)
    y = x
    for _ in range(k):
        y = y + system.velocity(y, u.expand(len(x), -1))
    scale = float(y.abs().max())
    torch.testing.assert_close((many.velocity(x) + x) / scale, y / scale, rtol=0, atol=1e-13)
    A, b = many.affine(many.pattern(x))
    torch.testing.assert_close(((A @ x.unsqueeze(2)).squeeze(2) + b + x) / scale, y / scale, rtol=0, atol=1e-13)


def test_a_leaky_map_is_iterated_with_its_linear_part():
    """x' = (1 - a) x + a max(W x + b, 0), the Euler step of a rate network, written as pieces by hand."""
    W, b, a = torch.tensor([[0.5, -2.0], [1.5, 0.3]], dtype=DOUBLE), torch.tensor([0.4, -0.2], dtype=DOUBLE), 0.3
    one = torch.eye(2, dtype=DOUBLE)
    pieces = Pieces(-a * one, a * one, torch.zeros(2, dtype=DOUBLE), W, torch.zeros(2, 2, dtype=DOUBLE), b)
    x = torch.randn(30, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    y = x
    for _ in range(4):
        y = (1 - a) * y + a * torch.relu(y @ W.T + b)
    torch.testing.assert_close(iterated(pieces, 4).velocity(x) + x, y, rtol=0, atol=1e-14)


@pytest.mark.parametrize("k", [2, 3])
def test_an_unrolled_map_is_zero_on_its_cycles_only(k):
    pieces = SYSTEMS["one layer"].pieces(torch.ones(1, 2, dtype=DOUBLE))
    n = pieces.n_state
    x = states(SYSTEMS["one layer"], 20)
    orbit = [x]
    for _ in range(k):
        orbit.append(orbit[-1] + pieces.velocity(orbit[-1]))
    long = unrolled(pieces, k)
    F = long.velocity(torch.cat(orbit[:k], 1))
    scale = float(orbit[k].abs().max())
    torch.testing.assert_close(
        F[:, : n * (k - 1)] / scale, torch.zeros(20, n * (k - 1), dtype=DOUBLE), rtol=0, atol=1e-14
    )
    torch.testing.assert_close(F[:, n * (k - 1) :] / scale, (orbit[k] - x) / scale, rtol=0, atol=1e-14)
    assert torch.equal(long.pattern(torch.cat(orbit[:k], 1)), iterated(pieces, k).pattern(x))


def test_smooth_networks_have_no_pieces():
    for system in (RNN.random(), GRU.random(), LeakyRate.random(), SimpleRNN.random(4)):
        assert system.pieces(torch.zeros(1, system.n_input, dtype=DOUBLE)) is None


def test_units_out_of_order_are_refused():
    one, none = torch.eye(2, dtype=DOUBLE), torch.zeros(2, dtype=DOUBLE)
    with pytest.raises(ValueError, match="in the order in which they are computed"):
        Pieces(-one, one, none, one, one, none)
    with pytest.raises(
        ValueError, match=r"C has shape \(3, 2\); 2 state variables and 2 rectified units need \(2, 2\)"
    ):
        Pieces(-one, one, none, torch.zeros(3, 2, dtype=DOUBLE), 0 * one, none)
