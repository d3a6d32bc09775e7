"""The geometry of memories, on exact hypercubes: embedded, turned, split, stretched, with corners missing."""

import itertools
import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from dynsys.analyses.flipflop_memories import memories_among
from dynsys.analyses.transfer.cube_projection import SHAPES, projected_shape
from dynsys.analyses.transfer.cube_survival import survival
from dynsys.analyses.transfer.geometry import bit_axes, distances, hypercube_spread, principal_angles
from dynsys.trajectories.projection import Projection

UNITS = 30


def signs(b):
    return np.array(list(itertools.product((-1, 1), repeat=b)))


def frame(n=UNITS, seed=0):
    """Rows are orthonormal directions in random position."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def held(axes, centre=0.0, drop=()):
    """The memories at the corners of a parallelepiped with these axes (b, n); ``drop`` are rows of bits without."""
    bits = signs(len(axes))
    kept = np.array([i for i, row in enumerate(bits.tolist()) if tuple(row) not in drop])
    return memories_among(centre + bits[kept] @ axes, bits[kept].astype(float), kept)


@pytest.fixture(params=[2, 3, 4])
def hypercube(request):
    return held(2.5 * frame()[: request.param], centre=frame()[-1])


def test_every_corner_is_the_memory_of_its_bits(hypercube):
    b = hypercube.n_bits
    assert len(hypercube) == 2**b
    assert hypercube.names == [format(i, f"0{b}b") for i in range(2**b)]
    assert (hypercube.missing, hypercube.doubles, hypercube.strangers) == ((), (), ())
    assert len(hypercube.edges) == b * 2 ** (b - 1)


def test_missing_memories_doubles_and_strangers_are_told():
    readouts = np.array([[1.0, 1.0], [0.8, 0.7], [-1.0, 1.0], [0.1, -1.0], [-1.0, -0.9]])
    found = memories_among(np.arange(5.0)[:, None], readouts, np.array([10, 11, 12, 13, 14]))
    assert found.names == ["00", "01", "11"]
    assert found.numbers.tolist() == [14, 12, 10]
    assert found.missing == ((1, -1),)
    assert found.doubles == (11,)  # less near to (1, 1)
    assert found.strangers == (13,)  # its first output is neither
    assert [(i, j, bit) for i, j, bit in found.edges] == [(0, 1, 1), (1, 2, 0)]


def test_distances_in_a_hypercube_are_roots_of_the_hamming_distance(hypercube):
    measured, b = distances(hypercube.states, hypercube.bits), hypercube.n_bits
    for row in measured.by_hamming:
        h = row["hamming"]
        assert row["pairs"] == math.comb(b, h) * 2 ** (b - 1)
        assert row["mean"] == pytest.approx(5 * math.sqrt(h))
        assert row["sd"] == pytest.approx(0, abs=1e-12)
    assert (measured.memories_with_nearest, measured.nearer, measured.edges_shortest) == (1, 1, True)
    assert measured.edges == pytest.approx((5,) * b)
    assert measured.edge_spread == pytest.approx(0, abs=1e-12)
    lengths = pdist(hypercube.states)
    assert measured.spread == pytest.approx(lengths.std() / lengths.mean())
    assert hypercube_spread(b) == pytest.approx(measured.spread)


def test_a_simplex_has_no_spread():
    """Sixteen points, all as far apart: what 'equidistant' would be."""
    measured = distances(np.eye(16), signs(4))
    assert measured.spread == pytest.approx(0, abs=1e-12)
    assert (measured.memories_with_nearest, measured.nearer) == (0, 0)


def test_a_long_edge_is_no_nearest_neighbour():
    """Neighbours at 1, 1, 3, the others at the roots of 2, 10, 10, 11: of 12 pairs only 3 > sqrt 2 is wrong."""
    box = held(np.diag([0.5, 0.5, 1.5]))
    measured = distances(box.states, box.bits)
    assert measured.memories_with_nearest == 0
    assert measured.nearer == pytest.approx(11 / 12)
    assert measured.edges == pytest.approx((1, 1, 3))
    assert measured.edges_shortest is False


def test_neighbours_can_be_nearest_for_each_memory_while_some_are_further_apart_than_a_pair_of_others():
    """A frustum of height 1.2 on squares of sides 1 and 1.44, the diagonal of the smaller being 1.41. From a corner of
    that one neighbours are at 1, 1, 1.24 and others from 1.41 on, from one of the other at 1.44, 1.44, 1.24 and 1.73.
    """
    bits = signs(3)
    half = np.where(bits[:, :1] < 0, 0.5, 0.72)
    measured = distances(np.hstack([half * bits[:, 1:], 0.6 * bits[:, :1]]), bits)
    assert measured.memories_with_nearest == 1
    assert measured.edges_shortest is False


def test_memories_without_an_edge_are_refused():
    with pytest.raises(ValueError, match="no two differ in one bit"):
        distances(np.eye(2), np.array([[-1, -1], [1, 1]]))


def test_axes_of_a_parallelepiped_are_found_again():
    axes = np.random.default_rng(1).standard_normal((4, UNITS))
    some = held(axes, centre=7.0, drop={(1, 1, 1, 1), (-1, 1, -1, 1)})
    found = bit_axes(some.states, some.bits)
    np.testing.assert_allclose(found.axes, axes, atol=1e-12)
    np.testing.assert_allclose(found.centre, 7.0)
    assert found.share == pytest.approx(1)


def test_share_of_a_cube_that_is_warped_along_a_direction_of_its_own():
    """Each axis contributes 4, the product of the bits 1, to a variance of 13."""
    q = frame()
    cube = held(2 * q[:3])
    warped = cube.states + cube.bits.prod(axis=1)[:, None] * q[5]
    assert bit_axes(warped, cube.bits).share == pytest.approx(12 / 13)


def test_too_few_memories_determine_no_axes():
    corners = held(np.eye(3), drop={(1, -1, -1), (1, -1, 1), (1, 1, -1), (1, 1, 1)})
    assert not corners.determined
    assert held(np.eye(3)).determined
    with pytest.raises(ValueError, match="do not determine"):
        bit_axes(corners.states, corners.bits)


def test_principal_angles_of_planes_that_share_a_line():
    q, angle = frame(), np.radians(35)
    found = principal_angles(q[:2], np.stack([q[0], np.cos(angle) * q[1] + np.sin(angle) * q[2]]))
    assert found == pytest.approx([0, 35], abs=1e-6)
    assert principal_angles(q[:3], q[3:7]) == pytest.approx([90] * 3)
    assert principal_angles(q[:3], 4 * q[[5, 0, 2, 1]]) == pytest.approx([0] * 3, abs=1e-5)


def tesseract(lost, values=(3.0, 2.5, 2.0, 1.0), seed=0):
    """Four axes of which the least is seen along ``lost``: it is what three components leave out."""
    V = np.linalg.qr(np.column_stack([lost, np.random.default_rng(seed).standard_normal((4, 3))]))[0][:, ::-1]
    return (V * values) @ frame()[:4]


CORNERS = {1: 8, 2: 8, 3: 12, 4: 14}  # of a cube, a cuboid, a hexagonal prism, a rhombic dodecahedron


@pytest.mark.parametrize("count", SHAPES)
def test_the_solid_that_four_bits_are_seen_as(count):
    """What the dependence of the axes says is what the convex hull of the sixteen projected points is."""
    lost = np.array([1.0] * count + [0.0] * (4 - count)) * [1, -1, 1, -1] / math.sqrt(count)
    axes = tesseract(lost)
    states = signs(4) @ axes
    shape = projected_shape(states, axes)
    assert shape.nearest == count
    assert shape.angle == pytest.approx(0, abs=1e-4)
    assert shape.weight == pytest.approx(count)
    assert shape.ratio == pytest.approx(0.5)
    assert abs(np.dot(shape.lost, lost)) == pytest.approx(1)
    assert shape.word == SHAPES[count]
    distinct = np.unique(Projection.fit(states).transform(states).round(9), axis=0)
    assert len(distinct) == {1: 8, 2: 12, 3: 14, 4: 15}[count]
    assert len(ConvexHull(distinct, qhull_options="C-1e-7").vertices) == CORNERS[count]


def test_kept_lengths_of_a_tesseract_seen_cell_first():
    """Axes of lengths 2, 3, 4 are seen whole, and the shortest vanishes."""
    axes = np.diag([2.0, 1.0, 3.0, 4.0]) @ frame()[:4]
    shape = projected_shape(signs(4) @ axes, axes)
    assert shape.kept == pytest.approx((1, 0, 1, 1), abs=1e-9)
    assert shape.singular_values == pytest.approx(np.array([4, 3, 2, 1]) / math.sqrt(30))


def test_alike_components_leave_the_shape_to_chance():
    axes = tesseract(np.array([1.0, 1, 1, 0]) / math.sqrt(3), (3.0, 2.0, 1.05, 1.0))
    word = projected_shape(signs(4) @ axes, axes).word
    assert word.startswith(f"{SHAPES[3]}; a toss-up, as the component left out has 91% of the variance of the third")


def test_a_direction_between_two_shapes_gets_no_name():
    """22.5 degrees from one axis and from two."""
    axes = tesseract(np.array([math.cos(math.pi / 8), math.sin(math.pi / 8), 0, 0]))
    shape = projected_shape(signs(4) @ axes, axes)
    assert shape.angle == pytest.approx(22.5)
    assert shape.word.startswith("none of the four, 22 degrees from")


def test_three_bits_lose_nothing():
    cube = held(frame()[:3])
    shape = projected_shape(cube.states, frame()[:3])
    assert shape.kept == pytest.approx((1, 1, 1))
    assert (shape.lost, shape.weight, shape.nearest, shape.ratio) == (None,) * 4


def test_a_cube_that_splits_at_right_angles_survives():
    q = frame()
    cube, doubled = held(2 * q[:3]), held(np.vstack([2 * q[:3], 0.5 * q[3]]))
    found = survival(cube, doubled)
    assert found.edge == pytest.approx(4)
    assert found.shift == pytest.approx((0.5 / 4,) * 8)
    assert found.middle_shift == pytest.approx((0,) * 8, abs=1e-12)
    assert found.split == pytest.approx((1 / 4,) * 8)
    assert found.disparity == pytest.approx({"middles": 0, "face 0": 0, "face 1": 0}, abs=1e-12)
    assert found.size == pytest.approx({"middles": 1, "face 0": 1, "face 1": 1})


def test_a_cube_that_is_moved_turned_and_doubled_is_the_same_solid_elsewhere():
    q = frame()
    cube, elsewhere = held(2 * q[:3]), held(np.vstack([4 * q[10:13], 0.5 * q[3]]), centre=6 * q[20])
    found = survival(cube, elsewhere)
    assert found.disparity["middles"] == pytest.approx(0, abs=1e-12)
    assert found.size["middles"] == pytest.approx(2)
    expected = math.sqrt(3 * 2**2 + 3 * 4**2 + 6**2) / 4  # old and new corner and the move are at right angles
    assert found.middle_shift == pytest.approx((expected,) * 8)


def test_disparity_of_a_cube_that_is_stretched():
    """1 - (sum of singular values)^2 of the two solids at size 1, for edges 1, 1, 1 and 1, 1, 3."""
    q = frame()
    cube, box = held(q[:3]), held(np.vstack([q[0], q[1], 3 * q[2], q[3]]))
    assert survival(cube, box).disparity["middles"] == pytest.approx(1 - 5**2 / (3 * 11))


def test_missing_memories_leave_gaps_in_what_is_compared():
    q = frame()
    some = held(q[:4], drop={(-1, -1, -1, 1), (1, 1, 1, 1), (1, 1, 1, -1)})
    found = survival(held(q[:3]), some)
    assert found.split[0] is None
    assert found.shift[0] == pytest.approx(0.5)
    assert found.shift[7] is None
    assert found.disparity["middles"] == pytest.approx(0, abs=1e-12)
    assert survival(held(q[:1]), held(q[:2])).disparity["middles"] is None  # any two segments fit


def test_only_one_bit_more_can_be_compared():
    with pytest.raises(ValueError, match="one bit more"):
        survival(held(frame()[:2]), held(frame()[:4]))
