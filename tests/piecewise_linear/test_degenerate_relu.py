"""Networks of ReLUs with lines, planes and points on kinks, beside an enumeration over the rational numbers."""

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dynsys import find_fixed_points
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.recurrent.vanilla import RNN
from dynsys.piecewise_linear import regions
from dynsys.piecewise_linear.regions import search_regions


def loaded(name):
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


exact = loaded("degenerate_relu")


def assert_agree(found, truth):
    """The points, each within its bound, and the lines, planes, ... with their corners and rays."""
    points = [piece.corners[0] for piece in truth if not piece.dimension]
    flats = [piece for piece in truth if piece.dimension]
    assert found.complete
    assert len(found) == len(points)
    for point in points:
        (row,) = [i for i, x in enumerate(found.states.tolist()) if within(x, point, float(found.bound[i]))]
        assert found.certified[row]
    assert sorted(told(flat.dimension, flat.corners.tolist(), flat.rays.tolist()) for flat in found.flats) == sorted(
        told(piece.dimension, piece.corners, [unit(ray) for ray in piece.rays]) for piece in flats
    )


def within(x, point, bound):
    """Exactly, but for what is lost in a bound itself."""
    apart = sum((Fraction(a) - b) ** 2 for a, b in zip(x, point, strict=True))
    return apart <= (Fraction(bound) * (1 + Fraction(1, 10**9))) ** 2


def unit(ray):
    v = np.array([float(value) for value in ray])
    return v / np.linalg.norm(v)


def told(dimension, corners, rays):
    def listed(vectors):
        return sorted([round(float(value), 9) + 0.0 for value in v] for v in vectors)

    return dimension, listed(corners), listed(rays)


def test_every_nineteenth_network_of_two_units_has_the_points_and_lines_of_exact_arithmetic():
    networks = exact.all_of_two_units()
    assert len(networks) == 5625
    dimensions = set()
    for W, b in networks[::19]:
        truth = exact.fixed_points_exactly(W, b)
        dimensions |= {piece.dimension for piece in truth}
        assert_agree(search_regions(exact.rectified(W, b)), truth)
    assert dimensions == {0, 1}  # only the identity without drive has more


@pytest.mark.parametrize("enumerated", [True, False])
def test_random_degenerate_networks_have_the_points_and_lines_of_exact_arithmetic(monkeypatch, enumerated):
    """Of up to 5 units; with the proof by a tree, too, which small networks do without."""
    if not enumerated:
        monkeypatch.setattr(regions, "ENUMERATED", 0)
    dimensions = set()
    for W, b in exact.random_networks(90, seed=int(enumerated), largest=5):
        truth = exact.fixed_points_exactly(W, b)
        dimensions |= {piece.dimension for piece in truth}
        assert_agree(search_regions(exact.rectified(W, b)), truth)
    assert {0, 1, 2} <= dimensions


@st.composite
def scaled_networks(draw):
    """Weights of few halves, and rows in units that differ by up to 20 orders of magnitude."""
    n = draw(st.integers(1, 3))
    halves = st.integers(-3, 3).map(lambda k: k / 2)
    W = np.array(draw(st.lists(st.lists(halves, min_size=n, max_size=n), min_size=n, max_size=n)))
    b = np.array(draw(st.lists(halves, min_size=n, max_size=n)))
    size = 10.0 ** np.array(draw(st.lists(st.integers(-10, 10), min_size=n, max_size=n)))
    return size[:, None] * W, size * b


