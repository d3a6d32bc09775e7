"""A map applied k times: its derivatives, its bounds and its pieces are those of the chain, in the time of the map."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.vanilla import RNN
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.stability.classification import frequencies, time_constants
from dynsys.stability.spectrum import spectra
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated, divisors
from dynsys.systems.system import System
from dynsys.testing import check_system

EMPTY = torch.zeros(1, 0, dtype=torch.float64)
NETWORKS = [RNN.random(5, seed=1), RNN.random(4, layers=2, seed=2), GRU.random(4, seed=3)]


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("network", NETWORKS, ids=["rnn", "two layers", "gru"])
def test_it_is_a_system(network, k):
    check_system(Iterated(network, k))


def test_a_linear_map_applied_three_times_is_its_third_power():
    A = torch.tensor([[0.5, 1.0], [-0.3, 0.8]], dtype=torch.float64)
    cubed = Iterated(Map(lambda x, u: x @ A.T, n_state=2), 3)
    x = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    u = torch.zeros(2, 0, dtype=torch.float64)
    power = torch.linalg.matrix_power(A, 3)
    assert torch.allclose(cubed.velocity(x, u), x @ power.T - x, atol=1e-14)
    assert torch.allclose(cubed.jacobian(x, u)[0], power - torch.eye(2), atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS, ids=["rnn", "two layers", "gru"])
def test_the_push_of_an_input_is_that_of_autodiff(network):
    iterated = Iterated(network, 3)
    x = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (4, network.n_state)))
    u = torch.as_tensor(np.random.default_rng(1).standard_normal((4, network.n_input)))
    assert torch.allclose(iterated.input_jacobian(x, u), System.input_jacobian(iterated, x, u), atol=1e-12)


def test_the_pieces_of_a_relu_network_give_its_velocity():
    network = RNN.random(4, seed=1, nonlinearity="relu")
    iterated = Iterated(network, 3)
    u = torch.zeros(1, network.n_input, dtype=torch.float64)
    x = torch.as_tensor(np.random.default_rng(0).standard_normal((50, 4)))
    pieces = iterated.pieces(u)
    assert pieces is not None
    assert torch.allclose(pieces.velocity(x), iterated.velocity(x, u.expand(50, -1)), atol=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_its_bound_on_the_hessian_holds_and_is_not_idle(k):
    """Against second derivatives by autodiff, at the state and at states within the balls."""
    network = RNN.random(4, seed=3, gain=1.0)
    iterated, u = Iterated(network, k), torch.zeros(1, 2, dtype=torch.float64)
    rng = np.random.default_rng(0)
    x, radii = torch.as_tensor(rng.uniform(-0.5, 0.5, (1, 4))), torch.tensor([1e-6, 0.1], dtype=torch.float64)
    bound = iterated.enclosure(Enclosed.state(x, radii), u)
    assert bound is not None
    for radius, curvature in zip(radii, bound.curvature, strict=True):
        directions = torch.as_tensor(rng.standard_normal((10, 4)))
        for y in x + radius * directions / directions.norm(dim=1, keepdim=True):
            hessians = torch.stack(
                [
                    torch.autograd.functional.hessian(lambda z, i=i: iterated.velocity(z[None], u)[0, i], y)
                    for i in range(4)
                ]
            )
            assert bool((torch.linalg.matrix_norm(hessians, 2) <= curvature[0]).all())
    size = torch.linalg.matrix_norm(hessians, 2)
    assert float((bound.curvature[0, 0] / size).median()) < 100


def test_a_system_without_pieces_or_bounds_has_none():
    plain = Iterated(Map(lambda x, u: torch.sin(x), n_state=1), 2)
    assert plain.pieces(EMPTY) is None
    assert plain.enclosure(Enclosed.state(torch.ones(1, 1).double(), torch.ones(1).double()), EMPTY) is None


def test_time_constants_and_frequencies_are_in_the_time_of_the_map():
    """A mode that shrinks to 0.9 per step lasts -1 / log 0.9 steps, through however many of them it is seen."""
    c, s = 0.9 * np.cos(0.2), 0.9 * np.sin(0.2)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    for k in (1, 3):
        iterated = Iterated(Map(lambda x, u: x @ turn.T, n_state=2), k)
        (spectrum,) = spectra(Held(iterated, EMPTY), torch.zeros(1, 2, dtype=torch.float64))
        assert np.allclose(time_constants(spectrum.eigenvalues, iterated), -1 / np.log(0.9))
        assert np.allclose(frequencies(spectrum.eigenvalues, iterated), 0.2 / (2 * np.pi))


def test_a_flow_has_no_period():
    with pytest.raises(ValueError, match="is a flow"):
        Iterated(Flow(lambda x, u: -x, n_state=1), 2)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_a_period_is_a_whole_number_of_one_or_more(k):
    with pytest.raises(ValueError, match="1 or more"):
        Iterated(Map(lambda x, u: x, n_state=1), k)


def test_divisors_leave_out_the_number_itself():
    assert [divisors(k) for k in (1, 2, 7, 12)] == [[], [1], [1], [1, 2, 3, 4, 6]]
