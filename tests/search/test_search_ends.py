"""Searches that end, say with what, and never contradict themselves."""

import time

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, Map, find_fixed_points
from dynsys.models.recurrent.vanilla import RNN
from dynsys.search.known.stopping import Stop


def random_map(n=48, gain=6.0, seed=0):
    """A random tanh map at high gain, which has hundreds of fixed points."""
    W = gain * np.random.default_rng(seed).standard_normal((n, n)) / n**0.5
    return RNN({"weight_hh_l0": W, "weight_ih_l0": np.zeros((n, 0))})


def test_seconds_end_a_search_with_what_it_has_and_it_says_so():
    began = time.monotonic()
    points = find_fixed_points(random_map(), seconds=0.5, verify=False, slow_q=0.0, workers=1)
    took = time.monotonic() - began
    assert points.search.stopped == str(Stop.TIME)
    assert len(points) > 0
    assert "All points seem to be found" not in points.search.missing["sentence"]
    again = find_fixed_points(random_map(), seconds=0.5, verify=False, slow_q=0.0, workers=1)
    assert again.search.stopped == str(Stop.TIME)
    assert took < 60  # hundreds of points, of which each costs eigenvalues, and no search to the end


def test_a_search_that_goes_on_finding_points_ends_by_itself_at_the_same_points(monkeypatch):
    monkeypatch.setattr("dynsys.search.known.stopping.WORK", 1024)
    found = [find_fixed_points(random_map(), verify=False, slow_q=0.0, workers=1) for _ in range(2)]
    for points in found:
        assert points.search.stopped == str(Stop.LONG)
        assert "give seconds for more" in points.search.stopped
        assert "All points seem to be found" not in points.search.missing["sentence"]
    np.testing.assert_array_equal(found[0].states, found[1].states)
    monkeypatch.setattr("dynsys.search.known.stopping.WORK", 2048)
    assert len(find_fixed_points(random_map(), verify=False, slow_q=0.0, workers=1)) > len(found[0])


def test_a_search_without_a_box_says_how_far_it_looked():
    """h' = [2 h - 1000]+ rests at 0 and at 1000, where no start comes near."""
    points = find_fixed_points(Map(lambda h, u: torch.relu(2 * h - 1000), 1), n_starts=64, verify=False, workers=1)
    assert 1000.0 not in points.states
    within = points.search.missing["within"]
    assert within < 1000
    assert f"among states of norms up to {within:.2g}: 1 known" in points.search.missing["sentence"]


@pytest.mark.parametrize(("rest", "start"), [(0.5, 1e10), (1e-3, -1e24), (0.5, -1e70), (0.0, 1e6)])
def test_starts_far_out_make_no_point_where_there_is_none(rest, start):
    """x' = -rest - x^2 is zero nowhere unless rest is 0; beside F at the starts it is small over a wide range."""
    flow = Flow(lambda x, u: -rest - x**2, 1)
    points = find_fixed_points(flow, [[start]], closure=False, verify=False, slow_q=0.0, workers=1)
    assert len(points) == (rest == 0)


def test_seconds_take_the_place_of_the_limit(monkeypatch):
    monkeypatch.setattr("dynsys.search.known.stopping.WORK", 1)
    points = find_fixed_points(random_map(), verify=False, slow_q=0.0, workers=1, seconds=0.2)
    assert points.search.stopped == str(Stop.TIME)


def test_seconds_have_to_be_some():
    for seconds in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="a search needs some time"):
            find_fixed_points(Flow(lambda x, u: -x, 1), seconds=seconds)


COVARIANCE = np.array([[5, 0, 3, 0], [0, 4, 0, 2.5], [3, 0, 5, 0], [0, 2.5, 0, 4.0]])


def low_rank(seed, N=500):
    Y = torch.tensor(np.random.default_rng(seed).multivariate_normal(np.zeros(4), COVARIANCE, size=N))
    return Y[:, :2], Y[:, 2:]


