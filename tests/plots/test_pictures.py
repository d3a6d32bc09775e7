"""Pictures of a run: the command line offers all of them, and refuses a choice that would make no difference."""

import plotly.graph_objects as go
import pytest
from click.testing import CliRunner

from dynsys.analyses.pictures import PICTURES, Asked, Picture, draw
from dynsys.analyses.run import search_and_save
from dynsys.cli import main
from dynsys.models.examples.simple2d import Simple2D

CHOICES = {
    "points": ["--points", "0"],
    "seed": ["--seed", "3"],
    "fit": ["--fit", "trajectories"],
    "starts": ["--starts"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "run"
    search_and_save(Simple2D(), folder, "simple2d", lambda *told: None, n_starts=16)
    return folder


@pytest.mark.parametrize(
    ("name", "choice"), [(name, choice) for name in PICTURES for choice in CHOICES if choice not in PICTURES[name].uses]
)
def test_a_choice_that_makes_no_difference_to_a_picture_is_refused(folder, tmp_path, name, choice):
    page = tmp_path / "page.html"
    told = CliRunner().invoke(main, ["portrait", str(folder), "--picture", name, *CHOICES[choice], "-o", str(page)])
    assert told.exit_code == 1
    assert f"--{choice} makes no difference to the picture '{name}'" in told.stderr
    assert not page.exists()


@pytest.mark.parametrize("choice", ["seed", "fit", "points", "starts"])
def test_each_choice_makes_a_difference_to_the_phase_portrait(folder, choice):
    chosen = {"seed": 3, "fit": "trajectories", "points": [0], "starts": True}[choice]
    plain, other = (
        PICTURES["phase"].figure(asked).to_json() for asked in (Asked(folder), Asked(folder, **{choice: chosen}))
    )
    assert plain != other


def test_a_new_picture_is_a_function(folder, tmp_path, monkeypatch):
    def blank(asked):
        return go.Figure().add_annotation(text=f"nothing of {asked.run.name}", name="caption")

    monkeypatch.setitem(PICTURES, "blank", Picture(blank, ()))
    assert draw("blank", folder, tmp_path / "blank.html") == "nothing of run"
    assert (tmp_path / "blank.html").is_file()
