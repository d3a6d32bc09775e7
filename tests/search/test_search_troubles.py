"""When things go wrong: a message that names the thing and the way out, or the points to be had, the rest counted."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, Map, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.search.landing import Rejection
from dynsys.search.slow_points.minimum import descend_to_minimum
from dynsys.systems.held import Held


def cubic(**settings):
    return Flow(lambda x, u: x - x**3, n_state=1, **{"bounds": (-2, 2), **settings})


def found(points):
    return sorted(points.states.ravel().round(9) + 0.0)


def test_one_start_is_enough():
    assert found(find_fixed_points(cubic(), [[0.3]], workers=1)) == [-1.0, 0.0, 1.0]
    alone = find_fixed_points(cubic(), [[1.1]], closure=False, workers=1)
    assert found(alone) == [1.0]
    assert (alone.search.starts, alone.search.found) == (1, 1)


@pytest.mark.parametrize("start", [0.0, 0.3, 1.0, 1.7])
def test_a_thousand_equal_starts_lead_to_one_point_and_from_there_to_the_rest(start):
    same = np.full((1000, 1), start)
    assert len(find_fixed_points(cubic(), same, closure=False, verify=False, workers=1)) == 1
    points = find_fixed_points(cubic(), same, workers=1)
    assert found(points) == [-1.0, 0.0, 1.0]
    assert points.search.given == 1000


def test_a_thousand_equal_starts_at_a_memory_of_three_bits_lead_to_all_27_points():
    system = Bistable(3)
    memory = system.fixed_points()[0][-1]
    assert len(find_fixed_points(system, np.tile(memory, (1000, 1)), workers=1)) == 27


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_starts_with_nan_or_infinite_values_are_dropped_and_counted(bad):
    starts = np.linspace(-1.5, 1.5, 64)[:, None]
    starts[[3, 10, 11]] = bad
    points = find_fixed_points(cubic(), starts, workers=1)
    assert found(points) == [-1.0, 0.0, 1.0]
    assert points.search.given == 64
    assert points.search.rejected[str(Rejection.NOT_FINITE)] == 3


def test_a_start_is_dropped_for_one_bad_value_among_many():
    starts = np.random.default_rng(0).standard_normal((20, 3))
    starts[4, 2], starts[7, 0] = np.nan, np.inf
    points = find_fixed_points(Bistable(3), starts, workers=1)
    assert len(points) == 27
    assert points.search.rejected[str(Rejection.NOT_FINITE)] == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_starts_that_are_all_bad_are_an_error(bad):
    with pytest.raises(ValueError, match=r"^starts holds NaN or infinite values in .*5"):
        find_fixed_points(cubic(), np.full((5, 1), bad), workers=1)


@pytest.mark.parametrize("size", [1e20, 1e150, 1e300])
@pytest.mark.parametrize("bounds", [(-2, 2), None], ids=["box", "no box"])
def test_huge_starts_do_not_hide_the_points(size, bounds):
    starts = np.concatenate([np.linspace(-1.5, 1.5, 32), [size, -size]])[:, None]
    points = find_fixed_points(cubic(bounds=bounds), starts, workers=1)
    assert found(points) == [-1.0, 0.0, 1.0]
    assert (points.error_bound < 1e-9).all()


@pytest.mark.parametrize("size", [1e20, 1e300])
def test_nothing_but_huge_starts_and_a_box_still_give_the_points(size):
    points = find_fixed_points(cubic(), np.array([[size], [-size]]), workers=1)
    assert found(points) == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("n", [100, 600, 3000])
def test_many_bad_starts_do_not_keep_scattered_ones_from_being_tried(n):
    """All in the half of the space where the velocity is NaN, or beyond all bounds."""
    assert found(find_fixed_points(cubic(), np.full((n, 1), 1e300), workers=1)) == [-1.0, 0.0, 1.0]
    points = find_fixed_points(Flow(half, n_state=1, bounds=(-2, 2)), np.full((n, 1), -1.0), workers=1)
    assert found(points) == [0.0, 1.0]
    assert points.search.scattered_starts > 0


def test_huge_starts_of_a_network_that_saturates_are_brought_back():
    system = SimpleRNN.random(6, 2.0, seed=0)
    usual = find_fixed_points(system, n_starts=64, workers=1)
    huge = find_fixed_points(system, np.full((4, 6), 1e300), workers=1)
    assert len(huge) == len(usual)


@pytest.mark.parametrize(
    ("velocity", "n", "shape"),
    [
        (lambda x, u: x[:, :1], 2, r"\(3, 1\)"),
        (lambda x, u: x.sum(1), 2, r"\(3,\)"),
        (lambda x, u: torch.cat([x, x], 1), 2, r"\(3, 4\)"),
        (lambda x, u: x[:1], 2, r"\(1, 2\)"),
    ],
)
def test_a_velocity_of_another_shape_than_its_states_is_refused(velocity, n, shape):
    with pytest.raises(ValueError, match=rf"^the velocity of flow has shape {shape} for states of shape \(3, 2\)"):
        find_fixed_points(Flow(velocity, n_state=n), n_starts=8, workers=1)


def test_a_velocity_of_one_row_is_refused_from_a_single_start_too():
    with pytest.raises(ValueError, match="shape"):
        find_fixed_points(Flow(lambda x, u: x[:1], n_state=2), [[1.0, 2.0]], workers=1)


def test_a_velocity_that_is_no_tensor_is_named_as_what_it_is():
    with pytest.raises((TypeError, ValueError), match="ndarray"):
        find_fixed_points(Flow(lambda x, u: np.tanh(x.numpy()), n_state=1), workers=1)


def test_a_module_of_another_output_shape_than_its_state_is_refused():
    module = torch.nn.Linear(5, 4).double()
    with pytest.raises(ValueError, match="shape"):
        find_fixed_points(dynsys.wrap(lambda x, u: module(torch.cat([x, u], 1)), n_state=3, n_input=2), n_starts=8)


def half(x, u):
    """x - x^3 for x > -0.5, NaN below."""
    return torch.where(x > -0.5, x - x**3, torch.nan)


def test_points_in_the_good_half_are_found_where_the_rest_is_nan():
    starts = np.linspace(-2, 2, 80)[:, None]
    points = find_fixed_points(Flow(half, n_state=1, bounds=(-2, 2)), starts, workers=1)
    assert found(points) == [0.0, 1.0]
    assert points.search.rejected[str(Rejection.DIVERGED)] > 0
    every = points.search.starts + points.search.scattered_starts + points.search.closure_starts
    assert sum(points.search.rejected.values()) < every


def test_each_start_in_the_nan_half_is_counted():
    starts = np.array([[-1.0], [-1.5], [-2.0], [0.9], [1.1], [0.1]])
    points = find_fixed_points(Flow(half, n_state=1), starts, closure=False, workers=1)
    assert found(points) == [0.0, 1.0]
    assert points.search.rejected == {str(Rejection.DIVERGED): 3}


def test_nan_in_half_the_space_of_many_dimensions():
    """Three bistable units of which the first may not be negative: 2 x 3 x 3 points are left."""
    network = Bistable(3)

    def velocity(x, u):
        return torch.where((x @ network.Q)[:, :1] > -0.3, network.velocity(x, u), torch.nan)

    points = find_fixed_points(Flow(velocity, n_state=3, bounds=(-4, 4)), n_starts=256, workers=1)
    known = network.fixed_points()[0]
    known = known[(known @ network.Q.numpy())[:, 0] > -0.3]
    assert len(points) == len(known) == 18
    assert np.linalg.norm(points.states[:, None] - known[None], axis=2).min(axis=1).max() < 1e-10


@pytest.mark.parametrize(("n", "scale"), [(1, 1e-9), (1, 1e9), (3, 1e-9), (3, 1e9)])
def test_the_units_of_the_states_and_of_the_velocity_do_not_matter(n, scale):
    network = Bistable(n)
    states = network.fixed_points()[0]
    starts = np.random.default_rng(0).uniform(-3, 3, (96, n))
    for system, unit in (
        (Flow(lambda x, u: scale * network.velocity(x / scale, u), n_state=n), scale),
        (Flow(lambda x, u: scale * network.velocity(x, u), n_state=n), 1.0),
    ):
        points = find_fixed_points(system, unit * starts, workers=1)
        assert len(points) == len(states)
        assert np.linalg.norm(points.states[:, None] / unit - states, axis=2).min(axis=1).max() < 1e-10


def test_variables_of_very_different_units_are_found_all_the_same():
    network, units = Bistable(2), torch.tensor([1e-6, 1e6], dtype=torch.float64)
    starts = np.random.default_rng(0).uniform(-3, 3, (64, 2)) * units.numpy()
    system = Flow(lambda x, u: units * network.velocity(x / units, u), n_state=2)
    points = find_fixed_points(system, starts, workers=1, verify=False)
    assert len(points) == 9
    apart = np.abs(points.states[:, None] / units.numpy() - network.fixed_points()[0]).max(axis=2)
    assert apart.min(axis=1).max() < 1e-10


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_network_whose_weights_are_nan_or_infinite_is_refused_by_name(value):
    module = torch.nn.GRU(2, 3)
    with torch.no_grad():
        module.weight_hh_l0[1, 2] = value
    with pytest.raises(ValueError, match=r"weight_hh_l0.*(NaN|infinite)|(NaN|infinite).*weight_hh_l0"):
        dynsys.wrap(module)


def test_a_function_that_is_nan_everywhere_has_no_points_and_every_start_is_counted():
    points = find_fixed_points(Flow(lambda x, u: x * torch.nan, n_state=2), n_starts=20, workers=1)
    assert len(points) == 0
    search = points.search
    assert search.rejected == {str(Rejection.DIVERGED): search.starts + search.scattered_starts}


@pytest.mark.parametrize("input", [[1.0, 2.0], np.zeros((3, 2)), 1.0, []], ids=str)
def test_an_input_of_the_wrong_size_is_refused_with_the_right_one(input):
    system = Map(lambda x, u: 0.5 * x + u[:, :1], n_state=1, n_input=3, name="mine")
    with pytest.raises(ValueError, match=r"^input has shape \(.*\); mine takes 3 input values"):
        find_fixed_points(system, input=input, workers=1)


class Patience:
    """A progress callback that ends a search which would go on for ever."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, stage, done, total):
        self.left -= 1
        if self.left < 0:
            raise AssertionError(f"the search does not end: {stage}, {done}")


