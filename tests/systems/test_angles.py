"""State variables that are angles: 0 and a whole turn are one."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import cos, sin

import dynsys
from dynsys import Flow, Map, find_fixed_points
from dynsys.systems.angles import checked_periods, distances, nearest, once_round, wrapped

TURN = 2 * math.pi


def pendulum(damping=0.3, torque=0.0, **settings):
    """theta' = omega, omega' = torque - damping omega - sin theta."""

    def velocity(x, u):
        return torch.stack([x[:, 1], torque - damping * x[:, 1] - sin(x[:, 0])], dim=1)

    return Flow(velocity, 2, periods={0: TURN}, **settings)


def apart(found, truth, turn=TURN):
    """How far the angles are from the nearest of the true ones, row by row, found[i] from truth[j]."""
    way = np.asarray(found)[:, None] - np.asarray(truth)[None]
    return np.linalg.norm(way - turn * np.round(way / turn), axis=2)


@pytest.mark.parametrize("bounds", [None, (-8.0, 8.0)])
@pytest.mark.parametrize("torque", [0.0, 0.8])
def test_a_damped_pendulum_has_two_points(torque, bounds):
    """sin theta = torque at rest: hanging it is stable, a focus as damping < 2 sqrt(cos), standing it is a saddle."""
    points = find_fixed_points(pendulum(torque=torque, bounds=bounds), workers=1)
    hanging = math.asin(torque)
    assert points.stability.tolist() == ["stable focus", "saddle"]
    np.testing.assert_allclose(points.states, [[hanging, 0.0], [math.pi - hanging, 0.0]], atol=1e-9)


def test_starts_many_turns_away_lead_to_the_same_two_points():
    starts = np.stack([np.linspace(-200, 200, 64), np.zeros(64)], axis=1)
    points = find_fixed_points(pendulum(), starts, workers=1)
    assert len(points) == 2
    assert (points.states[:, 0] > -1e-3).all()
    assert (points.states[:, 0] < TURN).all()


def test_a_pendulum_under_torque_also_goes_round():
    """Beyond its critical torque for weak damping both attract: rest, and a rotation, whose period scipy tells."""
    points = find_fixed_points(pendulum(torque=0.8), workers=1)
    ends = {end["kind"]: end for end in points.search.settling["ends"]}
    rotation = ends["settles in an oscillation"]
    assert ends["settles at a point"]["point"] == 0
    run = solve_ivp(
        lambda t, x: [x[1], 0.8 - 0.3 * x[1] - math.sin(x[0])],
        (0, 200),
        [0.0, 4.0],
        rtol=1e-10,
        atol=1e-10,
        events=lambda t, x: math.sin((x[0] - 1) / 2),
    )
    turns = np.diff(run.t_events[0])
    assert rotation["period"] == pytest.approx(turns[-10:].mean(), rel=1e-3)


def test_a_pendulum_that_can_only_go_round_is_told_by_its_period():
    """Torque 1.5, damping 0.1: omega is about 15, a turn 0.419."""
    points = find_fixed_points(pendulum(damping=0.1, torque=1.5), n_starts=64, workers=1)
    assert not (points.verdict == "fixed").any()
    ends = points.search.settling["ends"]
    assert [end["kind"] for end in ends] == ["settles in an oscillation"]
    assert ends[0]["period"] == pytest.approx(TURN / 15, rel=1e-2)


@pytest.mark.parametrize("drive", [-0.5, 0.5])
def test_the_theta_neuron_rests_or_fires(drive):
    """theta' = 1 - cos theta + (1 + cos theta) I: at rest cos theta = (1 + I) / (1 - I), or spikes each pi / sqrt I."""
    neuron = Flow(lambda x, u: 1 - cos(x) + (1 + cos(x)) * drive, 1, periods=[TURN])
    points = find_fixed_points(neuron, workers=1)
    if drive < 0:
        rest = math.acos((1 + drive) / (1 - drive))
        assert points.stability.tolist() == ["stable node", "unstable node"]
        np.testing.assert_allclose(points.states.ravel(), [TURN - rest, rest], atol=1e-9)
    else:
        assert len(points[points.verdict == "fixed"]) == 0
        assert points.search.settling["ends"][0]["period"] == pytest.approx(math.pi / math.sqrt(drive), rel=1e-3)


