"""``dynsys.wrap``: torch's modules, containers of them, steps and cells, and the user's network left as it was."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import dynsys
from dynsys.systems.held import Held
from dynsys.systems.speed import hessians
from dynsys.testing import check_system

RECURRENT = {
    "rnn": lambda **o: nn.RNN(3, 5, **o),
    "relu": lambda **o: nn.RNN(3, 5, nonlinearity="relu", **o),
    "gru": lambda **o: nn.GRU(3, 5, **o),
    "lstm": lambda **o: nn.LSTM(3, 5, **o),
    "projected": lambda **o: nn.LSTM(3, 5, proj_size=2, **o),
}
CELLS = {
    "rnn-cell": nn.RNNCell(3, 5),
    "relu-cell": nn.RNNCell(3, 5, bias=False, nonlinearity="relu"),
    "gru-cell": nn.GRUCell(3, 5),
    "lstm-cell": nn.LSTMCell(3, 5),
}


class Gated(nn.Module):
    """A step of the user's own, with dropout."""

    def __init__(self, n=6, m=3):
        super().__init__()
        self.gate, self.new, self.drop = nn.Linear(n + m, n), nn.Linear(n + m, n), nn.Dropout(0.5)

    def forward(self, x, u):
        both = torch.cat([x, u], dim=1)
        z = torch.sigmoid(self.gate(both))
        return self.drop(z * x + (1 - z) * torch.tanh(self.new(both)))


class Elman(nn.Module):
    """The cell of torch's tutorials: output, hidden = cell(input, hidden)."""

    def __init__(self, n=4, m=4):
        super().__init__()
        self.i2h, self.i2o = nn.Linear(n + m, n), nn.Linear(n + m, 2)

    def forward(self, input, hidden):
        both = torch.cat([input, hidden], dim=1)
        return self.i2o(both), torch.tanh(self.i2h(both))


