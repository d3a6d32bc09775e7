"""Fixed points under a rising perturbation: which survive, how far they drift, what the first order says."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import root

from dynsys import Flow, Map
from dynsys.continuation.persistence import survival
from dynsys.continuation.track import Fate
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.stability.unstable import unstable_directions
from dynsys.systems.held import Held

FOLD = 2 / 27**0.5  # where x - x^3 + level loses two of its three zeros


def bistable(level):
    return Flow(lambda x, u: x - x**3 + level, n_state=1)


def units(weights, n):
    """Level -> bistable units x - x^3 + weight level beside variables that decay, all rotated together."""
    c = torch.zeros(n, dtype=torch.float64)
    c[: len(weights)] = torch.tensor(weights, dtype=torch.float64)
    cubic = (torch.arange(n) < len(weights)).double()
    Q = torch.as_tensor(np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0])

    def at(level):
        def velocity(x, u):
            y = x @ Q
            return (cubic * (2 * y - y**3) - y + c * level) @ Q.T

        return Flow(velocity, n_state=n)

    corners = np.zeros((3 ** len(weights), n))
    corners[:, : len(weights)] = list(itertools.product((-1, 0, 1), repeat=len(weights)))
    return at, corners, corners @ Q.numpy().T, Q.numpy()


def test_only_the_points_named_are_memories():
    """Of x - x^3 + level the point at -1 dies at 2 / sqrt(27), that at 1 lives on; named alone, none is lost."""
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1, 0.3, 0.5], memories=[2])
    assert found.was_memory.tolist() == [False, False, True]
    assert found.counts()["exist"] == [3, 3, 1]
    assert found.counts()["memories"] == [1, 1, 1]
    assert found.first_loss == (0.5, np.inf)
    alone = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1, 0.5], which="memories", memories=[0])
    assert alone.points.tolist() == [0]
    assert alone.first_loss == (0.1, 0.5)


def test_a_point_dies_at_the_fold_known_in_closed_form():
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1, 0.2, 0.38, 0.384, 0.5])
    assert found.counts() == {"exist": [3, 3, 3, 3, 1], "same_stability": [2, 2, 2, 2, 1], "memories": [2, 2, 2, 2, 1]}
    assert found.lost_at[:2] == pytest.approx(FOLD, rel=1e-4)
    assert found.lost_at[2] == np.inf
    assert found.fate.tolist() == [Fate.FOLD, Fate.FOLD, Fate.SURVIVES]
    assert found.first_loss == (0.384, 0.5)


@pytest.mark.parametrize("last", [FOLD * (1 - 1e-6), FOLD * (1 + 1e-6)])
def test_a_level_just_before_or_after_the_fold_is_told_apart(last):
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.3, last])
    assert found.counts()["exist"] == [3, 3 if last < FOLD else 1]


def test_one_jump_over_the_fold_does_not_land_on_another_point():
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [1.0])
    assert found.exists.tolist() == [[False, False, True]]
    assert found.lost_at[:2] == pytest.approx(FOLD, rel=0.01)


def test_a_map_is_followed_like_a_flow():
    def at(level):
        return Map(lambda x, u: x + 0.1 * (x - x**3 + level), n_state=1)

    found = survival([[-1.0], [1.0]], at(0.0), at, [0.2, 0.5])
    assert found.counts()["memories"] == [2, 1]
    assert found.lost_at[0] == pytest.approx(FOLD, rel=1e-2)


@pytest.mark.parametrize("n", [3, 100])
def test_independent_units_die_one_by_one_at_their_own_folds(n):
    weights = [1.0, -0.6, 0.3]
    at, corners, points, Q = units(weights, n)
    found = survival(points, at(0.0), at, np.linspace(0.1, 1.5, 8), stability="all")
    deaths = [FOLD / abs(c) for c in weights]
    for k, corner in enumerate(corners):  # a unit that is pushed up has its upper point only, and one pushed down ...
        dies = [d for d, c, y in zip(deaths, weights, corner, strict=False) if y != np.sign(c)]
        assert found.lost_at[k] == pytest.approx(min(dies, default=np.inf), rel=1e-2)
    for level, states, there in zip(found.levels, found.states, found.exists, strict=True):
        for y, corner in zip(states[there] @ Q, corners[there], strict=True):
            for value, start, c in zip(y, corner, weights, strict=False):
                zeros = np.roots([-1, 0, 1, c * level])
                real = np.sort(zeros[abs(zeros.imag) < 1e-6].real)
                assert value == pytest.approx(real[int(start) + 1] if len(real) == 3 else real[0], abs=1e-9)
    unstable = (corners == 0)[:, :3].sum(1)
    assert (found.n_unstable[found.exists] == np.broadcast_to(unstable, found.exists.shape)[found.exists]).all()


def test_the_first_order_is_the_exact_derivative():
    at, corners, points, _ = units([1.0, -0.6, 0.3], 100)
    slopes = np.array([1.0, -0.6, 0.3]) / (1 - 3 * corners[:, :3] ** 2)  # dy/dlevel = -c / (1 - 3 y^2)
    levels = np.array([1e-5, 1e-3])
    found = survival(points, at(0.0), at, levels)
    assert found.predicted == pytest.approx(levels[:, None] * np.linalg.norm(slopes, axis=1), rel=1e-6)
    assert found.drift[0] == pytest.approx(found.predicted[0], rel=1e-4)


def test_dF_that_does_not_grow_like_the_level_is_solved_for_anew():
    def at(level):
        return Flow(lambda x, u: -2 * x + level**2, n_state=1)

    found = survival([[0.0]], at(0.0), at, [0.5, 1.0, 2.0])
    assert found.predicted[:, 0] == pytest.approx([0.125, 0.5, 2.0])
    assert found.drift[:, 0] == pytest.approx([0.125, 0.5, 2.0])


def test_a_memory_that_starts_to_spiral_out_exists_and_is_none_any_more():
    J = torch.tensor([[-1.0, 2.0], [-2.0, -1.0]], dtype=torch.float64)  # loses stability at level 1, a Hopf bifurcation

    def at(level):
        return Flow(lambda x, u: x @ (J + level * torch.eye(2, dtype=torch.float64)).T, n_state=2)

    found = survival([[0.0, 0.0]], at(0.0), at, [0.5, 0.9, 1.1])
    assert found.counts() == {"exist": [1, 1, 1], "same_stability": [1, 1, 0], "memories": [1, 1, 0]}
    assert found.n_unstable[:, 0].tolist() == [0, 0, 2]


def test_a_memory_whose_output_changes_its_sign_is_none_any_more():
    def at(level):
        return Flow(lambda x, u: 1 - x - level, n_state=1, readout=lambda x: x, n_output=1)

    found = survival([[1.0]], at(0.0), at, [0.5, 0.9, 1.5])
    assert found.counts() == {"exist": [1, 1, 1], "same_stability": [1, 1, 1], "memories": [1, 1, 0]}


def test_a_point_that_goes_to_infinity_is_lost():
    def at(level):
        return Flow(lambda x, u: 1 - (1 - level) * x, n_state=1)  # its point is 1 / (1 - level)

    found = survival([[1.0]], at(0.0), at, [0.5, 0.9, 2.0])
    assert found.exists[:, 0].tolist() == [True, True, False]
    assert found.fate.tolist() == [Fate.FAR]


def attractor_network(n, seed):
    """Two patterns kept in a rate network of random weights, as in Hopfield's (1984)."""
    rng = np.random.default_rng(seed)
    patterns = rng.choice([-1.0, 1.0], size=(2, n))
    W = rng.standard_normal((n, n)) * 0.4 / np.sqrt(n) + 2.0 * patterns.T @ patterns / n
    network = EchoStateNetwork.random(EchoStateConfig(units=n, n_input=1, n_output=1, seed=seed))
    E = rng.standard_normal((n, n))

    def at(level):
        none = np.zeros((1, n))
        return EchoStateNetwork(W + level * E, network.W_fb, none, network.B)

    return W, E, at, patterns


