"""Lines of slow points and their selection vectors, of systems whose eigenvectors are known by construction."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dynsys
from dynsys.analyses.contexts.selection import drawn, selections
from dynsys.cli import main
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.leaky_rate import LeakyRate

RATES = torch.tensor([-0.01, -1.0, -2.0], dtype=torch.float64)  # the first mode is slow
R = {
    0: torch.tensor([[1.0, 0.5, 0.0], [0.2, 1.0, 0.3], [-0.4, 0.0, 1.0]], dtype=torch.float64),
    1: torch.tensor([[1.0, -0.8, 0.1], [0.2, 1.0, 0.0], [-0.4, 0.6, 1.0]], dtype=torch.float64),
}
B = torch.tensor([[0.3, 1.0], [1.0, 0.1], [0.5, -0.7]], dtype=torch.float64)
CONTEXTS = [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def velocity(x, u):
    """A x + B evidence, with A = R diag(rates) R^-1 of the context that is on."""
    A = [R[k] @ torch.diag(RATES) @ torch.linalg.inv(R[k]) for k in R]
    return u[:, 2:3] * (x @ A[0].T) + u[:, 3:4] * (x @ A[1].T) + u[:, :2] @ B.T


Z = {"n_output": 1, "readout": lambda x: x[:, :1]}


@pytest.fixture(scope="module")
def integrator():
    return dynsys.Flow(velocity, n_state=3, n_input=4, bounds=(-2, 2), time_constant=10.0, **Z)


@pytest.fixture(scope="module")
def found(integrator):
    return selections(integrator, CONTEXTS)


@pytest.mark.parametrize("k", [0, 1])
def test_the_line_lies_along_the_slow_mode_and_is_selected_by_its_left_eigenvector(found, k):
    line = found.lines[k]
    assert len(line) >= 10
    r, left = R[k][:, 0].numpy(), torch.linalg.inv(R[k])[0].numpy()
    assert np.allclose(np.abs(line.tangent @ r), np.linalg.norm(r))
    assert np.allclose(line.direction, r / np.linalg.norm(r))
    assert np.allclose(line.selection, left / np.linalg.norm(left))
    assert np.allclose(line.time_constant, 10 / 0.01)
    assert np.allclose(line.next, 10 / 1.0)
    assert np.allclose(np.cross(line.states, r), 0, atol=1e-8)  # through the origin


@pytest.mark.parametrize("k", [0, 1])
def test_an_input_moves_the_state_by_its_part_along_the_selection_vector(found, k):
    """l . b, for r of unit length, and the cosine of the angle between the two."""
    line, left = found.lines[k], torch.linalg.inv(R[k])[0].numpy()
    b = B.numpy()
    assert np.allclose(line.push[:, :2], np.linalg.norm(R[k][:, 0].numpy()) * left @ b)
    assert np.allclose(line.overlap[:, :2], left @ b / np.linalg.norm(left) / np.linalg.norm(b, axis=0))


def test_the_line_runs_from_the_least_readout_to_the_greatest(found):
    assert all((np.diff(line.readouts[:, 0]) > 0).all() for line in found.lines)


def test_without_a_slow_mode_there_is_no_line():
    shrinks = dynsys.Flow(lambda x, u: -x * torch.tensor([1.0, 2.0]).to(x), n_state=2, n_input=1, bounds=(-1, 1))
    none = selections(shrinks, [[1.0]])
    assert [len(line) for line in none.lines] == [0]
    assert none.rows() == [{"held input": "1", "points": 0}]
    with pytest.raises(ValueError, match="nothing to draw"):
        drawn(shrinks, none)


def test_a_turning_slow_mode_makes_no_line():
    turns = torch.tensor([[-0.01, 1.0, 0.0], [-1.0, -0.01, 0.0], [0.0, 0.0, -5.0]], dtype=torch.float64)
    spiral = dynsys.Flow(lambda x, u: x @ turns.T, n_state=3, n_input=1, bounds=(-1, 1))
    assert [len(line) for line in selections(spiral, [[0.0]]).lines] == [0]


def test_the_picture_has_the_lines_and_the_overlaps(integrator, found):
    figure = drawn(integrator, found)
    overlaps = [trace for trace in figure.data if ", under" in (trace.name or "")]
    assert [trace.name for trace in overlaps] == [
        f"input {j}, under {c}" for c in ("0, 0, 1, 0", "0, 0, 0, 1") for j in (1, 2)
    ]
    assert np.allclose(overlaps[3].y, found.lines[1].overlap[:, 1])


def test_the_command_takes_the_contexts(tmp_path):
    W = np.eye(2) + np.diag([-0.01, -1.0])  # tau dx/dt = -x + W x + B u
    save_checkpoint(tmp_path / "net.safetensors", LeakyRate(W, np.eye(2), activation="identity", tau=5.0))
    told = CliRunner().invoke(main, ["selection", str(tmp_path / "net.safetensors"), "--input", "0,0", "--json"])
    assert told.exit_code == 0, told.output
    (line,) = json.loads(told.stdout)["lines"]
    assert np.allclose(line["time_constant"], 5 / 0.01)
    assert np.allclose(np.abs(line["overlap"]), [1, 0])