def test_three_equal_oscillators_have_six_states_of_constant_difference():
    """Kuramoto (1975), in differences to the third: in phase, one against two (three ways), and splay (two ways)."""

    def velocity(x, u):
        theta = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
        pull = sin(theta.unsqueeze(1) - theta.unsqueeze(2)).sum(2) / 3
        return pull[:, :-1] - pull[:, -1:]

    points = find_fixed_points(Flow(velocity, 2, periods=[TURN, TURN]), workers=1)
    third = TURN / 3
    truth = [[0, 0], [math.pi, 0], [0, math.pi], [math.pi, math.pi], [third, 2 * third], [2 * third, third]]
    assert len(points) == 6
    assert (apart(points.states, truth).min(axis=0) < 1e-9).all()
    assert [word.split()[0] for word in points.stability] == ["stable"] + ["saddle"] * 3 + ["unstable"] * 2
    assert points.search.missing["sentence"].startswith(("All", "Points may"))


@pytest.mark.parametrize("drift", [0.1, TURN - 0.1, 2 * TURN + 0.1])
def test_a_step_by_whole_turns_is_rest(drift):
    """theta -> theta + drift - 0.5 sin theta, as it stands or taken modulo a turn: sin theta = 2 times what is left."""
    left = 2 * (drift - TURN * round(drift / TURN))
    truth = [[math.asin(left)], [math.pi - math.asin(left)]]
    for step in (lambda x, u: x + drift - 0.5 * sin(x), lambda x, u: (x + drift - 0.5 * sin(x)) % TURN):
        points = find_fixed_points(Map(step, 1, periods=[TURN]), workers=1)
        assert points.stability.tolist() == ["stable node", "unstable node"]
        assert (np.diag(apart(points.states, truth)) < 1e-9).all()


def test_cycles_close_round_the_circle():
    """theta -> theta + pi - 0.2 sin theta: after two steps 0 and pi are back, and so are their neighbours' ends."""
    circle = Map(lambda x, u: x + math.pi - 0.2 * sin(x), 1, periods=[TURN])
    points = find_fixed_points(circle, period=2, workers=1)
    assert len(points) % 2 == 0
    assert len(points) >= 2
    twice = points.states + math.pi - 0.2 * np.sin(points.states)
    twice = twice + math.pi - 0.2 * np.sin(twice)
    way = twice - points.states
    np.testing.assert_allclose(way, TURN * np.round(way / TURN), atol=1e-9)


def test_states_are_wrapped_and_compared_the_shorter_way():
    periods = checked_periods([TURN, None], 2)
    x = torch.tensor([[TURN - 0.1, 10.0], [0.1, 10.0], [-0.1, 7.0]], dtype=torch.float64)
    assert wrapped(x, periods)[2].tolist() == pytest.approx([TURN - 0.1, 7.0])
    assert wrapped(torch.tensor([[-1e-17, -1e-17]], dtype=torch.float64), periods).tolist() == [[-1e-17, -1e-17]]
    assert nearest(x[0] - x[1], periods).tolist() == pytest.approx([-0.2, 0.0])
    assert distances(x, x, periods)[0].tolist() == pytest.approx([0.0, 0.2, 3.0])
    low, high = once_round(torch.tensor([[50.0, 1.0]]), torch.tensor([[57.0, 3.0]]), periods)
    assert low.tolist() == [[0.0, 1.0]]
    assert high[0].tolist() == pytest.approx([TURN, 3.0])


@pytest.mark.parametrize("given", [[1.0], {5: 1.0}, "angle", [-1.0, 0.0], {0.5: 1.0}])
def test_periods_that_are_none_are_refused_with_what_is_legal(given):
    with pytest.raises(ValueError, match=r"periods is .*a dict \{variable: period\}, or 2 numbers"):
        Flow(lambda x, u: -x, 2, periods=given)


def test_a_variable_that_is_no_angle_is_not_taken_for_one():
    with pytest.raises(
        ValueError, match=r"variable 0 of flow is an angle of period 6.28319, but its velocity changes by"
    ):
        find_fixed_points(Flow(lambda x, u: -x, 1, periods=[TURN]))


def test_no_periods_are_none():
    for given in (None, [0, None], {}, [math.inf, 0.0]):
        assert Flow(lambda x, u: -x, 2, periods=given).periods is None
    assert dynsys.Map(lambda x, u: x, 1, periods={-1: 3.0}).periods.tolist() == [3.0]
