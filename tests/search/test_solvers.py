"""Every solver on every system whose fixed points are known, and what all solvers have in common."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dynsys import Flow, find_fixed_points
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.search.descent import Outcome, descend
from dynsys.search.solvers import SOLVERS, Newton, solver_named
from dynsys.search.solvers.newton import dense_direction
from dynsys.search.solvers.trust_region import steihaug
from dynsys.systems.held import Held
from dynsys.systems.speed import q_of, speed

SEEDS = st.integers(0, 2**32 - 1)
EMPTY = torch.zeros(1, 0, dtype=torch.float64)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_every_solver_finds_exactly_the_known_points(solver, known):
    system = known.make()
    more = solver not in ("adam", "gradient-descent") or known.name != "simple2d"  # thousands of steps in vain
    n_starts = 24 if solver in ("adam", "gradient-descent") else 48
    points = find_fixed_points(system, solver=solver, n_starts=n_starts, closure=more, workers=1)
    assert len(points) == len(known.states)
    distance = np.linalg.norm(points.states[:, None] - known.states[None], axis=2)
    owner = distance.argmin(axis=1)
    assert sorted(owner) == list(range(len(known.states)))
    nearest = distance.min(axis=1)
    assert nearest.max() < 1e-10
    rounded = 4 * np.finfo(float).eps * np.linalg.norm(known.states[owner], axis=1)  # of the known states themselves
    assert (nearest <= points.error_bound + rounded).all()
    assert (points.verdict == "fixed").all()
    assert points.stability.tolist() == [known.words[i] for i in owner]
    assert points.n_unstable.tolist() == [known.n_unstable[i] for i in owner]
    q_there = speed(Held(system, EMPTY.expand(len(points), 0)), torch.as_tensor(points.states)).numpy()
    np.testing.assert_allclose(points.q, q_there, rtol=1e-6, atol=1e-31)  # sums in another order differ by rounding
    assert points.q.max() < 1e-28


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_no_solver_reports_a_point_where_there_is_none(solver):
    """x' = 1 + x^2 has no zero, and its least q is 1/2."""
    system = Flow(lambda x, u: 1 + x**2, n_state=1, bounds=(-2, 2))
    points = find_fixed_points(system, solver=solver, n_starts=16, closure=False, workers=1)
    assert len(points) == 0
    assert sum(points.search.rejected.values()) == 16