@pytest.mark.parametrize("n", [1, 20, 60, 100])
def test_many_inputs_are_searched_each_and_it_ends(n):
    """x' = x - x^3 + u has three zeros for |u| < 2 / sqrt(27)."""
    system = Flow(lambda x, u: x - x**3 + u, n_state=1, n_input=1, bounds=(-3, 3))
    inputs = np.linspace(-0.3, 0.3, n)[:, None]
    points = find_fixed_points(system, np.ones((n, 1)), inputs, workers=1, progress=Patience(150))
    assert len(points) == 3 * n
    np.testing.assert_allclose(points.states - points.states**3 + points.inputs, 0, atol=1e-14)


def narrow(width):
    """F = -x + 1.5 c exp(-|x - c|^2 / w^2): zeros at 0 and 0.64 w to either side of c, with basins of about w."""
    c = torch.as_tensor(3.0 * np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0][:, 0])

    def velocity(x, u):
        return -x + 1.5 * c * torch.exp(-((x - c) ** 2).sum(1, keepdim=True) / width**2)

    return Flow(velocity, n_state=6, bounds=(-5, 5)), c.numpy()


@pytest.mark.parametrize("seed", range(4))
def test_a_search_ends_where_a_point_has_so_small_a_basin_that_only_one_start_reaches_it(seed):
    system, c = narrow(1e-2)
    starts = np.random.default_rng(1).uniform(-5, 5, (200, 6))
    starts[0] = c * (1 - 0.6e-2 / 3)
    points = find_fixed_points(system, starts, seed=seed, workers=1, progress=Patience(300))
    assert np.linalg.norm(points.states, axis=1).min() < 1e-12


