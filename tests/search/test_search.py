"""The search as a whole: everything there is, nothing else, the same every time, and honest about what went wrong."""

import threading

import numpy as np
import pytest
import torch
from scipy.optimize import root

from dynsys import Flow, Map, find_fixed_points
from dynsys.io.record import per
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import SearchInterrupted
from dynsys.search.known.stopping import Stop
from dynsys.search.landing import Rejection


def cubic(**settings):
    return Flow(lambda x, u: x - x**3, n_state=1, **{"bounds": (-2, 2), **settings})


def driven():
    """x' = -x + u, whose only fixed point is the input itself."""
    return Flow(lambda x, u: u - x, n_state=1, n_input=1, bounds=(-5, 5), name="driven")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_n_independent_bistable_units_have_3_to_the_n_fixed_points(n):
    system = Bistable(n, seed=n)
    states, n_unstable = system.fixed_points()
    points = find_fixed_points(system, n_starts=128, workers=2)
    assert len(points) == 3**n
    distance = np.linalg.norm(points.states[:, None] - states[None], axis=2)
    owner = distance.argmin(axis=1)
    assert sorted(owner) == list(range(3**n))
    assert distance.min(axis=1).max() < 1e-10
    assert points.n_unstable.tolist() == n_unstable[owner].tolist()
    assert (points.stability == "stable node").sum() == 2**n
    assert points.search.index_sum == 1


def test_few_starts_near_one_memory_lead_to_all_of_them():
    """Midpoints and reflections of the points found reach what the starts did not: 3^3 from one corner's neighbours."""
    system = Bistable(3)
    states, _ = system.fixed_points()
    starts = states[0] + 0.8 * np.random.default_rng(0).standard_normal((12, 3))
    assert len(find_fixed_points(system, starts, closure=False, workers=1)) < 27
    points = find_fixed_points(system, starts, workers=1)
    assert len(points) == 27
    assert points.search.starts == 12
    assert points.search.closure_starts > 0


@pytest.mark.parametrize("n", [300])
def test_a_large_network_agrees_with_scipy_from_the_same_states(n):
    system = SimpleRNN.random(n, gain=1.5, seed=1)
    rng = np.random.default_rng(0)
    starts = rng.standard_normal((16, n)) * np.geomspace(0.01, 1.0, 16)[:, None]
    points = find_fixed_points(system, starts, closure=False, workers=2)
    assert len(points) >= 1
    assert np.linalg.norm(points.states, axis=1).min() < 1e-12  # starts as near as 0.2 lead to the origin
    W = system.W.numpy()
    for x, bound, J, n_unstable in zip(
        points.states, points.error_bound, points.jacobians, points.n_unstable, strict=True
    ):
        near = x + 1e-6 * rng.standard_normal(n)
        found = root(lambda y: W @ np.tanh(y) - y, near, jac=lambda y: W * (1 - np.tanh(y) ** 2) - np.eye(n), tol=1e-12)
        assert np.abs(W @ np.tanh(found.x) - found.x).max() < 1e-11
        assert np.linalg.norm(found.x - x) < 1e-8
        assert bound < 1e-9
        assert n_unstable == (np.linalg.eigvals(J).real > 0).sum()
    assert (np.linalg.norm(points.states[:, None] - points.states[None], axis=2) + np.eye(len(points)) > 1e-6).all()


def test_a_network_below_the_gain_of_one_has_only_the_origin():
    """|W| < 1 makes the step W tanh(x) a contraction, so its fixed point is unique (Banach)."""
    W = SimpleRNN.random(40).W.numpy()
    points = find_fixed_points(SimpleRNN(0.9 * W / np.linalg.norm(W, 2)), n_starts=64, workers=1)
    np.testing.assert_allclose(points.states, np.zeros((1, 40)), atol=1e-14)
    assert points.n_unstable.tolist() == [0]


def test_an_odd_network_has_points_in_pairs():
    points = find_fixed_points(SimpleRNN.random(8, gain=3.0, seed=4), n_starts=256, workers=1)
    mirrored = np.linalg.norm(points.states[:, None] + points.states[None], axis=2).min(axis=1)
    assert mirrored.max() < 1e-10
    assert len(points) % 2 == 1  # with the origin, the only one that is its own mirror image


def same_points(a, b):
    return all(
        np.array_equal(getattr(a, key), getattr(b, key), equal_nan=getattr(a, key).dtype.kind in "fc")
        for key in per(FixedPoints, "k")
    )


