"""Orbits and cycles that trajectories end in are part of the result: where they are, how stable, and how sure."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from dynsys import FixedPoints, Flow, Map, find_fixed_points
from dynsys.attractors.attractor import Attractor
from dynsys.attractors.periodic import LARGEST, periodic
from dynsys.models.recurrent.vanilla import RNN
from dynsys.result.consistency import agreed, orbits_beside
from dynsys.result.report import _described, _settling
from dynsys.result.summary import summary
from dynsys.search.find import _asked
from dynsys.systems.iterated import Iterated
from dynsys.trajectories.settling import Ending

EMPTY = np.zeros(0)


def logistic(r):
    return Map(lambda x, u: r * x * (1 - x), n_state=1, bounds=(0, 1))


def phases(r, period):
    """Of the stable orbit, by 100,000 steps."""
    x, seen = 0.3, []
    for _ in range(100_000):
        x = r * x * (1 - x)
    for _ in range(period):
        seen.append(x)
        x = r * x * (1 - x)
    first = seen.index(min(seen))
    return np.array(seen[first:] + seen[:first])[:, None]


@pytest.mark.parametrize(("r", "period"), [(3.2, 2), (3.5, 4)])
def test_the_multiplier_of_an_orbit_is_the_product_of_its_slopes(r, period):
    """Of the logistic map: prod r (1 - 2 x), which is 4 + 2 r - r^2 at period 2."""
    x = phases(r, period)
    (found,) = periodic(logistic(r), [Attractor(period, x, EMPTY)], 1.0)
    expected = float(np.prod(r * (1 - 2 * x)))
    assert found["multipliers"] == [[pytest.approx(expected, abs=1e-9), 0.0]]
    if period == 2:
        assert expected == pytest.approx(4 + 2 * r - r**2)
    assert not found["proved"]
    assert "no closed form" in found["reason"]


def rotating():
    """h' = tanh(2 R h), R a quarter turn: all four corners (+-a, +-a) with a = tanh(2 a), one after the other."""
    W = 2.0 * np.array([[0.0, -1.0], [1.0, 0.0]])
    return RNN({"weight_hh_l0": W, "weight_ih_l0": np.zeros((2, 0))})


@pytest.fixture(scope="module")
def turning():
    return find_fixed_points(rotating(), n_starts=32, workers=1)


def test_an_orbit_of_a_network_is_in_the_result_and_proved(turning):
    a = 0.9
    for _ in range(200):
        a = math.tanh(2 * a)
    (end,) = turning.search.settling["ends"]
    assert (end["kind"], end["period"], end["point"]) == (str(Ending.CYCLE), 4, None)
    assert end["proved"]
    assert end["error_bound"] < 1e-12
    np.testing.assert_allclose(end["states"], [[-a, -a], [a, -a], [a, a], [-a, a]], atol=1e-14)
    slope = (2 * (1 - a**2)) ** 4  # each step turns by a right angle and shrinks by that
    np.testing.assert_allclose(np.array(end["multipliers"])[:, 0], [slope, slope], rtol=1e-9)
    assert "1 stable orbit of period 4 (proved)" in turning.search.settling["sentence"]
    assert summary(turning) == "1 fixed point: 1 unstable focus, and 1 stable orbit of period 4 (proved)"


def test_it_is_saved_and_loaded_and_in_the_json(turning, tmp_path):
    turning.save(tmp_path / "points.safetensors")
    loaded = FixedPoints.load(tmp_path / "points.safetensors")
    assert loaded.search.settling == turning.search.settling
    assert summary(loaded) == summary(turning)
    assert json.loads(json.dumps(turning.to_json()))["search"]["settling"]["ends"][0]["proved"]


def van_der_pol(x, u):
    return torch.stack([x[:, 1], (1 - x[:, 0] ** 2) * x[:, 1] - x[:, 0]], dim=1)


