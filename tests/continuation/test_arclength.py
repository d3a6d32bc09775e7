"""The engine that follows curves, on problems of some thirty lines each, whose curves mathematics knows."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from dynsys import Flow
from dynsys.continuation.arclength import GOES_ON, ArclengthSettings, Ending, Front, Problem, follow
from dynsys.numerics.newton import NewtonSettings, chord_newton


class HeldInput(Problem):
    """The zeros of F(x, u) over one input u, up to ``last``: z = (x, u)."""

    def __init__(self, system, first, last):
        self.system, self.first, self.last, self.way = system, first, last, 1 if last > first else -1
        self.path, self.folds = [], []

    def residual(self, z, curve):
        return self.system.velocity(z[:, :-1], z[:, -1:])

    def derivative(self, z, curve, out):
        x, u = z[:, :-1], z[:, -1:]
        out[:, :, :-1] = self.system.jacobian(x, u)
        out[:, :, -1] = torch.func.jvp(lambda u: self.system.velocity(x, u), (u,), (torch.ones_like(u),))[1]

    def goal(self, front):
        return torch.full_like(front.h, self.last)

    def after(self, step):
        before, after = step.before, step.after
        for k in step.taken.nonzero().squeeze(1).tolist():
            self.path.append(after.z[k])
            if before.t[k, -1] * after.t[k, -1] < 0:
                self.folds.append(0.5 * (before.z[k, -1] + after.z[k, -1]).item())
        return after, torch.where(step.lands, int(Ending.RANGE), GOES_ON)

    def front(self, x, settings):
        z = torch.tensor([[*x, self.first]], dtype=torch.float64)
        along = torch.zeros_like(z)
        along[:, -1] = self.way
        M = self.bordered(z, torch.zeros(1, dtype=torch.long), along)
        t = M.tangent(z)
        t = t / t.norm()
        return Front.at(torch.zeros(1, dtype=torch.long), z, t, self.bordered(z, torch.arange(1), t).side, 0.05)


CUSP = Flow(lambda x, u: x - x**3 + u, n_state=1, n_input=1)
CLOSE = ArclengthSettings(longest_step=0.05, newton=NewtonSettings(converged=1e-9))


def test_a_held_input_is_followed_round_both_folds_of_a_cubic():
    """x - x^3 + u = 0 turns back in u at u = +-2 / sqrt(27), where 1 - 3 x^2 = 0."""
    problem = HeldInput(CUSP, -1.0, 1.0)
    ended = follow(problem, iter([problem.front([-1.3247179572447460], CLOSE)]), 1, CLOSE)  # x^3 = x - 1
    assert ended.ending.tolist() == [Ending.RANGE]
    z = torch.stack(problem.path)
    assert (z[:, 0] - z[:, 0] ** 3 + z[:, 1]).abs().max() < 1e-12
    assert z[-1].tolist() == pytest.approx([1.3247179572447460, 1.0], abs=1e-12)
    assert sorted(problem.folds) == pytest.approx([-2 / 27**0.5, 2 / 27**0.5], abs=2e-3)
    assert max((b - a).norm().item() for a, b in pairwise(z)) < 0.06


class Circles(Problem):
    """x^2 + y^2 = r^2 for each of several r."""

    def __init__(self, r):
        self.r = torch.tensor(r, dtype=torch.float64)

    def residual(self, z, curve):
        return (z * z).sum(1, keepdim=True) - self.r[curve].unsqueeze(1) ** 2

    def derivative(self, z, curve, out):
        out[:, 0] = 2 * z

    def after(self, step):
        r = self.r[step.after.curve].unsqueeze(1)
        start, up = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
        closed = step.passes(r * start, up.expand(len(r), 2)) & (step.before.steps > 0)
        return step.after, torch.where(closed, int(Ending.CLOSED), GOES_ON)

    def batches(self, h, together):
        for curve in torch.arange(len(self.r)).split(together):
            z = torch.stack([self.r[curve], torch.zeros(len(curve)).double()], dim=1)
            t = torch.tensor([[0.0, 1.0]]).double().expand(len(curve), 2)
            yield Front.at(curve, z, t, self.bordered(z, curve, t).side, h)


def test_circles_of_a_batch_close_each_after_its_own_steps():
    settings = ArclengthSettings(turn=0.2, aimed=(0.075, 0.09, 0.1), width=2)
    problem = Circles([0.1, 1.0, 5.0, 1.0])
    ended = follow(problem, problem.batches(0.01, 1), 4, settings)
    assert ended.ending.tolist() == [Ending.CLOSED] * 4
    assert ended.steps[1] == ended.steps[3]
    assert ended.steps.min() >= 2 * torch.pi / 0.2  # no step turns by more


def test_settings_are_replaced_and_curves_end_where_their_steps_are_used_up_or_too_short():
    few = ArclengthSettings(max_steps=3)
    assert follow(Circles([1.0]), Circles([1.0]).batches(0.01, 1), 1, few).ending.tolist() == [Ending.OUT_OF_STEPS]
    never = dataclasses.replace(few, max_steps=1000, turn=0.0)
    assert follow(Circles([1.0]), Circles([1.0]).batches(0.01, 1), 1, never).ending.tolist() == [Ending.STUCK]


def test_corrections_that_do_not_contract_are_not_trusted():
    """From 1 Newton's method for arctan comes to 0; from 2 it runs off, each step longer than the one before."""
    x, one = torch.tensor([[1.0], [2.0]]).double(), torch.ones(2).double()
    found = chord_newton(
        lambda x, rows: torch.atan(x),
        lambda right, x, rows: right * (1 + x * x),
        x,
        10 * one,
        1e-14 * one,
        NewtonSettings(contraction=0.9),
    )
    assert found.ok.tolist() == [True, False]
    assert abs(found.x[0].item()) < 1e-12


def test_corrections_that_learn_are_exact_for_a_line_after_the_first():
    """By a derivative that is a fifth off: a secant is the line itself, while chord steps leave a fifth each time."""
    x, calls = torch.tensor([[1.0]]).double(), []

    def F(x, rows):
        calls.append(x)
        return 0.8 * x

    one = torch.ones(1).double()
    found = chord_newton(F, lambda right, x, rows: right, x, 10 * one, 1e-12 * one, NewtonSettings(learns=True))
    assert len(calls) == 3
    assert found.ok.all()
    assert abs(found.x.item()) < 1e-15


SMALL = NewtonSettings(rounding=1e-7, learns=True)


def test_slow_corrections_by_a_derivative_that_is_off_are_not_taken_for_rounding():
    """Of diag(0.1, 0.25) x by the identity: the second chord step is 0.8 of the first, and 0 is still far away."""
    x, one = torch.full((1, 2), 1e-8).double(), torch.ones(1).double()
    off = torch.tensor([0.1, 0.25]).double()
    found = chord_newton(lambda x, rows: off * x, lambda right, x, rows: right, x, one, 1e-13 * one, SMALL)
    assert found.ok.all()
    assert found.x.abs().max() < 1e-12


def test_nothing_is_learned_from_corrections_that_rounding_made():
    """F is 1e-9 all around, its last digit: steps remain as small as that."""
    x, one = torch.zeros(1, 1).double(), torch.ones(1).double()
    found = chord_newton(
        lambda x, rows: torch.full_like(x, 1e-9), lambda right, x, rows: right, x, one, 1e-12 * one, SMALL
    )
    assert found.ok.all()
    assert found.x.abs().max() < 1e-8
