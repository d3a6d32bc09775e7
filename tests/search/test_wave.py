"""The cheap way down ends where the plain one does: in single precision, and on a reduction of the system."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, System, find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.search.landing import Descender, Landed
from dynsys.search.solvers import SOLVERS, Newton

EMPTY = torch.zeros(1, 0, dtype=torch.float64)


class Plain(System):
    """Another system as it is, without its single precision and its reduction."""

    def __init__(self, of):
        self.of = of
        self.kind, self.n_state, self.n_input = of.kind, of.n_state, of.n_input
        self.box_is_trapping, self.name = of.box_is_trapping, "plain"

    def velocity(self, x, u):
        return self.of.velocity(x, u)

    def jacobian(self, x, u):
        return self.of.jacobian(x, u)

    def box(self, u):
        return self.of.box(u)


def gated(kind, n, gain, seed=0):
    """A recurrent module of torch whose recurrent weights are large enough for several fixed points."""
    torch.manual_seed(seed)
    module = getattr(torch.nn, kind)(2, n)
    with torch.no_grad():
        module.weight_hh_l0 *= gain
    return dynsys.wrap(module)


CASES = {
    "gru": lambda seed: gated("GRU", 4, 6.0, seed),
    "lstm": lambda seed: gated("LSTM", 3, 8.0, seed),
    "rnn": lambda seed: gated("RNN", 5, 5.0, seed),
    "bistable": lambda seed: Bistable(3, seed=seed),
    "random": lambda seed: SimpleRNN.random(6, 3.0, seed),
}


def same_places(a, b):
    apart = np.linalg.norm(a.states[:, None] - b.states[None], axis=2)
    assert len(a) == len(b)
    assert sorted(apart.argmin(axis=1)) == list(range(len(b)))
    assert (apart.min(axis=1) <= a.error_bound + b.error_bound[apart.argmin(axis=1)]).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", sorted(CASES))
def test_the_short_cuts_end_at_the_same_points_as_the_plain_way(name, seed):
    system = CASES[name](seed)
    assert system.single_precision or system.reduction() is not None
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    low, high = system.box(u)
    starts = low + (high - low) * torch.as_tensor(np.random.default_rng(seed).uniform(0, 1, (200, system.n_state)))
    quick, plain = (find_fixed_points(s, starts, workers=1) for s in (system, Plain(system)))
    same_places(quick, plain)
    np.testing.assert_allclose(
        np.sort(np.abs(quick.leading_eigenvalue)), np.sort(np.abs(plain.leading_eigenvalue)), rtol=1e-8
    )
    assert quick.states.dtype == np.float64
    assert quick.fixed.q.max() < 1e-26


def landed(system, x, solver=None):
    x = torch.as_tensor(x)
    u = torch.zeros(1, system.n_input, dtype=torch.float64)
    descender = Descender(system, u, 1.0, 1e-4)
    return descender, descender.land(solver or Newton(), x, torch.zeros(len(x), dtype=torch.long))


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_lands_near_a_zero_is_in_double_precision_with_the_velocity_of_the_system_itself(name):
    system = CASES[name](0)
    u = torch.zeros(64, system.n_input, dtype=torch.float64)
    low, high = system.box(u)
    _, down = landed(system, low + (high - low) * torch.as_tensor(np.random.default_rng(0).uniform(0, 1, low.shape)))
    assert down.x.dtype == down.F.dtype == torch.float64
    torch.testing.assert_close(down.F, system.velocity(down.x, u), rtol=0, atol=1e-6)
    assert down.near.any()
    assert down.F[down.near].norm(dim=1).max() < 1e-2


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_starts_at_zeros_stay_there(name):
    states = Bistable(2).fixed_points()[0]
    descender, down = landed(Bistable(2), states, SOLVERS[name]())
    assert down.near.all()
    np.testing.assert_allclose(down.x, states, atol=1e-5)  # single precision
    end = descender.finish(down)
    assert end.zero.all()
    np.testing.assert_allclose(end.x, states, atol=1e-14)
    assert not end.rejected


def test_a_start_that_leaves_every_bound_is_not_near_a_zero():
    system = Flow(lambda x, u: torch.log(x), n_state=1)
    _, down = landed(system, np.array([[1.1], [-1.0]]))
    assert down.near.tolist() == [True, False]


def test_waves_are_joined_in_their_order_with_the_least_unit():
    _, a = landed(Bistable(2), np.full((3, 2), 0.1))
    _, b = landed(Bistable(2), np.full((2, 2), -0.1))
    both = Landed.joined([a, b])
    assert torch.equal(both.x, torch.cat([a.x, b.x]))
    assert both.unit == min(a.unit, b.unit)
    assert torch.equal(both[torch.tensor([4, 0])].x, torch.stack([b.x[1], a.x[0]]))


def test_what_ends_outside_the_box_is_counted_and_no_zero():
    """x - x^3 in a box that holds only 0."""
    system = Flow(lambda x, u: x - x**3, n_state=1, bounds=(-0.99, 0.99))
    descender, down = landed(system, np.array([[0.98], [-0.98], [0.01]]))
    assert descender.finish(down).zero.tolist() == [False, False, True]
    assert descender.finish(down).rejected.total() == 2
