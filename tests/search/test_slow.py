"""Slow points: the ghosts of saddle-node bifurcations, whose place and speed have closed forms."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import dynsys
from dynsys import Flow, Map, find_fixed_points
from dynsys.search.landing import Rejection
from dynsys.search.slow_points.constrained import lowered
from dynsys.search.slow_points.minimum import minimum_at
from dynsys.search.slow_points.projected_newton import newton_in_box
from dynsys.search.slow_points.slowness import drift_time, slow_summary
from dynsys.systems.held import Held
from dynsys.systems.speed import gradient, speed
from dynsys.trajectories.simulate import relax


def ghost(r, centre=0.0):
    """x' = r + (x - centre)^2: for r > 0 the least of q is r^2 / 2, at the centre."""
    return Flow(lambda x, u: r + (x - centre) ** 2, n_state=1, bounds=(-2, 2))


@pytest.mark.parametrize(
    ("r", "centre", "solver"),
    [(r, 0.3, "auto") for r in (1e-2, 1e-4, 1e-7, 1e-10)]
    + [(1e-4, 0.0, "auto"), (1e-10, 0.0, "newton"), (1e-2, 0.0, "conjugate-gradient")]
    + [(r, 0.3, "conjugate-gradient") for r in (1e-4, 1e-10)],
)
def test_the_ghost_of_a_saddle_node_is_one_slow_point(r, centre, solver):
    points = find_fixed_points(ghost(r, centre), n_starts=32, solver=solver, workers=1)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, [[centre]], atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)
    assert points.search.found == 0
    assert points.search.slow == 1


@pytest.mark.parametrize("r", [1e-11, 1e-12, 1e-13, 1e-14])
def test_the_slowest_ghosts_are_not_lost_between_slow_and_fixed(r):
    """Near the rounding error of the velocity a ghost may pass for slow or for fixed, but not for nothing."""
    points = find_fixed_points(ghost(r, 0.3), n_starts=32, workers=1)
    assert len(points) == 1
    np.testing.assert_allclose(points.states, [[0.3]], atol=1e-6)


def test_a_minimum_above_the_limit_is_not_a_slow_point():
    points = find_fixed_points(ghost(0.1), n_starts=32, slow_q=1e-3, workers=1)  # q = 5e-3
    search = points.search
    assert len(points) == 0
    assert sum(search.rejected.values()) == search.starts + search.scattered_starts
    assert search.starts == 32
    points = find_fixed_points(ghost(0.1), n_starts=32, slow_q=1e-2, workers=1)
    assert points.verdict.tolist() == ["slow"]


def test_a_double_zero_is_one_marginal_fixed_point():
    """x' = x^2, the saddle-node itself: |x| below 1e-7 is all that float64 can tell of the place."""
    points = find_fixed_points(ghost(0.0), n_starts=64, workers=1)
    assert points.verdict.tolist() == ["fixed"]
    assert points.stability.tolist() == ["marginal"]
    assert points.error_bound.tolist() == [np.inf]
    assert abs(points.states.item()) < 1e-7


def test_a_triple_zero_is_one_marginal_fixed_point():
    points = find_fixed_points(Flow(lambda x, u: -(x**3), n_state=1, bounds=(-2, 2)), n_starts=64, workers=1)
    assert points.stability.tolist() == ["marginal"]
    assert abs(points.states.item()) < 1e-4


def test_beyond_the_saddle_node_there_are_a_stable_and_an_unstable_point():
    points = find_fixed_points(ghost(-1e-4), n_starts=64, workers=1)
    np.testing.assert_allclose(points.states[:, 0], [-0.01, 0.01], atol=1e-12)
    assert points.stability.tolist() == ["stable node", "unstable node"]
    assert (points.verdict == "fixed").all()


def test_a_constant_drift_has_no_points():
    points = find_fixed_points(Map(lambda x, u: x + 1, n_state=1), n_starts=32, workers=1)
    assert len(points) == 0
    assert points.search.rejected == {str(Rejection.TOO_FAST): 32 + points.search.scattered_starts}


def test_slow_and_fixed_points_of_one_system_are_told_apart():
    """x' = -(x - 1) ((x + 1)^2 + r): a zero at 1, and near -1 a ghost of speed 2 r."""
    r = 1e-4
    system = Flow(lambda x, u: -(x - 1) * ((x + 1) ** 2 + r), n_state=1, bounds=(-2, 2))
    points = find_fixed_points(system, n_starts=64, workers=1)
    assert points.verdict.tolist() == ["fixed", "slow"]
    np.testing.assert_allclose(points.states[0], [1.0], atol=1e-12)
    y = (4 - np.sqrt(16 - 12 * r)) / 6  # x + 1 where F = -(y - 2) (y^2 + r) has slope zero: 3 y^2 - 4 y + r = 0
    np.testing.assert_allclose(points.states[1], [y - 1], atol=1e-9)


