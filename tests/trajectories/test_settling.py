"""Where trajectories settle, on maps and flows whose ends are known from mathematics or by brute force."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from dynsys import Flow, Map, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.vanilla import RNN
from dynsys.trajectories.settlement import settlement, settling_summary
from dynsys.trajectories.settling import Ending, settle

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def spread(low, high, B, n=1, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(low, high, (B, n)))


def logistic(r):
    return Map(lambda x, u: r * x * (1 - x), n_state=1, bounds=(0, 1))


def kinds(settled):
    return Counter(settled.kind.tolist())


def van_der_pol(mu):
    return Flow(lambda x, u: torch.stack([x[:, 1], mu * (1 - x[:, 0] ** 2) * x[:, 1] - x[:, 0]], 1), n_state=2)


def rotation(real, imaginary):
    return torch.tensor([[real, imaginary], [-imaginary, real]], dtype=torch.float64)


@pytest.mark.parametrize("r", [3.2, 3.4])
def test_the_logistic_map_settles_in_its_orbit_of_period_2(r):
    ends = settle(logistic(r), spread(0.01, 0.99, 40), EMPTY)
    root = np.sqrt((r - 3) * (r + 1))
    assert kinds(ends) == {Ending.CYCLE: 40}
    (orbit,) = ends.attractors
    assert orbit.period == 2
    assert np.allclose(orbit.states.ravel(), [(r + 1 - root) / (2 * r), (r + 1 + root) / (2 * r)], atol=1e-12)
    assert orbit.excess == pytest.approx(abs(4 + 2 * r - r * r) - 1, abs=1e-9)  # the orbit's multiplier, in closed form


@pytest.mark.parametrize(
    ("r", "period"), [(2.9, 0), (3.5, 4), (3.55, 8), (3.565, 16), (3.83, 3), (3.84, 3), (3.739, 5)]
)
def test_the_logistic_map_doubles_its_period_and_has_windows(r, period):
    ends = settle(logistic(r), spread(0.01, 0.99, 20), EMPTY)
    assert [a.period for a in ends.attractors] == [period]
    assert set(kinds(ends)) == {Ending.CYCLE if period else Ending.POINT}
    x = 0.37
    for _ in range(20_000):
        x = r * x * (1 - x)
    assert np.abs(ends.attractors[0].states - x).min() < 1e-9


@pytest.mark.parametrize("r", [3.6, 3.7, 3.9, 4.0])
def test_chaos_has_not_settled(r):
    """Where the logistic map has no stable orbit of period 16 or less."""
    ends = settle(logistic(r), spread(0.01, 0.99, 20), EMPTY, max_steps=2000)
    assert kinds(ends) == {Ending.UNSETTLED: 20}
    assert ends.attractors == ()


def test_three_swinging_units_have_8_states_in_4_orbits():
    """x' = -tanh(a x) swings between +-x*, x* = tanh(a x*); three of them are in one of 2^3 states, each with its
    negative."""
    swing = brentq(lambda x: np.tanh(1.8 * x) - x, 0.5, 1.0, xtol=1e-15)
    system = Map(lambda x, u: -torch.tanh(1.8 * x), n_state=3, bounds=(-1, 1))
    x = spread(-1, 1, 64, n=3)
    ends = settle(system, x, EMPTY)
    assert kinds(ends) == {Ending.CYCLE: 64}
    assert len(ends.attractors) == 4
    assert np.allclose(np.abs(np.concatenate([a.states for a in ends.attractors])), swing, atol=1e-12)
    for sign, i in zip(np.sign(x.numpy()), ends.attractor, strict=True):
        assert any(np.array_equal(sign, np.sign(state)) for state in ends.attractors[i].states)


def test_a_turn_by_a_fifth_drawn_to_the_unit_circle_has_orbits_of_period_5():
    """In polar form r' = sqrt(r), and the angle 2 pi / 5 + a - 0.1 sin 5a: it locks to a = 0, 2 pi / 5, ...; the
    orbit of period 5 at the odd tenths of a turn is unstable."""

    def step(x, u):
        z = torch.complex(x[:, 0], x[:, 1])
        angle = z.angle() + 2 * torch.pi / 5 - 0.1 * torch.sin(5 * z.angle())
        radius = z.abs().sqrt()
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)

    ends = settle(Map(step, n_state=2), spread(-1, 1, 16, n=2), EMPTY)
    (orbit,) = ends.attractors
    assert kinds(ends) == {Ending.CYCLE: 16}
    corners = np.exp(2j * np.pi * np.arange(5) / 5)
    found = orbit.states[:, 0] + 1j * orbit.states[:, 1]
    assert np.allclose(np.abs(found[:, None] - corners).min(axis=0), 0, atol=1e-10)
    assert np.allclose(found[1:] / found[:-1], np.exp(2j * np.pi / 5), atol=1e-10)


def test_points_handed_in_keep_their_index_and_what_is_none_of_them_is_added():
    """x' = tanh(2 x): -x* and x* attract, 0 does not."""
    root = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1.0, xtol=1e-15)
    system = Map(lambda x, u: torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
    x = column(0.5, -0.5, 0.1, 0.0)
    for points in ([root, -root], [-root], [-root, root]):
        handed = column(*points)
        ends = settle(system, x, EMPTY, points=handed)
        reached = np.array([ends.attractors[i].states[0, 0] if i >= 0 else 0.0 for i in ends.attractor])
        assert np.allclose(reached, [root, -root, root, 0.0], atol=1e-12)
        assert [a.index for a in ends.attractors] == [*range(len(points)), *([-1] * (2 - len(points)))]
        assert kinds(ends) == {Ending.POINT: 3, Ending.RESTING: 1}


@pytest.mark.parametrize("handed", [None, [[3.0]]])
def test_states_that_are_at_rest_at_once_are_all_told(handed):
    """x' = x rounded has slope 0 and rests at the whole numbers after one step."""
    system = Map(lambda x, u: torch.round(x), n_state=1)
    x = spread(-20, 20, 60)
    points = None if handed is None else torch.tensor(handed, dtype=torch.float64)
    ends = settle(system, x, EMPTY, points=points)
    assert kinds(ends) == {Ending.POINT: 60}
    reached = np.array([ends.attractors[i].states[0, 0] for i in ends.attractor])
    assert np.array_equal(reached, x[:, 0].round().numpy())
    assert len(set(ends.attractor.tolist())) == len(set(reached.tolist()))


def test_each_trajectory_is_told_by_the_attractors_of_its_own_input():
    """dx/dt = -x + u settles at u."""
    flow = Flow(lambda x, u: u - x, n_state=1, n_input=1)
    u = column(1.0, 2.0, 1.0)
    ends = settle(flow, column(0.0, 0.0, 5.0), u, points=column(1.0), point_inputs=column(1.0))
    assert ends.attractor.tolist() == [0, 1, 0]
    assert np.allclose(ends.attractors[1].states, 2.0)
    assert ends.attractors[1].input.tolist() == [2.0]


@pytest.mark.parametrize("time_constant", [30, 3_000, 20_000])
def test_a_slow_focus_settles_before_it_has_come_to_rest(time_constant):
    flow = Flow(lambda x, u: x @ rotation(-1 / time_constant, 1.0).T, n_state=2)
    ends = settle(flow, spread(-1, 1, 6, n=2), EMPTY)
    assert kinds(ends) == {Ending.POINT: 6}
    assert np.allclose(ends.attractors[0].states, 0, atol=1e-12)
    assert ends.attractors[0].excess == pytest.approx(-1 / time_constant)


def test_a_slow_node_of_a_map_settles_before_it_has_come_to_rest():
    slow = torch.tensor([1 - 1e-5, 0.5], dtype=torch.float64)
    ends = settle(Map(lambda x, u: slow * x, n_state=2), spread(-1, 1, 6, n=2), EMPTY)
    assert kinds(ends) == {Ending.POINT: 6}


def test_a_centre_is_no_point_that_trajectories_settle_at():
    """They turn round it for ever; a spiral that grows so slowly as 1e-6 is none either."""
    for growth in (0.0, 1e-6):
        flow = Flow(lambda x, u, g=growth: x @ rotation(g, 1.0).T, n_state=2)
        ends = settle(flow, column(0.5, 1.0).expand(-1, 2), EMPTY, max_steps=200)
        assert kinds(ends) == {Ending.CIRCLING: 2}
        assert ends.attractors == ()


def test_the_swings_of_a_pendulum_are_no_memories():
    """Each energy has its own orbit, without friction; the summary says so."""
    pendulum = Flow(lambda x, u: torch.stack([x[:, 1], -torch.sin(x[:, 0])], 1), n_state=2)
    ends = settle(pendulum, spread(-1.2, 1.2, 12, n=2), EMPTY, max_steps=200)
    assert kinds(ends) == {Ending.CIRCLING: 12}
    assert settling_summary(settlement(ends)) == (
        "None of the 12 trajectories settles at a stable point: 12 go round closed orbits that draw nothing in."
    )


def test_an_oscillation_is_one_though_its_first_turn_takes_neighbours_farther_away():
    """Roessler's flow before its first doubling, c = 2.5: multipliers -0.77 and -5e-6 of a turn of 5.749, from SciPy's
    DOP853 with the variational equation; a displacement along z grows nine times in the first turn."""
    flow = Flow(
        lambda x, u: torch.stack([-x[:, 1] - x[:, 2], x[:, 0] + x[:, 1] / 5, 0.2 + x[:, 2] * (x[:, 0] - 2.5)], 1),
        n_state=3,
    )
    ends = settle(flow, torch.tensor([[4.58, 0.0, 1.53]], dtype=torch.float64), EMPTY)
    assert kinds(ends) == {Ending.OSCILLATION: 1}
    assert ends.attractors[0].period == pytest.approx(5.749, rel=1e-3)


def test_a_weakly_attracting_oscillation_is_one():
    """r' = r (1 - r^2) / 200 beside a turn at rate 1: a distance from r = 1 shrinks by exp(-2 pi / 100) a turn."""

    def velocity(x, u):
        return torch.stack([-x[:, 1], x[:, 0]], 1) + x * (1 - (x * x).sum(1, keepdim=True)) / 200

    ends = settle(Flow(velocity, n_state=2), spread(-1, 1, 4, n=2), EMPTY)
    assert kinds(ends) == {Ending.OSCILLATION: 4}
    assert ends.attractors[0].period == pytest.approx(2 * np.pi, rel=1e-5)


@pytest.mark.parametrize("rate", [1.0, 30.0, 1e3])
def test_a_ring_of_fixed_points_has_no_oscillation(rate):
    """x' = rate x (1 - |x|^2) is a gradient flow, every trajectory of which is radial."""
    ring = Flow(lambda x, u: rate * x * (1 - (x * x).sum(1, keepdim=True)), n_state=2, bounds=(-1.5, 1.5))
    ends = settle(ring, spread(-1.5, 1.5, 16, n=2), EMPTY)
    assert kinds(ends) == {Ending.RESTING: 16}


def test_a_circle_around_a_stable_focus_is_not_taken_for_the_focus():
    """r' = -eps r (1 - r^2)(4 - r^2) beside a turn at rate 1: inside r = 1 all goes to the focus, outside to r = 2,
    and F is almost linear all the way."""

    def velocity(x, u):
        square = (x * x).sum(1, keepdim=True)
        return torch.stack([-x[:, 1], x[:, 0]], 1) - 1e-3 * x * (1 - square) * (4 - square)

    radii = np.array([0.5, 0.9, 1.1, 1.5, 2.5])
    x = torch.as_tensor(np.stack([radii, 0 * radii], 1))
    ends = settle(Flow(velocity, n_state=2), x, EMPTY, max_steps=3000)
    assert [str(k) for k in ends.kind] == [Ending.POINT] * 2 + [Ending.OSCILLATION] * 3
    assert len(ends.attractors) == 2
    assert np.linalg.norm(ends.attractors[1].states) == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize(("mu", "period"), [(1.0, 6.66328686), (0.1, 6.28710), (3.0, 8.85909550)])
def test_van_der_pol_oscillates_with_the_period_of_the_literature(mu, period):
    ends = settle(van_der_pol(mu), spread(-3, 3, 8, n=2), EMPTY)
    assert kinds(ends) == {Ending.OSCILLATION: 8}
    (cycle,) = ends.attractors
    assert cycle.period == pytest.approx(period, rel=2e-5)
    turn = solve_ivp(
        lambda t, x: [x[1], mu * (1 - x[0] ** 2) * x[1] - x[0]], (0, period), cycle.states[0], rtol=1e-10, atol=1e-12
    )
    assert np.allclose(turn.y[:, -1], cycle.states[0], atol=5e-3)


def test_time_runs_backwards_to_the_focus_inside():
    forward = van_der_pol(1.0)
    ends = settle(Flow(lambda x, u: -forward.velocity(x, u), n_state=2), spread(-1, 1, 8, n=2), EMPTY)
    assert kinds(ends) == {Ending.POINT: 8}


@pytest.mark.parametrize("points", [None, [[0.0]]])
def test_the_ghost_of_a_fold_is_passed(points):
    """x' = x + r + x^2 - x^3 has lost its points near 0, creeps past for pi / sqrt r steps and settles near 1; that 0
    was handed in as a stable point, by mistake, does not change it."""
    ghost = Map(lambda x, u: x + 1e-4 + x**2 - x**3, n_state=1)
    handed = None if points is None else torch.tensor(points, dtype=torch.float64)
    ends = settle(ghost, spread(-0.9, -0.1, 8), EMPTY, points=handed)
    assert kinds(ends) == {Ending.POINT: 8}
    beyond = brentq(lambda x: 1e-4 + x**2 - x**3, 0.5, 1.5, xtol=1e-15)
    assert all(ends.attractors[i].states[0, 0] == pytest.approx(beyond, abs=1e-10) for i in ends.attractor)


def test_a_ghost_that_lasts_longer_than_the_time_given_has_not_settled():
    ghost = Map(lambda x, u: x + 1e-8 + x**2, n_state=1)
    assert kinds(settle(ghost, spread(-0.9, -0.1, 8), EMPTY)) == {Ending.UNSETTLED: 8}
    flow = Flow(lambda x, u: 1e-8 + x**2, n_state=1)
    assert kinds(settle(flow, spread(-0.9, -0.1, 8), EMPTY)) == {Ending.UNSETTLED: 8}


def test_after_the_ghost_a_flow_runs_off_to_infinity():
    """x' = r + x^2 from -1 takes about pi / sqrt r = 314 time constants."""
    ends = settle(Flow(lambda x, u: 1e-4 + x**2, n_state=1), column(-1.0, -0.5), EMPTY)
    assert kinds(ends) == {Ending.ESCAPED: 2}
    assert (ends.time >= 250).all()


def test_beside_a_fold_each_side_goes_its_own_way():
    """x' = x - d + x^2: -sqrt d draws in what lies below sqrt d, and what lies above leaves."""
    fold = Map(lambda x, u: x - 1e-4 + x**2, n_state=1)
    ends = settle(fold, column(-0.5, 0.0099, 0.0101), EMPTY)
    assert [str(k) for k in ends.kind] == [Ending.POINT, Ending.POINT, Ending.ESCAPED]
    assert ends.attractors[0].states[0, 0] == pytest.approx(-0.01, abs=1e-10)


def test_a_saddle_passed_slowly_is_not_where_it_ends():
    """Along the saddle's stable direction to within 1e-12, then along the unstable one at 1 % per step."""
    saddle = Map(lambda x, u: torch.stack([0.9 * x[:, 0], 1.01 * x[:, 1] - x[:, 1] ** 3], 1), n_state=2)
    x = torch.tensor([[1.0, 1e-12], [1.0, -1e-12], [1.0, 0.0]], dtype=torch.float64)
    ends = settle(saddle, x, EMPTY)
    assert [str(k) for k in ends.kind] == [Ending.POINT, Ending.POINT, Ending.RESTING]
    assert np.allclose([ends.attractors[i].states[0] for i in ends.attractor[:2]], [[0, 0.1], [0, -0.1]], atol=1e-10)


def test_on_a_line_of_fixed_points_trajectories_rest_where_nothing_draws_them_in():
    line = Map(lambda x, u: x * torch.tensor([1.0, 0.5], dtype=torch.float64), n_state=2)
    ends = settle(line, spread(-1, 1, 12, n=2), EMPTY)
    assert kinds(ends) == {Ending.RESTING: 12}


def test_a_drift_for_ever_has_not_settled():
    drift = Map(lambda x, u: x + 0.1, n_state=1)
    assert kinds(settle(drift, spread(-1, 1, 3), EMPTY, max_steps=500)) == {Ending.UNSETTLED: 3}


def test_three_bistable_units_settle_at_the_corners_of_their_basins():
    system = Bistable(3)
    states, n_unstable = system.fixed_points()
    stable = torch.as_tensor(states[np.asarray(n_unstable) == 0])
    x = spread(-1.5, 1.5, 100, n=3)
    ends = settle(system, x, torch.zeros(1, system.n_input, dtype=torch.float64), points=stable)
    assert kinds(ends) == {Ending.POINT: 100}
    end = solve_ivp(
        lambda t, y: (
            system.velocity(torch.as_tensor(y).reshape(100, 3), torch.zeros(100, system.n_input).double())
            .numpy()
            .ravel()
        ),
        (0, 60),
        x.numpy().ravel(),
        rtol=1e-8,
        atol=1e-10,
    )
    nearest = torch.cdist(torch.as_tensor(end.y[:, -1].reshape(100, 3)), stable).argmin(1)
    assert ends.attractor.tolist() == nearest.tolist()


@pytest.mark.parametrize("cell", [RNN, GRU])
@pytest.mark.parametrize("seed", range(8))
def test_random_networks_end_where_brute_force_does(cell, seed):
    """20,000 steps more, and the states that recur: where it says settled the end is that attractor and its period, and
    where the map has settled by then, it says so."""
    n, gain = [2, 3, 4, 6][seed % 4], [1.2, 2.0, 3.0, 5.0][seed // 2]
    network = cell.random(n, seed=seed, gain=gain)
    x, u = spread(-1, 1, 12, n=network.n_state, seed=seed), torch.zeros(12, 2, dtype=torch.float64)
    ends = settle(network, x, u[:1], max_steps=3000)
    for _ in range(20_000):
        x = x + network.velocity(x, u)
    y, period = x, torch.zeros(12)
    for k in range(1, 17):
        y = y + network.velocity(y, u)
        period[(period == 0) & ((y - x).norm(dim=1) < 1e-9)] = k
    for i, owner in enumerate(ends.attractor):
        assert (owner >= 0) == (period[i] > 0)
        if owner >= 0:
            attractor = ends.attractors[owner]
            assert len(attractor.states) == period[i]
            assert np.linalg.norm(attractor.states - x[i].numpy(), axis=1).min() < 1e-8


def test_a_trajectory_ends_where_it_ends_alone():
    network = RNN.random(6, seed=7, gain=3.0)
    x, u = spread(-1, 1, 12, n=6), torch.zeros(1, 2, dtype=torch.float64)
    together = settle(network, x, u)
    for i in range(12):
        alone = settle(network, x[i : i + 1], u)
        assert alone.kind[0] == together.kind[i]
        if alone.attractor[0] >= 0:
            mine, its = alone.attractors[alone.attractor[0]], together.attractors[together.attractor[i]]
            assert np.allclose(mine.states, its.states, atol=1e-9)


def test_the_order_of_the_trajectories_does_not_change_the_attractors_or_their_order():
    network = RNN.random(6, seed=7, gain=3.0)
    x, u = spread(-1, 1, 30, n=6), torch.zeros(1, 2, dtype=torch.float64)
    order = np.random.default_rng(1).permutation(30)
    one, other = settle(network, x, u), settle(network, x[order], u)
    assert [a.period for a in one.attractors] == [a.period for a in other.attractors]
    assert all(
        np.allclose(a.states, b.states, atol=1e-9) for a, b in zip(one.attractors, other.attractors, strict=True)
    )
    assert one.attractor[order].tolist() == other.attractor.tolist()


def test_twice_the_same_is_the_same_to_the_last_bit():
    network = GRU.random(4, seed=3, gain=3.0)
    x, u = spread(-1, 1, 20, n=4), torch.zeros(1, 2, dtype=torch.float64)
    one, other = settle(network, x, u), settle(network, x, u)
    assert np.array_equal(one.end, other.end)
    assert np.array_equal(one.attractor, other.attractor)


@pytest.mark.parametrize("points", [False, True])
def test_without_jacobians_the_ends_are_the_same(points, monkeypatch):
    """Above 2048 units Krylov solves take the place of factorisations; here they do so in a small network."""
    W = 2.5 * np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0] @ np.diag([1, 1, *[0.2] * 10])
    network = RNN({"weight_ih_l0": np.zeros((12, 1)), "weight_hh_l0": W @ W.T / 3})
    x, u = spread(-1, 1, 20, n=12), torch.zeros(1, 1, dtype=torch.float64)
    dense = settle(network, x, u)
    assert kinds(dense) == {Ending.POINT: 20}
    monkeypatch.setattr("dynsys.attractors.known.MATRIX_FREE_ABOVE", 0)
    known = torch.as_tensor(np.concatenate([a.states for a in dense.attractors])) if points else None
    ends = settle(network, x, u, points=known)
    assert ends.attractor.tolist() == dense.attractor.tolist()
    for a, b in zip(ends.attractors, dense.attractors, strict=True):
        assert np.allclose(a.states, b.states, atol=1e-8)


def test_no_trajectories_end_nowhere():
    ends = settle(logistic(3.2), column(), EMPTY)
    assert len(ends) == 0
    assert ends.attractors == ()


def test_states_that_are_no_numbers_have_run_off():
    ends = settle(logistic(3.2), column(float("nan"), 0.3), EMPTY)
    assert [str(k) for k in ends.kind] == [Ending.ESCAPED, Ending.CYCLE]


@pytest.mark.parametrize("slope", [2.0, 1.0])
def test_a_kink_beyond_which_nothing_is_drawn_in_is_no_stable_point(slope):
    """h' = relu(slope h) takes h < 0 to 0 at once, but leaves h > 0 alone or drives it off."""
    network = RNN({"weight_ih_l0": np.zeros((1, 1)), "weight_hh_l0": np.full((1, 1), slope)}, nonlinearity="relu")
    ends = settle(network, column(-1.0, -0.5, 0.5), torch.zeros(1, 1, dtype=torch.float64))
    assert [str(k) for k in ends.kind] == [Ending.RESTING] * 2 + [Ending.ESCAPED if slope > 1 else Ending.RESTING]


def test_a_kink_at_which_both_sides_draw_in_is_a_stable_point():
    network = RNN({"weight_ih_l0": np.zeros((1, 1)), "weight_hh_l0": np.full((1, 1), 0.5)}, nonlinearity="relu")
    ends = settle(network, column(-1.0, 0.0, 0.5), torch.zeros(1, 1, dtype=torch.float64))
    assert kinds(ends) == {Ending.POINT: 3}
    assert np.allclose(ends.attractors[0].states, 0)


def test_a_trajectory_that_needs_ever_shorter_steps_takes_none_from_the_others():
    """x' = x (2 - x), y' = -y x^2 leads to (2, 0) from x > 0; from x < 0 to infinity, where y is ever stiffer."""
    flow = Flow(lambda x, u: torch.stack([x[:, 0] * (2 - x[:, 0]), -x[:, 1] * x[:, 0] ** 2], 1), n_state=2)
    x = torch.tensor([[0.1, 1.0], [4.0, -1.0], [1.0, 0.5], [-1.0, 1.0]], dtype=torch.float64)
    ends = settle(flow, x, EMPTY)
    assert [str(k) for k in ends.kind] == [Ending.POINT] * 3 + [Ending.GIVEN_UP]
    assert np.allclose(ends.attractors[0].states, [2, 0], atol=1e-9)
    assert settling_summary(settlement(ends)) == (
        "Of 4 trajectories 75 % settle at 1 stable point; 1 did not settle in 5,000 steps of the integrator."
    )


@pytest.mark.parametrize("sizes", [(1e5, 1e-2), (1e7, 1.0), (1e-8, 1e-8)], ids=str)
def test_nothing_runs_off_where_nothing_can(sizes):
    """x' = x - x^3 in each variable takes every start to +-1, however far out it is or near to 0."""
    x = spread(0.5, 1.0, 8, n=2) * torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(4, 1)
    ends = settle(Flow(lambda x, u: x - x**3, n_state=2), x * torch.tensor(sizes, dtype=torch.float64), EMPTY)
    assert kinds(ends) == {Ending.POINT: 8}
    assert np.allclose([ends.attractors[i].states[0] for i in ends.attractor], np.sign(np.asarray(x)), atol=1e-9)


@pytest.mark.parametrize("power", [2, 3, 5])
def test_what_is_infinite_in_finite_time_has_run_off(power):
    ends = settle(Flow(lambda x, u: x**power, n_state=1), column(0.5, 1.0), EMPTY)
    assert kinds(ends) == {Ending.ESCAPED: 2}


@pytest.mark.parametrize("rate", [1e4, 1e7, 1e14])
def test_a_fast_flow_settles_in_its_own_time(rate):
    ends = settle(Flow(lambda x, u: -rate * x, n_state=2), spread(-1, 1, 6, n=2), EMPTY)
    assert kinds(ends) == {Ending.POINT: 6}


def test_the_attractor_of_lorenz_is_no_oscillation():
    """It comes near its old states now and then, but leaves again."""

    def velocity(x, u):
        a, b, c = x.T
        return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)

    ends = settle(Flow(velocity, n_state=3), spread(-10, 10, 16, n=3), EMPTY)
    assert kinds(ends) == {Ending.GIVEN_UP: 16}