@pytest.mark.parametrize("memory", ["much", "4 GiB RAM", "-1GiB", "0", "GiB", "1e3", "1.5.2MB", "4PiB", ""])
def test_a_memory_that_is_no_size_is_refused(memory):
    with pytest.raises(ValueError, match=rf"^memory is '{memory}'; give bytes, or a size like 4GiB"):
        find_fixed_points(cubic(), memory=memory, workers=1)


def test_too_little_memory_for_one_start_is_refused_with_what_it_takes():
    with pytest.raises(ValueError, match=r"^memory is 1024 KiB; one start of 300 variables takes .*give"):
        find_fixed_points(SimpleRNN.random(300), n_starts=8, memory="1MiB", solver="gauss-newton", workers=2)


def test_too_little_memory_is_told_in_units_that_show_it():
    with pytest.raises(ValueError, match="give") as refused:
        find_fixed_points(Bistable(6), memory="1KiB", workers=2)
    assert " 0 MiB" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "memory"),
    [(lambda: Bistable(3), "4KiB"), (lambda: SimpleRNN.random(20, 2.5, seed=1), "64KiB")],
    ids=["bistable", "random"],
)
def test_little_memory_that_suffices_gives_the_same_points(make, memory):
    plenty, little = (find_fixed_points(make(), n_starts=64, memory=m, workers=1) for m in (None, memory))
    assert len(little) == len(plenty)
    apart = np.linalg.norm(little.states[:, None] - plenty.states[None], axis=2)
    assert sorted(apart.argmin(axis=1)) == list(range(len(plenty)))
    assert (apart.min(axis=1) <= little.error_bound + plenty.error_bound[apart.argmin(axis=1)]).all()
    assert little.n_unstable.tolist() == plenty.n_unstable[apart.argmin(axis=1)].tolist()


