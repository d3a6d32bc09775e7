"""No warning of NumPy or torch reaches a user's session, and slopes that are infinite crash nothing."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.linalg import norm as scaled_norm

import dynsys
from dynsys.proof.kantorovich import assess
from dynsys.search.slow_points.minimum import norm
from dynsys.systems.held import Held

SESSION = """
import torch, dynsys
points = dynsys.find_fixed_points(dynsys.Flow(lambda x, u: 1 - x**5, n_state=1), n_starts=8)
print(points.states.tolist())
"""


def test_a_search_of_a_function_of_ones_own_warns_of_nothing():
    """By default such warnings are hidden outside of notebooks and pytest: here they are errors."""
    kinds = [word for kind in ("Deprecation", "Runtime", "Future", "User") for word in ("-W", f"error::{kind}Warning")]
    done = subprocess.run([sys.executable, *kinds, "-c", SESSION], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_allclose(np.array(eval(done.stdout)), [[1.0]], atol=1e-12)


@pytest.mark.parametrize(("activation", "scale"), [("softplus", 1e100), ("tanh", 1e300), ("tanh", 1e154)])
def test_weights_beyond_the_squares_of_floats_raise_no_warning(activation, scale, tmp_path):
    """pytest makes an error of every RuntimeWarning (pyproject.toml)."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "w.npz", W=rng.standard_normal((4, 4)) * scale)
    system = dynsys.load(tmp_path / "w.npz", form="rnn", activation=activation, matrices={"recurrent": "W"})
    points = dynsys.find_fixed_points(system, n_starts=16, verify=False)
    assert np.isfinite(points.states).all()


def test_lengths_do_not_overflow_before_they_must():
    for values in ([3e200, 4e200], [3.0, 4.0], [3e-200, 4e-200]):
        assert norm(np.array(values)) == pytest.approx(5 * values[0] / 3, rel=1e-14)
    assert norm(np.array([np.inf, 1.0])) == np.inf
    assert scaled_norm([3e200, 4e200]) == pytest.approx(5e200)


def root_flow(n):
    """x' = -sign(x) sqrt|x| comes to 0 in a time of 2 sqrt|x(0)|, with an infinite slope there."""
    return dynsys.Flow(lambda x, u: -torch.sign(x) * torch.sqrt(x.abs()), n_state=n)


@pytest.mark.parametrize("n", [1, 2, 300])
def test_a_state_with_an_infinite_slope_is_assessed_without_a_bound(n):
    x = torch.zeros(2, n, dtype=torch.float64)
    x[1] = 1.0  # a slope of -1/2 there, and F = -1
    found = assess(Held(root_flow(n), torch.zeros(2, 0, dtype=torch.float64), 1.0), x)
    assert not bool(found.converged.any())
    assert found.error_bound[0] == torch.inf


def test_a_flow_with_an_infinite_slope_at_its_point_has_that_point():
    points = dynsys.find_fixed_points(root_flow(1), n_starts=16, verify=False)
    fixed = points[points.verdict == "fixed"]
    np.testing.assert_allclose(fixed.states, [[0.0]], atol=1e-9)
    assert list(fixed.stability) == ["stable node"]
