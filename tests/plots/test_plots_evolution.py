"""Pictures of training: the bifurcation diagram, counts, the origin's eigenvalues, the animated portrait.

The diagrams are those of normal forms, whose branches are known: x' = s x - x^3 (a pitchfork at s = 0) and
x' = s - x^2 (a fold), in as many state variables as are wanted, all but the first decaying on their own.
"""

import dataclasses
import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from dynsys import plots
from dynsys.continuation.diagram import Bifurcation, Branch, Diagram, Event
from dynsys.plots import style
from dynsys.plots.training.bifurcation import SYMBOLS
from dynsys.plots.training.evolution import LIMIT
from dynsys.plots.training.training_time import TrainingTime
from dynsys.systems.system import Kind
from dynsys.trajectories.projection import Projection

N = 4  # state variables


def branch(number, s, x, slope, steps, **ends):
    """A branch at x (K,) with the eigenvalue ``slope`` (K,) along the first variable and -1 along the others."""
    states = np.zeros((len(s), N))
    states[:, 0] = x
    values = np.full((len(s), N), -1.0 + 0j)
    values[:, 0] = slope
    values = np.take_along_axis(values, np.argsort(-values.real, axis=1), axis=1)
    at = {step: i for i, step in enumerate(steps)}
    readouts = np.stack([x, 2 * x], axis=1)
    snapshot = np.array([at.get(value, -1) for value in s])
    return Branch(number, s, states, (slope > 0).astype(int), values, readouts, snapshot, **ends)


def diagram_of(steps, branches, events, index_sums=None):
    sums = np.ones(len(steps), dtype=np.int64) if index_sums is None else np.array(index_sums)
    searched = np.zeros(len(steps), dtype=bool)
    about = {"kind": "flow", "n_state": N, "time_constant": 1.0, "name": "normal form", "parameter": "step of training"}
    return Diagram(np.array(steps), tuple(branches), tuple(events), sums, searched, 0.0, (), True, about)


def pitchfork(steps=None, shift=0.0):
    """x' = (s - shift) x - x^3: 0 is stable before and unstable after, +-sqrt(s - shift) are stable."""
    steps = np.linspace(-1, 1, 9) if steps is None else np.array(steps, dtype=float)
    after = steps[steps > shift]
    zero = branch(0, steps, np.zeros(len(steps)), steps - shift, steps)
    up, down = (branch(i, after, sign * np.sqrt(after - shift), -2 * (after - shift), steps, born=0)
                for i, sign in ((1, 1), (2, -1)))  # fmt: skip
    i = int(np.searchsorted(steps, shift, side="right"))
    between = (float(steps[i - 1]), float(steps[i]))
    event = Event(0, Bifurcation.PITCHFORK, shift, between, (0, 1, 2), np.zeros(N), 0j, "Two points are born.")
    return diagram_of(steps, [zero, up, down], [event])


def fold():
    """x' = s - x^2: nothing before 0, sqrt(s) stable and -sqrt(s) unstable after."""
    steps = np.linspace(-1, 1, 9)
    after = steps[steps > 0]
    branches = [branch(i, after, sign * np.sqrt(after), -2 * sign * np.sqrt(after), steps, born=0)
                for i, sign in ((0, 1), (1, -1))]  # fmt: skip
    event = Event(0, Bifurcation.FOLD, 0.0, (0.0, 0.25), (0, 1), np.zeros(N), 0j, "Two points are born.")
    return diagram_of(steps, branches, [event], [0] * len(steps))


def trace(figure, name, row=1):
    axis = "y" if row == 1 else f"y{row}"
    (found,) = [t for t in figure.data if t.name == name and (t.yaxis or "y") == axis]
    return found


def drawn(found):
    """The points of a line as rows (x, y), without the breaks."""
    rows = np.stack([np.asarray(found.x, dtype=float), np.asarray(found.y, dtype=float)], axis=1)
    return rows[np.isfinite(rows).all(axis=1)]


