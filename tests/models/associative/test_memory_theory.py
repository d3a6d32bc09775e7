"""The mean fields against published values, the simulation against them, and listed states against mathematics."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dynsys.analyses.memory.capacity import capacity_curve, extrapolated
from dynsys.models.associative import BidirectionalMemory, Hopfield, PolynomialMemory, RecurrentAssociator, mean_field
from dynsys.models.associative.theory.enumeration import enumerated, of_map
from dynsys.models.associative.theory.mean_field_of_pairs import pair_critical, pair_retrieval
from dynsys.models.associative.theory.mean_field_theory import (
    PATTERNS_STORED,
    critical_load,
    first_step_error,
    global_load,
    load_of_first_step_error,
    retrieval,
)
from dynsys.models.associative.theory.simulation import TRIALS, hebb_trial, random_units, relax
from dynsys.models.associative.theory.spurious import Name, named

TABLE = [  # alpha, m, error in %, r, error after one step in %
    (0.05, 0.999992, 0.0004, 1.0003, 0.0004),
    (0.06, 0.999955, 0.0023, 1.0016, 0.0022),
    (0.07, 0.999837, 0.0082, 1.0050, 0.0079),
    (0.08, 0.999557, 0.0221, 1.0118, 0.0203),
    (0.09, 0.999002, 0.0499, 1.0238, 0.0429),
    (0.10, 0.997999, 0.1000, 1.0431, 0.0783),
    (0.11, 0.996264, 0.1868, 1.0732, 0.1284),
    (0.12, 0.993223, 0.3389, 1.1214, 0.1946),
    (0.125, 0.990805, 0.4597, 1.1576, 0.2339),
    (0.13, 0.987212, 0.6394, 1.2095, 0.2773),
    (0.135, 0.980791, 0.9604, 1.2997, 0.3248),
    (0.137, 0.975444, 1.2278, 1.3739, 0.3449),
    (0.1375, 0.972953, 1.3524, 1.4085, 0.3500),
    (0.1379, 0.968101, 1.5949, 1.4762, 0.3542),
]


class TestMeanField:
    def test_the_critical_load_and_what_is_left_there(self):
        assert critical_load() == pytest.approx(0.1379056, abs=5e-8)
        assert retrieval(critical_load()).m == pytest.approx(0.967417, abs=5e-7)
        assert global_load() == pytest.approx(0.05185, abs=5e-6)

    @pytest.mark.parametrize(("alpha", "m", "error", "r", "one_step"), TABLE)
    def test_the_table(self, alpha, m, error, r, one_step):
        state = retrieval(alpha)
        assert mean_field(alpha) == state.m == pytest.approx(m, abs=6e-7)
        assert 100 * state.error == pytest.approx(error, abs=6e-5)
        assert state.r == pytest.approx(r, abs=6e-5)
        assert 100 * first_step_error(alpha) == pytest.approx(one_step, abs=6e-5)

    @given(st.floats(1e-3, 0.1379))
    def test_it_solves_the_equations_of_the_order_parameters(self, alpha):
        """m = erf(m / sqrt(2 alpha r)), r = (1 - C)^-2, C = sqrt(2 / (pi alpha r)) exp(-m^2 / (2 alpha r))."""
        from math import erf, exp, pi, sqrt

        state = retrieval(alpha)
        C = sqrt(2 / (pi * alpha * state.r)) * exp(-(state.m**2) / (2 * alpha * state.r))
        assert erf(state.m / sqrt(2 * alpha * state.r)) == pytest.approx(state.m, abs=1e-9)
        assert state.r * (1 - C) ** 2 == pytest.approx(1, abs=1e-6)

    def test_beyond_it_nothing_is_left(self):
        np.testing.assert_array_equal(mean_field(np.array([0.13791, 0.2, 5.0])), [0, 0, 0])
        with pytest.raises(ValueError, match="alpha is -1"):
            mean_field(-1)

    def test_loads_at_which_one_step_makes_a_given_error(self):
        assert load_of_first_step_error(0.01) == pytest.approx(0.18478, abs=5e-6)
        assert load_of_first_step_error(0.001) == pytest.approx(0.10472, abs=5e-6)

    @pytest.mark.parametrize(
        ("n", "text", "log2", "ln"),
        [(10, 1.5, 1.505, 2.171), (20, 3, 2.314, 3.338), (100, 15, 7.526, 10.857), (1000, 150, 50.17, 72.38)],
    )
    def test_the_rules_of_thumb_are_named_apart(self, n, text, log2, ln):
        most, every, printed, experiment = (rule(n) for rule in PATTERNS_STORED.values())
        assert (experiment, printed, most) == tuple(pytest.approx(value, rel=5e-4) for value in (text, log2, ln))
        assert every == most / 2

    @pytest.mark.parametrize(
        ("ratio", "load", "m", "mt"),
        [(1, 0.199802, 0.9328, 0.9328), (2, 0.27234, 0.9566, 0.9036), (4, 0.34382, 0.9709, 0.8741)],
    )
    def test_the_critical_loads_of_a_bam(self, ratio, load, m, mt):
        """Overlaps at a fold move by the root of a step in the load."""
        critical = pair_critical(ratio)
        assert critical.alpha == pytest.approx(load, abs=5e-6)
        assert (critical.m, critical.mt) == (pytest.approx(m, abs=5e-4), pytest.approx(mt, abs=5e-4))

    def test_the_layers_of_a_bam_can_be_named_either_way_round(self):
        one, other = pair_critical(2), pair_critical(0.5)
        assert one.alpha == pytest.approx(2 * other.alpha, rel=1e-9)
        assert (one.m, one.mt) == (pytest.approx(other.mt, abs=1e-6), pytest.approx(other.m, abs=1e-6))

    @pytest.mark.parametrize(("alpha", "m"), [(0.1, 0.998399), (0.15, 0.988436), (0.18, 0.972747), (0.19, 0.962672)])
    def test_overlaps_of_a_bam(self, alpha, m):
        assert pair_retrieval(alpha).m == pytest.approx(m, abs=6e-7)
        assert pair_retrieval(0.2) is None


class TestSimulation:
    def test_recall_by_overlaps_is_that_of_the_net(self):
        """It comes to rest at a state that no unit of the net with its W would leave, ties kept."""
        rng = np.random.default_rng(0)
        U = random_units(200, 30, rng)
        net = Hopfield.hebb(U.T.astype(float))
        for _ in range(5):
            y = rng.choice([-1.0, 1.0], 200).astype(U.dtype)
            before = net.energy(y)
            flips, _, settled = relax(U, y, rng)
            assert settled
            assert flips > 0
            assert net.rests(y)
            assert net.energy(y) < before

    def test_the_first_step_is_the_share_of_units_that_would_change(self):
        trial, U = hebb_trial(300, 45, np.random.default_rng(7)), random_units(300, 45, np.random.default_rng(7))
        U[:, 0] = 1
        net = Hopfield.hebb(U.T.astype(float))
        assert trial.first == np.mean(net.nets(np.ones(300)) < 0)

    def test_first_step_errors_are_those_of_the_normal_law(self):
        curve = capacity_curve(400, [0.2, 0.4], trials=60)
        standard = np.sqrt(first_step_error(curve.loads) / (400 * 60))
        assert (np.abs(curve.first.mean(axis=1) - first_step_error(curve.loads)) < 5 * standard + 2e-3).all()

    def test_extrapolated_in_one_over_n_it_is_the_mean_field(self):
        loads = [0.10, 0.12]
        curves = [capacity_curve(n, loads, trials) for n, trials in ((500, 400), (1000, 200), (2000, 100))]
        end = extrapolated(curves)
        assert (np.abs(end.overlap - mean_field(end.loads)) < 3 * end.standard_error).all()
        assert (end.standard_error < 2e-3).all()

    def test_beyond_capacity_all_is_lost_and_said_apart_from_the_median(self):
        curve = capacity_curve(300, [0.05, 0.3], trials=10)
        np.testing.assert_array_equal(curve.collapses, [0, 1])
        assert curve.median[0] == 0
        assert curve.median[1] > 0.2
        assert curve.settled.all()
        assert np.isnan(curve.of_kept()[0][1])

    def test_the_same_seed_gives_the_same_trials_whatever_else_is_run(self):
        one = capacity_curve(200, [0.1, 0.15], trials=3, seed=4)
        other = capacity_curve(200, [0.15], trials=5, seed=4)
        np.testing.assert_array_equal(one.errors[1], other.errors[0, :3])

    def test_rules_with_more_capacity_have_more(self):
        """At 0.3 n patterns Hebb's rule has none left, the pseudo-inverse all."""
        errors = {rule: capacity_curve(100, [0.3], trials=5, model=rule).mean[0] for rule in TRIALS}
        assert errors["pseudo-inverse"] == 0
        assert errors["storkey"] < 0.02 < errors["hebb"]

    def test_a_bam_recalls_below_its_load_and_not_beyond(self):
        curve = capacity_curve(1000, [0.1, 0.3], trials=5, model="bidirectional", ratio=1.0)
        assert curve.median[0] == pytest.approx((1 - pair_retrieval(0.1).m) / 2, abs=2e-3)
        assert curve.collapses[1] == 1

    def test_what_cannot_be_simulated_is_refused(self):
        with pytest.raises(ValueError, match="ratio is no setting of hebb; only bidirectional has one"):
            capacity_curve(100, [0.1], ratio=2.0)
        with pytest.raises(ValueError, match=r"ratio is 0\.0; the second layer has ratio times the units"):
            pair_critical(0)
        with pytest.raises(ValueError, match="model is 'gardner'; capacity is simulated of hebb"):
            capacity_curve(100, [0.1], model="gardner")
        with pytest.raises(ValueError, match="each needs a unit, a trial and a pattern"):
            capacity_curve(100, [0.001])
        curves = [capacity_curve(n, [0.1], trials=2) for n in (64, 100, 150)]
        with pytest.raises(ValueError, match="whole number of patterns at every n"):
            extrapolated(curves)


