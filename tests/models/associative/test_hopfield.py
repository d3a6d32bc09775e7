"""Hopfield nets, discrete and continuous, and the BAM: worked examples, and an energy that never rises."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import hadamard

from dynsys import find_fixed_points, simulate
from dynsys.models.associative import BidirectionalMemory, ContinuousHopfield, DenseMemory, Hopfield, PolynomialMemory

STORED = np.array([1, 1, 1, 0])
A = np.array([-1, 1, -1, 1, -1, 1, 1, 1, 1, 1, -1, 1, 1, -1, 1])
C = np.array([-1, 1, 1, 1, -1, -1, 1, -1, -1, 1, -1, -1, -1, 1, 1])
LETTERS = [A, C], [[-1, 1], [1, 1]]
BAM = BidirectionalMemory.hebb(*LETTERS)
NOISY = [0, 0, -1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, -1, 0]
NOISIER = [0, 0, -1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]

WHOLE = st.integers(-3, 3)
UNITS = st.integers(-1, 1)


def quadratic(W, y, x, theta):
    """-1/2 y W y - x y + theta y by plain sums."""
    n = len(y)
    pairs = sum(W[i][j] * y[i] * y[j] for i in range(n) for j in range(n))
    return -pairs / 2 - sum(x[i] * y[i] for i in range(n)) + sum(theta[i] * y[i] for i in range(n))


class TestHopfield:
    def test_the_worked_example(self):
        net = Hopfield.hebb(STORED, binary=True)
        np.testing.assert_array_equal(net.W, [[0, 1, 1, -1], [1, 0, 1, -1], [1, 1, 0, -1], [-1, -1, -1, 0]])
        run = net.run([0, 0, 1, 0], order=[0, 3, 2, 1])
        states, nets, energies = run
        expected = [[0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]
        np.testing.assert_array_equal(states, expected + [[1, 1, 1, 0]] * 4)
        np.testing.assert_array_equal(nets, [1, -2, 2, 2, 2, -3, 3, 2])
        np.testing.assert_array_equal(energies, [-1, -2, -2, -2, -4, -4, -4, -4, -4])
        assert (run.settled, run.sweeps, net.lower_bound([0, 0, 1, 0])) == (True, 2, -7)
        np.testing.assert_array_equal(run.end, STORED)

    def test_all_cues_in_all_orders(self):
        net = Hopfield.hebb(STORED, binary=True)
        home = {"0010", "0100", "1000", "0110", "1010", "1100", "1110", "0111", "1011", "1101", "1111"}
        for cue in itertools.product((0, 1), repeat=4):
            end = STORED if "".join(map(str, cue)) in home else cue
            for order in itertools.permutations(range(4)):
                run = net.run(cue, order=order)
                np.testing.assert_array_equal(run.end, end)
                np.testing.assert_array_equal(run.states[-1], end)
                assert (np.diff(run.energies) <= 0).all()

    @given(
        arrays(float, (5, 5), elements=WHOLE),
        arrays(float, 5, elements=UNITS),
        arrays(float, 5, elements=WHOLE),
        arrays(float, 5, elements=WHOLE),
        st.booleans(),
        st.integers(0, 99),
    )
    def test_the_energy_never_rises(self, B, y, x, theta, binary, seed):
        """Whole numbers, so that nothing is rounded, and ties are met."""
        W = B + B.T
        np.fill_diagonal(W, 0)
        run = Hopfield(W, binary=binary, thresholds=theta).run(abs(y) if binary else y, seed=seed, external=x)
        states, nets, energies = run
        np.testing.assert_array_equal(energies, [quadratic(W, s, x, theta) for s in states])
        changed = (states[1:] != states[:-1]).any(axis=1)
        assert (np.diff(energies)[changed] < 0).all()
        assert (np.diff(energies)[~changed] == 0).all()
        assert run.settled
        assert run.net.rests(run.end, x)
        assert energies[-1] >= run.net.lower_bound(x)
        before = states[np.arange(len(nets)), run.units]
        after = states[np.arange(len(nets)) + 1, run.units]
        np.testing.assert_array_equal(after, np.where(nets > 0, 1, np.where(nets < 0, 0 if binary else -1, before)))

    @given(arrays(float, (6, 6), elements=st.floats(-3, 3)), st.integers(0, 999), st.sampled_from([0.0, 1.0, 100.0]))
    def test_the_energy_never_rises_with_any_weights_and_inputs(self, B, seed, size):
        W, rng = B + B.T, np.random.default_rng(seed)
        np.fill_diagonal(W, 0)
        x, theta = size * rng.standard_normal(6), rng.standard_normal(6)
        run = Hopfield(W, thresholds=theta).run(rng.choice([-1, 0, 1], 6), seed=seed, external=x)
        exact = [quadratic(W, s, x, theta) for s in run.states]
        slack = 1e-12 * (1 + abs(run.net.lower_bound(x)))
        assert (np.diff(exact) <= slack).all()
        np.testing.assert_allclose(run.energies, exact, rtol=0, atol=slack)
        assert run.settled

    def test_the_changes_alone_are_the_states_without_repetition(self):
        rng = np.random.default_rng(2)
        run = Hopfield.hebb(rng.choice([-1, 1], (5, 30))).run(rng.choice([-1, 1], 30), external=np.zeros(30))
        changed = run.states_after(run.changes)
        np.testing.assert_array_equal(changed, run.states[np.concatenate([[0], run.changes + 1])])
        assert ((changed[1:] != changed[:-1]).sum(axis=1) == 1).all()

    def test_a_unit_at_its_threshold_keeps_its_value(self):
        net = Hopfield(np.zeros((3, 3)))
        np.testing.assert_array_equal(net.run([1, -1, 0], external=np.zeros(3)).end, [1, -1, 0])

    def test_the_external_input_stays_on(self):
        """Alone the pair agrees; held apart by a strong input it does not."""
        net = Hopfield([[0, 1], [1, 0]])
        np.testing.assert_array_equal(net.run([1, -1], external=[3, -3]).end, [1, -1])
        assert len(set(net.run([1, -1], external=[0, 0]).end)) == 1

    def test_the_same_seed_takes_the_same_way(self):
        rng = np.random.default_rng(0)
        net, cue = Hopfield.hebb(rng.choice([-1, 1], (6, 20))), rng.choice([-1, 1], 20)
        one, two = net.run(cue, seed=5), net.run(cue, seed=5)
        np.testing.assert_array_equal(one.states, two.states)
        assert all(sorted(sweep) == list(range(20)) for sweep in one.units.reshape(-1, 20))

    def test_without_symmetry_there_is_no_energy_and_perhaps_no_rest(self):
        net = Hopfield([[0, 1], [-1, 0]])
        with pytest.raises(ValueError, match="no energy: W must be symmetric"):
            net.energy([1, 1])
        run = net.run([1, 1], external=[0, 0], sweeps=50)
        assert not run.settled
        with pytest.raises(ValueError, match="no energy"):
            _ = run.energies

    def test_an_order_that_misses_a_unit_is_refused(self):
        with pytest.raises(ValueError, match=r"order is \[1, 4, 3, 2\]; it names each of the units 0 to 3 once"):
            Hopfield.hebb(STORED, binary=True).run([0, 0, 1, 0], order=[1, 4, 3, 2])

    def test_binary_patterns_want_to_be_called_so(self):
        with pytest.raises(ValueError, match="binary=True is for 0 and 1"):
            Hopfield.hebb(STORED)

    def test_the_pseudo_inverse_keeps_more_than_hebb_and_storkey_lies_between(self):
        n, rng = 60, np.random.default_rng(0)
        S = rng.choice([-1, 1], (24, n))
        rest = {
            rule: sum(Hopfield.learned(S, rule).rests(s) for s in S) for rule in ("hebb", "storkey", "pseudo-inverse")
        }
        assert rest["pseudo-inverse"] == 24
        assert rest["hebb"] < rest["storkey"] <= 24

    def test_storkeys_rule_by_its_definition(self):
        n, rng = 5, np.random.default_rng(1)
        S, W, step = rng.choice([-1, 1], (3, n)), np.zeros((n, n)), np.zeros((n, n))
        for s in S:
            h = [[sum(W[i, k] * s[k] for k in range(n) if k not in (i, j)) for j in range(n)] for i in range(n)]
            for i, j in itertools.permutations(range(n), 2):
                step[i, j] = (s[i] * s[j] - s[i] * h[j][i] - h[i][j] * s[j]) / n
            W = W + step
        np.testing.assert_allclose(Hopfield.storkey(S).W, n * W, atol=1e-12)

    def test_as_many_patterns_as_units_are_too_many_for_the_pseudo_inverse(self):
        with pytest.raises(ValueError, match="the 4 patterns span all 4 dimensions"):
            Hopfield.pseudo_inverse(hadamard(4))


class TestPolynomial:
    def test_order_two_is_the_hopfield_net(self):
        rng = np.random.default_rng(0)
        S, cue, order = rng.choice([-1, 1], (4, 15)), rng.choice([-1, 1], 15), rng.permutation(15)
        dense = DenseMemory.polynomial(S, 2).run(cue, order=order)
        np.testing.assert_array_equal(dense[-1], Hopfield.hebb(S).run(cue, order=order, external=np.zeros(15)).end)

    @pytest.mark.parametrize("order", [2, 3, 4, "exp"])
    def test_its_energy_never_rises(self, order):
        rng = np.random.default_rng(1)
        net = PolynomialMemory(rng.choice([-1, 1], (6, 12)), order)
        for seed in range(10):
            energies = [net.energy(y) for y in net.run(rng.choice([-1, 1], 12), seed=seed)]
            assert (np.diff(energies) <= 1e-12).all()

    def test_higher_orders_store_more(self):
        """40 patterns in 24 units: far too many for order 2, none lost with exp."""
        S = np.random.default_rng(0).choice([-1, 1], (40, 24))
        kept = {order: sum((PolynomialMemory(S, order).run(s)[-1] == s).all() for s in S) for order in (2, 3, 5, "exp")}
        assert kept[2] < kept[3] < kept[5] <= kept["exp"] == 40


class TestBidirectional:
    def test_the_weights_and_both_ways(self):
        np.testing.assert_array_equal(
            BAM.W.T,
            [
                [0, 0, 2, 0, 0, -2, 0, -2, -2, 0, 0, -2, -2, 2, 0],
                [-2, 2, 0, 2, -2, 0, 2, 0, 0, 2, -2, 0, 0, 0, 2],
            ],
        )
        np.testing.assert_array_equal(A @ BAM.W, [-14, 16])
        np.testing.assert_array_equal(C @ BAM.W, [14, 16])
        np.testing.assert_array_equal(BAM.W @ [-1, 1], 2 * A)
        np.testing.assert_array_equal(BAM.W @ [1, 1], 2 * C)

    def test_both_pairs_and_their_negatives_lie_on_the_bound(self):
        for s, t in zip(*LETTERS, strict=True):
            for sign in (1, -1):
                x, y = sign * s, sign * np.array(t)
                assert BAM.energy(x, y) == BAM.lower_bound() == -30
                end = BAM.run(x, y).end
                np.testing.assert_array_equal(end[0], x)
                np.testing.assert_array_equal(end[1], y)

    @pytest.mark.parametrize("first", ["x", "y"])
    def test_half_a_code_ends_in_a_spurious_state(self, first):
        run = BAM.run(np.zeros(15), [0, 1], first=first)
        np.testing.assert_array_equal(run.end[0], [-1, 1, 0, 1, -1, 0, 1, 0, 0, 1, -1, 0, 0, 0, 1])
        np.testing.assert_array_equal(run.end[1], [0, 1])
        assert run.energies[-1] == -16

    @pytest.mark.parametrize(
        ("x", "first", "energies"),
        [
            (NOISY, "x", [0, -16, -30]),
            (NOISY, "y", [0, -14, -30]),
            (NOISIER, "x", [0, -16, -22, -30]),
            (NOISIER, "y", [0, -6, -30]),
        ],
    )
    def test_half_a_code_and_some_of_x_end_at_the_letter(self, x, first, energies):
        run = BAM.run(x, [0, 1], first=first)
        np.testing.assert_array_equal(run.end[0], A)
        np.testing.assert_array_equal(run.end[1], [-1, 1])
        assert run.settled
        np.testing.assert_array_equal(run.energies, energies + [-30] * (len(run.energies) - len(energies)))

    def test_not_quite_a(self):
        x = BAM.run(NOISIER, [0, 1], first="x").x[1]
        np.testing.assert_array_equal(x, [-1, 1, -1, 1, -1, 1, 1, 1, 0, 1, -1, 0, 0, 0, 1])

    def test_the_letters_and_codes_are_as_far_apart_as_the_text_says(self):
        assert (A != C).sum() == 7
        assert (np.flatnonzero(A != C) + 1).tolist() == [3, 6, 8, 9, 12, 13, 14]
        assert A @ C == 1

    def test_binary_letters_are_not_fully_recalled_from_the_code_alone(self):
        x, y = [(A + 1) // 2, (C + 1) // 2], [[0, 1], [1, 1]]
        net = BidirectionalMemory.hebb(x, y, binary=True)
        np.testing.assert_array_equal(net.W, BAM.W)
        np.testing.assert_array_equal(np.array(x) @ net.W, [[-10, 10], [4, 10]])
        back = net.W @ [0, 1]
        np.testing.assert_array_equal(back, [-2, 2, 0, 2, -2, 0, 2, 0, 0, 2, -2, 0, 0, 0, 2])
        assert (net.run(np.zeros(15), [0, 1], first="x").end[0] != x[0]).any()

    def test_every_one_pixel_error_and_most_of_five_are_put_right(self):
        right = {1: 0, 5: 0}
        for count, letter in itertools.product(right, (A, C)):
            x = np.repeat(letter[None], math.comb(15, count), axis=0)
            np.put_along_axis(x, where := np.array([*itertools.combinations(range(15), count)]), -letter[where], axis=1)
            y = np.zeros((len(x), 2))
            for _ in range(8):
                y = BAM.answer(x, y)
                x = BAM.answer_back(x, y)
            right[count] += (x == letter).all(axis=1).sum()
        assert right == {1: 30, 5: 4312}

    @given(
        arrays(float, (4, 3), elements=WHOLE),
        arrays(float, 4, elements=UNITS),
        arrays(float, 3, elements=UNITS),
        st.sampled_from("xy"),
        st.booleans(),
    )
    def test_the_energy_never_rises(self, W, x, y, first, binary):
        net = BidirectionalMemory(W, np.ones((1, 4)), np.ones((1, 3)), binary)
        run = net.run(abs(x) if binary else x, abs(y) if binary else y, first=first)
        np.testing.assert_array_equal(run.energies, [-(a @ W @ b) for a, b in zip(run.x, run.y, strict=True)])
        assert (np.diff(run.energies) <= 0).all()
        assert run.settled
        assert run.energies[-1] >= net.lower_bound()

    def test_another_first_layer_is_refused(self):
        with pytest.raises(ValueError, match="first is 'z'; the layer that is updated first is 'y' or 'x'"):
            BAM.run(A, [0, 0], first="z")


class TestContinuous:
    def test_one_pattern_appears_where_the_gain_times_the_eigenvalue_passes_one(self):
        """x = a s with a = (1 - 1/n) tanh(gain a): besides 0 there are +-a above gain n / (n - 1)."""
        s = np.array([1, -1, 1, 1, -1])
        for gain, count in ((1.24, 1), (1.26, 3)):
            points = find_fixed_points(ContinuousHopfield.hebb(s, gain=gain), n_starts=64, workers=1)
            assert len(points) == count
        stable = points.states[points.n_unstable == 0]
        a = np.abs(stable).max()
        assert a == pytest.approx(0.8 * np.tanh(1.26 * a), abs=1e-12)
        np.testing.assert_allclose(np.abs(stable), a, atol=1e-12)
        assert {tuple(np.sign(x)) for x in stable} == {tuple(s), tuple(-s)}

    def test_orthogonal_patterns_are_stable_and_their_mixtures_saddles(self):
        S = hadamard(8)[1:3]
        net = ContinuousHopfield.hebb(S, gain=3.0)
        points = find_fixed_points(net, n_starts=256, workers=1)
        signs = {tuple(row) for row in np.sign(points.states[points.n_unstable == 0])}
        assert signs == {tuple(sign * s) for s in S for sign in (1, -1)}
        assert points.certified.all()
        mixed = {tuple(row) for row in np.sign(np.round(points.states[points.n_unstable == 1], 9))}
        assert {tuple(np.sign(a * S[0] + b * S[1])) for a in (1, -1) for b in (1, -1)} <= mixed

    def test_the_energy_falls_along_every_path_and_is_stationary_at_rest(self):
        rng = np.random.default_rng(0)
        net = ContinuousHopfield.hebb(rng.choice([-1, 1], (3, 10)), gain=5.0)
        u = 0.3 * rng.standard_normal(10)
        x = torch.as_tensor(rng.standard_normal((20, 10)))
        path = simulate(net, x, torch.as_tensor(u).expand(400, -1), step=0.02)
        energies = net.energy(np.asarray(path), u)
        assert (np.diff(energies, axis=0) <= 1e-12).all()
        assert (energies[0] - energies[-1] > 0.1).all()

    def test_the_slope_of_the_energy_is_minus_the_velocity_times_that_of_the_outputs(self):
        rng = np.random.default_rng(1)
        net = ContinuousHopfield.hebb(rng.choice([-1, 1], (2, 6)), gain=2.0)
        x, u, h = rng.standard_normal(6), rng.standard_normal(6), 1e-6
        F = net.velocity(torch.as_tensor(x)[None], torch.as_tensor(u)[None])[0].numpy()
        slope = [(net.energy(x + h * e, u) - net.energy(x - h * e, u)) / (2 * h) for e in np.eye(6)]
        np.testing.assert_allclose(slope, -F * 2.0 * (1 - np.tanh(2.0 * x) ** 2), atol=1e-8)

    def test_nothing_overflows_at_a_large_gain(self):
        net = ContinuousHopfield.hebb([[1, -1, 1]], gain=1e6)
        assert np.isfinite(net.energy([1e3, -1e3, 5.0]))

    def test_an_asymmetric_matrix_has_no_energy(self):
        with pytest.raises(ValueError, match="it differs from its transpose by 2"):
            ContinuousHopfield([[0, 1], [-1, 0]]).energy([0, 0])
