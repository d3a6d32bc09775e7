"""Functions with kinks that nobody tells of, and what is said of their fixed points, where one side would be false."""

import numpy as np
import pytest
import torch
from torch import nn

from dynsys import Flow, Map, find_fixed_points, wrap
from dynsys.piecewise_linear.felt_kinks import felt_sides
from dynsys.piecewise_linear.kinks import stability_at_kink
from dynsys.systems.held import Held

relu = torch.relu
NO_INPUT = torch.zeros(1, 0).double()


def searched(system):
    return find_fixed_points(system, n_starts=16, slow_q=0.0)


@pytest.mark.parametrize(
    ("system", "word"),
    [
        (Map(lambda x, u: relu(2 * x), 1), "marginal"),  # driven away above 0, and still below
        (Map(lambda x, u: relu(x / 2), 1), "stable node"),
        (Map(lambda x, u: torch.where(x > 0, 0.9 * x, -0.5 * x), 1), "stable node"),
        (Map(lambda x, u: torch.where(x > 0, 3 * x, 2 * x), 1, bounds=(-1, 1)), "unstable node"),
        (Flow(lambda x, u: torch.where(x > 0, x, -x / 2), 1, bounds=(-1, 1)), "marginal"),
        (Flow(lambda x, u: torch.where(x > 0, -x, -x / 2), 1, bounds=(-1, 1)), "stable node"),
        (Flow(lambda x, u: x.abs(), 1, bounds=(-1, 1)), "marginal"),
    ],
)
def test_a_kink_at_a_fixed_point_is_felt_from_both_sides(system, word):
    points = searched(system)
    assert abs(points.states).max() < 1e-9
    assert points.stability.tolist() == [word]
    assert points.kinks.tolist() == [1]
    assert "1 of them on a kink" in points.summary()


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_a_zero_beside_a_jump_is_not_called_stable(size):
    """Both sides of 0 have the derivative 1/2, and states just below it end at -2 size."""
    system = Map(lambda x, u: x / 2 - size * (x < 0).double(), 1)
    x = torch.tensor([[0.0], [-2 * size]], dtype=torch.float64)
    felt, sides = felt_sides(Held(system, NO_INPUT.expand(2, 0), 1.0), x, torch.zeros(2).double())
    assert felt.tolist() == [True, False]
    assert stability_at_kink(sides[0], system.kind).word == "marginal"


def test_two_sides_of_which_each_is_stable_and_their_products_are_not():
    left, right = (torch.tensor(W).double() for W in ([[-1.918, 1.0], [-0.956, 0.0]], [[-0.4416, 1.0], [-0.9043, 0.0]]))
    points = searched(Map(lambda x, u: torch.where(x[:, :1] < 0, x @ left.T, x @ right.T), 2))
    assert points.stability.tolist() == ["marginal"]
    x = torch.tensor([[1.0, 0.3]]).double()
    for _ in range(500):
        x = torch.where(x[:, :1] < 0, x @ left.T, x @ right.T)
    assert x.norm() > 1e6


def test_several_kinks_at_one_point_are_not_called_stable_where_one_of_them_is_not():
    W = torch.diag(torch.tensor([0.5, 2.0, 0.3])).double()
    assert searched(Map(lambda x, u: relu(x @ W), 3)).stability.tolist() == ["marginal"]


def test_a_point_that_every_side_of_two_kinks_drives_away_is_no_stable_one():
    """x' = 3 x + |R x| / 10: on each of the four sides both directions grow."""
    R = torch.tensor([[0.6, 0.8], [-0.8, 0.6]]).double()
    points = find_fixed_points(Map(lambda x, u: 3 * x + 0.1 * (x @ R.T).abs(), 2), np.zeros((1, 2)), workers=1)
    assert not points.states.any()
    assert points.stability.tolist() in (["unstable node"], ["marginal"])