def points_in_the_plane(m, n):
    """All fixed points of dx/dt = -x + m n^T tanh(x) / N: x = m k with k = n^T tanh(m k) / N, two equations in two
    unknowns, solved from a fine grid of starts by Newton's method with its own Jacobian."""
    m, n = m.numpy(), n.numpy()
    N = len(m)
    grid = np.stack(np.meshgrid(np.linspace(-4, 4, 41), np.linspace(-4, 4, 41)), axis=2).reshape(-1, 2)
    found = []
    for k in grid:
        for _ in range(60):
            t = np.tanh(m @ k)
            F = n.T @ t / N - k
            J = (n.T * (1 - t * t)) @ m / N - np.eye(2)
            step = np.linalg.solve(J, F)
            k = k - step
            if not np.isfinite(k).all() or np.abs(step).max() < 1e-14:
                break
        zero = np.isfinite(k).all() and np.abs(n.T @ np.tanh(m @ k) / N - k).max() < 1e-12
        if zero and not any(np.abs(k - other).max() < 1e-6 for other in found):
            found.append(k)
    return np.array([m @ k for k in found])


@pytest.mark.parametrize(("way", "seed"), [("flow", 5), ("step", 5)])
def test_a_network_of_low_rank_given_as_its_own_equation_shows_all_its_points(way, seed):
    m, n = low_rank(seed)
    if way == "flow":
        system = Flow(lambda x, u: -x + torch.tanh(x) @ n @ m.T / 500, 500)
    else:
        system = dynsys.wrap(lambda x, u: x + 0.2 * (-x + torch.tanh(x) @ n @ m.T / 500), n_state=500, n_input=0)
    points = find_fixed_points(system, workers=1, slow_q=0.0)
    truth = points_in_the_plane(m, n)
    assert len(truth) == 5
    apart = np.linalg.norm(points.states[:, None] - truth[None], axis=2)
    assert len(points) == 5
    assert (apart.min(axis=0) < 1e-6).all()
    assert sorted(points.n_unstable > 0) == [False, False, True, True, True]


def test_a_point_that_trajectories_come_to_and_no_start_led_to_joins_the_result():
    """x' = -x + 40 s(x) in 30 variables, with two sinks of a narrow plateau that Newton leaps over: where trajectories
    settle is never outside of the list."""
    torch.manual_seed(0)
    a = torch.randn(30, dtype=torch.float64)
    a = a / a.norm()

    def velocity(x, u):
        along = x @ a
        return -x + (6 * torch.tanh(8 * (along - 3)) + 6 * torch.tanh(8 * (along + 3))).unsqueeze(1) * a / 2

    points = find_fixed_points(Flow(velocity, 30), n_starts=64, workers=1, slow_q=0.0)
    told = points.search.settling
    assert all(end["point"] is not None for end in told["ends"] if end["kind"] == "settles at a point")
    along = np.sort(points.states @ a.numpy())
    stable = along[np.char.startswith(points.stability, "stable")[np.argsort(points.states @ a.numpy())]]
    expected = [-6.0, 0.0, 6.0]  # 12 tanh(..) / 2 saturates there to within 1e-9 of each
    for value in stable:
        assert min(abs(value - e) for e in expected) < 1e-6


def test_what_is_ended_early_is_never_called_all():
    from dynsys.search.known.missing import Missing

    whole = Missing(known=5, estimate=0.0, least=5, most=8, tests=40)
    assert whole.sentence.startswith("All points seem to be found")
    for change in ({"early": True}, {"unmet": 1}, {"doubted": True}):
        changed = Missing(known=5, estimate=0.0, least=5, most=8, tests=40, **change)
        assert changed.sentence.startswith("Points may be missing")


def test_whether_trajectories_come_back_is_seen_of_those_that_begin_far_out():
    """A network of three units at gain 2 comes back from anywhere, a linear one that grows does not."""
    from dynsys.search.starts import visited

    u = torch.zeros(1, 0, dtype=torch.float64)
    assert visited(Flow(lambda x, u: 2 * torch.tanh(x) - x, 1), u).come_back
    assert not visited(Flow(lambda x, u: x, 1), u).come_back
    assert not visited(Map(lambda x, u: 1.5 * x, 3), u).come_back
    assert visited(Map(lambda x, u: torch.tanh(2 * x), 3), u).come_back
