"""The picture of modes by time constant, and of what inputs do to them; the captions of spectra."""

import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from described import linear, points_at

from dynsys import Flow, Map, plots
from dynsys.models.examples.bistable import Bistable
from dynsys.plots import style
from dynsys.stability.modes import linear_modes


def trace(figure: go.Figure, name: str) -> go.Scatter:
    (found,) = [one for one in figure.data if one.name == name]
    return found


def names(figure: go.Figure) -> list[str]:
    return [one.name for one in figure.data]


def caption(figure: go.Figure) -> str:
    (found,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    return found.replace("<br>", " ")  # where its lines are broken is not what is asked


SPIRAL = [[-0.5, 2.0, 0.0], [-2.0, -0.5, 0.0], [0.0, 0.0, 0.25]]  # decays in 2, grows in 4


class TestModes:
    def test_modes_lie_at_their_time_constants_by_kind_and_a_pair_is_drawn_once(self):
        figure = plots.modes(linear(SPIRAL))
        assert trace(figure, "decays and oscillates").x.tolist() == [2]
        assert trace(figure, "grows").x.tolist() == [4]
        assert names(figure) == ["decays and oscillates", "grows"]
        assert figure.layout.xaxis.type == "log"

    def test_growing_modes_are_red_and_oscillating_ones_are_rings(self):
        figure = plots.modes(linear(SPIRAL))
        grows, turns = (trace(figure, name).marker for name in ("grows", "decays and oscillates"))
        assert (grows.color, grows.symbol) == (style.RED, "circle")
        assert (turns.color, turns.symbol) == (style.BLUE, "circle-open")

    def test_an_alternating_mode_of_a_map_oscillates_and_steps_are_named(self):
        figure = plots.modes(linear(np.diag([-0.5, 0.25]), kind=Map))
        np.testing.assert_allclose(trace(figure, "decays and oscillates").x, 1 / np.log(2))
        assert figure.layout.xaxis.title.text == "|time constant| (steps)"

    def test_modes_that_a_logarithm_cannot_show_stand_at_its_edges(self):
        figure = plots.modes(linear(np.diag([1.0, 0.5, 0.0]), kind=Map))
        low, high = figure.layout.xaxis.range
        np.testing.assert_allclose(trace(figure, "lasts for ever (on the boundary)").x, 10**high)
        np.testing.assert_allclose(trace(figure, "gone at once").x, 10**low)
        assert 10**low < 1 / np.log(2) < 10**high

    def test_each_point_has_a_row_with_its_number(self):
        points = points_at(Bistable(2), Bistable(2).fixed_points()[0])
        figure = plots.modes(points, [7, 2])
        assert list(figure.layout.yaxis.ticktext) == ["7", "2"]
        assert {int(i) for one in figure.data for i in one.customdata} == {2, 7}
        top, bottom = figure.layout.yaxis.range[1], figure.layout.yaxis.range[0]
        assert top < 0 < 1 < bottom  # the first is on top

    def test_the_push_of_each_input_on_the_two_leading_modes_is_a_map_of_colours(self):
        """Eigenvectors are the axes, so that the push on a mode is a row of B."""
        B = np.array([[0.5, -1.0], [0.0, 2.0], [7.0, 7.0]])
        figure = plots.modes(linear(np.diag([-1.0, -2.0, -3.0]), B))
        leading, following = trace(figure, "inputs on mode 1"), trace(figure, "inputs on mode 2")
        np.testing.assert_allclose(leading.z, [[0.5, 1.0]])
        np.testing.assert_allclose(following.z, [[0.0, 2.0]], atol=1e-15)
        assert leading.zmax == following.zmax == 2
        assert list(leading.x) == ["u1", "u2"]
        assert [label for label in trace(figure, "decays").text if label] == ["1", "2"]

    def test_numbers_of_modes_at_one_place_are_written_as_one(self):
        figure = plots.modes(linear(np.diag([-1.0, -1.0, -3.0]), np.eye(3)))
        assert [label for label in trace(figure, "decays").text if label] == ["1, 2"]

    def test_one_strong_push_does_not_hide_the_others(self):
        A, B = np.diag(-1.0 - np.arange(2)), np.array([np.ones(40), np.r_[1000.0, np.ones(39)]])
        figure = plots.modes(linear(A, B))
        assert trace(figure, "inputs on mode 1").zmax == 3
        assert "above the scale" in caption(figure)
        assert trace(figure, "inputs on mode 2").texttemplate is None  # 80 numbers would not fit

    def test_without_input_there_is_no_map_of_colours(self):
        figure = plots.modes(linear(SPIRAL))
        assert "no input" in caption(figure)
        assert not [one for one in figure.data if isinstance(one, go.Heatmap)]

    def test_the_caption_tells_transient_growth_and_jordan_blocks(self):
        assert "can grow at first, at up to 48.5 per unit of time" in caption(
            plots.modes(linear([[-1, 100], [0, -2]]))  # -1.5 + sqrt(2500.25) = 48.5025
        )
        text = caption(plots.modes(linear([[-1, 1], [0, -1]], np.ones((2, 1)))))
        assert "At 1 point there are modes of a Jordan block" in text
        assert "grow at first" not in text  # its symmetric part has the eigenvalues -1/2 and -3/2

    def test_a_jordan_block_leaves_its_push_open(self):
        figure = plots.modes(linear([[-1, 1], [0, -1]], np.ones((2, 1))))
        assert np.isnan(trace(figure, "inputs on mode 1").z).all()
        assert "Jordan block" in trace(figure, "decays").hovertext[0]

    def test_hover_tells_times_condition_and_readout(self):
        system = Flow(lambda x, u: x @ torch.tensor([[-0.5, -2.0], [2.0, -0.5]], dtype=x.dtype), 2, time_constant=10.0)
        system.n_output, system._readout = 1, lambda x: 3 * x[:, :1]
        (text,) = trace(plots.modes(points_at(system, [0, 0])), "decays and oscillates").hovertext
        for fact in ("point 0", "−0.5 + 2i", "time constant: 20", "frequency: 0.0318", "condition: 1", "2.12"):
            assert fact in text  # 3 / sqrt(2)

    def test_modes_at_hand_are_drawn_as_they_are(self):
        points = linear(SPIRAL)
        figure = plots.modes(linear_modes(dataclasses.replace(points), count=1))
        assert names(figure) == ["grows"]
        with pytest.raises(ValueError, match="which chooses among points"):
            plots.modes(linear_modes(points), [0])

    def test_more_points_than_rows_are_said(self):
        system = Flow(lambda x, u: -x, n_state=1)
        assert "The first 60 of 75 points are drawn" in caption(plots.modes(points_at(system, np.zeros((75, 1)))))

    def test_no_points_have_a_picture_too(self):
        figure = plots.modes(points_at(Bistable(2), [[0, 0]]), [])
        assert "0 points" in caption(figure)
        assert not figure.data


def test_a_caption_of_many_lines_is_given_their_room():
    text, room = style.lines(["a " * 80, "b"])
    assert max(len(line) for line in text.split("<br>")) <= style.LINE
    assert text.count("<br>") == 2
    assert room - style.lines(["b"])[1] == 2 * 18


def test_the_words_of_a_map_are_those_of_maps_and_of_a_flow_those_of_flows():
    A, B = np.array([[0.5, 3.0], [0.0, -0.25]]), np.eye(2)
    of_map, of_flow = (
        caption(plots.modes(linear(A - shift, B, kind=kind))) for kind, shift in ((Map, 0), (Flow, np.eye(2)))
    )
    for word in ("dG/dx", "dG/du", "in one step", "per step"):
        assert word in of_map
    for word in ("dF/", "unit of time", "time constant of the network"):
        assert word not in of_map
    for word in ("dF/dx", "dF/du", "time constant of the network", "per unit of time"):
        assert word in of_flow
    assert "dG/" not in of_flow
    assert "step" not in of_flow
    figure = plots.modes(linear(A, B, kind=Map))
    hovers = [text for one in figure.data if one.hovertext is not None for text in one.hovertext]
    assert all("steps<br>" in text and "per step" in text for text in hovers)


def test_a_mode_on_the_boundary_is_said_to_last_for_ever():
    figure = plots.modes(linear(np.diag([0.0, -1.0])))
    assert "∞ (on the boundary of stability)" in trace(figure, "lasts for ever (on the boundary)").hovertext[0]
