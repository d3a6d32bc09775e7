"""Two zeros that float64 cannot tell apart by F are two where that is proved, and the count knows of it."""

import itertools

import mpmath
import numpy as np
import pytest

from dynsys import find_fixed_points
from dynsys.models.recurrent.vanilla import RNN

FOLD = -0.5328399753535467  # of h = tanh(2 h + b), to within 1e-15: there two of its three zeros meet at 1 / sqrt(2)


def units(b, weight=2.0):
    """As many units h' = tanh(weight h + b) that know nothing of each other."""
    n, weights = len(b), weight * np.eye(len(b))
    return RNN(
        {
            "weight_hh_l0": weights,
            "weight_ih_l0": np.zeros((n, 0)),
            "bias_ih_l0": np.array(b, dtype=float),
            "bias_hh_l0": np.zeros(n),
        }
    )


def zeros_of_one(b, weight=2):
    """All zeros of tanh(weight h + b) - h by bisection with 60 digits: between -1, its folds and 1 it is monotonic."""
    with mpmath.workdps(60):
        b, folds = mpmath.mpf(b), mpmath.acosh(mpmath.sqrt(weight))
        ends = [mpmath.mpf(-1), (-folds - b) / weight, (folds - b) / weight, mpmath.mpf(1)]
        found = []
        for low, high in itertools.pairwise(ends):
            up = mpmath.tanh(weight * low + b) < low
            if up == (mpmath.tanh(weight * high + b) < high):
                continue
            for _ in range(190):
                middle = (low + high) / 2
                low, high = (middle, high) if (mpmath.tanh(weight * middle + b) < middle) == up else (low, middle)
            found.append(float(low))
        return found


@pytest.mark.parametrize("beyond", [0.0, 1e-14, 1e-12, 1e-10])
def test_a_pair_at_a_fold_that_is_not_quite_shut_is_found_whole_and_counted(beyond):
    truth = zeros_of_one(FOLD + beyond)
    assert len(truth) == 3
    points = find_fixed_points(units([FOLD + beyond]), workers=1)
    found = points.states.ravel()
    assert len(found) == 3
    for zero in truth:
        assert (abs(found - zero) <= points.error_bound).sum() == 1
    assert points.certified.all()
    assert points.search.index_sum == 1
    assert points.search.missing["known"] == 3


def test_on_the_other_side_of_the_fold_there_is_one():
    assert len(zeros_of_one(FOLD - 1e-12)) == 1
    points = find_fixed_points(units([FOLD - 1e-12]), workers=1)
    assert points.states.ravel() == pytest.approx(zeros_of_one(FOLD - 1e-12), abs=1e-12)


def test_pairs_of_two_units_make_nine_points():
    """Every zero of one with every zero of the other."""
    truth = np.array(list(itertools.product(zeros_of_one(FOLD), repeat=2)))
    points = find_fixed_points(units([FOLD, FOLD]), workers=1)
    assert len(points) == 9
    apart = np.linalg.norm(points.states[:, None] - truth[None], axis=2)
    assert ((apart <= points.error_bound[:, None]).sum(axis=0) == 1).all()
    assert points.search.index_sum == 1
    assert points.search.missing["known"] == 9


def test_without_proofs_a_pair_is_one_marginal_point_and_no_index_is_claimed():
    points = find_fixed_points(units([FOLD]), verify=False, workers=1)
    assert len(points) == 2
    assert not points.certified.any()
    assert points.search.index_sum is None
