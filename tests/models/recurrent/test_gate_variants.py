"""Gated networks of other conventions: a reset before the product, hard gates, other activations."""

import mpmath
import numpy as np
import pytest
import torch
from exact_networks import sigma

import dynsys
from dynsys.models.activations import GATES
from dynsys.models.driven.noisy_runs import levels_share, with_levels
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.recurrent.base import random_weights
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.models.wrapping.to_torch import to_torch
from dynsys.proof.certificate import Reason, certify, only_rounding
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.search.slow_points.minimum import descend_to_minimum
from dynsys.systems.held import Held
from dynsys.testing import check_system

GATE = {
    "logistic": lambda y: 1 / (1 + np.exp(-y)),
    "hard-sigmoid": lambda y: np.clip(y / 6 + 0.5, 0, 1),
    "hard-sigmoid-0.2": lambda y: np.clip(0.2 * y + 0.5, 0, 1),
}
F = {"tanh": np.tanh, "relu": lambda y: np.maximum(y, 0), "softplus": lambda y: np.log1p(np.exp(y))}
F |= {"logistic": GATE["logistic"], "elu": lambda y: np.where(y > 0, y, np.expm1(y))}
KINDS = {"gru": GRU, "lstm": LSTM, "lstm-peephole": PeepholeLSTM}


