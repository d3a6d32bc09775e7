"""Slow curves on systems whose curve, speed and drift are known in closed form."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.optimize import minimize

import dynsys
from dynsys import Flow, Map, find_fixed_points, plots
from dynsys.cli import main
from dynsys.continuous_attractors.least_speed import slow_curve
from dynsys.continuous_attractors.slow_curve import SlowCurve


def parabola(rate, kind=Flow, **settings):
    """x' = rate(x), y' = -2 (y - x^2): q is least for a given x at y = x^2, where the speed is |rate(x)|."""

    def F(x, u):
        velocity = torch.stack([rate(x[:, 0]), -(x[:, 1] - x[:, 0] ** 2) * (2 if kind is Flow else 0.5)], 1)
        return velocity if kind is Flow else x + velocity

    return kind(F, n_state=2, bounds=(-3, 3), **settings)


def points_of(system):
    return find_fixed_points(system, n_starts=24, verify=False)


@pytest.fixture(scope="module")
def broken():
    """A line attractor of which -1, 0 and 1 are left."""
    return points_of(parabola(lambda x: 0.01 * (x - x**3)))


def test_curve_speed_drift_and_rests_are_those_of_the_formula(broken):
    curve = slow_curve(broken, [1.0, 0.0], span=(-1.25, 1.25), steps=41)
    s = curve.values
    np.testing.assert_allclose(s, np.linspace(-1.25, 1.25, 41), atol=1e-9)
    np.testing.assert_allclose(curve.states, np.stack([s, s**2], 1), atol=1e-9)
    np.testing.assert_allclose(curve.speed, 0.01 * abs(s - s**3), atol=1e-10)
    # x' along the unit tangent (1, 2 s) / sqrt(1 + 4 s^2)
    np.testing.assert_allclose(curve.drift[1:-1], (0.01 * (s - s**3) / np.sqrt(1 + 4 * s**2))[1:-1], atol=1e-5)
    np.testing.assert_allclose(curve.next_eigenvalue, -2, atol=1e-9)
    places, comes = zip(*curve.rests, strict=True)
    np.testing.assert_allclose(places, [-1, 0, 1], atol=3e-3)
    assert comes == (True, False, True)
    assert curve.ends == ["the end of the span"] * 2


def test_parts_below_a_limit_end_where_the_speed_passes_it(broken):
    """0.01 |x - x^3| = 0.003 at the roots of x^3 - x -+ 0.3."""
    curve = slow_curve(broken, [1.0, 0.0], span=(-1.25, 1.25), steps=201)
    roots = np.sort(np.concatenate([np.roots([1, 0, -1, sign * 0.3]).real for sign in (-1, 1)]))
    np.testing.assert_allclose(np.ravel(curve.slow_parts(0.003)), roots, atol=1e-3)
    assert curve.is_attractor(0.004)
    assert not curve.is_attractor(0.003)  # of which no part is half of it
    assert curve.slow_parts(1e-12) == [] or not curve.is_attractor(-1.0)


def test_a_curve_that_throws_states_off_is_no_attractor():
    """x' = 1e-3 everywhere but y' = +y: states near it leave."""
    system = Flow(
        lambda x, u: torch.stack([1e-3 * (1 - x[:, 0] ** 2), x[:, 1] + 0 * x[:, 0]], 1), n_state=2, bounds=(-2, 2)
    )
    curve = slow_curve(points_of(system), [1.0, 0.0], span=(-0.9, 0.9))
    np.testing.assert_allclose(curve.states[:, 1], 0, atol=1e-9)
    assert curve.slow_parts(2e-3)
    assert not curve.is_attractor(2e-3)
    assert "no attractor" in curve.sentence
    assert curve.rests == []
    assert "towards higher values" in curve.sentence


@pytest.mark.parametrize("kind", [Flow, Map])
def test_the_curve_s_own_eigenvalue_is_told_from_one_across_it_that_is_nearer_to_the_boundary(broken, kind):
    """x' = -0.1 x, y' = 0.05 y: states next to the curve y = 0 leave it, more slowly than it draws them along."""
    A = torch.diag(torch.tensor([-0.1, 0.05], dtype=torch.float64))
    system = kind(lambda x, u: x @ A if kind is Flow else x + x @ A, n_state=2, bounds=(-2, 2))
    curve = slow_curve(broken, [1.0, 0.0], system=system, span=(-1, 1), limit=0.1)
    np.testing.assert_allclose(curve.growth_across, 0.05 if kind is Flow else np.log(1.05), atol=1e-9)
    assert "no attractor" in curve.sentence


def test_a_line_of_fixed_points_has_no_drift(broken):
    """r' = (v v^T - 1) r: every multiple of the unit vector v rests, and what is computed there is rounding."""
    v = np.array([3.0, 1.0]) / 10**0.5
    W = torch.as_tensor(np.outer(v, v))
    curve = slow_curve(broken, v, system=Flow(lambda x, u: x @ W - x, n_state=2, bounds=(-2, 2)), span=(-1, 1))
    assert curve.is_attractor()
    assert curve.rests == []
    assert "There is no drift along it" in curve.sentence


