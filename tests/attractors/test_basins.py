"""Basins of systems whose shares are lengths and areas that are known."""

import numpy as np
import pytest
import torch
from described import described
from scipy.stats import binom

from dynsys import Flow, Map, find_fixed_points, wrap
from dynsys.attractors.basins import Basins, Shares, basins
from dynsys.attractors.connections import connections
from dynsys.io.errors import CheckpointError
from dynsys.models.examples.bistable import Bistable

CUBIC = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2))
FLIP = Map(lambda x, u: -torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
LEAK = Flow(lambda x, u: x**2 - 1, n_state=1, bounds=(-2, 2))  # 1 parts those that end at -1 from those that escape


def shifted(a, b, c):
    """Stable points at a and c of the box [-2, 2], and b between them: shares (b + 2) / 4 and (2 - b) / 4."""
    system = Flow(lambda x, u: -(x - a) * (x - b) * (x - c), n_state=1, bounds=(-2, 2))
    return described(system, [[a], [b], [c]])


def wilson(k, n, z=1.959963984540054):
    """The interval by its formula: the roots of (k/n - p)^2 = z^2 p (1 - p) / n."""
    return np.sort(np.roots([1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2]).real)


def at(points, shares):
    """The number of starts that end at each place (sorted by state)."""
    order = [i for i in np.argsort(points.states[:, 0]) if points.n_unstable[i] == 0]
    return [shares.counts[f"point {i}"] for i in order]


@pytest.fixture(scope="module")
def cubic():
    points = described(CUBIC, [[0], [1], [-1]])
    return points, basins(points, 1000)


class TestShares:
    @pytest.mark.parametrize("b", [0.0, -0.7, 0.9])
    def test_the_share_of_an_attractor_is_the_length_of_its_basin(self, b):
        points = shifted(-1.0, b, 1.5)
        left, right = at(points, basins(points, 2000).box)
        assert left + right == 2000
        low, high = binom.ppf([1e-4, 1 - 1e-4], 2000, (b + 2) / 4)
        assert low <= left <= high

    def test_the_interval_covers_the_truth_as_often_as_it_says(self):
        points = shifted(-1.0, -0.7, 1.5)
        left = f"point {points.states[:, 0].argmin()}"
        covered = 0
        for seed in range(60):
            low, high = basins(points, 60, seed=seed).box.interval(left)
            covered += low <= 1.3 / 4 <= high
        assert covered >= binom.ppf(1e-3, 60, 0.95)

    @pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (500, 1000), (1000, 1000)])
    def test_the_interval_is_wilsons(self, k, n):
        shares = Shares("starts", n, n, {"point 0": k})
        np.testing.assert_allclose(shares.interval("point 0"), wilson(k, n), atol=1e-9)

    def test_of_no_start_nothing_is_known(self):
        assert Shares("starts", 0, 10, {"point 0": 0}).interval("point 0") == (0.0, 1.0)

    def test_eight_corners_of_independent_units_have_an_eighth_each_in_a_box_around_them(self):
        """Where the random starts fall is symmetric under x -> -x alone, as the box is not turned with the units."""
        points = described(Bistable(3), Bistable(3).fixed_points()[0])
        found = basins(points, 1024, states=np.random.default_rng(0).standard_normal((512, 3)))
        counts = [found.task.counts[f"point {i}"] for i in range(8)]  # a round cloud, cut into octants
        assert sum(counts) == 512
        low, high = binom.ppf([1e-5, 1 - 1e-5], 512, 1 / 8)
        assert low <= min(counts) <= max(counts) <= high
        assert sum(found.box.counts.values()) == 1024

    def test_given_states_are_counted_by_where_they_are(self, cubic):
        states = np.concatenate([np.linspace(-1.9, -0.1, 30), np.linspace(0.1, 1.9, 10)])[:, None]
        assert at(cubic[0], basins(cubic[0], 100, states=states).task) == [30, 10]

    def test_the_same_state_is_taken_once(self, cubic):
        found = basins(cubic[0], 100, states=np.array([[0.5], [0.5], [-0.5]])).task
        assert (found.n, found.asked) == (2, 2)


class TestNodes:
    def test_orbits_have_the_names_that_the_connections_gave_them(self):
        points = described(FLIP, [[0]])
        known = connections(points).others
        found = basins(points, 64, others=known)
        assert found.box.counts == {"orbit 0": 64}
        assert found.others == known

    def test_attractors_that_no_one_knew_get_a_row(self):
        found = basins(described(FLIP, [[0]]), 64)
        assert found.attractors == ["orbit 0"]
        assert found.others[0].period == 2

    def test_an_attractor_that_nothing_reaches_has_a_row_too(self, cubic):
        found = basins(cubic[0], 64, states=np.full((1, 1), 0.5))
        assert sorted(at(cubic[0], found.task)) == [0, 1]

    def test_what_escapes_is_a_row_of_its_own(self):
        found = basins(described(LEAK, [[-1], [1]]), 400).box
        low, high = binom.ppf([1e-4, 1 - 1e-4], 400, 1 / 4)
        assert low <= found.counts["escaped"] <= high
        assert "ran off to infinity" in found.summary()

    def test_what_does_not_settle_is_a_row_of_its_own(self):
        chaos = Map(lambda x, u: 4 * x * (1 - x), n_state=1, bounds=(0, 1))
        found = basins(described(chaos, [[0], [0.75]]), 32, max_steps=200)
        assert found.box.counts["unsettled"] == 32
        assert "32 did not settle in the steps given" in found.summary()


