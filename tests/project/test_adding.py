"""A model, a solver, a picture and a study are one file and one line: toys that the command line then knows."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from click.testing import CliRunner

from dynsys.analyses import pictures
from dynsys.analyses.pictures import picture
from dynsys.analyses.portrait import title_of
from dynsys.cli import VERBS, main
from dynsys.models.driven.perturbation import weights_chosen
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.registry import MODELS, Model
from dynsys.search.solvers import SOLVERS, Newton
from dynsys.systems.system import Kind, System


def run(*words, code=0):
    told = CliRunner().invoke(main, [str(word) for word in words])
    assert told.exit_code == code, told.output
    return told.stdout


class Logistic(System):
    """r' = r (W - r): fixed points at 0 and W, where dF/dr = W and -W."""

    name = "logistic-growth"
    title = "logistic growth"
    equation = "dr/dt = r (W - r)"
    recurrent_weights = "W"
    told_by = ("growth",)
    kind = Kind.FLOW
    n_state = 1

    def __init__(self, W=2.0):
        self.W = W

    @classmethod
    def from_arrays(cls, arrays, settings, task=None):
        return cls(float(arrays["W"][0]))

    def arrays(self):
        return {"W": np.array([self.W])}

    def settings(self):
        return {}

    def velocity(self, x, u):
        return x * (self.W - x)

    def box(self, u):
        return torch.full_like(u[:, :1].sum(1, keepdim=True), -1.0), torch.full_like(u.sum(1, keepdim=True), 4.0)


def test_a_model_is_a_class_and_a_line(monkeypatch, tmp_path):
    monkeypatch.setitem(MODELS, Logistic.name, Model(Logistic, Logistic))
    file = save_checkpoint(tmp_path / "net.safetensors", Logistic(3.0))
    assert json.loads(run("info", file, "--json"))["equation"] == "dr/dt = r (W - r)"
    found = json.loads(run("find", file, "-o", tmp_path / "run", "--starts", 16, "--json"))["points"]
    assert [point["leading_eigenvalue"][0] for point in found] == pytest.approx([-3, 3])
    assert weights_chosen(Logistic()) == ("W",)
    assert title_of(Logistic()) == "Logistic growth, 1 units"


def test_a_solver_is_a_class_and_a_line(monkeypatch, tmp_path):
    class Patient(Newton):
        name = "patient"

    monkeypatch.setitem(SOLVERS, "patient", Patient)
    assert "patient" in run("find", "--help")
    found = json.loads(run("find", "bistable", "-o", tmp_path, "--starts", 32, "--solver", "patient", "--json"))
    assert found["search"]["solver"] == "patient"
    assert found["search"]["found"] == 27  # three of each of three units


def test_a_picture_is_a_function_under_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "PICTURES", dict(pictures.PICTURES))

    @picture("blank", "seed")
    def blank(asked):
        return go.Figure().add_annotation(text=f"seed {asked.seed}", name="caption")

    assert "blank" in run("portrait", "--help")
    page = tmp_path / "page.html"
    assert run("portrait", tmp_path, "--picture", "blank", "--seed", 5, "-o", page).startswith("seed 5\n")
    assert page.is_file()


def test_a_study_is_a_file_and_a_line(monkeypatch, tmp_path):
    (tmp_path / "halving.py").write_text(
        "import click\n\n\n@click.command()\n@click.argument('number', type=float)\n"
        "def halving(number):\n    '''Halve a NUMBER.'''\n    click.echo(number / 2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERBS, "halving", "halving")
    assert "Halve a NUMBER." in run("--help")
    assert run("halving", 3) == "1.5\n"
