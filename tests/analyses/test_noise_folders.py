"""A study belongs to what it was done with, not to where: shards elsewhere, moved folders, points searched again."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import dynsys
from dynsys.analyses.noise import folder as study_folder
from dynsys.analyses.noise.networks import Held, PointsFile, networks_of
from dynsys.analyses.noise.study import NoiseStudy, run
from dynsys.analyses.run import search_and_save
from dynsys.cli import main
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.sweep import SweepError

STUDY = NoiseStudy(levels=(1e-3, 1.0), trials=2, steps=20)
OPTIONS = ["--matrix", "recurrent=A", "--form", "rate", "--levels", "1e-3,1.0", "--trials", 2, "--steps", 20]


def command(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result


@pytest.fixture
def file(tmp_path):
    """Two units that hold a bit each: four memories."""
    np.savez(tmp_path / "net.npz", A=2 * np.eye(2))
    return tmp_path / "net.npz"


def rows_of(folder):
    return (folder / "rows.jsonl").read_text()


def test_shards_in_folders_of_their_own_become_one_report(file, tmp_path):
    for shard, name in (("1/2", "a"), ("2/2", "b")):
        command("noise", file, "-o", tmp_path / name, "--shard", shard, *OPTIONS)
    command("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c")
    before = rows_of(tmp_path / "c")
    found = json.loads(command("noise", file, "-o", tmp_path / "c", *OPTIONS, "--json").stdout)
    whole = json.loads(command("noise", file, "-o", tmp_path / "d", *OPTIONS, "--json").stdout)
    assert rows_of(tmp_path / "c") == before
    assert found["networks"] == whole["networks"]
    assert (tmp_path / "c" / "report.html").is_file()


def test_a_study_and_a_checkpoint_that_were_moved_go_on(file, tmp_path):
    command("noise", file, "-o", tmp_path / "before", *OPTIONS)
    before = rows_of(tmp_path / "before")
    shutil.move(tmp_path / "before", tmp_path / "after")
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(file, tmp_path / "elsewhere" / "net.npz")
    command("noise", moved, "-o", tmp_path / "after", *OPTIONS)
    assert rows_of(tmp_path / "after") == before


def test_points_found_in_between_change_no_study(file, tmp_path):
    """Among them other points than the study follows."""
    out = tmp_path / "out"
    command("noise", file, "-o", out, *OPTIONS)
    before = rows_of(out)
    (network,) = networks_of([file], {"matrices": {"recurrent": "A"}, "form": "rate"})
    search_and_save(
        network.system, tmp_path, file, lambda *told: None, starts=torch.ones(3, 2, dtype=torch.float64),
        closure=False, verify=False, loading=dict(network.loading),
    )  # fmt: skip
    command("noise", file, "-o", out, *OPTIONS)
    assert rows_of(out) == before
    other = command("noise", file, "-o", tmp_path / "other", *OPTIONS, "--json").stdout
    assert json.loads(other)["networks"][0]["survival"]["of"]["memories"] == 1
    shutil.rmtree(out / "net")
    assert "done with other settings" in command("noise", file, "-o", out, *OPTIONS, code=1).stderr


def test_points_are_known_again_by_those_that_are_followed(tmp_path):
    """Memories of all nine points or found alone, in another order, moved by rounding."""
    system = LeakyRate(2 * np.eye(2))
    nine = dynsys.find_fixed_points(system, n_starts=200)
    memories = nine[np.flatnonzero(nine.n_unstable == 0)[::-1]]
    moved = 1e-9 + memories.states
    for name, points in {"nine": nine, "four": dataclasses.replace(memories, states=moved)}.items():
        points.save(tmp_path / f"{name}.safetensors")
    nine_file, four_file = tmp_path / "nine.safetensors", tmp_path / "four.safetensors"
    assert len(nine) == 9
    assert len(memories) == 4
    assert PointsFile(nine_file, "memories") == PointsFile(four_file, "memories")
    assert PointsFile(nine_file, "all") != PointsFile(four_file, "all")


def test_systems_that_differ_in_their_readout_alone_are_not_taken_for_each_other(tmp_path):
    torch.manual_seed(0)
    gru, readouts = nn.GRU(2, 5), (nn.Linear(5, 1), nn.Linear(5, 1))
    one, other = (dynsys.wrap(gru, readout) for readout in readouts)
    assert Held(one) == Held(dynsys.wrap(gru, readouts[0]))
    assert Held(one) != Held(other)
    study = NoiseStudy(levels=(0.1,), trials=1, steps=10, points="none")
    run(study, [("m", one)], tmp_path)
    with pytest.raises(ValueError, match="another network of the name 'm'"):
        run(study, [("m", other)], tmp_path)
    (tmp_path / "study.json").unlink()
    with pytest.raises(SweepError, match="other settings"):
        run(study, [("m", other)], tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"jobs": 2, "cluster": "tcp://127.0.0.1:1"}, "jobs and a cluster"),
        ({"shard": "3/2"}, "not of the form i/n"),
        ({"cluster": "nowhere"}, "no address"),
    ],
)
def test_who_does_the_trials_is_checked_before_points_are_searched(wrong, said, file, tmp_path, monkeypatch):
    monkeypatch.setattr(study_folder, "search_and_save", lambda *given, **named: pytest.fail("points were searched"))
    with pytest.raises(SweepError, match=said):
        run(STUDY, [("m", LeakyRate(2 * np.eye(2)))], tmp_path / "out", **wrong)


def test_other_settings_are_refused_before_points_are_searched(tmp_path, monkeypatch):
    network = [("m", LeakyRate(2 * np.eye(2)))]
    run(STUDY, network, tmp_path)
    shutil.rmtree(tmp_path / "m")
    monkeypatch.setattr(study_folder, "search_and_save", lambda *given, **named: pytest.fail("points were searched"))
    with pytest.raises(ValueError, match="holds trials done with steps 20"):
        run(NoiseStudy(levels=(1e-3, 1.0), trials=2, steps=30), network, tmp_path)


def test_the_search_is_told_by_the_network(tmp_path):
    told = []
    network = LeakyRate(2 * np.eye(2))
    run(STUDY, [("one", network), ("two", network)], tmp_path, lambda stage, done, total: told.append(stage))
    assert {"one: search", "two: search", "trials"} <= set(told)


@pytest.mark.parametrize(
    "line", ['{"id": "net/trial=0"}', '{"status": "done"}', "[1, 2]", '{"status": "done", "id": 3}']
)
def test_lines_that_are_no_rows_are_passed_over_and_told(line, file, tmp_path):
    out = tmp_path / "out"
    command("noise", file, "-o", out, *OPTIONS, "--no-points")
    before = rows_of(out)
    (out / "rows.jsonl").write_text(before + line + "\n")
    result = command("noise", file, "-o", out, *OPTIONS, "--no-points")
    assert "lines of rows.jsonl passed over, since they are no rows: 1" in result.stderr
    command("merge", out, "-o", tmp_path / "merged")
    assert sorted(rows_of(tmp_path / "merged").splitlines()) == sorted(before.splitlines())
