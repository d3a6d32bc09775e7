"""Points counted by tolerance: what q and distance make of systems whose zeros are known."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import FixedPoints, Flow, Tolerances, find_fixed_points, plots
from dynsys.cli import main
from dynsys.models.examples.bistable import Bistable
from dynsys.search.descent import Outcome, descend
from dynsys.search.solvers import solver_named
from dynsys.systems.held import Held

PITCHFORK = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2))  # zeros at -1, 0 and 1
STARTS = np.linspace(-1.9, 1.9, 40)[:, None]


def counted(system, starts, **tolerances):
    return find_fixed_points(system, starts, tolerances=Tolerances(**tolerances), solver="gradient-descent", workers=1)


@pytest.mark.parametrize(("q", "unique"), [(1e-2, 1e-9), (1e-6, 1e-2), (1e-12, 1e-3)])
def test_counted_are_states_with_q_below_the_limit_none_within_the_distance_of_another(q, unique):
    points = counted(PITCHFORK, STARTS, q=q, unique=unique)
    x = points.states[:, 0]
    assert (0.5 * (x - x**3) ** 2 <= q).all()
    assert (np.diff(np.sort(x)) > unique).all()
    assert points.search.starts == 40


def test_how_many_points_there_are_depends_on_the_tolerances():
    """40 starts stop at about as many states where q is still 1e-2, and at three where it is 1e-20."""
    assert len(counted(PITCHFORK, STARTS, q=1e-2, unique=1e-9)) > 20
    assert len(counted(PITCHFORK, STARTS, q=1e-20, unique=1e-3)) == 3


def test_within_an_error_bound_there_is_a_zero():
    points = counted(PITCHFORK, STARTS, q=1e-6, unique=1e-4)
    off = np.abs(points.states - [[-1.0, 0.0, 1.0]]).min(axis=1)
    bounded = np.isfinite(points.error_bound)
    assert bounded.sum() >= 3
    assert (off[bounded] <= points.error_bound[bounded]).all()
    assert (off[bounded] > 0).any()


def test_twenty_seven_points_of_three_bistable_units_whatever_the_solver():
    starts = 0.98 * Bistable(3).fixed_points()[0]
    for solver in ("trust-region", "gauss-newton", "conjugate-gradient"):
        points = find_fixed_points(
            Bistable(3), starts, solver=solver, tolerances=Tolerances(1e-14, 0.0, 1e-3), workers=1
        )
        assert len(points) == 27
        assert np.isfinite(points.error_bound).all()


def test_a_state_above_the_limit_is_slow_up_to_the_limit_of_slow_points():
    """x' = 1e-3 + x^2 has no zero; its least q is 5e-7, at 0."""
    system = Flow(lambda x, u: 1e-3 + x**2, n_state=1, bounds=(-1, 1))
    points = find_fixed_points(system, STARTS / 2, tolerances=Tolerances(unique=1e-2), solver="gauss-newton", workers=1)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.q, 5e-7, rtol=1e-3)
    none = find_fixed_points(system, STARTS / 2, tolerances=Tolerances(), slow_q=1e-7, workers=1)
    assert len(none) == 0
    assert sum(none.search.rejected.values()) == 40


def test_a_step_that_changes_q_by_less_than_its_share_ends_a_start():
    x, u = torch.tensor([[10.0], [0.3]], dtype=torch.float64), torch.zeros(2, 0, dtype=torch.float64)
    held = Held(Flow(lambda x, u: 1 + x**2, n_state=1), u, 1.0)  # q ends at 1/2
    solver = solver_named("gradient-descent")
    loose = descend(solver, held, x, 1e-12, 0.1)
    tight = descend(solver, held, x, 1e-12, 1e-6)
    assert (loose.outcome == Outcome.STUCK).all()
    assert (loose.steps < tight.steps).all()
    assert (loose.F > tight.F).all()


@pytest.mark.parametrize("wrong", [{"q": 0.0}, {"q": np.inf}, {"dq": 1.0}, {"dq": -1e-9}, {"unique": -1.0}])
def test_tolerances_that_make_no_sense_are_refused_with_their_values(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}={wrong[name]:g}"):
        Tolerances(**wrong)


@pytest.mark.parametrize("other", [{"engine": "fiber"}, {"period": 2}, {"seconds": 1.0}])
def test_what_belongs_to_the_other_search_is_refused(other):
    with pytest.raises(ValueError, match="with tolerances every start"):
        find_fixed_points(PITCHFORK, STARTS, tolerances=Tolerances(), **other)


def test_the_command_says_that_points_were_counted_by_tolerance(tmp_path):
    arguments = ["find", "simple2d", "-o", str(tmp_path), "--starts", "32", "--tol-q", "1e-10", "--tol-unique", "0.01"]
    result = CliRunner().invoke(main, [*arguments, "--solver", "trust-region"])
    assert result.exit_code == 0, result.output
    assert "Found 3 points counted as fixed by tolerance" in result.output
    assert "Left out: whether these are all" in result.output
    assert "Complete" not in result.output
    found = FixedPoints.load(tmp_path / "fixed_points.safetensors")
    assert found.search.tolerances == "q of at most 1e-10, one point within 0.01"
    assert not found.certified.any()
    drawn = plots.phase_portrait(found).layout.annotations
    assert any("counted by tolerance: q of at most 1e-10" in note.text for note in drawn)
