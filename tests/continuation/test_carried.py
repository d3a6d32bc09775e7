"""Points carried from the inputs that were searched at to the rest.

x' = x - x^3 + u has three zeros for |u| < 2 / sqrt(27) = 0.385 and one beyond, the roots of a cubic.
"""

import numpy as np
import pytest

from dynsys import Flow
from dynsys.continuation.carried import order_of, points_at_inputs
from dynsys.models.rate.leaky_rate import LeakyRate

INPUTS = np.linspace(-0.5, 0.1, 4)[:, None]


@pytest.fixture(scope="module")
def cubic():
    return Flow(lambda x, u: x - x**3 + u[:, :1], n_state=1, n_input=1, bounds=(-3, 3))


def test_each_input_has_the_roots_of_its_cubic(cubic):
    for u, points in zip(
        INPUTS[:, 0], points_at_inputs(cubic, INPUTS, n_starts=32, slow_q=0.0, verify=False), strict=True
    ):
        roots = np.roots([-1, 0, 1, u])
        real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        stable = [x for x in real if 1 - 3 * x**2 < 0]
        found = points.states[points.n_unstable == 0][:, 0]
        assert np.allclose(np.sort(found), stable)  # where two are born a saddle may be missed, a stable point not
        assert all(np.abs(real - x).min() < 1e-9 for x in points.states[:, 0])


def test_nothing_is_said_of_what_is_missing_where_nothing_was_sought(cubic):
    first, second = points_at_inputs(cubic, [[0.0], [0.1]], n_starts=32, slow_q=0.0)
    assert first.search.missing is not None
    assert second.search.missing is None
    assert second.search.stopped.startswith("points were carried")


def test_a_saddle_that_is_born_on_the_way_is_told_to_be_missing_where_indices_show_it():
    """x' = -x + 2 tanh x + u has one point at u = -0.6, and three at u = -0.1, of which no trajectory rests at one."""
    switch = LeakyRate(np.array([[2.0]]), np.array([[1.0]]))
    first, second = points_at_inputs(switch, [[-0.6], [-0.1]], n_starts=32, slow_q=0.0, verify=False)
    assert (len(first), len(second)) == (1, 2)
    assert "some are certainly missing" in second.summary()
    assert "missing" not in first.summary()


def test_points_come_from_the_nearest_input_that_is_done():
    order = order_of(np.array([[0.0], [5.0], [1.0], [4.0], [10.0]]), 2)
    assert order == [(0, None), (4, None), (2, 0), (3, 2), (1, 3)]


def test_as_many_searches_as_there_are_inputs_at_most(cubic):
    with pytest.raises(ValueError, match="searches is 3; of 2 inputs 1 to 2 can be searched at"):
        points_at_inputs(cubic, [[0.0], [0.1]], searches=3)