@pytest.mark.parametrize("name", ["gauss-newton", "conjugate-gradient", "gradient-descent", "newton", "trust-region"])
@examples(max_examples=20)
@given(n=st.integers(1, 6), seed=SEEDS)
def test_no_step_of_a_descent_raises_q(name, n, seed):
    system, solver = SimpleRNN.random(n, 2.0, seed), solver_named(name)
    x = torch.as_tensor(np.random.default_rng(seed).standard_normal((4, n)))
    held = Held(system, torch.zeros(4, 0, dtype=x.dtype))
    state = solver.init(held, x)
    for _ in range(8):
        before = q_of(state.F)
        state, _ = solver.step(held, state)
        assert (q_of(state.F) <= before * (1 + 1e-12)).all()
        torch.testing.assert_close(state.F, system.velocity(state.x, held.u), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_a_descent_returns_the_velocity_of_its_states_and_leaves_the_starts_alone(name):
    system = SimpleRNN.random(5, 2.0, 0)
    x = torch.as_tensor(np.random.default_rng(0).standard_normal((7, 5)))
    before, u = x.clone(), torch.zeros(7, 0, dtype=x.dtype)
    ended = descend(solver_named(name), Held(system, u, 1.0), x)
    assert torch.equal(x, before)
    torch.testing.assert_close(ended.F, system.velocity(ended.x, u), rtol=0, atol=1e-14)
    assert (ended.outcome == Outcome.CONVERGED).any()


def test_newton_doubles_its_digits_at_each_step():
    """Newton on x - x^3 from 1 + e: x_new = 2 x^3 / (3 x^2 - 1), so the error becomes 3/2 e^2 + O(e^3)."""
    held = Held(Flow(lambda x, u: x - x**3, n_state=1), EMPTY)
    state = Newton().init(held, torch.tensor([[1.01]], dtype=torch.float64))
    for _ in range(2):
        x = state.x.item()
        state, _ = Newton().step(held, state)
        assert state.x.item() == pytest.approx(2 * x**3 / (3 * x**2 - 1), abs=1e-14)
    assert abs(state.x.item() - 1) < 5e-8


def test_where_f_is_straight_a_step_of_gradient_descent_ends_where_the_slope_is_across_it():
    """q = |A x|^2 / 2 is least along d = -g at a = |g|^2 / |A g|^2, where the new gradient is at right angles to d."""
    A = torch.as_tensor(np.random.default_rng(0).standard_normal((3, 3)))
    system, x = Flow(lambda x, u: x @ A.T, n_state=3), torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    held, solver = Held(system, EMPTY), solver_named("gradient-descent")
    g = x @ A.T @ A
    a = (g @ g.T) / (g @ A.T @ A @ g.T)
    state, _ = solver.step(held, solver.init(held, x))
    torch.testing.assert_close(state.x, x - a * g)
    assert abs(float((state.x @ A.T @ A) @ g.T)) < 1e-10


@pytest.mark.parametrize("rank", [1, 2])
def test_a_singular_jacobian_gives_the_shortest_least_squares_step(rank):
    rng = np.random.default_rng(0)
    J = rng.standard_normal((4, 3, rank)) @ rng.standard_normal((4, rank, 3))
    F = rng.standard_normal((4, 3))
    expected = [np.linalg.lstsq(A, -b, rcond=1e-10)[0] for A, b in zip(J, F, strict=True)]
    np.testing.assert_allclose(dense_direction(torch.as_tensor(J), torch.as_tensor(F)), expected, atol=1e-10)


def test_auto_is_newton_and_a_solver_given_is_taken_as_it_is():
    assert solver_named("auto").name == "newton"
    for name, solver in SOLVERS.items():
        assert isinstance(solver_named(name), solver)
    assert solver_named(Newton(max_steps=3)).max_steps == 3


def test_where_newton_mostly_fails_gauss_newton_takes_over_and_the_report_says_so():
    """x' = 1 + x^2 has no zero, so that every start fails."""
    system = Flow(lambda x, u: 1 + x**2, n_state=1, bounds=(-2, 2))
    assert find_fixed_points(system, n_starts=16, workers=1).search.solver == "newton then gauss-newton"
    assert find_fixed_points(system, n_starts=16, solver="newton", workers=1).search.solver == "newton"
    assert find_fixed_points(Flow(lambda x, u: -x, n_state=1), n_starts=16, workers=1).search.solver == "newton"


def test_an_unknown_solver_is_refused_with_the_legal_names():
    with pytest.raises(ValueError, match=r"^solver is 'bfgs'; the solvers are auto, gauss-newton, .*adam$"):
        find_fixed_points(Flow(lambda x, u: -x, n_state=1), solver="bfgs")


def of_trust_region(radius, seed=0, n=5):
    system = SimpleRNN.random(n, 2.0, seed)
    x = torch.as_tensor(np.random.default_rng(seed).standard_normal((6, n)))
    held = Held(system, torch.zeros(6, 0, dtype=x.dtype))
    F = system.velocity(x, held.u)
    g = held.transposed_product(x, F)
    p, promised, at_edge = steihaug(held, x, g, x.new_full((6,), radius), 50)
    return held, x, F, g, system.jacobian(x, held.u), p, promised, at_edge


def test_within_a_wide_region_the_step_is_that_of_gauss_newton():
    """CG stops at |r| <= |g|^1.5 at the latest, so that J^T J p = -g to that."""
    _, _, _, g, J, p, promised, at_edge = of_trust_region(1e6)
    left = (J.mT @ (J @ p.unsqueeze(2)) + g.unsqueeze(2)).squeeze(2).norm(dim=1)
    size = g.norm(dim=1)
    assert (left <= size * torch.minimum(size.sqrt(), torch.full_like(size, 0.5)) * (1 + 1e-9)).all()
    assert not at_edge.any()
    model = -((g * p).sum(1) + 0.5 * (J @ p.unsqueeze(2)).square().sum((1, 2)))
    torch.testing.assert_close(promised, model)


def test_within_a_narrow_region_the_step_ends_at_its_edge_below_the_cauchy_point():
    _, _, _, g, J, p, promised, at_edge = of_trust_region(1e-3)
    assert at_edge.all()
    torch.testing.assert_close(p.norm(dim=1), torch.full((6,), 1e-3, dtype=p.dtype))
    steepest = -1e-3 * g / g.norm(dim=1, keepdim=True)
    cauchy = -((g * steepest).sum(1) + 0.5 * (J @ steepest.unsqueeze(2)).square().sum((1, 2)))
    assert (promised >= cauchy * (1 - 1e-12)).all()


def test_trust_region_ends_where_scipy_s_does():
    """trust-ncg of scipy with the same Hessian, from the same starts, on a bowl with one minimum of q."""
    from scipy.optimize import minimize

    system = SimpleRNN.random(4, 0.8, 3)
    u, starts = torch.zeros(1, 0, dtype=torch.float64), np.random.default_rng(0).standard_normal((3, 4))

    def at(x):
        X = torch.as_tensor(x)[None]
        return system.velocity(X, u)[0].numpy(), system.jacobian(X, u)[0].numpy()

    ended = descend(solver_named("trust-region"), Held(system, u.expand(3, 0), 1.0), torch.as_tensor(starts))
    for start, x in zip(starts, ended.x.numpy(), strict=True):
        theirs = minimize(
            lambda v: 0.5 * (at(v)[0] ** 2).sum(),
            start,
            method="trust-ncg",
            jac=lambda v: at(v)[1].T @ at(v)[0],
            hess=lambda v: at(v)[1].T @ at(v)[1],
            options={"gtol": 1e-9},
        )
        np.testing.assert_allclose(x, theirs.x, atol=1e-6)