def smaller(a, b):
    """That of two numbers of one sign which is nearer to 0, and 0 where the signs differ: odd, with two kinks."""
    return (a.sign() + b.sign()) / 2 * torch.minimum(a.abs(), b.abs())


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_kinks_of_an_odd_function_are_felt_though_its_jacobian_is_the_same_on_opposite_sides(turn):
    """x' = -x + 3 m, y' = -y + 3 m with m the smaller of x and y: x = y grows as exp(2 t), most others shrink."""
    Q = torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).double()

    def velocity(x, u):
        y = x @ Q
        return (-y + 3 * smaller(y[:, :1], y[:, 1:])) @ Q.T

    assert searched(Flow(velocity, 2, bounds=(-1, 1))).stability.tolist() == ["marginal"]


@pytest.mark.parametrize(("direction", "half_width"), [(0.0, 0.6), (17.0, 1.5), (64.0, 0.6), (140.9, 0.6)])
def test_a_narrow_sector_of_a_plane_is_felt(direction, half_width):
    """x' = -x + 30 max(a - |b| / tan w, 0) e, with a along e and b across it: x grows on the half-line along e, and
    shrinks w degrees beside it."""
    turn, w = np.deg2rad(direction), np.deg2rad(half_width)
    e = torch.tensor([[np.cos(turn), np.sin(turn)]]).double()
    across = torch.tensor([[-np.sin(turn), np.cos(turn)]]).double()

    def velocity(x, u):
        return -x + 30 * relu((x * e).sum(1, keepdim=True) - (x * across).sum(1, keepdim=True).abs() / np.tan(w)) * e

    assert searched(Flow(velocity, 2, bounds=(-1, 1))).stability.tolist() == ["marginal"]


def test_a_module_of_torch_that_was_wrapped_is_looked_at_from_both_sides():
    class Doubled(nn.Module):
        def forward(self, x, u):
            return relu(2 * x)

    points = searched(wrap(Doubled(), n_state=1, n_input=1, convention="step"))
    assert points.stability.tolist() == ["marginal"]


@pytest.mark.parametrize(
    "velocity",
    [
        lambda x, u: -x + torch.tanh(2 * x),
        lambda x, u: x**2,  # a fold: all of the derivative changes its sign
        lambda x, u: -(x**3),
        lambda x, u: -x - x * x.abs(),  # a second derivative that jumps, and a first that does not
        lambda x, u: -x - torch.sign(x) * x.abs() ** 1.5,
        lambda x, u: -1e3 * torch.sin(1e3 * x),
        lambda x, u: -torch.sinh(20 * x),
    ],
)
def test_smooth_functions_have_no_kink_however_much_they_bend(velocity):
    system = Flow(velocity, 1)
    felt, sides = felt_sides(Held(system, NO_INPUT, 1.0), torch.zeros(1, 1).double(), torch.zeros(1).double())
    assert felt.tolist() == [False]
    assert sides == [None]


def test_the_sides_of_one_kink_are_its_two_jacobians_and_its_normal():
    """F = -x + b max(c x, 0)."""
    b, c = (torch.tensor(v).double() for v in ([0.3, -0.2, 0.5], [2.0, -1.0, 2.0]))
    system = Flow(lambda x, u: -x + relu(x @ c).unsqueeze(1) * b, 3)
    felt, (sides,) = felt_sides(Held(system, NO_INPUT, 1.0), torch.zeros(1, 3).double(), torch.zeros(1).double())
    assert felt.all()
    assert sides.all_of_them
    one = torch.eye(3).double()
    above = sides.signs[:, 0] * (sides.normals[:, 0] @ c) > 0
    torch.testing.assert_close((sides.normals[:, 0] @ c).abs(), torch.full((2,), 3.0).double())  # |c| is 3
    torch.testing.assert_close(sides.jacobians[above], (-one + b.unsqueeze(1) * c).unsqueeze(0))
    torch.testing.assert_close(sides.jacobians[~above], -one.unsqueeze(0))


def test_a_kink_beside_a_point_is_none_of_its_own():
    points = searched(Map(lambda x, u: relu(2 * x - 1), 1, bounds=(-1, 3)))
    assert points.stability.tolist() == ["stable node", "unstable node"]
    assert points.kinks.tolist() == [0, 0]