def test_where_the_velocity_is_no_number_the_trajectory_has_run_off():
    """sqrt(x) - 1/2 falls to x < 0 from below 1/4, where it is NaN, and is NaN there from the beginning."""
    flow = Flow(lambda x, u: torch.sqrt(x) - 0.5, n_state=1)
    ends = settle(flow, column(-1.0, 0.1, 0.2), EMPTY)
    assert kinds(ends) == {Ending.ESCAPED: 3}
    assert settling_summary(settlement(ends)) == (
        "None of the 3 trajectories settles at a stable point: 3 ran off to infinity or became NaN."
    )


def test_no_steps_are_no_use():
    with pytest.raises(ValueError, match="1 or more"):
        settle(logistic(3.2), column(0.5), EMPTY, max_steps=0)


def test_the_summary_says_that_the_memories_are_orbits():
    swing = Map(lambda x, u: -torch.tanh(1.8 * x), n_state=4, bounds=(-1, 1))
    ends = settle(swing, spread(-1, 1, 256, n=4), EMPTY)
    assert settling_summary(settlement(ends)) == (
        "None of the 256 trajectories settles at a point: its memories are 8 stable orbits of period 2."
    )


def test_the_summary_counts_the_stable_points_reached():
    root = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1.0, xtol=1e-15)
    system = Map(lambda x, u: torch.tanh(2 * x), n_state=1, bounds=(-1, 1))

    def said(x, *points):
        handed = column(*points) if points else None
        return settling_summary(settlement(settle(system, x, EMPTY, points=handed)))

    both = column(0.5, -0.5, 0.1, 0.2)
    assert said(both, root, -root) == "All 4 trajectories settle at the 2 stable points."
    assert said(both[:1], root, -root) == "The only trajectory settles at 1 of the 2 stable points."
    assert said(both) == "All 4 trajectories settle at 2 stable points."
    assert said(both, root) == (
        "Of 4 trajectories 75 % settle at the stable point, 25 % at 1 stable point that the search did not find."
    )
    assert said(column(0.0, 0.5), root) == (
        "Of 2 trajectories 50 % settle at the stable point; 1 rest at marginal points or saddles."
    )