class TestSampling:
    def test_the_seed_decides(self, cubic):
        again, other = basins(cubic[0], 1000), basins(cubic[0], 1000, seed=1)
        assert again.box == cubic[1].box
        assert other.box.counts != again.box.counts

    def test_when_the_time_is_over_what_was_left_out_is_said_first(self, cubic):
        states = np.linspace(-1.9, 1.9, 600)[:, None]
        found = basins(cubic[0], 1000, states=states, budget_seconds=0.0)
        assert (found.box.n, found.box.asked) == (256, 1000)
        assert (found.task.n, found.task.asked) == (256, 600)
        assert found.summary().startswith("Left out, for want of time: 744 of 1,000 starts, random starts in")

    def test_without_a_box_starts_are_drawn_around_the_states_given(self):
        free = Flow(lambda x, u: x - x**3, n_state=1)
        found = basins(described(free, [[0], [1], [-1]]), 100, states=np.array([[0.2], [3.0]]))
        assert found.box.of == "random starts in the box around the states given"
        assert found.task.of == "the states given"
        assert max(found.box.counts.values()) == 100  # all above 0

    def test_states_under_random_inputs_are_not_called_those_of_a_task(self):
        system = wrap(torch.nn.RNN(1, 2))
        found = basins(find_fixed_points(system, n_starts=16), 16)
        assert found.task is not None
        assert found.task.of == "the states under random inputs"
        assert "16 of the states under random inputs end in" in found.summary()

    def test_with_neither_box_nor_states_it_says_what_to_give(self):
        with pytest.raises(ValueError, match="give states"):
            basins(described(Flow(lambda x, u: x - x**3, n_state=1), [[0]]))

    def test_points_of_two_inputs_are_refused(self):
        driven = Flow(lambda x, u: x - x**3 + u, n_state=1, n_input=1, bounds=(-2, 2))
        roots = [np.sort(np.roots([-1, 0, 1, u]).real) for u in (0.0, 0.1)]
        points = described(driven, np.concatenate(roots)[:, None], np.repeat([[0.0], [0.1]], 3, axis=0))
        with pytest.raises(ValueError, match="2 inputs"):
            basins(points)
        assert basins(points[points.inputs[:, 0] == 0.1], 50).box.n == 50

    def test_the_held_input_decides_on_the_basins(self):
        """x' = x - x^3 + 0.3: the middle root is where x - x^3 = -0.3 between -1 and 1."""
        driven = Flow(lambda x, u: x - x**3 + u, n_state=1, n_input=1, bounds=(-2, 2))
        roots = np.sort(np.roots([-1, 0, 1, 0.3]).real)
        points, middle = described(driven, roots[:, None], np.full((3, 1), 0.3)), roots[1]
        low, high = binom.ppf([1e-4, 1 - 1e-4], 1000, (middle + 2) / 4)
        assert low <= at(points, basins(points, 1000).box)[0] <= high

    @pytest.mark.parametrize("wrong", [np.zeros((4, 2)), np.zeros(3), np.full((2, 1), np.nan)])
    def test_states_of_another_shape_and_not_finite_are_refused(self, cubic, wrong):
        with pytest.raises(ValueError, match="states"):
            basins(cubic[0], states=wrong)

    def test_at_least_one_start_is_needed(self, cubic):
        with pytest.raises(ValueError, match="at least one"):
            basins(cubic[0], 0)


class TestResult:
    def test_what_is_saved_comes_back(self, tmp_path):
        found = basins(described(FLIP, [[0]]), 32, states=np.array([[0.5]]))
        again = Basins.load(found.save(tmp_path / "basins.safetensors"))
        assert again.to_json() == found.to_json()
        np.testing.assert_array_equal(again.others[0].states, found.others[0].states)

    def test_another_file_is_refused(self, cubic, tmp_path):
        with pytest.raises(CheckpointError, match=r"dynsys\.basins/1"):
            Basins.load(cubic[0].save(tmp_path / "points.safetensors"))

    def test_the_summary_tells_share_and_interval(self, cubic):
        left, right = sorted(cubic[1].box.counts.values())
        low, high = wilson(right, 1000)
        told = f"{right / 10:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        assert (
            cubic[1].summary().startswith(f"1,000 random starts in the reachable box end in 2 of 2 attractors: {told}")
        )
        assert f"{left / 10:.1f} %" in cubic[1].summary()
