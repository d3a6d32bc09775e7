"""Contraction of a whole network by a linear matrix inequality: what is found is checked, and no more is claimed."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys.cli import main
from dynsys.lyapunov import inequality, whole
from dynsys.lyapunov.whole import contraction_rate
from dynsys.models.recurrent.vanilla import RNN

W = np.array([[0.9, 8.0], [0.0, 0.9]])  # D W D^-1 with D = diag(d, 1) has the norm 0.9 + 4 d at the most
U = torch.zeros(1, 1, dtype=torch.float64)


def network(weights):
    n = len(weights)
    zeros = {"weight_ih_l0": np.zeros((n, 1)), "bias_ih_l0": np.zeros(n), "bias_hh_l0": np.zeros(n)}
    return RNN({**zeros, "weight_hh_l0": weights})


def test_a_norm_that_is_right_is_proved_and_one_that_is_wrong_is_not(monkeypatch):
    """tanh is no steeper than 1, so in the norm |D d| any two states come nearer by 0.9 + 4 d a step, d = 1/200."""
    net = network(W)
    assert contraction_rate(net, U, W) is None
    squares = 1.1 * np.array([0.005**2, 1.0])
    monkeypatch.setattr(whole, "solved", lambda form: (np.diag([0.005**2, 1.0]), squares))
    assert 0.9 <= contraction_rate(net, U, W, lmi=True) <= 1.0
    monkeypatch.setattr(whole, "solved", lambda form: (np.eye(2), np.ones(2)))
    assert contraction_rate(net, U, W, lmi=True) is None
    monkeypatch.setattr(whole, "solved", lambda form: None)
    assert contraction_rate(net, U, W, lmi=True) is None


def test_units_in_other_scales_do_not_hide_that_a_network_contracts():
    """W = D Q D^-1 with Q orthogonal times 0.5: |W| is far above 1, and in the norm |D^-1 d| it is 0.5."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-1, 1, 12)
    weights = 0.5 * np.linalg.qr(rng.standard_normal((12, 12)))[0] * scale[:, None] / scale
    assert np.linalg.norm(weights, 2) > 3
    rate = contraction_rate(network(weights), U, weights)
    assert rate is not None
    assert np.abs(np.linalg.eigvals(weights)).max() <= rate < 1


def test_the_solver_finds_such_a_norm_and_none_where_two_states_stay_apart():
    pytest.importorskip("cvxpy")
    pytest.importorskip("scs")
    assert 0.9 <= contraction_rate(network(W), U, W, lmi=True) < 1
    bit = np.array([[1.2, 0.0], [3.0, 0.5]])  # keeps a bit: two states stay apart for ever
    assert contraction_rate(network(bit), U, 0.4 * bit, lmi=True) is None


def test_a_missing_extra_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(inequality.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dynsys-rnn\[lmi\]'"):
        inequality.check_solver()
    ran = CliRunner().invoke(main, ["basins", str(tmp_path), "--certify", "--lmi", "-o", str(tmp_path / "a.html")])
    assert ran.exit_code == 1
    assert "dynsys-rnn[lmi]" in ran.output
    assert CliRunner().invoke(main, ["basins", str(tmp_path), "--lmi"]).exit_code == 2
