"""Pictures: their traces and the data in them."""

from __future__ import annotations

import re
import struct
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from dynsys import plots
from dynsys.attractors.attractor import Attractor, Node
from dynsys.io.errors import OutputError
from dynsys.plots import style, thinning
from dynsys.plots.portrait import camera
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import Flow, Map
from dynsys.trajectories.projection import Projection

NAN = complex(np.nan, np.nan)
E = np.eye(4)
PLAIN = Projection(np.zeros(4), np.eye(3, 4), np.array([0.5, 0.3, 0.1]))  # the first three of four variables

SEEDS_EXAMPLE = Flow(lambda x, u: torch.stack([(1 - x[:, 0] ** 2) * x[:, 1], x[:, 0] / 2 - x[:, 1]], 1), n_state=2)


def made(states, stability, n_unstable, eigenvalues, modes, *, slow=(), kind="flow", tau=1.0) -> FixedPoints:
    k, n = np.shape(states)
    return FixedPoints(
        states=np.array(states, dtype=float),
        q=np.where(np.isin(np.arange(k), slow), 1e-5, 0.0),
        verdict=np.array(["slow" if i in slow else "fixed" for i in range(k)]),
        stability=np.array(stability),
        n_unstable=np.array(n_unstable),
        eigenvalues=np.array(eigenvalues, dtype=complex).reshape(k, -1),
        modes=np.array(modes, dtype=complex).reshape(k, -1, n),
        error_bound=np.zeros(k),
        readouts=np.arange(2.0 * k).reshape(k, 2),
        inputs=np.zeros((k, 0)),
        search=None,  # no picture reads it
        about={"kind": kind, "n_state": n, "time_constant": tau, "name": "made"},
    )


