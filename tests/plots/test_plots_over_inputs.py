"""Pictures of a path of inputs: x' = 2 - u - x^2 has the points +-sqrt(2 - u), with time constants 1 / (2 sqrt(2 - u)),
which meet at u = 2."""

import numpy as np
import pytest

from dynsys import Flow, follow_inputs, plots
from dynsys.plots.inputs.moving import Trial


@pytest.fixture(scope="module")
def diagram():
    fold = Flow(lambda x, u: 2 - u[:, :1] - x**2, n_state=1, n_input=1, bounds=(-3, 3))
    return follow_inputs(fold, [[0.0], [2.9]], searches=2)


def shown(figure, name):
    (trace,) = [one for one in figure.data if one.name == name]
    return trace


def test_time_constants_are_those_of_the_square_root(diagram):
    figure = plots.decay_times(diagram, 3.0)
    for name in ("no unstable direction", "1 unstable direction"):
        trace = shown(figure, name)
        u, tau = (np.asarray(values, dtype=float) for values in (trace.x, trace.y))
        early = np.isfinite(tau) & (u < 1.7)
        assert early.any()
        assert np.allclose(tau[early], 3 / (2 * np.sqrt(2 - u[early])))


def test_points_have_the_colour_of_the_one_input_that_changes(diagram):
    trace = shown(plots.points_by_input(diagram), "no unstable direction")
    inputs = [2.9 * s for s in diagram.steps if 2.9 * s < 2]
    assert np.allclose(sorted(trace.marker.color), inputs)
    assert trace.text[0] == "no unstable direction<br>input (0.00)"


def test_the_slider_stops_at_each_place_and_shows_the_points_there(diagram):
    at = [diagram.at_place(i) for i in range(len(diagram.steps))]
    figure = plots.moving_portrait(at, [f"{s:g}" for s in diagram.steps], "input")
    told = [frame.layout.title.text for frame in figure.frames]
    assert len(figure.layout.sliders[0].steps) == len(diagram.steps)
    for s, head in zip(diagram.steps, told, strict=True):
        assert ("2 fixed points: 1 stable, 1 with 1 unstable direction" if 2.9 * s < 2 else "0 fixed points") in head


def test_the_state_of_a_trial_moves_with_its_frame(diagram):
    states, steps = np.array([[0.0], [1.0], [3.0]]), np.array([0, 2])
    trial = Trial(states, steps, {"input": np.array([[1.0], [5.0], [2.0]])})
    figure = plots.moving_portrait([diagram.points_at(0)] * 2, ["0", "2"], "step", trial=trial)
    first, last = ({trace.name: trace for trace in frame.data} for frame in figure.frames)
    assert abs(last["the state"].x[0] - first["the state"].x[0]) == pytest.approx(3)
    assert len(last["the trial so far"].x) == 3
    cursors = [[trace.x[0] for trace in frame.data if trace.type == "scatter"] for frame in figure.frames]
    assert cursors == [[0], [2]]


def test_a_name_for_each_frame(diagram):
    with pytest.raises(ValueError, match="there are 1 frames and 0 names"):
        plots.moving_portrait([diagram.points_at(0)], [], "input")
