"""Dense memories: energy, the published bound, merging; and descent of a scalar function."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard
from scipy.optimize import brentq, minimize_scalar, root

from dynsys import find_fixed_points, load
from dynsys.models.associative import DenseMemory, PatternDescent
from dynsys.models.associative.theory.merging import merging, single_point_below
from dynsys.models.loading.checkpoint import save_checkpoint

EMPTY = torch.zeros(1, 0, dtype=torch.float64)
S5 = np.array([(0, 0), (1, 0.2), (0.3, 1.1), (-0.8, 0.5), (0.4, -0.9)])
LEVELS = [0, 1, 0, 2, 1]


class TestDense:
    def test_energy_and_step_by_their_definition(self):
        S, beta, x = np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, -2.0]]), 0.7, np.array([0.3, -0.4])
        p = np.array([np.exp(beta * s @ x) for s in S])
        memory = DenseMemory(S, beta=beta)
        assert memory.energy(x) == pytest.approx(x @ x / 2 - np.log(p.sum()) / beta, rel=1e-14)
        np.testing.assert_allclose(memory.step(x), (p / p.sum()) @ S, rtol=1e-14)

    @pytest.mark.parametrize("beta", [1e6, 1e10])
    def test_between_two_unit_patterns_is_a_saddle_however_large_beta_is(self, beta):
        """There dx'/dx = beta (diag p - p p^T) with p = (1/2, 1/2): its eigenvalues are beta/2 and 0."""
        points = find_fixed_points(DenseMemory(np.eye(2), beta=beta))
        (middle,) = np.flatnonzero(np.isclose(points.states[:, 0], 0.5))
        assert points.stability[middle] == "saddle"
        np.testing.assert_allclose(points.eigenvalues[middle], [beta / 2, 0], atol=1e-14 * beta)

    @given(st.integers(0, 10_000))
    def test_the_energy_never_rises(self, seed):
        """By the concave-convex procedure E falls by at least |x' - x|^2 / 2, up to rounding."""
        rng = np.random.default_rng(seed)
        P, n = rng.integers(1, 9, 2)
        memory = DenseMemory(rng.standard_normal((P, n)) * rng.choice([0.1, 1, 10]), beta=10 ** rng.uniform(-3, 3))
        x = memory.length * rng.standard_normal((6, n))
        for _ in range(4):
            y = memory.step(x)
            fell, size = memory.energy(x) - memory.energy(y), 1 + np.abs(memory.energy(x)) + (x * x).sum(1)
            assert (fell >= ((y - x) ** 2).sum(1) / 2 - 1e-12 * size).all()
            x = y

    def test_the_velocity_of_the_flow_is_minus_the_slope_of_the_energy(self):
        memory, h = DenseMemory.random(5, 4, beta=0.3), 1e-6
        x = np.random.default_rng(0).standard_normal(4)
        slope = [(memory.energy(x + h * e) - memory.energy(x - h * e)) / (2 * h) for e in np.eye(4)]
        np.testing.assert_allclose(memory.velocity(torch.as_tensor(x)[None], EMPTY)[0], -np.array(slope), atol=1e-8)

    def test_nothing_overflows(self):
        S = 1e3 * np.eye(3)
        memory = DenseMemory(S, beta=1e6)
        np.testing.assert_array_equal(memory.step(S), S)
        np.testing.assert_allclose(memory.energy(S), -0.5e6)
        assert torch.isfinite(memory.jacobian(torch.as_tensor(S), EMPTY)).all()

    def test_the_retrieval_error_obeys_the_published_bound(self):
        """Theorem 5 of Ramsauer et al. (2020), on 1000 drawn sets, from a cue in the ball and at the fixed point."""
        held = informative = 0
        for seed in range(1000):
            rng = np.random.default_rng(seed)
            P, n = rng.integers(2, 12), rng.integers(2, 24)
            S = rng.standard_normal((P, n)) * rng.choice([0.3, 1, 3])
            memory = DenseMemory(S, beta=10 ** rng.uniform(-1, 1.5))
            M, beta = np.linalg.norm(S, axis=1).max(), memory.beta
            gram = S @ S.T
            delta = gram.diagonal() - np.where(np.eye(P, dtype=bool), -np.inf, gram).max(axis=1)
            away = rng.standard_normal((P, n))
            r = rng.uniform(0, 1) / (beta * P * M)
            cue = S + r * away / np.linalg.norm(away, axis=1, keepdims=True)
            error = np.linalg.norm(memory.step(cue) - S, axis=1)
            bound = 2 * (P - 1) * M * np.exp(-beta * (delta - 2 * r * M))
            np.testing.assert_allclose(memory.error_bound(r), bound, rtol=1e-9)
            assert (error <= bound * (1 + 1e-9) + 1e-12 * M).all()
            well = delta >= 2 / (beta * P) + np.log(2 * (P - 1) * P * beta * M**2) / beta
            np.testing.assert_array_equal(memory.is_separated(), well)
            x = S[well]
            for _ in range(100):
                x, before = memory.step(x), x
                if np.abs(x - before).max(initial=0) < 1e-15 * M:
                    break
            miss = np.linalg.norm(x - S[well], axis=1)
            assert (miss <= memory.radius() * (1 + 1e-9)).all()
            own = 2 * (P - 1) * M * np.exp(-beta * (delta[well] - 2 * miss * M))
            assert (miss <= own * (1 + 1e-9) + 1e-12 * M).all()
            held, informative = held + well.sum(), informative + (bound < 0.1 * M).sum()
        assert min(held, informative) > 1000

    def test_one_step_suffices_at_a_large_beta(self):
        rng = np.random.default_rng(0)
        S = rng.standard_normal((200, 50))
        memory = DenseMemory(S, beta=20.0)
        cue = S + 0.2 * rng.standard_normal(S.shape)
        assert np.linalg.norm(memory.step(cue) - S, axis=1).max() < 1e-6

    def test_one_pattern_alone_is_found_from_anywhere(self):
        memory = DenseMemory([[1.0, 2.0]], beta=1.0)
        np.testing.assert_array_equal(memory.step([[5.0, -3.0]]), [[1.0, 2.0]])
        assert memory.is_separated().all()
        assert (memory.error_bound() == 0).all()

    def test_two_opposite_patterns_have_the_points_of_one_tanh_unit(self):
        """x = a s with a = tanh(beta |s|^2 a): a saddle between two memories."""
        s = np.array([0.6, 0.8])
        a = brentq(lambda a: np.tanh(2 * a) - a, 0.5, 1)
        for kind in ("map", "flow"):
            points = find_fixed_points(DenseMemory([s, -s], beta=2.0, kind=kind), n_starts=64, workers=1)
            assert points.n_unstable.tolist() == [0, 0, 1]
            assert points.certified.all()
            np.testing.assert_allclose(np.sort(points.states @ s), [-a, 0, a], atol=1e-12)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([1.0, 2.0],), r"shape \(2,\); give S as \(P, n\)"),
            (([[1.0], [1.0, 2.0]],), "rows of one length"),
            (([[np.nan]],), "1 values that are NaN"),
            (([[1.0]], 0.0), "beta is 0.0; it must be positive"),
        ],
    )
    def test_what_is_no_memory_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            DenseMemory(*arguments)

    @pytest.mark.parametrize("model", [DenseMemory.random(), PatternDescent.random()], ids=lambda model: model.name)
    def test_a_memory_comes_back_from_a_file(self, model, tmp_path):
        save_checkpoint(tmp_path / "memory.safetensors", model)
        again, x = load(tmp_path / "memory.safetensors"), torch.randn(3, model.n_state, dtype=torch.float64)
        assert torch.equal(again.velocity(x, EMPTY.expand(3, 0)), model.velocity(x, EMPTY.expand(3, 0)))