@pytest.fixture
def points() -> FixedPoints:
    """A stable point, a saddle along x2, one that spirals out in x1 and x3, a marginal and a slow point."""
    return made(
        states=[[0, 0, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [1, 1, 1, 0]],
        stability=["stable node", "saddle", "saddle", "marginal", "marginal"],
        n_unstable=[0, 1, 2, 0, 1],
        eigenvalues=[[-1, -2], [0.5, -1], [0.2 + 1j, 0.2 - 1j], [0, -1], [0.1, NAN]],
        modes=[
            [E[0], E[1]],
            [E[1], E[0]],
            [(E[0] + 1j * E[2]) / 2**0.5, (E[0] - 1j * E[2]) / 2**0.5],
            [E[0], E[1]],
            [E[3], np.full(4, NAN)],
        ],
        slow=(4,),
    )


def three(states, stability, n_unstable) -> FixedPoints:
    k, n = np.shape(states)
    return made(states, stability, n_unstable, np.full((k, 1), -1.0), np.full((k, 1, n), NAN))


def trace(figure: go.Figure, name: str) -> go.Scatter3d:
    (found,) = [one for one in figure.data if one.name == name]
    return found


def names(figure: go.Figure) -> list[str]:
    return [one.name for one in figure.data]


def caption(figure: go.Figure) -> str:
    (found,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    return found


def xyz(one: go.Scatter3d) -> np.ndarray:
    return np.stack([one.x, one.y, one.z], axis=1)


class TestPhasePortrait:
    def test_symbols_tell_the_kind_of_point(self, points):
        figure = plots.phase_portrait(points, projection=PLAIN)
        symbols = {one.name: (one.marker.symbol, xyz(one).tolist()) for one in figure.data if one.mode == "markers"}
        assert symbols == {
            "stable": ("circle", [[0, 0, 0]]),
            "1 unstable direction": ("diamond", [[1, 0, 0]]),
            "2 or more unstable directions": ("square", [[0, 2, 0]]),
            "marginal, no unstable direction": ("circle-open", [[0, 0, 3]]),
            "slow, 1 unstable direction": ("diamond-open", [[1, 1, 1]]),
        }

    def test_trajectories_are_one_trace_in_single_precision_with_breaks_between_them(self, points):
        runs = [np.arange(12.0).reshape(3, 4), 100 + np.arange(8.0).reshape(2, 4)]
        drawn = trace(plots.phase_portrait(points, runs, projection=PLAIN), "trajectories")
        assert drawn.x.dtype == np.float32
        np.testing.assert_array_equal(drawn.x, [0, 4, 8, np.nan, 100, 104])
        np.testing.assert_array_equal(drawn.z, [2, 6, 10, np.nan, 102, 106])

    def test_runs_side_by_side_are_drawn_as_a_list_of_them_is(self, points):
        runs = np.random.default_rng(0).standard_normal((5, 3, 4))
        listed = trace(plots.phase_portrait(points, list(runs.swapaxes(0, 1)), projection=PLAIN), "trajectories")
        for time_axis, array in ((0, torch.as_tensor(runs)), (1, runs.swapaxes(0, 1))):
            figure = plots.phase_portrait(points, array, time_axis=time_axis, projection=PLAIN)
            together = trace(figure, "trajectories")
            np.testing.assert_array_equal(xyz(together), xyz(listed))
            assert np.isnan(together.x).sum() == 2  # breaks between three runs

    def test_an_array_of_many_runs_is_refused_unless_it_is_said_which_axis_is_time(self, points):
        hidden = np.zeros((8, 50, 4))  # trials x time x units, as training code records them
        for given in ({"trajectories": hidden}, {"releases": hidden}):
            with pytest.raises(ValueError, match=r"time_axis=0 if these are 50 trials of 8 steps.*time_axis=1 if they"):
                plots.phase_portrait(points, **given)
        with pytest.raises(ValueError, match="time_axis is 2"):
            plots.phase_portrait(points, hidden, time_axis=2)
        for one in (np.zeros((1, 50, 4)), np.zeros((50, 1, 4))):  # one run, whichever way
            assert len(trace(plots.phase_portrait(points, one), "trajectories").x) == 50

    def test_trajectories_bear_the_name_that_says_what_they_are(self, points):
        figure = plots.phase_portrait(points, np.zeros((5, 4)), called="recorded trajectories")
        assert "recorded trajectories" in names(figure)
        assert "trajectories" not in names(figure)

    def test_attractors_that_are_no_points_are_drawn_as_loops_and_told_of(self, points):
        orbit = Attractor(
            2,
            np.stack([E[0], E[1]]),
            np.zeros(0),
            name=Node("orbit", 0),
            kind="stable orbit of period 2",
            readout=np.ones(1),
        )
        figure = plots.phase_portrait(points, beside=[orbit, orbit], projection=PLAIN)
        np.testing.assert_array_equal(
            xyz(trace(figure, "stable orbit of period 2"))[:3], [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
        )
        assert "Attractors that are no points: 2 stable orbits of period 2." in caption(figure)

    def test_releases_are_marked_where_they_start(self, points):
        runs = np.arange(24.0).reshape(3, 2, 4)
        figure = plots.phase_portrait(points, releases=runs, time_axis=0, projection=PLAIN)
        np.testing.assert_array_equal(xyz(trace(figure, "where they start")), [[0, 1, 2], [4, 5, 6]])
        assert trace(figure, "trajectories from other states").mode == "lines"

    def test_red_segments_run_along_unstable_modes_through_their_points_and_nowhere_else(self, points):
        drawn = trace(plots.phase_portrait(points, projection=PLAIN), "unstable modes")
        assert drawn.line.color == style.RED
        segments = xyz(drawn)[~np.isnan(drawn.x)].reshape(-1, 2, 3)
        middles, ways = segments.mean(axis=1), segments[:, 1] - segments[:, 0]
        np.testing.assert_allclose(middles, [[1, 0, 0], [0, 2, 0], [0, 2, 0], [1, 1, 1]], atol=1e-6)
        length = np.linalg.norm(ways[0])
        assert length > 0
        np.testing.assert_allclose(ways / length, [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], atol=1e-6)

    def test_stable_points_alone_have_no_red_segment(self, points):
        assert "unstable modes" not in names(plots.phase_portrait(points[[0]], projection=PLAIN))

    def test_long_trajectories_are_thinned_out_evenly_and_the_caption_says_so(self, points):
        run = np.linspace(0, 1, 150_000)[:, None] * np.ones((1, 4))
        figure = plots.phase_portrait(points, [run, run], run, projection=PLAIN)
        assert sum(len(one.x) for one in figure.data) <= 100_000
        x = trace(figure, "trajectories").x
        first = x[: np.flatnonzero(np.isnan(x))[0]]
        assert (first[0], first[-1]) == (0, 1)
        np.testing.assert_allclose(np.diff(first), 1 / (len(first) - 1), rtol=0.35)  # whole steps of the run
        kept = sum(int((~np.isnan(one.x)).sum()) for one in figure.data if one.mode == "lines") - 8  # 4 red segments
        assert f"{kept:,} of 450,000 states are drawn" in caption(figure)

    def test_short_trajectories_are_drawn_whole_and_the_caption_is_silent(self, points):
        figure = plots.phase_portrait(points, np.ones((1000, 20, 4)), time_axis=0, projection=PLAIN)
        assert len(trace(figure, "trajectories").x) == 20 * 1001 - 1
        assert "thinned" not in caption(figure)

    def test_the_caption_counts_points_by_kind(self, points):
        text = caption(plots.phase_portrait(points, projection=PLAIN)).replace("<br>", " ")
        assert "5 points: 1 stable, 1 with 1 unstable direction, 1 with 2 or more unstable directions" in text
        assert "1 marginal with no unstable direction, 1 slow with 1 unstable direction" in text

    def test_axes_say_how_much_variance_they_explain(self):
        cross = [[3, 0, 0, 0], [-3, 0, 0, 0], [0, 2, 0, 0], [0, -2, 0, 0], [0, 0, 1, 0], [0, 0, -1, 0]]
        figure = plots.phase_portrait(three(cross, ["stable node"] * 6, [0] * 6))
        titles = [figure.layout.scene[f"{key}axis"].title.text for key in "xyz"]
        assert titles == ["PC 1 (64 %)", "PC 2 (29 %)", "PC 3 (7 %)"]  # 9, 4 and 1 of 14
        assert "principal components of the points, with 100 % of their variance" in caption(figure)

    def test_ranges_are_fixed_hold_everything_and_are_not_distorted_in_any_view(self, points):
        run = np.random.default_rng(0).standard_normal((50, 4)) * [5, 1, 2, 1]
        figure = plots.phase_portrait(points, run, projection=PLAIN)
        axes = [figure.layout.scene[f"{key}axis"] for key in "xyz"]
        span = np.array([axis.range[1] - axis.range[0] for axis in axes])
        everything = np.concatenate([run[:, :3], points.states[:, :3]])
        for axis, values in zip(axes, everything.T, strict=True):
            assert axis.autorange is False
            assert axis.range[0] < values.min() < values.max() < axis.range[1]
        (menu,) = figure.layout.updatemenus
        assert figure.layout.scene.aspectmode == "manual"
        ratios = [figure.layout.scene.aspectratio] + [b.args[0]["scene.aspectratio"] for b in menu.buttons]
        for ratio in ratios:
            share = np.array([ratio[key] for key in "xyz"]) / span
            np.testing.assert_allclose(share, share[0])

    def test_every_view_is_orthographic_and_its_button_lies_below_the_scene(self, points):
        figure = plots.phase_portrait(points, projection=PLAIN)
        (menu,) = figure.layout.updatemenus
        assert [button.label for button in menu.buttons] == ["oblique", "PC 1 – PC 2", "PC 1 – PC 3", "PC 2 – PC 3"]
        assert (menu.y, menu.yanchor) == (0, "top")
        assert figure.layout.scene.camera.projection.type == "orthographic"
        for button in menu.buttons:
            assert button.args[0]["scene.camera"]["projection"]["type"] == "orthographic"

    def test_a_view_along_an_axis_hides_the_name_of_that_axis_only(self, points):
        (menu,) = plots.phase_portrait(points, projection=PLAIN).layout.updatemenus
        hidden = [
            [key for key in "xyz" if button.args[0][f"scene.{key}axis.title.text"] == ""] for button in menu.buttons
        ]
        assert hidden == [[], ["z"], ["y"], ["x"]]

    def test_hover_tells_all_about_a_point(self, points):
        saddle = trace(plots.phase_portrait(points, projection=PLAIN), "2 or more unstable directions")
        (text,) = saddle.text
        for fact in ("point 2", "saddle", "unstable directions: 2", "0.2 + 1i", "log10 q: −∞", "(4.00, 5.00)"):
            assert fact in text

    def test_a_given_projection_is_used_and_none_is_fitted(self, points, monkeypatch):
        monkeypatch.setattr(Projection, "fit", None)
        figure = plots.phase_portrait(points, np.ones((5, 4)), projection=PLAIN)
        assert figure.layout.scene.xaxis.title.text == "PC 1 (50 %)"

    def test_a_projection_is_fitted_once(self, points, monkeypatch):
        seen, fit = [], Projection.fit
        monkeypatch.setattr(Projection, "fit", lambda states: seen.append(np.shape(states)) or fit(states))
        plots.phase_portrait(points, np.ones((7, 2, 4)), np.zeros((3, 4)), time_axis=0)
        assert seen == [(5, 4)]

    def test_axes_can_be_fitted_to_the_trajectories(self, points):
        run = np.linspace(-1, 1, 9)[:, None] * E[3]
        figure = plots.phase_portrait(points, run, fit="trajectories")
        np.testing.assert_allclose(trace(figure, "trajectories").x, np.linspace(-1, 1, 9), atol=1e-6)
        assert "principal components of the trajectories" in caption(figure)

    def test_a_single_point_takes_its_axes_from_the_trajectories_as_well(self, points):
        figure = plots.phase_portrait(points[[0]], np.linspace(-1, 1, 9)[:, None] * E[3])
        np.testing.assert_allclose(np.ptp(trace(figure, "trajectories").x), 2)
        assert "points and trajectories" in caption(figure)

    def test_points_on_a_line_take_the_other_axes_from_the_trajectories(self):
        line = three(np.arange(5.0)[:, None] * E[0], ["stable node"] * 5, [0] * 5)
        run = np.array([2 * E[0] + 0.1 * E[2], 2 * E[0] - 0.1 * E[2]])
        drawn = trace(plots.phase_portrait(line, run), "trajectories")
        np.testing.assert_allclose(xyz(drawn), [[0, 0.1, 0], [0, -0.1, 0]], atol=1e-6)

    @pytest.mark.parametrize("n", [1, 2])
    def test_systems_of_fewer_than_three_variables_are_seen_from_above(self, n):
        states = np.array([[-1.0] * n, [0.0] * n, [1.0] + [0.5] * (n - 1)])
        figure = plots.phase_portrait(three(states, ["stable node"] * 3, [0] * 3), np.zeros((4, n)))
        eye = figure.layout.scene.camera.eye
        assert (eye.x, eye.y) == (0, 0)
        assert figure.layout.scene.zaxis.visible is False
        assert [button.label for button in figure.layout.updatemenus[0].buttons] == ["PC 1 – PC 2"]

    def test_a_search_that_found_nothing_has_a_picture_too(self, points):
        figure = plots.phase_portrait(points[[]])
        assert "no point was found" in caption(figure)

    @pytest.mark.parametrize("wrong", [np.zeros((5, 3)), np.zeros(4), [np.zeros((2, 2, 4))]])
    def test_trajectories_of_the_wrong_shape_are_refused(self, points, wrong):
        with pytest.raises(ValueError, match="4 state variables"):
            plots.phase_portrait(points, wrong)

    def test_axes_can_be_fitted_to_nothing_else(self, points):
        with pytest.raises(ValueError, match="'points' or to 'trajectories'"):
            plots.phase_portrait(points, fit="both")


class TestThinning:
    @pytest.mark.parametrize(
        ("lengths", "limit"), [((1000,), 100), ((10, 2000, 1), 300), ((2,) * 500, 90), ((50,) * 40, 41 * 3), ((3,), 2)]
    )
    def test_the_limit_holds_and_both_ends_of_a_run_stay(self, lengths, limit):
        runs = [np.arange(float(n))[:, None] for n in lengths]
        kept = thinning.thinned(runs, limit)
        assert thinning.size(kept) <= max(limit, 3)
        for run in kept:
            assert run[0] == 0
            assert run[-1] + 1 in lengths

    def test_what_fits_is_left_alone(self):
        runs = [np.zeros((10, 2))] * 3
        assert thinning.thinned(runs, 33) is runs


class TestCamera:
    def test_the_corners_of_a_cube_are_seen_apart(self):
        corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T
        eye = np.array(camera.clearest_view(corners))
        eye /= np.linalg.norm(eye)
        seen = corners - (corners @ eye)[:, None] * eye
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(8, 1)]
        assert distance.min() > 0.5  # looking along an edge it is 0; in the best view of all it is about 0.9

    def test_the_box_fits_the_page_in_every_view(self):
        span = np.array([1.0, 4.0, 2.0])
        assert camera.aspect(camera.presets(np.zeros((0, 3)))["PC 1 – PC 2"], span) == pytest.approx(
            {"x": camera.HEIGHT / 4, "y": camera.HEIGHT, "z": camera.HEIGHT / 2}
        )


class TestSpectrum:
    def test_the_boundary_of_a_flow_is_the_imaginary_axis(self, points):
        line = trace(plots.spectrum(points), "imaginary axis (boundary of stability)")
        np.testing.assert_array_equal(line.x, [0, 0])
        assert line.y[0] < -1 < 1 < line.y[1]

    def test_the_boundary_of_a_map_is_the_unit_circle(self):
        made_map = made([[0.0]], ["stable node"], [0], [[0.5]], [[[1.0]]], kind="map")
        line = trace(plots.spectrum(made_map), "unit circle (boundary of stability)")
        np.testing.assert_allclose(np.hypot(line.x, line.y), 1)
        assert "dG/dx" in caption(plots.spectrum(made_map))

    def test_both_parts_have_one_scale(self, points):
        layout = plots.spectrum(points).layout
        assert layout.yaxis.scaleanchor == "x"
        assert layout.yaxis.scaleratio in (None, 1)

    def test_every_known_eigenvalue_is_drawn_and_no_padding(self, points):
        figure = plots.spectrum(points)
        drawn = np.concatenate([one.x + 1j * np.array(one.y) for one in figure.data if one.mode == "markers"])
        known = points.eigenvalues[~np.isnan(points.eigenvalues)]
        assert sorted(drawn.tolist(), key=str) == sorted(known.tolist(), key=str)

    def test_the_caption_says_where_only_leading_eigenvalues_are_known(self, points):
        assert "Only the leading eigenvalues are known at 5 of them" in caption(plots.spectrum(points))  # 2 of 4 each
        whole = made([[0.0, 0.0]], ["stable node"], [0], [[-1, -2]], [np.eye(2)])
        assert "leading" not in caption(plots.spectrum(whole))

    def test_hover_gives_time_constant_and_frequency(self):
        spiral = made([[0.0, 0.0]], ["stable focus"], [0], [[-0.5 + 2j, -0.5 - 2j]], [np.eye(2)], tau=10.0)
        text = trace(plots.spectrum(spiral), "stable").text[0]
        assert "−0.5 + 2i" in text
        assert "decays e-fold in 20" in text  # 10 / 0.5
        assert "frequency: 0.0318" in text  # 2 / (2 pi 10)

    def test_a_growing_mode_of_a_map_says_so(self):
        doubling = made([[0.0]], ["unstable node"], [1], [[2.0]], [[[1.0]]], kind="map")
        assert "grows e-fold in 1.44" in trace(plots.spectrum(doubling), "1 unstable direction").text[0]  # 1 / ln 2

    @pytest.mark.parametrize("which", [[1, 3], np.array([False, True, False, True, False]), slice(1, 4, 2)])
    def test_chosen_points_keep_their_numbers(self, points, which):
        figure = plots.spectrum(points, which)
        ids = {int(i) for one in figure.data if one.mode == "markers" for i in one.customdata}
        assert ids == {1, 3}

    def test_an_unstable_eigenvalue_is_always_in_view_and_a_far_stable_one_is_told(self):
        values = np.concatenate([[3.0], np.linspace(-1, 0.5, 198), [-50.0]])
        figure = plots.spectrum(made([[0.0]], ["saddle"], [2], [values], [[[1.0]]]))
        ends = figure.layout.xaxis.autorangeoptions
        low, high = ends.minallowed, ends.maxallowed
        assert -50 < low < -1
        assert high > 3
        assert "1 eigenvalue far to the left of this view, down to −50" in caption(figure)


def record(steps: int = 40, S: int = 30, inputs: int = 2) -> dict[str, np.ndarray]:
    return {
        "step": np.arange(S) * 10,
        "mse": 10.0 ** -np.linspace(0, 2, S),
        "weight_norm": np.outer(np.linspace(0, 3, S), [1.0, 2.0]),
        "train_step": np.arange(steps) + 500,
        "train_input": np.zeros((steps, inputs)),
        "train_output": np.full((steps, 2), -0.5),
        "train_target": -np.ones((steps, 2)),
        "test_input": np.zeros((steps, inputs)),
        "test_output": np.full((steps, 2), 0.75),
        "test_target": np.ones((steps, 2)),
    }


class TestTrainingCurves:
    def test_every_output_has_a_row_with_its_target_and_its_input(self):
        figure = plots.training_curves(record())
        assert (
            names(figure).count("output") == names(figure).count("target") == names(figure).count("input pulses") == 4
        )
        rows = {name: [one.yaxis for one in figure.data if one.name == name] for name in ("output", "target")}
        assert rows["output"] == rows["target"] == ["y", "y3", "y2", "y4"]

    def test_the_four_panels_of_figure_5_are_the_end_of_training_the_test_the_mse_and_the_weights(self):
        figure = plots.training_curves(record())
        shown = {(one.yaxis, float(one.y[0])): one for one in figure.data if one.name == "output"}
        assert shown["y", -0.5].x[0] == 500
        assert shown["y2", 0.75].x[0] == 0
        assert {trace(figure, "MSE").yaxis, trace(figure, "|W_out| of output 2").yaxis} == {"y5", "y6"}

    def test_curves_of_training_are_those_of_the_record(self):
        figure, given = plots.training_curves(record()), record()
        np.testing.assert_allclose(trace(figure, "MSE").y, given["mse"], rtol=1e-6)
        for k in range(2):
            norms = trace(figure, f"|W_out| of output {k + 1}").y
            np.testing.assert_allclose(norms, given["weight_norm"][:, k], rtol=1e-6)
        np.testing.assert_array_equal(trace(figure, "MSE").x, given["step"])
        assert figure.layout[trace(figure, "MSE").yaxis.replace("y", "yaxis")].type == "log"

    def test_the_caption_gives_the_error_of_the_test(self):
        assert "mean absolute error 0.25 over 40 steps" in caption(plots.training_curves(record()))

    def test_what_an_earlier_version_kept_is_drawn_without_a_run_of_the_end_of_the_training(self):
        given = {key: value for key, value in record().items() if not key.startswith(("train_", "mse"))}
        given |= {"error": np.linspace(1, 0.01, 30), "weight_norm": np.linspace(0, 3, 30)}
        figure = plots.training_curves(given)
        np.testing.assert_allclose(trace(figure, "error").y, given["error"], rtol=1e-6)
        assert {one.name for one in figure.data} == {"input pulses", "target", "output", "error", "|W_out|"}

    def test_a_run_without_an_mse_is_named_beside_those_that_have_one(self):
        old = {"step": np.arange(3), "error": np.ones(3), "weight_norm": np.ones(3)}
        figure = plots.readout_learning({"new": record(), "old": old})
        assert [one.name for one in figure.data] == ["new", "new", "old"]
        assert "No MSE was kept, by an earlier version, of old." in caption(figure)

    def test_inputs_of_another_number_get_a_row_of_their_own(self):
        figure = plots.training_curves(record(inputs=3))
        assert {one.yaxis for one in figure.data if one.name == "input pulses"} == {"y5", "y6"}

    def test_long_records_are_thinned_out_and_the_caption_says_so(self):
        figure = plots.training_curves(record(steps=200_000, S=300_000))
        assert sum(len(one.x) for one in figure.data) <= 100_000
        assert "of the runs is drawn" in caption(figure)
        assert "of the curves is drawn" in caption(figure)

    def test_an_error_of_zero_leaves_a_gap_in_the_logarithm(self):
        given = record()
        given["mse"][3] = 0.0
        assert np.isnan(trace(plots.training_curves(given), "MSE").y).nonzero()[0].tolist() == [3]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"mse": None}, "lacks mse"),
            ({"mse": np.zeros(3)}, "the curves have shapes"),
            ({"train_step": np.zeros(3)}, "end of the training has shapes"),
            ({"test_target": np.zeros((40, 3))}, "of one T"),
        ],
    )
    def test_records_that_do_not_fit_are_refused(self, change, message):
        given = {key: value for key, value in {**record(), **change}.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            plots.training_curves(given)


@pytest.fixture(scope="module")
def plane() -> go.Figure:
    """Jang's example: nodes at (1, 1/2) and (-1, -1/2), a saddle at the origin (equations 14 and 15)."""
    points = made(
        [[1, 0.5], [-1, -0.5], [0, 0]],
        ["stable node", "stable node", "saddle"],
        [0, 0, 1],
        np.full((3, 2), -1.0),
        np.full((3, 1, 2), NAN),
    )
    return plots.phase_plane(SEEDS_EXAMPLE, points, bounds=((-2, 2), (-1.5, 1.5)))


class TestPhasePlane:
    def test_nullclines_are_the_zeros_of_each_component(self, plane):
        first, second = (one for one in plane.data if one.name.endswith("= 0)"))
        x, y = np.meshgrid(first.x, first.y)
        np.testing.assert_allclose(first.z, (1 - x**2) * y, atol=1e-5)
        np.testing.assert_allclose(second.z, x / 2 - y, atol=1e-5)
        for one in (first, second):
            assert (one.contours.start, one.contours.end, one.contours.coloring) == (0, 0, "none")

    def test_the_shading_is_the_logarithm_of_q(self, plane):
        shading = trace(plane, "log10 q")
        x, y = np.meshgrid(shading.x, shading.y)
        log_q = np.log10(((1 - x**2) ** 2 * y**2 + (x / 2 - y) ** 2) / 2)
        above = log_q > np.percentile(log_q, 2)  # the lowest are cut off, or the fixed points would use up the scale
        np.testing.assert_allclose(np.array(shading.z)[above], log_q[above], atol=1e-4)

    def test_points_have_the_symbols_of_the_portrait(self, plane):
        assert trace(plane, "stable").marker.symbol == "circle"
        saddle = trace(plane, "1 unstable direction")
        assert (saddle.marker.symbol, saddle.x.tolist(), saddle.y.tolist()) == ("diamond", [0], [0])

    def test_streamlines_of_a_uniform_flow_run_along_it(self):
        wind = Flow(lambda x, u: torch.ones_like(x) * torch.tensor([1.0, 0.0]), n_state=2)
        lines = trace(plots.phase_plane(wind), "streamlines")
        steps = np.stack([np.diff(np.array(values, dtype=float)) for values in (lines.x, lines.y)])
        assert np.median(np.abs(steps[1][~np.isnan(steps[1])])) == 0

    def test_bounds_come_from_the_points_then_the_box_then_a_default(self):
        free, boxed = Flow(lambda x, u: -x, n_state=2), Flow(lambda x, u: -x, n_state=2, bounds=(-1, 3))
        assert list(plots.phase_plane(free).layout.xaxis.range) == [-2, 2]
        assert list(plots.phase_plane(boxed).layout.yaxis.range) == [-1, 3]
        assert list(plots.phase_plane(boxed, bounds=(0, 5)).layout.yaxis.range) == [0, 5]
        low, high = plots.phase_plane(free, three([[4.0, 0], [6.0, 0]], ["stable node"] * 2, [0, 0])).layout.xaxis.range
        assert low < 4 < 6 < high

    def test_the_held_input_moves_the_nullcline(self):
        pushed = Flow(lambda x, u: u - x, n_state=2, n_input=2)
        nullcline = next(
            one for one in plots.phase_plane(pushed, input=[0.5, 0.0]).data if str(one.name).startswith("x<sub>1")
        )
        assert nullcline.z == pytest.approx(0.5 - np.meshgrid(nullcline.x, nullcline.y)[0], abs=1e-6)

    def test_a_map_moves_by_its_displacement(self):
        assert "G(x) − x" in caption(plots.phase_plane(Map(lambda x, u: x / 2, n_state=2)))

    def test_a_fixed_point_in_the_corner_does_not_stop_the_streamlines(self):
        lines = trace(plots.phase_plane(Flow(lambda x, u: -x, n_state=2), bounds=(0, 1)), "streamlines")
        assert np.isfinite(np.array(lines.x, dtype=float)).sum() > 100

    def test_what_is_not_a_plane_is_refused(self):
        with pytest.raises(ValueError, match="the points span no plane"):
            plots.phase_plane(Flow(lambda x, u: -x, n_state=3))

    @pytest.mark.parametrize(
        ("settings", "message"), [({"bounds": (1, 0)}, "low < high"), ({"input": [1.0]}, "input has 1 values")]
    )
    def test_settings_that_do_not_fit_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            plots.phase_plane(Flow(lambda x, u: -x, n_state=2), **settings)


class TestExport:
    def test_a_page_needs_nothing_from_outside(self, points, tmp_path):
        path = plots.save_html(plots.phase_portrait(points, title="a < b"), tmp_path / "new" / "portrait.html")
        page = path.read_text()
        outside = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
        tags = re.findall(
            r"<(?:script|link|iframe|img)\b[^>]*>", re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
        )
        assert tags
        assert not [tag for tag in tags if "src=" in tag or "href=" in tag]
        assert "http" not in outside
        assert "Plotly.newPlot" in page
        assert "<title>a &lt; b</title>" in page

    def test_a_page_that_cannot_be_written_is_an_output_error(self, points, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError):
            plots.save_html(plots.phase_portrait(points), tmp_path / "file" / "portrait.html")

    def test_without_kaleido_the_error_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "kaleido", None)
        with pytest.raises(plots.PictureError, match="pip install"):
            plots.save_picture(go.Figure(), tmp_path / "x.png")

    def test_without_a_browser_the_error_is_one_line_that_names_it(self, tmp_path, monkeypatch):
        pytest.importorskip("kaleido")
        monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-such-chrome"))
        with pytest.raises(plots.PictureError, match="Chrome or Chromium") as raised:
            plots.save_picture(go.Figure(), tmp_path / "x.png")
        assert "\n" not in str(raised.value)
        assert list(tmp_path.iterdir()) == []

    def test_a_png_has_twice_the_size_asked_for_and_the_figure_keeps_its_buttons(self, points, tmp_path):
        pytest.importorskip("kaleido")
        from choreographer.browsers.chromium import Chromium

        if Chromium.find_browser(skip_local=False) is None:
            pytest.skip("no Chrome on this machine")
        figure = plots.spectrum(points).update_layout(updatemenus=[{"buttons": [{"label": "b"}]}])
        image = plots.save_picture(figure, tmp_path / "x.png", width=300, height=200).read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", image[16:24]) == (600, 400)
        assert len(figure.layout.updatemenus) == 1


def test_importing_the_plots_imports_no_plotly():
    code = "import sys, dynsys.plots; sys.exit('plotly' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_plot_in_the_registry_can_be_had_by_name():
    for name in plots.__all__:
        assert callable(getattr(plots, name)), name
    with pytest.raises(AttributeError, match="no attribute"):
        plots.pie  # noqa: B018