def test_the_same_seed_gives_the_same_numbers_again():
    one, again = (find_fixed_points(SimpleRNN.random(30, 2.0), n_starts=32, seed=3) for _ in range(2))
    assert same_points(one, again)


def test_the_thread_setting_of_the_caller_is_put_back():
    torch.set_num_threads(2)
    try:
        find_fixed_points(cubic(), n_starts=8, workers=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_starts_with_inputs_of_their_own_are_searched_each_at_its_own():
    inputs = np.repeat([[1.0], [-2.0], [3.0]], 4, axis=0)
    points = find_fixed_points(driven(), np.zeros((12, 1)), inputs, workers=1)
    assert len(points) == 3
    assert sorted(points.inputs.ravel()) == [-2.0, 1.0, 3.0]
    np.testing.assert_allclose(points.states, points.inputs, atol=1e-14)


def test_points_of_two_inputs_are_not_merged_even_at_one_place():
    system = Flow(lambda x, u: -x * (1 + u**2), n_state=1, n_input=1)
    points = find_fixed_points(system, np.ones((2, 1)), [[0.0], [2.0]], workers=1)
    assert sorted(points.inputs.ravel()) == [0.0, 2.0]
    by_input = dict(zip(points.inputs.ravel(), points.eigenvalues.ravel().real, strict=True))
    assert by_input == {0.0: -1.0, 2.0: -5.0}


def test_one_input_is_held_at_every_start():
    points = find_fixed_points(driven(), input=[1.5], n_starts=8, workers=1)
    np.testing.assert_allclose(points.states, [[1.5]])
    assert points.inputs.tolist() == [[1.5]]


@pytest.mark.parametrize("as_given", [list, np.array, torch.tensor, lambda v: torch.tensor(v, requires_grad=True)])
def test_lists_arrays_and_tensors_are_taken(as_given):
    points = find_fixed_points(driven(), as_given([[0.0], [1.0]]), as_given([0.5]), workers=1)
    np.testing.assert_allclose(points.states, [[0.5]])
    assert points.states.dtype == np.float64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starts": np.zeros((3, 2))}, r"^starts has shape \(3, 2\); a system of 1 state variables needs \(n, 1\)"),
        ({"starts": np.zeros(3)}, r"^starts has shape \(3,\); .* needs \(n, 1\)"),
        ({"starts": np.zeros((0, 1))}, r"^starts has shape \(0, 1\); .* n >= 1"),
        ({"starts": np.full((2, 1), np.inf)}, r"^starts holds NaN or infinite values in .*2"),
        ({"input": [1.0, 2.0]}, r"^input has shape \(2,\); driven takes 1 input values"),
        ({"input": np.zeros((2, 2, 1))}, r"^input has shape \(2, 2, 1\)"),
        ({"input": [np.nan]}, r"^input holds NaN or infinite values in 1 of 1 rows"),
        (
            {"starts": np.zeros((3, 1)), "input": np.zeros((2, 1))},
            r"^input has 2 rows and starts 3; give one input, or",
        ),
        ({"solver": "bfgs"}, r"^solver is 'bfgs'; the solvers are auto, gauss-newton"),
        ({"n_starts": 0}, r"n_starts"),
        ({"workers": -1}, r"workers"),
    ],
)
def test_impossible_requests_are_refused_with_what_was_given_and_what_is_legal(settings, message):
    with pytest.raises(ValueError, match=message):
        find_fixed_points(driven(), **settings)


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_the_arrays_of_the_caller_are_not_written_to(make):
    starts, inputs = make([[1.0], [2.0]]), make([[0.5], [0.25]])
    find_fixed_points(driven(), starts, inputs, workers=1)
    assert starts.tolist() == [[1.0], [2.0]]
    assert inputs.tolist() == [[0.5], [0.25]]


def test_a_module_of_the_user_comes_back_as_it_went_in():
    module = torch.nn.RNNCell(2, 3).double().train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    system = Map(lambda x, u: module(u, x), n_state=3, n_input=2, bounds=(-1, 1))
    points = find_fixed_points(system, n_starts=16, workers=1)
    assert len(points) >= 1
    assert module.training
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.filterwarnings("error::UserWarning")
def test_no_graph_of_the_parameters_grows_during_a_search():
    scale = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    system = Map(lambda x, u: torch.tanh(scale * x), n_state=1, bounds=(-1, 1))
    assert len(find_fixed_points(system, n_starts=16, workers=1)) == 3
    x, u = torch.tensor([[0.3]], dtype=torch.float64), torch.zeros(1, 0)
    with torch.no_grad():
        results = [system.velocity(x, u), system.jacobian(x, u), system.jacobian_product(x, u, x)]
        results += [system.transposed_product(x, u, x), system.linearised(x, u)(x)]
    assert not any(result.requires_grad for result in results)


