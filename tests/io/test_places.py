"""What commands may write over, what they read, and what they print for a shell: nothing is lost, nothing hangs."""

import io
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from click.testing import CliRunner

from dynsys import plots
from dynsys.cli import VERBS, main
from dynsys.cli import command as command_of
from dynsys.io.errors import CheckpointError
from dynsys.io.files import file_error, write_drawn

HARD = "my run; $(touch PWNED) 'x'"  # a folder whose name a shell would take for more than a name


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / HARD
    return folder, run("find", "simple2d", "-o", folder, "--starts", 16, "--no-verify").stdout


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def network(path):
    torch.save(torch.nn.GRU(1, 2).state_dict(), path)


KEPT = {
    "weights of NumPy": lambda path: path.write_bytes(npz(W=np.eye(2))),
    "weights of torch": network,
    "notes": lambda path: path.write_text("of a long day\n"),
    "a table": lambda path: path.write_text("a,b\n1,2\n"),
}


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("name", ["model.npz", "model.safetensors", "model", "model.html"])
def test_a_page_replaces_nothing_but_a_page(searched, tmp_path, kind, name):
    path = tmp_path / name
    KEPT[kind](path)
    before = path.read_bytes()
    for command in ("portrait", "basins"):
        assert name in run(command, searched[0], "-o", path, code=1).stderr
    with pytest.raises(ValueError, match=r"neither a page nor a picture|no name for a page"):
        plots.save_html(go.Figure(), path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_picture_replaces_neither_weights_nor_goes_by_the_name_of_another_format(searched, tmp_path):
    network(tmp_path / "model.png")
    before = (tmp_path / "model.png").read_bytes()
    for name, says in (("model.png", "neither"), ("a.jpg", ".png, .pdf or .svg"), ("a.npz", ".png, .pdf or .svg")):
        told = run("portrait", searched[0], "-o", tmp_path / "p.html", "--png", tmp_path / name, code=1)
        assert says in told.stderr
    told = run("portrait", searched[0], "-o", tmp_path / "p.gif", code=1)
    assert "it has to end in .html, .htm, .png, .pdf or .svg" in told.stderr
    assert (tmp_path / "model.png").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["model.png"]


def test_the_report_of_a_study_replaces_no_notes_under_its_name(tmp_path):
    from dynsys.analyses.report import Report, write_report

    (tmp_path / "report.html").write_text("# my own report\n")
    with pytest.raises(ValueError, match=r"report\.html is there already"):
        write_report(Report("t", "c"), {"schema": "s"}, tmp_path)
    assert (tmp_path / "report.html").read_text() == "# my own report\n"


def test_pages_pictures_and_empty_files_are_replaced(tmp_path):
    for content in (b"", b"\n<!DOCTYPE HTML><p>", b"<html>", b"\x89PNG\r\n", b"%PDF-1.4", b"<svg class='main-svg'>"):
        (tmp_path / "x").write_bytes(content)
        assert write_drawn(tmp_path / "x", b"new").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(ValueError, match="name the file to write"):
            write_drawn(tmp_path / name, b"new")


EMPTY = [
    *(("portrait", "RUN", option, "") for option in ("-o", "--png")),
    ("portrait", ""),
    ("basins", "RUN", "-o", " "),
    ("find", "simple2d", "-o", ""),
    ("find", "", "-o", "x"),
    ("find", "simple2d", "-o", "x", "--trajectories", ""),
    ("info", ""),
    ("evolve", "RUN", "-o", ""),
    ("noise", "RUN", "-o", ""),
    ("train", "flipflop", "gru", "-o", ""),
    ("retrieve", "-o", ""),
    ("transfer", "-o", ""),
    ("merge", "RUN", "-o", ""),
    ("demo", "-o", ""),
]


@pytest.mark.parametrize("arguments", EMPTY, ids=" ".join)
def test_an_empty_path_is_not_the_working_directory(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "the path is empty" in run(*arguments, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_every_path_of_every_command_is_checked_for_being_empty():
    from dynsys.cli.place import PLACE

    for name in VERBS:
        command = command_of(name)
        for parameter in command.params:
            if parameter.name in ("run", "checkpoint", "checkpoints", "folder", "folders", "out", "path", "png"):
                assert parameter.type is PLACE, (name, parameter.name)


def test_commands_that_are_printed_are_for_a_shell(searched, tmp_path):
    folder, printed = searched
    (hint,) = re.findall(r"Next: dynsys (.*)", printed)
    assert shlex.split(hint) == ["portrait", str(folder), "-o", "portrait.html"]
    told = run("portrait", folder, "--picture", "graph", "-o", tmp_path / "g.html", code=1).stderr
    assert shlex.split(told.partition("dynsys ")[2]) == ["basins", str(folder)]


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        assert "it is a pipe or a device" in run("info", path, code=1).stderr
    assert isinstance(file_error(tmp_path / "pipe"), CheckpointError)
    told = run("find", "simple2d", "-o", tmp_path / "x", "--trajectories", tmp_path / "pipe", code=1)
    assert "it is a pipe or a device" in told.stderr


def dynsys_with_closed(streams, *arguments):
    """The command with some of its standard streams closed, as ``2>&-`` does."""

    def close():
        for stream in streams:
            os.close(stream)

    return subprocess.run([sys.executable, "-m", "dynsys", *map(str, arguments)], preexec_fn=close, stdout=-1)


@pytest.mark.parametrize("streams", [(2,), (0, 2)])
def test_commands_work_with_stderr_closed(streams, tmp_path):
    done = dynsys_with_closed(streams, "find", "simple2d", "-o", tmp_path / "x", "--starts", 16, "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["points"]) == 3
    assert (tmp_path / "x" / "fixed_points.safetensors").is_file()


def test_a_mistake_with_all_streams_closed_ends_with_its_status(tmp_path):
    assert dynsys_with_closed((0, 1, 2), "info", tmp_path / "nowhere").returncode == 1


def test_what_a_file_says_of_itself_cannot_steer_the_terminal(tmp_path):
    from dynsys.io.files import write_tensors
    from dynsys.models.loading.checkpoint import save_checkpoint
    from dynsys.models.rate.simple_rnn import SimpleRNN

    escapes = "\x1b]0;title\x07\x1b[2J\nmodel            gru"
    path = save_checkpoint(tmp_path / "c.safetensors", SimpleRNN.random(2), {"metrics": {escapes: 1.0}})
    printed = run("info", path).stdout
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert sum(line.startswith("model ") for line in printed.splitlines()) == 1
    np.savez(tmp_path / "m.npz", **{escapes: np.eye(2), "b": np.eye(3)})
    told = run("info", tmp_path / "m.npz", code=1).stderr
    assert "\x1b" not in told
    assert len(told.splitlines()) == 1
    write_tensors(tmp_path / "x.safetensors", {escapes: np.eye(2)}, {"schema": escapes})
    assert "\x1b" not in run("portrait", tmp_path / "x.safetensors", code=1).stderr
