"""The paper's table: which trainings it is made of, how it chooses, how it goes on, what it says and draws."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys import plots
from dynsys.analyses.retrieval import table as retrieval_table
from dynsys.analyses.retrieval.report import _row, length_rows, table, trial_rows
from dynsys.analyses.retrieval.table import ORDER, PAPER, Retrieve, claims, run
from dynsys.analyses.retrieval.trial import GRIDS, Trial, grid
from dynsys.cli import main
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.training.learners import LEARNERS
from dynsys.sweep import read_rows

TINY = Retrieve(models=("fast-weights", "irnn"), units=(3,), seeds=2, steps=3, batch=4, grid="small")


def silent(stage, done, total):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return folder, run(TINY, folder, silent)


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the table's folder, to change."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def test_networks_of_one_size_see_equally_many_strings():
    for units in (20, 50):
        seen = {trial.strings_seen for model in ORDER for trial in Retrieve(grid="small").first_trials(model, units)}
        assert len(seen) == 1


def test_the_grid_is_tried_from_one_seed_and_the_other_seeds_at_its_best_point(made):
    for entry in made[1]["entries"]:
        first = [row for row in entry["trials"] if row["seed"] == 0]
        others = [row for row in entry["trials"] if row["seed"] != 0]
        assert [row["point"] for row in first] == grid("small", entry["model"])
        best = min(first, key=lambda row: row["validation_error"])
        assert [(row["seed"], row["point"]) for row in others] == [(1, best["point"])]


def test_the_trial_shown_is_the_one_of_the_least_validation_error(made):
    for entry in made[1]["entries"]:
        assert entry["validation_error"] == min(row["validation_error"] for row in entry["trials"])
        about = json.loads(json.dumps(entry))
        assert (made[0] / entry["folder"] / FILE_NAME).is_file()
        assert about["strings_seen"] == 12


def test_the_test_error_has_no_say(monkeypatch, tmp_path):
    """Seed 1 is worse in validation and better in the test: seed 0 is shown."""
    errors = {0: (0.1, 0.3), 1: (0.2, 0.0)}

    def pretended(self, folder, on_progress=None, seconds=None):
        validation, test = errors[self.seed]
        return {**self.key(), "validation_error": validation, "test_error": test, "folder": self.name, "seconds": 1.0}

    monkeypatch.setattr(Trial, "run", pretended)
    monkeypatch.setattr(retrieval_table, "write_table", lambda settings, results, folder: None)
    results = run(Retrieve(models=("lstm",), units=(20,)), tmp_path, silent)
    assert [(entry["seed"], entry["test_error"]) for entry in results["entries"]] == [(0, 0.3)]
    assert results["entries"][0]["standard_error"] == pytest.approx(0.3**0.5 * 0.7**0.5 / 20_000**0.5)


def test_trainings_that_are_done_are_not_done_again(folder, made, monkeypatch):
    monkeypatch.setattr(Trial, "run", lambda *_: pytest.fail("it trained again"))
    assert run(TINY, folder, silent) == made[1]


def test_lines_of_before_trials_were_tasks_are_taken_over(folder, made, monkeypatch):
    """They held what a trial left, and nothing around it."""
    lines = [json.dumps(row["result"]) + "\n" for row in read_rows(folder / "trials.jsonl")]
    (folder / "trials.jsonl").write_text("".join(lines))
    monkeypatch.setattr(Trial, "run", lambda *_: pytest.fail("it trained again"))
    assert run(TINY, folder, silent) == made[1]


def test_a_training_that_fails_is_told_and_tried_again_by_the_same_command(made, tmp_path, monkeypatch):
    settings = Retrieve(models=("irnn",), units=(3,), seeds=1, steps=3, batch=4)
    with monkeypatch.context() as patch:
        patch.setattr(Trial, "run", lambda *_: 1 / 0)
        with pytest.raises(RuntimeError, match=r"1 failed .*ZeroDivisionError.*the same command tries again"):
            run(settings, tmp_path, silent)
    (row,) = run(settings, tmp_path, silent)["entries"][0]["trials"]
    assert row["test_error"] == made[1]["entries"][1]["trials"][0]["test_error"]


def test_a_table_that_was_broken_off_comes_to_the_same(folder, made):
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:4]) + lines[4][:30])
    results = run(TINY, folder, silent)
    for again, before in zip(results["entries"], made[1]["entries"], strict=True):
        for one, other in zip(again["trials"], before["trials"], strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert len(read_rows(folder / "trials.jsonl")) == len(lines)


def test_a_training_that_was_broken_off_goes_on_and_its_seconds_are_not_known(made, tmp_path):
    def interrupt(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt

    settings = Retrieve(models=("irnn",), units=(3,), seeds=1, steps=3, batch=4)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path, interrupt)
    assert read_rows(tmp_path / "trials.jsonl") == []
    results = run(settings, tmp_path, silent)
    (row,) = results["entries"][0]["trials"]
    assert {**row, "seconds": 0} == {**made[1]["entries"][1]["trials"][0], "seconds": 0}
    assert row["seconds"] is None
    assert "not known" in table(results)


def test_another_number_of_steps_is_another_training(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(Trial, "run", lambda self, *_: asked.append(self.steps) or pytest.skip())
    with pytest.raises(pytest.skip.Exception):
        run(Retrieve(models=("irnn",), units=(3,), steps=4, batch=4), folder, silent)
    assert asked == [4]


def test_a_training_that_diverged_is_a_row_and_not_chosen(monkeypatch, tmp_path):
    monkeypatch.setitem(GRIDS["small"], "irnn", [{"learning_rate": 1e30}, {}])
    settings = Retrieve(models=("irnn",), units=(3,), seeds=1, steps=60, batch=4, grid="small")
    (entry,) = run(settings, tmp_path, silent)["entries"]
    assert "diverged at step" in entry["trials"][0]["diverged"]
    assert entry["point"] == {}
    monkeypatch.setitem(GRIDS["small"], "irnn", [{"learning_rate": 1e30}])
    with pytest.raises(FloatingPointError, match=r"irnn of 3 units: training diverged.*learning rate"):
        run(settings, tmp_path, silent)


def test_two_at_a_time_come_to_the_same(made, tmp_path):
    settings = Retrieve(models=("irnn",), units=(3,), seeds=2, steps=3, batch=4, jobs=2)
    stages = []
    (entry,) = run(settings, tmp_path, lambda *stage: stages.append(stage))["entries"]
    before = {row["seed"]: row for row in made[1]["entries"][1]["trials"] if row["point"] == {}}
    assert entry["trials"][0]["test_error"] == before[0]["test_error"]
    assert stages[-1][1:] == (1, 1)


def made_entry(model, error, units=20):
    return {"model": model, "units": units, "test_error": error}


@pytest.mark.parametrize(
    ("errors", "holds"),
    [((0.02, 0.1, 0.5), True), ((0.02, 0.5, 0.1), False), ((0.1, 0.1, 0.5), False), ((0.0, 0.001, 0.002), True)],
)
def test_the_claim_is_the_order_of_the_test_errors(errors, holds):
    (claim,) = claims([made_entry(model, error) for model, error in zip(ORDER, errors, strict=True)])
    assert claim["holds"] is holds
    assert ("does not hold" in claim["sentence"]) is not holds


def test_no_claim_is_made_of_a_size_that_lacks_a_network():
    entries = [made_entry("lstm", 0.1), made_entry("irnn", 0.2), *(made_entry(m, 0.1, 50) for m in ORDER)]
    assert [claim["units"] for claim in claims(entries)] == [50]


def test_the_papers_errors_are_those_of_its_table_1():
    listed = {"irnn": (62.1, 60.2, 0.34), "lstm": (60.8, 1.85, 0.0), "fast-weights": (1.81, 0.0, 0.0)}
    for model, errors in listed.items():
        for units, percent in zip((20, 50, 100), errors, strict=True):
            assert PAPER[model, units] == pytest.approx(percent / 100, abs=1e-12)


def test_the_table_has_a_row_for_each_network_and_the_budget(made):
    text = table(made[1])
    assert text.count("\n| 3 ") == 2
    assert "3 x 4" in text
    assert "test error" in text.splitlines()[0]
    assert (made[0] / "table.md").read_text() == text + "\n"


def test_points_of_the_grids_are_choices_of_their_networks():
    for model, choices in ((m, LEARNERS["retrieval"][m].choices) for m in LEARNERS["retrieval"]):
        for name in GRIDS:
            assert all(set(point) <= set(choices) for point in grid(name, model))
            assert grid(name, model)[0] == {}
    names = [Trial.of("irnn", 20, 0, point, None, None).name for point in grid("small", "irnn")]
    assert len(set(names)) == len(names)


class TestPictures:
    def record(self, error=(0.5, 0.0)):
        return {
            "step": np.arange(1, 41),
            "loss": np.geomspace(2, 0.1, 40),
            "validated_step": np.array([20, 40]),
            "validation_error": np.array(error),
        }

    def test_a_network_has_one_colour_in_all_panels_and_one_line_in_the_legend(self):
        figure = plots.learning_curves(
            {"R = 20": {"a": self.record(), "b": self.record()}, "R = 50": {"b": self.record()}}
        )
        assert len(figure.data) == 6
        for name in "ab":
            traces = [one for one in figure.data if one.name == name]
            assert len({one.line.color for one in traces}) == 1
            assert sum(bool(one.showlegend) for one in traces) == 1

    def test_an_error_of_zero_is_drawn_below_the_least_and_told(self):
        figure = plots.learning_curves({"": {"a": self.record()}})
        (errors,) = [one for one in figure.data if len(one.x) == 2]
        assert list(errors.y) == [0.5, 0.25]
        assert list(errors.customdata) == [0.5, 0.0]
        (note,) = (note.text for note in figure.layout.annotations if note.name == "caption")
        assert "A validation error of 0 is drawn at 0.25" in note

    def test_curves_that_lack_something_are_refused(self):
        with pytest.raises(ValueError, match="'a' lack validation_error"):
            plots.learning_curves({"": {"a": {k: v for k, v in self.record().items() if k != "validation_error"}}})
        with pytest.raises(ValueError, match="no learning curves"):
            plots.learning_curves({})

    def test_confusions_show_shares_of_rows_and_errors_by_letter(self):
        record = {
            "confusion": np.eye(10) * 6 + np.eye(10, k=1) * 2,
            "places": np.array([[3, 1], [0, 4]]),
            "letter_asked": np.full(26, 4),
            "letter_missed": np.array([1] + [0] * 25),
        }
        figure = plots.confusions({"one": record, "two": record})
        digits, pairs, letters = (figure.data[i] for i in range(3))
        assert digits.z[0][0] == 0.75
        assert digits.z[0][1] == 0.25
        assert digits.z[9][9] == 1.0
        assert [list(row) for row in pairs.text] == [["75", "25"], ["", "100"]]
        assert list(letters.y) == [0.25] + [0.0] * 25
        assert len(figure.data) == 6
        with pytest.raises(ValueError, match="'one' lacks places"):
            plots.confusions({"one": {k: v for k, v in record.items() if k != "places"}})
        with pytest.raises(ValueError, match="no confusions"):
            plots.confusions({})


class TestCommand:
    def run(self, *arguments, code=0):
        result = CliRunner().invoke(main, ["retrieve", *map(str, arguments)])
        assert result.exit_code == code, result.output + result.stderr
        return result

    def test_it_prints_the_table_and_leaves_everything_in_the_folder(self, tmp_path):
        options = ["--models", "irnn,gru", "--units", "3", "--seeds", 1, "--steps", 100, "--batch", 4, "-o", tmp_path]
        said = self.run(*options).stdout
        assert "| 3 " in said
        assert {"table.md", "results.json", "trials.jsonl", "report.html"} <= {path.name for path in tmp_path.iterdir()}
        assert json.loads(self.run(*options, "--json").stdout)["schema"] == "dynsys.retrieval_table/1"

    @pytest.mark.parametrize(
        ("options", "code", "says"),
        [
            (["--models", "esn"], 1, "not by 'esn'"),
            (["--units", "1"], 1, "2 units or more"),
            (["--units", "a"], 2, "20,50"),
            (["--grid", "large"], 2, "small"),
        ],
    )
    def test_mistakes_get_one_line(self, options, code, says, tmp_path):
        assert says in self.run(*options, "-o", tmp_path, code=code).stderr


def made_trials(*errors, points=({},)):
    """Trials of an LSTM, for each point from seeds 0, 1, ...; None: it diverged."""
    told = [{"diverged": "at step 3"} if e is None else {"test_error": e, "validation_error": e} for e in errors]
    each = len(errors) // len(points)
    return [{"point": points[i // each], "seed": i % each, **row} for i, row in enumerate(told)]


def test_the_spread_over_seeds_is_of_those_at_the_point_that_is_shown():
    points = ({}, {"learning_rate": 0.01})
    trials = made_trials(0.1, 0.2, 0.6, 0.9, 0.9, None, points=points)
    row = _row({**trials[0], "model": "lstm", "units": 20, "trials": trials, **BESIDE_IT})
    assert "30.00% ± 26.46% of 3" in row  # of 0.1, 0.2, 0.6 the sum of squares about 0.3 is 0.14; its root over 2
    alone = _row({**trials[0], "model": "lstm", "units": 20, "trials": trials[:1], **BESIDE_IT})
    assert "one seed" in alone


BESIDE_IT = {"standard_error": 0.01, "paper": None, "steps": 1, "batch": 1, "seconds": 1.0}


def test_every_training_has_a_row_and_the_one_that_is_shown_a_mark():
    trials = made_trials(0.1, None, 0.05, 0.9, points=({"rate": 0.1}, {"rate": 0.2}))
    rows = trial_rows([{**trials[2], "model": "fast-weights", "units": 20, "trials": trials}])
    assert [(row["eta"], row["seed"], row["test error"], row["shown"]) for row in rows] == [
        ("0.1", "0", "10.00%", ""),
        ("0.1", "1", "diverged", ""),
        ("0.2", "0", "5.00%", "*"),
        ("0.2", "1", "90.00%", ""),
    ]


class TestLengths:
    def test_the_standard_error_of_mixed_lengths_is_that_of_a_mean_of_shares(self):
        row = {"test_error": 0.3, "test_error_of_pairs_1": 0.1, "test_error_of_pairs_2": 0.5}
        variance = (0.1 * 0.9 / 50 + 0.5 * 0.5 / 400) / 4
        assert retrieval_table.standard_error(row, {1: 50, 2: 400}) == pytest.approx(variance**0.5)

    def test_a_table_of_mixed_lengths_has_a_column_for_each(self):
        def entry(model, *errors):
            own = {f"test_error_of_pairs_{k}": error for k, error in enumerate(errors, 9)}
            return {"model": model, "units": 20, **own}

        rows = length_rows([entry("lstm", 0.1, 0.2, 0.3), entry("gru", 0.0, 0.05, 1.0)])
        assert list(rows[0]) == ["R", "network", "9", "10", "11"]
        assert list(rows[1].values()) == ["20", "gru", "0.00%", "5.00%", "100.00%"]
        assert length_rows([{"model": "lstm", "units": 20, "test_error": 0.1}]) == []

    def test_the_papers_errors_stand_beside_strings_of_the_paper_only(self, monkeypatch, tmp_path):
        def pretended(self, folder, on_progress=None, seconds=None):
            errors = dict.fromkeys(["test_error", *(f"test_error_of_pairs_{k}" for k in range(2, 7))], 0.1)
            return {**self.key(), "validation_error": 0.1, **errors, "folder": self.name, "seconds": 1.0}

        monkeypatch.setattr(Trial, "run", pretended)
        monkeypatch.setattr(retrieval_table, "write_table", lambda *_: None)
        for pairs, paper in (("4", 0.608), ("6", None), ("2:6", None)):
            settings = Retrieve(models=("lstm",), units=(20,), seeds=1, pairs=pairs)
            (entry,) = run(settings, tmp_path / pairs.replace(":", "-"), silent)["entries"]
            assert entry["paper"] == paper