def followed_slowly(W, E, x, levels, steps):
    """The same point in many small steps, by dense Newton and NumPy alone; NaN from where there is none nearby."""
    states, level = [], 0.0
    for target in levels:
        for eta in np.linspace(level, target, steps + 1)[1:]:
            M, old = W + eta * E, x
            for _ in range(20):
                r = np.tanh(x)
                d = np.linalg.solve(M * (1 - r * r) - np.eye(len(x)), M @ r - x)
                x = x - d
                if np.linalg.norm(d) < 1e-9:
                    break
            if not np.linalg.norm(M @ np.tanh(x) - x) < 1e-9 or np.linalg.norm(x - old) > 0.5:
                return np.array(states + [np.full(len(x), np.nan)] * (len(levels) - len(states)))
        states.append(x)
        level = target
    return np.array(states)


@pytest.mark.parametrize(("n", "levels"), [(20, np.geomspace(0.01, 0.6, 8)), (70, np.geomspace(0.01, 0.3, 6))])
def test_a_tanh_network_agrees_with_small_steps(n, levels):
    W, E, at, patterns = attractor_network(n, seed=1)
    starts = [
        root(lambda x: W @ np.tanh(x) - x, guess).x for guess in [2 * patterns[0], 2 * patterns[1], 0 * patterns[0]]
    ]
    found = survival(starts, at(0.0), at, levels, stability="all")
    slowly = np.stack([followed_slowly(W, E, x, levels, 300) for x in starts], axis=1)
    assert found.exists.tolist() == (~np.isnan(slowly[:, :, 0])).tolist()
    assert not found.exists.all()
    assert np.nanmax(abs(found.states - slowly)) < 1e-6
    for i, level in enumerate(levels):
        for x, count in zip(found.states[i], found.n_unstable[i], strict=True):
            if count >= 0:
                J = (W + level * E) * (1 - np.tanh(x) ** 2) - np.eye(n)
                assert count == (np.linalg.eigvals(J).real > 0).sum()


