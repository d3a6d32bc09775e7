"""Functions that people give to ``dynsys.Map`` and ``dynsys.Flow``: what is none is told in one line, at once."""

import random

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, Map
from dynsys.systems.family import FamilyOf

W = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
V = W.numpy()


@torch.no_grad()
def without_gradients(x, u):
    return torch.tanh(x @ W.T)


def drawn_in_numpy(x, u):
    return x * float(np.random.rand())


ROWWISE = r"Each row of x is a state: x\[:, i\] is variable i of all of them, and W x is x @ W\.T"
ONE_STATE = r"takes one state, .* as for solve_ivp.*torch\.vmap\(f\)"
OTHER_ROWS = r"depends on the other rows of the batch.*along dim=1"
NOT_TORCH = r"is a ndarray; it has to be a torch tensor: compute in torch"
HIDDEN = r"the derivative that torch finds for the \w+ of \w+ is not the slope"

WRONG = {
    "one state": (Flow(lambda x, u: torch.stack([x[0] - x[0] ** 3, -x[1]]), 2, bounds=(-2, 2)), ONE_STATE),
    "one state, W x": (Map(lambda x, u: torch.tanh(W @ x), 6), ONE_STATE),
    "the first row": (Map(lambda x, u: torch.tanh(W @ x[0]), 6, bounds=(-1, 1)), rf"shape \(6,\).*{ROWWISE}"),
    "a mean": (Map(lambda x, u: torch.tanh(x @ W.T - x.mean()), 6, bounds=(-1, 1)), OTHER_ROWS),
    "a norm": (Flow(lambda x, u: x - x * torch.linalg.norm(x), 2), OTHER_ROWS),
    "a softmax over rows": (Map(lambda x, u: torch.softmax(x, 0), 3), OTHER_ROWS),
    "one row's number": (Map(lambda x, u: x * float(x[0, 0]), 2), OTHER_ROWS),
    "noise": (Map(lambda x, u: torch.tanh(x) + 0.1 * torch.randn_like(x), 6), "is another each time"),
    "NumPy's noise": (Map(drawn_in_numpy, 2), "is another each time"),
    "Python's noise": (Map(lambda x, u: x * random.random(), 2), "is another each time"),
    "an if": (Map(lambda x, u: torch.tanh(x) if (x > 1e9).all() else 0.5 * x, 2), r"if, \.all\(\).*torch\.where"),
    "NumPy": (Map(lambda x, u: np.tanh(np.asarray(x) @ V.T), 6), NOT_TORCH),
    "NumPy, one state": (Flow(lambda x, u: np.array([float(x[1, 0]), -float(x[0, 0])]), 2), NOT_TORCH),
    "NumPy inside": (Map(lambda x, u: torch.as_tensor(np.tanh(x.numpy())), 6), r"cannot differentiate.*not in NumPy"),
    "NumPy inside, detached": (Map(lambda x, u: torch.as_tensor(np.tanh(x.detach().numpy())), 6), HIDDEN),
    "no gradients": (Map(without_gradients, 6), HIDDEN),
    "a part detached": (Flow(lambda x, u: -x + 2 * torch.tanh(x.detach() @ W.T), 6), HIDDEN),
    "n_state": (Map(lambda x, u: torch.tanh(x @ W.T), 7), rf"RuntimeError \(mat1.*n_state=7 and n_input=0\. {ROWWISE}"),
    "n_input": (Map(lambda x, u: torch.tanh(x + u), 2), r"n_state=2 and n_input=0"),
    "too few": (Map(lambda x, u: x[:, :1], 2), rf"the step of map has shape \(3, 1\) .*{ROWWISE}"),
    "no axis": (Map(lambda x, u: torch.tanh(x)[:, 0], 1), r"the step of map has shape \(3,\)"),
    "a list": (Flow(lambda x, u: [x[:, 1], -x[:, 0]], 2), r"is a list.*torch\.stack\(\[\.\.\.\], dim=1\)"),
    "a number": (Map(lambda x, u: 0.3, 1), "is a float; it has to be a torch tensor"),
    "complex": (Map(lambda x, u: 1j * x, 2), "is made of torch.complex128"),
    "whole numbers": (Map(lambda x, u: (x > 0).long(), 2), "is made of torch.int64"),
    "time": (
        Flow(lambda x, u, t: -x + t, 2),
        r"takes \(x, u, t\).*on time.*lambda x, u: f\(x, u, t=0\.0\)",
    ),
    "time first": (Flow(lambda t, x: -x, 2), r"takes \(t, x\).*no time.*lambda x, u: f\(0\.0, x\)"),
    "parameters": (Flow(lambda x, u, W, b: -x, 2), r"lambda x, u: f\(x, u, W=\.\.\., b=\.\.\.\)"),
    "no arguments": (Map(lambda: 0, 2), r"takes \(\); it is called with \(x, u\)"),
    "no u": (Map(lambda x: torch.tanh(x), 2, 3), "n_input is 3; take u as well"),
    "turned round": (Map(lambda u, x: torch.tanh(x + 2 * u), 6, 6), r"lambda x, u: f\(u, x\)"),
    "turned round, h": (Map(lambda x, h: torch.tanh(x + 2 * h), 6, 6), r"lambda x, u: f\(u, x\)"),
    "written to": (Map(lambda x, u: x.mul_(0.5), 2), r"writes to the states .* x = x\.clone\(\)"),
    "an error": (Map(lambda x, u: 1 / 0, 2), r"raises ZeroDivisionError \(division by zero\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_is_none_of_states_is_told_in_one_line(name):
    system, message = WRONG[name]
    for use in (
        lambda: dynsys.find_fixed_points(system, n_starts=16, workers=1),
        lambda: dynsys.simulate(system, torch.full((1, system.n_state), 0.3, dtype=torch.float64), zeros(3, system)),
    ):
        with pytest.raises(ValueError, match=message) as told:
            use()
        assert "\n" not in str(told.value)


def zeros(steps, system):
    return torch.zeros(steps, system.n_input, dtype=torch.float64)


@pytest.mark.parametrize(
    ("corrected", "points"),
    [
        (Flow(torch.vmap(lambda x, u: torch.stack([x[0] - x[0] ** 3, -x[1]])), 2, bounds=(-2, 2)), 3),
        (Flow(lambda x, u: (lambda t, y: y - y**3)(0.0, x), 1, bounds=(-2, 2)), 3),
        (Map(lambda x, u: torch.tanh(2 * x - x.mean(1, keepdim=True)), 1, bounds=(-1, 1)), 1),
    ],
)
def test_what_the_line_says_works(corrected, points):
    assert len(dynsys.find_fixed_points(corrected, n_starts=32, workers=1)) == points


RIGHT = {
    "of x alone": Map(lambda x: torch.tanh(2 * x), 2),
    "any arguments": Map(lambda *given: torch.tanh(2 * given[0]), 2),
    "a default": Map(lambda x, u, k=2.0: torch.tanh(k * x), 2),
    "NaN outside": Map(lambda x, u: 0.5 * torch.sqrt(x), 2, bounds=(0, 1)),
    "steps": Map(lambda x, u: 0.9 * torch.floor(5 * x) / 5, 2, bounds=(-1, 1)),
    "signs": Map(lambda x, u: 0.5 * torch.sign(x), 2),
    "constant": Map(lambda x, u: torch.full_like(x, 0.3), 2),
    "kinks": Flow(lambda x, u: -x + torch.relu(x @ W.T - 1), 6),
    "stiff": Flow(lambda x, u: -1e8 * x + torch.tanh(x), 2),
    "tiny": Flow(lambda x, u: 1e-9 * (x - x**3), 1, bounds=(-2, 2)),
    "wild": Map(lambda x, u: torch.sin(1e6 * x), 1, bounds=(-1, 1)),
    "NaN": Flow(lambda x, u: x * torch.nan, 2),
    "by the state's name": Map(lambda h, x: torch.tanh(h + x @ torch.ones(2, 2, dtype=h.dtype)), 2, 2),
    "u is the state": Flow(lambda u, p: -u, 2),
    "on a mask": Flow(lambda x, u: torch.where(x > 0, -x, -2 * x), 2),
}


@pytest.mark.parametrize("name", RIGHT)
def test_legal_functions_are_not_taken_for_wrong_ones(name):
    system = RIGHT[name]
    x = torch.rand(5, system.n_state, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    u = torch.zeros(5, system.n_input, dtype=torch.float64)
    for rows in (1, 5):
        assert system.velocity(x[:rows], u[:rows]).shape == (rows, system.n_state)
        assert system.jacobian(x[:rows], u[:rows]).shape == (rows, system.n_state, system.n_state)


def test_a_function_may_be_first_used_at_its_zeros_where_it_is_all_rounding():
    """A matrix product of many rows and of one round differently, and x' = -x + V tanh x + b rests to rounding."""
    V, b = 1.5 * torch.eye(6, dtype=torch.float64) + 0.2 * W, torch.linspace(-0.3, 0.3, 6, dtype=torch.float64)
    x = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for _ in range(2000):
        x = x + 0.5 * (torch.tanh(x) @ V.T + b - x)
    F = Flow(lambda x, u: torch.tanh(x) @ V.T + b - x, 6).velocity(x, torch.zeros(8, 0, dtype=torch.float64))
    assert float(F.abs().max()) < 1e-14


def test_a_function_is_looked_at_where_it_is_first_used_and_no_more():
    calls = []

    def step(x, u):
        calls.append(len(x))
        return later(x)

    system = Map(step, 2)
    assert calls == []
    later = torch.tanh
    x, u = torch.ones(4, 2, dtype=torch.float64), torch.zeros(4, 0, dtype=torch.float64)
    system.velocity(x, u)
    assert 1 < len(calls) < 30
    before = len(calls)
    system.velocity(x, u)
    system.to(dtype=torch.float32).velocity(x.float(), u.float())
    assert len(calls) == before + 2


def test_a_family_s_function_is_looked_at_at_every_snapshot_and_once_between_them():
    calls = []

    def at(s):
        def velocity(x, u):
            calls.append(s)
            return -x + (x.mean() if s == 2 else s)  # at the last snapshot a row depends on the others

        return Flow(velocity, 1)

    family, x = FamilyOf(at, [0.0, 1.0, 2.0]), torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    for p in (0.5, 0.25, 1.5):
        family.system(p).velocity(x, torch.zeros(3, 0, dtype=torch.float64))
    assert calls.count(0.25) == calls.count(1.5) == 1 < calls.count(0.5)
    with pytest.raises(ValueError, match=OTHER_ROWS):
        family.system(2.0).velocity(x, torch.zeros(3, 0, dtype=torch.float64))


@pytest.mark.parametrize("kind", [Map, Flow])
def test_a_function_may_be_differentiated_before_it_is_used(kind):
    x, u = torch.ones(3, 40, dtype=torch.float64), torch.full((3, 1), 0.5, dtype=torch.float64)
    for derivative in (
        lambda s: s.input_jacobian(x, u),
        lambda s: s.jacobian(x, u),
        lambda s: s.jacobian_product(x, u, x),
        lambda s: s.transposed_product(x, u, x),
    ):
        assert bool(torch.isfinite(derivative(kind(lambda x, u: torch.tanh(x * u), 40, 1))).all())


def test_what_is_drawn_to_look_at_a_function_leaves_the_random_streams_alone():
    state, of_numpy, plain = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with pytest.raises(ValueError, match="another each time"):
        Map(lambda x, u: x * torch.rand(1) * random.random() * np.random.rand(), 1).velocity(
            torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
        )
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == of_numpy
    assert random.getstate() == plain


@pytest.mark.parametrize("bounds", [(1, -1), [(-1, 1), (-1, 1)], 3, (0, 0), ("low", "high")])
def test_bounds_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds is"):
        Map(lambda x, u: x, 2, bounds=bounds)


def test_a_readout_of_another_size_is_told():
    system = Map(lambda x, u: torch.tanh(x), 2, readout=lambda x: x[:, :1], n_output=2)
    with pytest.raises(ValueError, match=r"readout of map gives shape \(3, 1\).*n_output=2 needs \(3, 2\)"):
        system.readout(torch.zeros(3, 2, dtype=torch.float64))
