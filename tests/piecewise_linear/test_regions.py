"""Fixed points and cycles of ReLU networks, against plain enumeration of every region."""

import importlib.util
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn.functional import pad

from dynsys import Flow, System, find_fixed_points
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.vanilla import RNN
from dynsys.piecewise_linear.exact.contradictions import Problem
from dynsys.piecewise_linear.kinks import one_sided_jacobians, stability_at_kink
from dynsys.piecewise_linear.regions import search_regions
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind

DOUBLE = torch.float64


def rnn(W, b):
    """h' = max(W h + b, 0) as a trained network is given."""
    return RNN({"weight_ih_l0": np.zeros((len(W), 1)), "weight_hh_l0": W, "bias_ih_l0": b}, nonlinearity="relu")


def enumerated(W, b):
    """All h = max(W h + b, 0), from the 2^n regions: h = S (W h + b) solved, kept if the signs are right."""
    n, found = len(b), []
    for bits in itertools.product([0.0, 1.0], repeat=n):
        S = np.diag(bits)
        h = np.linalg.solve(np.eye(n) - S @ W, S @ b)
        y = W @ h + b
        if ((y > 0) == (np.array(bits) > 0)).all():
            found.append(h)
    return np.array(found).reshape(-1, n)


def enumerated_cycles(W, b, k):
    """All points of cycles of least period k, from every sequence of k patterns, in batches."""
    n, found = len(b), []
    sequences = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    for first in itertools.product(range(2**n), repeat=max(0, k - 2)):
        indices = np.stack(np.meshgrid(np.arange(2**n), np.arange(2**n), indexing="ij"), -1).reshape(-1, 2)
        s = np.concatenate(
            [np.tile(sequences[list(first)].reshape(1, -1, n), (len(indices), 1, 1)), sequences[indices]], 1
        )
        M, c = np.tile(np.eye(n), (len(s), 1, 1)), np.zeros((len(s), n))
        for j in range(k):
            M, c = s[:, j, :, None] * (W @ M), s[:, j] * (c @ W.T + b)
        singular = np.abs(np.linalg.det(np.eye(n) - M)) < 1e-12
        M[singular] = 0.0
        x = np.linalg.solve(np.eye(n) - M, c[:, :, None])[:, :, 0]
        right, h, orbit = ~singular, x, [x]
        for j in range(k):
            y = h @ W.T + b
            right &= ((y > 0) == (s[:, j] > 0)).all(1)
            h = np.maximum(y, 0)
            orbit.append(h)
        for d in range(1, k):
            right &= (np.abs(orbit[d] - x).max(1) > 1e-9) | bool(k % d)
        found.append(x[right])
    return np.concatenate(found)


def assert_same_points(found, expected, atol=1e-9):
    """Each of one is one of the other, and none is there twice."""
    assert found.shape == expected.shape
    if len(expected):
        apart = np.abs(found[:, None] - expected[None]).max(2)
        nearest = apart.argmin(1)
        assert (apart.min(1) <= atol * (1 + np.abs(expected).max())).all()
        assert sorted(nearest) == list(range(len(expected)))


def random_network(n, gain, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n)) * gain / np.sqrt(n), rng.standard_normal(n)


def bistable_network(n, seed):
    """Units with h = max(2 h - 1, 0), two fixed points each, coupled weakly: up to 2^n fixed points."""
    rng = np.random.default_rng(seed)
    return 2 * np.eye(n) + rng.standard_normal((n, n)) * 0.35 / np.sqrt(n), -1 + 0.1 * rng.standard_normal(n)


def identity_like_network(n, seed):
    """An IRNN after some training: the identity and small random weights."""
    rng = np.random.default_rng(seed)
    return np.eye(n) + rng.standard_normal((n, n)) * 0.3 / np.sqrt(n), 0.2 * rng.standard_normal(n)


NETWORKS = [
    *(
        (f"random n={n} gain={gain} seed={seed}", *random_network(n, gain, seed))
        for n, gain in ((6, 1.5), (7, 3.0), (9, 2.0), (12, 3.0))
        for seed in range(4)
    ),
    *((f"bistable n={n} seed={seed}", *bistable_network(n, seed)) for n in (6, 8, 10) for seed in range(2)),
    *((f"identity-like n={n} seed={seed}", *identity_like_network(n, seed)) for n in (6, 10) for seed in range(4)),
]


