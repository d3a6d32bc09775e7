"""Two inputs on a grid: the numbers of points in each cell, and the folds between, of a cusp that is known in formulas.

x' = v + u x - x^3 has three points, one of them unstable, where 27 v^2 < 4 u^3, and one elsewhere; on 27 v^2 = 4 u^3
two of them are born in a fold (the cusp catastrophe).
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys import Flow
from dynsys.analyses.contexts.input_grid import drawn, input_grid
from dynsys.cli import main
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


def test_the_picture_has_the_cells_and_the_folds(grid):
    figure = drawn(CUSP, grid)
    assert np.array_equal(figure.data[0].z, grid.counts.sum(axis=2).T)
    assert figure.data[1].name == "fold"


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
