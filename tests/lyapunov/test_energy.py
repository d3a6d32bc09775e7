"""The energy of symmetric networks: levels that are known exactly, proofs in fifty digits, and what is not claimed."""

import mpmath
import numpy as np
import pytest
import torch
from exact_networks import DIGITS
from mpmath import mpf

from dynsys import certified_basins, find_fixed_points
from dynsys.lyapunov.basins import NOT_PROVED
from dynsys.lyapunov.energy_basins import Proof, by_energy
from dynsys.models.associative.continuous import ContinuousHopfield
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.rate.leaky_map import LeakyRateMap
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.numerics.deadline import Deadline

NONE = torch.zeros(1, 0, dtype=torch.float64)
A = 1.9150080481545375  # where a = 2 tanh a


def test_the_energy_of_a_pair_is_that_of_its_closed_form():
    """W = [[0, 2], [2, 0]]: 0 at the origin, -0.653047775 at (a, a), 1.142648830 at (1, -1/2)."""
    energy = SimpleRNN([[0.0, 2.0], [2.0, 0.0]]).energy_function(NONE)
    found = energy.value(np.array([[0.0, 0.0], [A, A], [1.0, -0.5]]))
    np.testing.assert_allclose(found, [0.0, -0.653047775, 1.142648830], atol=1e-9)


def test_the_walls_of_one_unit_are_at_its_saddle_and_as_high():
    """x' = -x + 2 tanh x: secants from a are flatter than 1/2 as far as 0, where E - E(a) is 0.653047775 / 2."""
    energy = SimpleRNN([[2.0]]).energy_function(NONE)
    walls = energy.walls(torch.tensor([A], dtype=torch.float64), 1e-14)
    assert walls.level == pytest.approx(0.653047774852897 / 2, rel=1e-6)
    assert walls.level < 0.653047774852897 / 2
    assert -float(walls.low) == pytest.approx(A, rel=1e-6)
    assert np.isinf(float(walls.high))
    quicker = ContinuousHopfield([[0.5]], 4.0).energy_function(torch.zeros(1, 1, dtype=torch.float64))
    other = quicker.walls(torch.tensor([A / 4], dtype=torch.float64), 1e-14)  # the same unit, x = z / 4 and E / 4
    assert (other.level, float(other.low)) == pytest.approx((walls.level / 4, float(walls.low) / 4), rel=1e-9)


@pytest.fixture(scope="module")
def memory():
    """Two orthogonal patterns in 16 units, W = 2 S^T S / 16 of rank 2: all nine points of rest are known."""
    s, t = np.ones(16), np.array([1.0, -1.0] * 8)
    W = 2.0 * (np.outer(s, s) + np.outer(t, t)) / 16
    net = SimpleRNN(W)
    points = find_fixed_points(net, np.stack([s, t]), n_starts=8, seed=0)
    return net, points, certified_basins(points)


def test_below_the_lowest_exit_as_many_as_differ_at_the_saddle_pay_together(memory):
    """Each unit of a point of rest is at a, -a or 0, where x = 2 tanh x, and -E is 0.3265 for each that is not at 0.
    Between two memories half of the units are at 0, so the exit lies 8 times that above them."""
    _, points, basins = memory
    assert points.search.complete
    proved = basins.radius > 0
    assert proved.sum() == 4
    assert set(basins.proofs[proved]) == {Proof.EXITS}
    np.testing.assert_allclose(basins.levels[proved], 8 * 0.653047774852897 / 2, rtol=1e-6)
    assert (basins.levels[proved] <= 8 * 0.653047774852897 / 2).all()
    saddle = A * np.sqrt(8)
    assert (0.3 * saddle < basins.radius[proved]).all()
    assert (basins.radius[proved] < saddle).all()
    kinds = basins.kinds(int(np.flatnonzero(proved)[0]))
    assert "the energy falls" in kinds["convergent"]
    assert kinds["globally asymptotically stable in the reachable box"] == NOT_PROVED
    assert "every path comes to rest" in basins.summary()


def test_less_is_claimed_of_a_list_that_is_not_whole(memory):
    net, points, basins = memory
    some = points[basins.radius > 0]
    errors = some.error_bound
    balls = by_energy(net, some, errors, np.ones(len(some), dtype=bool), Deadline.of(None))
    assert {ball.proof for ball in balls} == {Proof.WALLS}


def test_no_state_of_a_proved_ball_has_as_much_energy_in_fifty_digits(memory):
    _, points, basins = memory
    i = int(np.argmax(basins.radius))
    rng = np.random.default_rng(0)
    a = mpf(A)
    with mpmath.workdps(DIGITS):
        for _ in range(40):  # the true a
            a = 2 * mpmath.tanh(a)
        home = [a if v > 1 else -a if v < -1 else mpf(0) for v in points.states[i]]

        def energy(x):
            r = [mpmath.tanh(v) for v in x]
            odd, even = sum(r[1::2]), sum(r[::2])
            pulled = ((even + odd) ** 2 + (even - odd) ** 2) / 16  # r^T W r / 2
            return sum(p * v - mpmath.log(mpmath.cosh(v)) for p, v in zip(r, x, strict=True)) - pulled

        for k in range(24):
            d = rng.standard_normal(16) if k % 2 else -points.states[i] * (rng.random(16) < 0.3 * (k % 6 + 1) / 6)
            size = np.linalg.norm(d)
            if size == 0:
                continue
            x = [
                mpf(v) + mpf(float(basins.radius[i] / size)) * mpf(e) for v, e in zip(points.states[i], d, strict=True)
            ]
            assert energy(x) - energy(home) < mpf(float(basins.levels[i]))


def test_a_weak_symmetric_network_has_one_point_of_rest_for_all_states():
    W = 0.2 * np.ones((3, 3))
    found = certified_basins(find_fixed_points(SimpleRNN(W), n_starts=4, seed=0))
    assert found.alone
    assert NOT_PROVED not in found.kinds(0).values()
    assert "only point of rest" in found.summary()


def test_what_has_no_energy_claims_none():
    W = np.array([[0.0, 2.0], [2.0, 0.0]])
    bent = W.copy()
    bent[0, 1] = np.nextafter(2.0, 3.0)
    assert SimpleRNN(bent).energy_function(NONE) is None  # symmetric to the last bit, or not at all
    assert LeakyRateMap(W, alpha=0.5).energy_function(NONE) is None
    assert LeakyActivity(W).energy_function(NONE) is None
    assert SimpleRNN(W, activation="relu").energy_function(NONE) is None
    assert LeakyRate(W, tau=[1.0, 3.0]).energy_function(NONE) is not None  # each unit at its own pace goes down
    dense = DenseMemory.random()
    S = dense.S.numpy()
    np.testing.assert_array_equal(dense.energy_function(NONE).value(S), dense.energy(S))
