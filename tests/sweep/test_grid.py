"""A grid search: its points are the product of the lists, its best by validation, its rows those of any sweep."""

import json
import math
from itertools import product

import pytest
from click.testing import CliRunner

from dynsys.analyses.grid import study
from dynsys.analyses.grid.points import USUAL, points, usual_lists
from dynsys.analyses.grid.study import Grid, results_of, run
from dynsys.analyses.retrieval import table
from dynsys.analyses.retrieval.table import Retrieve
from dynsys.analyses.retrieval.trial import FULL, Trial, grid
from dynsys.cli import main
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.networks.recurrent import CELLS
from dynsys.models.training.learners import LEARNERS
from dynsys.models.training.optimisers import OPTIMISERS, rate_beside_adam
from dynsys.sweep import read_rows

TINY = Grid("flipflop", "gru", {"learning_rate": (0.01, 0.03)}, {"bits": 1, "steps": 4, "units": 2}, seeds=2)


def silent(stage, done, total):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return folder, run(TINY, folder, silent)


def test_the_points_are_the_product_of_the_lists():
    lists = {"learning_rate": (1e-3, 1e-2), "rate": (0.1, 0.2, 0.3), "decay": (0.9, 0.95)}
    found = [tuple(point.values()) for point in points(lists)]
    assert found == list(product(*lists.values()))
    assert len(set(found)) == 12
    assert points({}) == [{}]


@pytest.mark.parametrize("model", ["fast-weights", *CELLS])
def test_a_network_has_a_grid_over_those_of_the_choices_that_it_has(model):
    own = {name: values for name, values in USUAL["retrieval"].items() if name in LEARNERS["retrieval"][model].choices}
    assert len(grid(FULL, model)) == math.prod(map(len, own.values())) == (27 if model == "fast-weights" else 3)
    assert grid(FULL, model, {"rate": (0.1, 0.2)}) == (
        [{"rate": 0.1}, {"rate": 0.2}] if model == "fast-weights" else [{}]
    )
    if model != "fast-weights":
        assert list(usual_lists("flipflop", model)) == ["learning_rate"]


def test_the_rates_of_another_optimizer_are_those_of_adam_times_what_it_needs():
    for optimizer in OPTIMISERS:
        rates = Grid("flipflop", "gru", fixed={"optimizer": optimizer}).lists["learning_rate"]
        assert rates == pytest.approx([rate_beside_adam(optimizer) * rate for rate in (0.003, 0.01, 0.03)])
        table = [point["learning_rate"] for point in grid(FULL, "lstm", optimizer=optimizer)]
        assert table == pytest.approx([rate_beside_adam(optimizer) * rate for rate in (0.001, 0.003, 0.01)])


def test_every_point_is_trained_from_every_seed_into_a_folder_of_its_own(made):
    folder, results = made
    trials = [row for entry in results["points"] for row in entry["trials"]]
    assert [entry["point"] for entry in results["points"]] == points(TINY.lists)
    assert [(row["point"], row["seed"]) for row in trials] == [(p, s) for p in points(TINY.lists) for s in (0, 1)]
    assert len({row["folder"] for row in trials}) == 4
    assert all((folder / row["folder"] / FILE_NAME).is_file() for row in trials)
    assert all(row["steps"] == 4 for row in trials)


def test_the_best_point_has_the_least_mean_of_its_validation_errors(made):
    results = made[1]
    means = [sum(row["validation_error"] for row in entry["trials"]) / 2 for entry in results["points"]]
    assert results["best"] == means.index(min(means))


def pretended(*errors_and_steps, enough=0.01):
    """Results of a grid whose points had these errors of validation, each in so many steps; None: it diverged."""
    settings = Grid("flipflop", "gru", {"units": tuple(range(2, 2 + len(errors_and_steps)))})
    rows = []
    for point, told in zip(points(settings.lists), errors_and_steps, strict=True):
        left = {"diverged": "at step 3"} if told is None else {"validation_error": told[0], "steps": told[1]}
        rows.append({"id": "x", "status": "done", "result": {"point": point, "seed": 0, "enough": enough, **left}})
    return results_of(settings, rows)


@pytest.mark.parametrize(
    ("errors_and_steps", "best"),
    [
        (((0.5, 9), (0.3, 9), (0.4, 9)), 1),
        (((0.005, 9), (0.009, 7), (0.4, 5)), 1),  # both are enough, and it was there first
        ((None, (0.9, 9)), 1),
        (((0.2, 9), (0.2, 9)), 0),
        ((None, None), None),
    ],
)
def test_errors_that_are_enough_are_equal_and_then_steps_decide(errors_and_steps, best):
    assert pretended(*errors_and_steps)["best"] == best


def test_what_is_trained_is_not_trained_again_and_shards_make_the_whole(made, tmp_path, monkeypatch):
    trained = {row["folder"]: row for entry in made[1]["points"] for row in entry["trials"]}
    asked = []

    def known(task, model, folder, choices, told, seconds):
        asked.append(str(folder.relative_to(tmp_path)))
        return trained[asked[-1]]

    monkeypatch.setattr(study, "trained_row", known)
    monkeypatch.setattr("dynsys.analyses.grid.report.write_grid", lambda *_: None)
    parts = [run(TINY, tmp_path, silent, shard=f"{i}/3") for i in (1, 2, 3)]
    assert sorted(asked) == sorted(trained)
    assert [sum(len(entry["trials"]) for entry in part["points"]) for part in parts] == [2, 1, 1]
    assert run(TINY, tmp_path, silent) == made[1]
    assert len(asked) == 4


