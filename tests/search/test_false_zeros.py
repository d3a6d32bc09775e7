"""Zeros that only rounding makes are no fixed points; folds, whose F is as small, are."""

import numpy as np
import pytest
import torch

from dynsys import find_fixed_points
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.vanilla import RNN
from dynsys.proof.certificate import only_rounding
from dynsys.search.landing import Rejection, accepted
from dynsys.systems.held import Held


def shut(gain, candidate=-0.5):
    """h' - h = sigma(-gain h) (candidate - h), whose only zero is the candidate; from h = 37 / gain z rounds to 1."""
    return GRU(
        {
            "weight_ih_l0": np.zeros((3, 1)),
            "weight_hh_l0": np.array([[0.0], [gain], [0.0]]),
            "bias_ih_l0": np.array([0.0, 0.0, np.arctanh(candidate)]),
            "bias_hh_l0": np.zeros(3),
        }
    )


@pytest.mark.parametrize("gain", [40, 60, 100, 800])
def test_a_shut_gate_adds_no_fixed_point(gain):
    system = shut(gain)
    assert float(system.velocity(torch.tensor([[0.97]], dtype=torch.float64), torch.zeros(1, 1).double()).abs()) < 1e-16
    points = find_fixed_points(system, n_starts=64, workers=1)
    fixed = points[points.verdict == "fixed"]
    np.testing.assert_allclose(fixed.states, [[-0.5]], atol=1e-14)


def test_zeros_of_rounding_are_refused_and_counted():
    system, u = shut(100), torch.zeros(3, 1, dtype=torch.float64)
    x = torch.tensor([[-0.5], [0.9], [0.99]], dtype=torch.float64)
    zero, refused = accepted(Held(system, u, 1.0), x, torch.ones(3, dtype=torch.bool))
    assert zero.tolist() == [True, False, False]
    assert refused == {Rejection.ONLY_ROUNDING: 2}


@pytest.mark.parametrize("gain", [1.0, 1.5, 5.0, 20.0])
def test_a_fold_or_a_cusp_is_never_taken_for_a_zero_of_rounding(gain):
    """h' = tanh(w h + b) has a fold where w (1 - h^2) = 1, at w = 1 a cusp; F grows with the distance to the 2nd or 3rd
    power, so that within 1e-5 it is smaller than any rounding."""
    h = -np.sqrt(1 - 1 / gain)
    b = np.arctanh(h) - gain * h
    cell = {"weight_ih_l0": np.zeros((1, 1)), "weight_hh_l0": np.array([[gain]]), "bias_hh_l0": np.zeros(1)}
    system = RNN({**cell, "bias_ih_l0": np.array([b])})
    x = torch.tensor(h + np.array([-1e-5, -1e-7, -1e-9, 0.0, 1e-9, 1e-7, 1e-5]))[:, None]
    assert not only_rounding(Held(system, torch.zeros(len(x), 1, dtype=torch.float64), 1.0), x).any()