@pytest.mark.parametrize(("W", "b"), [network[1:] for network in NETWORKS], ids=[network[0] for network in NETWORKS])
def test_fixed_points_are_those_of_all_regions_enumerated(W, b):
    found, expected = search_regions(rnn(W, b)), enumerated(W, b)
    assert found.complete
    assert found.left_out == ""
    assert_same_points(found.states.numpy(), expected)
    assert found.certified.all()
    assert (found.bound < 1e-13 * (1 + found.states.abs().sum(1))).all()


def test_the_networks_enumerated_have_points_to_be_missed():
    counts = [len(enumerated(W, b)) for _, W, b in NETWORKS if len(b) <= 9]
    assert sum(count > 1 for count in counts) >= 6
    assert max(counts) >= 200


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity])
@pytest.mark.parametrize("seed", range(3))
def test_flows_have_the_points_of_their_map(kind, seed):
    """-x + W max(x, 0) + b = 0 and -r + max(W r + b, 0) = 0 have the points of the map, x = W r + b."""
    W, b = bistable_network(7, seed)
    r = enumerated(W, b)
    found = search_regions(kind(W, b=b, activation="relu", tau=10.0))
    assert found.complete
    assert_same_points(found.states.numpy(), r @ W.T + b if kind is LeakyRate else r)


def test_two_layers_have_the_points_of_one_layer_with_their_units():
    """At a fixed point the upper layer sees h of the lower one, so that the two are one layer of both."""
    network = RNN.random(5, layers=2, seed=3, gain=3.0, nonlinearity="relu")
    u = torch.tensor([[0.7, -0.4]], dtype=DOUBLE)
    low, high = network.layers
    W, b = np.zeros((10, 10)), np.zeros(10)
    W[:5, :5], W[5:, 5:], W[5:, :5] = low.weight_hh, high.weight_hh, high.weight_ih
    b[:5] = low.bias_ih + low.bias_hh + low.weight_ih @ u[0]
    b[5:] = high.bias_ih + high.bias_hh
    found, expected = search_regions(network, u), enumerated(W, b)
    assert len(expected) > 0
    assert_same_points(found.states.numpy(), expected)


def tent_network(n, seed):
    """The tent map of slope 1.9, x = 1.9 (r_0 - 2 r_1) with r = max(x, 0) and max(x - 1/2, 0), and n - 2 more units."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((n, n)) * 0.25, rng.standard_normal(n)
    W[:2, :2] = [[1.9, -3.8], [1.9, -3.8]]
    b[:2] = 0.02, -0.48
    return W, b


CYCLES = [
    (n, k, seed) for n, k in ((2, 2), (2, 3), (2, 4), (3, 3), (3, 4), (4, 3), (5, 2), (5, 3)) for seed in (0, 1)
] + [(5, 4, 0)]


@pytest.mark.parametrize(("n", "k", "seed"), CYCLES)
def test_cycles_are_those_of_all_sequences_of_regions_enumerated(n, k, seed):
    W, b = tent_network(n, seed)
    found, expected = search_regions(rnn(W, b), period=k), enumerated_cycles(W, b, k)
    assert found.complete
    assert_same_points(found.states.numpy(), expected)
    following = np.maximum(found.states.numpy() @ W.T + b, 0)
    for orbit in range(len(found) // k):
        rows = (found.orbit == orbit).nonzero().squeeze(1).numpy()
        assert len(rows) == k
        np.testing.assert_allclose(following[rows], found.states.numpy()[np.roll(rows, -1)], atol=1e-9)


def test_the_tent_map_has_2_6_and_12_points_of_periods_2_3_and_4():
    """F^k has 2^k fixed points, from which those of the divisors go; at slope 2 it needs its two units only."""
    tent = rnn([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    found = {k: search_regions(tent, period=k) for k in (1, 2, 3, 4)}
    assert all(search.complete for search in found.values())
    assert {k: len(search) for k, search in found.items()} == {1: 2, 2: 2, 3: 6, 4: 12}
    x = 2 * found[3].states[:, 0] - 4 * found[3].states[:, 1]
    np.testing.assert_allclose(np.sort(x), [2 / 9, 2 / 7, 4 / 9, 4 / 7, 6 / 7, 8 / 9], atol=1e-12)


def half_bistable_network(n, k, seed):
    """k bistable units and n - k others, all coupled."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((n, n)) * 0.5 / np.sqrt(n), rng.standard_normal(n)
    W[:k, :k] *= 0.5
    W[:k, k:] *= 0.3
    W[range(k), range(k)] = 2.0
    b[:k] = -1.0
    return W, b


