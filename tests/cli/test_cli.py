"""The command line as a user meets it: what it writes, what it prints, and one clear line when something is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dynsys
from dynsys.cli import VERBS, main
from dynsys.cli import command as command_of

SMALL = ["train", "flipflop", "esn", "--bits", "2", "--units", "120"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    result = run(*SMALL, "-o", folder, "--snapshots", 4000, "--json")
    return folder, json.loads(result.stdout)


@pytest.fixture(scope="module")
def found(trained):
    folder, _ = trained
    return folder, json.loads(run("find", folder, "-o", folder, "--starts", 128, "--json").stdout)


def test_train_prints_one_object_with_what_was_reached(trained):
    folder, printed = trained
    assert printed["schema"] == "dynsys.training/1"
    assert set(printed["metrics"]) == {"mse", "mse_after_pulses", "settled_mse", "settled_bit_accuracy"}
    assert Path(printed["checkpoint"]) == folder / "checkpoint.safetensors"


def test_snapshots_are_kept_as_asked(trained):
    folder, _ = trained
    names = sorted(p.name for p in (folder / "snapshots").iterdir())
    assert names[:2] == ["step_00000000.safetensors", "step_00004000.safetensors"]


def test_info_tells_the_network_and_why(trained):
    folder, _ = trained
    printed = run("info", folder / "checkpoint.safetensors").stdout
    assert "120" in printed
    assert "written by dynsys" in printed
    assert json.loads(run("info", folder, "--json").stdout)["model"] == "esn"


def test_find_prints_the_object_of_the_contract_and_writes_the_same(found):
    folder, printed = found
    assert printed["schema"] == "dynsys.fixed_points/1"
    assert {"starts", "solver", "seconds", "found", "slow", "rejected", "estimated_missed", "discovery"} <= set(
        printed["search"]
    )
    point = printed["points"][0]
    assert {"id", "verdict", "q", "error_bound", "stability", "n_unstable", "leading_eigenvalue", "readout"} <= set(
        point
    )
    assert json.loads((folder / "fixed_points.json").read_text()) == printed
    assert len(dynsys.FixedPoints.load(folder / "fixed_points.safetensors")) == len(printed["points"])


def test_find_table_has_a_row_per_point_and_says_what_next(found, tmp_path):
    folder, printed = found
    text = run("find", folder, "-o", tmp_path, "--starts", 128).stdout
    assert sum(line.split()[1:2] == ["fixed"] for line in text.splitlines()) == printed["search"]["found"]
    assert "dynsys portrait" in text


@pytest.mark.parametrize("picture", ["phase", "spectrum", "training"])
def test_every_picture_is_one_html_file_that_needs_no_network(found, tmp_path, picture):
    printed = run("portrait", found[0], "-o", tmp_path / "p.html", "--picture", picture).stdout
    assert picture != "phase" or "of their variance" in printed
    text = (tmp_path / "p.html").read_text()
    assert "<html" in text
    assert 'src="http' not in text


def test_two_dimensional_example_from_search_to_phase_plane(tmp_path):
    printed = json.loads(run("find", "simple2d", "-o", tmp_path, "--json").stdout)
    assert [p["stability"] for p in printed["points"]] == ["stable node", "stable node", "saddle"]
    run("portrait", tmp_path, "-o", tmp_path / "plane.html", "--picture", "plane")
    run("portrait", tmp_path, "-o", tmp_path / "phase.html")


@pytest.mark.parametrize("solver", ["gauss-newton", "conjugate-gradient", "newton"])
def test_every_solver_by_name(tmp_path, solver):
    printed = json.loads(run("find", "simple2d", "-o", tmp_path, "--solver", solver, "--starts", 32, "--json").stdout)
    states = np.round(dynsys.FixedPoints.load(tmp_path / "fixed_points.safetensors").states, 12) + 0.0
    assert states.tolist() == [[-1.0, -0.5], [1.0, 0.5], [0.0, 0.0]]
    assert printed["search"]["solver"] == solver


def test_a_held_input_moves_the_points(found, tmp_path):
    folder, printed = found
    held = json.loads(run("find", folder, "-o", tmp_path, "--input", "1,0", "--starts", 64, "--json").stdout)
    assert held["input"] == [1.0, 0.0]
    assert held["points"][0]["readout"] != printed["points"][0]["readout"]


@pytest.fixture
def state_dicts(tmp_path):
    """A file as training code writes it, of two networks, and trajectories of the second."""
    torch.manual_seed(0)
    encoder, decoder, readout = torch.nn.GRU(2, 4), torch.nn.LSTM(3, 5), torch.nn.Linear(5, 2)
    named = {"encoder": encoder, "decoder": decoder, "decoder.readout": readout}
    content = {f"{name}.{key}": value for name, module in named.items() for key, value in module.state_dict().items()}
    torch.save({"state_dict": content, "epoch": 7}, tmp_path / "model.ckpt")
    np.savez(tmp_path / "t.npz", hidden=np.zeros((3, 9, 5)), cell=np.zeros((3, 9, 5)), inputs=np.zeros((3, 9, 3)))
    return tmp_path / "model.ckpt", tmp_path / "t.npz"


def test_info_prints_what_was_recognised_line_by_line(state_dicts):
    printed = run("info", state_dicts[0], "--part", "decoder").stdout
    for line in (
        "model            lstm",
        "state            h_l0 5, c_l0 5",
        "recognised       LSTM, 5 units, 3 inputs: decoder.weight_hh_l0 (20, 5), whose rows over units are 4, under "
        "the prefix decoder., in the entry state_dict, torch's LSTM",
        "                 readout: decoder.readout.weight (2, 5) and decoder.readout.bias (2,)",
        "unused           encoder.weight_ih_l0 (12, 2)",
        "                 encoder.weight_hh_l0 (12, 4)",
    ):
        assert line in printed.splitlines()


def test_trajectories_supply_the_starts_and_the_portrait_finds_the_part_again(state_dicts, tmp_path):
    model, recorded = state_dicts
    options = ["--part", "decoder", "--trajectories", recorded, "--starts", 16, "--json"]
    printed = json.loads(run("find", model, "-o", tmp_path / "run", *options).stdout)
    assert printed["system"]["loading"] == {"part": "decoder"}
    assert printed["search"]["starts"] == 16
    run("portrait", tmp_path / "run", "-o", tmp_path / "p.html")
    named = run("find", model, "-o", tmp_path / "x", *options, "--states", "cell,hidden", "--noise", 0)
    assert json.loads(named.stdout)["search"]["starts"] == 16


def test_matrices_are_named_on_the_command_line(tmp_path):
    np.savez(tmp_path / "net.npz", J=np.diag([2.0, 0.5]), B=np.ones((2, 1)))
    options = ["--form", "activity", "--matrix", "recurrent=J", "--matrix", "input=B", "--tau", 10]
    told = json.loads(run("info", tmp_path / "net.npz", *options, "--json").stdout)
    assert (told["kind"], told["inputs"], told["time constant"]) == ("flow", 1, 10.0)
    found = run("find", tmp_path / "net.npz", "-o", tmp_path / "run", *options)
    assert "3 fixed points: 2 stable, 1 saddle" in found.stdout  # r = tanh(2 r) has three solutions, tanh(r / 2) one
    assert "Assumed: the activation is tanh" in found.stderr
    run("portrait", tmp_path / "run", "-o", tmp_path / "p.html", "--picture", "plane")


def test_the_options_that_the_page_on_checkpoints_names_are_options():
    """Its examples are run in test_docs.py."""
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    names = {
        name for command in ("info", "find") for parameter in command_of(command).params for name in parameter.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= names


WRONG = {
    "two networks": (["info", "two.pt"], 1, ["a (GRU, 2 units, 1 input)", "--part a"]),
    "matrix without a key": (["info", "two.pt", "--matrix", "recurrent"], 2, ["'recurrent'", "NAME=KEY"]),
    "matrix twice": (["info", "two.pt", "--matrix", "input=a", "--matrix", "input=b"], 2, ["input", "given twice"]),
    "no time constant": (["info", "two.pt", "--tau", "0"], 1, ["tau is 0.0", "positive"]),
    "unknown form": (["info", "two.pt", "--form", "elman"], 2, ["elman", "activity"]),
    "unknown matrix": (["info", "two.pt", "--matrix", "V=a"], 1, ["'V'", "recurrent"]),
    "states of no file": (["find", "two.pt", "-o", "x", "--states", "h"], 2, ["--trajectories"]),
    "trajectories of another": (
        ["find", "two.pt", "--part", "a", "-o", "x", "--trajectories", "wide.npz"],
        1,
        ["hidden (4, 3)", "2 state variables"],
    ),
    "no such file": (["info", "nowhere.safetensors"], 1, ["nowhere.safetensors", "no such file"]),
    "unknown solver": (["find", "simple2d", "-o", "x", "--solver", "magic"], 1, ["'magic'", "gauss-newton"]),
    "unknown model": (["train", "flipflop", "transformer", "-o", "x"], 1, ["transformer", "esn"]),
    "unknown engine": (["find", "simple2d", "-o", "x", "--engine", "magic"], 1, ["'magic'", "fiber"]),
    "memory of no size": (["find", "simple2d", "-o", "x", "--memory", "much"], 1, ["much"]),
    "input of wrong size": (["find", "simple2d", "-o", "x", "--input", "1,2"], 1, ["(2,)", "takes 0 input"]),
    "input not numbers": (["find", "simple2d", "-o", "x", "--input", "a"], 2, ["'a'", "0,0,1"]),
    "run without points": (["portrait", ".", "-o", "x.html"], 1, ["fixed_points.safetensors", "dynsys find"]),
    "folder that cannot be written": (["find", "simple2d", "-o", "file/x", "--starts", "8"], 1, ["cannot be written"]),
    "training into no folder": ([*SMALL, "-o", "file/x"], 1, ["cannot be written"]),
    "no such device": (["find", "simple2d", "-o", "x", "--device", "quantum"], 1, ["'quantum'", "use cpu"]),
    "untrained network": (["info", "esn"], 1, ["has to be trained"]),
    "too little memory": (["find", "one.pt", "-o", "x", "--memory", "1"], 1, ["memory is", "one start", "give"]),
    "memory below nought": (["find", "one.pt", "-o", "x", "--memory", "-4GiB"], 1, ["-4GiB", "like 4GiB"]),
    "input of a module": (["find", "one.pt", "-o", "x", "--input", "1,2"], 1, ["(2,)", "gru takes 1 input"]),
    "input that is nan": (["find", "one.pt", "-o", "x", "--input", "nan"], 1, ["input holds NaN"]),
    "weights that are nan": (["find", "nan.pt", "-o", "x"], 1, ["weight_hh_l0 holds 1 values that are NaN"]),
    "a network that is none": (["find", "cnn.pt", "-o", "x"], 1, ["conv.weight (2, 2)", "--matrix recurrent=KEY"]),
    "half a state dict": (["find", "half.pt", "-o", "x"], 1, ["has no weight_ih", "save it again"]),
    "a matrix of the wrong size": (["find", "ragged.pt", "-o", "x"], 1, ["weight_ih_l0 (5, 1)", "needs (6, 1)"]),
    "trajectories all nan": (["find", "one.pt", "-o", "x", "--trajectories", "nan.npz"], 1, ["nan.npz", "NaN"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_get_one_line_and_the_right_status(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    module = torch.nn.GRU(1, 2).state_dict()
    torch.save({f"{part}.{key}": value for part in "ab" for key, value in module.items()}, "two.pt")
    np.savez("wide.npz", hidden=np.zeros((4, 3)))
    torch.save(module, "one.pt")
    bad = module["weight_hh_l0"].clone()
    bad[0, 0] = torch.nan
    torch.save({**module, "weight_hh_l0": bad}, "nan.pt")
    torch.save({**module, "weight_ih_l0": torch.ones(5, 1)}, "ragged.pt")
    torch.save({"weight_hh_l0": module["weight_hh_l0"]}, "half.pt")
    torch.save({"conv.weight": torch.ones(2, 2)}, "cnn.pt")
    np.savez("nan.npz", hidden=np.full((4, 2), np.nan))
    arguments, code, says = WRONG[case]
    result = run(*arguments, code=code)
    assert all(part in result.stderr for part in says), result.stderr
    if code == 1:
        told = ("%", "Not read", "Assumed")  # progress, and what is said of the network before it is searched
        lines = [e for e in result.stderr.splitlines() if not e.endswith(told[0]) and not e.startswith(told[1:])]
        assert len(lines) == 1
        assert lines[0].startswith("Error: ")


@pytest.fixture
def gru_of_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(torch.nn.GRU(1, 2).state_dict(), "one.pt")


HARD = {
    "one start": np.zeros((1, 2)),
    "a thousand equal ones": np.full((1000, 2), 0.3),
    "some with nan": np.array([[0.1, 0.2], [np.nan, 0.0], [0.3, -0.1]]),
    "huge ones": np.full((5, 2), 1e300),
}


@pytest.mark.parametrize("case", HARD)
def test_trajectories_of_every_kind_lead_to_the_point_of_a_contraction(case, gru_of_two):
    np.savez("t.npz", hidden=HARD[case])
    printed = json.loads(run("find", "one.pt", "-o", "x", "--trajectories", "t.npz", "--starts", 16, "--json").stdout)
    assert [point["stability"].split()[0] for point in printed["points"]] == ["stable"]
    usual = json.loads(run("find", "one.pt", "-o", "y", "--starts", 16, "--json").stdout)
    leading = [p["points"][0]["leading_eigenvalue"] for p in (printed, usual)]
    np.testing.assert_allclose(*leading, atol=1e-9)


def test_little_memory_that_suffices_changes_nothing(gru_of_two):
    little, usual = (
        json.loads(run("find", "one.pt", "-o", "x", *options, "--json").stdout)["points"]
        for options in (("--memory", "16KiB"), ())
    )
    assert len(little) == len(usual) == 1
    np.testing.assert_allclose(little[0]["leading_eigenvalue"], usual[0]["leading_eigenvalue"], atol=1e-12)


def commands():
    return [(), *((name,) for name in VERBS)]


@pytest.mark.parametrize("command", commands())
def test_every_help_has_an_example_and_every_option_a_text(command):
    text = run(*command, "--help").stdout
    assert "Example" in text
    click_command = command_of(command[0]) if command else main
    for parameter in click_command.params:
        if parameter.param_type_name == "option":
            shown = parameter.get_help_record(click_command.make_context("x", [], resilient_parsing=True))
            assert shown is not None


def interrupt_after(process, text, delay=0.0):
    for line in process.stderr:
        if text in line:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return err


def start(*arguments):
    """A command that hears Ctrl-C, whatever the caller of the tests ignores."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from dynsys.cli import main; main(sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_ctrl_c_in_training_keeps_the_snapshots_and_leaves_nothing_half_written(tmp_path):
    process = start("train", "flipflop", "esn", "-o", tmp_path, "--units", 400, "--steps", 60000, "--snapshots", 2000)
    said = interrupt_after(process, "10 %")
    assert process.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    kept = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert "step_00004000.safetensors" in kept
    assert not [name for name in kept if name.endswith(".part")]
    assert "checkpoint.safetensors" not in kept


def test_ctrl_c_in_a_search_writes_the_points_found_so_far(tmp_path):
    """x' = W tanh(x) - x with strong random weights has far more points than are found in the time given here."""
    np.savez(tmp_path / "net.npz", W=np.random.default_rng(0).standard_normal((64, 64)) * 6 / 64**0.5)
    process = start("find", tmp_path / "net.npz", "-o", tmp_path, "--starts", 100_000)
    said = interrupt_after(process, "points found")
    assert process.returncode == 130
    assert "Traceback" not in said
    points = dynsys.FixedPoints.load(tmp_path / "fixed_points.safetensors")
    assert len(points) > 0
    assert points.search.interrupted
    assert points.search.starts < 100_000
