"""The words, time constants and frequencies of linear systems that can be solved with pencil and paper."""

import numpy as np
import pytest
import scipy.linalg
import torch

from dynsys import Flow, Kind, Map, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.piecewise_linear.kinks import stability_and_lead
from dynsys.stability.classification import frequencies, time_constants
from dynsys.stability.spectrum import excess, spectra
from dynsys.systems.held import Held

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])  # by the angle whose cosine is 3/5: eigenvalues 0.6 +- 0.8 i


def point_of(kind, A, time_constant=1.0):
    """The one point of x' = A x or x(t+1) = A x."""
    A = torch.as_tensor(np.asarray(A, dtype=float))
    n = len(A)
    if kind is Kind.MAP:
        system = Map(lambda x, u: x @ A.T, n_state=n)
    else:
        system = Flow(lambda x, u: x @ A.T, n_state=n, time_constant=time_constant)
    points = find_fixed_points(system, n_starts=8, workers=1)
    if points.manifolds:  # a line, whose points are alike
        assert len(set(points.n_unstable)) == len(points.manifolds) == 1
        return points[:1]
    assert len(points) == 1
    return points


FLOWS = [
    ([[-1, 0], [0, -2]], "stable node", 0),
    ([[-1, -2], [2, -1]], "stable focus", 0),
    ([[1, 0], [0, -2]], "saddle", 1),
    ([[1, 0], [0, 2]], "unstable node", 2),
    ([[1, -2], [2, 1]], "unstable focus", 2),
    ([[0, -1], [1, 0]], "marginal", 0),  # a centre
    ([[0, 0], [0, -1]], "marginal", 0),  # a line of fixed points
    ([[0, 0], [0, 1]], "marginal", 1),
    ([[-1, 1], [0, -1]], "stable node", 0),  # a Jordan block
    ([[1e-6, 0], [0, -1]], "saddle", 1),
    ([[-1e-6, -1], [1, -1e-6]], "stable focus", 0),
]

MAPS = [
    ([[0.5, 0], [0, -0.9]], "stable node", 0),  # leading -0.9: it alternates, on a line
    (0.9 * TURN, "stable focus", 0),
    ([[2, 0], [0, 0.5]], "saddle", 1),
    ([[-2, 0], [0, 0.5]], "saddle", 1),
    ([[2, 0], [0, -3]], "unstable node", 2),
    (1.1 * TURN, "unstable focus", 2),
    (TURN, "marginal", 0),
    ([[-1, 0], [0, 0.5]], "marginal", 0),  # where a period doubles
    ([[0, 0], [0, 0]], "stable node", 0),  # forgets everything in one step
    ([[0, -0.5], [0.5, 0]], "stable focus", 0),
]


@pytest.mark.parametrize(("A", "word", "n_unstable"), FLOWS)
def test_words_of_linear_flows(A, word, n_unstable):
    points = point_of(Kind.FLOW, A)
    assert points.stability.tolist() == [word]
    assert points.n_unstable.tolist() == [n_unstable]


@pytest.mark.parametrize("kind", list(Kind))
def test_no_direction_is_called_unstable_that_rounding_alone_makes_so(kind):
    """H T H^T of a Hadamard matrix H has n times the eigenvalues of T, all of them stable, and not an entry is rounded;
    but it is so far from normal that matrices at a distance of 1e-16 of it have unstable ones."""
    n = 32
    T = np.diag(-2.0 * np.arange(1, n + 1)) + np.diag(np.full(n - 1, 128.0), 1)
    H = scipy.linalg.hadamard(n)
    A = torch.as_tensor(H @ T @ H.T) * (1.0 if kind is Kind.FLOW else 2.0**-12)  # of the map 1 + A, from 1/2 to 1
    stability, _ = stability_and_lead(A, kind)
    assert stability.word in ("stable node", "marginal")
    assert stability.n_unstable == 0


def test_an_unstable_pair_of_a_large_matrix_far_from_normal_is_not_called_stable():
    """[[a, c], [s^2 / c, a]] has a +- s; to single precision, turned in space, it may be a pair inside the circle."""
    rng = np.random.default_rng(0)
    for _ in range(24):
        A = np.diag(np.r_[0.99, 0.9, 0.9, rng.uniform(-0.6, 0.6, 62)])
        A[1, 2], A[2, 1] = 4e3, 0.15**2 / 4e3
        Q = np.linalg.qr(rng.standard_normal((65, 65)))[0]
        turned = torch.as_tensor(Q @ A @ Q.T)
        system = Map(lambda x, u, turned=turned: x @ turned.T, n_state=65)
        (found,) = spectra(
            Held(system, torch.zeros(1, 0, dtype=torch.float64)), torch.zeros(1, 65, dtype=torch.float64)
        )
        assert int((excess(found.eigenvalues, Kind.MAP) > 0).sum()) == 1
        assert abs(complex(found.eigenvalues[0]) - 1.05) < 1e-4


