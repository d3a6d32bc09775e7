"""Lines, rings, planes and surfaces of fixed points whose shape, length and modes have closed forms."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map, find_fixed_points
from dynsys.continuous_attractors.trace import manifolds, trace
from dynsys.systems.held import Held

NO_INPUT = torch.zeros(1, 0, dtype=torch.float64)
Q = torch.as_tensor(np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0])


def turned(velocity, Q=Q):
    """The same flow in coordinates turned by Q."""
    return lambda x, u: velocity(x @ Q, u) @ Q.T


def state(*y, Q=Q):
    """One state (1, n), given in the coordinates before the turn."""
    full = torch.zeros(1, len(Q), dtype=torch.float64)
    full[0, : len(y)] = torch.tensor(y, dtype=torch.float64)
    return full @ Q.T


def ring(y, u):
    """r' = r (1 - r^2) in the first two coordinates, the others decay: a ring of length 2 pi."""
    r2 = (y[:, :2] ** 2).sum(1, keepdim=True)
    return torch.cat([y[:, :2] * (1 - r2), -y[:, 2:]], dim=1)


def two_rings(y, u):
    """r' = r (1 - r^2) (4 - r^2): a stable ring at 1, an unstable one at 2."""
    r2 = (y[:, :2] ** 2).sum(1, keepdim=True)
    return torch.cat([y[:, :2] * (1 - r2) * (4 - r2), -y[:, 2:]], dim=1)


def cylinder(y, u):
    """The ring at every value of a third coordinate that does not move."""
    r2 = (y[:, :2] ** 2).sum(1, keepdim=True)
    return torch.cat([y[:, :2] * (1 - r2), 0 * y[:, 2:3], -y[:, 3:]], dim=1)


def angles(n, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(0, 2 * np.pi, n))


def on_circle(theta, radius=1.0, third=0.0, Q=Q):
    y = torch.zeros(len(theta), len(Q), dtype=torch.float64)
    y[:, 0], y[:, 1], y[:, 2] = radius * theta.cos(), radius * theta.sin(), third
    return y @ Q.T


@pytest.mark.parametrize("kind", [Flow, Map])
def test_a_ring_attractor_is_one_ring_of_its_length(kind):
    velocity = turned(ring)
    system = kind(velocity, 5) if kind is Flow else Map(lambda x, u: x + 0.2 * velocity(x, u), 5)
    found = trace(Held(system, NO_INPUT, 1.0), state(np.cos(1), np.sin(1)))
    assert (found.kind, found.dimension, found.n_unstable, found.is_whole) == ("ring", 1, 0, True)
    assert found.extent == pytest.approx(2 * np.pi, rel=1e-9)
    leading = -1.0 if kind is Flow else 0.8  # of the decaying coordinates; across the ring it is -2 or 0.6
    assert found.leading_eigenvalue == pytest.approx(leading, abs=1e-9)
    y = found.representatives @ Q
    theta = torch.atan2(y[:, 1], y[:, 0]).sort().values
    gaps = torch.cat([theta, theta[:1] + 2 * np.pi]).diff()
    np.testing.assert_allclose(gaps, np.full(8, np.pi / 4), atol=1e-3)
    np.testing.assert_allclose(y[:, :2].norm(dim=1), np.ones(8), atol=1e-12)


@pytest.mark.parametrize("radius", [1e-2, 30.0])
def test_rings_of_other_sizes_than_the_usual_state_are_closed(radius):
    """r' = r (1 - r^2 / R^2): the length is 2 pi R."""
    system = Flow(lambda x, u: x * (1 - (x**2).sum(1, keepdim=True) / radius**2), 2)
    unit = 1.0 if radius < 1 else 15.0
    found = trace(Held(system, NO_INPUT, unit), torch.tensor([[radius, 0.0]], dtype=torch.float64))
    assert found.kind == "ring"
    assert found.extent == pytest.approx(2 * np.pi * radius, rel=1e-9)


