"""Points of several networks side by side: counts, words and time constants of systems that can be solved by hand."""

import numpy as np
import pytest

from dynsys import Flow, Map, find_fixed_points
from dynsys.analyses.points_compared import leading_times, of_points, rows


def test_a_pitchfork_has_two_points_that_decay_in_half_a_time_constant_and_one_that_grows_in_one():
    """f' = 1 - 3 x^2 is -2 at 1 and -1, and 1 at 0; with a time constant of 10 steps e-fold times are 5, 5 and 10."""
    system = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2), time_constant=10.0)
    told = of_points(find_fixed_points(system, n_starts=32, workers=1))
    assert told["fixed"] == 3
    assert told["words"] == {"stable node": 2, "unstable node": 1}
    assert told["by_unstable_directions"] == {"0": 2, "1": 1}
    assert told["decay"] == pytest.approx({"least": 5.0, "median": 5.0, "most": 5.0})
    assert told["growth"] == pytest.approx({"least": 10.0, "median": 10.0, "most": 10.0})
    (row,) = rows({"pitchfork": told})
    assert row["stable nodes"] == 2
    assert row["1 unstable"] == 1
    assert row["decay time at stable points"] == "5 (5 to 5)"


def test_a_map_that_halves_a_perturbation_takes_one_over_ln_2_steps():
    points = find_fixed_points(Map(lambda x, u: 0.5 * x, n_state=1), n_starts=8, workers=1)
    np.testing.assert_allclose(leading_times(points), 1 / np.log(2))
    told = of_points(points)
    assert told["growth"] is None
    assert rows({"map": told})[0]["growth time at the others"] is None