@pytest.mark.parametrize(("A", "word", "n_unstable"), MAPS)
def test_words_of_linear_maps(A, word, n_unstable):
    points = point_of(Kind.MAP, A)
    assert points.stability.tolist() == [word]
    assert points.n_unstable.tolist() == [n_unstable]


def test_the_same_matrix_is_stable_as_a_map_and_unstable_as_a_flow():
    """The classic slip: a map is judged by dG/dx and the unit circle, not by dG/dx - I and the imaginary axis."""
    assert point_of(Kind.MAP, [[0.5]]).stability.tolist() == ["stable node"]
    assert point_of(Kind.FLOW, [[0.5]]).stability.tolist() == ["unstable node"]
    assert point_of(Kind.MAP, [[-3.0]]).stability.tolist() == ["unstable node"]  # dG/dx - I = -4 looks stable
    assert point_of(Kind.MAP, [[0.5]]).eigenvalues.tolist() == [[0.5 + 0j]]


@pytest.mark.parametrize("tau", [0.01, 1.0, 10.0])
def test_a_damped_oscillation_has_its_time_constant_and_frequency(tau):
    """x' = (-1/4 +- 3i) x in units of tau: e-fold decay in 4 tau, 3 radians per tau."""
    points = point_of(Kind.FLOW, [[-0.25, -3], [3, -0.25]], tau)
    values = torch.as_tensor(points.eigenvalues[0])
    np.testing.assert_allclose(time_constants(values, points.system), [4 * tau] * 2, rtol=1e-12)
    np.testing.assert_allclose(frequencies(values, points.system), [3 / (2 * np.pi * tau)] * 2, rtol=1e-12)


def test_a_growing_mode_has_a_negative_time_constant():
    points = point_of(Kind.FLOW, [[2.0]])
    assert time_constants(torch.as_tensor(points.eigenvalues[0]), points.system).tolist() == [-0.5]


def test_a_turning_map_has_the_time_constant_and_frequency_of_its_iterates():
    """0.9 times a turn by a fifth of a circle: |x| is 0.9^t, and every fifth step points the same way."""
    angle = 2 * np.pi / 5
    points = point_of(Kind.MAP, 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
    values = torch.as_tensor(points.eigenvalues[0])
    tau = time_constants(values, points.system).numpy()
    np.testing.assert_allclose(np.exp(-1 / tau), [0.9, 0.9], rtol=1e-12)
    np.testing.assert_allclose(frequencies(values, points.system), [0.2, 0.2], rtol=1e-12)


def test_an_alternating_map_has_half_a_cycle_per_step():
    points = point_of(Kind.MAP, [[-0.5]])
    assert frequencies(torch.as_tensor(points.eigenvalues[0]), points.system).tolist() == [0.5]


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_jordan_block_at_the_boundary_is_marginal(kind, size):
    """Its eigenvalues move like the size-th root of a change of the matrix, so rounding alone scatters them."""
    rng = np.random.default_rng(size)
    block = np.diag(np.ones(size - 1), 1) + (np.eye(size) if kind is Kind.MAP else 0)
    V = rng.standard_normal((size, size))
    points = point_of(kind, V @ block @ np.linalg.inv(V))
    assert points.stability.tolist() == ["marginal"]


def test_modes_are_unit_eigenvectors_with_the_leading_one_first():
    system = Bistable(4)
    points = find_fixed_points(system, n_starts=64, workers=1)
    for J, values, modes in zip(points.jacobians, points.eigenvalues, points.modes, strict=True):
        np.testing.assert_allclose(np.linalg.norm(modes, axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(modes @ J.T, values[: len(modes), None] * modes, atol=1e-10)
        assert (np.diff(values.real) <= 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_eigenvalues_of_a_network_are_those_of_lapack(seed):
    points = find_fixed_points(SimpleRNN.random(20, gain=2.0, seed=seed), n_starts=64, workers=1)
    for J, values, n_unstable in zip(points.jacobians, points.eigenvalues, points.n_unstable, strict=True):
        expected = np.linalg.eigvals(J)
        np.testing.assert_allclose(np.sort(values.real), np.sort(expected.real), atol=1e-10)
        assert n_unstable == (expected.real > 0).sum()


def test_excess_is_the_distance_beyond_the_boundary():
    values = torch.tensor([0.5 + 2j, -3.0 + 4j])
    assert excess(values, Kind.FLOW).tolist() == [0.5, -3.0]
    np.testing.assert_allclose(excess(values, Kind.MAP), [4.25**0.5 - 1, 4.0], rtol=1e-6)
