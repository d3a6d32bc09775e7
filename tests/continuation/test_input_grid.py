"""Two inputs on a grid: the numbers of points in each cell, and the folds between, of a cusp that is known in formulas.

x' = v + u x - x^3 has three points, one of them unstable, where 27 v^2 < 4 u^3, and one elsewhere; on 27 v^2 = 4 u^3
two of them are born in a fold (the cusp catastrophe).
"""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import Flow
from dynsys.analyses.contexts.input_grid import drawn, input_grid
from dynsys.cli import main
from dynsys.continuation.fold_curve import fold_curve
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.leaky_rate import LeakyRate

CUSP = Flow(lambda x, u: u[:, 1:2] + u[:, :1] * x - x**3, n_state=1, n_input=3, bounds=(-3, 3))


@pytest.fixture(scope="module")
def grid():
    return input_grid(CUSP, [-1.0, -0.7, 5.0], [1.0, 0.8, 5.0], (4, 3), searches=2)


def test_each_cell_has_as_many_points_as_the_cubic_has_roots(grid):
    assert grid.axes == (0, 1)
    assert grid.base[2] == 5
    for a, u in enumerate(grid.first):
        for b, v in enumerate(grid.second):
            assert grid.counts[a, b].tolist() == ([2, 1] if 27 * v**2 < 4 * u**3 else [1, 0])


def test_folds_lie_on_the_cusp(grid):
    folds = grid.events[[kind == "fold" for kind in grid.kinds]]
    assert len(folds) == len(grid.kinds) == 5  # one in the row of v = 0.05, two in each column with u > 0
    assert np.allclose(27 * folds[:, 1] ** 2, 4 * folds[:, 0] ** 3, atol=1e-6)
    assert "12 cells" in grid.sentence


def test_one_curve_of_folds_goes_through_the_cusp_from_side_to_side(grid):
    (curve,) = grid.curves
    x, (u, v) = curve.states[:, 0], curve.inputs.T
    assert np.allclose(u, 3 * x**2, atol=1e-9)
    assert np.allclose(v, -2 * x**3, atol=1e-9)
    assert np.allclose(curve.inputs[[0, -1], 0], 1)  # both ends lie on the side of the grid
    assert (x.min() < -0.5) & (x.max() > 0.5)
    assert not curve.lost


def test_folds_of_a_unit_with_itself_lie_on_their_curve():
    """x' = -x + a tanh(x) + u with a = 2 + b / 2 and b, u free: folds are where a = cosh(x)^2 and u = x - a tanh(x)."""
    unit = Flow(lambda x, u: -x + (2 + u[:, :1] / 2) * torch.tanh(x) + u[:, 1:], n_state=1, n_input=2, bounds=(-9, 9))
    x = np.arccosh(np.sqrt(2.0))
    curve = fold_curve(unit, [x], np.array([0.0, x - 2 * np.tanh(x)]), (0, 1), np.array([-1.0, -2]), np.array([1.0, 2]))
    a, x = 2 + curve.inputs[:, 0] / 2, curve.states[:, 0]
    assert np.allclose(a, np.cosh(x) ** 2, atol=1e-9)
    assert np.allclose(curve.inputs[:, 1], x - a * np.tanh(x), atol=1e-9)
    assert np.allclose(np.abs(curve.inputs[[0, -1], 0]), 1)


def test_the_picture_has_the_cells_and_the_folds(grid):
    figure = drawn(CUSP, grid)
    assert np.array_equal(figure.data[0].z, grid.counts.sum(axis=2).T)
    assert [trace.name for trace in figure.data[1:]] == ["curves of folds", "fold"]


@pytest.mark.parametrize(("opposite", "shape"), [([1.0, -0.7, 5.0], (3, 3)), ([1, 1, 1], (3, 3)), ([1, 1, 5], (1, 3))])
def test_corners_that_span_no_rectangle_are_refused(opposite, shape):
    with pytest.raises(ValueError, match="a grid is of two inputs, 2 x 2 or more"):
        input_grid(CUSP, [-1.0, -0.7, 5.0], opposite, shape)


def test_the_command_prints_a_table_and_writes_a_page(tmp_path):
    """x' = -x + tanh(x) / 2 + u + v: one stable point everywhere."""
    save_checkpoint(tmp_path / "net.safetensors", LeakyRate([[0.5]], [[1.0, 1.0]]))
    place = ["inputs", str(tmp_path / "net.safetensors"), "-o", str(tmp_path / "map"), "--to", "1,1"]
    told = CliRunner().invoke(main, [*place, "--grid", "2x2", "--searches", "2"])
    assert told.exit_code == 0, told.output
    assert "1+0" in told.stdout
    assert (tmp_path / "map" / "grid.html").is_file()
    assert np.array(json.loads((tmp_path / "map" / "grid.json").read_text())["counts"]).tolist() == [[[1, 0]] * 2] * 2
    assert CliRunner().invoke(main, [*place, "--grid", "3"]).exit_code == 2