class Passed(nn.Module):
    """A module that hands (input, h) on to another."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, input, h):
        return self.inner(input, h)


class Whole(nn.Module):
    """A recurrent module and its readout, as most people keep them."""

    def __init__(self, rnn, readout=None, **first):
        super().__init__()
        self.rnn, self.readout = rnn, readout or nn.Identity()
        for name, value in first.items():
            setattr(self, name, nn.Parameter(value))
        self.first = tuple(first)

    def forward(self, u):
        first = tuple(getattr(self, name).unsqueeze(1).expand(-1, u.shape[1], -1).contiguous() for name in self.first)
        return self.readout(self.rnn(u, first or None)[0])


def places(system, B=4):
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(B, system.n_state, generator=draw, dtype=torch.float64) * 2 - 1
    return x, torch.randn(B, system.n_input, generator=draw, dtype=torch.float64)


def snapshot(module):
    """All that a user could find changed."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    parts = list(module.modules())
    return (
        [(k, id(p), p.detach().clone(), p.requires_grad, p.dtype, p.device, p._version) for k, p in tensors],
        [None if p.grad is None else (id(p.grad), p.grad.clone()) for p in module.parameters()],
        [part.training for part in parts],
        [(dict(part._forward_hooks), dict(part._forward_pre_hooks), dict(part._backward_hooks)) for part in parts],
        sorted(key for part in parts for key in vars(part)),
        torch.get_rng_state(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_wrapped_module_steps_as_the_module_does(name, layers, batch_first):
    torch.manual_seed(0)
    module = RECURRENT[name](num_layers=layers, batch_first=batch_first, bias=layers != 2)
    system = dynsys.wrap(module)
    exact = copy.deepcopy(module).double()
    u = places(system, B=7)[1]
    with torch.no_grad():
        states = exact(u.unsqueeze(0 if batch_first else 1))[1]  # one sequence of seven steps, from zero
    states = states if isinstance(states, tuple) else (states,)
    end = dynsys.simulate(system, torch.zeros(1, system.n_state, dtype=torch.float64), u)[-1, 0]
    expected = torch.cat([part[:, 0].flatten() for part in states])
    torch.testing.assert_close(end, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", CELLS)
def test_a_wrapped_cell_steps_as_the_cell_does(name):
    cell = CELLS[name]
    system = dynsys.wrap(cell)
    x, u = places(system)
    exact = copy.deepcopy(cell).double()
    with torch.no_grad():
        new = torch.cat(exact(u, x.chunk(2, 1)), 1) if name == "lstm-cell" else exact(u, x)
    torch.testing.assert_close(system.velocity(x, u), new - x, rtol=0, atol=1e-14)


MODULES = [
    *(make() for make in RECURRENT.values()),
    *CELLS.values(),
    Whole(nn.GRU(3, 5, 2, dropout=0.5), nn.Linear(5, 2)),
    (Gated(), 6, 3),
    (Elman(), 4, 4),
    (Passed(nn.LSTM(3, 4, 2)), 16, 3),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m[0] if isinstance(m, tuple) else m).__name__)
@pytest.mark.parametrize("training", [True, False])
def test_the_module_comes_back_bit_for_bit(module, training):
    module, *sizes = module if isinstance(module, tuple) else (module,)
    module = copy.deepcopy(module).train(training)
    parameters = list(module.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.ones_like(parameters[1])
    module.register_forward_hook(lambda *_: None)
    before = snapshot(module)
    system = dynsys.wrap(module, None, *sizes)
    x, u = places(system)
    for dtype in (torch.float64, torch.float32):
        moved = system.to(dtype=dtype)
        moved.jacobian(x.to(dtype), u.to(dtype))
        moved.transposed_product(x.to(dtype), u.to(dtype), x.to(dtype))
        moved.linearised(x.to(dtype), u.to(dtype))(x.to(dtype))
    system.task_trajectories(5, 4, 0)
    assert equal(snapshot(module), before)
    expected = system.velocity(x, u)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert torch.equal(system.velocity(x, u), expected)


def test_dropout_is_off_whatever_the_module_s_mode():
    module = Gated().train()
    x, u = places(dynsys.wrap(module, n_state=6, n_input=3))
    system = dynsys.wrap(module, n_state=6, n_input=3)
    expected = copy.deepcopy(module).eval().double()(x, u).detach()
    torch.testing.assert_close(system.velocity(x, u) + x, expected)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_each_direction_of_a_bidirectional_module_is_a_network_of_its_own(direction):
    module = nn.GRU(3, 5, bidirectional=True)
    with pytest.raises(ValueError, match=r"bidirectional.*direction='forward' or direction='backward'"):
        dynsys.wrap(module)
    system = dynsys.wrap(module, direction=direction)
    u = places(system, B=6)[1]
    end = dynsys.simulate(system, torch.zeros(1, 5, dtype=torch.float64), u)[-1, 0]
    ends = copy.deepcopy(module).double()((u if direction == "forward" else u.flip(0)).unsqueeze(1))[1][:, 0].detach()
    torch.testing.assert_close(end, ends[int(direction == "backward")], rtol=0, atol=1e-14)


def test_of_a_bidirectional_stack_one_layer_is_driven_by_both_directions_below():
    module = nn.LSTM(3, 5, 2, bidirectional=True)
    with pytest.raises(ValueError, match=r"2 layers.*layer=0.*10 inputs, forward first"):
        dynsys.wrap(module, direction="forward")
    lower, upper = (dynsys.wrap(module, direction="backward", layer=k) for k in (0, 1))
    assert (lower.n_input, upper.n_input, upper.n_state) == (3, 10, 10)
    np.testing.assert_array_equal(upper.arrays()["weight_ih_l0"], module.weight_ih_l1_reverse.detach().double())


def test_a_readout_may_be_a_linear_layer_a_pair_or_a_function():
    gru, linear = nn.GRU(3, 5, 2), nn.Linear(5, 2)
    W, b = linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()
    mlp = nn.Sequential(nn.Dropout(0.5), linear)
    x = places(dynsys.wrap(gru))[0]
    for readout in (linear, (W, b), mlp, lambda h: h @ torch.as_tensor(W).T + torch.as_tensor(b)):
        system = dynsys.wrap(gru, readout)
        assert system.n_output == 2
        np.testing.assert_allclose(system.readout(x), x.numpy()[:, 5:] @ W.T + b, atol=1e-14)
        assert system.to(dtype=torch.float32).readout(x.float()).dtype == torch.float32
    whole = dynsys.wrap(gru, lambda x: x[:, :7] * torch.ones(7, dtype=torch.float64) + 0 * x[:, 9:])
    assert torch.equal(whole.readout(x), x[:, :7])
    assert mlp.training


def test_a_module_that_holds_a_network_and_its_readout_is_taken_apart():
    h, c = torch.randn(1, 5), torch.randn(1, 5)
    whole = Whole(nn.LSTM(3, 5), nn.Linear(5, 2), initial_hiddens_1xd=h, initial_cell_1xd=c)
    system = dynsys.wrap(whole)
    u = places(system, B=6)[1]
    exact = copy.deepcopy(whole).double()
    exact.rnn.flatten_parameters()
    with torch.no_grad():
        said = exact.readout(exact.rnn(u.unsqueeze(1), (h.double()[:, None], c.double()[:, None]))[0])[:, 0]
    states = dynsys.simulate(system, system.initial_state[None], u)[:, 0]
    torch.testing.assert_close(system.readout(states), said, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("module", "n_state"),
    [
        (Passed(nn.GRUCell(3, 4)), 4),
        (Passed(nn.LSTMCell(3, 4)), 8),
        (Passed(nn.GRU(3, 4)), 4),
        (Passed(nn.GRU(3, 4, 2)), 8),
        (Passed(nn.RNN(3, 4, 3, batch_first=True)), 12),
        (Passed(nn.LSTM(3, 4, 2)), 16),
    ],
)
def test_a_cell_called_step_by_step_has_the_derivatives_of_the_closed_form(module, n_state):
    system, closed = dynsys.wrap(module, n_state=n_state, n_input=3), dynsys.wrap(module.inner)
    x, u = places(closed)
    assert system.state_parts == closed.state_parts
    for name in ("velocity", "jacobian"):
        torch.testing.assert_close(getattr(system, name)(x, u), getattr(closed, name)(x, u), rtol=0, atol=1e-13)
    for name in ("jacobian_product", "transposed_product"):
        torch.testing.assert_close(getattr(system, name)(x, u, x), getattr(closed, name)(x, u, x), rtol=0, atol=1e-13)
    check_system(system)


@pytest.mark.parametrize(("module", "sizes"), [(Gated(), (6, 3)), (Elman(), (4, 4)), (Gated().forward, (6, 3))])
def test_modules_of_one_s_own_keep_the_contract_and_so_do_their_methods(module, sizes):
    system = dynsys.wrap(module, n_state=sizes[0], n_input=sizes[1])
    assert system.single_precision
    check_system(system)


def test_a_function_keeps_the_contract_and_a_scalar_network_has_its_three_points():
    system = dynsys.wrap(lambda x, u: torch.tanh(2 * x + u), readout=([[2.0]], None), n_state=1, n_input=1)
    check_system(system)
    points = dynsys.find_fixed_points(system, n_starts=32)
    a = 0.9575040240772687  # tanh(2 a) = a
    np.testing.assert_allclose(np.sort(points.states[:, 0]), [-a, 0, a], atol=1e-12)
    np.testing.assert_allclose(np.sort(points.readouts[:, 0]), [-2 * a, 0, 2 * a], atol=1e-12)


def test_weights_that_still_want_gradients_do_not_leak_them():
    W = torch.eye(3, dtype=torch.float64, requires_grad=True)
    system = dynsys.wrap(lambda x, u: torch.tanh(x @ W), n_state=3, n_input=0)
    x, u = places(system)
    results = [system.velocity(x, u), system.jacobian(x, u), system.jacobian_product(x, u, x)]
    results += [system.transposed_product(x, u, x), system.linearised(x, u)(x)]
    assert not any(result.requires_grad for result in results)
    assert W.grad is None


class Once(torch.autograd.Function):
    """tanh with a derivative of its own, which cannot be differentiated again but goes forward."""

    @staticmethod
    def forward(x):
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0] ** 2)

    @staticmethod
    def jvp(ctx, t):
        return t * (1 - ctx.saved_tensors[0] ** 2)


def test_what_cannot_be_differentiated_twice_goes_forward():
    system = dynsys.wrap(lambda x, u: Once.apply(2 * x), n_state=3, n_input=0)
    x, u = places(system)
    slope = 2 * (1 - torch.tanh(2 * x) ** 2) - 1
    torch.testing.assert_close(system.linearised(x, u)(x), slope * x)
    torch.testing.assert_close(system.transposed_product(x, u, x), slope * x)
    torch.testing.assert_close(system.jacobian(x, u), torch.diag_embed(slope))


class Backward(torch.autograd.Function):
    """tanh in the older style, which goes neither forward nor backwards twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(torch.tanh(x))
        return torch.tanh(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0] ** 2)


class Lost(Backward):
    """The same, but a second derivative is silently zero: its slope was saved as a number."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(1 - torch.tanh(x) ** 2)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


TANH = {"torch": torch.tanh, "forward": Once.apply, "backward": Backward.apply, "lost": Lost.apply}


@pytest.mark.parametrize("tanh", TANH)
def test_the_hessian_of_q_of_a_step_is_the_formula(tanh):
    """F = tanh(W x + b) - x: H = J^T J + W^T diag(F tanh'') W, with tanh'' = -2 tanh tanh'."""
    draw = np.random.default_rng(0)
    W, b, x = draw.standard_normal((5, 5)), draw.standard_normal(5), draw.standard_normal((3, 5))
    system = dynsys.wrap(lambda x, u: TANH[tanh](x @ torch.as_tensor(W.T) + torch.as_tensor(b)), n_state=5, n_input=0)
    found = hessians(Held(system, torch.zeros(3, 0, dtype=torch.float64)), torch.as_tensor(x))
    for state, H in zip(x, found, strict=True):
        t = np.tanh(W @ state + b)
        slope = 1 - t**2
        J = slope[:, None] * W - np.eye(5)
        expected = J.T @ J + W.T @ np.diag((t - state) * -2 * t * slope) @ W
        np.testing.assert_allclose(H, expected, rtol=0, atol=1e-13 if tanh == "torch" else 1e-7)


@pytest.mark.parametrize("inner", [nn.GRUCell(3, 4), nn.LSTM(3, 4, 2), nn.RNN(3, 4, 3, batch_first=True)])
def test_the_hessian_of_q_of_a_stepped_cell_is_that_of_the_closed_form(inner):
    closed = dynsys.wrap(inner)
    x, u = places(closed)
    found = hessians(Held(dynsys.wrap(Passed(inner), n_state=closed.n_state, n_input=3), u), x)
    torch.testing.assert_close(found, hessians(Held(closed, u), x), rtol=0, atol=1e-13)
    assert not found.requires_grad


@pytest.mark.parametrize("tanh", TANH)
@pytest.mark.parametrize("r", [1e-3, 1e-7])
def test_the_ghost_of_a_saddle_node_in_a_step_is_a_slow_point(tanh, r):
    """x' = x + r + tanh(x - 0.3)^2 is least fast at 0.3, with q = r^2 / 2, and rests nowhere."""
    system = dynsys.wrap(lambda x, u: x + r + TANH[tanh](x - 0.3) ** 2, n_state=1, n_input=0)
    points = dynsys.find_fixed_points(system, np.linspace(-0.2, 0.8, 16)[:, None], closure=False, workers=1)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, [[0.3]], atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)


