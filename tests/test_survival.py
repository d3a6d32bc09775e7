"""Fixed points under a rising perturbation: which survive, how far they drift, what the first order says."""

import numpy as np
import pytest

from dynsys import Flow
from dynsys.survival import survival

FOLD = 2 / 27**0.5  # where x - x^3 + level loses two of its three zeros


def bistable(level):
    return Flow(lambda x, u: x - x**3 + level, n_state=1)


def test_a_point_dies_at_the_fold_known_in_closed_form():
    found = survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, [0.1, 0.2, 0.38, 0.384, 0.5])
    assert found.counts()["exist"] == [3, 3, 3, 3, 1]
    assert found.lost_at[:2] == pytest.approx(FOLD, rel=1e-3)
    assert found.lost_at[2] == np.inf
    assert found.first_loss == (0.384, 0.5)