def union_of_many_starts(W, b, starts, seed):
    """From random regions to the region of the solution, 30 times; every solution that lies in its own, each once."""
    rng, n = np.random.default_rng(seed), len(b)
    s = rng.random((starts, n)) < rng.random((starts, 1))
    found = {}
    for _ in range(30):
        h = np.linalg.solve(np.eye(n) - s[:, :, None] * W, (s * b)[:, :, None])[:, :, 0]
        following = h @ W.T + b > 0
        for pattern, point in zip(s, h, strict=True):
            if ((W @ point + b > 0) == pattern).all():
                found[pattern.tobytes()] = point
        s = following
    return np.array(list(found.values())).reshape(-1, n)


@pytest.mark.parametrize(("n", "k"), [(20, 6), (40, 3)])
def test_going_from_region_to_region_finds_what_a_long_union_of_starts_finds(n, k):
    W, b = half_bistable_network(n, k, seed=0)
    found = search_regions(rnn(W, b), prove=False)
    assert not found.complete
    assert found.left_out.startswith(f"none of 2^{n} regions was excluded by a proof")
    assert found.certified.all()
    expected = union_of_many_starts(W, b, 1500, seed=1)
    assert len(expected) == 2**k
    assert_same_points(found.states.numpy(), expected)


def test_twenty_units_are_proved_complete():
    W, b = half_bistable_network(20, 6, seed=0)
    found = search_regions(rnn(W, b))
    assert found.complete
    assert found.nodes < 2**20 / 100
    assert_same_points(found.states.numpy(), union_of_many_starts(W, b, 1500, seed=1))


def test_what_the_budget_left_out_is_said_first():
    W, b = half_bistable_network(20, 6, seed=0)
    found = search_regions(rnn(W, b), budget=300)
    assert not found.complete
    assert 0 < found.left < found.total == 2**20
    assert "of 2^20 regions were not excluded by a proof" in found.left_out
    assert "until the budget was used up" in found.left_out
    assert found.nodes <= 2 * 512 + 300
    whole = search_regions(rnn(W, b)).states
    assert 0 < len(found) <= len(whole)
    assert ((found.states[:, None] - whole).abs().amax(2).amin(1) < 1e-10).all()


@pytest.mark.parametrize("prove", [True, False])
def test_the_same_seed_gives_the_same_bits(prove):
    network = rnn(*half_bistable_network(16, 4, seed=0))
    a, b = (search_regions(network, prove=prove, seed=3) for _ in range(2))
    assert torch.equal(a.states, b.states)
    assert (a.nodes, a.solved, a.left_out) == (b.nodes, b.solved, b.left_out)


def test_given_states_are_where_the_way_begins():
    """Two bistable units among forty: a start at a memory leads to it at once."""
    W, b = half_bistable_network(40, 2, seed=1)
    memory = union_of_many_starts(W, b, 500, seed=0)[0]
    found = search_regions(rnn(W, b), prove=False, budget=1, starts=torch.as_tensor(memory).unsqueeze(0))
    assert_same_points(found.states.numpy(), memory[None])
    assert "until the budget was used up" in found.left_out


def test_the_bounds_hold_against_fifty_digits():
    import mpmath

    checked = 0
    with mpmath.workdps(50):
        for seed in range(6):
            W, b = bistable_network(6, seed)
            found = search_regions(rnn(W, b))
            for h, pattern, bound in zip(found.states, found.patterns, found.bound.tolist(), strict=True):
                S = mpmath.matrix(np.diag(pattern.double().numpy()).tolist())
                A = mpmath.eye(6) - S * mpmath.matrix(W.tolist())
                true = mpmath.lu_solve(A, S * mpmath.matrix(b.tolist()))
                assert mpmath.norm(true - mpmath.matrix(h.tolist())) <= bound
                checked += 1
    assert checked >= 200


# -- kinks


def at_a_kink(slope):
    """h_0 = max(slope h_0 + h_1 - 1, 0) and h_1 = 1: at h_0 = 0 the preactivation of unit 0 is exactly zero."""
    return rnn(np.array([[slope, 1.0], [0.0, 0.0]]), np.array([-1.0, 1.0]))