def test_time_constants_and_steps_are_counted_in_speeds():
    flow = slow_curve(
        points_of(parabola(lambda x: 0.01 * (x - x**3), time_constant=10.0)), [1.0, 0.0], span=(-0.8, 0.8)
    )
    np.testing.assert_allclose(flow.speed, 0.001 * abs(flow.values - flow.values**3), atol=1e-11)
    np.testing.assert_allclose(flow.next_eigenvalue, -0.2, atol=1e-9)
    steps = slow_curve(points_of(parabola(lambda x: 0.01 * (x - x**3), Map)), [1.0, 0.0], span=(-0.8, 0.8))
    np.testing.assert_allclose(steps.speed, 0.01 * abs(steps.values - steps.values**3), atol=1e-10)
    np.testing.assert_allclose(steps.next_eigenvalue, 0.5, atol=1e-9)


def test_a_curved_readout_is_held_at_its_values_and_q_is_least_there():
    """Against SLSQP from SciPy, which knows nothing of the walk."""
    rng = np.random.default_rng(0)
    W = torch.as_tensor(rng.standard_normal((4, 4)) * 0.8)
    system = Flow(
        lambda x, u: -x + torch.tanh(x @ W.T),
        n_state=4,
        n_output=1,
        bounds=(-2, 2),
        readout=lambda x: x[:, :1] + 0.2 * x[:, 1:2] ** 2,
    )
    curve = slow_curve(points_of(system), 0, span=(-0.3, 0.3), steps=7)

    def q(x):
        return float((system.velocity(torch.as_tensor(x)[None], torch.zeros(1, 0)) ** 2).sum() / 2)

    for state, value, least in zip(curve.states, curve.values, curve.q, strict=True):
        assert state[0] + 0.2 * state[1] ** 2 == pytest.approx(value, abs=1e-9)
        held = {"type": "eq", "fun": lambda x, value=value: x[0] + 0.2 * x[1] ** 2 - value}
        best = minimize(q, state + 0.01 * rng.standard_normal(4), constraints=held, options={"ftol": 1e-16}, tol=1e-14)
        assert least == pytest.approx(best.fun, rel=1e-5, abs=1e-10)


def test_the_walk_ends_where_states_cannot_be_reached(broken):
    curve = slow_curve(broken, [1.0, 0.0], span=(0.0, 3.0))
    assert curve.values[-1] == pytest.approx(3**0.5, abs=0.05)  # y = x^2 is 3 there, the edge of the box
    assert curve.ends[1] == "the edge of the states that can be reached"
    assert "at the edge of the states that can be reached" in curve.sentence


def test_the_neighbourhood_of_a_fixed_point_is_no_line_attractor():
    """x' = x - x^3 is slow at -1, 0 and 1 alone."""
    curve = slow_curve(points_of(parabola(lambda x: x - x**3)), [1.0, 0.0], span=(-1.25, 1.25))
    assert len(curve.slow_parts(0.05)) == 3
    assert not curve.is_attractor(0.05)
    assert curve.is_attractor(0.05, share=0.01)
    assert "too little in one piece for a line attractor" in curve.sentence


def test_what_cannot_be_followed_is_told(broken):
    for wrong, said in [
        ({"along": 0}, "no readout: give a direction"),
        ({"along": "way"}, "'mode', or a direction"),
        ({"along": [0.0, 0.0]}, "not zero"),
        ({"along": [1.0, 0.0], "span": (1, 1)}, "two different values"),
        ({"along": [1.0, 0.0], "start": 9}, "points 0 to 2"),
        ({"along": [1.0, 0.0], "steps": 2}, "at least 3"),
    ]:
        with pytest.raises(ValueError, match=said):
            slow_curve(broken, **wrong)
    with pytest.raises(ValueError, match="no point to seek"):
        slow_curve(broken[[]], [1.0, 0.0])


def test_it_is_saved_drawn_and_coloured_by_speed(broken, tmp_path):
    curve = dynsys.slow_curve(broken, "mode", span=(-0.5, 0.5), start=int(np.flatnonzero(broken.n_unstable)[0]))
    again = SlowCurve.load(curve.save(tmp_path / "curve.safetensors"))
    np.testing.assert_array_equal(again.states, curve.states)
    assert again.sentence == curve.sentence
    (tube,) = [one for one in plots.phase_portrait(broken, curves=[curve]).data if one.name.startswith("slow curve")]
    drawn, seen = np.asarray(tube.line.color), curve.speed > 1e-3 * curve.speed.max()
    np.testing.assert_allclose(drawn[seen], np.log10(curve.speed[seen]))
    figure = plots.speed_along(curve)
    assert figure.layout.yaxis.type == "log"


def test_find_draws_the_curve_of_a_run(tmp_path):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == code, result.output + result.stderr
        return result.output + result.stderr

    said = run("find", "simple2d", "-o", tmp_path / "run", "--curve", "mode", "--no-verify")
    assert "The slow curve along the leading mode of point" in said
    run("portrait", tmp_path / "run", "-o", tmp_path / "p.html")
    assert "slow curve along" in (tmp_path / "p.html").read_text()
    run("portrait", tmp_path / "run", "-o", tmp_path / "c.html", "--picture", "curve")
    assert "this network has 0 readouts" in run("find", "simple2d", "-o", tmp_path / "x", "--curve", 3, code=2)
    assert not (tmp_path / "x").exists()  # before anything is searched
    assert "neither 'mode' nor the number" in run("find", "simple2d", "-o", tmp_path / "x", "--curve", "z", code=2)
    run("find", "simple2d", "-o", tmp_path / "run", "--no-verify")
    said = run("portrait", tmp_path / "run", "-o", tmp_path / "c.html", "--picture", "curve", code=1)
    assert "no slow curve was looked for" in said
