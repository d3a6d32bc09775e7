"""MATLAB's v4 files, as SciPy writes them, give the matrices that went in."""

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.contents import read_arrays

W = np.arange(6.0).reshape(2, 3)
SPARSE = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -3.0]])
CONTENT = {
    "W": W,
    "small": np.array([[1, -2]], dtype=np.int16),
    "single": np.float32([[0.5]]),
    "activation": "relu",
    "S": csc_matrix(SPARSE),
    "z": W * 1j,
}


@pytest.fixture
def path(tmp_path):
    savemat(tmp_path / "net.mat", CONTENT, format="4")
    return tmp_path / "net.mat"


def test_matrices_numbers_text_and_sparse_matrices_are_read(path):
    found = read_arrays(path)
    assert found.format == "mat"
    np.testing.assert_array_equal(found.arrays["W"], W)
    np.testing.assert_array_equal(found.arrays["small"], [[1, -2]])
    np.testing.assert_array_equal(found.arrays["S"], SPARSE)
    assert (found.settings["activation"], found.settings["single"]) == ("relu", 0.5)
    assert "complex" in found.odd["z"]


def test_a_network_in_one_opens_by_its_matrices(tmp_path):
    J = np.diag([0.5, -0.5, 0.25])
    savemat(tmp_path / "net.mat", {"J": J}, format="4")
    system = dynsys.load(tmp_path / "net.mat", form="rnn", matrices={"recurrent": "J"}, activation="tanh")
    np.testing.assert_array_equal(system.arrays()["weight_hh_l0"], J)


@pytest.mark.parametrize("end", [25, 60, 75, -1])
def test_one_that_is_cut_is_called_cut(path, end):
    """W takes 20 bytes of header, 2 of its name and 48 of numbers; then comes the next header."""
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        read_arrays(path)


def test_a_big_endian_one_is_read(tmp_path):
    """MOPT 1000, two rows, one column, no imaginary parts, a name of two bytes."""
    header = np.array([1000, 2, 1, 0, 2], dtype=">i4").tobytes()
    (tmp_path / "b.mat").write_bytes(header + b"W\0" + np.array([1.5, -2.0], dtype=">f8").tobytes())
    np.testing.assert_array_equal(read_arrays(tmp_path / "b.mat").arrays["W"], [[1.5], [-2.0]])