def test_a_table_with_a_full_grid_trains_the_product_and_its_shards_wait_for_one_another(tmp_path, monkeypatch):
    def pretended(self, folder, on_progress=None, seconds=None):
        error = abs(dict(self.point)["learning_rate"] - 0.002) + 0.01 * self.seed
        return {**self.key(), "validation_error": error, "test_error": error, "folder": self.name, "seconds": 1.0}

    monkeypatch.setattr(Trial, "run", pretended)
    monkeypatch.setattr(table, "write_table", lambda *_: None)
    over = {"learning_rate": (0.001, 0.002), "decay": (0.9, 0.95)}
    models = ("fast-weights", "gru")
    settings = Retrieve(models=models, units=(2,), seeds=2, steps=2, batch=2, grid=FULL, over=over)
    assert [len(settings.first_trials(model, 2)) for model in models] == [4, 2]
    first = table.run(settings, tmp_path, silent, shard="1/2")
    assert first["left"] == "the other shards of the grid"
    assert len(read_rows(tmp_path / "trials.1-of-2.jsonl")) == 3
    second = table.run(
        settings, tmp_path, silent, shard="2/2"
    )  # now the grid is whole: its part of the other seeds too
    assert second["left"] == "the other shards"
    assert table.run(settings, tmp_path, silent, shard="1/2")["left"] == ""
    results = table.run(settings, tmp_path, silent)
    assert [len(entry["trials"]) for entry in results["entries"]] == [5, 3]
    for entry in results["entries"]:
        grid_rows = [row for row in entry["trials"] if row["seed"] == 0]
        best = min(grid_rows, key=lambda row: row["validation_error"])
        assert [row["point"] for row in entry["trials"] if row["seed"] == 1] == [best["point"]]


def test_an_optimizer_of_the_whole_table_is_a_choice_of_every_training():
    settings = Retrieve(models=("gru",), units=(2,), optimizer="momentum", momentum=0.5)
    (trial,) = settings.first_trials("gru", 2)
    assert dict(trial.shared) == {"optimizer": "momentum", "momentum": 0.5}
    assert trial.name == "gru-2/seed-0-momentum-0.5-optimizer-momentum"
    assert type(trial).of_row(trial.key()) == trial
    (usual,) = Retrieve(models=("gru",), units=(2,)).first_trials("gru", 2)
    assert "shared" not in usual.key()  # rows of tables that were begun before are still its own


def command(*arguments, code=0):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_the_command_prints_every_point_and_the_best(tmp_path):
    options = ["--over", "learning-rate=0.01,0.1", "--fix", "bits=1", "--fix", "units=2", "--fix", "steps=3"]
    said = command("grid", "flipflop", "rnn", "-o", tmp_path, *options).stdout
    assert [line.split()[0] for line in said.splitlines()[1:3]] == ["0.01", "0.1"]
    assert "The best of 2 points (2 trainings): learning rate 0." in said
    printed = json.loads(command("grid", "flipflop", "rnn", "-o", tmp_path, *options, "--json").stdout)
    assert printed["schema"] == "dynsys.grid/1"
    assert (tmp_path / "table.md").read_text().count("\n| 0") == 2


MISTAKES = {
    "a network that is not validated": (["flipflop", "esn"], 1, "learns by FORCE"),
    "a choice that there is not": (["flipflop", "gru", "--over", "eta=0.1"], 1, "eta is no choice of flipflop gru"),
    "one value twice": (["flipflop", "gru", "--over", "units=2,2"], 1, "has 2 twice"),
    "no list": (["flipflop", "gru", "--over", "units"], 2, "learning-rate=0.001,0.01"),
    "a list twice": (["flipflop", "gru", "--over", "units=2", "--over", "units=3"], 2, "given twice"),
    "a list that is fixed": (["flipflop", "gru", "--fix", "units=2,3"], 2, "given with --over"),
    "fixed and over": (["flipflop", "gru", "--over", "units=2", "--fix", "units=3"], 1, "both fixed and a list"),
    "the seed": (["flipflop", "gru", "--over", "seed=1,2"], 1, "seed is no choice"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_line(case, tmp_path):
    arguments, code, says = MISTAKES[case]
    assert says in command("grid", *arguments, "-o", tmp_path / "x", code=code).stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--over", "eta=0.1"], "they are of --grid full"),
        (["--grid", "full", "--models", "lstm", "--over", "eta=0.1"], "eta is no list of this grid"),
        (["--grid", "full", "--over", "units=2,3"], "units is no list of this grid"),
        (["--momentum", "0.5"], "only 'momentum' has one"),
    ],
)
def test_lists_of_the_table_that_would_not_be_used_are_refused(options, says, tmp_path):
    assert says in command("retrieve", "-o", tmp_path / "x", *options, code=1).stderr
