"""Where memory flows, drawn: the layered graph, and branches and orbits in the phase portrait."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from described import described

from dynsys import Flow, Map, plots
from dynsys.attractors.attractor import Attractor, Node
from dynsys.attractors.basins import Basins, Shares
from dynsys.attractors.connections import connections
from dynsys.models.examples.bistable import Bistable
from dynsys.plots import style
from dynsys.plots.graphs import arrows, graph, layers
from dynsys.trajectories.projection import Projection

CUBIC = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2), readout=lambda x: x, n_output=1)
FLIP = Map(lambda x, u: -torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
PLAIN = Projection(np.zeros(1), np.eye(3, 1), np.array([1.0, 0.0, 0.0]))


@pytest.fixture(scope="module")
def cube():
    points = described(Bistable(3), Bistable(3).fixed_points()[0])
    return points, connections(points)


@pytest.fixture(scope="module")
def flip():
    points = described(FLIP, [[0]])
    return points, connections(points)


@pytest.fixture(scope="module")
def cubic():
    points = described(CUBIC, [[0], [1], [-1]])
    return points, connections(points)


def shares(counts):
    n = sum(counts.values())
    return Basins(Shares("random starts in the reachable box", n, n, counts), None)


def nodes(figure):
    """Place and size of each node by its name."""
    found = {}
    for one in figure.data:
        if one.mode == "markers" and one.customdata is not None:
            sizes = np.broadcast_to(one.marker.size, len(one.x))
            found |= {str(n): (x, y, s) for n, x, y, s in zip(one.customdata, one.x, one.y, sizes, strict=True)}
    return found


def arrow_lines(figure):
    """The arrows, each (p, 2)."""
    found = []
    for one in figure.data:
        if one.mode == "lines+markers":
            rows = np.stack([one.x, one.y], axis=1).astype(float)
            breaks = np.flatnonzero(np.isnan(rows[:, 0]))
            found += [part[~np.isnan(part[:, 0])] for part in np.split(rows, breaks) if len(part) > 1]
    return found


def labels(figure):
    return {(note.x, note.y): note.text for note in figure.layout.annotations if note.name == "label"}


def caption(figure):
    (found,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    return found.replace("<br>", " ")  # where its lines are broken is not what is asked


def trace(figure, name):
    (found,) = [one for one in figure.data if one.name == name]
    return found


class TestMemoryGraph:
    def test_a_row_for_each_number_of_unstable_directions_attractors_at_the_bottom(self, cube):
        points, found = cube
        drawn = nodes(plots.memory_graph(found))
        assert len(drawn) == 27
        for i in range(27):
            assert drawn[f"point {i}"][1] == points.n_unstable[i]
        assert plots.memory_graph(found).layout.yaxis.ticktext[0] == "attractors"

    def test_no_two_nodes_share_a_place(self, cube):
        places = [place[:2] for place in nodes(plots.memory_graph(cube[1])).values()]
        assert len(set(places)) == 27

    def test_every_connection_is_an_arrow_from_its_source_to_its_end(self, cube):
        figure = plots.memory_graph(cube[1])
        at = {name: tuple(np.round(place[:2], 9)) for name, place in nodes(figure).items()}
        drawn = sorted((tuple(line[0].round(9)), tuple(line[-1].round(9))) for line in arrow_lines(figure))
        assert drawn == sorted((at[a], at[b]) for a, b in cube[1].edges())

    def test_arrows_keep_clear_of_the_nodes_between(self, cube):
        figure = plots.memory_graph(cube[1])
        at = np.array([place[:2] for place in nodes(figure).values()])
        for line in arrow_lines(figure):
            for level in np.unique(at[:, 1]):
                if line[:, 1].min() < level < line[:, 1].max():
                    passed = np.interp(level, line[::-1, 1], line[::-1, 0])
                    assert np.abs(at[at[:, 1] == level, 0] - passed).min() > 0.01

    def test_the_area_of_an_attractor_grows_with_its_basin(self, cubic):
        drawn = nodes(plots.memory_graph(cubic[1], shares({"point 0": 750, "point 1": 250})))
        areas = {name: place[2] ** 2 - graph.SMALL**2 for name, place in drawn.items()}
        assert areas["point 0"] / areas["point 1"] == pytest.approx(3)

    def test_the_share_and_its_interval_are_told(self, cubic):
        figure = plots.memory_graph(cubic[1], shares({"point 0": 750, "point 1": 250}))
        (text,) = [t for one in figure.data if one.name == "stable" for t in one.text if "point 0" in t]
        assert "75.0 % of random starts in the reachable box (95 %: 72.2 to 77.6)" in text  # Wilson, by hand
        assert any("75.0 %" in label for label in labels(figure).values())
        assert "1,000" in caption(figure)

    def test_nodes_are_named_by_the_signs_of_their_outputs(self, cube):
        points, found = cube
        figure = plots.memory_graph(found)
        named = labels(figure)
        for name, place in nodes(figure).items():
            units = np.sign(points.readouts[int(name.split()[1])].round(6))
            assert named[place[:2]] == " ".join({1: "+", -1: "−", 0: "0"}[int(unit)] for unit in units)
        assert "signs of the outputs" in caption(figure)

    def test_a_saddle_has_no_sign_in_what_its_ends_differ_in(self, cubic):
        found = cubic[1]
        off_centre = dataclasses.replace(found, readouts=np.where(found.readouts == 0, 0.8, found.readouts))
        assert sorted(labels(plots.memory_graph(off_centre)).values()) == ["+", "0", "−"]

    def test_where_signs_do_not_tell_attractors_apart_their_numbers_do(self, cube):
        same = dataclasses.replace(cube[1], readouts=np.ones_like(cube[1].readouts))
        figure = plots.memory_graph(same)
        assert set(labels(figure).values()) == {f"point {i}" for i in range(27)}
        assert "signs" not in caption(figure)

    def test_orbits_are_nodes_of_their_own_kind(self, flip):
        figure = plots.memory_graph(flip[1])
        orbit = trace(figure, "stable orbit of period 2")
        assert list(orbit.customdata) == ["orbit 0"]
        assert orbit.marker.color == style.GREEN
        assert nodes(figure)["orbit 0"][1] == 0

    def test_an_attractor_that_only_random_starts_reach_is_drawn(self, cubic):
        other = Attractor(
            3,
            np.zeros((3, 1)),
            np.zeros(0),
            name=Node("orbit", 0),
            kind="stable orbit of period 3",
            readout=np.array([5.0]),
        )
        basins = dataclasses.replace(shares({"point 0": 1, "point 1": 1, "orbit 0": 2}), others=[other])
        assert nodes(plots.memory_graph(cubic[1], basins))["orbit 0"][1] == 0

    def test_what_does_not_settle_is_a_node_too(self, cubic):
        lost = dataclasses.replace(cubic[1], end=np.array(["unsettled", "point 1"]))
        figure = plots.memory_graph(lost)
        assert nodes(figure)["unsettled"][1] == 0
        assert trace(figure, "unsettled").marker.symbol == "x"

    def test_two_branches_between_the_same_nodes_are_one_wider_arrow(self, flip):
        figure = plots.memory_graph(flip[1])
        (wide,) = [one.line.width for one in figure.data if one.mode == "lines+markers"]
        figure = plots.memory_graph(dataclasses.replace(flip[1], end=np.array(["orbit 0", "unsettled"])))
        widths = [one.line.width for one in figure.data if one.mode == "lines+markers"]
        assert max(widths) < wide

    def test_hover_on_an_arrow_tells_mode_sign_and_time(self, cubic):
        (text, _) = trace(plots.memory_graph(cubic[1]), "connections").text
        assert "point 2 → point" in text
        assert "mode 0, +: 6.55 units of time" in text  # log(x / sqrt(1 - x^2)) from 0.01 to 0.99

    def test_the_caption_is_the_summary(self, cube):
        assert cube[1].summary() in caption(plots.memory_graph(cube[1]))

    def test_unknown_times_are_drawn_pale(self, cubic):
        figure = plots.memory_graph(dataclasses.replace(cubic[1], time=np.full(2, np.nan)))
        (line,) = [one for one in figure.data if one.mode == "lines+markers"]
        assert line.line.color == style.PALE

    def test_a_result_without_points_has_a_picture_too(self, cubic):
        found = connections(cubic[0][[]])
        assert "No point" in caption(plots.memory_graph(found))


class TestLayers:
    def test_a_matching_is_drawn_without_crossings(self):
        levels = np.repeat([0, 1], 7)
        partner = np.random.default_rng(1).permutation(7)
        x = layers.places(levels, [(i, 7 + int(partner[i])) for i in range(7)])
        np.testing.assert_array_equal(x[:7], x[7 + partner])

    def test_nodes_of_a_row_stand_evenly(self):
        x = layers.places(np.array([0, 0, 0, 0, 1]), [(0, 4), (3, 4)])
        np.testing.assert_allclose(np.sort(x[:4]), [1 / 8, 3 / 8, 5 / 8, 7 / 8])
        assert x[4] == 0.5
        assert {x[0], x[3]} == {3 / 8, 5 / 8}  # those that are joined to the middle stand next to it

    def test_the_same_graph_has_the_same_places(self):
        levels, edges = np.array([0, 0, 1, 1, 2]), [(4, 2), (4, 3), (2, 0), (3, 1)]
        np.testing.assert_array_equal(layers.places(levels, edges), layers.places(levels, edges))

    def test_an_arrow_goes_round_a_node_in_its_way(self):
        at = np.array([[0.5, 0.0], [0.5, 1.0], [0.5, 2.0]])
        way = arrows._way(at[2], at[0], at)
        passed = np.interp(1.0, way[::-1, 1], way[::-1, 0])
        assert abs(passed - 0.5) >= arrows.LEFT * 0.99
        np.testing.assert_array_equal(way[[0, -1]], at[[2, 0]])


class TestPortrait:
    def test_branches_go_from_their_segments_to_their_ends_and_darken(self, cubic):
        points, found = cubic
        drawn = trace(
            plots.phase_portrait(points, connections=found, projection=PLAIN), "branches of the unstable points"
        )
        breaks = np.flatnonzero(np.isnan(drawn.x))
        first, second = drawn.x[: breaks[0]], drawn.x[breaks[0] + 1 :]
        np.testing.assert_allclose(np.sort([first[-1], second[-1]]), [-1, 1], atol=1e-6)
        assert min(abs(first[0]), abs(second[0])) > 0.1  # the red segment reaches as far
        shade = np.array(drawn.line.color)[: breaks[0]]
        assert (np.diff(shade) >= 0).all()
        assert (shade[0], shade[-1]) == (0, 1)

    def test_the_marker_of_a_branch_is_nearer_to_its_end(self, cubic):
        points, found = cubic
        figure = plots.phase_portrait(points, connections=found, projection=PLAIN)
        heads = np.abs(trace(figure, "branches, darker towards their ends").x)
        assert ((heads > 0.6) & (heads < 0.9)).all()

    def test_an_orbit_is_a_closed_loop(self, flip):
        points, found = flip
        loop = trace(plots.phase_portrait(points, connections=found, projection=PLAIN), "stable orbit of period 2")
        assert len(loop.x) == 3
        assert loop.x[0] == loop.x[-1] == -loop.x[1] != 0
        assert "orbit 0" in loop.text[0]

    def test_orbits_are_inside_the_ranges(self, flip):
        points, found = flip
        figure = plots.phase_portrait(points, connections=found, projection=PLAIN)
        low, high = figure.layout.scene.xaxis.range
        assert low < found.others[0].states.min() < found.others[0].states.max() < high

    def test_the_caption_tells_what_flows_where(self, cubic):
        assert cubic[1].summary() in caption(plots.phase_portrait(cubic[0], connections=cubic[1]))

    def test_many_branches_are_thinned_out_within_the_limit(self, cubic):
        points, found = cubic
        many = {key: np.repeat(getattr(found, key), 1500, axis=0) for key in ("source", "mode", "part", "sign", "end")}
        more = dataclasses.replace(
            found, **many, time=np.repeat(found.time, 1500), paths=np.repeat(found.paths, 1500, axis=0)
        )
        figure = plots.phase_portrait(points, connections=more, projection=PLAIN)
        assert sum(len(one.x) for one in figure.data) <= 100_000

    def test_connections_of_other_points_are_refused(self, cubic):
        with pytest.raises(ValueError, match="other points"):
            plots.phase_portrait(cubic[0][[0, 1]], connections=cubic[1])