class TestMerging:
    def test_two_patterns_of_one_length_part_in_a_pitchfork(self):
        """z = d . x obeys z = |d|^2 tanh(beta z), d = (a - b) / 2: beta = 4 / |a - b|^2, the very bound."""
        S = [[1.0, 0.0, 2.0], [2.0, 1.0, 0.0]]
        found = merging(S)
        assert found.kind == "pitchfork"
        assert found.beta == pytest.approx(4 / 6, abs=1e-7)
        assert single_point_below(S) == pytest.approx(4 / 6, rel=1e-14)

    @pytest.mark.parametrize("seed", [3, 8])
    def test_arms_have_no_fold_where_a_step_ends_beside_it(self, seed):
        """Beside a pitchfork rounding turns the tangent of an arm, whose parameter grows by the square of the way."""
        a, b = np.random.default_rng(seed).standard_normal((2, 4))
        b *= np.linalg.norm(a) / np.linalg.norm(b)
        events = merging([a, b]).diagram.events
        assert [event.kind for event in events] == ["pitchfork"]
        assert events[0].time == pytest.approx(np.log(4 / ((a - b) @ (a - b))), abs=1e-7)

    def test_two_patterns_of_different_lengths_part_in_a_fold(self):
        """z = d . c + |d|^2 tanh(beta z) with c = (a + b) / 2, where beta |d|^2 (1 - tanh^2) = 1."""
        a, b = np.array([1.0, 0.2]), np.array([-0.9, 0.6])
        D, h = (a - b) @ (a - b) / 4, (a @ a - b @ b) / 4

        def off(beta):
            t = -np.sign(h) * np.sqrt(1 - 1 / (beta * D))
            return np.arctanh(t) / beta - h - D * t

        found = merging([a, b])
        assert found.kind == "fold"
        assert found.beta == pytest.approx(brentq(off, 1 / D * (1 + 1e-9), 1e3, xtol=1e-13), abs=1e-6)

    def test_three_orthogonal_patterns_part_in_folds_before_the_middle_is_unstable(self):
        """With weights a, b, b = (1 - a) / 2 at rest ln(a / b) = 4 beta (a - b); the least such beta is the fold."""
        found = merging(hadamard(4)[:3], snapshots=3)
        least = minimize_scalar(
            lambda a: np.log(2 * a / (1 - a)) / (6 * a - 2), bounds=(0.4, 0.9), options={"xatol": 1e-12}
        )
        assert found.beta == pytest.approx(least.fun, abs=1e-9)
        assert found.kind == "fold"
        assert found.beta < 0.75  # where beta 4 / 3, the largest eigenvalue of the update in the middle, passes 1

    def test_continuation_agrees_with_a_scan(self):
        """The number of roots that scipy finds from many starts changes from 1 to 3 within 1e-6 of it."""
        S = np.random.default_rng(1).standard_normal((4, 3))
        found, starts = merging(S), np.random.default_rng(0).dirichlet(np.full(4, 0.3), 12) @ S
        starts = np.concatenate([starts, found.state + 1e-2 * np.random.default_rng(2).standard_normal((12, 3))])

        def roots(beta):
            memory = DenseMemory(S, beta)
            ends = [root(lambda x: memory.step(x) - x, start, tol=1e-13) for start in starts]
            return len({tuple(np.round(end.x, 5)) for end in ends if np.abs(end.fun).max() < 1e-12})

        assert roots(found.beta - 1e-6) == 1
        assert roots(found.beta + 1e-6) == 3

    def test_patterns_that_never_come_apart_are_said_to(self):
        """(1, 0) is nearer to (3, 0) than to itself, by the product."""
        with pytest.raises(ValueError, match="do not come apart"):
            merging([[1.0, 0.0], [3.0, 0.0]])
        with pytest.raises(ValueError, match="one and the same"):
            merging([[1.0, 0.0], [1.0, 0.0]])