@settings(max_examples=60, deadline=None)
@given(scaled_networks())
def test_networks_of_very_different_units_are_as_exact_arithmetic_has_them_or_not_called_complete(network):
    found = search_regions(exact.rectified(*network))
    truth = exact.fixed_points_exactly(*network)
    if found.complete:
        points = [piece.corners[0] for piece in truth if not piece.dimension]
        assert len(found) == len(points)
        assert all(
            any(within(x, point, float(bound)) for point in points)
            for x, bound in zip(found.states.tolist(), found.bound, strict=True)
        )
        assert sorted(flat.dimension for flat in found.flats) == sorted(p.dimension for p in truth if p.dimension)


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity])
def test_flows_have_the_points_and_lines_of_their_map(kind):
    """-r + max(W r + b, 0) = 0 has those of the map, and -x + W max(x, 0) + b = 0 has x = W h + b for each h of it."""
    for W, b in exact.random_networks(40, seed=7, largest=4):
        truth = exact.fixed_points_exactly(W, b)
        found = search_regions(kind(W, b=b, activation="relu"))
        assert found.complete
        assert len(found) == sum(not piece.dimension for piece in truth)
        assert sorted(flat.dimension for flat in found.flats) == sorted(p.dimension for p in truth if p.dimension)
        h = np.array([[float(value) for value in p.corners[0]] for p in truth if not p.dimension]).reshape(-1, len(b))
        x = h if kind is LeakyActivity else h @ W.T + b
        assert all(np.abs(found.states.numpy() - each).max(1).min() <= 1e-12 * (1 + np.abs(each).max()) for each in x)


def test_two_layers_that_do_nothing_have_a_quarter_plane():
    """h_0 = max(h_0, 0) below, h_1 = max(h_1 + h_0 - h_0, 0) above, which sees h_0 and takes it off again."""
    arrays = {
        "weight_ih_l0": [[0.0]],
        "weight_hh_l0": [[1.0]],
        "weight_ih_l1": [[0.0]],
        "weight_hh_l1": [[1.0]],
    }
    found = search_regions(RNN({key: np.array(value) for key, value in arrays.items()}, nonlinearity="relu"))
    (flat,) = found.flats
    assert found.complete
    assert told(flat.dimension, flat.corners.tolist(), flat.rays.tolist()) == told(2, [[0, 0]], [[0, 1], [1, 0]])


# -- what a search says


def searched(W, b, **options):
    network = exact.rectified(np.array(W, dtype=float), np.array(b, dtype=float))
    return find_fixed_points(network, n_starts=8, slow_q=0.0, **options)


def isolated(points):
    return sorted(points.states[(points.verdict == "fixed") & (points.manifold < 0)].tolist())


def test_a_segment_between_two_regions_is_not_lost():
    """h_0 + h_1 = 1 with h >= 0: W has the eigenvalue 1 along it and 3 across, where 0 is stable."""
    points = searched([[2, 1], [1, 2]], [-1, -1])
    (line,) = points.manifolds
    assert isolated(points) == [[0.0, 0.0]]
    assert (line["kind"], line["n_unstable"], line["leading_eigenvalue"]) == ("segment", 1, [3.0, 0.0])
    assert sorted(line["corners"]) == [[0.0, 1.0], [1.0, 0.0]]
    assert line["extent"] == pytest.approx(2**0.5, rel=1e-12)
    assert points.search.complete
    assert (
        points.search.missing["sentence"]
        == "Complete: 1 isolated point and 1 line of points known, and every region was solved."
    )