@pytest.mark.parametrize(("slope", "word"), [(0.5, "stable node"), (-0.5, "stable node"), (-3.0, "marginal")])
def test_a_point_on_a_kink_is_there_once_with_its_unit_and_its_one_sided_jacobians(slope, word):
    system = at_a_kink(slope)
    found = search_regions(system)
    np.testing.assert_allclose(found.states, [[0.0, 1.0]], atol=1e-14)
    assert found.kinks.tolist() == [[True, False]]
    assert found.certified.all()
    assert float(found.bound.max()) < 1e-12
    sides = one_sided_jacobians(system.pieces(torch.zeros(1, 1, dtype=DOUBLE)), found.patterns[0], found.kinks[0])
    one = np.eye(2)
    np.testing.assert_array_equal(sides.jacobians, [np.zeros((2, 2)) - one, np.array([[slope, 1.0], [0, 0]]) - one])
    judged = stability_at_kink(sides, Kind.MAP)
    assert (judged.word, judged.n_unstable) == (word, 0)


def test_where_two_points_meet_there_is_one_and_it_is_marginal():
    """With slope 1.5 and a little less drive there are two points, with a little more none."""
    system = at_a_kink(1.5)
    found = search_regions(system)
    assert found.states.tolist() == [[0.0, 1.0]]
    assert found.certified.all()
    assert found.bound.tolist() == [0.0]
    sides = one_sided_jacobians(system.pieces(torch.zeros(1, 1, dtype=DOUBLE)), found.patterns[0], found.kinks[0])
    assert stability_at_kink(sides, Kind.MAP).word == "marginal"
    below, above = (np.array([d, 1.0]) for d in (-1.01, -0.99))
    W = np.array([[1.5, 1.0], [0.0, 0.0]])
    assert (len(search_regions(rnn(W, below))), len(search_regions(rnn(W, above)))) == (2, 0)


def test_beyond_six_kinks_two_sides_are_looked_at_and_it_is_said():
    n = 8
    W = np.diag([0.5] * (n - 1) + [0.0])
    W[:-1, -1] = 1.0
    system = rnn(W, np.array([-1.0] * (n - 1) + [1.0]))
    found = search_regions(system)
    np.testing.assert_allclose(found.states, [[0.0] * (n - 1) + [1.0]], atol=1e-14)
    assert found.kinks.sum() == n - 1
    assert found.certified.all()  # as it is all that there is
    on_the_way = search_regions(system, prove=False)
    assert on_the_way.reasons == ["on the kinks of 7 units, too many to look at every side"]
    sides = one_sided_jacobians(system.pieces(torch.zeros(1, 1, dtype=DOUBLE)), found.patterns[0], found.kinks[0])
    assert not sides.all_of_them
    assert sorted(sides.patterns.sum(1).tolist()) == [1, n]
    assert stability_at_kink(sides, Kind.MAP).word == "stable node"


def test_without_drive_the_origin_is_the_point_on_all_kinks():
    network = SimpleRNN.random(9, gain=1.5, seed=0, activation="relu")
    found = search_regions(network)
    assert found.complete
    assert found.states.tolist() == [[0.0] * 9]
    assert found.kinks.all()
    assert found.certified.all()
    assert found.bound.tolist() == [0.0]


# -- regions in which the system is singular


@pytest.mark.parametrize("kind", [LeakyActivity, LeakyRate])
def test_identity_weights_give_a_whole_orthant_of_points(kind):
    found = search_regions(kind(np.eye(4), activation="relu"))
    assert found.complete
    assert len(found) == 0
    (flat,) = found.flats
    assert flat.dimension == 4
    assert (flat.x > 0.1).all()


def test_a_line_attractor_ends_at_a_kink():
    """h = max((h_0 + h_1) / 2 +- 0.3, 0) holds where h_0 - h_1 = 0.6, from (0.6, 0) on."""
    found = search_regions(rnn(np.full((2, 2), 0.5), np.array([0.3, -0.3])))
    assert len(found) == 0
    (flat,) = found.flats
    np.testing.assert_allclose(flat.directions.abs(), [[0.5**0.5, 0.5**0.5]])
    assert float(flat.x[0] - flat.x[1]) == pytest.approx(0.6)
    assert flat.x[1] > 0.01


