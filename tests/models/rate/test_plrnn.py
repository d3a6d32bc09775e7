"""Piecewise-linear recurrent networks: each form is its equation, and all its points and cycles are found."""

import itertools

import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.driven.perturbation import perturbed, weights_chosen
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.rate.plrnn import PLRNN
from dynsys.systems.held import Held
from dynsys.testing import check_system
from dynsys.trajectories.simulate import relax


def relu(y):
    return np.maximum(y, 0.0)


def arrays(form, M=4, hidden=5, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    held = {"A": rng.uniform(0.2, 0.8, M), "C": rng.standard_normal((M, 2))}
    held |= {"W_out": rng.standard_normal((3, M)), "b_out": rng.standard_normal(3)}
    if form in ("shallow", "clipped"):
        held["W1"], held["W2"] = rng.standard_normal((M, hidden)) * scale, rng.standard_normal((hidden, M)) * scale
        return held | {"h1": rng.standard_normal(M), "h2": rng.standard_normal(hidden)}
    if form == "full A":
        held["A"] = rng.standard_normal((M, M)) / 2
    return held | {"W": rng.standard_normal((M, M)) * scale, "h": rng.standard_normal(M)}


SETTINGS = {
    "plain": {},
    "full A": {},
    "almost linear": {"linear": 2},
    "mask": {"linear": [0, 1, 0, 1]},
    "shallow": {},
    "clipped": {"clipped": True},
}


def step(form, held, z, u):
    A = held["A"] if held["A"].ndim == 2 else np.diag(held["A"])
    if form in ("shallow", "clipped"):
        y = z @ held["W2"].T
        inner = relu(y + held["h2"]) - (relu(y) if form == "clipped" else 0)
        return z @ A.T + inner @ held["W1"].T + held["h1"] + u @ held["C"].T
    linear = {"almost linear": [True, True, False, False], "mask": [False, True, False, True]}.get(form, [False] * 4)
    phi = np.where(linear, z, relu(z))
    return z @ A.T + phi @ held["W"].T + held["h"] + u @ held["C"].T


def made(form, **options):
    return PLRNN(arrays(form, **options), **SETTINGS[form])


@pytest.mark.parametrize("form", SETTINGS)
def test_each_form_is_its_equation_and_keeps_the_contract(form):
    held, net = arrays(form), made(form)
    rng = np.random.default_rng(1)
    z, u = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))
    at = torch.as_tensor(z)
    np.testing.assert_allclose(at + net.velocity(at, torch.as_tensor(u)), step(form, held, z, u), atol=1e-13)
    np.testing.assert_allclose(net.readout(at), z @ held["W_out"].T + held["b_out"], atol=1e-13)
    check_system(net)


@pytest.mark.parametrize("form", SETTINGS)
def test_what_is_left_out_is_zero(form):
    held = arrays(form)
    bare = {key: value for key, value in held.items() if key in ("A", "W", "W1", "W2")}
    whole = held | {key: np.zeros_like(held[key]) for key in ("h", "h1", "h2") if key in held}
    net = PLRNN(bare, **SETTINGS[form])
    z = np.random.default_rng(1).standard_normal((6, 4))
    at = torch.as_tensor(z)
    there = step(form, whole, z, np.zeros((6, 2)))
    np.testing.assert_allclose(at + net.velocity(at, at.new_zeros(6, 0)), there, atol=1e-13)
    assert (net.n_input, net.n_output) == (0, 0)


def points_by_enumeration(form, held, u):
    """Every pattern of the hidden units, solved by itself; the zeros that lie in their own region."""
    A = held["A"] if held["A"].ndim == 2 else np.diag(held["A"])
    if form in ("shallow", "clipped"):
        B, V, e, c = held["W1"], held["W2"], held["h2"], held["h1"]
        if form == "clipped":
            B, V, e = np.hstack([B, -B]), np.vstack([V, V]), np.concatenate([e, 0 * e])
    else:
        bent = {"almost linear": [2, 3], "mask": [0, 2]}.get(form, [0, 1, 2, 3])
        B, V, e, c = held["W"][:, bent], np.eye(4)[bent], np.zeros(len(bent)), held["h"]
        A = A + held["W"] * ~np.isin(np.arange(4), bent)
    found = []
    for signs in itertools.product((0.0, 1.0), repeat=len(e)):
        D = np.diag(signs)
        z = np.linalg.solve(np.eye(4) - A - B @ D @ V, c + held["C"] @ u + B @ D @ e)
        if np.array_equal(V @ z + e > 0, np.array(signs) > 0):
            found.append(z)
    return found


@pytest.mark.parametrize("form", SETTINGS)
def test_all_fixed_points_are_found_and_proved(form):
    several = 0
    for seed in (0, 1, 2, 6):
        options = {"seed": seed, "scale": 3.0, "hidden": 3} if form == "clipped" else {"seed": seed, "scale": 1.5}
        held, net, u = arrays(form, **options), made(form, **options), np.array([0.4, -0.3])
        expected = points_by_enumeration(form, held, u)
        points = dynsys.find_fixed_points(net, input=u)
        assert points.search.complete
        assert points.certified.all()
        assert len(points) == len(expected)
        for z in expected:
            assert np.abs(points.states - z).max(axis=1).min() < 1e-9 * (1 + np.abs(z).max())
        several += len(points) > 1
    assert several or form in ("almost linear", "mask")