def test_a_large_step_has_its_slow_point_without_a_hessian():
    """One ghost, x' = x + r + x^2, the other 149 units decaying, in coordinates turned at random."""
    n, r = 150, 1e-3
    Q = torch.as_tensor(np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0])

    def step(x, u):
        y = x @ Q
        return torch.cat([y[:, :1] + r + y[:, :1] ** 2, 0.5 * y[:, 1:]], dim=1) @ Q.T

    starts = 0.3 * np.random.default_rng(1).standard_normal((4, n))
    system = dynsys.wrap(step, n_state=n, n_input=0)
    points = dynsys.find_fixed_points(system, starts, closure=False, workers=1)
    assert points.verdict.tolist() == ["slow"]
    np.testing.assert_allclose(points.states, np.zeros((1, n)), atol=1e-7)
    np.testing.assert_allclose(points.q, [r**2 / 2], rtol=1e-6)


class Leaky(nn.Module):
    """The page's own module, with three directions that are nearly bistable, and ghosts where they are not quite."""

    def __init__(self, n=8):
        super().__init__()
        self.recurrent, self.input = nn.Linear(n, n), nn.Linear(2, n)
        with torch.no_grad():
            self.recurrent.weight.copy_(0.4 * torch.randn(n, n) / n**0.5 + 2 * torch.eye(n) * (torch.arange(n) < 3))

    def forward(self, x, u):
        return 0.9 * x + 0.1 * torch.tanh(self.recurrent(x) + self.input(u))


