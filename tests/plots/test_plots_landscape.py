"""The landscape in the plane of patterns: its heights are those of the energy, its lengths true lengths."""

import numpy as np
import pytest

from dynsys.analyses.landscape import landscape, names_in
from dynsys.models.associative import ContinuousHopfield, DenseMemory, PatternDescent
from dynsys.models.examples.bistable import Bistable
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.plots.memory.landscape import energy_landscape
from dynsys.plots.portrait.slices import Plane

S = np.array([[1.0, 1, 1, 1, -1, 1], [1, -1, 1, -1, -1, 1], [-1, 1, 1, -1, 1, 1]])


def drawn(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_distances_in_the_plane_are_those_of_the_states():
    for chosen in (S[:2], S):
        plane = Plane.through(chosen)
        places = plane.places(chosen)
        for i in range(len(chosen)):
            length = np.linalg.norm(chosen[i] - chosen[0]) / plane.unit
            assert np.linalg.norm(places[i] - places[0]) == pytest.approx(length, abs=1e-12)
        np.testing.assert_allclose(plane.states(places), chosen, atol=1e-12)
        np.testing.assert_allclose(plane.away(chosen), 0, atol=1e-12)


def test_heights_are_the_energy_written_out():
    """E(x) = |x|^2 / 2 - ln sum exp(s . x) at beta = 1, in the middle of the plane of two: -ln 2."""
    figure = landscape(DenseMemory(S[:2], kind="flow"))
    heights = drawn(figure, "energy")
    middle = len(heights.x) // 2
    assert heights.x[middle] == pytest.approx(0)
    assert heights.z[middle, middle] == pytest.approx(-np.log(2), abs=1e-6)


def test_two_patterns_hold_every_trajectory_of_their_net_in_their_plane():
    """V = tanh(g x) of x = a s + b t is tanh(g (a +- b)) where s and t agree or not, and so in the plane as well."""
    figure = landscape(ContinuousHopfield.hebb(S[:2]), names=["s", "t"])
    assert "all within this plane" in figure.layout.annotations[0].text
    assert list(drawn(figure, "stored patterns").text) == ["<b>s</b>", "<b>t</b>"]


def test_names_are_those_that_the_file_keeps(tmp_path):
    path = save_checkpoint(tmp_path / "c.safetensors", ContinuousHopfield.hebb(S[:2]), {"patterns": ["E", "J"]})
    assert names_in(path) == ["E", "J"]
    assert names_in(save_checkpoint(tmp_path / "d.safetensors", ContinuousHopfield.hebb(S[:2]))) is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: landscape(Bistable(2)), "bistable is no memory that goes down a landscape"),
        (
            lambda: landscape(ContinuousHopfield(np.triu(np.ones((6, 6))), S=S)),
            "there is no energy: W must be symmetric",
        ),
        (lambda: landscape(ContinuousHopfield(np.eye(3))), "does not tell which patterns it stores"),
        (
            lambda: landscape(DenseMemory(S), patterns=[0, 3]),
            "there is no pattern 3; this memory stores patterns 0 to 2",
        ),
        (lambda: landscape(DenseMemory(S), patterns=[1]), "1 patterns are given; a plane is that of 2"),
        (lambda: landscape(PatternDescent([[1.0, 0], [2, 0]], "ab")), "these patterns span no plane"),
        (lambda: energy_landscape(lambda x: x[:, 0] / 0, S, "abc"), "the energy is not finite everywhere"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")
def test_what_has_no_landscape_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()