def test_bad_rows_are_dropped_from_a_copy():
    starts = np.array([[np.nan], [1.0]])
    before = starts.copy()
    find_fixed_points(cubic(), starts, workers=1)
    np.testing.assert_array_equal(starts, before)


@pytest.mark.parametrize("bounds", [None, (0, 4)], ids=["no box", "box"])
def test_a_map_whose_slope_is_infinite_at_one_of_its_points_is_searched_to_the_end(bounds):
    """sqrt(x) = x at 0, where the derivative is infinite, and at 1; below 0 it is NaN."""
    points = find_fixed_points(Map(lambda x, u: torch.sqrt(x), n_state=1, bounds=bounds), workers=1)
    assert 1.0 in found(points)
    assert set(found(points)) <= {0.0, 1.0}
    assert points.stability[points.states.ravel() > 0.5].tolist() == ["stable node"]


def test_a_descent_into_infinite_derivatives_ends_without_a_minimum():
    system = Map(lambda x, u: torch.sqrt(x), n_state=1)
    u = torch.zeros(1, 0, dtype=torch.float64)
    for x in (0.0, 5e-37, -1.0):
        assert not descend_to_minimum(Held(system, u, 1.0), torch.tensor([[x]], dtype=torch.float64)).is_stationary


@pytest.mark.parametrize(
    "step", [lambda x, u: x + 1, lambda x, u: x / 2], ids=["no point at all", "a point of period 1"]
)
def test_a_map_without_a_cycle_of_the_period_asked_for_gives_an_empty_result(step):
    points = find_fixed_points(Map(step, n_state=1), n_starts=16, period=2, workers=1)
    assert len(points) == 0
    assert points.summary().startswith("Found 0 cycles of period 2.")