@pytest.mark.parametrize("seed", [0, 1])
def test_slow_points_of_a_module_are_the_minima_that_scipy_finds(seed):
    torch.manual_seed(seed)
    module = Leaky()
    points = dynsys.find_fixed_points(dynsys.wrap(module, n_state=8, n_input=2), workers=1)
    W = module.recurrent.weight.detach().double().numpy()
    b = (module.recurrent.bias.double() + module.input.bias.double()).detach().numpy()

    def q_and_slope(x):
        t = np.tanh(W @ x + b)
        F, J = 0.1 * (t - x), 0.1 * ((1 - t**2)[:, None] * W - np.eye(8))
        return 1e4 * F @ F / 2, 1e4 * J.T @ F

    slow = points.verdict == "slow"
    assert slow.any()
    for x, q in zip(points.states[slow], points.q[slow], strict=True):
        nearby = x + 1e-3 * np.random.default_rng(0).standard_normal(8)
        end = minimize(q_and_slope, nearby, jac=True, method="BFGS", options={"gtol": 1e-10})
        np.testing.assert_allclose(x, end.x, atol=1e-6)
        assert q == pytest.approx(end.fun / 1e4, rel=1e-9)


def test_a_step_that_hides_its_derivative_is_refused():
    @torch.no_grad()
    def detached(x, u):
        return torch.tanh(2 * x)

    for step in (detached, lambda x, u: torch.tanh(2 * x.detach()), lambda x, u: torch.as_tensor(np.sin(x.numpy()))):
        with pytest.raises(ValueError, match=r"derivative that torch finds|torch cannot differentiate|takes no step"):
            dynsys.wrap(step, n_state=3, n_input=0)


