"""Slices through the state space of large networks: where the plane lies, what is shaded, what is drawn in it."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import Flow, find_fixed_points, plots
from dynsys.cli import main
from dynsys.plots.portrait.slices import Plane, plane_of

Q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]  # orthonormal coordinates z = Q x
T = torch.as_tensor(Q)


def velocity(x, u):
    """z1' = z1 - z1^3, z2' = -0.5 z2, the others -1, -2, -3: points at z1 = -1, 0, 1."""
    z = x @ T.T
    rates = torch.tensor([0.0, -0.5, -1.0, -2.0, -3.0], dtype=x.dtype)
    moved = z * rates + torch.nn.functional.pad((z[:, :1] - z[:, :1] ** 3), (0, 4))
    return moved @ T


SYSTEM = Flow(velocity, n_state=5, bounds=(-2, 2), readout=lambda x: (x @ T.T)[:, :2] * 2, n_output=2)


@pytest.fixture(scope="module")
def points():
    return find_fixed_points(SYSTEM, n_starts=32, verify=False, full_spectrum=True)


def test_a_plane_is_that_of_the_leading_modes_of_a_point(points):
    """At z1 = 0 they are along z1 (rate 1) and z2 (rate -0.5)."""
    origin = int(np.argmin(np.linalg.norm(points.states, axis=1)))
    plane = plane_of(SYSTEM, points, "modes", origin)
    np.testing.assert_allclose(abs(plane.E @ Q.T), np.eye(2, 5), atol=1e-9)
    assert plane.names == ("mode 1", "mode −0.5")
    np.testing.assert_allclose(plane.middle, 0, atol=1e-9)


def test_a_plane_of_readouts_follows_their_gradients(points):
    plane = plane_of(SYSTEM, points, "readouts", None)
    np.testing.assert_allclose(plane.E @ Q.T, np.eye(2, 5), atol=1e-9)


def test_what_is_shaded_is_log_q_of_the_states_in_the_plane(points):
    """In the plane z1, z2 through the origin q = ((z1 - z1^3)^2 + (z2 / 2)^2) / 2."""
    figure = plots.phase_plane(SYSTEM, points, plane=Q[:2], through=np.zeros(5), bounds=(-1.5, 1.5))
    (shaded,) = [one for one in figure.data if one.name == "log10 q"]
    a, b = np.meshgrid(shaded.x, shaded.y)
    np.testing.assert_allclose(
        shaded.z, np.maximum(np.log10(((a - a**3) ** 2 + b**2 / 4) / 2), np.min(shaded.z)), atol=1e-5
    )


def test_points_off_the_plane_are_drawn_paler_where_their_shadows_fall(points):
    """The plane of z1 and z2, 1.5 above the points along z3."""
    figure = plots.phase_plane(SYSTEM, points, plane=Q[:2], through=1.5 * Q[2], bounds=(-2, 2))
    (stable,) = [one for one in figure.data if one.name == "stable, off the plane"]
    np.testing.assert_allclose(sorted(stable.x), [-1, 1], atol=1e-6)
    assert stable.opacity < 1
    (caption,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
    assert "3 of 3 lie off the plane" in caption
    assert "of its length" in caption.replace("<br>", " ")
    inside = plots.phase_plane(SYSTEM, points, plane=Q[:2], through=0, bounds=(-2, 2))
    assert "stable" in [one.name for one in inside.data]


def test_the_share_of_the_velocity_in_the_plane_is_told(points):
    """Along z2 and z4 through the origin F = (-z2/2, -2 z4) lies in the plane; along z2 and z3 + z4 it does not."""
    told = []
    for second in (Q[3], Q[2] + Q[3]):
        figure = plots.phase_plane(SYSTEM, points, plane=[Q[1], second], through=np.zeros(5), bounds=(-1, 1))
        (caption,) = [note.text for note in figure.layout.annotations if note.name == "caption"]
        told.append(float(caption.replace("<br>", " ").split("in the median ")[1].split(" %")[0]))
    assert told[0] == 100
    assert told[1] < 99


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"plane": "components"}, "span no plane"),  # the three points lie on a line
        ({"plane": [[1.0, 0, 0, 0, 0]] * 2}, "span no plane"),
        ({"plane": np.eye(2, 4)}, r"two directions are \(2, 5\)"),
        ({"plane": "axes"}, "'components', 'modes', 'readouts'"),
        ({"plane": "modes", "through": 7}, "no point 7"),
        ({"plane": "modes", "through": [1.0, 2.0]}, "number of a point, or a state"),
        ({"plane": "modes", "shading": "energy"}, "no energy is known"),
    ],
)
def test_what_spans_no_plane_is_refused(points, asked, said):
    with pytest.raises(ValueError, match=said):
        plots.phase_plane(SYSTEM, points, **asked)


def test_one_variable_has_no_plane():
    with pytest.raises(ValueError, match="needs 2 or more"):
        plots.phase_plane(Flow(lambda x, u: -x, n_state=1))


def test_the_energy_of_a_symmetric_network_is_shaded_where_asked():
    """x' = -x + W tanh(x) with symmetric W has its energy minima at its stable points."""
    from dynsys.models.rate import LeakyRate

    W = 1.5 * np.ones((3, 3)) / 3 + 0.3 * np.eye(3)
    system = LeakyRate(W)
    found = find_fixed_points(system, n_starts=32, verify=False)
    figure = plots.phase_plane(
        system, found, plane=[[1.0, 1, 1], [1, -1, 0]], through=np.zeros(3), shading="energy", bounds=(-3, 3)
    )
    (shaded,) = [one for one in figure.data if one.name == "energy"]
    lowest = np.unravel_index(np.argmin(shaded.z), shaded.z.shape)
    plane = Plane(np.zeros(3), np.linalg.qr(np.array([[1.0, 1, 1], [1, -1, 0]]).T)[0].T)
    stable = found.states[found.n_unstable == 0] @ (plane.E * np.sign(plane.E[:, :1])).T
    at = np.array([shaded.x[lowest[1]], shaded.y[lowest[0]]])
    assert np.linalg.norm(stable - at, axis=1).min() < 0.1


def test_portrait_slices_a_run(tmp_path):
    torch.manual_seed(0)
    module = torch.nn.GRU(2, 4, batch_first=True)
    torch.save(module.state_dict(), tmp_path / "gru.pt")

    def run(*arguments):
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output + result.stderr
        return result.output

    run("find", tmp_path / "gru.pt", "-o", tmp_path / "run", "--starts", 16, "--no-verify", "--full-spectrum")
    said = run(
        "portrait",
        tmp_path / "run",
        "-o",
        tmp_path / "p.html",
        "--picture",
        "plane",
        "--plane",
        "modes",
        "--through",
        0,
    )
    assert "in the plane" in said
