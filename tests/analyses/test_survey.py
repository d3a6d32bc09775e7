"""A survey: the points of many networks, whatever becomes of one of them."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.analyses.survey.study import Survey, networks_among, run
from dynsys.cli import main

FORM = ("--form", "rnn", "--matrix", "recurrent=W")
WORDS = {"form": "rnn", "matrices": {"recurrent": "W"}}
COUNTS = {"one": (1, 1), "two": (3, 2), "four": (9, 4)}  # fixed and stable points


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """h' = tanh(W h): one unit of gain 1/2 has 0; of gain 2 has 0 and a pair; two apart have every pair of these."""
    folder = tmp_path_factory.mktemp("nets")
    for name, W in {"one": [[0.5]], "two": [[2.0]], "four": [[2.0, 0], [0, 2]]}.items():
        np.savez(folder / f"{name}.npz", W=np.array(W))
    (folder / "broken.pt").write_bytes(b"no network")
    return folder


def typed(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result.output


@pytest.fixture(scope="module")
def survey(nets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    said = typed("survey", nets, nets / "gone.npz", "-o", folder, "--starts", 32, *FORM)
    return folder, said


def table(folder):
    with open(folder / "table.csv", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_every_network_has_its_row_and_what_cannot_be_read_its_reason(survey):
    folder, said = survey
    rows = table(folder)
    for name, (fixed, stable) in COUNTS.items():
        row = rows[f"{name}.npz"]
        assert (int(row["fixed"]), int(row["stable"]), int(row["certified"])) == (fixed, stable, fixed)
        assert int(row["saddles"]) == fixed - stable
    assert "no format that dynsys reads" in rows["broken.pt"]["reason"]
    assert "no such file" in rows["gone.npz"]["reason"].lower()
    assert "13 of 13 fixed points are proved" in said
    assert "2 files could not be searched" in said
    assert "Not searched" in (folder / "report.html").read_text()


def test_time_constants_are_those_of_the_slopes(survey):
    """At the pair of h = tanh(2 h) the multiplier is 2 (1 - h^2); of gain 1/2 at 0 it is 1/2."""
    h = 0.9575040240772687
    rows = table(survey[0])
    assert float(rows["one.npz"]["slowest"]) == pytest.approx(1 / np.log(2))
    assert float(rows["two.npz"]["slowest"]) == pytest.approx(-1 / np.log(2 * (1 - h**2)))


def test_each_network_has_a_run_that_other_commands_take(survey, tmp_path):
    said = typed("portrait", survey[0] / "networks" / "two.npz", "-o", tmp_path / "p.html")
    assert "3 points: 2 stable, 1 with 1 unstable direction" in said


def test_the_same_command_does_nothing_again_and_more_files_add_rows(survey, nets, tmp_path, monkeypatch):
    folder = tmp_path / "survey"
    two = [nets / "one.npz", nets / "two.npz"]
    first = run(two, Survey(32, loading=WORDS), folder, lambda *told: None)
    monkeypatch.setattr("dynsys.analyses.survey.study.search_and_save", lambda *a, **k: pytest.fail("searched again"))
    again = run(two, Survey(32, loading=WORDS), folder, lambda *told: None)
    assert again == first
    monkeypatch.undo()
    more = run([*two, nets / "four.npz"], Survey(32, loading=WORDS), folder, lambda *told: None)
    assert more["networks"][:2] == first["networks"]
    assert [row["stable"] for row in more["networks"]] == [1, 2, 4]


def test_shards_come_to_the_same_table(survey, nets, tmp_path):
    whole, _ = survey
    for shard in ("1/2", "2/2"):
        typed("survey", nets, nets / "gone.npz", "-o", tmp_path, "--starts", 32, *FORM, "--shard", shard)
    typed("merge", tmp_path)
    typed("survey", nets, nets / "gone.npz", "-o", tmp_path, "--starts", 32, *FORM)
    assert table(tmp_path) == table(whole)


def test_a_network_that_changed_under_its_name_is_refused(nets, tmp_path):
    net = tmp_path / "net.npz"
    np.savez(net, W=np.array([[0.5]]))
    typed("survey", net, "-o", tmp_path / "survey", "--starts", 16, *FORM)
    np.savez(net, W=np.array([[2.0]]))
    result = CliRunner().invoke(main, ["survey", str(net), "-o", str(tmp_path / "survey"), "--starts", "16", *FORM])
    assert result.exit_code == 1
    assert "net.npz" in result.stderr
    assert len((tmp_path / "survey" / "rows.jsonl").read_text().splitlines()) == 1  # nothing was searched again


def test_names_tell_files_of_one_name_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.npz").touch()
    assert list(networks_among([tmp_path / "a", tmp_path / "b"])) == ["a/net.npz", "b/net.npz"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is no file in"):
        networks_among([tmp_path / "empty"])
    with pytest.raises(ValueError, match="given twice"):
        networks_among([tmp_path / "a" / "net.npz"] * 2)


def test_where_nothing_could_be_read_the_command_fails(nets, tmp_path):
    assert "1 file could not be searched" in typed("survey", nets / "broken.pt", "-o", tmp_path, code=1)


def test_json_holds_the_rows(survey, nets):
    told = json.loads(typed("survey", nets, nets / "gone.npz", "-o", survey[0], "--starts", 32, *FORM, "--json"))
    assert {row["name"] for row in told["networks"]} == {f"{name}.npz" for name in COUNTS}
    assert len(told["failed"]) == 2
