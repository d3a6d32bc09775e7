"""The contract of systems: every registered network keeps it, and each way of breaking it is told by name."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map, System
from dynsys.models import MODELS
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.testing import check_system

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def row(*values):
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_registered_network_keeps_the_contract(name):
    check_system(MODELS[name].example())


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_a_large_network_keeps_the_contract(activation):
    check_system(SimpleRNN.random(300, activation=activation))


def test_every_system_with_known_points_keeps_the_contract(known):
    check_system(known.make())


def test_a_map_with_inputs_and_a_readout_keeps_the_contract():
    weights = torch.as_tensor(np.random.default_rng(0).standard_normal((3, 2)))
    system = Map(
        lambda x, u: torch.tanh(x.roll(1, dims=1) + u @ weights.T),
        n_state=3,
        n_input=2,
        readout=lambda x: x[:, :1] ** 2,
        n_output=1,
        bounds=(-1, 1),
    )
    check_system(system)
    check_system(system, states=np.zeros((2, 3)), inputs=np.ones((2, 2)))


class WrongEntry(Simple2D):
    def jacobian(self, x, u):
        J = super().jacobian(x, u)
        J[:, 1, 0] = 0.4999
        return J


class Swapped(Simple2D):
    """The slip of Jang's MATLAB code: J where J^T is meant."""

    def transposed_product(self, x, u, w):
        return self.jacobian_product(x, u, w)


class WritesToStates(Simple2D):
    def velocity(self, x, u):
        return x.mul_(-1)


class Noisy(Simple2D):
    def velocity(self, x, u):
        return super().velocity(x, u) + 1e-6 * torch.randn_like(x)


class LosesDigits(Simple2D):
    def velocity(self, x, u):
        return super().velocity(x.float(), u)


class SeesItsNeighbours(Simple2D):
    def velocity(self, x, u):
        return super().velocity(x - x.mean(0), u)


class UpsideDown(Simple2D):
    def box(self, u):
        return super().box(u)[::-1]


class LeavesItsBox(Simple2D):
    box_is_trapping = True  # at (2, -1) the velocity is (3, 2)


class StaysDouble(Simple2D):
    def to(self, device=None, dtype=None):
        return self

    def velocity(self, x, u):
        return super().velocity(x.double(), u)


class ReadoutOfAnotherSize(Simple2D):
    n_output = 3


class OneVariableShort(Simple2D):
    def velocity(self, x, u):
        return super().velocity(x, u)[:, :1]


class MapWithTheWrongJacobian(Map):
    def jacobian(self, x, u):
        """dG/dx, where dG/dx - I is wanted."""
        return super().jacobian(x, u) + torch.eye(self.n_state, dtype=x.dtype)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongEntry(), r"^jacobian, times a direction, differs from central differences by .* in state \d, entry 1$"),
        (Swapped(), r"^transposed_product differs from J\^T w by"),
        (WritesToStates(), r"^velocity writes to the states handed to it"),
        (Noisy(), r"^velocity called twice differs from itself by"),
        (LosesDigits(), r"^velocity is \(6, 2\) torch.float32; it must be"),
        (SeesItsNeighbours(), r"^velocity in a batch differs from velocity one at a time by"),
        (UpsideDown(), r"^the box has low 2 above high -2 in variable 0$"),
        (LeavesItsBox(), r"^the box is not trapping: variable 0 leaves it"),
        (StaysDouble(), r"^velocity in single precision is \(6, 2\) torch.float64; it must be"),
        (ReadoutOfAnotherSize(), r"^readout is \(6, 0\) torch.float64; it must be a tensor of shape \(6, 3\)"),
        (MapWithTheWrongJacobian(lambda x, u: torch.cos(x), n_state=1), r"central differences"),
        (OneVariableShort(), r"^velocity is \(6, 1\) torch.float64; it must be"),
        (Flow(lambda x, u: -x, n_state=2, time_constant=0.0), r"^time_constant is 0.0; it must be positive$"),
        (Flow(lambda x, u: 1 / x.clamp_min(0), n_state=2), r"^velocity holds \d+ values that are NaN or infinite$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, System) else "",
)
def test_check_system_names_what_is_wrong(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_system(broken)


def test_states_of_the_wrong_size_are_refused():
    with pytest.raises(AssertionError, match=r"^states is \(4, 3\) .* shape \(4, 2\)"):
        check_system(Simple2D(), states=np.zeros((4, 3)))


def test_the_velocity_of_a_map_is_its_step_less_the_state():
    assert Map(lambda x, u: 3 * x, n_state=1).velocity(row(2.0), EMPTY).item() == 4.0


def test_simple2d_has_the_velocity_and_jacobian_of_the_paper():
    system, x = Simple2D(), row(2.0, 1.0)
    assert system.velocity(x, EMPTY).tolist() == [[-3.0, 0.0]]
    assert system.jacobian(x, EMPTY).tolist() == [[[-4.0, -3.0], [0.5, -1.0]]]
    assert np.array_equal(system.velocity(torch.as_tensor(system.fixed_points()), EMPTY), np.zeros((3, 2)))


def test_a_simple_rnn_has_the_jacobian_of_eq_20():
    W, x = np.random.default_rng(0).standard_normal((4, 4)), np.random.default_rng(1).standard_normal(4)
    expected = [[-(i == j) + W[i, j] * (1 - np.tanh(x[j]) ** 2) for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(SimpleRNN(W).jacobian(row(*x), EMPTY)[0], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("w", [0.5, 1.0])
def test_units_of_weak_weight_have_only_the_origin(w):
    states, n_unstable = Bistable(3, w=w).fixed_points()
    assert states.tolist() == [[0.0, 0.0, 0.0]]
    assert n_unstable.tolist() == [0]


@pytest.mark.parametrize("w", [1.001, 1.5, 2.0, 30.0])
def test_the_fixed_points_of_bistable_units_solve_the_scalar_equation(w):
    system = Bistable(4, w=w, seed=3)
    states, n_unstable = system.fixed_points()
    units = system.readout(torch.as_tensor(states)).numpy()
    np.testing.assert_allclose(units, w * np.tanh(units), atol=1e-13 * w)
    assert len(np.unique(units.round(9), axis=0)) == 81
    assert (n_unstable == (np.abs(units) < 1e-9).sum(1)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SimpleRNN(np.zeros((2, 3))), r"W has shape \(2, 3\); .* needs \(N, N\)"),
        (lambda: SimpleRNN(np.full((2, 2), np.nan)), r"W holds 4 values that are NaN"),
        (
            lambda: SimpleRNN(np.eye(2), activation="gelu"),
            r"activation is 'gelu'; it can be tanh, logistic .sigmoid., relu",
        ),
        (lambda: SimpleRNN(np.eye(2), time_constant=-1.0), r"time_constant is -1.0; it must be positive"),
        (lambda: Bistable(0), r"n is 0; give at least one unit"),
        (lambda: Bistable(2, w=-1.0), r"w is -1.0; it must be positive"),
    ],
)
def test_impossible_networks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_does_not_share_its_weights_with_the_caller():
    W = np.eye(2)
    system = SimpleRNN(W)
    W[:] = 7.0
    assert system.W.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_simple_rnn_is_made_again_from_its_arrays_and_settings():
    system = SimpleRNN.random(5, seed=2, activation="logistic")
    again = SimpleRNN.from_arrays(system.arrays(), system.settings())
    x = torch.as_tensor(np.random.default_rng(0).standard_normal((3, 5)))
    assert torch.equal(system.velocity(x, EMPTY), again.velocity(x, EMPTY))
    assert again.time_constant == system.time_constant