def test_a_ring_in_a_network_of_many_units_is_found():
    """x' = -x + m / |m| with m the projection on a plane: the unit circle in that plane; eigenvalues -1 across it."""
    n = 150
    P = torch.as_tensor(np.linalg.qr(np.random.default_rng(1).standard_normal((n, 2)))[0])

    def velocity(x, u):
        m = x @ P
        return -x + (m / m.norm(dim=1, keepdim=True)) @ P.T

    found = trace(Held(Flow(velocity, n), NO_INPUT, 1.0), P[:, :1].T)
    assert (found.kind, found.n_unstable) == ("ring", 0)
    assert found.extent == pytest.approx(2 * np.pi, rel=1e-9)
    assert found.leading_eigenvalue == pytest.approx(-1.0, abs=1e-9)


@pytest.mark.parametrize(("d", "kind"), [(1, "line"), (2, "plane"), (3, "3-dimensional")])
def test_a_linear_map_has_as_many_dimensions_as_eigenvalues_of_one(d, kind):
    values = torch.tensor([1.0] * d + [1.2, 0.5, -0.2, 0.9, 0.3], dtype=torch.float64)[:5]
    A = Q @ torch.diag(values) @ Q.T
    found = trace(Held(Map(lambda x, u: x @ A.T, 5), NO_INPUT, 1.0), torch.zeros(1, 5, dtype=torch.float64))
    assert (found.dimension, found.kind, found.n_unstable) == (d, kind, 1)
    assert found.leading_eigenvalue == pytest.approx(1.2, abs=1e-9)
    span = Q[:, :d]
    across = found.representatives - found.representatives @ span @ span.T
    assert across.abs().max() < 1e-12
    assert torch.linalg.matrix_rank(found.representatives - found.representatives[0], rtol=1e-6) == d


def test_a_linear_map_that_is_not_normal_has_one_line_as_well():
    """Eigenvalues 1 and 0.5 with eigenvectors at 6 degrees: the line is along the first of them."""
    v = torch.tensor([[1.0, 1.0], [0.0, 0.1]], dtype=torch.float64)
    A = v @ torch.diag(torch.tensor([1.0, 0.5], dtype=torch.float64)) @ torch.linalg.inv(v)
    found = trace(Held(Map(lambda x, u: x @ A.T, 2), NO_INPUT, 1.0), torch.zeros(1, 2, dtype=torch.float64))
    assert (found.kind, found.dimension) == ("line", 1)
    assert found.representatives[:, 1].abs().max() < 1e-12
    assert found.leading_eigenvalue == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("unit", [0.02, 1.0])
def test_a_line_ends_at_the_bounds_of_the_reachable_states(unit):
    """In [-1, 1]^2 the zeros of x' = (y - x, x - y) are the diagonal, 2 sqrt(2) long, in any unit."""
    system = Flow(lambda x, u: torch.stack([x[:, 1] - x[:, 0], x[:, 0] - x[:, 1]], 1), 2, bounds=(-1, 1))
    found = trace(Held(system, NO_INPUT, unit), torch.tensor([[0.3, 0.3]], dtype=torch.float64))
    assert found.kind == "line"
    assert found.extent == pytest.approx(2 * 2**0.5, abs=1e-4)


@pytest.mark.parametrize(("n", "push"), [(2, 0.0), (3, -1.0)])
def test_a_quarter_plane_is_one_plane_with_its_corner_and_its_edges(n, push):
    """x' = [x + b]+, b = (push, 0, 0): of two units all of the first quadrant, and of three that of the last two."""
    b = torch.tensor([push] + [0.0] * (n - 1), dtype=torch.float64)
    starts = np.vstack([np.zeros(n), [[0.0] * (n - 2) + pair for pair in ([1.0, 0.0], [1.0, 2.0], [0.0, 3.0])]])
    points = find_fixed_points(Map(lambda x, u: torch.relu(x + b), n), starts, closure=False, verify=False, workers=1)
    (plane,) = points.manifolds
    assert (plane["kind"], plane["dimension"]) == ("plane", 2)
    assert (points.manifold == 0).all()