def test_a_saddle_of_q_is_not_a_slow_point():
    """F = (c + x^2 - y^2, 0) has q = (c + x^2 - y^2)^2 / 2, with a saddle at the origin and zeros at y^2 - x^2 = c."""
    c = 1e-3

    def velocity(x, u):
        return torch.stack([c + x[:, 0] ** 2 - x[:, 1] ** 2, torch.zeros_like(x[:, 0])], dim=1)

    starts = np.array([[1e-4, 0.0], [-2e-4, 0.0], [3e-4, 0.0]])  # on the stable axis of the saddle
    points = find_fixed_points(Flow(velocity, n_state=2), starts, closure=False, workers=1)
    slow = points[points.verdict == "slow"]
    assert len(slow) == 0


@pytest.mark.parametrize("n", [2, 200])
def test_a_ghost_in_many_dimensions_is_found(n):
    """One coordinate with a ghost, the others decaying, in coordinates turned at random; above 128 units by Krylov."""
    r, Q = 1e-3, torch.as_tensor(np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0])

    def velocity(x, u):
        y = x @ Q
        return torch.cat([r + y[:, :1] ** 2, -y[:, 1:]], dim=1) @ Q.T

    starts = 0.3 * np.random.default_rng(1).standard_normal((8, n))
    points = find_fixed_points(Flow(velocity, n_state=n), starts, workers=1, closure=False)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, np.zeros((1, n)), atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)


def test_the_bound_of_a_slow_point_contains_the_minimum():
    """x' = r + (x - 0.3)^2 + (x - 0.3)^3 has its ghost at 0.3 to all digits: q' = 0 where F' = 0."""
    system = Flow(lambda x, u: 1e-3 + (x - 0.3) ** 2 + (x - 0.3) ** 3, n_state=1, bounds=(-0.2, 1))
    points = find_fixed_points(system, n_starts=32, workers=1)
    assert points.verdict.tolist() == ["slow"]
    assert abs(points.states.item() - 0.3) <= points.error_bound.item() + np.finfo(float).eps


def gated(n, k=8.0, candidate=-2.0):
    """A GRU of n units that know nothing of each other: h' - h = s(-k h) (c - h), with c = tanh(candidate)."""
    module = torch.nn.GRU(1, n).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.weight_hh_l0[n : 2 * n] = k * torch.eye(n)
        module.bias_ih_l0[2 * n :] = candidate
    return dynsys.wrap(module)


def speed_of_gate(h, k=8.0, candidate=-2.0):
    return (np.tanh(candidate) - h) / (1 + np.exp(k * h))


@pytest.mark.parametrize("k", [6.0, 8.0, 12.0])
def test_saturated_gates_make_slow_points_on_the_boundary_of_the_box(k):
    """Each unit rests at c, or creeps down from 1, where q falls beyond the box for ever: 2^2 combinations."""
    points = find_fixed_points(gated(2, k), n_starts=128, workers=1, slow_q=1e-3)
    c, F = np.tanh(-2.0), speed_of_gate(1.0, k)
    slow = points.verdict == "slow"
    np.testing.assert_allclose(points.states[~slow], [[c, c]], atol=1e-12)
    states = points.states[slow][np.lexsort(points.states[slow].T.round(6))]
    np.testing.assert_allclose(states, [[1, c], [c, 1], [1, 1]], atol=1e-9)
    np.testing.assert_allclose(np.sort(points.q[slow]), np.array([1, 1, 2]) * F**2 / 2, rtol=1e-9)
    assert (np.abs(states - [[1, c], [c, 1], [1, 1]]).max(axis=1) <= 1e-12).all()
    assert (points.states[slow] <= 1).all()


def gate_pair(x, u):
    """Two coupled units with gates that shut towards the upper right: no closed form, so looked at on a grid."""
    gate = torch.sigmoid(-6 * x + 2 * x.flip(1))
    return 0.3 * gate * (torch.tanh(torch.tensor([-1.5, 0.4]) + 0.5 * x.flip(1)) - x)