class TestExtremes:
    @pytest.mark.filterwarnings("error")
    def test_patterns_of_0_are_one_point_that_every_state_is_led_to(self):
        for P in (1, 3):
            memory = DenseMemory(np.zeros((P, 2)))
            assert memory.radius() == np.inf
            assert memory.is_separated().all()
            np.testing.assert_array_equal(memory.step([[5.0, -7.0], [1e100, 0]]), np.zeros((2, 2)))

    @pytest.mark.filterwarnings("error")
    def test_small_patterns_keep_their_length(self):
        """3, 4, 5 times 2^-600, whose squares are below float64."""
        tiny = 2.0**-600
        memory = DenseMemory([[3 * tiny, 4 * tiny], [0, 0]], beta=2.0)
        assert memory.length == 5 * tiny
        assert memory.radius() == 1 / (20 * tiny)

    @pytest.mark.filterwarnings("error")
    def test_products_beyond_float64_are_refused_and_those_within_are_right(self):
        with pytest.raises(ValueError, match=r"S holds sizes up to 1e\+200"):
            DenseMemory([[1e200, 0], [0, 1e200]])
        memory = DenseMemory([[1e140, 0], [0, 1e140]])
        np.testing.assert_array_equal(memory.step([1e140, 1e139]), [1e140, 0])
        for refused in (memory.step, memory.energy):
            with pytest.raises(ValueError, match=r"x holds sizes up to 1e\+200"):
                refused([1e200, 1e199])


