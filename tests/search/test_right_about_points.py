"""What a whole search says of systems known from mathematics: proofs, slow points, lines, rings, cycles, kinks."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from dynsys import FixedPoints, Flow, Map, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.vanilla import IRNN, RNN
from dynsys.result.summary import search_lines, summary


def search(system, **settings):
    return find_fixed_points(system, **{"n_starts": 64, "workers": 1, "seed": 0} | settings)


def flipping(units):
    """x' = -tanh(2 x) in every unit: each flips between +-a with a = tanh(2 a), and rests at 0, unstable."""
    weights = {"weight_ih_l0": np.zeros((units, 1)), "weight_hh_l0": -2.0 * np.eye(units)}
    return RNN(weights)


def test_a_slow_passage_is_one_slow_point_and_no_fixed_one():
    r = 1e-4
    points = search(Flow(lambda x, u: r + x**2, n_state=1, bounds=(-2, 2)))
    assert points.verdict.tolist() == ["slow"]
    assert points.states[0, 0] == pytest.approx(0.0, abs=1e-8)
    assert points.q[0] == pytest.approx(r**2 / 2, rel=1e-9)
    assert not points.active_bounds.any()
    assert any("only 1 slow point" in line for line in search_lines(points))


def test_a_map_that_always_moves_on_has_nothing():
    points = search(Map(lambda x, u: x + 1, n_state=1))
    assert len(points) == 0
    assert points.manifolds == ()


def test_an_eigenvalue_of_exactly_one_makes_one_line():
    A = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, -0.4]], dtype=torch.float64)
    points = search(Map(lambda x, u: x @ A.T, n_state=3))
    (line,) = points.manifolds
    assert (line["kind"], line["dimension"], line["n_unstable"]) == ("line", 1, 0)
    assert (points.manifold == 0).all()
    assert (points.stability == "marginal").all()
    direction = points.states[-1] - points.states[0]
    assert np.abs(direction[1:]).max() <= 1e-12 * np.abs(direction[0])  # (1, 0, 0) is the eigenvector


def test_a_ring_attractor_is_one_ring_on_which_trajectories_rest():
    points = search(Flow(lambda x, u: x * (1 - (x**2).sum(1, keepdim=True)), n_state=2, bounds=(-2, 2)))
    (ring,) = points.manifolds
    assert ring["kind"] == "ring"
    assert ring["extent"] == pytest.approx(2 * math.pi, rel=1e-6)
    assert np.allclose(np.linalg.norm(points.states[points.manifold == 0], axis=1), 1.0, atol=1e-12)
    (centre,) = np.flatnonzero(points.manifold < 0)
    assert points.stability[centre] == "unstable node"
    assert set(points.search.settling["not_settled"]) == {"rests where nothing draws it in"}


def test_at_a_fold_the_point_is_marginal_with_its_uncertainty():
    points = search(Flow(lambda x, u: x**2, n_state=1, bounds=(-2, 2)))
    (i,) = np.flatnonzero(points.verdict == "fixed")
    assert points.stability[i] == "marginal"
    assert not points.certified[i]
    assert np.isinf(points.error_bound[i])
    assert 0 < points.uncertainty[i] < 1e-6
    assert abs(points.states[i, 0]) <= points.uncertainty[i]


def test_a_network_of_the_project_is_proved_point_by_point():
    points = search(SimpleRNN(3 * np.eye(2)))
    a = brentq(lambda x: 3 * math.tanh(x) - x, 1.0, 4.0, xtol=1e-15)
    assert {tuple(x) for x in (points.states / a).round(9) + 0.0} == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert points.certified.all()
    assert set(points.reasons) == {""}
    assert points.error_bound.max() < 1e-10


def test_a_function_of_the_users_has_estimates_that_say_so():
    points = search(Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2)))
    assert len(points) == 3
    assert not points.certified.any()
    assert all("estimate" in reason for reason in points.reasons)


def test_without_verify_nothing_is_proved_and_nothing_followed():
    points = search(Bistable(1), verify=False)
    assert len(points) == 3
    assert not points.certified.any()
    assert points.search.settling is None