def test_the_summary_of_what_does_not_settle():
    chaos = settle(logistic(3.9), spread(0.1, 0.9, 5), EMPTY, max_steps=100)
    assert settling_summary(settlement(chaos)) == "None of the 5 trajectories settles within 100 steps."
    wave = settle(van_der_pol(1.0), spread(-2, 2, 6, n=2), EMPTY)
    assert settling_summary(settlement(wave)) == (
        "None of the 6 trajectories settles at a point: its memory is 1 oscillation of period 6.66 time constants."
    )
    line = settle(Map(lambda x, u: x, n_state=1), spread(-1, 1, 7), EMPTY)
    assert settling_summary(settlement(line)) == (
        "None of the 7 trajectories settles at a stable point: 7 rest at marginal points or saddles."
    )


@pytest.mark.parametrize("off", [1e9, 1e10])
def test_far_from_the_origin_each_trajectory_still_goes_to_the_point_on_its_own_side(off):
    """tanh(2 y) keeps the sign of y = x - off, and draws each side to its own root of y = tanh(2 y)."""
    root = brentq(lambda y: np.tanh(2 * y) - y, 0.5, 1)
    system = Map(lambda x, u: off + torch.tanh(2 * (x - off)), n_state=1, bounds=(off - 2, off + 2))
    starts = off + torch.cat([torch.linspace(-2, -0.1, 40), torch.linspace(0.1, 2, 24)]).double()[:, None]
    points = find_fixed_points(system, starts, n_starts=64)
    order = np.argsort(points.states[:, 0])
    np.testing.assert_allclose(points.states[order, 0] - off, [-root, 0, root], atol=8 * np.spacing(off))
    assert points.stability[order].tolist() == ["stable node", "unstable node", "stable node"]
    ends = {end["point"]: end["trajectories"] for end in points.search.settling["ends"]}
    assert ends == {order[0]: 40, order[2]: 24}


def test_a_trajectory_that_rests_at_a_saddle_far_out_is_at_no_stable_point():
    off = 1e9
    system = Map(lambda x, u: off + torch.tanh(2 * (x - off)), n_state=1, bounds=(off - 2, off + 2))
    root = brentq(lambda y: np.tanh(2 * y) - y, 0.5, 1)
    settled = settle(system, column(off), EMPTY, points=column(off - root, off + root))
    assert kinds(settled) == {Ending.RESTING: 1}