def test_a_segment_has_ends():
    """x' = -[x - 1]+ + [-x - 1]+, y' = -y: zero for |x| <= 1, and nowhere else."""
    system = Flow(lambda x, u: torch.stack([torch.relu(-x[:, 0] - 1) - torch.relu(x[:, 0] - 1), -x[:, 1]], 1), 2)
    found = trace(Held(system, NO_INPUT, 1.0), torch.tensor([[0.3, 0.0]], dtype=torch.float64))
    assert (found.kind, found.dimension) == ("segment", 1)
    assert not found.goes_on
    assert found.extent == pytest.approx(2.0, abs=1e-12)
    np.testing.assert_allclose(sorted(found.representatives[:, 0].tolist()), np.linspace(-1, 1, 8), atol=1e-12)


def test_a_line_with_one_end_is_a_half_line_that_goes_on():
    """x' = max(-x, 0): zero for all x >= 0."""
    found = trace(Held(Flow(lambda x, u: torch.relu(-x), 1), NO_INPUT, 1.0), torch.tensor([[0.7]], dtype=torch.float64))
    assert (found.kind, found.goes_on, found.is_whole) == ("half-line", True, True)
    assert abs(float(found.representatives.min())) < 1e-15
    assert float(found.representatives.max()) == pytest.approx(found.extent, rel=1e-12)
    assert f"half-line of marginal fixed points, followed over {found.extent:.4g}," in str(found)


def test_a_state_far_out_sets_the_scale_where_usual_states_are_next_to_nothing():
    """The diagonal of the plane, with a usual size a thousandth of where its point lies."""
    system = Flow(lambda x, u: torch.stack([x[:, 1] - x[:, 0], x[:, 0] - x[:, 1]], 1), 2)
    x = torch.tensor([[0.3, 0.3]], dtype=torch.float64)
    (found,) = manifolds(system, x, [0], NO_INPUT, unit=1e-4).found
    assert (found.kind, found.goes_on) == ("line", True)
    assert found.extent > 20 * 0.3 * 2**0.5


def test_a_sphere_is_a_closed_surface_and_no_plane():
    """x' = x (1 - |x|^2): every great circle comes back; the diameter is 2."""
    system = Flow(lambda x, u: x * (1 - (x**2).sum(1, keepdim=True)), 3)
    found = trace(Held(system, NO_INPUT, 1.0), torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64))
    assert (found.dimension, found.kind, found.n_unstable, found.goes_on) == (2, "closed surface", 0, False)
    assert 1.9 < found.extent <= 2.0 + 1e-9
    assert found.leading_eigenvalue == pytest.approx(-2.0, abs=1e-9)
    np.testing.assert_allclose(found.representatives.norm(dim=1), np.ones(8), atol=1e-12)


def test_a_cylinder_is_a_surface_that_holds_its_own_points_only():
    found = trace(Held(Flow(turned(cylinder), 5), NO_INPUT, 1.0), state(1.0, 0.0))
    assert (found.dimension, found.kind, found.n_unstable) == (2, "surface", 0)
    assert found.goes_on
    theta = angles(100)
    mine = on_circle(theta, third=theta - 3)
    assert bool(found.holds(mine).all())
    assert not bool(found.holds(mine + 1e-3 * state(1.0, 0.0)).any())
    assert not bool(found.holds(state(0.0, 0.0, 0.5)).any())  # on the axis, which is a line of zeros of its own


@pytest.mark.parametrize(
    ("velocity", "x"),
    [
        (lambda x, u: x**2, 0.0),
        (lambda x, u: x**2, 3e-9),  # as near as float64 can tell
        (lambda x, u: -(x**3), 0.0),
        (lambda x, u: -(x**3), 1e-6),
        (lambda x, u: x**7, 1e-5),
        (lambda x, u: 1e-8 * torch.sin(5 * x), 0.0),  # slow everywhere, and zero at points only
        (lambda x, u: x - torch.tanh(x), 0.0),  # a pitchfork
    ],
)
def test_isolated_marginal_points_are_no_lines(velocity, x):
    def both(y, u):
        return torch.cat([velocity(y[:, :1], u), -y[:, 1:]], dim=1)

    assert trace(Held(Flow(velocity, 1), NO_INPUT, 1.0), torch.tensor([[x]], dtype=torch.float64)) is None
    assert trace(Held(Flow(turned(both), 5), NO_INPUT, 1.0), state(x)) is None


