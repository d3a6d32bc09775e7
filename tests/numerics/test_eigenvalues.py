"""Eigenvalues where a library may give up: symmetric matrices of low rank have known ones."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.rate.leaky_map import LeakyMap
from dynsys.numerics.eigenvalues import eig, eigvals


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_outer_products_have_those_of_the_gram_matrix(seed):
    patterns = np.sign(np.random.default_rng(seed).standard_normal((3, 64)))
    W = torch.as_tensor(1.5 * patterns.T @ patterns / 64)
    wanted = np.sort(np.linalg.eigvalsh(1.5 * patterns @ patterns.T / 64))
    values, vectors = eig(W)
    assert np.sort(values.real.numpy())[-3:] == pytest.approx(wanted, abs=1e-12)
    assert (W + 0j) @ vectors == pytest.approx(vectors * values, abs=1e-10)
    assert np.sort(eigvals(W).real.numpy())[-3:] == pytest.approx(wanted, abs=1e-12)


def test_where_torch_gives_up_numpy_is_asked(monkeypatch):
    def gives_up(A):
        raise torch.linalg.LinAlgError("no convergence")

    A = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]]], dtype=torch.float64)
    monkeypatch.setattr(torch.linalg, "eig", gives_up)
    monkeypatch.setattr(torch.linalg, "eigvals", gives_up)
    values, vectors = eig(A)
    assert ((A + 0j) @ vectors - vectors * values.unsqueeze(1)).abs().max() < 1e-14
    assert sorted(eigvals(A)[0].imag.tolist()) == [-1.0, 1.0]
    assert eigvals(A.float()).dtype == torch.complex64


def test_the_memories_of_three_patterns_are_found_and_described():
    rng = np.random.default_rng(0)
    patterns = np.sign(rng.standard_normal((404, 64)))[-3:]
    found = dynsys.find_fixed_points(LeakyMap(1.5 * patterns.T @ patterns / 64, alpha=1.0), n_starts=128)
    assert len(found.stable) >= 6
    assert np.abs(np.sort(np.sign(found.stable.states) @ patterns.T / 64, axis=1)).max(axis=1).min() > 0.5
