"""The error bound against roots refined to 50 digits: the true point lies within it, and it is not idle."""

import mpmath
import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.proof.kantorovich import assess
from dynsys.search.known.distinct import Catalogue
from dynsys.search.known.stopping import Source
from dynsys.systems.held import Held

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(50):
        yield


def exact_root(W, x):
    """The zero of -x + W tanh(x) that Newton's method reaches from x in 50 digits; W is taken as it is in float64."""
    n, W, x = len(W), mpmath.matrix(W.tolist()), mpmath.matrix(x.tolist())
    for _ in range(8):
        r = x.apply(mpmath.tanh)
        F = W * r - x
        if mpmath.norm(F) < mpmath.mpf(10) ** -45:
            return x
        J = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                J[i, j] = W[i, j] * (1 - r[j] ** 2) - (i == j)
        x = x - mpmath.lu_solve(J, F)
    raise AssertionError("Newton in 50 digits did not converge")


def exact_distance(root, x):
    return float(mpmath.norm(root - mpmath.matrix(x.tolist())))


@pytest.mark.parametrize("n", [2, 5])
def test_the_error_bound_contains_the_exact_root(n):
    counted, loosest = 0, 0.0
    for seed in range(30):
        system = SimpleRNN.random(n, gain=3.0, seed=seed)
        points = find_fixed_points(system, n_starts=16, seed=seed, workers=1, verify=False)
        for x, bound in zip(points.states, points.error_bound, strict=True):
            assert np.isfinite(bound)
            assert exact_distance(exact_root(system.W.numpy(), x), x) <= bound
            loosest = max(loosest, bound)
            counted += 1
    assert counted >= 50
    assert loosest < 1e-8  # a bound of infinity would contain every root


def test_the_error_bound_holds_at_states_that_were_not_refined_to_the_end():
    """Perturbed by 1e-12 to 1e-4: the chord steps may mend it, and the bound must hold whatever they reach."""
    rng = np.random.default_rng(0)
    system = SimpleRNN.random(4, gain=3.0, seed=1)
    for x in find_fixed_points(system, n_starts=64, workers=1).states:
        root = exact_root(system.W.numpy(), x)
        for size in (1e-12, 1e-8, 1e-6, 1e-4):
            start = torch.as_tensor(x + size * rng.standard_normal(4)).unsqueeze(0)
            found = assess(Held(system, EMPTY, 1.0), start)
            assert exact_distance(root, found.x[0]) <= float(found.error_bound)


def test_the_bound_does_not_depend_on_the_unit_of_time():
    """The same zeros, +-sqrt(3), with the velocity in other units: distances are the same."""
    for scale in (1e-6, 1e-3, 1.0, 1e3, 1e6):
        system = Flow(lambda x, u, scale=scale: scale * (x - x**3 / 3), n_state=1, bounds=(-2, 2))
        points = find_fixed_points(system, n_starts=48, workers=1)
        assert len(points) == 3, f"velocity times {scale}"
        for x, bound in zip(points.states[:, 0], points.error_bound, strict=True):
            root = 0 if abs(x) < 1 else mpmath.sign(x) * mpmath.sqrt(3)
            assert abs(mpmath.mpf(float(x)) - root) <= bound, f"velocity times {scale}"
            assert bound < 1e-10, f"velocity times {scale}"


def test_the_bound_holds_where_the_velocity_is_a_difference_of_large_numbers():
    """1000 (x^3 - 6 x^2 + 11 x - 6.1) has terms of 1e5 and zeros where they cancel: rounding is that of the terms."""
    coefficients = [mpmath.mpf(1), -6, 11, mpmath.mpf(-6.1)]
    roots = mpmath.polyroots(coefficients, maxsteps=200, extraprec=200)

    def velocity(x, u):
        return 1000 * (x**3 - 6 * x**2 + 11 * x - 6.1)

    points = find_fixed_points(Flow(velocity, n_state=1, bounds=(-5, 5)), n_starts=48, workers=1)
    assert len(points) == 3
    for x, bound in zip(points.states[:, 0], points.error_bound, strict=True):
        assert min(abs(mpmath.mpf(float(x)) - root) for root in roots) <= bound


