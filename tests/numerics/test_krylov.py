"""GMRES against LU, leading eigenpairs against LAPACK, and the operators that exhaust a Krylov space."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynsys import Flow, Kind, Map
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.numerics.krylov import Basis, gmres
from dynsys.stability.ritz import leading_pairs
from dynsys.stability.spectrum import excess, spectra
from dynsys.systems.held import Held

SEEDS = st.integers(0, 2**32 - 1)
N = 300  # above the size up to which every eigenvalue is computed


def times(A):
    return lambda v: (A @ v.unsqueeze(2)).squeeze(2)


def well_conditioned(rng, B, n):
    """I + a random matrix of norm below 1: condition number below 4 or so."""
    E = rng.standard_normal((B, n, n))
    return torch.as_tensor(np.eye(n) + 0.6 * E / np.linalg.norm(E, 2, axis=(1, 2), keepdims=True))


@given(st.integers(1, 4), st.integers(1, 40), SEEDS)
def test_gmres_solves_what_lu_solves(B, n, seed):
    rng = np.random.default_rng(seed)
    A, b = well_conditioned(rng, B, n), torch.as_tensor(rng.standard_normal((B, n)))
    x, residual = gmres(times(A), b, torch.full((B,), 1e-13, dtype=b.dtype))
    torch.testing.assert_close(x, torch.linalg.solve(A, b), rtol=0, atol=1e-10 * float(b.norm()))
    true = (b - times(A)(x)).norm(dim=1) / b.norm(dim=1)
    assert (true <= residual + 1e-13).all()


@given(st.integers(1, 40), SEEDS)
def test_gmres_is_exact_where_the_subspace_is_exhausted(n, seed):
    """Rows of one batch: b an eigenvector, b zero, the identity, and b in a space of two eigenvectors."""
    rng = np.random.default_rng(seed)
    values, (V, _) = rng.uniform(0.5, 2.0, n), np.linalg.qr(rng.standard_normal((n, n)))
    A = torch.as_tensor(np.stack([V * values @ V.T, V * values @ V.T, np.eye(n), V * values @ V.T]))
    b = torch.as_tensor(np.stack([V[:, 0], np.zeros(n), rng.standard_normal(n), V[:, 0] - 3 * V[:, -1]]))
    x, residual = gmres(times(A), b, torch.full((4,), 1e-14, dtype=b.dtype))
    torch.testing.assert_close(x, torch.linalg.solve(A, b), rtol=0, atol=1e-12 * (1 + float(b.norm())))
    assert (residual <= 1e-12).all()
    assert x[1].tolist() == [0.0] * n


def test_gmres_reports_what_it_could_not_reach():
    """The cyclic shift is the classic case: no progress at all before the last vector."""
    n = 12
    shift, b = torch.eye(n, dtype=torch.float64).roll(1, 0).unsqueeze(0), torch.zeros(1, n, dtype=torch.float64)
    b[0, 0] = 1.0
    short, residual = gmres(times(shift), b, torch.tensor([1e-10]), limit=n - 1)
    assert residual.item() == pytest.approx(1.0)
    whole, residual = gmres(times(shift), b, torch.tensor([1e-10]), limit=n)
    assert residual.item() < 1e-12
    torch.testing.assert_close(whole, torch.linalg.solve(shift, b))
    assert short.norm().item() < 1e-12


def test_a_basis_is_orthonormal_and_satisfies_the_arnoldi_relation():
    rng = np.random.default_rng(0)
    A = torch.as_tensor(rng.standard_normal((2, 30, 30)))
    basis = Basis.starting(torch.as_tensor(rng.standard_normal((2, 30))), 20)
    for _ in range(20):
        basis.grow(times(A))
    eye = torch.eye(21, dtype=A.dtype).expand(2, -1, -1)
    torch.testing.assert_close(basis.V @ basis.V.mT, eye, rtol=0, atol=1e-13)
    torch.testing.assert_close(A @ basis.V[:, :20].mT, basis.V.mT @ basis.H, rtol=0, atol=1e-12)


def linear(A, kind):
    """The system whose eigenvalues are those of A: x' = A x or x(t+1) = A x."""
    A = torch.as_tensor(A)
    return (Map if kind is Kind.MAP else Flow)(lambda x, u: x @ A.T, n_state=len(A))


def spectrum_at_the_origin(system, B=1):
    x = torch.zeros(B, system.n_state, dtype=torch.float64)
    return spectra(Held(system, torch.zeros(B, 0, dtype=torch.float64)), x)