def test_roots_outside_the_box_are_counted_and_not_returned():
    """Of the zeros -1, 0 and 1 only 0 is in the box; from +-0.9 Newton's and Gauss-Newton's steps lead to +-1."""
    starts = np.array([[0.0], [0.9], [-0.9], [0.8]])
    points = find_fixed_points(cubic(bounds=(-0.95, 0.95)), starts, closure=False, workers=1)
    assert points.states.tolist() == [[0.0]]
    assert points.search.rejected == {str(Rejection.OUTSIDE): 3}


def test_a_start_where_the_velocity_is_not_finite_is_counted_as_diverged():
    system = Flow(lambda x, u: torch.log(x), n_state=1)  # NaN below 0, zero at 1
    points = find_fixed_points(system, np.array([[-1.0], [-2.0], [1.2]]), closure=False, workers=1)
    np.testing.assert_allclose(points.states, [[1.0]])
    assert points.search.rejected == {str(Rejection.DIVERGED): 2}


def test_every_start_is_accounted_for():
    """x' = e^x + 1 has no zero and no minimum of q: it falls for ever."""
    points = find_fixed_points(Flow(lambda x, u: torch.exp(x) + 1, n_state=1), n_starts=20, workers=1)
    assert len(points) == 0
    search = points.search
    assert search.starts == search.given == 20
    assert sum(search.rejected.values()) == search.starts + search.scattered_starts
    assert search.stopped == str(Stop.SPENT)


class Interrupting:
    """A progress callback that presses Ctrl-C: once, or from then on every time."""

    def __init__(self, stage, calls, again):
        self.stage, self.calls, self.again = stage, calls, again

    def __call__(self, stage, done, total):
        if stage == self.stage or (self.again and self.calls <= 0):
            self.calls -= 1
            if self.calls == 0 or (self.again and self.calls < 0):
                raise KeyboardInterrupt


@pytest.mark.parametrize("again", [False, True], ids=["once", "held down"])
@pytest.mark.parametrize("stage", ["search", "search from points found", "classify"])
def test_ctrl_c_gives_the_points_found_so_far(stage, again):
    known = Bistable(4).fixed_points()[0]
    with pytest.raises(KeyboardInterrupt) as stopped:  # a plain one that escaped would end pytest itself
        find_fixed_points(Bistable(4), n_starts=1024, workers=1, progress=Interrupting(stage, 2, again))
    assert isinstance(stopped.value, SearchInterrupted)
    points = stopped.value.points
    assert 0 < len(points) <= 81
    assert points.search.interrupted
    distance = np.linalg.norm(points.states[:, None] - known[None], axis=2).min(axis=1)
    assert distance.max() < 1e-10
    assert f"{len(points)} points" in str(stopped.value)


def test_a_search_goes_on_from_points_that_are_known():
    known = Bistable(4).fixed_points()[0]
    points = find_fixed_points(Bistable(4), known=known[:40], n_starts=16, closure=False, workers=1)
    away = np.linalg.norm(points.states[:, None] - known[None, :40], axis=2)
    assert away.min(axis=0).max() < 1e-12
    assert points.search.before == 40
    assert "began with 40 points" in points.summary(course=True)
    with pytest.raises(ValueError, match="1 of 2 known states are no fixed points"):
        find_fixed_points(Bistable(4), known=[known[0], known[0] + 0.01])


def test_progress_counts_up_to_the_number_of_starts_in_the_calling_thread():
    told, threads = [], set()

    def progress(stage, done, total):
        told.append((stage, done, total))
        threads.add(threading.get_ident())

    points = find_fixed_points(Bistable(3), n_starts=600, closure=False, workers=2, progress=progress)
    searched = [(done, total) for stage, done, total in told if stage == "search"]
    assert searched[-1] == (points.search.starts, points.search.starts)
    assert points.search.starts < 600  # discovery has flattened long before
    assert [done for done, _ in searched] == sorted(done for done, _ in searched)
    assert [entry for entry in told if entry[0] == "classify"][-1] == ("classify", len(points), len(points))
    assert threads == {threading.get_ident()}


