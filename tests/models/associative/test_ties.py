"""A unit whose net input is exactly 0 is at its threshold, whatever the weights were rounded to: told by fractions."""

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from dynsys.models.associative import Associator, ContinuousHopfield, Hopfield, PolynomialMemory, RecurrentAssociator
from dynsys.models.associative.learning import RULES
from dynsys.models.associative.theory.enumeration import enumerated

THIRDS = np.array([[-1, -1, 1, 1], [-1, 1, 1, 1]])
ENDLESS = np.array([[-1, 1, 1, 1, 1, 1], [1, -1, -1, -1, 1, 1], [1, -1, -1, 1, 1, 1], [1, -1, 1, 1, 1, -1]])


def projection(S):
    """n times the projection on the span of S, its diagonal left out, by Gram and Schmidt; and the dimension."""
    n, basis = S.shape[1], []
    for s in S.tolist():
        v = [Fraction(c) for c in s]
        for b in basis:
            share = sum(x * y for x, y in zip(v, b, strict=True)) / sum(y * y for y in b)
            v = [x - share * y for x, y in zip(v, b, strict=True)]
        if any(v):
            basis.append(v)
    norms = [sum(c * c for c in b) for b in basis]
    entry = [[n * sum(b[i] * b[j] / q for b, q in zip(basis, norms, strict=True)) for j in range(n)] for i in range(n)]
    return [[0 if i == j else entry[i][j] for j in range(n)] for i in range(n)], len(basis)


def at_rest(W):
    """The states of -1 and 1 whose units all have no net input against them."""
    states = itertools.product((-1, 1), repeat=len(W))
    return {
        y
        for y in states
        if all(c * sum(w * v for w, v in zip(r, y, strict=True)) >= 0 for r, c in zip(W, y, strict=True))
    }


def listed(net):
    return {tuple(map(int, y)) for y in enumerated(net).fixed_points}


