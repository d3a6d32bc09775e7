"""Projections: principal components, fitted once, with signs that do not depend on chance."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from sklearn.decomposition import PCA

from dynsys.trajectories.projection import Projection

CROSS = np.array([[3.0, 0, 0, 0], [-3, 0, 0, 0], [0, 2, 0, 0], [0, -2, 0, 0], [0, 0, 1, 0], [0, 0, -1, 0]])


def cloud(k: int, n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((k, n)) * np.arange(1, n + 1) + 5.0


def test_a_cross_along_the_axes_has_those_axes_and_their_shares_of_the_variance():
    fitted = Projection.fit(CROSS)
    np.testing.assert_allclose(fitted.components, np.eye(3, 4), atol=1e-12)
    np.testing.assert_allclose(fitted.explained_variance_ratio, np.array([9, 4, 1]) / 14)


@pytest.mark.parametrize("shape", [(200, 6), (8, 40)])
def test_coordinates_are_those_of_scikit_learn_up_to_sign(shape):
    states = cloud(*shape)
    fitted, reference = Projection.fit(states), PCA(3, svd_solver="full").fit(states)
    np.testing.assert_allclose(np.abs(fitted.transform(states)), np.abs(reference.transform(states)), atol=1e-8)
    np.testing.assert_allclose(fitted.explained_variance_ratio, reference.explained_variance_ratio_)


def exact_axes(states, count):
    """The leading eigenvectors of the covariance, by 60 digits."""
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(float(value)) for value in row] for row in states]
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        centred = mpmath.matrix([[value - m for value, m in zip(row, means, strict=True)] for row in rows])
        values, vectors = mpmath.eigsy(centred.T * centred)
        order = sorted(range(len(values)), key=lambda i: -values[i])[:count]
        return np.array([[float(vectors[j, i]) for j in range(states.shape[1])] for i in order])


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e7, 1e8, 1e11])
def test_components_do_not_turn_however_far_the_states_are_from_the_origin(offset):
    """States are multiples of 2^-14, so that adding the offset to them is exact and the truth the same for all."""
    rng = np.random.default_rng(1)
    states = np.round(rng.standard_normal((60, 5)) * [2.0, 1.0, 0.5, 0.1, 0.05] @ ortho_group.rvs(5, random_state=0), 4)
    states = np.round(states * 2**14) / 2**14
    fitted = Projection.fit(states + offset)
    cosines = np.abs((fitted.components * exact_axes(states, 3)).sum(axis=1))
    np.testing.assert_allclose(np.arccos(np.minimum(cosines, 1.0)), 0, atol=1e-6)
    spread = Projection.fit(states)
    np.testing.assert_allclose(fitted.explained_variance_ratio, spread.explained_variance_ratio, rtol=1e-6)
    np.testing.assert_allclose(fitted.transform(states + offset), spread.transform(states), atol=1e-5 + 1e-15 * offset)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_components_are_found_at_any_scale(scale):
    np.testing.assert_allclose(Projection.fit(scale * CROSS).components, np.eye(3, 4), atol=1e-12)


def test_a_component_a_million_times_smaller_than_the_first_keeps_its_direction():
    """Its share of a covariance would be 1e-16 of the first, which is rounding."""
    states = np.array([[1e8, 0, 0], [-1e8, 0, 0], [0, 1, 0.5], [0, -1, -0.5]])
    np.testing.assert_allclose(Projection.fit(states).components[1], np.array([0, 2, 1]) / 5**0.5, atol=1e-7)


def test_the_largest_entry_of_every_component_is_positive_whichever_way_the_states_point():
    states = cloud(50, 5)
    one, mirrored = Projection.fit(states), Projection.fit(-states[::-1])
    assert (np.take_along_axis(one.components, np.abs(one.components).argmax(1)[:, None], 1) > 0).all()
    np.testing.assert_allclose(one.components, mirrored.components, atol=1e-9)


def test_of_two_entries_of_the_same_size_the_first_is_positive():
    np.testing.assert_allclose(Projection.fit([[0.0, 0.0], [-1.0, 1.0]]).components[0], [0.5**0.5, -(0.5**0.5)])


def test_any_leading_axes_and_torch_are_accepted():
    states = cloud(12, 5)
    fitted = Projection.fit(torch.as_tensor(states).reshape(4, 3, 5))
    np.testing.assert_allclose(fitted.components, Projection.fit(states).components)
    np.testing.assert_allclose(fitted.transform(states.reshape(4, 3, 5)), fitted.transform(states).reshape(4, 3, 3))


def test_directions_are_differences_of_places():
    states, step = cloud(12, 5), np.arange(5.0)
    fitted = Projection.fit(states)
    np.testing.assert_allclose(
        fitted.transform(states + step) - fitted.transform(states), [fitted.directions(step)] * 12
    )


def test_what_states_do_not_span_is_zero():
    line = Projection.fit(cloud(2, 7))  # two states
    plane = Projection.fit(cloud(20, 2))  # two variables
    one = Projection.fit(cloud(1, 7))
    same = Projection.fit(np.ones((5, 7)))
    assert [fitted.n_shown for fitted in (line, plane, one, same)] == [1, 2, 0, 0]
    np.testing.assert_allclose(line.explained_variance_ratio, [1, 0, 0])
    assert plane.transform(cloud(20, 2)).shape == (20, 3)
    assert (plane.transform(cloud(20, 2))[:, 2] == 0).all()
    assert (one.transform(cloud(4, 7)) == 0).all()


@pytest.mark.parametrize(
    ("states", "message"), [(np.zeros((0, 3)), "at least one"), ([[0.0, np.nan]], "1 of 1 states")]
)
def test_states_that_cannot_be_fitted_are_refused(states, message):
    with pytest.raises(ValueError, match=message):
        Projection.fit(states)
