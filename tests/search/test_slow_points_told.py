"""What is said of slow points beside their speed: whether the other directions decay."""

import re

import pytest
import torch

from dynsys import Flow, Map, find_fixed_points


def ghost(rate, kind=Flow):
    """x' = 1e-3 + x^2 has its slow point at 0; y' = rate y."""

    def step(x, u):
        v = torch.stack([1e-3 + x[:, 0] ** 2, rate * x[:, 1]], 1)
        return v if kind is Flow else x + v

    return kind(step, n_state=2, bounds=(-1, 1))


@pytest.mark.parametrize(
    ("system", "time", "unit"),
    [(ghost(-2.0), 0.5, "units of time"), (ghost(-0.5, Map), 1.4427, "steps")],
)
def test_time_constants_across_are_those_of_the_other_eigenvalue(system, time, unit):
    """-1 / rate of a flow; -1 / log(1/2) of a map."""
    told = find_fixed_points(system, n_starts=24, verify=False).summary()
    (found,) = re.findall(
        rf"every direction but the slow one decays, with a time constant of at most (\S+) {unit}", told
    )
    assert float(found) == pytest.approx(time, rel=5e-3)


def test_a_slow_point_that_states_leave_is_told_as_one():
    told = find_fixed_points(ghost(2.0), n_starts=24, verify=False).summary()
    assert "From the slow point states leave in other directions than the slow one, too." in told
