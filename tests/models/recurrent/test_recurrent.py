"""Vanilla RNNs, GRUs and LSTMs against torch's own modules, and their reduced forms against known fixed points."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.testing import check_system

CELLS = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
    "lstm-proj": (nn.LSTM, {"proj_size": 3}),
}
OURS = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}
EVERY = [(cell, layers, bias) for cell in CELLS for layers in (1, 2, 3) for bias in (True, False)]
GATED = [(cell, layers, bias) for cell, layers, bias in EVERY if "gru" in cell or "lstm" in cell]


def pair(cell, layers, bias, units=5, scale=1.0):
    """torch's module in float64 and ours with the same weights."""
    kind, options = CELLS[cell]
    torch.manual_seed(3)
    module = kind(2, units, layers, bias=bias, dtype=torch.float64, **options).requires_grad_(False)
    for weight in module.parameters():
        weight.mul_(scale * units**0.5)  # torch draws them evenly from +- 1 / sqrt(units): this keeps clear of zero
    settings = {"nonlinearity": options.get("nonlinearity", "tanh")} if kind is nn.RNN else {}
    return module, OURS[kind].from_arrays(dict(module.named_parameters()), settings)


def step_of(module, x, u):
    """One step of torch's module from a flat state (B, n), in our order."""
    proj = getattr(module, "proj_size", 0) or module.hidden_size
    layers, widths = module.num_layers, [module.num_layers * proj]
    if isinstance(module, nn.LSTM):
        widths.append(layers * module.hidden_size)
    held = tuple(p.reshape(len(x), layers, -1).transpose(0, 1).contiguous() for p in x.split(widths, dim=1))
    new = module(u.unsqueeze(0), held if isinstance(module, nn.LSTM) else held[0])[1]
    return torch.cat([h.transpose(0, 1).flatten(1) for h in (new if isinstance(new, tuple) else (new,))], dim=1)