class TestDescent:
    @pytest.mark.parametrize(("function", "least"), [("shepard", 0.823099), ("paraboloids", 2.247191)])
    def test_the_least_k(self, function, least):
        net = PatternDescent(S5, LEVELS, LEVELS, function=function)
        assert net.least_k == pytest.approx(least, abs=5e-7)
        assert net.k > net.least_k
        with pytest.raises(ValueError, match=f"must be above {str(least)[:6]}"):
            PatternDescent(S5, LEVELS, LEVELS, function=function, k=least - 1e-5)

    def test_every_pattern_is_a_minimum_with_its_level(self):
        net = PatternDescent(S5, ["o", "x", "o", "+", "x"], LEVELS, k=2)
        np.testing.assert_array_equal(net.value(S5), LEVELS)
        np.testing.assert_array_equal(net.gradient(S5), np.zeros((5, 2)))
        expected = [28.479, 17.139, 24.585, 11.769, 18.028]
        np.testing.assert_allclose(net.curvatures, expected, atol=5e-4)
        h = 1e-4
        for s, c in zip(S5, expected, strict=True):
            slopes = [(net.gradient(s + h * e) - net.gradient(s - h * e)) / (2 * h) for e in np.eye(2)]
            np.testing.assert_allclose(slopes, c * np.eye(2), atol=2e-3)

    def test_f_is_its_definition_away_from_the_patterns(self):
        x, k = np.array([0.37, 0.21]), 2.0
        r2 = ((x - S5) ** 2).sum(1)
        shepard = ((np.array(LEVELS) + k * r2) / r2).sum() / (1 / r2).sum()
        assert PatternDescent(S5, LEVELS, LEVELS, k=k).value(x) == pytest.approx(shepard, rel=1e-13)
        net = PatternDescent(S5, LEVELS, LEVELS, function="paraboloids", k=3.0)
        assert net.value(x) == pytest.approx(min(LEVELS + 3 * r2), rel=1e-13)

    @pytest.mark.parametrize("function", ["shepard", "paraboloids"])
    def test_starts_near_a_pattern_come_back_to_it(self, function):
        names, rng = ["o", "x", "o", "+", "x"], np.random.default_rng(0)
        net = PatternDescent(S5, names, LEVELS, function=function, k=2 if function == "shepard" else None)
        near = np.repeat(S5, 40, axis=0) + 0.08 * rng.standard_normal((200, 2))
        np.testing.assert_array_equal(net.nearest(net.descend(near)), np.repeat(np.arange(5), 40))
        assert net.recall(near[::40]) == names

    def test_one_step_of_the_paraboloids_is_the_pattern_itself(self):
        net = PatternDescent(S5, LEVELS, LEVELS, function="paraboloids", k=3.0)
        x = S5 + 0.05
        np.testing.assert_allclose(x - net.gradient(x) / (2 * 3.0), S5, atol=1e-15)

    def test_descent_never_climbs_and_stays_in_the_box(self):
        net, rng = PatternDescent(S5, LEVELS, LEVELS, k=1.0), np.random.default_rng(1)
        low, high = (bound[0].numpy() for bound in net.box(EMPTY))
        starts = rng.uniform(low, high, (50, 2))
        ends = net.descend(starts)
        assert (net.value(ends) <= net.value(starts)).all()
        assert ((ends >= low) & (ends <= high)).all()
        assert np.abs(net.gradient(ends)).max() < 1e-8

    @pytest.mark.parametrize(
        ("scale", "offset"), [(2.0**-30, 0.0), (1.0, 2.0**20), (2.0**-30, 2.0**-10), (2.0**30, 0.0)]
    )
    @pytest.mark.parametrize("function", ["shepard", "paraboloids"])
    def test_recall_does_not_depend_on_the_units_of_the_patterns(self, function, scale, offset):
        """Powers of two, so that the patterns are the same ones exactly: f(a x + b) has the k of f over a^2."""
        S, cues = np.array([[0, 0], [1, 0], [0, 1.0]]), np.array([[0.25, 0.125], [0.875, 0.25], [3, 2], [-0.5, 0.75]])
        net = PatternDescent(scale * S + offset, "abc", function=function, k=4 / scale**2)
        moved = scale * cues + offset
        np.testing.assert_array_equal(net.nearest(moved), [-1] * 4)
        ends = net.descend(moved)
        plain = PatternDescent(S, "abc", function=function, k=4.0).descend(cues)
        np.testing.assert_allclose((ends - offset) / scale, plain, atol=1e-8)
        squares = ((plain[:, None] - S) ** 2).sum(2)
        at = [int(row.argmin()) if row.min() < 1e-12 else -1 for row in squares]
        assert set(at) >= {0, 1}
        np.testing.assert_array_equal(net.nearest(ends), at)

    def test_a_search_finds_every_pattern_and_what_is_spurious(self):
        net = PatternDescent(S5, LEVELS, LEVELS, k=2)
        points = find_fixed_points(net, n_starts=128, workers=1)
        stable = points.states[points.n_unstable == 0]
        found = net.nearest(stable)
        assert set(range(5)) <= set(found.tolist())
        assert points.search.index_sum == 1
        assert points.certified.all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"S": [[0.0], [0.0]], "targets": [0, 1]}, r"the patterns \[0, 1\] \(from 0\) are one and the same"),
            ({"S": [[0.0], [1.0]], "targets": [0, 0], "levels": [0, 1]}, "have one target and two levels"),
            ({"S": [[0.0], [1.0]], "targets": [0, 1], "levels": [2, 2]}, "have two targets and one level"),
            ({"S": [[0.0], [1.0]], "targets": [0]}, "there are 2 patterns and 1 targets"),
            ({"S": [[0.0], [1.0]], "targets": [0, 1], "function": "cubic"}, "it can be shepard, paraboloids"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            PatternDescent(**arguments)
