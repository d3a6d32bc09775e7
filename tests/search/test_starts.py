"""Where searches start: in the box, around the task's trajectories, at random outputs."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, Map, simulate
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.search.starts import first_starts, states_in_box
from dynsys.systems.held import Held, HeldInput
from dynsys.systems.iterated import Iterated
from dynsys.trajectories.simulate import relax, states_at

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


def decay(**settings):
    return Flow(lambda x, u: -x, n_state=3, **settings)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_as_many_starts_as_asked_for(n):
    network = EchoStateNetwork.random(EchoStateConfig(units=20), FlipFlop())
    u = torch.zeros(1, 3, dtype=torch.float64)
    assert first_starts(network, u, n, seed=0).shape == (n, 20)
    assert first_starts(decay(), EMPTY, n, seed=0).shape == (n, 3)


def test_starts_fill_the_box_and_stay_in_it():
    x = first_starts(decay(bounds=(-1.0, 3.0)), EMPTY, 4000, seed=0)
    assert -1.0 <= float(x.min()) < -0.99
    assert 2.99 < float(x.max()) <= 3.0
    np.testing.assert_allclose(x.mean(0), np.ones(3), atol=5 * 4 / np.sqrt(12 * 4000))  # five standard errors


def test_without_a_box_a_quarter_of_the_starts_is_normal():
    x = first_starts(decay(), EMPTY, 4000, seed=0)[-1000:]
    np.testing.assert_allclose(x.mean(0), np.zeros(3), atol=5 / np.sqrt(1000))
    np.testing.assert_allclose(x.std(0), np.ones(3), atol=5 / np.sqrt(2000))


def test_without_a_box_the_others_lie_in_the_plane_that_trajectories_fall_onto():
    """x' = -x + 3 tanh(a.x) a falls onto the line of a, from wherever it comes: means of states on the way do so more
    than random states do, whose share along a is 1 in n."""
    n = 60
    a = torch.ones(n, dtype=torch.float64) / n**0.5
    system = Flow(lambda x, u: -x + 3 * torch.tanh(x @ a).unsqueeze(1) * a, n)
    x = first_starts(system, EMPTY, 400, seed=0)
    share = (x @ a) ** 2 / (x**2).sum(1)
    assert float(share[:200].median()) > 0.5
    assert float(share[300:].median()) < 0.1


def test_the_same_seed_gives_the_same_starts_and_another_does_not():
    network = EchoStateNetwork.random(EchoStateConfig(units=20), FlipFlop())
    u = torch.zeros(1, 3, dtype=torch.float64)
    a, again, b = (first_starts(network, u, 32, seed) for seed in (0, 0, 1))
    assert torch.equal(a, again)
    assert not torch.equal(a, b)


def test_a_network_with_a_task_starts_from_its_trajectories_and_outputs():
    """The quarter from random outputs z lies in the span of W_fb, the quarter from the box does not."""
    network = EchoStateNetwork.random(EchoStateConfig(units=20), FlipFlop())
    x = first_starts(network, torch.zeros(1, 3, dtype=torch.float64), 40, seed=0)
    Q = np.linalg.qr(network.W_fb.numpy())[0]
    off_span = np.linalg.norm(x.numpy() - x.numpy() @ Q @ Q.T, axis=1)
    assert (off_span < 1e-12).sum() == 10


def test_states_of_a_reduced_network_fill_the_box_of_the_reduction():
    """An LSTM is searched in h or c alone; what is drawn there is lifted to whole states inside the box."""
    torch.manual_seed(0)
    system = dynsys.wrap(torch.nn.LSTM(2, 3))
    u = torch.zeros(1, 2, dtype=torch.float64)
    x = states_in_box(system, u, 50, np.random.default_rng(0))
    low, high = system.box(u)
    assert x.shape == (50, 6)
    assert ((x >= low) & (x <= high)).all()
    assert len(torch.unique(x, dim=0)) == 50


def test_a_map_is_iterated_and_a_flow_takes_euler_steps():
    flow = Flow(lambda x, u: u - x, n_state=1, n_input=1, time_constant=4.0)
    x, u = torch.tensor([[1.0]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    path = simulate(flow, x, u.expand(3, 1), step=0.25).ravel().numpy()
    np.testing.assert_allclose(path, [0.75, 0.75**2, 0.75**3], rtol=1e-14)
    exact = relax(Held(flow, u), x, 10, step=0.1).ravel()[-1].item()
    assert exact == pytest.approx(np.exp(-1), rel=1e-6)
    fast = Flow(lambda x, u: -3 * x, n_state=1)
    assert (simulate(fast, x, torch.zeros(50, 0, dtype=torch.float64)) > 0).all()  # a step of one would overshoot
    assert simulate(flow, x, torch.ones(2, 1, 1, dtype=torch.float64)).shape == (2, 1, 1)


def test_states_of_a_trajectory_are_drawn_without_repeats_while_there_are_enough():
    trajectory = torch.arange(10.0).unsqueeze(1)
    assert sorted(states_at(trajectory, 10, seed=0).ravel().tolist()) == list(range(10))
    assert len(set(states_at(trajectory, 6, seed=1).ravel().tolist())) == 6
    assert np.bincount(states_at(trajectory, 25, seed=0).ravel().long()).tolist().count(3) == 5


def test_half_of_the_starts_are_states_of_the_trials_that_a_system_remembers():
    """Under a held input and in a map that is iterated too; one in 10,000 of the box is as near to 50 as the trials."""
    system = Map(lambda x, u: x / 2 + u, n_state=1, n_input=1, bounds=(-200, 200))
    u = torch.zeros(1, 1, dtype=torch.float64)
    system.recorded = torch.linspace(49.995, 50.005, 20, dtype=torch.float64)[:, None]
    for one, held in ((system, u), (HeldInput(system, u), u[:, :0]), (Iterated(system, 2), u)):
        assert ((first_starts(one, held, 40, 0) - 50).abs() < 0.05).sum() >= 20