def minima_on_a_grid(system, u, m=401):
    """Local minima of q on a grid of the box [-1, 1]^2, boundary included, by comparison with all eight neighbours.

    In a valley at a slant a grid has many; L-BFGS-B takes each to where it leads.
    """

    def q_and_slope(s):
        x = torch.as_tensor(s[None])
        return 1e4 * float(speed(Held(system, u), x)), 1e4 * np.asarray(gradient(Held(system, u), x))[0]

    axis = np.linspace(-1, 1, m)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    q = np.pad(np.asarray(speed(Held(system, u.expand(len(grid), -1)), torch.as_tensor(grid))).reshape(m, m), 1, "edge")
    q[[0, -1]], q[:, [0, -1]] = np.inf, np.inf
    around = [q[1 + a : m + 1 + a, 1 + b : m + 1 + b] for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    lowest = (q[1:-1, 1:-1] < np.min(around, axis=0)).nonzero()
    tight = {"ftol": 1e-16, "gtol": 1e-12}
    ends = [
        minimize(q_and_slope, axis[list(at)], jac=True, method="L-BFGS-B", bounds=[(-1, 1)] * 2, options=tight).x
        for at in zip(*lowest, strict=True)
    ]
    return np.unique(np.round(ends, 3), axis=0)


def test_the_minima_in_a_box_are_those_of_a_grid():
    system, u = Flow(gate_pair, n_state=2, bounds=(-1, 1)), torch.zeros(1, 0, dtype=torch.float64)
    expected = minima_on_a_grid(system, u)
    starts = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (64, 2)))
    held = Held(system, u.expand(64, -1), 1.0)
    ends = newton_in_box(held, lowered(held, starts, slow_q=1.0))
    distance = np.abs(np.asarray(ends)[:, None] - expected).max(axis=2)
    assert (distance.min(axis=1) < 2e-3).all()  # every start ended at one of them
    assert (distance.min(axis=0) < 2e-3).all()  # and none was missed
    assert (np.abs(expected) == 1).any()  # of which there are such on the boundary


@pytest.mark.parametrize("seed", range(6))
def test_a_constrained_minimum_is_the_one_that_scipy_finds(seed):
    """x' = A x + b + small bends in a box that cuts the zero off: SLSQP, from the same start, on the same q."""
    rng = np.random.default_rng(seed)
    A = torch.as_tensor(rng.standard_normal((4, 4)) - 2 * np.eye(4))
    b = torch.as_tensor(4 * rng.standard_normal(4))
    system = Flow(lambda x, u: x @ A.T + b + 0.2 * torch.sin(x), n_state=4, bounds=(-1, 1))
    u, x = torch.zeros(1, 0, dtype=torch.float64), torch.as_tensor(rng.uniform(-1, 1, (1, 4)))
    end = newton_in_box(Held(system, u, 2.0), lowered(Held(system, u, 2.0), x, slow_q=1.0))
    found = minimum_at(Held(system, u, 2.0), end)

    def q(s):
        return float(speed(Held(system, u), torch.as_tensor(s[None])))

    def slope(s):
        return np.asarray(gradient(Held(system, u), torch.as_tensor(s[None])))[0]

    options = {"ftol": 1e-15, "maxiter": 500}
    scipy_end = minimize(q, np.asarray(x)[0], jac=slope, method="SLSQP", bounds=[(-1, 1)] * 4, options=options)
    assert found.is_minimum
    assert found.q == pytest.approx(scipy_end.fun, rel=1e-8, abs=1e-20)
    np.testing.assert_allclose(np.asarray(found.x)[0], scipy_end.x, atol=1e-4)
    sides = np.sign(np.asarray(found.x)[0]) * (np.abs(np.asarray(found.x)[0]) == 1)
    held = (sides * slope(np.asarray(found.x)[0])) < 0  # Kuhn and Tucker: q falls beyond the bounds that hold
    assert found.active.tolist() == np.where(held, sides, 0).astype(int).tolist()


def test_the_bound_of_a_constrained_minimum_contains_it():
    """q = ((y - 2)^2 + (z - 0.3 - 0.1 z^2)^2 (1 + ...)) / 2 in the box [-1, 1]^2: y is held at 1, z is a root."""

    def velocity(x, u):
        return torch.stack([x[:, 0] - 2, x[:, 1] - 0.3 - 0.1 * x[:, 1] ** 2], 1)

    system, u = Flow(velocity, n_state=2, bounds=(-1, 1)), torch.zeros(1, 0, dtype=torch.float64)
    x = newton_in_box(Held(system, u, 1.0), torch.tensor([[0.2, -0.7]], dtype=torch.float64))
    found = minimum_at(Held(system, u, 1.0), x)
    root = 5 - np.sqrt(25 - 3)
    assert found.active.tolist() == [1, 0]
    assert found.x[0, 0] == 1
    assert abs(float(found.x[0, 1]) - root) <= found.error_bound < 1e-14