def test_a_line_that_is_only_approximate_is_none():
    """Along x the speed is 1e-10 sin(20 x): fixed points at multiples of pi / 20, slow between them."""

    def velocity(y, u):
        return torch.cat([1e-10 * torch.sin(20 * y[:, :1]), -y[:, 1:]], dim=1)

    assert trace(Held(Flow(turned(velocity), 5), NO_INPUT, 1.0), state(np.pi / 20)) is None


def test_a_nearly_marginal_mode_across_a_line_is_not_taken_for_a_tangent():
    def velocity(y, u):
        return torch.cat([0 * y[:, :1], -1e-8 * torch.sin(y[:, 1:2]), -y[:, 2:]], dim=1)

    found = trace(Held(Flow(turned(velocity), 5), NO_INPUT, 1.0), state(0.2))
    assert found.dimension == 1
    assert found.leading_eigenvalue == pytest.approx(-1e-8, abs=1e-12)


def test_a_point_with_an_invertible_jacobian_has_no_others_beside_it():
    assert trace(Held(Flow(lambda x, u: -x, 3), NO_INPUT, 1.0), torch.zeros(1, 3, dtype=torch.float64)) is None


def test_a_state_that_is_no_fixed_point_gives_nothing():
    assert trace(Held(Flow(turned(ring), 5), NO_INPUT, 1.0), state(0.9, 0.0)) is None


def test_hundreds_of_points_are_two_rings_and_one_alone():
    system = Flow(turned(two_rings), 5)
    x = torch.cat([on_circle(angles(150)), on_circle(angles(150, 1), 2.0), state(0.0, 0.0)])
    result = manifolds(system, x, [0] * len(x), NO_INPUT, unit=2.0)
    assert [m.kind for m in result.found] == ["ring", "ring"]
    assert [m.n_unstable for m in result.found] == [0, 1]
    np.testing.assert_allclose([m.extent for m in result.found], [2 * np.pi, 4 * np.pi], rtol=1e-9)
    assert result.membership.tolist() == [0] * 150 + [1] * 150 + [-1]
    assert result.left_out == []


def test_each_input_has_manifolds_of_its_own():
    """The radius is the input: two rings that share no point, and none for points under the other input."""

    def velocity(x, u):
        return x * (u**2 - (x**2).sum(1, keepdim=True))

    system = Flow(velocity, 2, n_input=1)
    inputs = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
    result = manifolds(system, x, [0, 0, 1, 1], inputs, 1.0)
    assert [m.group for m in result.found] == [0, 1]
    np.testing.assert_allclose([m.extent for m in result.found], [2 * np.pi, 4 * np.pi], rtol=1e-9)
    assert result.membership.tolist() == [0, 0, 1, 1]


def test_what_a_limit_leaves_out_is_said():
    x = torch.cat([state(0.0, 0.0, 0.0, 0.0, 0.0)] * 3)
    result = manifolds(Flow(turned(lambda y, u: -(y**3)), 5), x, [0] * 3, NO_INPUT, 1.0, most_traces=1)
    assert result.found == []
    assert result.left_out == ["whether 2 of 3 marginal points form lines"]


def test_no_marginal_points_cost_nothing():
    def never(x, u):
        raise AssertionError("the system was asked")

    result = manifolds(Flow(never, 5), torch.zeros(0, 5, dtype=torch.float64), [], NO_INPUT, 1.0)
    assert (result.found, result.left_out) == ([], [])


def test_a_manifold_tells_of_itself_in_plain_values():
    import json

    found = trace(Held(Flow(turned(ring), 5), NO_INPUT, 1.0), state(1.0, 0.0))
    told = json.loads(json.dumps(found.to_dict()))
    assert told["kind"] == "ring"
    assert np.array(told["representatives"]).shape == (8, 5)
    assert str(found) == "a ring of marginal fixed points, extent 6.283, no unstable direction across it"
