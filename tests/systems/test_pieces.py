"""Piecewise-linear systems as data: the same F as the network's own, in and across regions, once and iterated."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch

from dynsys.models.rate.leaky_map import LeakyMap, LeakyRateMap
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.stack import Stack
from dynsys.models.recurrent.vanilla import RNN
from dynsys.piecewise_linear.regions import search_regions
from dynsys.systems.pieces import Pieces, iterated, unrolled

DOUBLE = torch.float64


def leaky(kind, n=6):
    rng = np.random.default_rng(1)
    return kind(rng.standard_normal((n, n)), rng.standard_normal((n, 2)), rng.standard_normal(n), activation="relu")


SYSTEMS = {
    "rate": leaky(LeakyRate),
    "activity": leaky(LeakyActivity),
    "simple": SimpleRNN.random(6, activation="relu"),
    "leaky": LeakyMap.random(6, activation="relu", alpha=0.3),
    "leaky, its currents": LeakyRateMap.random(6, activation="relu", alpha=np.linspace(0.1, 1, 6)),
    "paces of its own": LeakyActivity.random(6, activation="hard-sigmoid", tau=np.linspace(1, 4, 6)),
    "linear": RNN.random(5, seed=1, nonlinearity="identity"),
    "hard sigmoids": RNN.random(4, layers=2, seed=2, nonlinearity="hard-sigmoid-0.2"),
    "hard sigmoids, held below": Stack(RNN.random(4, layers=2, nonlinearity="hard-sigmoid").layers, fresh=False),
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


def exact(x):
    return [Fraction(value) for value in x.flatten().tolist()]


@pytest.mark.parametrize("kind", [LeakyActivity, LeakyRate, LeakyMap, LeakyRateMap])
@pytest.mark.parametrize("activation", ["relu", "identity", "hard-sigmoid", "hard-sigmoid-0.2"])
@pytest.mark.parametrize("own", [False, True], ids=["one pace", "own paces"])
def test_pieces_are_the_network_without_any_rounding(kind, activation, own):
    """F in fractions from the weights themselves, and from the numbers that the pieces stand for."""
    rng, n = np.random.default_rng(3), 3
    W, B, b = rng.standard_normal((n, n)), rng.standard_normal((n, 2)), rng.standard_normal(n)
    each = np.array([0.3, 0.7, 1.0]) if own else 0.3
    option = {"alpha": each} if kind in (LeakyMap, LeakyRateMap) else {"tau": each}
    net = kind(W, B, b, activation=activation, **option)
    u, x = torch.as_tensor(rng.standard_normal((1, 2))), torch.as_tensor(rng.standard_normal(n))
    slope = Fraction({"hard-sigmoid": 1 / 6, "hard-sigmoid-0.2": 0.2}.get(activation, 1))

    def f(y):
        clipped = min(max(slope * y + Fraction(1, 2), Fraction(0)), Fraction(1))
        return {"relu": max(y, Fraction(0)), "identity": y}.get(activation, clipped)

    def product(M, v):
        return [sum(Fraction(w) * a for w, a in zip(row, v, strict=True)) for row in M.tolist()]

    at, drive = exact(x), [a + Fraction(c) for a, c in zip(product(B, exact(u)), b.tolist(), strict=True)]
    if kind in (LeakyActivity, LeakyMap):
        aim = [f(a + c) for a, c in zip(product(W, at), drive, strict=True)]
    else:
        aim = [a + c for a, c in zip(product(W, [f(y) for y in at]), drive, strict=True)]
    pace = [Fraction(1)] * n if net.pace is None else exact(net.pace)
    pieces = net.pieces(u)

    def of(name):
        first, *more = (
            np.vectorize(Fraction)(part.numpy()) if part.numel() else part.numpy() for part in pieces.exactly(name)
        )
        return sum(more, first)

    r = np.array([max(y, Fraction(0)) for y in of("C") @ np.array(at) + of("e")], dtype=object)
    F = of("A") @ np.array(at) + of("c") + (of("B") @ r if len(r) else 0)
    assert F.tolist() == [p * (a - y) for p, a, y in zip(pace, aim, at, strict=True)]


@pytest.mark.parametrize("activation", ["relu", "hard-sigmoid-0.2"])
@pytest.mark.parametrize("fresh", [True, False])
def test_pieces_of_layers_are_these_without_any_rounding(activation, fresh):
    net = RNN.random(2, layers=3, seed=1, nonlinearity=activation)
    system = net if fresh else Stack(net.layers, fresh=False)
    rng = np.random.default_rng(0)
    u, x = torch.as_tensor(rng.standard_normal((1, 2))), torch.as_tensor(rng.standard_normal(6))
    w = {key: np.vectorize(Fraction)(value) for key, value in net.arrays().items()}
    a, at, expected = np.array(exact(u)), np.array(exact(x)), []
    for k in range(3):
        own = at[2 * k : 2 * k + 2]
        y = w[f"weight_ih_l{k}"] @ a + w[f"bias_ih_l{k}"] + w[f"weight_hh_l{k}"] @ own + w[f"bias_hh_l{k}"]
        if activation == "relu":
            h = [max(v, Fraction(0)) for v in y]
        else:
            h = [min(max(Fraction(0.2) * v + Fraction(1, 2), Fraction(0)), Fraction(1)) for v in y]
        expected += [new - old for new, old in zip(h, own, strict=True)]
        a = np.array(h) if fresh else own
    pieces = system.pieces(u)
    A, B, c, C, D, e = (sum(np.vectorize(Fraction)(part.numpy()) for part in pieces.exactly(name)) for name in "ABcCDe")
    base, r = C @ at + e, np.array([Fraction(0)] * len(e))
    for i in range(len(e)):  # in the order in which the units feed each other
        r[i] = max(base[i] + D[i] @ r, Fraction(0))
    assert (A @ at + B @ r + c).tolist() == expected


def test_a_bound_proved_by_regions_counts_the_rounding_of_the_drive():
    """f(W x + B u + b) of which W x + B u + b has more digits than float64: the zero in fractions is within bounds."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        W, B, b, u = (rng.standard_normal(shape) for shape in ((3, 3), (3, 3), 3, (1, 3)))
        net = LeakyActivity(W, B, b, activation="relu")
        found = search_regions(net, torch.as_tensor(u))
        for x, bound, pattern in zip(found.states, found.bound, found.patterns, strict=True):
            with mpmath.workdps(50):
                on = [int(s) for s in pattern]
                drive = mpmath.matrix(B.tolist()) * mpmath.matrix(u.T.tolist()) + mpmath.matrix(b.tolist())
                M = mpmath.eye(3) - mpmath.diag(on) * mpmath.matrix(W.tolist())
                zero = mpmath.lu_solve(M, mpmath.diag(on) * drive)
                assert mpmath.norm(zero - mpmath.matrix(x.tolist())) <= float(bound)


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