class TestHopfield:
    def test_a_unit_that_the_projection_leaves_alone_keeps_its_value(self):
        net = Hopfield.pseudo_inverse(THIRDS)
        assert net.rests(THIRDS[0])
        np.testing.assert_array_equal(net.run(THIRDS[0]).end, THIRDS[0])
        np.testing.assert_array_equal(net.W[1], np.zeros(4))
        both = {tuple(s) for s in THIRDS.tolist()}
        assert listed(net) == both | {tuple(-c for c in s) for s in both}

    def test_the_states_at_rest_are_those_of_fractions(self):
        rng = np.random.default_rng(0)
        drawn = [rng.choice([-1, 1], (rng.integers(1, n), n)) for n in (3, 4, 5, 6) for _ in range(8)]
        for S in [ENDLESS, np.concatenate([ENDLESS, [[-1, -1, 1, 1, -1, -1]]]), *drawn]:
            W, dimension = projection(S)
            if dimension < len(W):
                net, rest = Hopfield.pseudo_inverse(S), at_rest(W)
                assert listed(net) == rest
                np.testing.assert_array_equal(net.W, np.array([[float(w) for w in row] for row in W]))
                assert {tuple(map(int, net.run(s, external=np.zeros(len(W))).end)) for s in rest} == rest

    def test_storkeys_too(self):
        rng = np.random.default_rng(1)
        for n in (3, 4, 5, 6, 5, 6):
            S = rng.choice([-1, 1], (3, n))
            W = [[Fraction(0)] * n for _ in range(n)]
            for s in S.tolist():
                h = [[sum(W[i][k] * s[k] for k in range(n) if k not in (i, j)) for j in range(n)] for i in range(n)]
                W = [
                    [
                        W[i][j] + (i != j) * (s[i] * s[j] - s[i] * h[j][i] - h[i][j] * s[j]) / Fraction(n)
                        for j in range(n)
                    ]
                    for i in range(n)
                ]
            assert listed(Hopfield.storkey(S)) == at_rest(W)

    def test_patterns_rest_where_the_projection_is_too_large_for_fractions(self):
        """95 patterns in 100 units: (W s)_i = n (1 - Q_ii) s_i, which no share of 1 makes 0 here."""
        S = np.random.default_rng(2).choice([-1, 1], (95, 100))
        net = Hopfield.pseudo_inverse(S)
        assert all(net.rests(s) for s in S)
        np.testing.assert_array_equal(net.W, net.W.T)

    def test_weights_that_cancel_are_a_tie_in_every_net(self):
        """0.1 + 0.2 - 0.3 is 5.6e-17 in float64, and three tenths of two weights are meant."""
        W, y = np.zeros((4, 4)), [1, 1, -1, -1]
        W[:3, 3] = W[3, :3] = 0.1, 0.2, 0.3
        np.testing.assert_array_equal(Hopfield(W).nets(np.array(y, float))[3], 0)
        assert RecurrentAssociator(W, [[1, 1, 1, 1]], ties="keep").step(y)[3] == -1

    def test_a_pair_that_goes_round_for_ever_has_no_energy_however_weak_it_is(self):
        """Units 0 and 1 alone: unit 0 takes the value of unit 1, and unit 1 the other one of unit 0."""
        W = np.zeros((4, 4))
        W[0, 1], W[1, 0], W[2, 3], W[3, 2] = 1e-13, -1e-13, 1, 1
        net = Hopfield(W)
        assert not net.run([1, 1, 1, 1], external=np.zeros(4), sweeps=50).settled
        assert not net.has_energy
        with pytest.raises(ValueError, match="symmetric to the last bit"):
            enumerated(net)
        assert not ContinuousHopfield(W).has_energy

    @pytest.mark.parametrize("rule", sorted(RULES))
    def test_every_rule_makes_an_energy(self, rule):
        S = np.random.default_rng(4).choice([-1, 1], (7, 40))
        assert Hopfield.learned(S, rule).has_energy
        assert Hopfield.learned((S[:, :9] + 1) // 2, rule, binary=True).has_energy


class TestAssociator:
    def test_a_binary_target_of_0_is_answered(self):
        net = Associator.pseudo_inverse([[-1, 1], [1, 1]], [[1], [0]])
        np.testing.assert_array_equal(net.recalled, [True, True])
        np.testing.assert_array_equal(net.net([1, 1]), [0])

    def test_every_independent_pattern_has_its_answer(self):
        """n independent patterns of n units: S W = T has exactly one solution, and that answers each."""
        rng = np.random.default_rng(3)
        for n in (3, 5, 8, 12, 90):
            S, T = np.tril(rng.integers(0, 2, (n, n)), -1) + np.eye(n), rng.integers(0, 2, (n, 4))
            if n == 90:
                S = rng.integers(0, 2, (n, n + 40))  # too many for fractions
            assert Associator.pseudo_inverse(S, T).recalled.all()


def prefers(S, y, i, order):
    """The sign of E(y_i = -1) - E(y_i = 1) by whole numbers; of "exp" by 60 digits, whose e no whole numbers cancel."""
    up, down = [*y[:i], 1, *y[i + 1 :]], [*y[:i], -1, *y[i + 1 :]]
    at = [[sum(a * b for a, b in zip(s, state, strict=True)) for s in S] for state in (up, down)]
    if order != "exp":
        gap = sum(h**order for h in at[0]) - sum(h**order for h in at[1])
    else:
        with localcontext(prec=60):
            gap = sum(Decimal(h).exp() for h in at[0]) - sum(Decimal(h).exp() for h in at[1])
            gap = 0 if abs(gap) < Decimal(10) ** -30 else gap
    return (gap > 0) - (gap < 0)


class TestPolynomial:
    @pytest.mark.parametrize("order", [2, 3, 60, 61, 400, "exp"])
    def test_every_unit_takes_the_sign_of_whole_numbers(self, order):
        rng = np.random.default_rng(5)
        drawn = [rng.choice([-1, 1], (P, n)).tolist() for P, n in ((3, 4), (4, 5), (5, 5))]
        for S in [[[1, -1, 1, -1], [1, 1, 1, -1], [1, -1, 1, 1], [1, -1, 1, 1]], *drawn]:
            net, rest = PolynomialMemory(S, order), set()
            for y in itertools.product((-1, 1), repeat=len(S[0])):
                signs = [prefers(S, y, i, order) for i in range(len(y))]
                found = [np.sign(net.gaps(i, np.array(y, float))) for i in range(len(y))]
                np.testing.assert_array_equal(found, signs)
                if all(sign * c >= 0 for sign, c in zip(signs, y, strict=True)):
                    rest.add(y)
            assert listed(net) == rest

    def test_a_gap_far_below_the_last_bit_is_no_tie(self):
        """Two patterns that differ in unit 0 alone cancel there; the third, all of whose overlaps are -19, is left."""
        s = np.ones(20)
        other = s * [-1, *[1] * 19]
        net = PolynomialMemory([s, other, -s], "exp")
        assert net.gaps(0, s) < 0
        np.testing.assert_array_equal(net.run(s, order=range(20))[-1], other)

    def test_cues_between_whole_numbers_are_taken_as_they_are_stored(self):
        """0.1 + 0.2 is above 0.3 in float64 as in its fractions; unit 0 sides with the larger overlap."""
        y, S = np.array([0, 0.1, 0.2, -0.3, 0, 0]), [[1, 1, 1, 1, 1, 1], [-1, -1, -1, -1, 1, 1]]
        assert Fraction(0.1) + Fraction(0.2) > Fraction(0.3)
        assert PolynomialMemory(S, "exp").gaps(0, y) > 0
        assert PolynomialMemory(S, 61).gaps(0, y) == 0  # the overlaps have one size, and h^61 goes by that alone