def places(system, B=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(B, system.n_state, generator=draw, dtype=torch.float64)
    return x, torch.randn(B, system.n_input, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(("cell", "layers", "bias"), EVERY)
def test_velocity_and_jacobian_are_those_of_torchs_own_module(cell, layers, bias):
    module, system = pair(cell, layers, bias)
    x, u = places(system)
    torch.testing.assert_close(system.velocity(x, u), step_of(module, x, u) - x, rtol=1e-13, atol=1e-13)
    J = system.jacobian(x, u)
    for i in range(len(x)):
        own = torch.func.jacrev(lambda y, i=i: step_of(module, y.unsqueeze(0), u[i : i + 1])[0])(x[i])
        torch.testing.assert_close(J[i], own - torch.eye(system.n_state), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cell", "layers", "bias"), EVERY)
def test_jacobian_agrees_with_central_differences_of_torchs_own_module(cell, layers, bias):
    module, system = pair(cell, layers, bias)
    x, u = places(system, B=2, seed=1)
    h = 1e-5
    for j in range(system.n_state):
        e = torch.zeros_like(x)
        e[:, j] = h
        slope = (step_of(module, x + e, u) - step_of(module, x - e, u)) / (2 * h)
        column = system.jacobian(x, u)[:, :, j] + (e[:1] / h)
        torch.testing.assert_close(column, slope, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("cell", "layers", "bias"), EVERY)
def test_every_system_keeps_the_contract(cell, layers, bias):
    system = pair(cell, layers, bias)[1]
    x, u = places(system, B=3)
    check_system(system, states=x, inputs=u)


@pytest.mark.parametrize(("cell", "layers", "bias"), GATED)
def test_every_reduced_system_keeps_the_contract(cell, layers, bias):
    check_system(pair(cell, layers, bias)[1].reduction().system)


def test_products_at_fixed_states_are_the_jacobian_whatever_the_rows_of_the_input():
    system = GRU.random(layers=2)
    x, u = places(system)
    held = u[:1].expand(len(x), -1)  # one row seen four times: computed once
    torch.testing.assert_close(system.velocity(x, held), system.velocity(x, held.clone()), rtol=0, atol=1e-15)
    product = system.linearised(x, held)
    for seed in range(3):
        v = places(system, seed=seed)[0]
        before = v.clone()
        torch.testing.assert_close(product(v), torch.einsum("bij,bj->bi", system.jacobian(x, held), v))
        assert torch.equal(v, before)


def test_state_is_h_of_every_layer_then_c_of_every_layer():
    parts = pair("lstm-proj", 2, True)[1].state_parts
    assert parts == {"h_l0": slice(0, 3), "h_l1": slice(3, 6), "c_l0": slice(6, 11), "c_l1": slice(11, 16)}


def gru_with_known_points(n=3, w=4.0):
    """r = 1/2 always, so that n = tanh(w h / 2): each unit rests at 0 and +-a, a = tanh(w a / 2), whatever z does."""
    rng = np.random.default_rng(0)
    W = np.zeros((3 * n, n))
    W[n : 2 * n], W[2 * n :] = rng.standard_normal((n, n)), w * np.eye(n)
    net = GRU({"weight_ih_l0": np.zeros((3 * n, 1)), "weight_hh_l0": W})
    a = brentq(lambda h: np.tanh(w * h / 2) - h, 0.5, 1, xtol=1e-15)
    return net, torch.tensor(list(itertools.product([0.0, a, -a], repeat=n)), dtype=torch.float64)


def lstm_with_known_points(n=3, w=3.0):
    """i = f = o = sigma(1) always, g = tanh(w h): h = o tanh(i tanh(w h) / (1 - f)) is a scalar equation per unit."""
    W, b = np.zeros((4 * n, n)), np.ones(4 * n)
    W[2 * n : 3 * n], b[2 * n : 3 * n] = w * np.eye(n), 0
    net = LSTM({"weight_ih_l0": np.zeros((4 * n, 1)), "weight_hh_l0": W, "bias_ih_l0": b})
    s = 1 / (1 + np.exp(-1))
    a = brentq(lambda h: s * np.tanh(s * np.tanh(w * h) / (1 - s)) - h, 0.2, 1, xtol=1e-15)
    h = torch.tensor(list(itertools.product([0.0, a, -a], repeat=n)), dtype=torch.float64)
    return net, torch.cat([h, s * torch.tanh(w * h) / (1 - s)], dim=1)


@pytest.mark.parametrize("known", [gru_with_known_points, lstm_with_known_points])
def test_the_27_known_points_are_zeros_of_the_network_and_of_its_reduction(known):
    net, points = known()
    u = torch.zeros(27, 1, dtype=torch.float64)
    reduction = net.reduction()
    y = reduction.start(points)
    assert net.velocity(points, u).abs().max() < 1e-14
    assert reduction.system.velocity(y, u).abs().max() < 1e-14
    torch.testing.assert_close(reduction.lift(y, u), points, rtol=0, atol=1e-14)
    away = y + 0.05
    assert net.velocity(reduction.lift(away, u), u).norm(dim=1).min() > 1e-3
    assert reduction.system.velocity(away, u).norm(dim=1).min() > 1e-3


def newton(system, x, u, steps=60):
    for _ in range(steps):
        x = x - 0.7 * torch.linalg.solve(system.jacobian(x, u), system.velocity(x, u))
    return x[system.velocity(x, u).abs().amax(1) < 1e-13]


@pytest.mark.parametrize(("cell", "layers", "bias"), GATED)
def test_zeros_of_the_reduction_are_zeros_of_the_network_and_the_other_way_round(cell, layers, bias):
    system = pair(cell, layers, bias, scale=0.6)[1]
    reduction = system.reduction()
    draw = torch.Generator().manual_seed(0)
    u = torch.randn(1, 2, generator=draw, dtype=torch.float64).expand(16, -1)
    y = newton(reduction.system, torch.rand(16, reduction.system.n_state, generator=draw, dtype=torch.float64) - 0.5, u)
    assert len(y) > 0
    assert system.velocity(reduction.lift(y, u[: len(y)]), u[: len(y)]).abs().max() < 1e-12
    x = newton(system, torch.rand(16, system.n_state, generator=draw, dtype=torch.float64) - 0.5, u)
    assert len(x) > 0
    assert reduction.system.velocity(reduction.start(x), u[: len(x)]).abs().max() < 1e-10
    torch.testing.assert_close(reduction.lift(reduction.start(x), u[: len(x)]), x, rtol=1e-9, atol=1e-9)


def test_the_reduced_lstm_stays_finite_where_the_forget_gate_is_one():
    n = 2
    net = LSTM({"weight_ih_l0": np.zeros((4 * n, 1)), "weight_hh_l0": np.ones((4 * n, n)), "bias_ih_l0": [1e4] * 4 * n})
    for dtype in (torch.float32, torch.float64):
        reduced = net.to(dtype=dtype).reduction().system
        x, u = torch.full((1, n), 0.5, dtype=dtype), torch.zeros(1, 1, dtype=dtype)
        assert bool(torch.isfinite(reduced.velocity(x, u)).all() & torch.isfinite(reduced.jacobian(x, u)).all())


@pytest.mark.parametrize(("cell", "layers", "bias"), [case for case in EVERY if case[0] != "relu"])
def test_iterates_of_states_in_the_box_stay_in_it(cell, layers, bias):
    module, system = pair(cell, layers, bias)
    x, u = places(system, B=32)
    u = u[:1].expand(32, -1)
    low, high = system.box(u)
    assert system.box_is_trapping
    x = torch.where(x < 0, low, high)  # a corner
    for _ in range(20):
        x = step_of(module, x, u)
        assert bool(((x >= low * (1 + 1e-12)) & (x <= high * (1 + 1e-12))).all())


def test_the_bound_of_c_is_where_c_rests_with_its_gates_wide_open():
    """Without recurrent weights the gates are known: c rests at i g / (1 - f)."""
    b = torch.tensor([0.3, -1.0, 2.0, 1.0, -0.7, 1.2, 0.0, 0.0], dtype=torch.float64)  # i, f, g, o of two units
    net = LSTM({"weight_ih_l0": torch.zeros(8, 1), "weight_hh_l0": torch.zeros(8, 2), "bias_hh_l0": b})
    high = net.box(torch.zeros(1, 1, dtype=torch.float64))[1][0, 2:]
    i, f, g = torch.sigmoid(b[:2]), torch.sigmoid(b[2:4]), torch.tanh(b[4:6]).abs()
    torch.testing.assert_close(high, i * g / (1 - f))


def test_the_box_of_c_is_finite_where_the_forget_gate_rounds_to_one():
    net = LSTM({"weight_ih_l0": np.ones((4, 1)), "weight_hh_l0": np.ones((4, 1)), "bias_ih_l0": [0, 1e5, 0, 0]})
    low, high = net.box(torch.zeros(1, 1, dtype=torch.float64))
    assert high[0, 1] == -low[0, 1] == 2 / np.finfo(np.float64).eps


def test_a_projected_h_is_bounded_by_the_row_sums_of_the_projection():
    module, system = pair("lstm-proj", 1, True)
    high = system.box(torch.zeros(1, 2, dtype=torch.float64))[1][0, :3]
    torch.testing.assert_close(high, module.weight_hr_l0.abs().sum(1))


def test_relu_has_no_box_and_its_unstable_runs_are_finite():
    system = RNN.random(nonlinearity="relu", gain=5)
    assert system.box(torch.zeros(1, 2, dtype=torch.float64)) is None
    assert not system.box_is_trapping
    assert bool(torch.isfinite(system.task_trajectories(2000, 8, 0)).all())


def test_random_runs_are_the_same_for_the_same_seed_and_begin_at_the_first_state():
    weights = GRU.random(layers=2).arrays()
    first = np.linspace(-0.5, 0.5, 16)
    net = GRU(weights | {"initial_state": first, "weight_ih_l0": weights["weight_ih_l0"] * 0})
    a, b, c = (net.task_trajectories(30, 8, seed) for seed in (0, 0, 1))
    assert a.shape == (30, 8, 16)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    x = torch.as_tensor(first)[None]
    torch.testing.assert_close(a[0, :3], (x + net.velocity(x, torch.zeros(1, 2, dtype=x.dtype))).expand(3, -1))


def test_random_inputs_reach_every_memory_of_a_network_of_three_bits():
    """Three bistable units, each pushed by its own input: driven at random the network visits all eight corners."""
    net = RNN({"weight_ih_l0": 4 * np.eye(3), "weight_hh_l0": 2 * np.eye(3)})
    signs = torch.sign(net.task_trajectories(200, 16, 0)).flatten(0, 1)
    assert len(torch.unique(signs[(signs != 0).all(1)], dim=0)) == 8


@pytest.mark.parametrize(("width", "place"), [(5, slice(5, 10)), (10, slice(0, 10)), (20, slice(0, 20))])
def test_readout_acts_on_what_has_its_width(width, place):
    weights = pair("lstm", 2, True)[1].arrays()
    W, b = np.random.default_rng(0).standard_normal((3, width)), np.arange(3.0)
    net = LSTM(weights | {"readout.weight": W, "readout.bias": b})
    x = places(net)[0]
    assert net.n_output == 3
    np.testing.assert_allclose(net.readout(x), x.numpy()[:, place] @ W.T + b, atol=1e-14)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_arrays_and_settings_give_the_network_back_and_share_nothing_with_it(kind):
    net = kind.random(layers=2)
    arrays = net.arrays()
    again = kind.from_arrays(arrays, net.settings())
    x, u = places(net)
    assert torch.equal(net.velocity(x, u), again.velocity(x, u))
    assert torch.equal(net.readout(x), again.readout(x))
    expected = net.velocity(x, u)
    for array in arrays.values():
        array[:] = 0
    assert torch.equal(net.velocity(x, u), expected)
    assert torch.equal(again.velocity(x, u), expected)


def test_single_precision_copies_leave_the_original_in_double():
    net = LSTM.random(layers=2)
    single = net.to(dtype=torch.float32)
    x, u = places(net)
    assert single.velocity(x.float(), u.float()).dtype == single.readout(x.float()).dtype == torch.float32
    assert net.velocity(x, u).dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l0": np.full((24, 8), np.nan)}, "weight_hh_l0 holds 192 of 192 values that are NaN"),
        ({"readout.weight": np.full((2, 8), np.inf)}, "readout.weight holds 16 of 16 values that are NaN or infinite"),
        ({"weight_ih_l0": np.zeros((24, 2), complex)}, "weight_ih_l0 is complex"),
        ({"weight_hh_l0": np.zeros((23, 8))}, r"weight_hh_l0 has shape \(23, 8\); .* needs \(3 \* units, units\)"),
        ({"weight_hh_l0": np.zeros((24, 7))}, r"weight_hh_l0 has shape \(24, 7\); .* needs \(24, 8\)"),
        ({"bias_ih_l0": np.zeros(8)}, r"bias_ih_l0 has shape \(8,\); .* needs \(24,\)"),
        ({"weight_hr_l0": np.zeros((3, 8))}, "only an LSTM projects its h"),
        ({"weight_ih_l1": np.zeros((24, 8))}, "weight_hh_l1 is missing"),
        ({"weight_ih_l0_reverse": np.zeros((24, 2))}, "weight_ih_l0_reverse is no weight"),
        ({"readout.weight": np.zeros((2, 5))}, r"readout.weight has shape \(2, 5\); .* width of 8"),
        ({"readout.bias": np.zeros(3)}, r"readout.bias has shape \(3,\); 2 outputs need \(2,\)"),
        ({"initial_state": np.zeros(5)}, r"initial_state has shape \(5,\); .* \(8,\)"),
    ],
)
def test_wrong_weights_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        GRU(GRU.random().arrays() | change)


def test_an_unknown_nonlinearity_is_refused():
    with pytest.raises(ValueError, match="nonlinearity is 'sine'; it can be tanh, logistic"):
        RNN.random(nonlinearity="sine")