class TestEnumeration:
    def test_the_recurrent_net_of_one_pattern(self):
        """Five states to s, five to -s, six in three cycles x, -x."""
        found = enumerated(RecurrentAssociator.hebb([1, 1, 1, -1], ties="keep"))
        assert [(a.period, a.basin * 16) for a in found.attractors] == [(1, 5), (1, 5), (2, 2), (2, 2), (2, 2)]
        assert {tuple(x) for x in found.fixed_points} == {(1, 1, 1, -1), (-1, -1, -1, 1)}

    @given(arrays(np.int64, 32, elements=st.integers(0, 31)))
    def test_any_map_by_following_every_state(self, after):
        def step(states):
            index = (states > 0) @ (1 << np.arange(5))
            return np.where(after[index][:, None] >> np.arange(5) & 1, 1.0, -1.0)

        found = of_map(step, 5, (-1.0, 1.0))
        cycles = set()
        for begin in range(32):
            seen = [begin]
            while (following := int(after[seen[-1]])) not in seen:
                seen.append(following)
            cycle = frozenset(seen[seen.index(following) :])
            cycles.add(cycle)
            states = found.attractors[found.of[begin]].states
            assert {int((x > 0) @ (1 << np.arange(5))) for x in states} == cycle
        assert len(found.attractors) == len(cycles)
        assert sum(a.basin for a in found.attractors) == pytest.approx(1)

    def test_with_ties_at_zero_a_unit_has_three_values(self):
        found = enumerated(RecurrentAssociator.hebb([1, 1], ties="zero"))
        rest = {tuple(x) for x in found.fixed_points}
        assert (found.n_states, rest) == (9, {(0, 0), (1, 1), (-1, -1)})

    def test_one_unit_at_a_time_the_basin_is_a_chance(self):
        """W = [[0, 1], [1, 0]]: from (1, -1) either unit may turn first, so each end has 1/4 + 1/4."""
        found = enumerated(Hopfield([[0, 1], [1, 0]]))
        assert [(a.period, a.basin) for a in found.attractors] == [(1, 0.5), (1, 0.5)]
        assert found.of is None

    def test_chances_are_those_of_many_runs(self):
        S = np.random.default_rng(3).choice([-1, 1], (3, 8))
        net = Hopfield.hebb(S)
        found, ends = enumerated(net), {}
        cues = np.array(list(itertools.product((-1, 1), repeat=8)))
        for seed in range(6):
            for cue in cues:
                y, rng = cue.astype(float), np.random.default_rng([seed, *(cue > 0).astype(int)])
                while len(wrong := np.flatnonzero(y * net.nets(y) < 0)):
                    y[rng.choice(wrong)] *= -1
                ends[tuple(y)] = ends.get(tuple(y), 0) + 1
        assert {tuple(a.states[0]) for a in found.attractors} == set(ends)
        for a in found.attractors:
            assert ends[tuple(a.states[0])] / (6 * 256) == pytest.approx(a.basin, abs=0.04)

    def test_the_hopfield_example_with_its_external_input(self):
        """Under the held x = (0, 0, 1, 0) the stored pattern rests, and (0, 0, 0, 1), two of whose nets are 0."""
        found = enumerated(Hopfield.hebb([1, 1, 1, 0], binary=True), external=[0, 0, 1, 0])
        assert {tuple(x) for x in found.fixed_points} == {(1, 1, 1, 0), (0, 0, 0, 1)}

    def test_a_bam_has_its_pairs_and_their_negatives(self):
        S, T = np.array([[1, 1, 1, -1, -1, 1], [1, -1, -1, -1, 1, 1]]), np.array([[1, 1, -1], [1, -1, 1]])
        found = enumerated(BidirectionalMemory.hebb(S, T))
        rest = {tuple(x) for x in found.fixed_points}
        assert {tuple(sign * np.concatenate([s, t])) for s, t in zip(S, T, strict=True) for sign in (1, -1)} <= rest
        assert all(a.period == 1 for a in found.attractors)

    def test_states_at_rest_of_a_polynomial_memory_are_minima_of_its_energy(self):
        net = PolynomialMemory(np.random.default_rng(5).choice([-1, 1], (6, 9)), order=3)
        cube = np.array(list(itertools.product((-1, 1), repeat=9)))
        energy = {tuple(y): net.energy(y) for y in cube}
        minima = {
            y for y, E in energy.items() if all(energy[(*y[:i], -y[i], *y[i + 1 :])] >= E - 1e-12 for i in range(9))
        }
        found = enumerated(net)
        assert {tuple(x) for x in found.fixed_points} == minima
        assert sum(a.basin for a in found.attractors) == pytest.approx(1)

    def test_too_many_units_are_refused(self):
        with pytest.raises(ValueError, match="21 units of 2 values each; states are listed of up to 20"):
            enumerated(Hopfield(np.zeros((21, 21))))
        with pytest.raises(ValueError, match="13 units of 3 values each; states are listed of up to 12"):
            enumerated(RecurrentAssociator.hebb(np.ones(13)))


class TestNames:
    S = np.array([[1, 1, 1, -1, 1, -1, -1], [1, 1, -1, 1, -1, 1, -1], [1, -1, 1, 1, -1, -1, 1]])

    def test_every_kind_by_its_name(self):
        s, t, u = self.S
        assert named(t, self.S).text == "stored pattern 1"
        assert named(-u, self.S).text == "the negative of pattern 2"
        assert named(np.sign(s + t + u), self.S).text == "the mixture sign(+s0 +s1 +s2)"
        assert named(np.sign(s - t + u), self.S).text == "the mixture sign(+s0 -s1 +s2)"
        assert named([1, 1, 0, 0, 1, 0, -1], self.S).text == "+s0 where it is not 0, with 3 units left at 0"
        assert named([1, -1, -1, -1, 1, 1, 1], self.S).name is Name.OTHER

    def test_a_mixture_of_five(self):
        S = np.random.default_rng(0).choice([-1, 1], (7, 101))
        signs = np.array([1, -1, 1, 1, -1])
        found = named(np.sign(signs @ S[:5]), S)
        assert (found.name, found.patterns, found.signs) == (Name.MIXTURE, (0, 1, 2, 3, 4), tuple(signs))