def test_a_step_that_is_nan_in_half_of_the_space_still_works_in_the_other():
    system = dynsys.wrap(lambda x, u: torch.where(x > 0.2, torch.nan, 0.5 * x), n_state=1, n_input=0)
    x, u = torch.tensor([[-0.3]], dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
    torch.testing.assert_close(system.jacobian_product(x, u, x), -0.5 * x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "module is a int; give an nn.Module or a function"),
        ((Gated(),), "n_state is not given; the sizes of Gated cannot be inferred"),
        ((Gated(), None, 6), "n_input is not given"),
        ((Gated(), None, 0, 3), "n_state is 0; it must be an int of at least 1"),
        ((nn.GRU(3, 5), None, 6), "n_state is 6, but this GRU has 5"),
        ((nn.GRU(3, 5), nn.Linear(4, 2)), r"readout.weight has shape \(2, 4\)"),
        ((nn.GRU(3, 5), 7), "readout is a int"),
        ((nn.GRU(3, 5), (1, 2, 3)), "readout has 3 parts"),
        ((nn.GRU(3, 5), lambda h: h.sum()), r"readout cannot be used: for states of shape \(3, 5\) it gives \(\)"),
        ((lambda x, u: torch.stack([x[1], -x[0]]), None, 2, 0), r"takes one state, .*torch\.vmap\(<lambda>\)"),
        ((lambda x, u: np.tanh(np.asarray(x)), None, 2, 0), "Compute in torch throughout, not in NumPy"),
        ((nn.GRU(3, 5), lambda h: h.softmax(0)), "is another each time, or mixes the rows"),
        ((nn.GRU(3, 5), lambda h: h + torch.rand_like(h)), "is another each time, or mixes the rows"),
        ((lambda x, u: x[:, :3], None, 4, 2), r"gives shape \(5, 3\) for a state of shape \(5, 4\)"),
        ((Gated(5), None, 4, 3), "Gated takes no step with n_state=4 and n_input=3"),
        ((lambda x, u: x.float(), None, 4, 2), "computes in torch.float32"),
        ((lambda x, u: x + torch.rand_like(x), None, 4, 2), "answers differently each time"),
        ((lambda x, u: x - x.mean(0), None, 4, 2), "mixes the rows of a batch"),
        ((nn.Linear(2, 2).__class__, None, 4, 2), "takes no step"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dynsys.wrap(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "backward"}, "this GRU is not bidirectional"),
        ({"direction": "left"}, "direction is 'left'; it may be 'forward' or 'backward'"),
        ({"layer": 2}, "layer is 2; this GRU has layers 0 to 1"),
        ({"convention": "cell"}, "convention is 'cell', but GRU is known"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        dynsys.wrap(nn.GRU(3, 5, 2), **options)
    with pytest.raises(ValueError, match="convention is 'both'"):
        dynsys.wrap(Gated(), n_state=6, n_input=3, convention="both")


@pytest.mark.parametrize(("module", "sizes"), [(nn.GRU(3, 5), ()), (Gated(), (6, 3))])
def test_nan_in_the_weights_is_named(module, sizes):
    with torch.no_grad():
        next(module.parameters())[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"weight.* NaN or infinite"):
        dynsys.wrap(module, None, *sizes)


def test_a_subclass_that_computes_something_else_is_not_taken_for_its_parent():
    class Doubled(nn.GRUCell):
        def forward(self, input, hx=None):
            return 2 * super().forward(input, hx)

    with pytest.raises(ValueError, match="n_state is not given"):
        dynsys.wrap(Doubled(3, 5))
    system, plain = dynsys.wrap(Doubled(3, 5), n_state=5, n_input=3), dynsys.wrap(nn.GRUCell(3, 5))
    assert type(system) is not type(plain)


def test_the_examples_of_the_page_work():
    page = (Path(__file__).parents[3] / "docs" / "wrap.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 7
    exec("\n".join(blocks), {"__name__": "page"})