def test_a_degenerate_zero_has_no_bound():
    x = torch.tensor([[0.0], [1e-9]], dtype=torch.float64)
    found = assess(Held(Flow(lambda x, u: x**2, n_state=1), EMPTY.expand(2, 0), 1.0), x)
    assert torch.isinf(found.error_bound).all()


@pytest.mark.parametrize("n", [1, 2, 3, 300])
def test_the_norm_of_the_inverse_is_not_underestimated(n):
    """At the origin of bistable units J is (w - 1) I, whose inverse has norm 1 / (w - 1)."""
    system, x = Bistable(n, w=1.25), torch.zeros(1, n, dtype=torch.float64)
    found = assess(Held(system, EMPTY, 1.0), x)
    assert 4.0 <= float(found.inverse_norm) <= 40.0


@pytest.mark.parametrize("n", [20, 300])
def test_a_nearly_singular_direction_is_seen_whatever_it_is(n):
    """J = -(I - (1 - 1e-6) v v^T) with v along (1, -1, 0, ...) has an inverse of norm 1e6 = 1 / |J v|."""
    v = torch.zeros(n, dtype=torch.float64)
    v[0], v[1] = 0.5**0.5, -(0.5**0.5)
    system = Flow(lambda x, u: (1 - 1e-6) * (x @ v).unsqueeze(1) * v - x, n_state=n)
    found = assess(Held(system, EMPTY, 1.0), torch.zeros(1, n, dtype=torch.float64))
    assert float(found.inverse_norm) >= 0.99e6


def test_the_index_is_the_sign_of_the_determinant():
    rng = np.random.default_rng(0)
    for _ in range(20):
        A = rng.standard_normal((5, 5))
        M = torch.as_tensor(A)
        found = assess(Held(Flow(lambda x, u, M=M: x @ M.T, n_state=5), EMPTY, 1.0), torch.zeros(1, 5, dtype=M.dtype))
        assert float(found.index) == np.sign(np.linalg.det(-A))


def test_zeros_a_millionth_apart_are_two_points():
    """x' = -(x - a)(x + a)(x - 1) with a = 1e-6: a tolerance of 1e-3 would make one of the two."""
    a = 1e-6
    system = Flow(lambda x, u: -(x - a) * (x + a) * (x - 1), n_state=1, bounds=(-2, 2))
    starts = np.linspace(-1.5, 1.5, 61)[:, None]
    points = find_fixed_points(system, np.vstack([starts, [[3e-6]], [[-3e-6]]]), workers=1)
    np.testing.assert_allclose(np.sort(points.states[:, 0]), [-a, a, 1.0], rtol=1e-6)


def test_candidates_of_one_zero_are_one_point_whatever_they_come_from():
    system = SimpleRNN.random(4, gain=3.0, seed=1)
    root = torch.as_tensor(find_fixed_points(system, n_starts=32, workers=1).states[:1])
    rng = np.random.default_rng(0)
    x = root + 1e-15 * torch.as_tensor(rng.standard_normal((50, 4)))
    held = EMPTY.expand(50, 0)
    catalogue = Catalogue(system, EMPTY, unit=1.0)
    owners = catalogue.add(x, system.velocity(x, held), torch.zeros(50, dtype=torch.long))
    assert owners.tolist() == [0] * 50
    catalogue.visit(owners, Source.OWN)
    assert catalogue.hits == [50]


def test_a_fold_has_no_bound_though_another_direction_is_steep():
    """x' = x^2 - 1e-18 has zeros at +-1e-9, beside which float64 does not tell x^2 from 0 by the size 1 of a state."""
    fold = Flow(lambda x, u: torch.stack([x[:, 0] ** 2 - 1e-18, -x[:, 1]], 1), n_state=2)
    near = assess(Held(fold, EMPTY, 1.0), torch.tensor([[1e-9, 0.0]], dtype=torch.float64))
    assert torch.isinf(near.error_bound).all()