def test_a_ring_of_fixed_points_is_marginal_and_the_search_ends():
    """x' = x (1 - |x|^2): the circle of radius 1, the ring attractor of head-direction models, and the origin."""
    calls = []

    def progress(stage, done, total):
        calls.append(stage)
        if calls.count("search from points found") > 6:
            raise AssertionError("six waves of starts from the points found, and still going")

    system = Flow(lambda x, u: x * (1 - (x * x).sum(1, keepdim=True)), n_state=2, bounds=(-2, 2))
    points = find_fixed_points(system, n_starts=8, workers=1, progress=progress)
    radius = np.linalg.norm(points.states, axis=1)
    on_ring = np.abs(radius - 1) < 1e-9
    assert on_ring.any()
    assert (points.stability[on_ring] == "marginal").all()
    assert (radius[~on_ring] < 1e-12).all()


def test_a_line_of_fixed_points_is_one_object_of_marginal_points():
    """x' = (0, -y): every (x, 0) is one."""
    A = torch.tensor([[0.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    points = find_fixed_points(Flow(lambda x, u: x @ A.T, n_state=2, bounds=(-1, 1)), n_starts=64, workers=1)
    assert [manifold["kind"] for manifold in points.manifolds] == ["line"]
    assert set(points.stability) == {"marginal"}
    assert set(points.manifold) == {0}
    assert np.abs(points.states[:, 1]).max() < 1e-14


def test_the_discovery_curve_ends_at_what_was_found():
    points = find_fixed_points(Simple2D(), n_starts=300, closure=False, workers=1)
    tried, known = zip(*points.search.discovery, strict=True)
    assert tried[-1] == points.search.starts <= 300
    assert known[-1] == points.search.found == 3
    assert list(tried) == sorted(tried)
    assert list(known) == sorted(known)


def test_the_index_sum_tells_that_a_point_is_missing():
    """Only the two stable points are found: their indices add up to 2, and Poincare-Hopf asks for 1."""
    system = Bistable(1)
    a = system.fixed_points()[0][1, 0]
    points = find_fixed_points(system, [[a], [-a]], closure=False, workers=1)
    assert points.search.index_sum == 2
    assert find_fixed_points(system, [[a], [-a]], workers=1).search.index_sum == 1


def test_an_echo_state_network_at_two_inputs_has_zeros_of_its_own_velocity():
    rng = np.random.default_rng(0)
    network = EchoStateNetwork.random(EchoStateConfig(40, 2, 1, gain=0.8)).with_readout(
        0.05 * rng.standard_normal((1, 40))
    )
    inputs = np.repeat([[0.0, 0.0], [1.0, -1.0]], 16, axis=0)
    points = find_fixed_points(network, rng.standard_normal((32, 40)), inputs, workers=1)
    assert {tuple(u) for u in points.inputs} == {(0.0, 0.0), (1.0, -1.0)}
    r = np.tanh(points.states)
    F = -points.states + r @ network.W_r.numpy().T + r @ network.W_out.numpy().T @ network.W_fb.numpy().T
    F += points.inputs @ network.B.numpy().T  # eq. 22
    assert np.abs(F).max() < 1e-12
    np.testing.assert_allclose(points.readouts, r @ network.W_out.numpy().T, atol=1e-13)


@pytest.mark.parametrize("far", [{"starts": np.geomspace(1e3, 1e6, 32)[:, None]}, {"bounds": (-1e5, 1e5)}], ids=str)
def test_points_much_nearer_than_the_starts_are_found_as_they_are(far):
    """x' = x - x^3 has its zeros at -1, 0 and 1, wherever one starts."""
    bounds = far.get("bounds")
    starts = far.get("starts")
    starts = None if starts is None else np.concatenate([starts, -starts])
    points = find_fixed_points(Flow(lambda x, u: x - x**3, n_state=1, bounds=bounds), starts, n_starts=64, workers=1)
    np.testing.assert_allclose(points.states.ravel(), [-1.0, 1.0, 0.0], atol=1e-9)
    assert points.stability.tolist() == ["stable node", "stable node", "unstable node"]


def test_a_network_in_single_precision_is_told_what_to_do():
    layer = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"computes in single precision; .* call \.double\(\)"):
        find_fixed_points(Map(lambda x, u: torch.tanh(layer(x)), n_state=3))


@pytest.mark.parametrize("gap", [1e-17, 1e-16, 1e-15, 1e-13, 1e-10])
def test_no_ghost_of_a_fold_is_lost_between_fixed_and_slow(gap):
    """x' = gap + x^2: zero to rounding or slow, it is one marginal point at 0 that is returned."""
    points = find_fixed_points(Flow(lambda x, u: gap + x**2, n_state=1, bounds=(-2, 2)), n_starts=32, workers=1)
    assert points.stability.tolist() == ["marginal"]
    assert abs(points.states[0, 0]) < 1e-7
    assert points.n_unstable.tolist() == [0]