def test_a_cycle_of_period_two_is_found():
    """z' = -2 relu(z) + 1 + z / 2: (1 - 3 z / 2) above 0, 1 + z / 2 below. From a > 0 to c < 0 and back,
    a = 1 + (1 - 3 a / 2) / 2: a = 6/7, c = -2/7."""
    net = PLRNN({"A": [0.5], "W": [[-2.0]], "h": [1.0]})
    points = dynsys.find_fixed_points(net, period=2)
    np.testing.assert_allclose(np.sort(points.states.ravel()), [-2 / 7, 6 / 7], atol=1e-14)
    assert points.certified.all()


def test_a_network_of_linear_units_has_the_one_point_of_linear_algebra():
    held = arrays("plain")
    points = dynsys.find_fixed_points(PLRNN(held, linear=4), input=[0.3, -1.0])
    z = np.linalg.solve(np.eye(4) - np.diag(held["A"]) - held["W"], held["h"] + held["C"] @ [0.3, -1.0])
    np.testing.assert_allclose(points.states, z[None], atol=1e-12)
    assert points.certified.all()
    assert points.search.complete


def test_a_unit_that_keeps_everything_makes_a_line_of_fixed_points():
    """z_0' = z_0 and z_1' = z_1 / 2 + relu(z_0): fixed wherever z_1 = 2 relu(z_0)."""
    points = dynsys.find_fixed_points(PLRNN({"A": [1.0, 0.5], "W": [[0.0, 0.0], [1.0, 0.0]]}))
    assert not points.certified.any()
    np.testing.assert_allclose(points.states[:, 1], 2 * relu(points.states[:, 0]), atol=1e-9)
    assert len(points.manifolds)


@pytest.mark.parametrize("seed", range(4))
def test_clipped_and_contracting_networks_stay_in_their_boxes(seed):
    rng = np.random.default_rng(seed)
    clipped = {"A": rng.uniform(-0.9, 0.9, 4), "W1": rng.standard_normal((4, 6)), "W2": rng.standard_normal((6, 4))}
    clipped |= {"h2": rng.standard_normal(6), "h1": rng.standard_normal(4)}
    gentle = {"A": rng.uniform(-0.5, 0.5, 4), "W": rng.uniform(-0.1, 0.1, (4, 4)), "h": rng.standard_normal(4)}
    for net in (PLRNN(clipped, clipped=True), PLRNN(gentle)):
        u = torch.zeros(1, 0, dtype=torch.float64)
        low, high = net.box(u)
        assert net.box_is_trapping
        corners = torch.where(torch.rand(64, 4) < 0.5, low, high)
        path = relax(Held(net, u), corners, 50)
        assert bool(((path >= low) & (path <= high)).all())
        check_system(net)


def test_a_network_that_may_run_away_has_no_box():
    for form in ("plain", "shallow"):
        net = made(form, scale=2.0)
        assert net.box(torch.zeros(1, 2, dtype=torch.float64)) is None
        assert not net.box_is_trapping
    grows = arrays("clipped") | {"A": np.array([0.5, 1.0, 0.2, 0.1])}
    assert PLRNN(grows, clipped=True).box(torch.zeros(1, 2, dtype=torch.float64)) is None


@pytest.mark.parametrize("form", SETTINGS)
def test_a_checkpoint_gives_the_network_back(tmp_path, form):
    net = PLRNN(arrays(form) | {"initial": np.arange(4.0)}, **SETTINGS[form])
    again = load(save_checkpoint(tmp_path / "net.safetensors", net))
    z, u = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(again.velocity(z, u), net.velocity(z, u))
    assert torch.equal(again.readout(z), net.readout(z))
    assert again.initial_state.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert torch.equal(again.linear, net.linear)
    assert again.clipped == net.clipped
    name = "W1" if net.shallow else "W"
    assert weights_chosen(net) == (name,)
    noisy = perturbed(net, {name: np.ones_like(net.arrays()[name])}, 0.1)
    np.testing.assert_allclose(noisy.arrays()[name], net.arrays()[name] + 0.1)
    assert noisy.settings() == net.settings()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"W": None}, {}, "W is missing; a PLRNN has A, W, h, or A, W1, W2"),
        ({"W2": np.zeros((5, 4))}, {}, "W1 is missing"),
        ({"gate": np.zeros(4)}, {}, "gate is no part of it"),
        ({"W": np.zeros((4, 3))}, {}, r"W has shape \(4, 3\); a PLRNN of 4 units needs \(4, 4\)"),
        ({"A": np.zeros((4, 5))}, {}, r"A has shape \(4, 5\); .* needs \(4,\) or \(4, 4\)"),
        ({"C": np.zeros((3, 2))}, {}, r"C has shape \(3, 2\); .* needs \(4, inputs\)"),
        ({"h": np.full(4, np.nan)}, {}, "h holds 4 values that are NaN or infinite"),
        ({}, {"linear": 5}, "linear is 5; it is a number of units from 0 to 4"),
        ({}, {"linear": [0, 1, 2, 0]}, r"linear is \[0, 1, 2, 0\]"),
        ({}, {"clipped": True}, "only the shallow form, with W1 and W2, has a clipped variant"),
    ],
)
def test_impossible_networks_are_refused(change, options, message):
    held = {key: value for key, value in (arrays("plain") | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        PLRNN(held, **options)
    with pytest.raises(ValueError, match="the shallow form, with W1 and W2, has no linear units"):
        PLRNN(arrays("shallow"), linear=2)
