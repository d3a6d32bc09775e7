"""Where branches of unstable points end, on systems whose connections are known from mathematics."""

import dataclasses
import importlib

import networkx as nx
import numpy as np
import pytest
import torch
from described import described
from scipy.optimize import brentq

from dynsys import Flow, Map
from dynsys.attractors import unstable_manifolds as following
from dynsys.attractors.connections import Connections, connections
from dynsys.io.errors import CheckpointError
from dynsys.models.examples.bistable import Bistable
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.trajectories.paths import Walk

PHASE = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1.0, xtol=1e-15)
CUBIC = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2))
FLIP = Map(lambda x, u: -torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
TURNED = np.linalg.qr(np.random.default_rng(3).standard_normal((2, 2)))[0]


def product(Q):
    """Two bistable units of different weights in coordinates turned by Q; the readout is the units."""
    turn, w = torch.as_tensor(Q), torch.tensor([2.0, 3.0], dtype=torch.float64)
    system = Flow(
        lambda x, u: (w * torch.tanh(x @ turn)) @ turn.T - x,
        n_state=2,
        readout=lambda x: x @ turn,
        n_output=2,
        bounds=(-5, 5),
    )
    roots = [brentq(lambda y, w=w: w * np.tanh(y) - y, 0.5, w, xtol=1e-15) for w in (2.0, 3.0)]
    units = np.array([(i * roots[0], j * roots[1]) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return described(system, units @ Q.T)


def lorenz(r):
    def velocity(x, u):
        return torch.stack(
            [10 * (x[:, 1] - x[:, 0]), x[:, 0] * (r - x[:, 2]) - x[:, 1], x[:, 0] * x[:, 1] - 8 / 3 * x[:, 2]], dim=1
        )

    side = (8 / 3 * (r - 1)) ** 0.5
    states = [[0, 0, 0], [side, side, r - 1], [-side, -side, r - 1]]
    return described(Flow(velocity, n_state=3, bounds=(-60, 60)), states)


def van_der_pol():
    def velocity(x, u):
        return torch.stack([x[:, 1], (1 - x[:, 0] ** 2) * x[:, 1] - x[:, 0]], dim=1)

    return described(Flow(velocity, n_state=2, bounds=(-4, 4)), [[0, 0]])


def number(name):
    assert name.startswith("point ")
    return int(name.split()[1])


@pytest.fixture(scope="module")
def cubic():
    points = described(CUBIC, [[0], [1], [-1]])
    return points, connections(points)


@pytest.fixture(scope="module")
def cube():
    points = described(Bistable(3), Bistable(3).fixed_points()[0])
    return points, connections(points)


class TestEnds:
    def test_both_ways_from_the_middle_of_a_bistable_flow_lead_to_one_end_each(self, cubic):
        points, found = cubic
        ends = [float(points.states[number(name), 0]) for name in found.end]
        starts = found.paths[:, 1, 0] - found.paths[:, 0, 0]
        np.testing.assert_allclose(sorted(ends), [-1, 1], atol=1e-9)
        np.testing.assert_array_equal(np.sign(starts), np.sign(ends))

    @pytest.mark.parametrize("Q", [np.eye(2), TURNED], ids=["along the axes", "turned"])
    def test_the_graph_of_two_independent_bistable_units_is_a_square_with_its_middle(self, Q):
        points = product(Q)
        found = connections(points)
        units = np.sign(points.readouts.round(6)).astype(int)
        edges = {(tuple(units[s]), tuple(units[number(e)])) for s, e in zip(found.source, found.end, strict=True)}
        one = {(0, 0): {(1, 0), (-1, 0), (0, 1), (0, -1)}}  # the modes of the middle keep one unit at 0
        expected = {(a, b) for a, ends in one.items() for b in ends}
        expected |= {((s, 0), (s, t)) for s in (1, -1) for t in (1, -1)}
        expected |= {((0, s), (t, s)) for s in (1, -1) for t in (1, -1)}
        assert len(points) == 9
        assert {(tuple(map(int, a)), tuple(map(int, b))) for a, b in edges} == expected
        assert "4 branches end at other unstable points" in found.summary()

    def test_every_edge_of_three_bistable_units_separates_the_corners_at_its_ends(self, cube):
        points, found = cube
        units = np.sign(points.readouts.round(6)).astype(int)
        assert len(found) == 2 * (12 + 2 * 6 + 3)
        for i in np.flatnonzero(points.n_unstable == 1):
            corners = [units[number(name)] for name in found.ends_of(int(i))]
            flipped = units[i] == 0
            assert len(corners) == 2
            np.testing.assert_array_equal(np.sort([corner[flipped][0] for corner in corners]), [-1, 1])
            for corner in corners:
                np.testing.assert_array_equal(corner[~flipped], units[i][~flipped])

    def test_a_branch_from_a_face_keeps_the_memory_of_that_face(self, cube):
        points, found = cube
        units = np.sign(points.readouts.round(6)).astype(int)
        for source, name in zip(found.source, found.end, strict=True):
            kept = units[source] != 0
            np.testing.assert_array_equal(units[number(name)][kept], units[source][kept])

    @pytest.mark.parametrize(("r", "side"), [(10.0, 1), (20.0, -1)])
    def test_branches_of_lorenz_origin_change_sides_beyond_the_homoclinic_orbit(self, r, side):
        """At r = 13.926 each branch of the origin comes back to it (Sparrow 1982, chapter 2)."""
        points = lorenz(r)
        found = connections(points)
        ends = np.array([points.states[number(name), 0] for name in found.end])
        assert len(found) == 2
        np.testing.assert_array_equal(np.sign(ends), side * np.sign(found.paths[:, 2, 0]))

    def test_a_chaotic_flow_does_not_settle_and_nothing_is_lost(self):
        found = connections(lorenz(28.0), max_steps=8)
        assert set(found.end.tolist()) == {"unsettled"}
        assert len(found) == 2 + 4 + 4  # the origin, and two foci with a complex pair each
        assert found.summary().endswith("10 branches did not settle in the steps given.")

    def test_the_unstable_focus_of_van_der_pol_leads_to_its_oscillation(self):
        found = connections(van_der_pol())
        (cycle,) = found.others
        assert found.end.tolist() == ["oscillation 0"] * 4
        assert found.part.tolist() == ["real", "real", "imaginary", "imaginary"]
        assert cycle.period == pytest.approx(6.66328686, rel=1e-4)  # mu = 1: Andersen & Geer 1982
        assert cycle.states[:, 0].max() == pytest.approx(2.00861986, rel=1e-2)
        assert np.isfinite(found.time).all()

    def test_an_orbit_of_period_two_is_a_node_of_its_own(self):
        found = connections(described(FLIP, [[0]]))
        (orbit,) = found.others
        assert found.end.tolist() == ["orbit 0", "orbit 0"]
        assert (orbit.period, orbit.kind) == (2, "stable orbit of period 2")
        np.testing.assert_allclose(np.sort(orbit.states[:, 0]), [-PHASE, PHASE], rtol=1e-12)
        assert found.attractors == ["orbit 0"]

    def test_of_a_map_applied_twice_the_phases_are_counted_by_orbit(self):
        twice = Iterated(FLIP, 2)
        points = described(twice, [[0], [PHASE], [-PHASE]])
        points = dataclasses.replace(
            points, orbit=np.array([0, 0, -1]), search=dataclasses.replace(points.search, period=2)
        )
        found = connections(points)
        assert sorted(found.end.tolist()) == ["point 0", "point 1"]
        assert found.summary().startswith("1 unstable point leads to 2 phases of 1 orbit along 2 branches")
        assert (found.time % 2 == 0).all()  # steps of the map itself

    def test_what_runs_off_to_infinity_is_counted(self):
        found = connections(described(Flow(lambda x, u: x + x**2, n_state=1), [[0], [-1]]))
        ends = dict(zip(np.sign(found.paths[:, 1, 0]).tolist(), found.end.tolist(), strict=True))
        assert ends[1.0] == "escaped"
        assert ends[-1.0].startswith("point ")
        assert "1 branch ran off to infinity" in found.summary()

    def test_a_cycle_far_out_is_no_escape(self):
        """r' = r (1 - r^2 / R^2), theta' = 1: a circle of radius R around the origin, which is all that is known."""
        R = 1e6
        circle = Flow(
            lambda x, u: x * (1 - (x**2).sum(1, keepdim=True) / R**2) + torch.stack([-x[:, 1], x[:, 0]], 1), n_state=2
        )
        found = connections(described(circle, [[0.0, 0.0]]))
        assert set(found.end.tolist()) == {"oscillation 0"}
        assert np.linalg.norm(found.others[0].states, axis=1) == pytest.approx(R, rel=1e-4)

    def test_points_of_two_inputs_lead_to_ends_under_their_own(self):
        driven = Flow(lambda x, u: x - x**3 + u, n_state=1, n_input=1, bounds=(-2, 2))
        roots = [np.sort(np.roots([-1, 0, 1, u]).real) for u in (0.0, 0.1)]
        points = described(driven, np.concatenate(roots)[:, None], np.repeat([[0.0], [0.1]], 3, axis=0))
        found = connections(points)
        assert len(found) == 4
        for source, name in zip(found.source, found.end, strict=True):
            np.testing.assert_array_equal(points.inputs[number(name)], points.inputs[source])

    def test_branches_of_a_line_of_fixed_points_come_to_rest_on_it(self):
        """x' = x - x^3, y' = 0: the unstable line x = 0 leads to the lines x = 1 and x = -1, nothing draws along y."""
        lines = Flow(lambda x, u: torch.stack([x[:, 0] - x[:, 0] ** 3, 0 * x[:, 1]], dim=1), n_state=2, bounds=(-2, 2))
        points = described(lines, [[0.0, 0.3], [1.0, 0.5], [-1.0, 0.3]])
        found = connections(points)
        ends = [name if name == "resting" else points.states[number(name)].tolist() for name in found.end]
        assert sorted(ends, key=str) == [[-1.0, 0.3], "resting"]  # one point of the line is known, the other is not


class TestTimes:
    def test_the_time_of_a_branch_is_that_of_the_exact_solution(self, cubic):
        """x' = x - x^3 needs log(x / sqrt(1 - x^2)) from one place to another, here from 0.01 to 0.99."""
        exact = np.diff([np.log(x / np.sqrt(1 - x * x)) for x in (0.01, 0.99)])[0]
        np.testing.assert_allclose(cubic[1].time, exact, rtol=1e-4)

    def test_the_time_is_in_the_units_of_the_time_constant(self, cubic):
        slow = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2), time_constant=10.0)
        np.testing.assert_allclose(connections(described(slow, [[0], [1], [-1]])).time, 10 * cubic[1].time, rtol=1e-6)

    def test_steps_of_a_map_are_counted(self):
        """x' = tanh(2 x) doubles x near 0: about 6 steps from 0.01 to where it saturates."""
        points = described(Map(lambda x, u: torch.tanh(2 * x), n_state=1, bounds=(-1, 1)), [[0], [PHASE], [-PHASE]])
        x, end, steps = 0.01 * points.states.max(), points.states.max(), 0
        while end - x > 0.01 * end:
            x, steps = np.tanh(2 * x), steps + 1
        assert np.abs(connections(points).time - steps).max() <= 1  # a branch may start between two of these steps


class TestPaths:
    def test_paths_lead_from_source_to_end(self, cube):
        points, found = cube
        ends = points.states[[number(name) for name in found.end]]
        np.testing.assert_allclose(found.paths[:, 0], points.states[found.source], atol=1e-6)
        np.testing.assert_allclose(found.paths[:, -1], ends, atol=1e-6)

    def test_a_path_leaves_along_its_mode(self, cube):
        points, found = cube
        away = found.paths[:, 1] - found.paths[:, 0]
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        modes = points.modes[found.source, found.mode].real
        np.testing.assert_allclose((away * modes).sum(axis=1), found.sign, atol=0.01)

    def test_states_on_the_path_of_a_map_are_states_of_the_map_on_one_side_of_a_flip(self):
        found = connections(described(FLIP, [[0]]))
        for path in found.paths[..., 0].astype(np.float64):
            states = path[1 : len(np.unique(path)) - 1]  # the first is the source, the last the orbit itself
            np.testing.assert_allclose(states[1:], np.tanh(2 * np.tanh(2 * states[:-1])), rtol=1e-5)
            assert len(set(np.sign(states))) == 1

    def test_a_walk_follows_the_exact_solution(self):
        held = Held(Flow(lambda x, u: -x, n_state=1), torch.zeros(1, 0))
        walk = Walk(held, torch.ones(1, 1, dtype=torch.float64), torch.ones(1))
        walk.advance(torch.arange(1), 60, lambda rows, x: torch.zeros(len(x), dtype=torch.bool))
        ((times, states),) = walk.paths()
        assert float(times[-1]) > 2
        np.testing.assert_allclose(states[:, 0], np.exp(-times.numpy()), atol=2e-6)


class TestWhatIsLeftOut:
    def test_branches_beyond_the_limit_are_counted_and_told_first(self, cube):
        found = connections(cube[0], limit=20)
        assert len(found) == 20
        assert found.left_out == {"beyond the limit": 34}
        assert found.summary().startswith("Left out: 34 branches beyond the limit. ")
        assert (cube[0].n_unstable[found.source] == 1).all()  # the least unstable come first

    def test_what_the_time_does_not_suffice_for_is_counted_and_told_first(self, cube, monkeypatch):
        monkeypatch.setattr(following, "TOGETHER", 24)
        found = connections(cube[0], budget_seconds=0.0)
        assert len(found) == 24
        assert found.summary().startswith("Left out: 30 branches for want of time. 12 unstable points lead to 8 att")
        np.testing.assert_array_equal(found.end, cube[1].end[:24])

    def test_modes_that_are_not_known_are_counted(self, cube):
        points = cube[0]
        points = points[np.arange(len(points))]
        points.modes[points.n_unstable == 3, 1:] = np.nan
        found = connections(points)
        assert found.left_out == {"along modes that are not known": 4}
        assert len(found) == 50

    def test_slow_points_are_no_places_to_leave_from(self, cube):
        points = cube[0]
        points = points[np.arange(len(points))]
        points.verdict[points.n_unstable == 3] = "slow"
        assert sum(connections(points).left_out.values()) == 6

    def test_without_unstable_points_there_is_nothing_to_follow(self, cubic):
        points = cubic[0]
        found = connections(points[points.n_unstable == 0])
        assert len(found) == 0
        assert found.summary() == "No unstable point has a branch to follow."
        assert found.attractors == ["point 0", "point 1"]

    def test_points_without_their_system_are_refused(self, cubic, tmp_path):
        loaded = type(cubic[0]).load(cubic[0].save(tmp_path / "points"))
        with pytest.raises(ValueError, match="without their system"):
            connections(loaded)


class TestResult:
    def test_it_is_the_same_every_time(self, cube):
        again = connections(cube[0])
        np.testing.assert_array_equal(again.end, cube[1].end)
        np.testing.assert_array_equal(again.paths, cube[1].paths)

    def test_what_is_saved_comes_back(self, tmp_path):
        found = connections(described(FLIP, [[0]]))
        again = Connections.load(found.save(tmp_path / "connections.safetensors"))
        assert again.to_json() == found.to_json()
        np.testing.assert_array_equal(again.paths, found.paths)
        np.testing.assert_array_equal(again.others[0].states, found.others[0].states)

    def test_another_file_is_refused(self, cubic, tmp_path):
        with pytest.raises(CheckpointError, match=r"dynsys\.connections/1"):
            Connections.load(cubic[0].save(tmp_path / "points.safetensors"))

    def test_the_graph_has_the_points_and_their_connections(self, cube):
        points, found = cube
        graph = found.graph()
        assert nx.is_directed_acyclic_graph(graph)
        assert graph.number_of_nodes() == 27
        kinds = nx.get_node_attributes(graph, "kind")
        assert sum(kind == "attractor" for kind in kinds.values()) == 8
        assert sum(graph.edges[edge]["branches"] for edge in graph.edges) == len(found)
        assert all(graph.out_degree(name) == 0 for name, kind in kinds.items() if kind == "attractor")
        assert graph.nodes["point 8"]["n_unstable"] == points.n_unstable[8]

    def test_without_networkx_the_error_says_what_to_install(self, cubic, monkeypatch):
        def missing(name):
            raise ImportError(name)

        monkeypatch.setattr(importlib, "import_module", missing)
        with pytest.raises(ImportError, match="pip install networkx"):
            cubic[1].graph()

    def test_json_lists_every_branch(self, cubic):
        found = cubic[1].to_json()
        assert [branch["sign"] for branch in found["branches"]] == [1, -1]
        assert {branch["end"] for branch in found["branches"]} == {"point 0", "point 1"}
        assert [attractor["period"] for attractor in found["attractors"]] == [0, 0]
