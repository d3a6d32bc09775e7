"""Figures beside each other: nothing of any of them is lost, moved within it, or named twice."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from described import described

from dynsys import Flow, plots
from dynsys.plots import style

CUBIC = Flow(lambda x, u: x - x**3, n_state=2)


@pytest.fixture(scope="module")
def portraits():
    points = described(CUBIC, [[0, 0], [1, 1], [-1, -1], [0, 1]])
    runs = [np.linspace([0, 0], [1, 1], 9)]
    return [plots.phase_portrait(points, runs, title="a"), plots.phase_portrait(points[[1, 2]], title="b")]


@pytest.fixture(scope="module")
def planes():
    return [plots.phase_plane(CUBIC, bounds=(-2, 2)), plots.spectrum(described(CUBIC, [[1, 1]]))]


def captions(figure):
    return [
        note.text.replace("<br>", " ") for note in figure.layout.annotations if note.name == "caption" and note.text
    ]


def test_every_trace_is_there_with_the_data_that_it_had(portraits):
    whole = plots.side_by_side(portraits, ["left", "right"])
    given = [trace for figure in portraits for trace in figure.data]
    assert len(whole.data) == len(given)
    for drawn, before in zip(whole.data, given, strict=True):
        assert (drawn.type, drawn.name, drawn.mode) == (before.type, before.name, before.mode)
        for key in "xyz":
            np.testing.assert_array_equal(getattr(drawn, key), getattr(before, key))
    assert {trace.scene for trace in whole.data[: len(portraits[0].data)]} == {"scene"}
    assert {trace.scene for trace in whole.data[len(portraits[0].data) :]} == {"scene2"}


def test_scenes_lie_beside_each_other_and_keep_ranges_and_camera(portraits):
    whole = plots.side_by_side(portraits)
    left, right = whole.layout.scene, whole.layout.scene2
    assert 0 <= left.domain.x[0] < left.domain.x[1] <= right.domain.x[0] < right.domain.x[1] <= 1
    for scene, figure in zip((left, right), portraits, strict=True):
        assert scene.camera == figure.layout.scene.camera
        assert scene.xaxis.range == figure.layout.scene.xaxis.range
        ratios = [scene.aspectratio[key] / figure.layout.scene.aspectratio[key] for key in "xyz"]
        np.testing.assert_allclose(ratios, ratios[0])  # smaller perhaps, never of another shape


def test_names_and_captions_stand_over_and_under_their_own_figures(portraits):
    whole = plots.side_by_side(portraits, ["left", "right"], title="Both")
    assert [note.text for note in whole.layout.annotations if note.name == "heading"] == ["<b>left</b>", "<b>right</b>"]
    assert captions(whole) == [text for figure in portraits for text in captions(figure)]
    assert whole.layout.title.text == "Both"


def test_a_kind_has_one_entry_in_the_legend_that_hides_it_in_all_figures(portraits):
    whole = plots.side_by_side(portraits)
    shown = [trace.name for trace in whole.data if trace.showlegend]
    assert len(shown) == len(set(shown))
    assert {trace.legendgroup for trace in whole.data} == {trace.name for trace in whole.data}


def test_axes_in_a_plane_keep_their_scale_to_each_other(planes):
    whole = plots.side_by_side(planes)
    assert {trace.xaxis for trace in whole.data} == {"x", "x2"}
    assert planes[1].layout.yaxis.scaleanchor == "x"  # a circle is to be round
    assert whole.layout.yaxis2.scaleanchor == "x2"
    assert (whole.layout.xaxis2.anchor, whole.layout.yaxis2.anchor) == ("y2", "x2")
    assert json.loads(whole.to_json())


def test_lines_that_were_seen_through_are_drawn_in_the_colour_that_they_seemed(portraits):
    before = next(trace for trace in portraits[0].data if trace.name == "trajectories")
    after = next(trace for trace in plots.side_by_side(portraits).data if trace.name == "trajectories")
    assert after.opacity is None
    seen = [
        round(int(before.line.color[i : i + 2], 16) * before.opacity + 255 * (1 - before.opacity)) for i in (1, 3, 5)
    ]
    np.testing.assert_allclose([int(after.line.color[i : i + 2], 16) for i in (1, 3, 5)], seen, atol=1)
    assert before.line.color == style.GREY  # the figures given stay as they are


def test_what_cannot_stand_beside_others_is_refused(portraits, planes):
    from plotly.subplots import make_subplots

    with pytest.raises(ValueError, match="figure 1 has 0 scenes and 4 axes"):
        plots.side_by_side([portraits[0], make_subplots(rows=1, cols=2)])
    with pytest.raises(ValueError, match="no figure"):
        plots.side_by_side([])
    with pytest.raises(ValueError, match="1 names are given for 2 figures"):
        plots.side_by_side(portraits, ["one"])
    assert len(plots.side_by_side([portraits[0], planes[0]]).data) == len(portraits[0].data) + len(planes[0].data)
    assert isinstance(plots.side_by_side(portraits[:1]), go.Figure)
