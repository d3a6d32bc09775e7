"""LSTMs with peepholes and coupled gates: their equations, their zeros, their box, and that they can be trained."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

import dynsys
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.networks.lstm_variants import LSTMVariant
from dynsys.models.networks.recurrent import CELLS, RecurrentNetwork
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.backprop import Backprop, train
from dynsys.models.training.flipflop import FlipFlopLesson
from dynsys.testing import check_system

KINDS = {"lstm-peephole": PeepholeLSTM, "lstm-coupled": CoupledLSTM}
EVERY = list(itertools.product(KINDS, (1, 2, 3), (0.0, 0.4)))


def sigma(z):
    return 1 / (1 + np.exp(-z))


def by_the_paper(net, x, u):
    """One step of every layer, gate by gate, as Gers & Schmidhuber 2000 write it: NumPy and nothing of ours."""
    w, n, h, c = net.arrays(), len(net.layers), [], []
    units = len(x) // (2 * n)
    for k in range(n):
        h_old, c_old = x[k * units : (k + 1) * units], x[(n + k) * units : (n + k + 1) * units]
        z = w[f"weight_ih_l{k}"] @ u + w[f"bias_ih_l{k}"] + w[f"weight_hh_l{k}"] @ h_old + w[f"bias_hh_l{k}"]
        if isinstance(net, CoupledLSTM):
            f, g, o = np.split(z, 3)
            p_f, p_o = w.get(f"peephole_l{k}", np.zeros((2, units)))
            f = sigma(f + p_f * c_old)
            i = 1 - f
        else:
            i, f, g, o = np.split(z, 4)
            p_i, p_f, p_o = w.get(f"peephole_l{k}", np.zeros((3, units)))
            i, f = sigma(i + p_i * c_old), sigma(f + p_f * c_old)
        c.append(f * c_old + i * np.tanh(g))
        h.append(sigma(o + p_o * c[-1]) * np.tanh(c[-1]))
        u = h[-1]
    return np.concatenate(h + c)


def places(system, B=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(B, system.n_state, generator=draw, dtype=torch.float64)
    return x, torch.randn(B, system.n_input, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(("name", "layers", "peephole"), EVERY)
def test_a_step_is_that_of_the_paper(name, layers, peephole):
    net = KINDS[name].random(units=5, layers=layers, peephole=peephole)
    x, u = places(net)
    expected = [by_the_paper(net, *pair) for pair in zip(x.numpy(), u.numpy(), strict=True)]
    np.testing.assert_allclose(x + net.velocity(x, u), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("name", "layers", "peephole"), EVERY)
def test_every_variant_keeps_the_contract(name, layers, peephole):
    net = KINDS[name].random(units=4, layers=layers, peephole=peephole)
    check_system(net)
    x, u = places(net)
    check_system(net, states=x, inputs=u)
    if net.reduction() is not None:
        check_system(net.reduction().system)


def test_peepholes_and_a_projection_keep_the_contract_together():
    weights = LSTM.random(units=5, layers=2, proj_size=3).arrays()
    draw = np.random.default_rng(0).standard_normal
    net = PeepholeLSTM(weights | {"peephole_l0": draw((3, 5)), "peephole_l1": draw((3, 5))})
    x, u = places(net)
    check_system(net, states=x, inputs=u)


def test_without_peepholes_it_is_the_lstm():
    weights = LSTM.random(units=5, layers=2).arrays()
    x, u = places(LSTM(weights))
    for net in (PeepholeLSTM(weights), PeepholeLSTM(weights | {"peephole_l1": np.zeros((3, 5))})):
        torch.testing.assert_close(net.velocity(x, u), LSTM(weights).velocity(x, u), rtol=0, atol=1e-15)
        torch.testing.assert_close(net.jacobian(x, u), LSTM(weights).jacobian(x, u), rtol=0, atol=1e-15)
        for own, of_lstm in zip(net.box(u), LSTM(weights).box(u), strict=True):
            torch.testing.assert_close(own, of_lstm)


def test_coupled_gates_are_an_input_gate_with_the_negated_weights_of_the_forget_gate():
    """1 - sigma(z) = sigma(-z): the plain LSTM with those weights takes the same steps."""
    net = CoupledLSTM.random(units=5, layers=2, peephole=0.0)
    weights = {k: w if "readout" in k else np.concatenate([-np.split(w, 3)[0], w]) for k, w in net.arrays().items()}
    x, u = places(net)
    torch.testing.assert_close(net.velocity(x, u), LSTM(weights).velocity(x, u), rtol=0, atol=1e-15)


def coupled_with_known_points(n=3, w=4.0):
    """o = sigma(1 + p c), g = tanh(w h), f = sigma(0.3 h + 2 c): whatever f is, c rests at g and h at o tanh(g)."""
    p, W, b = 0.5, np.zeros((3 * n, n)), np.zeros(3 * n)
    W[:n], W[n : 2 * n], b[2 * n :] = 0.3 * np.eye(n), w * np.eye(n), 1.0
    peephole = np.stack([np.full(n, 2.0), np.full(n, p)])
    net = CoupledLSTM(
        {"weight_ih_l0": np.zeros((3 * n, 1)), "weight_hh_l0": W, "bias_ih_l0": b, "peephole_l0": peephole}
    )

    def rest(h):
        g = np.tanh(w * h)
        return sigma(1 + p * g) * np.tanh(g) - h

    roots = [brentq(rest, -1, -0.1, xtol=1e-15), 0.0, brentq(rest, 0.1, 1, xtol=1e-15)]
    h = torch.tensor(list(itertools.product(roots, repeat=n)), dtype=torch.float64)
    return net, torch.cat([h, torch.tanh(w * h)], dim=1)


def peepholes_with_known_points(n=2, w=3.0):
    """i = o = sigma(1), f = sigma(p c - 1): c rests where i tanh(w h) = c sigma(1 - p c), h = o tanh(c)."""
    p, W, b = -0.3, np.zeros((4 * n, n)), np.repeat([1.0, -1.0, 0.0, 1.0], n)
    W[2 * n : 3 * n] = w * np.eye(n)
    peephole = np.stack([np.zeros(n), np.full(n, p), np.zeros(n)])
    net = PeepholeLSTM(
        {"weight_ih_l0": np.zeros((4 * n, 1)), "weight_hh_l0": W, "bias_ih_l0": b, "peephole_l0": peephole}
    )
    s = sigma(1)

    def rest(c):
        return s * np.tanh(w * s * np.tanh(c)) - c * sigma(1 - p * c)

    roots = [0.0, *(brentq(rest, *ends, xtol=1e-15) for ends in ((-5, -0.1), (0.1, 5)))]
    c = torch.tensor(list(itertools.product(roots, repeat=n)), dtype=torch.float64)
    return net, torch.cat([s * torch.tanh(c), c], dim=1)


@pytest.mark.parametrize("known", [coupled_with_known_points, peepholes_with_known_points])
def test_the_known_points_are_zeros_and_lie_in_the_box(known):
    net, points = known()
    u = torch.zeros(len(points), 1, dtype=torch.float64)
    low, high = net.box(u)
    assert net.velocity(points, u).abs().max() < 1e-14
    assert bool(((points >= low) & (points <= high)).all())


@pytest.mark.parametrize("known", [coupled_with_known_points, peepholes_with_known_points])
def test_the_search_finds_the_known_points_and_certifies_them(known):
    net, points = known()
    found = dynsys.find_fixed_points(net, n_starts=256, seed=0)
    assert len(found) == len(points)
    assert found.certified.all()
    apart = np.abs(found.states[:, None] - points.numpy()[None]).max(axis=2)
    assert apart.min(axis=0).max() < 1e-12


def newton(system, x, u, steps=80):
    for _ in range(steps):
        x = x - 0.7 * torch.linalg.solve_ex(system.jacobian(x, u), system.velocity(x, u))[0]
    return x[system.velocity(x, u).abs().amax(1) < 1e-13]


@pytest.mark.parametrize("cls", [PeepholeLSTM, CoupledLSTM])
@pytest.mark.parametrize(("layers", "peephole"), [(1, 0.0), (1, 0.8), (2, 0.8), (3, 0.8)])
def test_zeros_of_the_reduction_are_zeros_of_the_network_and_the_other_way_round(cls, layers, peephole):
    system = cls.random(units=5, layers=layers, gain=0.5, peephole=peephole)
    reduction, draw = system.reduction(), torch.Generator().manual_seed(0)
    u = torch.randn(1, 2, generator=draw, dtype=torch.float64).expand(16, -1)
    y = newton(reduction.system, torch.rand(16, reduction.system.n_state, generator=draw, dtype=torch.float64) - 0.5, u)
    assert len(y) > 0
    assert system.velocity(reduction.lift(y, u[: len(y)]), u[: len(y)]).abs().max() < 1e-12
    x = newton(system, torch.rand(16, system.n_state, generator=draw, dtype=torch.float64) - 0.5, u)
    assert len(x) > 0
    assert reduction.system.velocity(reduction.start(x), u[: len(x)]).abs().max() < 1e-10
    torch.testing.assert_close(reduction.lift(reduction.start(x), u[: len(x)]), x, rtol=1e-9, atol=1e-9)


def test_where_both_gates_shut_the_reduction_has_no_zero_though_c_hardly_moves():
    """i = sigma(-c), f = sigma(c), g = tanh(1): at c = 60 the step is below the rounding of c; c rests at g e^0."""
    net = one_unit(p_i=-1.0, p_f=1.0, bias=[0.0, 0.0, 1.0, 0.0])
    u = torch.zeros(2, 1, dtype=torch.float64)
    x = torch.tensor([[0.5, 60.0], [0.5 * np.tanh(np.tanh(1)), np.tanh(1)]], dtype=torch.float64)
    assert net.velocity(x, u)[:, 1].abs().max() < 1e-15
    reduced = net.reduction().system.velocity(x, u)[:, 1]
    np.testing.assert_allclose(reduced, [np.tanh(1) - 60, 0], atol=1e-14)  # i / (1 - f) = 1 for every c


def from_the_corners(net, steps=200, B=64):
    """The least and largest state of runs that begin in corners of the box, and the box."""
    draw = torch.Generator().manual_seed(0)
    u = torch.randn(1, net.n_input, generator=draw, dtype=torch.float64).expand(B, -1)
    low, high = net.box(u)
    x = torch.where(torch.rand(B, net.n_state, generator=draw) < 0.5, low, high)
    least, most = x.amin(0), x.amax(0)
    for _ in range(steps):
        x = x + net.velocity(x, u)
        least, most = torch.minimum(least, x.amin(0)), torch.maximum(most, x.amax(0))
    return least, most, low[0], high[0]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_no_run_leaves_a_box_that_traps(name, layers):
    net = KINDS[name].random(units=6, layers=layers, gain=2.0, peephole=1.0)
    if name == "lstm-peephole":  # all but p_f, which may let c grow for ever
        arrays = net.arrays()
        for k in range(layers):
            arrays[f"peephole_l{k}"][1] = 0
        net = PeepholeLSTM(arrays)
    assert net.box_is_trapping
    least, most, low, high = from_the_corners(net)
    assert bool((least >= low - 1e-12).all() & (most <= high + 1e-12).all())


def one_unit(p_i=0.0, p_f=0.0, bias=(3.0, 0.0, 3.0, 0.0)):
    """A cell without weights but its peepholes: i = sigma(b_i + p_i c), f = sigma(b_f + p_f c), g = tanh(b_g)."""
    zeros = {"weight_ih_l0": np.zeros((4, 1)), "weight_hh_l0": np.zeros((4, 1))}
    return PeepholeLSTM(zeros | {"bias_ih_l0": bias, "peephole_l0": [[p_i], [p_f], [0.0]]})


def bounds_of_c(net):
    low, high = net.box(torch.zeros(1, 1, dtype=torch.float64))
    return float(low[0, 1]), float(high[0, 1])


def test_a_cell_that_opens_its_own_forget_gate_grows_for_ever_and_no_box_is_said_to_trap_it():
    """The largest c sigma(-c) is 0.278, less than i g = 0.948: no rest, and every step adds up to i g."""
    net, u = one_unit(p_f=1.0), torch.zeros(1, 1, dtype=torch.float64)
    assert not net.box_is_trapping
    x = torch.zeros(1, 2, dtype=torch.float64)
    for _ in range(200):
        x = x + net.velocity(x, u)
    assert float(x[0, 1]) > 180


def test_the_box_ends_between_the_rest_of_a_cell_and_the_one_from_which_it_runs_away():
    """With p = 0.2, c sigma(-p c) = i g has two roots: c rests at the first and runs away from beyond the second."""
    net, u = one_unit(p_f=0.2), torch.zeros(2, 1, dtype=torch.float64)
    ig = sigma(3) * np.tanh(3)
    roots = [brentq(lambda c: ig - c * sigma(-0.2 * c), *ends, xtol=1e-15) for ends in ((0, 5), (5, 40))]
    c = torch.tensor(roots, dtype=torch.float64)
    x = torch.stack([0.5 * torch.tanh(c), c], dim=1)
    assert net.velocity(x, u).abs().max() < 1e-14
    slope = net.jacobian(x, u)[:, 1, 1]
    assert slope[0] < 0 < slope[1]
    high = bounds_of_c(net)[1]
    assert roots[0] < high < roots[1]
    assert high == pytest.approx(1 / 0.2 + ig)


def test_no_stable_rest_of_a_single_cell_lies_outside_the_box():
    """Every root of c = i g / (1 - f) on a fine grid, for 300 cells; at least 50 of them rest at |c| > 1."""
    rng, far = np.random.default_rng(0), 0
    c = np.concatenate([-np.geomspace(1e-3, 300, 6000)[::-1], np.geomspace(1e-3, 300, 6000)])
    for _ in range(300):
        (p_i, p_f), bias = rng.normal(0, 0.7, 2), [*rng.normal(0, 2, 3), 0.0]
        low, high = bounds_of_c(one_unit(p_i, p_f, bias))
        F = sigma(bias[0] + p_i * c) * np.tanh(bias[2]) - c * sigma(-bias[1] - p_f * c)
        stable = np.flatnonzero((F[:-1] > 0) & (F[1:] < 0))  # c' - c falls through 0
        assert ((c[stable + 1] >= low) & (c[stable] <= high)).all()
        far += (np.abs(c[stable]) > 1).sum()
    assert far >= 50


@pytest.mark.parametrize("p", [0.05, 0.1, 0.2])
def test_the_bound_of_a_cell_is_reached_where_its_two_rests_meet(p):
    """They meet at c = 1 / p + i g with f = 1 / (p c); for a b_f a little below, one rests stably just inside."""
    ig = sigma(3) * np.tanh(3)
    meet = 1 / p + ig
    b_f = -np.log(p * meet - 1) - p * meet - 1e-6
    rest = brentq(lambda c: ig - c * sigma(-b_f - p * c), 0.5 * meet, meet, xtol=1e-14)
    assert 1 / p + 0.95 * ig < rest < bounds_of_c(one_unit(p_f=p, bias=[3.0, b_f, 3.0, 0.0]))[1] < meet + 1e-9


def test_a_rest_that_h_holds_beyond_the_bound_of_the_cell_alone_is_in_the_box():
    """f = sigma(b + 2 c - 13 h), h = tanh(c): beyond 1 / 2 + i g the cell alone runs away, h holds it."""
    ig, c = sigma(3) * np.tanh(3), 1.6
    b_f = np.log((c - ig) / ig) - 2 * c + 13 * np.tanh(c)
    net = PeepholeLSTM(
        {
            "weight_ih_l0": np.zeros((4, 1)),
            "weight_hh_l0": [[0.0], [-13.0], [0.0], [0.0]],
            "bias_ih_l0": [3.0, b_f, 3.0, 50.0],
            "peephole_l0": [[0.0], [2.0], [0.0]],
        }
    )
    x, u = torch.tensor([[np.tanh(c), c]]), torch.zeros(1, 1, dtype=torch.float64)
    assert net.velocity(x, u).abs().max() < 1e-14
    G = np.eye(2) + net.jacobian(x, u)[0].numpy()
    assert c > 1 / 2 + ig
    assert G[1, 1] > 1 > np.abs(np.linalg.eigvals(G)).max()
    assert c < bounds_of_c(net)[1]


def test_a_peephole_that_shuts_the_gate_leaves_the_bound_of_an_lstm():
    """p_f < 0 and c > 0: f is at most what it is without the peephole."""
    assert bounds_of_c(one_unit(p_f=-1.0))[1] == pytest.approx(sigma(3) * np.tanh(3) / (1 - sigma(0)))


def test_where_i_shuts_as_fast_as_f_opens_c_is_bounded_where_f_rounds_to_one():
    """i = sigma(-c), f = sigma(c): c rests at g wherever that is, so that no bound follows from the gates."""
    high = bounds_of_c(one_unit(p_i=-1.0, p_f=1.0, bias=[0.0, 0.0, 1.0, 0.0]))[1]
    assert high == pytest.approx(np.log(2 / np.finfo(float).eps))  # sigma(c) = 1 - eps / 2


def test_the_bound_of_a_coupled_cell_is_its_largest_candidate():
    b = np.array([0.4, -1.0, 2.0, 0.0])  # f, f, g, g of two units; o is 0
    net = CoupledLSTM(
        {"weight_ih_l0": np.zeros((6, 1)), "weight_hh_l0": np.zeros((6, 2)), "bias_hh_l0": [*b, 0.0, 0.0]}
    )
    high = net.box(torch.zeros(1, 1, dtype=torch.float64))[1][0]
    g = np.tanh([2.0, 0.0])
    np.testing.assert_allclose(high, [*np.tanh(g), *g], atol=1e-15)


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_brings_the_network_back(name, tmp_path):
    net = KINDS[name].random(layers=2)
    again = load(save_checkpoint(tmp_path / "net.safetensors", net))
    x, u = places(net)
    assert again.name == name
    assert torch.equal(net.velocity(x, u), again.velocity(x, u))
    assert torch.equal(net.readout(x), again.readout(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"peephole_l0": np.zeros((3, 8))},
            r"peephole_l0 has shape \(3, 8\); .* needs \(2, 8\), one row for each of f, o",
        ),
        ({"peephole_l1": np.zeros((2, 8))}, "peephole_l1 is given, but the network has 1 layers"),
        ({"peephole_l0": np.full((2, 8), np.nan)}, "peephole_l0 holds 16 of 16 values that are NaN"),
        ({"peephole": np.zeros((2, 8))}, "peephole is no weight"),
        ({"weight_hr_l0": np.zeros((3, 8))}, "only an LSTM projects its h"),
    ],
)
def test_wrong_weights_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        CoupledLSTM(CoupledLSTM.random().arrays() | change)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_module_without_peepholes_is_torchs_lstm(layers, bidirectional, batch_first):
    options = {"batch_first": batch_first, "bidirectional": bidirectional, "dtype": torch.float64}
    torch.manual_seed(0)
    module = nn.LSTM(3, 5, layers, **options)
    ours = LSTMVariant(3, 5, layers, peephole=False, **options)
    ours.load_state_dict(module.state_dict())
    u = torch.randn(4, 7, 3, dtype=torch.float64)
    first = torch.randn(2, layers * (1 + bidirectional), 4 if batch_first else 7, 5, dtype=torch.float64).unbind(0)
    for given in (None, first):
        expected, (h, c) = module(u, given)
        output, last = ours(u, given)
        for own, of_torch in zip((output, *last), (expected, h, c), strict=True):
            torch.testing.assert_close(own, of_torch, rtol=0, atol=1e-14)


@pytest.mark.parametrize("coupled", [False, True])
def test_the_module_steps_as_its_system_does_and_wrap_takes_it(coupled):
    torch.manual_seed(2)
    module = LSTMVariant(2, 4, 2, coupled=coupled, dtype=torch.float64)
    for weight in module.parameters():
        nn.init.normal_(weight)
    net = (CoupledLSTM if module.coupled else PeepholeLSTM).of_module(module)
    wrapped = dynsys.wrap(module, n_state=16, n_input=2)
    x, u = places(net)
    torch.testing.assert_close(wrapped.velocity(x, u), net.velocity(x, u), rtol=0, atol=1e-14)
    torch.testing.assert_close(wrapped.jacobian(x, u), net.jacobian(x, u), rtol=0, atol=1e-13)


def test_a_coupled_state_dict_is_marked_and_makes_the_system():
    """Its three gates alone would look like a GRU."""
    module = LSTMVariant(2, 4, coupled=True, peephole=False, dtype=torch.float64)
    net = CoupledLSTM.of_module(module)
    x, u = places(net)
    assert bool(module.state_dict()["coupled_gates"])
    assert torch.equal(CoupledLSTM(module.state_dict()).velocity(x, u), net.velocity(x, u))
    with pytest.raises(ValueError, match="coupled_gates is no weight"):
        PeepholeLSTM(module.state_dict())


def test_a_module_of_no_units_is_refused():
    with pytest.raises(ValueError, match="hidden_size is 0"):
        LSTMVariant(2, 0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_every_cell_runs_as_its_system_does(cell, layers):
    network = RecurrentNetwork(cell, 3, 6, 2, layers=layers, seed=1).double()
    net, u = network.system(), torch.randn(2, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, outputs = torch.zeros(2, net.n_state, dtype=torch.float64), []
    for t in range(9):
        x = x + net.velocity(x, u[:, t])
        outputs.append(net.readout(x))
    assert isinstance(net, CELLS[cell])
    torch.testing.assert_close(network(u).detach(), torch.stack(outputs, dim=1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_bidirectional_network_is_the_sum_of_what_its_two_systems_read_out(cell, layers):
    """The backward one runs over the reversed sequence; both directions of a lower layer drive both of the upper."""
    network = RecurrentNetwork(cell, 3, 4, 2, layers=layers, bidirectional=True, seed=1).double()
    u = torch.randn(2, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, output = u, network.readout.bias.detach()
    for k in range(layers):
        halves, h = network.directions(layer=k), []
        for name, net in halves.items():
            x, seen = torch.zeros(2, net.n_state, dtype=torch.float64), []
            for held in a.unbind(1) if name == "forward" else a.flip(1).unbind(1):
                x = x + net.velocity(x, held)
                seen.append(x)
            states = torch.stack(seen if name == "forward" else seen[::-1], dim=1)
            h.append(states[:, :, :4])
            if k == layers - 1:
                output = output + torch.stack([net.readout(states[:, t]) for t in range(9)], dim=1)
        a = torch.cat(h, dim=2)
    torch.testing.assert_close(network(u).detach(), output, rtol=0, atol=1e-13)


def test_a_bidirectional_network_says_why_it_is_no_system():
    network = RecurrentNetwork("lstm-peephole", 2, 4, 2, bidirectional=True)
    for system in (network.system, lambda: PeepholeLSTM.of_module(network.rnn)):
        with pytest.raises(ValueError, match=r"bidirectional.*no dynamical system"):
            system()
    with pytest.raises(ValueError, match="layer is 1; this network has layers 0 to 0"):
        network.directions(layer=1)
    with pytest.raises(ValueError, match=r"one direction; take system\(\)"):
        RecurrentNetwork("gru", 2, 4, 2).directions()


@pytest.mark.parametrize("cell", KINDS)
def test_a_variant_learns_to_keep_two_bits_in_nine_fixed_points(cell):
    """Each bit has two stable values with one between, so that the memories are 4 of 3^2 points."""
    task = FlipFlop(bits=2, pulse=2, gap=6, settle=4, overlap=True)
    lesson = FlipFlopLesson(task, task, batch=16, steps=30, test_steps=200)
    network = RecurrentNetwork(cell, 2, 8, 2, seed=0)
    train(network, lesson, Backprop(steps=150, learning_rate=3e-2, validate_every=75))
    assert lesson.score(network)["settled_bit_accuracy"] > 0.99
    points = dynsys.find_fixed_points(network.system(), n_starts=128, seed=0)
    assert sorted(points.n_unstable) == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    signs = {tuple(row) for row in np.sign(points.readouts[points.n_unstable == 0])}
    assert signs == set(itertools.product([-1.0, 1.0], repeat=2))


class NextInput:
    """The output is to be the input one step later, +-1: known to none that reads from the past alone."""

    def __init__(self):
        self.inputs = torch.randn(64, 12, 1, generator=torch.Generator().manual_seed(0)).sign()

    def loss(self, network, step):
        return ((network(self.inputs)[:, :-1] - self.inputs[:, 1:]) ** 2).mean()

    def error(self, network):
        return float(self.loss(network, 0))


@pytest.mark.parametrize("cell", ["gru", *KINDS])
def test_a_bidirectional_network_learns_what_only_the_future_tells(cell):
    errors = {}
    for both in (False, True):
        network = RecurrentNetwork(cell, 1, 4, 1, bidirectional=both, seed=0)
        errors[both] = train(network, NextInput(), Backprop(steps=100, learning_rate=5e-2)).best_error
    assert errors[True] < 0.05
    assert errors[False] > 0.5  # coins: beyond learning these 64 sequences by heart nothing can be known


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", KINDS)
def test_a_state_dict_is_recognised_by_the_marks_of_the_variant(cell, layers, tmp_path):
    """Without them the rows of the weights would be those of an LSTM or of a GRU."""
    network = RecurrentNetwork(cell, 2, 6, 2, layers=layers)
    for weight in network.parameters():
        nn.init.normal_(weight)
    torch.save(network.state_dict(), tmp_path / "net.pt")
    loaded, net = load(tmp_path / "net.pt"), network.system()
    x, u = places(net)
    assert loaded.name == cell
    torch.testing.assert_close(loaded.velocity(x, u), net.velocity(x, u), rtol=0, atol=0)
    torch.testing.assert_close(loaded.readout(x), net.readout(x), rtol=0, atol=0)
