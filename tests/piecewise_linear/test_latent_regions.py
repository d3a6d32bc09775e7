"""Networks of ReLUs of low rank, region by region in the latent variables, beside enumerations over the rationals."""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.low_rank import LowRank
from dynsys.models.recurrent.vanilla import RNN
from dynsys.piecewise_linear.hinged import hinged_activity
from dynsys.piecewise_linear.latent import cover
from dynsys.piecewise_linear.latent.search import search_latent_regions
from dynsys.proof.functions.elementary import RECTIFIER
from dynsys.proof.latent_boxes import search_boxes
from dynsys.systems.latent import Latent

NO_INPUT = torch.zeros(1, 0, dtype=torch.float64)


def beside(name, folder):
    path = Path(__file__).parents[2] / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"latent_regions_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


exact = beside("degenerate_relu", "benchmarks")
agreement = beside("test_degenerate_relu", "tests/piecewise_linear")


def of_rates(M, N, b):
    """h' = max(M N^T h + b, 0), searched in its latent variables."""
    latent = Latent(torch.tensor(M), torch.tensor(N), (torch.tensor(b),), RECTIFIER, of_rates=True)
    return search_latent_regions(latent, hinged_activity(torch.tensor(M @ N.T), (torch.tensor(b),)))


def of_network(network):
    return search_latent_regions(network.latent(NO_INPUT), network.pieces(NO_INPUT))


def degenerate(seed):
    """Halves: kinks that meet, units alike, units without weights, no drive, regions that are singular."""
    rng = np.random.default_rng(seed)
    n, r = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    M, N, b = rng.integers(-2, 3, (n, r)) / 2, rng.integers(-2, 3, (n, r)) / 2, rng.integers(-2, 3, n) / 2
    if seed % 5 == 1:
        b = 0 * b
    elif seed % 5 == 2:
        M[rng.random((n, r)) < 0.5] = 0.0
    elif seed % 5 == 3 and n > 1:
        M[n // 2 :], b[n // 2 :] = M[: n - n // 2], b[: n - n // 2]
    elif seed % 5 == 4:
        N, b = (np.linalg.pinv(M).T * 4).round() / 4, np.where(rng.random(n) < 0.6, 0.0, b)
    return M, N, b


def test_degenerate_networks_have_the_points_lines_and_planes_of_exact_arithmetic():
    dimensions = set()
    planes = np.eye(3), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0.5]]), np.array([0.0, 0.0, 1.0])
    for M, N, b in [planes, *map(degenerate, range(30))]:
        truth = exact.fixed_points_exactly(M @ N.T, b)
        agreement.assert_agree(of_rates(M, N, b), truth)
        dimensions |= {piece.dimension for piece in truth}
    assert {0, 1, 2} <= dimensions


def test_zeros_in_which_kinks_meet_are_found_where_no_side_of_a_kink_is_tried_alone(monkeypatch):
    monkeypatch.setattr(cover, "FEW", 0)
    for seed in (1, 6, 11, 16, 21, 26):  # without a drive, all kinks meet in 0
        M, N, b = degenerate(seed)
        agreement.assert_agree(of_rates(M[:, :2], N[:, :2], b), exact.fixed_points_exactly(M[:, :2] @ N[:, :2].T, b))


def crossings(m, n, c):
    """The solutions k of k = sum n max(m k + c, 0), one unknown, between all kinks in turn."""
    kinks = np.sort(np.concatenate([[-np.inf], -c / m, [np.inf]]))
    found = []
    for low, high in itertools.pairwise(kinks):
        middle = np.clip(0, low + 1, high - 1) if np.isinf(low) or np.isinf(high) else (low + high) / 2
        on = m * middle + c > 0
        k = (n[on] @ c[on]) / (1 - n[on] @ m[on])
        if low < k < high:
            found.append(k)
    return np.array(found)


def test_units_that_see_one_latent_variable_each_have_as_many_points_as_the_product():
    rng = np.random.default_rng(41)
    n = 300
    m, c = rng.standard_normal(n), rng.standard_normal(n)
    weights = 2.5 * rng.standard_normal(n) / np.sqrt(n)
    of_first = np.arange(n) % 2 == 0
    M, N = np.stack([m * of_first, m * ~of_first], 1), np.stack([weights * of_first, weights * ~of_first], 1)
    first, second = (crossings(m[some], weights[some], c[some]) for some in (of_first, ~of_first))
    network = LowRank(M, N, "relu", bias=c)
    found = of_network(network)
    assert found.complete
    assert len(found) == len(first) * len(second) > 1
    kappa = torch.relu(found.states) @ network.N
    expected = np.array([(a, b) for a in first for b in second])
    assert np.abs(kappa.numpy()[:, None] - expected).max(2).min(0).max() < 1e-9


def points_of(kind, M, N, b):
    if kind is RNN:
        return RNN(
            {"weight_ih_l0": np.zeros((len(b), 1)), "weight_hh_l0": M @ N.T, "bias_ih_l0": b}, nonlinearity="relu"
        )
    return kind(M @ N.T, b=b, activation="relu")


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity, RNN])
def test_whole_weights_of_low_rank_take_the_same_road_by_themselves(kind):
    rng = np.random.default_rng(69)  # four points
    M, N, b = rng.standard_normal((80, 2)), 1.7 * rng.standard_normal((80, 2)) / np.sqrt(80), rng.standard_normal(80)
    known = of_network(LowRank(M, N, "relu", bias=b))
    points = dynsys.find_fixed_points(points_of(kind, M, N, b), n_starts=16)
    expected = known.states if kind is LeakyRate else torch.relu(known.states)
    assert known.complete
    assert points.search.complete
    assert len(points) == len(known)
    assert np.linalg.norm(points.states[:, None] - expected.numpy(), axis=2).min(1).max(initial=0.0) < 1e-9
    assert points.certified.all()


def test_without_a_drive_0_is_the_only_point_of_hundreds_of_units_whose_kinks_all_meet_there():
    rng = np.random.default_rng(0)
    M = rng.standard_normal((300, 2))
    found = of_network(LowRank(M, -M / 300, "relu"))  # x . F < 0 in the latent variables
    assert found.complete
    assert found.states.tolist() == [[0.0] * 300]
    assert bool(found.kinks.all())
    weights = LeakyRate(-M @ M.T / 300, activation="relu")
    assert of_network(weights).complete


def test_a_half_line_of_points_is_proved_and_told():
    M, N = np.array([[1.0], [0.5], [-1.0]]), np.array([[0.5], [1.0], [0.0]])  # kappa = kappa above 0
    points = dynsys.find_fixed_points(LowRank(M, N, "relu"), n_starts=16)
    assert points.search.complete
    (line,) = points.manifolds
    assert line["kind"] == "half-line"
    assert np.allclose(np.abs(line["rays"][0]), np.array([2, 1, 2]) / 3)


def test_boxes_for_smooth_units_and_regions_for_relus_refuse_each_other():
    smooth, rectified = LowRank([[1.0]], [[1.0]]), LowRank([[1.0]], [[1.0]], "relu")
    with pytest.raises(ValueError, match="smooth units"):
        search_latent_regions(smooth.latent(NO_INPUT), rectified.pieces(NO_INPUT))
    with pytest.raises(ValueError, match="ReLUs"):
        search_boxes(rectified.latent(NO_INPUT))
