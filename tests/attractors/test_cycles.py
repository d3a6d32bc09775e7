"""Cycles of maps whose periods and states are known from mathematics."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from dynsys import Map
from dynsys.attractors.cycles import first_phase, least_periods, orbits
from dynsys.models.recurrent.vanilla import RNN
from dynsys.proof.kantorovich import assess
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def logistic(r):
    return Map(lambda x, u: r * x * (1 - x), n_state=1, bounds=(0, 1), name="logistic")


def henon(a, b):
    return Map(lambda x, u: torch.stack([1 - a * x[:, 0] ** 2 + x[:, 1], b * x[:, 0]], 1), n_state=2, bounds=(-2, 2))


def zeros_of_one_variable(system, k, low=-1e-6, high=1 + 1e-6, grid=400_001):
    """The fixed points of G^k in an interval, (p, 1), by scipy on the sign changes of a fine grid."""

    def f(x):
        y = torch.as_tensor(np.atleast_1d(x))[:, None]
        return Iterated(system, k).velocity(y, torch.zeros(len(y), 0, dtype=torch.float64))[:, 0].numpy()

    xs = np.linspace(low, high, grid)
    changes = np.nonzero(np.diff(np.sign(f(xs))))[0]
    return torch.tensor([[brentq(lambda x: f(x)[0], xs[i], xs[i + 1], xtol=1e-16)] for i in changes]).double()


def orbits_found(system, k):
    x = zeros_of_one_variable(system, k)
    return orbits(Held(system, torch.zeros(len(x), 0, dtype=torch.float64), 1.0), k, x), x


def states_of(found, k):
    return found.points.x.reshape(-1, k, found.points.x.shape[1]).numpy()


@pytest.mark.parametrize("r", [3.2, 3.4, 3.9])
def test_the_logistic_maps_orbit_of_period_2_is_its_closed_form(r):
    """x+- = (r + 1 +- sqrt((r - 3)(r + 1))) / 2r; the fixed points 0 and 1 - 1/r are left out."""
    found, x = orbits_found(logistic(r), 2)
    root = np.sqrt((r - 3) * (r + 1))
    assert len(x) == 4
    assert found.dropped == {1: 2}
    assert np.allclose(states_of(found, 2).ravel(), [(r + 1 - root) / (2 * r), (r + 1 + root) / (2 * r)], atol=1e-12)


def test_period_4_leaves_out_periods_1_and_2():
    found, _ = orbits_found(logistic(3.5), 4)
    assert found.dropped == {1: 2, 2: 2}
    (orbit,) = states_of(found, 4)[..., 0]
    assert np.allclose(3.5 * orbit * (1 - orbit), np.roll(orbit, -1), atol=1e-12)
    x = 0.3
    for _ in range(1000):  # the orbit is stable, so iterating ends on it
        x = 3.5 * x * (1 - x)
    assert np.abs(orbit - x).min() < 1e-9


def test_in_the_window_of_period_3_there_are_two_orbits():
    """Born together at r = 1 + sqrt 8: one is stable, and iterating ends on it; six of the eight zeros are theirs."""
    found, x = orbits_found(logistic(3.83), 3)
    assert len(x) == 8
    assert found.dropped == {1: 2}
    cycles = states_of(found, 3)[..., 0]
    assert np.allclose(3.83 * cycles * (1 - cycles), np.roll(cycles, -1, axis=1), atol=1e-12)
    slopes = np.abs((3.83 * (1 - 2 * cycles)).prod(axis=1))
    assert sorted(slopes > 1) == [False, True]


@pytest.mark.parametrize(("k", "number"), [(1, 2), (2, 1), (3, 2), (4, 3), (5, 6), (6, 9)])
def test_the_full_logistic_map_has_as_many_orbits_as_necklaces(k, number):
    """At r = 4, x = sin^2(pi t) makes it t -> 2t: the fixed points of G^k are t = j / (2^k - 1) and j / (2^k + 1)."""
    j = np.arange(2**k)
    t = np.concatenate([j[: 2**k - 1] / (2**k - 1), j[1:] / (2**k + 1)])
    x = torch.as_tensor(np.unique((np.sin(np.pi * t) ** 2).round(12)))[:, None]
    assert len(x) == 2**k
    found = orbits(Held(logistic(4.0), torch.zeros(2**k, 0, dtype=torch.float64), 1.0), k, x)
    assert len(found.points) == k * number
    assert sum(found.dropped.values()) == 2**k - k * number
    assert set(found.source.tolist()) == set(np.nonzero(found.least_period == k)[0].tolist())


def test_the_henon_maps_orbit_of_period_2_is_its_closed_form():
    """x solves a^2 x^2 - a (1 - b) x + (1 - b)^2 - a = 0, and y = b x of the step before."""
    a, b = 1.0, 0.3
    fixed = [[x, b * x] for x in np.roots([a, 1 - b, -1])]  # 1 - a x^2 + b x = x
    x1, x2 = sorted(np.roots([a * a, -a * (1 - b), (1 - b) ** 2 - a]))
    orbit = [[x1, b * x2], [x2, b * x1]]
    x = torch.tensor([fixed[0], orbit[1], fixed[1]], dtype=torch.float64)
    found = orbits(Held(henon(a, b), torch.zeros(3, 0, dtype=torch.float64), 1.0), 2, x)
    assert found.dropped == {1: 2}
    assert np.allclose(states_of(found, 2), [orbit], atol=1e-12)
    assert found.source.tolist() == [-1, 1]


def test_one_point_of_an_orbit_gives_the_others():
    """From one phase of the orbit of period 3, which is then completed; the phase that was given keeps its row."""
    whole, _ = orbits_found(logistic(3.83), 3)
    x = whole.points.x
    some = x[[4, 1]]
    found = orbits(Held(logistic(3.83), torch.zeros(2, 0, dtype=torch.float64), 1.0), 3, some)
    key = np.argsort(found.points.x[::3, 0].numpy())
    assert np.allclose(found.points.x.reshape(2, 3).numpy()[key], x.reshape(2, 3).numpy(), atol=1e-12)
    assert sorted(found.source.tolist()) == [-1, -1, -1, -1, 0, 1]
    for row, source in enumerate(found.source):
        if source >= 0:
            assert np.allclose(found.points.x[row], some[source], atol=1e-12)
            assert (found.of[found.orbit == found.orbit[row]] == source).all()


def test_every_added_phase_has_an_error_bound_and_is_zero_to_rounding():
    whole, _ = orbits_found(logistic(3.83), 3)
    found = orbits(Held(logistic(3.83), EMPTY, 1.0), 3, whole.points.x[:1])
    assert bool(found.points.converged.all())
    assert float(found.points.error_bound.max()) < 1e-12


def test_the_order_of_the_given_points_does_not_change_the_orbits():
    whole, _ = orbits_found(logistic(3.83), 3)
    x, u = whole.points.x, torch.zeros(6, 0, dtype=torch.float64)
    for seed in range(3):
        order = torch.as_tensor(np.random.default_rng(seed).permutation(6))
        found = orbits(Held(logistic(3.83), u, 1.0), 3, x[order])
        again = states_of(found, 3)
        again = again[np.argsort(again[:, 0, 0])]
        assert np.allclose(again, states_of(whole, 3), atol=1e-13)


def test_points_of_two_inputs_are_orbits_of_their_own():
    """x' = -tanh(2 x) + u: the orbit of u = 0 is symmetric, and that of u = 0.1 is not; a phase of one is none of the
    other."""
    shifted = Map(lambda x, u: u - torch.tanh(2 * x), n_state=1, n_input=1, bounds=(-1.2, 1.2))
    u = torch.tensor([[0.0], [0.1]], dtype=torch.float64)
    x = torch.full((2, 1), 0.9, dtype=torch.float64)
    for _ in range(200):
        x = x + shifted.velocity(x, u)
    found = orbits(Held(shifted, u, 1.0), 2, x)
    assert len(found.points) == 4
    for o in (0, 1):
        rows = found.of[found.orbit == o]
        held, (a, b) = u[rows], found.points.x[found.orbit == o]
        assert torch.allclose(held[0] - torch.tanh(2 * a), b, atol=1e-12)
        assert torch.allclose(held[0] - torch.tanh(2 * b), a, atol=1e-12)


def test_at_a_period_doubling_the_fixed_point_is_not_taken_for_an_orbit():
    """At r = 3 the slope is -1, so G^2 - x has a triple root there and no error bound; G - x has a simple one."""
    x = torch.tensor([[2 / 3 + 1e-7], [0.0]], dtype=torch.float64)
    u = torch.zeros(2, 0, dtype=torch.float64)
    given = assess(Held(Iterated(logistic(3.0), 2), u, 1.0), x)
    assert least_periods(Held(logistic(3.0), u, 1.0), 2, given).tolist() == [1, 1]


def test_just_after_a_period_doubling_the_orbit_is_told_from_the_fixed_point():
    """At r = 3 + 1e-8 its phases lie 5e-5 to either side of 1 - 1/r."""
    r = 3 + 1e-8
    root = np.sqrt((r - 3) * (r + 1))
    x = torch.tensor([[(r + 1 - root) / (2 * r)], [(r + 1 + root) / (2 * r)], [1 - 1 / r]], dtype=torch.float64)
    found = orbits(Held(logistic(r), torch.zeros(3, 0, dtype=torch.float64), 1.0), 2, x)
    assert found.least_period.tolist() == [2, 2, 1]
    assert np.allclose(found.points.x.ravel(), x[:2].ravel(), atol=1e-9)


def test_independent_units_have_the_orbits_of_their_product():
    """Three units x' = -tanh(a x) each rest at 0 or swing between +-x*: 27 points of G^2, of which one is of period 1
    and 13 pairs are orbits."""
    swing = brentq(lambda x: np.tanh(1.8 * x) - x, 0.5, 1.0, xtol=1e-15)
    system = Map(lambda x, u: -torch.tanh(1.8 * x), n_state=3, bounds=(-1, 1))
    x = torch.tensor(list(product((-swing, 0.0, swing), repeat=3)), dtype=torch.float64)
    found = orbits(Held(system, torch.zeros(27, 0, dtype=torch.float64), 1.0), 2, x)
    assert found.dropped == {1: 1}
    first, second = states_of(found, 2).transpose(1, 0, 2)
    assert len(first) == 13
    assert np.allclose(first, -second, atol=1e-12)


def test_an_orbit_of_a_network_is_led_round_by_the_network():
    """W = -1.5 I makes every unit swing; a rotation mixes them."""
    turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    network = RNN(
        {"weight_ih_l0": np.zeros((6, 1)), "weight_hh_l0": -1.5 * turned @ np.diag([1, 1, 1, 0.2, 0.1, 0]) @ turned.T}
    )
    u = torch.zeros(8, 1, dtype=torch.float64)
    x = torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, (8, 6)))
    for _ in range(3000):
        x = x + network.velocity(x, u)
    found = orbits(Held(network, u, 1.0), 2, x)
    assert not found.dropped
    held = u[:1].expand(len(found.points), -1)
    after = found.points.x + network.velocity(found.points.x, held)
    assert torch.allclose(after.reshape(-1, 2, 6), found.points.x.reshape(-1, 2, 6).flip(1), atol=1e-12)
    ends = torch.cdist(x, found.points.x).amin(dim=1)
    assert float(ends.max()) < 1e-9


def test_no_orbits_where_there_are_none():
    found, x = orbits_found(logistic(2.8), 2)
    assert len(x) == 2
    assert len(found.points) == 0
    assert found.least_period.tolist() == [1, 1]


def test_an_orbit_begins_at_the_phase_of_least_entries():
    assert first_phase(torch.tensor([[0.5, 0.0], [0.1, 2.0], [0.1, 1.0]])) == 2