def test_memories_kept_in_cycles_are_named_in_the_summary():
    points = search(flipping(2))
    assert (points.n_unstable > 0).all()
    assert points.search.settling["sentence"] == (
        "None of the 64 trajectories settles at a point: its memories are 2 stable orbits of period 2 (all proved)."
    )
    assert any("--period 2" in line for line in search_lines(points))


def test_a_period_gives_whole_cycles_without_the_fixed_points():
    a = brentq(lambda x: math.tanh(2 * x) - x, 0.1, 1.0, xtol=1e-15)
    points = search(flipping(2), period=2)
    corners = {(-1, -1), (1, 1), (-1, 1), (1, -1)}
    stable = points[points.n_unstable == 0]
    assert {tuple(np.sign(x).astype(int)) for x in stable.states} == corners
    assert np.allclose(np.abs(stable.states), a, atol=1e-14)
    assert np.abs(points.states).max(axis=1).min() > 0.5  # the fixed point 0 is left out
    assert summary(points).startswith("4 cycles of period 2: 2 stable, 2 saddles with 1 unstable direction")
    for orbit in np.unique(points.orbit):
        first, second = points.states[points.orbit == orbit]
        assert np.allclose(-np.tanh(2 * first), second, atol=1e-14)


def test_a_flow_has_no_cycles_to_search_for():
    with pytest.raises(ValueError, match="is a flow"):
        search(Bistable(1), period=2)


def test_a_rectified_network_is_searched_to_completeness():
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((6, 6)) * 1.2, rng.standard_normal(6)
    weights = {"weight_ih_l0": np.zeros((6, 1)), "weight_hh_l0": W, "bias_ih_l0": b}
    points = search(RNN(weights, nonlinearity="relu"))
    assert points.search.complete
    assert points.search.missing["complete"]
    found = set()
    for pattern in np.ndindex(*(2,) * 6):  # every region: solve, and look whether the solution lies in it
        D = np.diag(pattern)
        x = np.linalg.solve(np.eye(6) - D @ W, D @ b)
        if ((W @ x + b > 0) == np.array(pattern, dtype=bool)).all():
            found.add(tuple(x.round(8)))
    assert {tuple(x.round(8) + 0.0) for x in points.states} == {tuple(np.array(x) + 0.0) for x in found}
    assert points.certified.all()


def test_a_point_on_a_kink_says_so():
    points = search(RNN({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[0.5]]}, nonlinearity="relu"))
    assert points.kinks.tolist() == [1]
    assert points.stability.tolist() == ["stable node"]
    assert any("kink" in line for line in search_lines(points))
    turning = search(RNN({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[1.5]]}, nonlinearity="relu"))
    assert turning.kinks.tolist() == [1]
    assert turning.stability.tolist() == ["marginal"]


def test_the_end_of_a_half_line_on_its_kink_is_marginal_as_the_rest():
    points = search(RNN({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[1.0]]}, nonlinearity="relu"))
    assert [manifold["kind"] for manifold in points.manifolds] == ["half-line"]
    assert points.states.min() == 0.0
    assert set(points.stability) == {"marginal"}
    assert points.search.settling["sentence"].startswith("None of the 64 trajectories settles at a stable point")


def test_an_irnn_at_the_identity_is_a_plane():
    weights = {"weight_ih_l0": np.zeros((2, 1)), "weight_hh_l0": np.eye(2)}
    points = search(IRNN(weights))
    assert [manifold["dimension"] for manifold in points.manifolds] == [2]


def test_the_result_comes_back_from_its_file_whole(tmp_path):
    points = search(flipping(1), period=2)
    again = FixedPoints.load(points.save(tmp_path / "points.safetensors"))
    for key in ("certified", "reasons", "kinks", "active_bounds", "orbit", "manifold"):
        assert (getattr(again, key) == getattr(points, key)).all()
    assert again.search == points.search


def test_a_network_at_the_edge_of_a_pitchfork_is_marginal():
    points = search(SimpleRNN(np.array([[1.0]])))  # -x + tanh(x) = -x^3 / 3 + ...
    assert points.stability.tolist() == ["marginal"]
    assert not points.certified.any()
    assert 1e-9 < points.uncertainty[0] < 1e-6  # x^3 / 3 is beneath the rounding of x up to 3e-8