@pytest.mark.parametrize("make", [Flow, Map])
def test_unstable_directions_of_large_systems_are_those_of_the_whole_spectrum(make):
    n, rng = 300, np.random.default_rng(0)
    W = torch.as_tensor(rng.standard_normal((n, n)) * 0.9 / np.sqrt(n))
    W += 3.0 * torch.outer(torch.as_tensor(rng.standard_normal(n)), torch.as_tensor(rng.standard_normal(n))) / n
    system = make(lambda x, u: torch.tanh(x) @ W.T - (x if make is Flow else 0), n_state=n)
    x = torch.as_tensor(rng.standard_normal((6, n)) * np.array([0.0, 0.1, 0.3, 0.5, 1.0, 2.0])[:, None])
    u = torch.zeros(6, 0, dtype=torch.float64)
    values = torch.linalg.eigvals(W * (1 - torch.tanh(x) ** 2).unsqueeze(1))
    beyond = values.real > 1 if make is Flow else values.abs() > 1
    assert unstable_directions(Held(system, u), x).tolist() == beyond.sum(1).tolist()


def test_one_system_per_level_is_the_same_as_a_function_of_the_level():
    levels = [0.1, 0.3, 0.5]
    by_function = survival([[-1.0], [1.0]], bistable(0.0), bistable, levels)
    by_list = survival([[-1.0], [1.0]], bistable(0.0), [bistable(level) for level in levels], levels)
    assert np.array_equal(by_function.states, by_list.states, equal_nan=True)


def test_memories_alone_are_followed_when_asked():
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1], which="memories")
    assert found.points.tolist() == [0, 2]


@pytest.mark.parametrize("levels", [[], [0.0, 1.0], [0.2, 0.1], [np.nan], [[0.1]]])
def test_levels_that_make_no_sense_are_refused(levels):
    with pytest.raises(ValueError, match="positive and rising"):
        survival([[1.0]], bistable(0.0), bistable, levels)


def test_systems_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="have to agree"):
        survival([[1.0]], bistable(0.0), lambda level: Flow(lambda x, u: -x, n_state=2), [0.1])
    with pytest.raises(ValueError, match="give one for each"):
        survival([[1.0]], bistable(0.0), [bistable(0.1)], [0.1, 0.2])
    with pytest.raises(ValueError, match="'all' or 'memories'"):
        survival([[1.0]], bistable(0.0), bistable, [0.1], which="some")
    with pytest.raises(ValueError, match="needs \\(k, n\\)"):
        survival([[1.0, 2.0]], bistable(0.0), bistable, [0.1])


def test_of_odd_networks_mirrored_points_have_mirrored_fates():
    W, _, at, patterns = attractor_network(20, seed=1)
    starts = np.array([root(lambda x: W @ np.tanh(x) - x, 2 * p).x for p in patterns])
    levels = np.geomspace(0.01, 0.6, 8)
    both = survival(np.concatenate([starts, -starts]), at(0.0), at, levels)
    one = survival(starts, at(0.0), at, levels)
    assert not one.exists.all()
    assert np.array_equal(both.states[:, 2:], -both.states[:, :2], equal_nan=True)
    assert both.states[:, :2] == pytest.approx(one.states, abs=1e-9, nan_ok=True)
    assert both.lost_at == pytest.approx([*one.lost_at, *one.lost_at])
