"""Whose network a folder is about: every command takes the same one, and points of another are drawn by none."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys.analyses.run import load_run, search_and_save
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import load, save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME, POINTS_FILE, network_of
from dynsys.result.fixed_points import FixedPoints

QUICK = ("--starts", 16, "--no-verify")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


def weights_file(path, size=3, seed=0):
    torch.manual_seed(seed)
    torch.save(torch.nn.RNN(1, size).state_dict(), path)
    return path


def own_network(folder, size=4, seed=1):
    """A folder with a checkpoint, as training leaves one."""
    save_checkpoint(folder / FILE_NAME, load(weights_file(folder.parent / "own.pt", size, seed)))
    return folder


@pytest.fixture
def found(tmp_path):
    """What 'dynsys find model.pt -o run' leaves: points in a folder that has no network of its own."""
    model = weights_file(tmp_path / "model.pt")
    run("find", model, "-o", tmp_path / "run", "--activation", "relu", *QUICK)
    return model, tmp_path / "run"


def test_every_command_takes_the_network_of_a_folder_that_find_wrote(found, tmp_path):
    model, folder = found
    assert json.loads(run("info", folder, "--json").stdout)["settings"]["nonlinearity"] == "relu"
    run("find", folder, "-o", tmp_path / "again", *QUICK)
    again = FixedPoints.load(tmp_path / "again" / POINTS_FILE)
    assert again.about["checkpoint"] == str(model)
    assert again.about["loading"]["activation"] == "relu"
    run("portrait", folder, "-o", tmp_path / "p.html")
    run("basins", folder, "-o", tmp_path / "b.html", "--samples", 8)
    noise = ("noise", folder, "-o", tmp_path / "n", "--levels", "0.01", "--trials", 1, "--steps", 50, "--json")
    (network,) = json.loads(run(*noise).stdout)["networks"]
    assert network["sha256"] == again.about["sha256"]
    assert load(folder).nonlinearity == "relu"


def test_an_option_given_with_the_folder_goes_before_the_one_that_was_noted(found):
    assert load(found[1], activation="tanh").nonlinearity == "tanh"


def test_the_network_beside_the_points_is_told_by_its_bytes_wherever_the_folder_goes(found, tmp_path):
    model, folder = found
    shutil.move(model, folder / "model.pt")
    shutil.move(folder, tmp_path / "elsewhere")
    assert network_of(tmp_path / "elsewhere").path == tmp_path / "elsewhere" / "model.pt"
    weights_file(tmp_path / "elsewhere" / "model.pt", seed=5)
    for command in (("info",), ("portrait",), ("find", "-o", tmp_path / "x"), ("noise", "-o", tmp_path / "y")):
        told = run(command[0], tmp_path / "elsewhere", *command[1:], code=1).stderr
        assert "trained again since" in told


def test_points_of_one_network_are_not_written_beside_another(found, tmp_path):
    model, _ = found
    own = own_network(tmp_path / "own")
    for other in (model, "simple2d"):
        told = run("find", other, "-o", own, *QUICK, code=1).stderr
        assert "the points would be of another network" in told
    assert [one.name for one in own.iterdir()] == [FILE_NAME]
    run("find", own, "-o", own, *QUICK)
    run("find", own / FILE_NAME, "-o", own, *QUICK)


@pytest.mark.parametrize("task", [("flipflop", "esn", "--units", 30), ("flipflop", "rnn", "--units", 4)], ids=str)
def test_no_network_is_trained_into_a_folder_with_the_points_of_another(found, task):
    _, folder = found
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    assert "the fixed points of another network" in run("train", *task, "-o", folder, "--steps", 100, code=1).stderr
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


def test_points_of_the_network_before_are_told_of_and_drawn_by_no_command(tmp_path):
    folder = tmp_path / "run"
    train = ("train", "flipflop", "esn", "--bits", 1, "--units", 30, "--steps", 300, "-o", folder)
    assert "there before" not in run(*train).stdout
    run("find", folder, "-o", folder, *QUICK)
    assert "that was there before" not in run(*train).stdout  # the same network, to the last bit
    run("portrait", folder, "-o", tmp_path / "p.html")
    kept = shutil.copy(folder / FILE_NAME, tmp_path / "kept.safetensors")
    assert "of the network that was there before" in run(*train, "--seed", 1).stdout
    for command in ("portrait", "basins"):
        assert "another network" in run(command, folder, "-o", tmp_path / "q.html", code=1).stderr
    shutil.copy(kept, folder / "copy.safetensors")  # the one before is there as well: still not the folder's
    with pytest.raises(CheckpointError, match="another network"):
        load_run(folder)
    assert torch.equal(load(folder).W_r, load(folder / FILE_NAME).W_r)  # and what needs no points takes the new one
    run("find", folder, "-o", folder, *QUICK)
    run("portrait", folder, "-o", tmp_path / "q.html")


def test_a_folder_of_arrays_is_known_by_all_of_its_files(tmp_path):
    net = tmp_path / "net"
    net.mkdir()
    np.save(net / "J.npy", np.diag([2.0, 0.5]))
    choices = {"form": "rnn", "activation": "tanh", "matrices": {"recurrent": "J"}}
    search_and_save(load(net, **choices), tmp_path / "run", net, lambda *_: None, loading=choices, n_starts=8)
    assert network_of(tmp_path / "run").path == net
    np.save(net / "J.npy", np.diag([3.0, 0.5]))
    with pytest.raises(CheckpointError, match="trained again since"):
        network_of(tmp_path / "run")


def test_a_model_that_needs_no_file_is_named_by_its_points(tmp_path):
    run("find", "simple2d", "-o", tmp_path / "run", *QUICK)
    assert load(tmp_path / "run").n_state == 2
    assert json.loads(run("info", tmp_path / "run", "--json").stdout)["model"] == "simple2d"