def test_an_untrained_network_of_the_identity_with_one_negative_bias_has_a_quarter_plane():
    points = searched(np.eye(3), [-1, 0, 0])
    (plane,) = points.manifolds
    assert (plane["kind"], plane["dimension"], plane["n_unstable"]) == ("sector", 2, 0)
    assert (plane["corners"], plane["rays"]) == ([[0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert isolated(points) == []
    assert (points.manifold == 0).all()
    assert (points.n_unstable == 0).all()
    assert plane["sentence"] == (
        "a sector of marginal fixed points, which goes on for ever, no unstable direction across it"
    )


@pytest.mark.parametrize("n", [20, 64])
def test_an_untrained_network_of_the_identity_is_one_orthant_of_points_and_one_region(n):
    found = search_regions(exact.rectified(np.eye(n), np.zeros(n)))
    assert found.complete
    assert len(found) == 0
    assert [flat.dimension for flat in found.flats] == [n]
    assert found.nodes < 10


def test_a_line_that_bends_at_a_kink_is_two_and_none_of_them_is_lost():
    """h_0 = max(1 - h_0 - h_1, 0) with h_1 >= 0: (1 - h_1) / 2 up to h_1 = 1, and 0 beyond."""
    points = searched([[-1, -1], [0, 1]], [1, 0])
    assert sorted(line["kind"] for line in points.manifolds) == ["half-line", "segment"]
    assert isolated(points) == []


def test_a_line_on_a_kink_is_judged_on_both_sides_of_it():
    """h_1 = max(2 h_1, 0) leaves 0 to one side, all along the half-line h_0 >= 0."""
    (line,) = searched(np.diag([1, 2]), [0, 0]).manifolds
    assert line["n_unstable"] == 1
    assert "0 to 1 unstable directions across it, by the side of its kinks" in line["sentence"]


@pytest.mark.parametrize(
    ("W", "b", "points"),
    [
        ([[0.9999999999]], [1.0], [[1 / (1 - Fraction(0.9999999999))]]),
        ([[2.0, 0.0], [0.0, 3.0]], [-1e10, -1e-10], [[x, y] for x in (0, 10**10) for y in (0, Fraction(1e-10) / 2)]),
        ([[1 - 2.0**-40]], [1.0], [[2**40]]),
    ],
)
def test_points_far_out_and_next_to_each_other_are_all_found(W, b, points):
    found = searched(W, b)
    assert found.search.complete
    fixed = isolated(found)
    assert len(fixed) == len(points)
    for x, point in zip(fixed, sorted(points), strict=True):
        assert x == pytest.approx([float(value) for value in point], rel=1e-12, abs=0)


@pytest.mark.parametrize("slow", [1e-9, 1e-10, 1e-11])
def test_slow_integrators_have_their_point(slow):
    """Two units that integrate, all but ``slow`` of what they hold, and leak into each other."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        c, b = rng.uniform(0.1, 0.9), rng.uniform(0.1, 1.0, 2)
        W = np.array([[1 - slow - c, c], [c, 1 - slow - c]])
        truth = exact.fixed_points_exactly(W, b)
        assert_agree(search_regions(exact.rectified(W, b)), truth)
        assert len(truth) == 1


def test_a_line_of_rounding_is_found_and_not_called_complete():
    """0.1 + 0.9 is not 1 in the numbers that float64 has for them: there is one point, and to rounding a line."""
    points = searched([[0.1, 0.9], [0.9, 0.1]], [0, 0])
    assert not points.search.complete
    assert [line["dimension"] for line in points.manifolds] == [1]
    assert any("singular to within rounding" in what for what in points.search.left_out)


def test_a_state_beyond_float64_is_not_passed_over():
    """h = max((1 - 2^-53) h + b, 0) = 2^53 b, which is more than 1.8e308."""
    found = search_regions(exact.rectified(np.array([[1 - 2.0**-53]]), np.array([1e300])))
    assert not found.complete
    assert len(found) == 0


def test_all_states_that_come_back_after_two_steps_are_a_segment():
    """h' = max(1 - h, 0) turns [0, 1] about 1/2."""
    points = searched([[-1]], [1], period=2)
    (line,) = points.manifolds
    assert (line["kind"], sorted(line["corners"])) == ("segment", [[0.0], [1.0]])
    assert isolated(points) == []
    assert points.search.missing["sentence"] == (
        "Of the points of cycles of period 2: Complete: 1 line of points known, and every region was solved."
    )


def test_the_benchmark_runs_at_toy_size():
    result = CliRunner().invoke(exact.main, ["--stride", "800", "--random", "3"])
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.output.splitlines()[2:]]
    assert [row[0] for row in rows] == ["all of 2 units", "random, 2 to 7 units"]
    assert [(row[1], row[3], row[5]) for row in rows] == [("8", "8", "0"), ("3", "3", "0")]