def test_a_large_system_comes_to_its_constrained_minimum_without_a_hessian():
    """200 units in turned coordinates, each pulled to a target; those beyond the box end at its bounds."""
    n, rng = 200, np.random.default_rng(0)
    target = torch.as_tensor(rng.uniform(-1.5, 1.5, n))
    Q = torch.as_tensor(np.linalg.qr(rng.standard_normal((n, n)))[0])
    system = Flow(lambda x, u: (target - x + 0.1 * (target - x) ** 3) @ Q.T, n_state=n, bounds=(-1, 1))
    u, x = torch.zeros(1, 0, dtype=torch.float64), torch.as_tensor(rng.uniform(-1, 1, (2, n)))
    held = Held(system, u.expand(2, -1), 10.0)
    ends = newton_in_box(held, lowered(held, x, slow_q=1e3))
    np.testing.assert_allclose(ends, target.clamp(-1, 1).expand(2, -1), atol=1e-7)


def test_the_time_to_drift_is_that_of_a_simulation_nearby():
    """x' = r + x^2 with a time constant of 3: t = 3 arctan(d / sqrt r) / sqrt r, against straight on from 0."""
    r, tau = 1e-4, 3.0
    system = Flow(lambda x, u: r + x**2, n_state=1, time_constant=tau)
    d = 0.1 * r**0.5
    [straight] = drift_time(system, np.array([r**2 / 2]), d)
    exact = tau * np.arctan(0.1) / r**0.5
    assert straight == pytest.approx(exact, rel=0.01)
    path = relax(Held(system, torch.zeros(1, 0)), torch.zeros(1, 1, dtype=torch.float64), 200, step=0.1)[:, 0, 0]
    simulated = 0.1 * tau * float((path < d).sum())
    assert simulated == pytest.approx(exact, rel=0.01)


def test_the_time_to_drift_of_a_map_is_counted_in_steps():
    system = Map(lambda x, u: x + 1e-3, n_state=1)
    assert drift_time(system, np.array([1e-6 / 2, 0.0]), 0.05).tolist() == pytest.approx([50.0, np.inf])


def result(verdict, speeds, held):
    active = np.zeros((len(speeds), 2), dtype=np.int8)
    active[:held, 0] = 1
    q = np.square(speeds) / 2
    return SimpleNamespace(
        verdict=np.array(verdict), q=q, active_bounds=active, drift_time=0.02 / np.array(speeds), about={"kind": "map"}
    )


def test_a_result_of_slow_points_only_says_so():
    said = slow_summary(result(["slow"] * 3, [2e-3, 1e-2, 4e-3], held=2))
    assert said == (
        "No fixed point was found, only 3 slow points, speeds 0.002 to 0.01 per step, times 2 to 10 steps to drift by "
        "1% of a state's usual size; 2 of them on the boundary of the reachable box."
    )
    one = slow_summary(result(["slow"], [2e-3], held=0))
    assert one.startswith("No fixed point was found, only 1 slow point, speed 0.002 per step, time 10 steps")


def test_a_result_with_a_fixed_point_or_without_any_is_not_called_slow():
    assert slow_summary(result(["fixed", "slow"], [1e-9, 1e-2], held=0)) is None
    assert slow_summary(result([], np.zeros(0), held=0)) is None


@pytest.mark.parametrize(
    ("W", "b"),
    [
        ([[0.5, 2], [-2, 2]], [0, 0]),
        ([[2, 2, -1], [0.5, 0.5, -2], [-2, 0, 0.5]], [-1000, 0, 0]),
        ([[0.5, 0], [0, 0.5]], [-1e9, 0]),
        ([[-0.5, -0.5], [-1, 0.5]], [-1e9, 0]),
    ],
)
def test_a_descent_that_stops_short_of_a_zero_at_the_origin_is_no_slow_point(W, b):
    """Networks of ReLUs: q is quadratic in each region and falls on to the zero, however small it is already."""
    module = torch.nn.RNN(1, len(b), nonlinearity="relu").double()
    with torch.no_grad():
        for weights in module.parameters():
            weights.zero_()
        module.weight_hh_l0.copy_(torch.tensor(W))
        module.bias_ih_l0.copy_(torch.tensor(b))
    points = find_fixed_points(dynsys.wrap(module), n_starts=32, workers=1)
    assert len(points.slow) == 0
    assert points.search.complete
