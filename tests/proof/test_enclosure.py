"""Enclosures: what they say of rounding and of change is true, by 50 digits and by exact fractions, and not idle."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from exact_networks import DIGITS, sigma
from hypothesis import given
from hypothesis import strategies as st

from dynsys import Flow
from dynsys.proof.exact import UNIT, exact_product
from dynsys.proof.functions.elementary import LOGISTIC, SLOPE, TANH
from dynsys.proof.functions.enclosure import Enclosed, joined
from dynsys.testing import check_system

RADII = torch.tensor([1e-9, 1e-3, 1.0, 100.0], dtype=torch.float64)
EXTREME = st.floats(-1e60, 1e60, allow_subnormal=True)


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(DIGITS):
        yield


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def exact_sum(W, x, b):
    return sum((Fraction(w) * Fraction(v) for w, v in zip(W, x, strict=True)), Fraction(b))


@given(st.data(), st.integers(1, 9))
def test_the_error_of_a_product_is_within_its_bound_for_numbers_of_any_size(data, n):
    W, x = (data.draw(st.lists(EXTREME, min_size=n, max_size=n)) for _ in range(2))
    b = data.draw(EXTREME)
    as_row = [torch.tensor([row], dtype=torch.float64) for row in (W, x)]
    value, error = exact_product(*as_row, torch.tensor([b], dtype=torch.float64))
    assert abs(Fraction(value.item()) - exact_sum(W, x, b)) <= Fraction(error.item())


@pytest.mark.parametrize("n", [1, 16, 17, 1000, 2048])
def test_a_product_is_known_to_its_last_digits_where_a_plain_one_is_not(n):
    """Sums that cancel to 1e-6 of their terms; a plain product of 2048 terms may be wrong by 2e-13 of them."""
    rng = np.random.default_rng(n)
    W, x = rng.standard_normal((20, n)), rng.standard_normal(n)
    b = -(W @ x) * (1 + 1e-6)
    value, error = exact_product(torch.as_tensor(W), torch.as_tensor(x)[None], torch.as_tensor(b))
    terms = np.abs(W).max(1) * np.abs(x).max()
    for i in range(20):
        exact = exact_sum(W[i].tolist(), x.tolist(), b[i].item())
        assert abs(Fraction(value[0, i].item()) - exact) <= Fraction(error[0, i].item())
        assert error[0, i] <= 2 * UNIT * abs(value[0, i]) + n * 2.0**-60 * terms[i]


def test_infinite_weights_give_no_bound():
    value, error = exact_product(torch.tensor([[1e308, 1e308]]).double(), torch.tensor([[1e10, -1e10]]).double())
    assert not bool((torch.isfinite(value) & torch.isfinite(error)).any())


def sampled():
    """From 1e-12 to 700 on both sides, in rows of 3 and of 1000, so that scalar and vector code are both tried."""
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.uniform(0, 3, 3000), rng.uniform(0, 40, 1500), 10 ** rng.uniform(-12, 2.8, 1500)])
    return torch.as_tensor(sizes * rng.choice([-1, 1], 6000))


@pytest.mark.parametrize(
    ("ulps", "computed", "exact"),
    [
        (TANH.ulps, torch.tanh, mpmath.tanh),
        (LOGISTIC.ulps, torch.sigmoid, sigma),
        (2, lambda x: torch.exp(-x.abs()), lambda x: mpmath.exp(-abs(x))),
    ],
)
def test_elementary_functions_are_within_their_units_in_the_last_place(ulps, computed, exact):
    x = sampled()
    for rows in (x.view(-1, 1000), x.view(-1, 3)):
        values = torch.cat([computed(row.clone()) for row in rows])
        for at, value in zip(rows.flatten().tolist(), values.tolist(), strict=True):
            assert abs(mpmath.mpf(value) - exact(mpmath.mpf(at))) <= ulps * math.ulp(value), at


@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-310, 1e-300, 1e-280, 1e-200, 1e-20, 1 - 2.0**-53])
def test_rounding_is_bounded_down_to_the_smallest_numbers(size):
    f = (Enclosed.state(column(size, -size), RADII) * 1.5).tanh()
    for value, error, at in zip(f.value.flatten(), f.error.flatten(), (size, -size), strict=True):
        assert abs(mpmath.mpf(float(value)) - mpmath.tanh(mpmath.mpf(at) * 1.5)) <= float(error)
        assert 0 <= float(error) <= 16 * UNIT * size + 1e-280


def test_slopes_of_gates_keep_their_digits_where_they_are_shut():
    for d in (0.0, 1e-9, 0.3, 1.3, 5.0, 40.0, 300.0, 700.0):
        exact = mpmath.exp(-mpmath.mpf(d)) / (1 + mpmath.exp(-mpmath.mpf(d))) ** 2
        assert abs(mpmath.mpf(float(LOGISTIC.slope(column(d)))) - exact) <= SLOPE / 4 * exact


def composed(x):
    """A gate, a candidate and a difference of large numbers, of two variables: (x . v, gate * tanh, product)."""
    W = torch.tensor([[1.5, -2.0], [0.3, 40.0], [1e6, 1e6]], dtype=torch.float64)
    y = x.affine(W, torch.tensor([0.1, -0.2, -1e6], dtype=torch.float64))
    return joined(
        [y.part(slice(0, 1)).sigmoid() * y.part(slice(1, 2)).tanh(), (y.part(slice(2, 3)) * 1e-6) * x.chunk(2)[0]]
    )


def exact_composed(a, b):
    W = [[mpmath.mpf(1.5), -2], [mpmath.mpf(0.3), 40], [mpmath.mpf(10) ** 6, mpmath.mpf(10) ** 6]]
    y = [
        w[0] * a + w[1] * b + c
        for w, c in zip(W, (mpmath.mpf(0.1), mpmath.mpf(-0.2), -(mpmath.mpf(10) ** 6)), strict=True)
    ]
    return sigma(y[0]) * mpmath.tanh(y[1]), y[2] * mpmath.mpf(1e-6) * a


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 3), st.floats(0, 6.3), st.floats(0, 1))
def test_rounding_gradients_and_change_of_a_composed_function_are_within_bounds(a, b, k, angle, share):
    with mpmath.workdps(DIGITS):
        f = composed(Enclosed.state(torch.tensor([[a, b]], dtype=torch.float64), RADII))
        h = mpmath.mpf(10) ** -20
        away = float(RADII[k]) * mpmath.mpf(share)
        there = mpmath.mpf(a) + away * mpmath.cos(angle), mpmath.mpf(b) + away * mpmath.sin(angle)
        here = exact_composed(mpmath.mpf(a), mpmath.mpf(b))
        for i in range(2):
            assert abs(mpmath.mpf(float(f.value[0, i])) - here[i]) <= float(f.error[0, i])
            slopes = [
                [
                    (exact_composed(p + h, q)[i] - exact_composed(p - h, q)[i]) / (2 * h),
                    (exact_composed(p, q + h)[i] - exact_composed(p, q - h)[i]) / (2 * h),
                ]
                for p, q in ((mpmath.mpf(a), mpmath.mpf(b)), there)
            ]
            computed = f.gradient.dense()[0, i].tolist()
            tiny = mpmath.mpf(10) ** -25  # of the difference quotients
            assert (
                mpmath.norm([s - c for s, c in zip(slopes[0], computed, strict=True)])
                <= float(f.gradient_error[0, i]) + tiny
            )
            assert mpmath.norm(slopes[1]) <= float(f.steepness[k, 0, i]) + tiny
            change = mpmath.norm([s - t for s, t in zip(*slopes, strict=True)])
            assert change <= float(f.curvature[k, 0, i]) * away + tiny


def test_the_largest_second_derivatives_are_those_of_mathematics():
    """|tanh''| is at most 4 / (3 sqrt 3), |sigma''| at most 1 / (6 sqrt 3); products may be twice too large."""
    x = Enclosed.state(column(0.2), RADII)
    assert math.isclose(float(x.tanh().curvature[3]), 4 / (3 * math.sqrt(3)), rel_tol=1e-6)
    assert math.isclose(float(x.sigmoid().curvature[3]), 1 / (6 * math.sqrt(3)), rel_tol=1e-6)
    a, b = Enclosed.state(torch.tensor([[3.0, 4.0]], dtype=torch.float64), RADII).chunk(2)
    product = a * b
    np.testing.assert_allclose(product.curvature.flatten(), 2.0, rtol=1e-6)  # of (0 1; 1 0), whose norm is 1
    assert math.isclose(float(product.steepness[0]), 7.0, rel_tol=1e-6)  # not below |(4, 3)| = 5


def test_near_the_state_the_second_derivative_is_that_at_the_state():
    for at in (-8.0, -0.9, 0.0, 0.3, 2.0, 15.0):
        exact = 2 * abs(math.tanh(at)) / math.cosh(at) ** 2
        curvature = float(Enclosed.state(column(at), RADII).tanh().curvature[0])
        assert exact * (1 - 1e-9) <= curvature <= exact * (1 + 1e-5) + 1e-8 / math.cosh(at) ** 2


def test_a_rectifier_is_flat_or_straight_away_from_its_kink_and_has_no_bound_across_it():
    f = Enclosed.state(column(0.5, -0.5, 0.0), RADII).relu()
    assert f.curvature[:, :, 0].tolist() == [[0, 0, math.inf], [0, 0, math.inf], [math.inf] * 3, [math.inf] * 3]
    assert f.gradient.dense().flatten().tolist() == [1, 0, 0]
    assert f.gradient_error.flatten().tolist() == [0, 0, math.inf]


def test_a_sum_with_its_own_negative_has_the_slopes_left_that_tightening_finds():
    x = Enclosed.state(column(0.3), RADII)
    f = (x + x * -0.5).tightened()
    np.testing.assert_allclose(f.steepness.flatten(), 0.5, rtol=1e-6)


class Wrong(Flow):
    """x' = tanh(x) - x with an enclosure that is ``factor`` too small."""

    def __init__(self, factor):
        super().__init__(lambda x, u: 100 * torch.tanh(x) - x, n_state=2)
        self.factor = factor

    def enclosure(self, y, u):
        f = y.tanh() * 100.0 - y
        return Enclosed(f.radii, f.value, f.error, f.gradient, f.gradient_error, f.steepness, self.factor * f.curvature)


def test_check_system_refuses_an_enclosure_that_is_too_small():
    check_system(Wrong(1.0))
    with pytest.raises(AssertionError, match="curvature of enclosure"):
        check_system(Wrong(0.2))
