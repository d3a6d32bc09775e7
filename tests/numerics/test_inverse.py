"""An inverse by halves is the inverse, or plainly none: a proof that is offered it takes another then."""

import torch

from dynsys.numerics.inverse import SMALL, rough_inverse
from dynsys.proof.certificate import _approximate_inverse


def near_one(n):
    noise = torch.randn(3, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.eye(n, dtype=torch.float64) + 0.3 * noise / n**0.5


def test_it_is_the_inverse_to_rounding_also_where_the_halves_are_not_equal():
    for n in (1, SMALL + 1, 2 * SMALL + 3, 150):
        J = near_one(n)
        assert float((rough_inverse(J) @ J - torch.eye(n)).abs().max()) < 1e-12


def test_where_a_block_is_singular_the_inverse_comes_from_elsewhere():
    one, zero = torch.eye(75, dtype=torch.float64), torch.zeros(75, 75, dtype=torch.float64)
    swap = torch.cat([torch.cat([zero, one], 1), torch.cat([one, zero], 1)])  # its own inverse
    J = torch.stack([swap, torch.eye(150)])
    assert not torch.isfinite(rough_inverse(J)[0]).all()
    A, residual = _approximate_inverse(J)
    assert torch.equal(A, J)
    assert float(residual.abs().max()) == 0