def segment(length):
    """h_0 + h_1 = length with h >= 0 are the fixed points, beside a unit that is always 1."""
    W = np.array([[0.5, -0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    return rnn(W, np.array([length / 2, length / 2, 1.0]))


def test_a_segment_of_points_is_one_line_without_its_ends():
    found = search_regions(segment(1.0))
    assert len(found) == 0
    (flat,) = found.flats
    assert flat.dimension == 1
    np.testing.assert_allclose(flat.x, [0.5, 0.5, 1.0], atol=0.3)


def test_a_line_that_only_touches_its_region_is_one_point():
    found = search_regions(segment(0.0))
    assert found.flats == []
    np.testing.assert_allclose(found.states, [[0.0, 0.0, 1.0]], atol=1e-12)
    assert found.kinks.tolist() == [[True, True, False]]
    assert found.certified.all()
    assert found.bound.tolist() == [0.0]


def test_a_drift_along_a_line_has_no_point():
    found = search_regions(rnn(np.eye(3), np.ones(3)))
    assert found.complete
    assert len(found) == 0
    assert found.flats == []


def test_a_plane_beside_a_unit_that_decays():
    found = search_regions(rnn(np.diag([1.0, 1.0, 0.5]), np.array([0.0, 0.0, 1.0])))
    (flat,) = found.flats
    assert flat.dimension == 2
    assert float(flat.x[2]) == pytest.approx(2.0)
    np.testing.assert_allclose(flat.directions[:, 2], 0.0, atol=1e-12)


class Held(System):
    """h' = max(W h + b, 0) beside a variable that stays what it is."""

    kind, name = Kind.MAP, "held"

    def __init__(self, W, b):
        self.network = rnn(W, b)
        self.n_state = len(b) + 1

    def velocity(self, x, u):
        F = self.network.velocity(x[:, :-1], u.new_zeros(1, 1))
        return torch.cat([F, torch.zeros_like(x[:, :1])], 1)

    def pieces(self, u):
        inner = self.network.pieces(u.new_zeros(1, 1))
        A, B, C = pad(inner.A, (0, 1, 0, 1)), pad(inner.B, (0, 0, 0, 1)), pad(inner.C, (0, 1))
        return Pieces(A, B, pad(inner.c, (0, 1)), C, inner.D, inner.e)


def test_a_variable_that_nothing_moves_makes_every_point_a_line():
    W, b = random_network(6, 1.5, seed=1)
    expected = enumerated(W, b)
    found = search_regions(Held(W, b))
    assert found.complete
    assert len(found) == 0
    for flat in found.flats:
        np.testing.assert_allclose(flat.directions.abs(), [[0.0] * 6 + [1.0]], atol=1e-14)
    assert_same_points(np.array([flat.x[:6].numpy() for flat in found.flats]), expected)


def test_so_it_does_among_units_too_many_to_solve_every_region():
    W, b = half_bistable_network(16, 4, seed=0)
    found, alone = search_regions(Held(W, b)), search_regions(rnn(W, b))
    assert found.complete
    assert len(found) == 0
    assert len(alone) == 16
    assert_same_points(np.array([flat.x[:16].numpy() for flat in found.flats]), alone.states.numpy())
    found = search_regions(Held(W, b), budget=100)
    assert not found.complete
    assert "of 2^16 regions were not excluded by a proof" in found.left_out


# -- what the proof rests on


def test_regions_without_a_valid_contradiction_are_solved_one_by_one(monkeypatch):
    """As if no contradiction held: then nothing is excluded, and the points are the same."""
    W, b = random_network(9, 3.0, seed=1)
    expected = search_regions(rnn(W, b))
    monkeypatch.setattr(Problem, "reach", lambda self, nodes, row: (torch.zeros(len(row)).double(), row < 0))
    found = search_regions(rnn(W, b))
    assert found.complete
    assert found.solved > expected.solved
    assert torch.equal(found.states, expected.states)
    assert_same_points(found.states.numpy(), enumerated(W, b))
    W, b = random_network(14, 3.0, seed=1)
    found = search_regions(rnn(W, b))
    assert found.left > 0
    assert not found.complete


def test_a_contradiction_is_refused_where_its_multipliers_are_wrong(monkeypatch):
    """Multipliers that are off by a thousandth contradict nothing beyond the size of the drive."""
    original = Problem.__init__

    def inexact(self, equations):
        original(self, equations)
        self.left = 0.0  # nothing in whole numbers
        noise = torch.randn(self.inverse.shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
        self.inverse = self.inverse + 1e-3 * noise

    monkeypatch.setattr(Problem, "__init__", inexact)
    W, b = bistable_network(9, 0)
    found = search_regions(rnn(W, b))
    assert found.solved == 2**9
    assert_same_points(found.states.numpy(), enumerated(W, b))


# -- what is refused


def test_what_has_no_regions_or_no_period_is_refused():
    with pytest.raises(ValueError, match="is not piecewise linear"):
        search_regions(Flow(lambda x, u: -x, n_state=2))
    with pytest.raises(ValueError, match="only the points of a map have a period"):
        search_regions(LeakyRate(np.eye(2), activation="relu"), period=2)
    with pytest.raises(ValueError, match="budget is 0"):
        search_regions(rnn(np.eye(2), np.ones(2)), budget=0)


def test_progress_goes_up_to_the_end():
    told = []
    search_regions(
        rnn(*random_network(9, 2.0, 2)), progress=lambda stage, done, total: told.append((stage, done / total))
    )
    assert {stage for stage, _ in told} == {"regions"}
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_without_any_kink_there_is_one_region():
    """Units that nothing feeds are constant, and the system is affine."""
    found = search_regions(rnn(np.zeros((3, 3)), np.array([1.0, -1.0, 0.0])))
    assert found.complete
    assert found.states.tolist() == [[1.0, 0.0, 0.0]]
    assert not found.kinks.any()


@pytest.mark.parametrize("below", [1e-12, 1e-14, 1e-15, 2e-16, 0.0])
def test_two_points_are_told_apart_down_to_the_last_digit_and_are_one_where_they_meet(below):
    """h = max(1.5 h - d, 0) has the points 0 and 2 d, where d is ``below`` as float64 keeps it beside 1."""
    found = search_regions(rnn(np.array([[1.5, 1.0], [0.0, 0.0]]), np.array([-1.0 - below, 1.0])))
    d = -(1.0 + (-1.0 - below))
    true = np.unique([0.0, 2 * d])
    within = (np.abs(found.states[:, :1].numpy() - true) <= found.bound[:, None].numpy()).sum(1)
    assert (within[found.certified.numpy()] == 1).all()
    assert within.all()
    assert len(found) == (2 if d > 0 else 1)
    assert found.certified.all()


@pytest.mark.parametrize(
    ("W", "b", "exact"),
    [
        ([[2.0]], [-1e-16], [[0.0], [1e-16]]),
        ([[2.0, 0.0], [0.0, 0.5]], [-1e-15, 1.0], [[0.0, 2.0], [1e-15, 2.0]]),
    ],
)
def test_a_complete_list_has_both_of_two_points_nearer_than_rounding_of_a_state(W, b, exact):
    """h = max(2 h - e, 0) holds at 0 and at e alone."""
    points = find_fixed_points(rnn(np.array(W), np.array(b)))
    order = np.argsort(points.states[:, 0])
    assert len(points) == len(exact)
    for state, bound, truth in zip(points.states[order], points.error_bound[order], exact, strict=True):
        apart = [Fraction(value) - Fraction(wanted) for value, wanted in zip(state.tolist(), truth, strict=True)]
        assert sum(part**2 for part in apart) <= Fraction(float(bound)) ** 2
    assert points.certified.all()
    assert points.n_unstable[order].tolist() == [0, 1]
    assert points.search.missing["sentence"] == "Complete: 2 known, and every region was solved."


@pytest.mark.parametrize(
    ("W", "kind"), [(np.eye(1), "half-line"), (np.full((2, 2), 0.5), "half-line"), (np.eye(2), "sector")]
)
def test_the_origin_ends_the_line_of_points_of_a_network_without_drive(W, kind):
    """h = max(W h, 0) with W h = h for all h >= 0 along the diagonal, or for all h >= 0: 0 is on it, and on a kink."""
    points = find_fixed_points(rnn(W, np.zeros(len(W))))
    (line,) = points.manifolds
    assert (line["kind"], line["goes_on"]) == (kind, True)
    assert line["extent"] is None
    assert (line["corners"], len(line["rays"])) == ([[0.0] * len(W)], line["dimension"])
    assert (points.manifold == 0).all()
    assert points.states.min() >= 0
    if kind == "half-line":
        assert points.states.min() < 1e-15
    name = "line" if kind == "half-line" else "line or surface"
    assert points.search.missing["sentence"] == f"Complete: 1 {name} of points known, and every region was solved."


def test_the_benchmark_runs_at_toy_size():
    path = Path(__file__).parents[2] / "benchmarks" / "regions.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_regions", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    result = CliRunner().invoke(benchmark.main, ["--largest", "10", "--seeds", "1"])
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ") for line in result.output.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| random, g = 2", "| 4 bistable units", "| tent map, period 2"]
    assert [row[6] for row in rows] == ["1 of 1"] * 3
    assert rows[1][3] == "16"
