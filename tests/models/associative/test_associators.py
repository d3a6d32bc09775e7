"""One-layer and recurrent associators and the linear one: every worked example of the lecture notes, recomputed."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import expm, hadamard

from dynsys import find_fixed_points
from dynsys.models import MEMORIES
from dynsys.models.associative import (
    Associator,
    BidirectionalMemory,
    Hopfield,
    LinearAssociator,
    RecurrentAssociator,
)
from dynsys.models.associative.associator import Sufficient, sufficient_conditions
from dynsys.models.associative.linear import Feedback, feedback_case, hebb_in_time, linear_feedback, storage_ratio
from dynsys.models.associative.patterns import disturbed

PAIRS = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]], [[1, 0], [1, 0], [0, 1], [0, 1]]
TWO = [[1, 1, 1, -1], [1, 1, -1, 1]], [[-1, 1, 1], [1, 1, -1]]
ONE = [1, 1, 1, -1]
W_OF_ONE = [[0, 1, 1, -1], [1, 0, 1, -1], [1, 1, 0, -1], [-1, -1, -1, 0]]


class TestHetero:
    def test_the_binary_example(self):
        net = Associator.hebb(*PAIRS)
        np.testing.assert_array_equal(net.W, [[2, 0], [1, 0], [0, 1], [0, 2]])
        np.testing.assert_array_equal(net.net(PAIRS[0]), [[2, 0], [3, 0], [0, 2], [0, 3]])
        np.testing.assert_array_equal(net.recall(PAIRS[0]), PAIRS[1])
        assert sufficient_conditions(*PAIRS) == (Sufficient.AGREEING,)

    @pytest.mark.parametrize(
        ("cue", "answer"),
        [
            ([0, 1, 0, 0], [1, 0]),
            ([0, 0, 1, 0], [0, 1]),
            ([0, 1, 1, 0], [1, 1]),
            ([0, 0, 0, 0], [0, 0]),
            ([1, 0, 1, 0], [1, 1]),
            ([1, 0, 0.01, 0], [1, 1]),
        ],
    )
    def test_other_cues_of_the_binary_example(self, cue, answer):
        np.testing.assert_array_equal(Associator.hebb(*PAIRS).recall(cue), answer)

    def test_the_bipolar_example_and_its_two_radii(self):
        net = Associator.hebb(*TWO)
        np.testing.assert_array_equal(net.W, [[0, 2, 0], [0, 2, 0], [-2, 0, 2], [2, 0, -2]])
        assert net.disturbance_bound() == 1.0
        assert net.sharp_radius() == pytest.approx(math.sqrt(2), rel=1e-15)
        assert sufficient_conditions(*TWO) == (Sufficient.ORTHOGONAL, Sufficient.AGREEING)

    def test_nothing_shorter_than_the_bound_is_misread(self):
        net, rng = Associator.hebb(*TWO), np.random.default_rng(0)
        delta = rng.standard_normal((20000, 4))
        delta *= 0.999 / np.linalg.norm(delta, axis=1, keepdims=True)
        for s, t in zip(*TWO, strict=True):
            assert (net.recall(s + delta) == t).all()

    def test_the_sharp_radius_is_where_a_component_flips(self):
        net = Associator.hebb(*TWO)
        s, w = np.array(TWO[0][0]), net.W[:, 1] / np.linalg.norm(net.W[:, 1])
        np.testing.assert_array_equal(net.recall(s - 1.0001 * math.sqrt(2) * w), [-1, -1, 1])
        np.testing.assert_array_equal(net.recall(s - 0.9999 * math.sqrt(2) * w), TWO[1][0])

    @given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 999))
    def test_the_bound_never_exceeds_the_sharp_radius(self, log, m, seed):
        rng = np.random.default_rng(seed)
        n, P = 2**log, int(rng.integers(1, 2**log + 1))
        net = Associator.hebb(hadamard(n)[:P], rng.choice([-1, 1], (P, m)))
        assert net.disturbance_bound() <= net.sharp_radius() * (1 + 1e-12)

    def test_binary_targets_have_no_radius(self):
        net = Associator.hebb([[1, 0], [0, 1]], [[1, 0], [0, 1]])
        for radius in (net.disturbance_bound, net.sharp_radius):
            with pytest.raises(ValueError, match="no radius for binary targets: where t_j is 0 any disturbance"):
                radius()

    def test_the_bound_asks_for_orthogonal_inputs(self):
        net = Associator.hebb([[1, 1, 1], [1, 1, -1]], [[1], [1]])
        with pytest.raises(ValueError, match="orthogonal to each other, and these are not"):
            net.disturbance_bound()

    def test_a_pattern_of_zeros_breaks_the_first_condition(self):
        assert sufficient_conditions([[0, 0], [1, 0]], [[1], [0]]) == ()

    def test_the_pseudo_inverse_recalls_what_is_independent_and_not_orthogonal(self):
        S, T = [[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, 1]], [[1, -1], [-1, 1], [-1, -1]]
        assert not Associator.hebb(S, T).recalled.all()
        assert Associator.pseudo_inverse(S, T).recalled.all()
        with pytest.raises(ValueError, match=r"the 5 patterns span 4 dimensions .* at most n = 4"):
            Associator.pseudo_inverse([*S, [1, -1, 1, 1], [-1, 1, 1, 1]], [[1], [1], [1], [-1], [-1]])


class TestAuto:
    def test_one_pattern_plain_and_modified(self):
        plain, modified = Associator.hebb(ONE), Associator.hebb(ONE, modified=True)
        np.testing.assert_array_equal(plain.W, np.outer(ONE, ONE))
        np.testing.assert_array_equal(modified.W, W_OF_ONE)

    @pytest.mark.parametrize(
        ("cue", "plain", "modified"),
        [
            ((-1, 1, 1, -1), (2, 2, 2, -2), (3, 1, 1, -1)),
            ((1, -1, 1, -1), (2, 2, 2, -2), (1, 3, 1, -1)),
            ((1, 1, -1, -1), (2, 2, 2, -2), (1, 1, 3, -1)),
            ((1, 1, 1, 1), (2, 2, 2, -2), (1, 1, 1, -3)),
            ((0, 0, 1, -1), (2, 2, 2, -2), (2, 2, 1, -1)),
            ((0, 1, 0, -1), (2, 2, 2, -2), (2, 1, 2, -1)),
            ((1, 1, 0, 0), (2, 2, 2, -2), (1, 1, 2, -2)),
        ],
    )
    def test_one_mistake_or_two_missing_are_put_right(self, cue, plain, modified):
        for net, expected in ((Associator.hebb(ONE), plain), (Associator.hebb(ONE, modified=True), modified)):
            np.testing.assert_array_equal(net.net(cue), expected)
            np.testing.assert_array_equal(net.recall(cue), ONE)

    def test_two_mistakes_are_not(self):
        """The notes print the zeros of the plain matrix under the modified one, which answers -x."""
        cue = [-1, -1, 1, -1]
        np.testing.assert_array_equal(Associator.hebb(ONE).recall(cue), [0, 0, 0, 0])
        np.testing.assert_array_equal(Associator.hebb(ONE, modified=True).recall(cue), [1, 1, -1, 1])

    def test_spectra_of_orthogonal_patterns(self):
        net, modified = Associator.hebb(hadamard(8)[:3]), Associator.hebb(hadamard(8)[:3], modified=True)
        np.testing.assert_allclose(np.linalg.eigvalsh(net.W), [0] * 5 + [8] * 3, atol=1e-12)
        np.testing.assert_allclose(np.linalg.eigvalsh(modified.W), [-3] * 5 + [5] * 3, atol=1e-12)
        four = Associator.hebb(hadamard(4)[:3], modified=True)
        np.testing.assert_array_equal(four.W, [[0, 1, 1, -1], [1, 0, -1, 1], [1, -1, 0, 1], [-1, 1, 1, 0]])
        np.testing.assert_allclose(np.linalg.eigvalsh(four.W), [-3, 1, 1, 1], atol=1e-12)

    @pytest.mark.parametrize("n", [2, 4, 8, 16])
    def test_the_plain_rule_stores_n_and_the_modified_one_less(self, n):
        H = hadamard(n)
        assert Associator.hebb(H).recalled.all()
        assert Associator.hebb(H, np.roll(H, 1, axis=0)).recalled.all()  # hetero
        assert Associator.hebb(H[: n - 1], modified=True).recalled.all()
        full = Associator.hebb(H, modified=True)
        assert not full.W.any()
        assert not full.recall(H).any()

    @pytest.mark.parametrize(
        ("n", "P", "plain", "modified"),
        [
            (4, 1, 1, 1),
            (4, 2, 0, 0),
            (8, 2, 1, 1),
            (8, 3, 1, 0),
            (8, 4, 0, 0),
            (16, 4, 1, 1),
            (16, 7, 1, 0),
            (16, 8, 0, 0),
            (32, 8, 1, 1),
            (32, 15, 1, 0),
        ],
    )
    def test_the_modified_rule_is_not_the_better_one(self, n, P, plain, modified):
        """The share of single flips put right in one step, over all patterns and components."""
        S = hadamard(n)[:P]
        flipped = S[:, None, :] * (1 - 2 * np.eye(n, dtype=int))
        for rule, expected in ((False, plain), (True, modified)):
            net = Associator.hebb(S, modified=rule)
            right = (net.recall(flipped.reshape(-1, n)).reshape(P, n, n) == S[:, None, :]).all(axis=2)
            assert right.mean() == expected

    @pytest.mark.parametrize("rule", ["hebb", "modified"])
    def test_one_flip_is_put_right_exactly_where_no_weight_is_too_large(self, rule):
        """s_i s_j W_ij < n / 2 for every j, of the modified rule < (n - P) / 2 for every other j."""
        n, H, rng = 16, hadamard(16), np.random.default_rng(0)
        for P in range(1, 12):
            S = H[rng.permutation(n)[:P]]
            net, W = Associator.hebb(S, modified=rule == "modified"), S.T @ S
            for s in S:
                held = s[:, None] * s * W
                if rule == "modified":
                    np.fill_diagonal(held, -n)
                small = (held < (n if rule == "hebb" else n - P) / 2).all(axis=1)
                flipped = s * (1 - 2 * np.eye(n, dtype=int))
                np.testing.assert_array_equal((net.recall(flipped) == s).all(axis=1), small)
                assert small.all() or n / P <= (2 if rule == "hebb" else 3)

    def test_with_many_random_patterns_the_matrix_comes_near_to_the_identity(self):
        """Off the diagonal W / P is a mean of P signs: 4.5 standard deviations are met by none of 190."""
        rng = np.random.default_rng(0)
        for P in (100, 10_000):
            W = Associator.hebb(rng.choice([-1, 1], (P, 20))).W / P
            np.testing.assert_array_equal(W.diagonal(), 1)
            assert 1 / np.sqrt(P) < np.abs(W - np.eye(20)).max() < 4.5 / np.sqrt(P)

    def test_what_lies_in_the_null_space_changes_nothing_at_any_size(self):
        H = hadamard(8)
        S, away = H[:3], H[6]
        plain, modified = Associator.hebb(S), Associator.hebb(S, modified=True)
        np.testing.assert_array_equal(plain.recall(S[1] + 100 * away), S[1])
        np.testing.assert_array_equal(modified.recall(S[1] + 1.66 * away), S[1])
        assert (modified.recall(S[1] + 1.67 * away) != S[1]).any()

    def test_a_hetero_net_has_no_diagonal_to_modify_and_nothing_to_keep(self):
        with pytest.raises(ValueError, match="only auto-association has one"):
            Associator.hebb(*TWO, modified=True)
        with pytest.raises(ValueError, match="an output unit of a hetero-associator was nothing"):
            Associator.hebb(*TWO, ties="keep")

    def test_keep_leaves_a_unit_what_it_was(self):
        np.testing.assert_array_equal(Associator.hebb(ONE, ties="keep").recall([-1, -1, 1, -1]), [-1, -1, 1, -1])


class TestRecurrent:
    @pytest.mark.parametrize("unit", range(4))
    def test_one_component_alone_takes_two_steps_by_rule_zero_and_one_by_keep(self, unit):
        cue = np.eye(4)[unit] * ONE
        run = RecurrentAssociator.hebb(ONE, ties="zero").run(cue)
        np.testing.assert_array_equal(run.states[1], np.array(ONE) * (np.arange(4) != unit))
        np.testing.assert_array_equal(run.states[2], ONE)
        assert (len(run), run.outcome, run.period) == (3, "stored", 1)
        kept = RecurrentAssociator.hebb(ONE, ties="keep").run(cue)
        np.testing.assert_array_equal(kept.states, [cue, ONE])

    @pytest.mark.parametrize("ties", ["zero", "keep"])
    def test_three_mistakes_end_at_the_negative_which_is_not_stored(self, ties):
        net = RecurrentAssociator.hebb(ONE, ties=ties)
        run = net.run([-1, -1, 1, 1])
        np.testing.assert_array_equal(np.asarray(run), [[-1, -1, 1, 1], [-1, -1, -1, 1], [-1, -1, -1, 1]])
        assert (run.outcome, run.period) == (net.outcome, net.period) == ("fixed", 1)

    def test_all_bipolar_cues(self):
        net = RecurrentAssociator.hebb(ONE, ties="keep")
        ends = {"stored": 0, "fixed": 0, "cycle": 0}
        for cue in itertools.product((-1, 1), repeat=4):
            run = net.run(cue)
            ends[run.outcome] += 1
            if run.outcome == "cycle":
                assert run.period == 2
                np.testing.assert_array_equal(run.states, [cue, np.negative(cue), cue])
            elif run.outcome == "fixed":
                np.testing.assert_array_equal(run[-1], np.negative(ONE))
        assert ends == {"stored": 5, "fixed": 5, "cycle": 6}

    def test_all_at_once_may_cycle_for_ever(self):
        run = RecurrentAssociator(np.array([[0, 1], [1, 0]]), [[1, 1]]).run([1, -1])
        assert (run.outcome, run.period) == ("cycle", 2)

    @given(arrays(float, (5, 5), elements=st.integers(-4, 4)), arrays(float, 5, elements=st.integers(-1, 1)))
    def test_with_symmetric_weights_the_period_is_one_or_two(self, A, x):
        """Goles & Olivos (1980), by either rule for ties."""
        for ties in ("zero", "keep"):
            run = RecurrentAssociator(A + A.T, np.ones((1, 5)), ties).run(x)
            assert run.outcome == "stored" or run.period in (1, 2)

    def test_the_limit_is_said(self):
        run = RecurrentAssociator.hebb(ONE).run([1, 0, 0, 0], limit=1)
        assert (run.outcome, run.period, len(run)) == ("limit", None, 2)
        assert "still changing" in run.outcome.message

    def test_without_a_run_there_is_no_outcome(self):
        with pytest.raises(ValueError, match=r"call run\(x\) first"):
            _ = RecurrentAssociator.hebb(ONE).outcome


class TestLinear:
    F, G = np.array([[1, 2, 2], [2, 1, -2], [2, -2, 1.0]]), np.array([[1, 0], [0, 1], [1, -1.0]])

    def test_orthogonal_keys_are_recalled_up_to_eta_times_their_square(self):
        net = LinearAssociator.hebb(self.F, self.G, eta=0.5)
        np.testing.assert_array_equal(net.A, [[1.5, 0, 1.5], [0, 1.5, -1.5]])
        np.testing.assert_array_equal(net.recall(self.F), 4.5 * self.G)
        np.testing.assert_array_equal(net.gains(), [4.5] * 3)
        assert not net.crosstalk().any()

    def test_crosstalk_is_what_other_keys_add(self):
        F, G = [[1, 0], [1, 1]], [[1, 0], [0, 1]]
        net = LinearAssociator.hebb(F, G)
        np.testing.assert_array_equal(net.A, [[1, 0], [1, 1]])
        np.testing.assert_array_equal(net.recall(F), [[1, 1], [1, 2]])
        np.testing.assert_array_equal(net.crosstalk(), [[0, 1], [1, 0]])
        np.testing.assert_allclose(LinearAssociator.pseudo_inverse(F, G).recall(F), G, atol=1e-14)

    def test_hebb_in_time_is_the_matrix_exponential(self):
        W0, x = np.array([[0.1, -0.2], [0.3, 0.05]]), np.array([1.0, 2.0])
        W, y = hebb_in_time(W0, x, 0.3)
        np.testing.assert_allclose(W, [[-0.1089013442, -0.6178026884], [0.5785351256, 0.6070702513]], atol=1e-10)
        np.testing.assert_allclose(y, [-1.3445067211, 1.7926756281], atol=1e-10)
        np.testing.assert_allclose(W, W0 @ expm(0.3 * np.outer(x, x)), atol=1e-13)

    @pytest.mark.filterwarnings("error")
    def test_hebb_in_time_at_its_extremes(self):
        """Where W0 x = 0 nothing changes ever; back in time W loses W0 x x^T / |x|^2; what overflows is refused."""
        for W0, x in (([[0, 0]], [1, 1]), ([[1, -1]], [1, 1]), ([[1, 2]], [0, 0])):
            W, y = hebb_in_time(W0, x, 1e308)
            np.testing.assert_array_equal(W, W0)
            np.testing.assert_array_equal(y, [0])
        for size in (1, 1e200):
            np.testing.assert_array_equal(hebb_in_time([[1, 2]], [size, 0], -1000)[0], [[0, 2]])
            with pytest.raises(ValueError, match="t is 1000, and by then W or W x is beyond what float64 holds"):
                hebb_in_time([[0, 0], [1, 2]], [size, 0], 1000)

    def test_hebb_in_time_is_the_limit_of_small_updates(self):
        W, x = np.array([[0.1, -0.2], [0.3, 0.05]]), np.array([1.0, 2.0])
        expected = hebb_in_time(W, x, 0.3)[0]
        for _ in range(3000):
            W = W + 1e-4 * np.outer(W @ x, x)
        assert 1e-5 < np.abs(W - expected).max() < 3e-4

    def test_weights_of_zero_stay_zero(self):
        W, y = hebb_in_time(np.zeros((2, 2)), [1, 2], 5.0)
        assert not W.any()
        assert not y.any()

    @pytest.mark.parametrize(
        ("w", "case", "after_60"),
        [
            (0.5, "DECAYS", 1.0),
            (-0.5, "DECAYS", -1 / 3),
            (1, "LINEAR", 60.0),
            (-1, "ALTERNATES", 0.0),
            (2, "EXPONENTIAL", 2.0**61 - 2),
            (-2, "EXPONENTIAL_ALTERNATING", (2.0**61 - 2) / 3),
        ],
    )
    def test_the_cases_of_linear_feedback(self, w, case, after_60):
        """Under x = 1 from rest y(n) = w + w^2 + ... + w^n."""
        y = torch.zeros(1, 1, dtype=torch.float64)
        for _ in range(60):
            y = y + linear_feedback(w).velocity(y, torch.ones_like(y))
        assert feedback_case(w) is Feedback[case]
        assert float(y) == pytest.approx(after_60, rel=1e-12, abs=1e-12)

    def test_linear_feedback_rests_where_it_should(self):
        points = find_fixed_points(linear_feedback(0.5), [[0.0]], [3.0], closure=False, workers=1)
        np.testing.assert_allclose(points.states, [[3.0]], atol=1e-12)  # 0.5 (3 + 3)
        assert points.stability.tolist() == ["stable node"]

    def test_storage_ratio(self):
        assert storage_ratio(30, 10) == 0.75


BAD = [
    ([[1, -1], [1]], "rows of one length"),
    ([], r"shape .*0.*; give S as \(P, n\)"),
    ([[1, 2]], r"hold 1, 2; patterns of this net hold"),
    ([[1, 0, -1]], r"hold -1, 0, 1; patterns of this net hold"),
    ([[1, float("nan")]], r"hold 1, nan; patterns of this net hold"),
    ([["a", "b"]], "not numbers"),
]


@pytest.mark.parametrize("name", ["associator", "recurrent", "hopfield", "polynomial"])
@pytest.mark.parametrize(("S", "message"), BAD, ids=range(len(BAD)))
def test_what_is_no_pattern_is_refused(name, S, message):
    with pytest.raises(ValueError, match=message):
        MEMORIES[name](S)


@pytest.mark.parametrize("name", ["associator", "linear", "bidirectional"])
def test_pairs_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match=r"there are 1 .* and 2"):
        MEMORIES[name]([[1, -1]], [[1], [-1]])


@pytest.mark.parametrize(
    "recall",
    [
        Associator.hebb(ONE).recall,
        RecurrentAssociator.hebb(ONE).run,
        Hopfield.hebb(ONE).run,
        lambda x: BidirectionalMemory.hebb(*TWO).run(x, [0, 0, 0]),
        LinearAssociator.hebb([ONE], [[1]]).recall,
    ],
)
def test_a_cue_with_nan_or_of_another_length_is_refused(recall):
    with pytest.raises(ValueError, match=r"NaN|finite numbers"):
        recall([1, float("nan"), 1, 1])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        recall([1, 1, 1])


def test_they_are_reached_from_the_package_itself():
    code = "import dynsys; print(dynsys.models.associative.Hopfield.hebb([1, -1]).W)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[[ 0. -1.]\n [-1.  0.]]\n"


def test_mistakes_and_missing_components_are_as_many_as_asked_for():
    rng = np.random.default_rng(0)
    s = rng.choice([-1.0, 1.0], 30)
    cue = disturbed(s, rng, mistakes=4, missing=7)
    assert ((cue == -s).sum(), (cue == 0).sum(), (cue == s).sum()) == (4, 7, 19)
    with pytest.raises(ValueError, match="mistakes is 20 and missing 20; the pattern has 30"):
        disturbed(s, rng, mistakes=20, missing=20)