class TestBifurcationDiagram:
    def test_stable_points_of_the_pitchfork_lie_on_zero_and_then_on_the_roots(self):
        rows = drawn(trace(plots.bifurcation_diagram(pitchfork()), "no unstable direction"))
        early, late = rows[rows[:, 0] <= 0], rows[rows[:, 0] > 0]
        assert np.allclose(early[:, 1], 0)
        later = late[late[:, 1] != 0]
        assert np.allclose(later[:, 1] ** 2, later[:, 0], atol=1e-6)
        assert len(later) == 8

    def test_what_is_unstable_is_another_line_in_another_colour(self):
        figure = plots.bifurcation_diagram(pitchfork())
        stable, unstable = (trace(figure, name) for name in ("no unstable direction", "1 unstable direction"))
        rows = drawn(unstable)
        assert (rows[:, 0] > 0).all()
        assert np.allclose(rows[:, 1], 0)
        assert stable.line.color != unstable.line.color

    def test_a_line_goes_on_to_where_its_stability_changes(self):
        rows = drawn(trace(plots.bifurcation_diagram(pitchfork()), "no unstable direction"))
        assert (0.25, 0.0) in {tuple(row) for row in rows}  # the first unstable row: no gap before it

    def test_branches_are_not_joined(self):
        line = trace(plots.bifurcation_diagram(fold()), "no unstable direction")
        other = trace(plots.bifurcation_diagram(pitchfork()), "no unstable direction")
        assert np.isnan(np.asarray(line.y, dtype=float)).sum() == 0
        assert np.isnan(np.asarray(other.y, dtype=float)).sum() == 2  # three pieces

    def test_an_event_is_marked_where_and_when_it_happens(self):
        mark = trace(plots.bifurcation_diagram(pitchfork()), "pitchfork")
        assert (mark.x[0], mark.y[0]) == (0.0, 0.0)
        assert "Two points are born." in mark.text[0]
        mark = trace(plots.bifurcation_diagram(fold()), "fold")
        assert mark.x[0] == 0.0

    def test_every_kind_of_event_has_a_symbol(self):
        assert set(SYMBOLS) == set(Bifurcation)

    def test_dots_are_at_snapshots_and_the_line_goes_on_between(self):
        steps, s = np.array([0.0, 0.5, 1.0]), np.linspace(0, 1, 9)
        finer = branch(0, s, s**2, -np.ones(9), steps)
        line = trace(plots.bifurcation_diagram(diagram_of(steps, [finer], [])), "no unstable direction")
        assert np.allclose(drawn(line), np.stack([s, s**2], axis=1))
        assert [place for place, size in zip(line.x, line.marker.size, strict=True) if size] == [0, 0.5, 1]

    def test_there_is_a_row_for_each_readout_or_component(self):
        figure = plots.bifurcation_diagram(pitchfork())
        assert [figure.layout[key].title.text for key in ("yaxis", "yaxis2")] == ["readout 1", "readout 2"]
        second = drawn(trace(figure, "no unstable direction", row=2))
        assert np.abs(second[:, 1]).max() == pytest.approx(2.0)
        axes = Projection.fit(np.eye(N))
        figure = plots.bifurcation_diagram(pitchfork(), projection=axes)
        assert [figure.layout[key].title.text for key in ("yaxis", "yaxis2", "yaxis3")] == ["PC 1", "PC 2", "PC 3"]

    def test_a_hover_tells_branch_step_stability_and_readout(self):
        text = trace(plots.bifurcation_diagram(pitchfork()), "1 unstable direction").text[-1]
        for part in ("branch 0", "step 1", "unstable directions: 1", "leading eigenvalue: 1", "(0.00, 0.00)"):
            assert part in text