def hopf(x, u):
    """r' = r (1 - r^2), phi' = 2: the unit circle, with period pi and multiplier exp(-2 pi)."""
    size = (x**2).sum(dim=1, keepdim=True)
    return (1 - size) * x + 2 * torch.stack([-x[:, 1], x[:, 0]], dim=1)


def test_a_cycle_of_a_flow_has_its_period_and_floquet_multiplier():
    (found,) = periodic(Flow(hopf, 2), [Attractor(math.pi * (1 + 1e-4), np.array([[1.0, 1e-4]]), EMPTY)], 1.0)
    assert found["period"] == pytest.approx(math.pi, rel=1e-8)
    np.testing.assert_allclose(np.linalg.norm(found["states"], axis=1), 1, atol=1e-7)
    assert found["multipliers"] == [[pytest.approx(math.exp(-2 * math.pi), rel=1e-5), 0.0]]
    assert found["along"][0] == pytest.approx(1, abs=1e-6)
    assert not found["proved"]
    assert "not proved" in found["reason"]


def test_the_cycle_of_van_der_pol_is_in_the_result():
    """Its period at mu = 1 is 6.66328686 (Andersen & Geer 1982, from the series)."""
    points = find_fixed_points(Flow(van_der_pol, n_state=2, bounds=(-3, 3)), n_starts=8, closure=False, workers=1)
    (end,) = points.search.settling["ends"]
    assert end["kind"] == str(Ending.OSCILLATION)
    assert end["period"] == pytest.approx(6.66328686, rel=1e-7)
    x = np.array(end["states"])
    divergence = np.mean(1 - x[:, 0] ** 2) * end["period"]  # of which the multipliers are the exponential (Liouville)
    assert math.log(end["multipliers"][0][0]) == pytest.approx(divergence, rel=1e-4)
    assert "1 oscillation of period 6.663 time constants (leading Floquet multiplier 0.00086" in summary(points)


def test_a_cycle_that_does_not_come_back_and_one_that_is_too_large_are_told_without_multipliers():
    spiral = Flow(lambda x, u: x @ torch.tensor([[0.5, -1.0], [1.0, 0.5]], dtype=torch.float64).T, n_state=2)
    (found,) = periodic(spiral, [Attractor(2 * math.pi, np.array([[1.0, 0.0]]), EMPTY)], 1.0)
    assert found["multipliers"] is None
    assert "not found to come back" in found["reason"]
    large = Flow(lambda x, u: -x, n_state=LARGEST + 1)
    (found,) = periodic(large, [Attractor(1.0, np.ones((1, LARGEST + 1)), EMPTY)], 1.0)
    assert found["multipliers"] is None
    assert f"above {LARGEST} variables" in found["reason"]


def test_orbits_of_the_period_searched_for_join_the_search():
    """Before it has begun, only trajectories know of any."""
    asked = {"slow_q": 0.0, "verify": True, "seed": 0, "workers": 1, "n_starts": 8, "progress": lambda *told: None}
    search = _asked(Iterated(rotating(), 4), None, None, **asked)
    points = _described(search, False)
    assert len(points) == 0
    told, (x, groups) = _settling(search, points)
    assert [end["period"] for end in told["ends"]] == [4]
    search.stopped = search.stopped.TIME  # it enters them and goes no further
    assert search.join(x, groups) == 1
    assert len(_described(search, False)) == 4  # all phases


def test_all_orbits_do_not_seem_to_be_found_beside_one_that_is_not_listed(turning):
    four = find_fixed_points(rotating(), period=4, n_starts=32, workers=1)
    assert orbits_beside(four, four.search) == 0
    assert len(four) % 4 == 0
    none = four[np.zeros(len(four), dtype=bool)]
    assert orbits_beside(none, none.search) == 1
    told = agreed(dataclasses.replace(none)).search.missing["sentence"]
    assert "All" not in told
    assert "Complete" not in told
