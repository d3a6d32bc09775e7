"""Where the terms of F cancel its rounding error is that of the terms: one root stays one, and two stay two."""

import mpmath
import numpy as np
import pytest
import torch

from dynsys import Flow, Map, find_fixed_points
from dynsys.numerics.rounding import is_zero, rounding
from dynsys.systems.held import Held

NONE = torch.zeros(1, 0, dtype=torch.float64)
TURN = torch.tensor([[1.0, 0.3, 0.0], [-0.2, 1.0, 0.4], [0.1, 0.0, 1.0]], dtype=torch.float64)

# name: F, its one root, the number of variables, a factor that makes of it the step of a stable map
CANCELLING = {
    "100 exp(-0.03 x) - 100": (lambda x, u: 100 * torch.exp(-0.03 * x) - 100, 0.0, 1, 0.1),
    "the same times 1e-8": (lambda x, u: 1e-8 * (100 * torch.exp(-0.03 * x) - 100), 0.0, 1, 1e7),
    "the same times 1e8": (lambda x, u: 1e8 * (100 * torch.exp(-0.03 * x) - 100), 0.0, 1, 1e-9),
    "the same about 0.3": (lambda x, u: 100 * torch.exp(-0.03 * (x - 0.3)) - 100, 0.3, 1, 0.1),
    "(1 - 2 x - x^3) - 1": (lambda x, u: (1 - 2 * x - x**3) - 1, 0.0, 1, 0.1),
    "exp(-x) - exp(x)": (lambda x, u: torch.exp(-x) - torch.exp(x), 0.0, 1, 0.1),
    "a sum from the small end": (lambda x, u: ((-2 * x - x**3) + 1e5) - 1e5, 0.0, 1, 0.1),
    "a sum from the large end": (lambda x, u: ((1e5 - 2 * x) - x**3) - 1e5, 0.0, 1, 0.1),
    "1e6 - (1e6 + x)": (lambda x, u: 1e6 - (1e6 + x), 0.0, 1, 0.1),
    "(1 - x)^3, written out": (lambda x, u: (1 - x) ** 3 - 1 + 3 * x - 3 * x**2 - x, 0.0, 1, 0.1),
    "a large term beside a smooth one": (
        lambda x, u: ((1e4 * torch.tanh(0.01 * x) + 3e4) - 3e4) - 1e4 * torch.tanh(0.03 * x),
        0.0,
        1,
        1e-3,
    ),
    "x": (lambda x, u: -x, 0.0, 1, 0.1),
    "three variables": (lambda x, u: 100 * torch.exp(-0.03 * (x @ TURN.T)) - 100, 0.0, 3, 0.1),
}


@pytest.mark.parametrize("kind", [Flow, Map], ids=["flow", "map"])
@pytest.mark.parametrize("name", CANCELLING)
def test_a_root_at_which_terms_cancel_is_found_once(name, kind):
    F, root, n, factor = CANCELLING[name]
    function = F if kind is Flow else (lambda x, u: x + factor * F(x, u))
    points = find_fixed_points(kind(function, n), n_starts=128, verify=False)
    assert len(points) == 1
    assert points.stability[0] == "stable node" if n == 1 else points.stability[0].startswith("stable")
    assert np.linalg.norm(points.states[0] - root) <= points.error_bound[0]


DOUBLE = {
    "sqrt(1 + x^2) - 1": lambda x, u: torch.sqrt(1 + x**2) - 1,
    "cosh x - 1": lambda x, u: torch.cosh(x) - 1,
    "1 - cos x": lambda x, u: 1 - torch.cos(x),
    "1e5 (1 - cos x)": lambda x, u: 1e5 * (1 - torch.cos(x)),
    "log(1 + x^2), not log1p": lambda x, u: torch.log(1 + x**2),
    "x - tanh x": lambda x, u: x - torch.tanh(x),
}


@pytest.mark.parametrize("n_starts", [32, 64])
@pytest.mark.parametrize("name", DOUBLE)
def test_a_double_root_at_which_terms_cancel_is_found_once_and_not_called_alone(name, n_starts):
    flow = Flow(DOUBLE[name], 1, bounds=(-1, 1))
    points = find_fixed_points(flow, n_starts=n_starts, verify=False)
    fixed = points.states[points.verdict == "fixed"].ravel()
    assert len(fixed) == 1
    assert abs(fixed[0]) <= (1e-4 if "tanh" in name else 1e-7)
    assert points.stability[0] == "marginal"


@pytest.mark.parametrize("x", [0.0, 1e-17, 1e-15, 3e-15, 1e-13, -2e-12, 1e-9, 1e-4, 0.5, 3.0])
def test_the_rounding_error_of_a_difference_is_not_less_than_its_distance_from_the_truth(x):
    with mpmath.workdps(50):
        exact = float(100 * mpmath.exp(-mpmath.mpf("0.03") * mpmath.mpf(x)) - 100)
    system, state = Flow(lambda x, u: 100 * torch.exp(-0.03 * x) - 100, 1), torch.tensor([[x]], dtype=torch.float64)
    F = system.velocity(state, NONE)
    found = float(rounding(Held(system, NONE, 1.0), state, F))
    if abs(exact) <= 1e-13:  # farther off F is not zero, and its error of no interest
        assert abs(float(F) - exact) <= found <= 1e-12
        assert bool(is_zero(Held(system, NONE, 1.0), state, F)) == (abs(float(F)) <= 4 * found)
    else:
        assert found <= 1e-12


@pytest.mark.parametrize(
    "F",
    [lambda x: torch.tanh(1e6 * x) - 0.5e6 * x, lambda x: torch.relu(x - 1e-9) - x / 2, lambda x: 1e-6 * (x - x**3)],
    ids=["steep", "a kink near by", "slow"],
)
def test_a_bend_or_a_kink_is_no_rounding_error(F):
    """At 0 all terms vanish, and so do their errors: what is left is a change of the state by 1e-16 of its size."""
    system, x = Flow(lambda x, u: F(x), 1), torch.zeros(1, 1, dtype=torch.float64)
    steepest = 5e5 * 2
    assert float(rounding(Held(system, NONE, 1.0), x, system.velocity(x, NONE))) <= 4 * 2.3e-16 * steepest
    assert float(rounding(Held(system, NONE, 1e-6), x, system.velocity(x, NONE))) <= 4 * 2.3e-22 * steepest


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-7])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_two_roots_that_float64_tells_apart_stay_two(apart, scale):
    """(x - a) (x - b) (x + 2), with the factors as they are: near a and b its error is that of x."""
    a, b = 0.3, 0.3 + apart
    points = find_fixed_points(
        Flow(lambda x, u: -scale * (x - a) * (x - b) * (x + 2), 1, bounds=(-3, 3)), n_starts=256, verify=False
    )
    assert np.sort(points.states.ravel()) == pytest.approx([-2.0, a, b], abs=1e-12)


def test_roots_of_a_difference_apart_by_more_than_its_error_stay_two():
    """100 cosh(x) - 100 cosh(s) has the roots -s and s; for s = 1e-5 its terms cancel to 5e-9, their error is 1e-14."""
    s = torch.tensor(1e-5, dtype=torch.float64)
    points = find_fixed_points(
        Flow(lambda x, u: 100 * torch.cosh(x) - 100 * torch.cosh(s), 1, bounds=(-1, 1)), n_starts=256, verify=False
    )
    assert np.sort(points.states.ravel()) == pytest.approx([-1e-5, 1e-5], rel=1e-3)
    assert (abs(abs(points.states.ravel()) - 1e-5) <= points.error_bound).all()