def test_of_many_events_those_without_a_stable_point_are_hidden_and_the_caption_says_so():
    some = pitchfork()
    far = [dataclasses.replace(some.events[0], id=i, kind=Bifurcation.HOPF, time=0.6, branches=(0,)) for i in range(61)]
    figure = plots.bifurcation_diagram(dataclasses.replace(some, events=(*some.events, *far)))
    hidden = trace(figure, "events of unstable points only")
    assert (len(hidden.x), hidden.visible) == (61, "legendonly")
    assert trace(figure, "pitchfork").visible is True
    (caption,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    assert "hidden" in caption


def of_family(about):
    some = fold()
    known = {key: value for key, value in some.about.items() if key != "parameter"}
    return dataclasses.replace(some, about=known | about)


@pytest.mark.parametrize(
    ("about", "axis", "said"),
    [
        ({"parameter": "gain"}, "gain", "gain 0.25"),
        ({}, "parameter", "parameter 0.25"),
        ({"parameter": "step of training"}, "step of training", "step 0.25"),
        ({"made_from": "0" * 64}, "step of training", "step 0.25"),  # what 'evolve' of an earlier version wrote
    ],
)
def test_the_axis_of_a_family_bears_the_name_of_its_parameter(about, axis, said):
    diagram = of_family(about)
    branches, counts = plots.bifurcation_diagram(diagram), plots.point_counts(diagram)
    assert [figure.layout[f"xaxis{'2' * (figure is branches)}"].title.text for figure in (branches, counts)] == [
        axis
    ] * 2
    assert said in trace(branches, "no unstable direction").text[0]
    others = {"step", "gain", "parameter"} - {said.split()[0]}
    for text in [*trace(branches, "no unstable direction").text, *trace(branches, "fold").text]:
        assert not [word for word in others if f"{word} " in text]


class TestTrainingTime:
    def test_even_snapshots_lie_on_a_linear_axis(self):
        time = TrainingTime.of(np.arange(0, 3600, 60.0))
        assert not time.log
        assert time.place([60.0]).tolist() == [60.0]
        assert time.note == ""

    def test_geometric_snapshots_lie_evenly_apart_and_step_0_has_a_place(self):
        from dynsys.models.training.schedule import geometric

        steps = np.array(geometric(60, 36_000), dtype=float)
        time = TrainingTime.of(steps)
        places = np.log10(time.place(steps))
        assert np.isfinite(places).all()
        gaps = np.diff(places)
        assert gaps.max() < 4 * gaps.min()
        axis = time.axis()
        assert axis["type"] == "log"
        assert axis["ticktext"][0] == "0"
        at = dict(zip(axis["ticktext"], axis["tickvals"], strict=True))
        assert at["100"] == time.place([100.0])[0]


class TestCounts:
    def test_one_point_before_the_pitchfork_and_three_after(self):
        figure = plots.point_counts(pitchfork())
        stable, unstable = trace(figure, "no unstable direction"), trace(figure, "1 unstable direction")
        assert list(stable.y) == [1, 1, 1, 1, 1, 2, 2, 2, 2]
        assert list(unstable.y) == [0, 0, 0, 0, 0, 1, 1, 1, 1]

    def test_the_last_count_has_a_width_and_kinds_look_as_in_the_diagram(self):
        figure = plots.point_counts(pitchfork(), np.zeros(9, dtype=np.int64))
        assert {t.line.shape for t in figure.data} == {"hvh"}  # half way to the snapshots on either side
        beside = plots.bifurcation_diagram(pitchfork())
        for name in ("no unstable direction", "1 unstable direction"):
            assert trace(figure, name).line.color == trace(beside, name).line.color
        assert "2 points with no unstable direction" in trace(figure, "no unstable direction").text[-1]

    def test_snapshots_at_which_points_are_missing_are_marked(self):
        one_lost = pitchfork()
        wrong = diagram_of(one_lost.steps, one_lost.branches[:2], one_lost.events, [1, 1, 1, 1, 1, 0, 0, 0, 0])
        figure = plots.point_counts(wrong)
        assert list(trace(figure, "points are missing").x) == [0.25, 0.5, 0.75, 1.0]
        assert "points are missing" not in {t.name for t in plots.point_counts(one_lost).data}

    def test_the_origin_is_drawn_for_as_long_as_it_is_there(self):
        figure = plots.point_counts(pitchfork(), np.array([0, 0, 0, 1, 1, 2, -1, -1, -1]))
        y = np.asarray(trace(figure, "unstable directions", row=2).y, dtype=float)
        assert y[:6].tolist() == [0, 0, 0, 1, 1, 2]
        assert np.isnan(y[6:]).all()
        assert figure.layout.yaxis2.title.text == "unstable directions<br>of the origin"


class TestOrigin:
    steps = np.array([0.0, 1.0, 2.0])

    def test_a_flow_is_unstable_right_of_zero_and_a_map_outside_the_circle(self):
        values = np.array([[-0.5, -2], [0.5, -2], [1.5 + 1j, 1.5 - 1j]], dtype=complex)
        figure = plots.origin_eigenvalues(self.steps, values, Kind.FLOW)
        assert sorted(trace(figure, "real, unstable").y) == [0.5]
        assert sorted(trace(figure, "complex, unstable").y) == [1.5, 1.5]
        figure = plots.origin_eigenvalues(self.steps, values, Kind.MAP)
        assert sorted(trace(figure, "real, unstable").y) == [2, 2]
        assert sorted(trace(figure, "real, stable").y) == [0.5, 0.5]

    def test_a_snapshot_without_the_point_is_left_out(self):
        values = np.array([[-1.0], [np.nan], [1.0]], dtype=complex)
        figure = plots.origin_eigenvalues(self.steps, values, Kind.FLOW)
        assert sum(len(t.x) for t in figure.data) == 2

    def test_the_plane_holds_every_eigenvalue_of_every_snapshot(self):
        rng = np.random.default_rng(0)
        values = rng.standard_normal((3, 50)) + 1j * rng.standard_normal((3, 50))
        figure = plots.origin_spectrum(self.steps, values, Kind.FLOW)
        assert [frame.name for frame in figure.frames] == ["0", "1", "2"]
        for frame, row in zip(figure.frames, values, strict=True):
            shown = np.concatenate([np.asarray(t.x) + 1j * np.asarray(t.y) for t in frame.data])
            assert sorted(shown, key=lambda v: (v.real, v.imag)) == sorted(row, key=lambda v: (v.real, v.imag))
            assert (np.asarray(frame.data[1].x) > 0).all()
        ends = figure.layout.xaxis.autorangeoptions
        assert ends.minallowed < values.real.min()
        assert values.real.max() < ends.maxallowed


def runs(diagram, n=2, length=30):
    """For each snapshot some runs (T, 3)."""
    rng = np.random.default_rng(0)
    return [[rng.uniform(-1, 1, (length, 3)) for _ in range(n)] for _ in diagram.steps]


@pytest.fixture
def diagram():
    return pitchfork()


@pytest.fixture
def animation(diagram):
    axes = Projection.fit(np.concatenate([b.states for b in diagram.branches] + [np.eye(N)]))
    return plots.portrait_animation(diagram, runs(diagram), runs(diagram), axes, title="Pitchfork")


class TestAnimation:
    def test_every_snapshot_is_a_frame_of_the_same_traces(self, diagram, animation):
        assert len(animation.frames) == len(diagram.steps)
        for frame in animation.frames:
            assert len(frame.data) <= 8
            assert list(frame.traces) == list(range(len(frame.data)))
            for i, shown in enumerate(frame.data):
                assert (shown.type, shown.name) == (animation.data[i].type, animation.data[i].name)
                assert 1 <= len(shown.x) <= LIMIT

    def test_a_frame_shows_the_points_of_its_snapshot(self, diagram, animation):
        for i, frame in enumerate(animation.frames):
            high = animation.layout.scene.xaxis.range[1]
            shown = {t.name: sum(x <= high for x in t.x) for t in frame.data if t.mode == "markers"}
            points = diagram.points_at(i)
            assert shown["no unstable direction"] == int((points.n_unstable == 0).sum())
            assert shown["1 unstable direction"] == int((points.n_unstable == 1).sum())
            assert shown["2 or more unstable directions"] == 0

    def test_ranges_are_fixed_and_hold_every_point_of_every_snapshot(self, diagram, animation):
        scene = animation.layout.scene
        assert all("scene" not in frame.layout.to_plotly_json() for frame in animation.frames)
        for frame in animation.frames:
            for shown in frame.data:
                if shown.mode != "markers":
                    continue
                for key in "xyz":
                    low, high = scene[f"{key}axis"].range
                    assert scene[f"{key}axis"].autorange is False
                    values = np.asarray(getattr(shown, key))
                    assert (low <= values).all()
                    assert (values <= high).all() or len(values) == 1

    def test_a_kind_without_points_has_one_far_outside_so_that_its_markers_keep_their_size(self, animation):
        """Plotly draws the markers too small of a trace that began with a point without coordinates."""
        scene = animation.layout.scene
        for frame in animation.frames:
            assert all(x is not None for shown in frame.data if shown.mode == "markers" for x in shown.x)
            (none,) = [shown for shown in frame.data if shown.name == "2 or more unstable directions"]
            for key in "xyz":
                low, high = scene[f"{key}axis"].range
                assert getattr(none, key)[0] > high + 5 * (high - low)
            assert none.text is None

    def test_the_slider_leads_to_every_frame_and_nothing_plays_by_itself(self, animation, tmp_path):
        (slider,) = animation.layout.sliders
        assert [step.args[0][0] for step in slider.steps] == [frame.name for frame in animation.frames]
        page = plots.save_html(animation, tmp_path / "a.html").read_text()
        assert "Plotly.addFrames" in page
        assert not re.search(r"Plotly\.animate\('[0-9a-f-]+', null\)", page[page.index("Plotly.addFrames") :])

    def test_the_view_is_orthographic_and_its_buttons_lie_below(self, animation):
        assert animation.layout.scene.camera.projection.type == "orthographic"
        for menu in animation.layout.updatemenus:
            assert (menu.y, menu.yanchor) == (0, "top")

    def test_the_title_tells_step_points_and_what_has_happened(self, diagram, animation):
        heads = [frame.layout.title.text for frame in animation.frames]
        assert "1 fixed point: 1 stable" in heads[0]
        assert "3 fixed points: 2 stable, 1 with 1 unstable direction" in heads[-1]
        assert [i for i, head in enumerate(heads) if "1 pitchfork" in head] == [4]

    def test_long_trajectories_are_thinned_and_the_caption_says_so(self, diagram):
        axes = Projection.fit(np.eye(N))
        figure = plots.portrait_animation(diagram, runs(diagram, 3, 4000), runs(diagram), axes)
        assert max(len(t.x) for frame in figure.frames for t in frame.data) <= LIMIT
        (caption,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
        assert "thinned out" in caption

    def test_a_network_without_trajectories_or_points_at_first_is_drawn(self):
        none = fold()
        empty = [[] for _ in none.steps]
        figure = plots.portrait_animation(none, empty, empty, Projection.fit(np.eye(N)))
        assert json.loads(figure.to_json())["frames"]

    def test_trajectories_of_another_number_of_snapshots_are_refused(self, diagram):
        with pytest.raises(ValueError, match="the diagram has 9"):
            plots.portrait_animation(diagram, runs(diagram)[:3], runs(diagram), Projection.fit(np.eye(N)))


class TestStills:
    def test_chosen_snapshots_stand_beside_each_other_on_one_scale(self, diagram):
        figure = plots.portrait_stills(diagram, runs(diagram), runs(diagram), Projection.fit(np.eye(N)), [0, 4, 5, 8])
        scenes = [figure.layout[key] for key in ("scene", "scene2", "scene3", "scene4")]
        assert len({json.dumps([s[f"{k}axis"].range for k in "xyz"]) for s in scenes}) == 1
        assert len({json.dumps(s.camera.to_plotly_json()) for s in scenes}) == 1
        spots = [(tuple(s.domain.x), tuple(s.domain.y)) for s in scenes]
        assert len(set(spots)) == 4
        assert sum(t.name == "no unstable direction" and t.showlegend is True for t in figure.data) == 1

    def test_nothing_is_transparent(self, diagram):
        """A PNG of several scenes loses what lies behind something transparent."""
        figure = plots.portrait_stills(diagram, runs(diagram), runs(diagram), Projection.fit(np.eye(N)), [0, 8])
        assert all(t.opacity in (None, 1.0) for t in figure.data if isinstance(t, go.Scatter3d))

    @pytest.mark.parametrize("which", [[], [0, 1, 2, 3, 4]])
    def test_more_than_four_are_refused(self, diagram, which):
        with pytest.raises(ValueError, match="1 to 4"):
            plots.portrait_stills(diagram, runs(diagram), runs(diagram), Projection.fit(np.eye(N)), which)


def test_pictures_are_captioned_like_all_others(diagram, animation):
    for figure in (animation, plots.bifurcation_diagram(diagram), plots.point_counts(diagram)):
        (caption,) = [note for note in figure.layout.annotations if note.name == "caption"]
        assert caption.text
        assert figure.layout.font.family == style.FONT
