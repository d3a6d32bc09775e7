"""Snapshots of training as a family of networks: read, interpolated, and refused where they do not fit."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import FixedPoints
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.io.files import write_tensors
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.recurrent.base import random_weights
from dynsys.models.recurrent.gru import GRU
from dynsys.models.training.snapshots import EchoStateSnapshots, Snapshots, read_snapshots
from dynsys.systems.family import Family

UNITS = 24


def write_run(folder, network, weights, steps):
    save_checkpoint(folder / "checkpoint.safetensors", network)
    for step, arrays in zip(steps, weights, strict=True):
        path = folder / "snapshots" / f"step_{step:08d}.safetensors"
        write_tensors(path, arrays, {"schema": "dynsys.snapshot/1", "step": step})
    return folder


def echo_state():
    return EchoStateNetwork.random(EchoStateConfig(units=UNITS, n_input=2, n_output=2))


def readouts(count=3):
    rng = np.random.default_rng(1)
    return [{"W_out": rng.standard_normal((2, UNITS))} for _ in range(count)]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", echo_state(), readouts(), [0, 100, 400])


def test_snapshots_are_read_in_the_order_of_training(run):
    family = read_snapshots(run)
    assert isinstance(family, EchoStateSnapshots)
    assert family.steps.tolist() == [0, 100, 400]
    for i, arrays in enumerate(readouts()):
        assert np.array_equal(family.system(i).W_out, arrays["W_out"])


def test_weights_between_two_snapshots_lie_on_the_line_between_them(run):
    family, (_, first, second) = read_snapshots(run), (r["W_out"] for r in readouts())
    system = family.at(175.0)  # a quarter of the way from 100 to 400
    assert np.allclose(system.W_out, 0.75 * first + 0.25 * second, atol=1e-15)
    assert torch.allclose(system.W, system.W_r + system.W_fb @ system.W_out)


def test_closed_forms_of_the_echo_state_family_are_those_of_its_networks(run):
    family = read_snapshots(run, input=[0.3, -0.2])
    x = torch.as_tensor(np.random.default_rng(0).standard_normal(UNITS))
    assert torch.allclose(family.velocity(x, 1.3), Family.velocity(family, x, 1.3), atol=1e-13)
    for p, cell in ((0.5, 0), (1.0, 0), (1.0, 1), (2.0, 1)):
        assert torch.allclose(family.rate(x, p, cell), Family.rate(family, x, p, cell), atol=1e-6)


def test_rate_at_a_snapshot_is_that_of_the_side_asked_for(run):
    family = read_snapshots(run)
    x = torch.ones(UNITS, dtype=torch.float64)
    before, after = family.rate(x, 1.0, 0), family.rate(x, 1.0, 1)
    F = [family.velocity(x, float(i)) for i in range(3)]
    assert torch.allclose(before, F[1] - F[0], atol=1e-13)
    assert torch.allclose(after, F[2] - F[1], atol=1e-13)


def test_snapshots_of_a_gru_hold_all_weights(tmp_path):
    weights = [random_weights(3, 4, 1, seed, 1.0) for seed in (0, 1)]
    family = read_snapshots(write_run(tmp_path, GRU(weights[0]), weights, [10, 20]))
    assert type(family) is Snapshots
    middle = family.at(15.0).arrays()
    assert all(np.allclose(middle[key], (weights[0][key] + weights[1][key]) / 2) for key in weights[0])


@pytest.mark.parametrize(("count", "said"), [(0, "no snapshots"), (1, "one snapshot only")])
def test_run_with_too_few_snapshots_is_refused(tmp_path, count, said):
    run = write_run(tmp_path, echo_state(), readouts(count), range(count))
    with pytest.raises(CheckpointError, match=f"{said}.*--snapshots"):
        read_snapshots(run)


def test_folder_that_there_is_not(tmp_path):
    with pytest.raises(CheckpointError, match="no folder"):
        read_snapshots(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"W_out": np.zeros((2, UNITS + 1))}, "has shape"),
        ({"W": np.zeros((2, UNITS))}, "does not exist"),
        ({"W_out": np.full((2, UNITS), np.nan)}, "NaN"),
    ],
)
def test_snapshot_of_another_network_is_refused(run, arrays, said):
    write_tensors(run / "snapshots" / "step_00000500.safetensors", arrays, {"schema": "dynsys.snapshot/1", "step": 500})
    with pytest.raises(CheckpointError, match=said):
        read_snapshots(run)


def test_cut_snapshot_is_refused(run):
    file = run / "snapshots" / "step_00000100.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="cut or damaged"):
        read_snapshots(run)


def test_input_of_another_size_is_refused(run):
    with pytest.raises(ValueError, match="3 values"):
        read_snapshots(run, input=[0, 0, 0])


def test_a_snapshot_is_the_network_of_its_step(run):
    path = run / "snapshots" / "step_00000100.safetensors"
    early, last = load(path), load(run)
    np.testing.assert_array_equal(early.W_out, readouts()[1]["W_out"])
    np.testing.assert_array_equal(early.W_r, last.W_r)
    x = torch.randn(3, UNITS, dtype=torch.float64)
    u = torch.zeros(3, 2, dtype=torch.float64)
    torch.testing.assert_close(early.velocity(x, u), last.with_readout(readouts()[1]["W_out"]).velocity(x, u))


def test_the_points_of_a_snapshot_are_found_and_drawn_as_those_of_a_network(run, tmp_path):
    path = run / "snapshots" / "step_00000400.safetensors"
    for command in (
        ["info", path],
        ["find", path, "-o", tmp_path / "then", "--starts", 16, "--no-verify"],
        ["portrait", tmp_path / "then", "-o", tmp_path / "then.html"],
    ):
        result = CliRunner().invoke(main, [str(word) for word in command])
        assert result.exit_code == 0, result.output + result.stderr
        if command[0] == "info":
            assert "a snapshot of the training, at step 400" in result.stdout
    points = FixedPoints.load(tmp_path / "then" / "fixed_points.safetensors")
    r = np.tanh(points.states)  # a zero of x = W_r r + W_fb W_out r, by the weights of that step
    net = load(run)
    W = net.W_r.numpy() + net.W_fb.numpy() @ readouts()[2]["W_out"]
    np.testing.assert_allclose(r @ W.T, points.states, atol=1e-9)
    refused = CliRunner().invoke(main, ["find", str(path), "-o", str(run)])
    assert refused.exit_code == 1
    assert "holds a checkpoint.safetensors of its own" in refused.stderr


def test_a_snapshot_away_from_its_run_is_refused_with_what_to_do(run, tmp_path):
    path = (run / "snapshots" / "step_00000100.safetensors").rename(tmp_path / "alone.safetensors")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint\.safetensors of that training"):
        load(path)