def ahead_of(values, kind):
    return np.abs(values) - 1 if kind is Kind.MAP else values.real


def assert_leading_as_in_lapack(system, A, kind):
    expected = np.linalg.eigvals(A)
    unstable = int((ahead_of(expected, kind) > 0).sum())
    for found in spectrum_at_the_origin(system, B=2):
        values = found.eigenvalues.numpy()
        assert int((ahead_of(values, kind) > 0).sum()) == unstable
        order = np.argsort(-ahead_of(expected, kind), kind="stable")
        np.testing.assert_allclose(
            np.sort(ahead_of(values, kind))[::-1], ahead_of(expected[order][: len(values)], kind), atol=1e-7
        )
        distance = np.abs(values[:, None] - expected[None]).min(axis=1)
        assert distance.max() < 1e-6 * np.linalg.norm(A, 2)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", range(3))
def test_random_systems_have_the_leading_eigenvalues_of_lapack(kind, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, N)) / np.sqrt(N) * 0.7
    A[:, :3] += 0.3 * rng.standard_normal((N, 3))  # some outliers beyond the disk
    A = A if kind is Kind.MAP else A - 0.9 * np.eye(N)
    assert_leading_as_in_lapack(linear(A, kind), A, kind)


def with_eigenvalues(values, seed=0):
    V = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    return V * values @ V.T


def crowded(leading, edge):
    """The leading eigenvalues, and the rest crowded towards an edge, which a Krylov space resolves late or never."""
    return np.concatenate([leading, edge - 0.9 + 0.9 * np.cos(np.pi * np.arange(N - len(leading)) / N)])


@pytest.mark.parametrize(
    "leading",
    [[1.0, 1.0], [2.0, 0.5, 0.5], [2.0, 0.5, 0.5, 0.5], [0.5] * 6, [0.5] * 12, [2.0, 2.0, 1.0]],
    ids=str,
)
@pytest.mark.parametrize("kind", list(Kind))
def test_every_copy_of_a_multiple_unstable_eigenvalue_is_counted(leading, kind):
    """A Krylov space from one vector holds one copy only: the others hide."""
    shift = 1.0 if kind is Kind.MAP else 0.0
    A = with_eigenvalues(crowded(np.array(leading) + shift, edge=shift - 0.02))
    found = spectrum_at_the_origin(linear(A, kind))[0]
    assert int((excess(found.eigenvalues, kind) > 1e-6).sum()) == len(leading)


def test_the_origin_of_300_bistable_units_has_300_unstable_directions():
    found = spectrum_at_the_origin(Bistable(N, w=2.0))[0]
    np.testing.assert_allclose(found.eigenvalues.numpy(), np.ones(N), atol=1e-10)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_network_of_low_rank_has_finite_modes(kind):
    """W of rank 2: two eigenvalues that are not zero, after which the Krylov space is exhausted."""
    rng = np.random.default_rng(0)
    M, P = rng.standard_normal((N, 2)), rng.standard_normal((2, N)) / N
    A = M @ P + (0 if kind is Kind.MAP else -np.eye(N))
    found = spectrum_at_the_origin(linear(A, kind))[0]
    own = np.linalg.eigvals(P @ M) - (0 if kind is Kind.MAP else 1)
    expected = np.sort(ahead_of(own, kind))[::-1]
    np.testing.assert_allclose(ahead_of(found.eigenvalues.numpy()[:2], kind), expected, atol=1e-9)
    modes = found.modes.numpy()
    assert np.isfinite(modes).all()
    residual = modes @ A.T - found.eigenvalues.numpy()[: len(modes), None] * modes
    assert np.abs(residual).max() < 1e-7


def test_leading_pairs_satisfy_the_eigenvalue_equation():
    system = SimpleRNN.random(N, gain=1.5)
    x = torch.as_tensor(np.random.default_rng(0).standard_normal((3, N)))
    u = torch.zeros(3, 0, dtype=torch.float64)
    J = system.jacobian(x, u).to(torch.complex128)
    pairs = leading_pairs(Held(system, u), x, lambda values: excess(values, Kind.FLOW))
    assert any(len(values) for values, _ in pairs)
    for A, (values, vectors) in zip(J, pairs, strict=True):
        assert torch.allclose(vectors @ A.T, values[:, None] * vectors, atol=1e-6)
