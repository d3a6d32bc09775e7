"""Tables of points, on the screen and in reports: no column squeezed, no part of a number left out, proofs marked."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from described import described

import dynsys
from dynsys.analyses.citations import CITATIONS, of_network
from dynsys.analyses.flipflop import Demo, DemoResult, _report
from dynsys.cli import main
from dynsys.cli.output import print_points, print_rows
from dynsys.models import MODELS
from dynsys.models.training.learners import LEARNERS
from dynsys.result.table import point_rows

SPIRAL = torch.tensor([[-0.25, 2.0], [-2.0, -0.25]], dtype=torch.float64)  # eigenvalues -1/4 +- 2 i


@pytest.fixture
def spiral():
    return dynsys.find_fixed_points(dynsys.Flow(lambda x, u: x @ SPIRAL.T, n_state=2), n_starts=16)


def test_a_complex_eigenvalue_is_told_with_its_imaginary_part(spiral, capsys):
    (row,) = point_rows(spiral)
    assert re.fullmatch(r"-0\.2500 [+-]2\.0000i", row["leading eigenvalue"])
    print_points(spiral)
    assert row["leading eigenvalue"] in capsys.readouterr().out


def test_points_that_are_proved_are_marked_and_no_others():
    points = described(dynsys.Flow(lambda x, u: x - x**3, n_state=1), [[0], [1], [-1]])
    some = dataclasses.replace(points, certified=np.array([True, False, True]))
    assert [row["error bound"].endswith("*") for row in point_rows(some)] == [True, False, True]


@pytest.mark.parametrize("columns", ["80", "40", None])
def test_no_column_is_squeezed_however_narrow_the_terminal(columns, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    long = {f"column {i}": "x" * 60 + str(i) for i in range(9)}
    print_rows([long, long])
    head, *lines = capsys.readouterr().out.splitlines()
    assert all(name in head for name in long)
    assert len(lines) == 2
    assert all(value in line for value in long.values() for line in lines)


def test_the_points_of_strings_are_told_whole(tmp_path):
    run = CliRunner().invoke
    train = [
        "train",
        "retrieval",
        "fast-weights",
        "-o",
        str(tmp_path),
        "--units",
        "10",
        "--steps",
        "100",
        "--batch",
        "8",
    ]
    assert run(main, train).exit_code == 0
    found = run(main, ["find", str(tmp_path), "-o", str(tmp_path), "--strings", "c9k8j3f1??c", "--starts", "16"])
    assert found.exit_code == 0, found.output
    rows = [line for line in found.stdout.splitlines() if re.match(r" *\d+ +(fixed|slow) ", line)]
    assert rows
    assert "…" not in found.stdout
    assert all(len(re.findall(r"[+-]\d+\.\d\d(?= |$)", row)) >= 8 for row in rows)  # of the 36 outputs


def test_the_report_of_the_main_job_tells_imaginary_parts_and_proofs(tmp_path, spiral, monkeypatch):
    monkeypatch.setattr("dynsys.analyses.flipflop.PICTURES_SHOWN", {})
    trained = type("Trained", (), {"metrics": {"settled_bit_accuracy": 1.0}})()
    some = dataclasses.replace(spiral, readouts=np.zeros((1, 3)), certified=np.array([True]))
    _report(Demo(), DemoResult(trained, some, tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"-0\.2500 [+-]2\.0000i", page)
    assert re.search(r"<td>[^<]*\*</td>", page)
    assert "A * marks the points that are proved" in page


@pytest.mark.parametrize("name", sorted({model for models in LEARNERS.values() for model in models}))
def test_every_network_that_is_trained_has_papers_of_its_own(name):
    assert name in MODELS
    assert set(of_network(name)) <= set(CITATIONS)
    assert of_network(name)
    assert ("sussillo2009" in of_network(name)) == (name == "esn")  # FORCE is how echo state networks learn


def test_papers_are_of_networks_that_there_are():
    assert {paper for model in MODELS.values() for paper in model.kind.papers} <= set(CITATIONS)
    assert of_network("someone else's") == ()


def test_the_page_on_the_training_of_a_gru_cites_its_paper_and_not_that_of_force(tmp_path):
    run = CliRunner().invoke
    train = ["train", "flipflop", "gru", "-o", str(tmp_path), "--units", "3", "--bits", "1", "--steps", "100"]
    assert run(main, [*train, "--snapshots", "50"]).exit_code == 0
    assert run(main, ["evolve", str(tmp_path)]).exit_code == 0
    page = (tmp_path / "evolve" / "report.html").read_text()
    assert CITATIONS["cho2014"].title in page
    assert CITATIONS["keller1977"].title in page
    assert CITATIONS["sussillo2009"].title not in page