def gru(w, u, h, reset, gate, f):
    """One step of every layer, in NumPy: states (B, layers * n)."""
    new, a = [], u
    for k, own in enumerate(np.split(h, h.shape[1] // len(w["weight_hh_l0"][0]), axis=1)):
        W_r, W_z, W_n = np.split(w[f"weight_hh_l{k}"], 3)
        b_r, b_z, b_n = np.split(w[f"bias_hh_l{k}"], 3)
        y_r, y_z, y_n = np.split(a @ w[f"weight_ih_l{k}"].T + w[f"bias_ih_l{k}"], 3, axis=1)
        r, z = gate(y_r + own @ W_r.T + b_r), gate(y_z + own @ W_z.T + b_z)
        inner = (r * own) @ W_n.T + b_n if reset == "before" else r * (own @ W_n.T + b_n)
        a = (1 - z) * f(y_n + inner) + z * own
        new.append(a)
    return np.concatenate(new, axis=1)


def lstm(w, u, x, gate, f):
    layers = sum(key.startswith("weight_hh") for key in w)
    parts, a, h_new, c_new = np.split(x, 2 * layers, axis=1), u, [], []
    for k in range(layers):
        h, c = parts[k], parts[layers + k]
        y = a @ w[f"weight_ih_l{k}"].T + w[f"bias_ih_l{k}"] + h @ w[f"weight_hh_l{k}"].T + w[f"bias_hh_l{k}"]
        i, f_, g, o = np.split(y, 4, axis=1)
        p = w.get(f"peephole_l{k}", np.zeros((3, c.shape[1])))
        c = gate(f_ + p[1] * c) * c + gate(i + p[0] * c) * f(g)
        a = gate(o + p[2] * c) * f(c)
        h_new.append(a)
        c_new.append(c)
    return np.concatenate(h_new + c_new, axis=1)


def states(net, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((7, net.n_state)), rng.standard_normal((7, net.n_input))


def new_state(net, x, u):
    x = torch.as_tensor(x)
    return (x + net.velocity(x, torch.as_tensor(u))).numpy()


@pytest.mark.parametrize("activation", F)
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_gru_is_its_equation_and_keeps_the_contract(reset, gate, activation, layers):
    net = GRU.random(5, layers, reset=reset, gate=gate, activation=activation)
    x, u = states(net)
    expected = gru(net.arrays(), u, x, reset, GATE[gate], F[activation])
    np.testing.assert_allclose(new_state(net, x, u), expected, atol=1e-13)
    check_system(net)


@pytest.mark.parametrize("activation", F)
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", [LSTM, PeepholeLSTM])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_is_its_equation_and_keeps_the_contract(kind, gate, activation, layers):
    net = kind.random(4, layers, gate=gate, activation=activation)
    x, u = states(net)
    expected = lstm(net.arrays(), u, x, GATE[gate], F[activation])
    np.testing.assert_allclose(new_state(net, x, u), expected, atol=1e-13)
    check_system(net, states=x, inputs=u)


def test_a_gru_that_resets_before_the_product_is_told_from_torch_s():
    """The same weights, another step: by how much is what a wrong convention would go unnoticed by."""
    before, after = GRU.random(6, reset="before"), GRU.random(6)
    x, u = states(after)
    module = to_torch(after)
    h = module(torch.as_tensor(u)[None], torch.as_tensor(x)[None])[1][0].detach().numpy()
    np.testing.assert_allclose(new_state(after, x, u), h, atol=1e-13)
    assert np.abs(new_state(before, x, u) - h).max() > 0.05


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_the_gate_is_gone_from_the_reduced_gru_and_its_zeros_are_the_network_s(reset, activation):
    net = GRU.random(5, 2, reset=reset, activation=activation, gain=0.9)
    reduced = net.reduction().system
    check_system(reduced)
    points = dynsys.find_fixed_points(net, n_starts=64)
    assert len(points)
    assert points.certified.all() or activation == "relu"
    x = torch.as_tensor(points.states)
    assert float(reduced.velocity(x, x.new_zeros(len(x), 2)).abs().max()) < 1e-12
    u = np.zeros((len(x), 2))
    np.testing.assert_allclose(
        gru(net.arrays(), u, points.states, reset, GATE["logistic"], F[activation]), x, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["erf", "retanh", "logistic", "hard-sigmoid"])
def test_states_stay_in_the_range_of_a_bounded_activation(kind, activation):
    net = KINDS[kind].random(5, activation=activation, gain=3.0)
    u = torch.zeros(1, 2, dtype=torch.float64)
    low, high = net.box(u)
    x = low + (high - low) * torch.rand(64, net.n_state, dtype=torch.float64)
    for _ in range(30):
        x = x + net.velocity(x, u.expand(64, -1))
        inside = (x >= low - 1e-12) & (x <= high + 1e-12)
        assert bool(inside[:, :5].all())  # h
        assert bool(inside.all()) or kind == "lstm-peephole"  # whose c may open its own forget gate


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["relu", "softplus", "elu", "identity", "relu^2"])
def test_an_unbounded_activation_has_no_box(kind, activation):
    net = KINDS[kind].random(4, activation=activation)
    assert net.box(torch.zeros(1, 2, dtype=torch.float64)) is None
    assert not net.box_is_trapping


def shut(share):
    """A GRU of three units whose update gates have the preactivation 3 + share, whatever the state."""
    w = random_weights(3, 3, 1, 0, 1.0)
    w["weight_ih_l0"][3:6], w["weight_hh_l0"][3:6] = 0.0, 0.0
    w["bias_ih_l0"][3:6], w["bias_hh_l0"][3:6] = 3.0 + share, 0.0
    return w


def test_where_a_hard_update_gate_is_shut_every_state_is_fixed_and_none_is_certified():
    net = GRU(shut(0.1), gate="hard-sigmoid")
    x, u = torch.rand(20, 3, dtype=torch.float64), torch.zeros(20, 2, dtype=torch.float64)
    assert not bool(net.velocity(x, u).any())
    found = certify(Held(net, u, 1.0), x)
    assert not bool(found.certified.any())
    assert set(found.reasons) == {Reason.SINGULAR}
    F = net.enclosure(Enclosed.state(x, torch.tensor([1e-3, 1.0]).double()), u)
    assert not bool(F.value.any())
    assert max(float(F.error.max()), float(F.steepness.max())) < 1e-280  # proved: they are no matter of rounding
    assert net.reduction() is None


def test_where_a_hard_update_gate_is_nearly_shut_points_are_those_of_the_candidate():
    net = GRU(shut(-1e-6), gate="hard-sigmoid")
    points, open_ = dynsys.find_fixed_points(net), dynsys.find_fixed_points(GRU(shut(0.0)))
    assert points.certified.all()
    r = GATE["hard-sigmoid"]
    for h in points.states:
        w = {key: np.asarray(value) for key, value in net.arrays().items()}
        np.testing.assert_allclose(gru(w, np.zeros((1, 2)), h[None], "after", r, np.tanh)[0], h, atol=1e-12)
    assert len(open_) >= 1


def test_a_unit_with_a_shut_gate_makes_points_that_are_not_alone():
    """Unit 0 of three keeps its h: whatever that is, the others come to rest, and no such point is certified."""
    w = shut(0.1)
    w["bias_ih_l0"][4:6] = 0.0
    net = GRU(w, gate="hard-sigmoid")
    x, u = torch.zeros(9, 3, dtype=torch.float64), torch.zeros(9, 2, dtype=torch.float64)
    x[:, 0] = torch.linspace(-1, 1, 9)
    for _ in range(400):
        x = x + net.velocity(x, u)
    assert x[:, 0].tolist() == torch.linspace(-1, 1, 9).double().tolist()
    assert float(net.velocity(x, u).abs().max()) < 1e-14
    found = certify(Held(net, u, 1.0), x)
    assert not bool(found.certified.any())
    assert not bool(only_rounding(Held(net, u, 1.0), x).any())  # they are true fixed points


def test_a_cell_behind_a_hard_forget_gate_may_rest_anywhere():
    """f = 1 and i = 0 exactly: c' = c, of any size, and h' = o tanh(c)."""
    w = random_weights(4, 2, 1, 0, 0.5)
    w["weight_ih_l0"][:4], w["weight_hh_l0"][:4], w["bias_hh_l0"][:4] = 0.0, 0.0, 0.0
    w["bias_ih_l0"][:4] = [-4.0, -4.0, 4.0, 4.0]
    net = LSTM(w, gate="hard-sigmoid")
    assert net.reduction() is None
    assert not net.box_is_trapping
    x, u = torch.randn(9, 4, dtype=torch.float64), torch.zeros(9, 2, dtype=torch.float64)
    assert torch.equal((x + net.velocity(x, u))[:, 2:], x[:, 2:])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["gru before", "gru hard", "gru erf", "lstm hard", "lstm elu", "peephole hard"])
def test_points_found_solve_the_equation_and_are_certified(name, seed):
    kind, settings = {
        "gru before": (GRU, {"reset": "before"}),
        "gru hard": (GRU, {"reset": "before", "gate": "hard-sigmoid-0.2"}),
        "gru erf": (GRU, {"activation": "erf"}),
        "lstm hard": (LSTM, {"gate": "hard-sigmoid"}),
        "lstm elu": (LSTM, {"activation": "elu"}),
        "peephole hard": (PeepholeLSTM, {"gate": "hard-sigmoid-0.2"}),
    }[name]
    net = kind.random(4, seed=seed, gain=0.8, **settings)
    points = dynsys.find_fixed_points(net, n_starts=48)
    assert len(points)
    assert points.certified.all()
    gate, f = GATE[settings.get("gate", "logistic")], F.get(settings.get("activation", "tanh"), np.vectorize(_erf))
    u = np.zeros((len(points), 2))
    if kind is GRU:
        there = gru(net.arrays(), u, points.states, settings.get("reset", "after"), gate, f)
    else:
        there = lstm(net.arrays(), u, points.states, gate, f)
    np.testing.assert_allclose(there, points.states, atol=1e-12)


def _erf(y):
    return float(torch.erf(torch.tensor(y, dtype=torch.float64)))


def test_a_reset_before_the_product_is_enclosed_within_fifty_digits():
    net = GRU.random(2, reset="before", seed=3)
    x, u = torch.tensor([[0.3, -0.8]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    f = net.enclosure(Enclosed.state(x, torch.tensor([1e-9]).double()), u)
    with mpmath.workdps(50):
        w = {key: [[mpmath.mpf(v) for v in np.atleast_1d(row)] for row in value] for key, value in net.arrays().items()}
        h = [mpmath.mpf(v) for v in x[0].tolist()]

        def product(W, v):
            return [mpmath.fdot(row, v) for row in W]

        b = [p[0] + q[0] for p, q in zip(w["bias_ih_l0"], w["bias_hh_l0"], strict=True)]
        W = w["weight_hh_l0"]
        r = [sigma(y + c) for y, c in zip(product(W[0:2], h), b[0:2], strict=True)]
        z = [sigma(y + c) for y, c in zip(product(W[2:4], h), b[2:4], strict=True)]
        inner = product(W[4:6], [a * c for a, c in zip(r, h, strict=True)])
        n = [mpmath.tanh(y + c) for y, c in zip(inner, b[4:6], strict=True)]
        for j in range(2):
            exact = (1 - z[j]) * (n[j] - h[j])
            assert abs(mpmath.mpf(float(f.value[0, j])) - exact) <= float(f.error[0, j]) < 1e-14


@pytest.mark.parametrize("reset", ["after", "before"])
def test_noise_on_the_weights_of_a_gru_is_noise_on_its_weights(reset):
    """Rows of a batch at levels of their own are steps of networks with W_hh + level E."""
    net = GRU.random(4, 2, reset=reset)
    rng = np.random.default_rng(0)
    noise = {f"weight_hh_l{k}": rng.standard_normal((12, 4)) for k in (0, 1)}
    levels = torch.tensor([[0.0], [0.1], [0.7]], dtype=torch.float64)
    assert levels_share(net, noise)
    x, u = (torch.as_tensor(part[:3]) for part in states(net))
    together = with_levels(net, noise, levels).velocity(x, u)
    for i, level in enumerate(levels.flatten().tolist()):
        own = net.with_weights({key: net.arrays()[key] + level * E for key, E in noise.items()})
        torch.testing.assert_close(together[i : i + 1], own.velocity(x[i : i + 1], u[i : i + 1]))


def test_where_scipy_s_model_of_the_speed_overflows_no_minimum_is_claimed():
    """Cubes of states that differ by 1e145: the trust region is left, not the search."""
    net = GRU.random(3, 1, seed=43, gain=4.0, reset="before", activation="relu^3")
    x = torch.tensor([[2.4182531413629924, -1.8562345977838417e-145, -7.5598877105043165]], dtype=torch.float64)
    u = torch.tensor([[0.24422950667176005, 0.6781783200788559]], dtype=torch.float64)
    assert not descend_to_minimum(Held(net, u, 2.3077239037043578), x).is_minimum


SETTINGS = [
    GRU.random(4, 2, reset="before", gate="hard-sigmoid", activation="relu"),
    LSTM.random(4, 2, gate="hard-sigmoid-0.2", activation="softplus"),
    PeepholeLSTM.random(4, 2, gate="hard-sigmoid", activation="elu"),
    RNN.random(4, 2, nonlinearity="relu^1.5"),
]


@pytest.mark.parametrize("net", SETTINGS, ids=[net.name for net in SETTINGS])
def test_a_checkpoint_gives_the_variant_back(tmp_path, net):
    again = load(save_checkpoint(tmp_path / "net.safetensors", net))
    x, u = (torch.as_tensor(part) for part in states(net))
    assert torch.equal(again.velocity(x, u), net.velocity(x, u))
    assert again.settings() == net.settings()
    changed = again.with_weights({"weight_hh_l0": 0.5 * net.arrays()["weight_hh_l0"]})
    assert changed.settings() == net.settings()


@pytest.mark.parametrize("net", SETTINGS, ids=[net.name for net in SETTINGS])
def test_torch_has_no_module_for_them(net):
    with pytest.raises(ValueError, match=r"its (reset|gate|activation|nonlinearity) is '.*'; torch's modules have"):
        to_torch(net)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (GRU, {"reset": "never"}, "reset is 'never'; it can be after or before"),
        (GRU, {"gate": "tanh"}, r"gate is 'tanh'; it can be logistic \(sigmoid\), hard-sigmoid, hard-sigmoid-0.2"),
        (LSTM, {"gate": "relu"}, "gate is 'relu'; it can be logistic"),
        (LSTM, {"activation": "sine"}, "activation is 'sine'; it can be tanh"),
        (PeepholeLSTM, {"activation": "sine"}, "activation is 'sine'; it can be tanh"),
        (RNN, {"nonlinearity": "sine"}, "nonlinearity is 'sine'; it can be tanh"),
    ],
)
def test_unknown_variants_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind.random(3, **options)


def test_names_of_gates_and_activations_are_the_usual_ones():
    net = GRU.random(3, gate="nn.Sigmoid", activation="torch.tanh")
    assert net.settings() == GRU.random(3).settings()
    assert RNN.random(3, nonlinearity="ReLU").nonlinearity == "relu"
