"""A budget of time: nothing is begun after it, what was done is kept and told, and the same call goes on.

The clock of these tests counts how often it is read: no test waits, and all of them end at the same place anywhere.
"""

import dataclasses
import json
import pickle

import numpy as np
import plotly.graph_objects as go
import pytest
from click.testing import CliRunner

from dynsys.analyses import flipflop as demo
from dynsys.analyses.claims.study import Claims
from dynsys.analyses.claims.study import run as claims
from dynsys.analyses.evolve import study as evolve
from dynsys.analyses.evolve.evolution import Evolve
from dynsys.analyses.evolve.words import sentences
from dynsys.analyses.noise.folder import kept_points
from dynsys.analyses.noise.networks import networks_of
from dynsys.analyses.noise.study import NoiseStudy
from dynsys.analyses.noise.study import run as noise
from dynsys.analyses.retrieval import report as retrieval_report
from dynsys.analyses.retrieval.table import Retrieve
from dynsys.analyses.retrieval.table import run as retrieve
from dynsys.analyses.retrieval.trial import Trial
from dynsys.analyses.transfer.comparison import Transfer
from dynsys.analyses.transfer.study import run as transfer
from dynsys.cli import command as command_of
from dynsys.cli import main
from dynsys.continuation.follow import follow
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import load, read_checkpoint
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.training.backprop import STATE
from dynsys.models.training.by_force.recipes import default_recipe
from dynsys.models.training.flipflop import flipflop_course
from dynsys.models.training.learners import learner
from dynsys.models.training.run import run_training
from dynsys.numerics.deadline import Cut, CutShort, Deadline, Part
from dynsys.search.find import find_fixed_points
from dynsys.sweep import Task, read_rows, run_sweep
from dynsys.sweep.workers import Workers, spread
from dynsys.systems.family import FamilyOf


class Readings:
    """A clock on which every look takes a second."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return float(self.count)


def looks(count):
    """A deadline that is over at the look of that number."""
    return Deadline(count, Readings())


def silent(stage, done, total):
    pass


def results_in(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_deadline_is_over_when_its_seconds_are():
    now = [100.0]
    deadline = Deadline(5.0, lambda: now[0])
    assert not deadline.is_over
    now[0] = 104.9
    assert not deadline.is_over
    now[0] = 105.0
    assert deadline.is_over
    assert Deadline.of(deadline) is deadline
    assert not Deadline.of(None).is_over
    for seconds in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="has to be 0 or more"):
            Deadline(seconds)


def test_in_another_process_what_was_left_is_left():
    """Whatever its clock says there."""
    now = [1e9]
    deadline = Deadline(3600.0, lambda: now[0])
    now[0] += 1800
    there = pickle.loads(pickle.dumps(deadline))
    assert not there.is_over
    assert there.seconds == 3600
    now[0] += 1801
    assert pickle.loads(pickle.dumps(deadline)).is_over


def test_what_was_reached_is_said_in_one_sentence():
    parts = (Part(2, 3, "searches"), Part(0, 57, "releases"), Part(1, 1200, "steps"))
    cut = Cut(90.5, parts, goes_on=False)
    assert "2 of 3 searches, 0 of 57 releases and 1 of 1,200 steps were done when the 90.5 s" in cut.sentence
    assert cut.sentence.endswith("it begins anew: give it more seconds.")
    assert Deadline(1.0).cut(Part(3, 3, "searches")) is None
    assert json.loads(json.dumps(cut.to_json()))["reached"][2] == {"done": 1, "of": 1200, "what": "steps"}
    assert pickle.loads(pickle.dumps(CutShort(cut))).cut == cut


def double(arguments, seed):
    return {"twice": 2 * arguments["x"], "seed": seed}


def numbers(count):
    return [Task(f"x={x}", {"x": x}) for x in range(count)]


def test_a_sweep_begins_no_task_after_its_time_and_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert run_sweep(double, numbers(6), path, deadline=Deadline(0.0)) == []
    assert read_rows(path) == []
    some = run_sweep(double, numbers(6), path, deadline=looks(4))
    assert 0 < len(some) < 6
    assert read_rows(path) == some
    whole = run_sweep(double, numbers(6), path)
    assert whole[: len(some)] == some
    assert [row["result"]["twice"] for row in whole] == [0, 2, 4, 6, 8, 10]


def runs_out(arguments, seed):
    if arguments["x"] == 1:
        raise CutShort(Cut(1.0, (Part(1, 2, "steps"),)))
    return arguments["x"]


def test_a_task_whose_own_time_is_over_is_no_failed_task(tmp_path):
    rows = run_sweep(runs_out, numbers(3), tmp_path / "rows.jsonl")
    assert [row["id"] for row in rows] == ["x=0", "x=2"]
    assert [row["status"] for row in read_rows(tmp_path / "rows.jsonl")] == ["done", "done"]
    again = run_sweep(double, [Task("x=1", {"x": 1})], tmp_path / "rows.jsonl")
    assert again[0]["result"]["twice"] == 2


def test_failed_tasks_that_there_was_no_time_to_do_again_are_none_of_those_done(tmp_path):
    def fails(arguments, seed):
        raise ArithmeticError("no")

    path = tmp_path / "rows.jsonl"
    assert [row["status"] for row in run_sweep(fails, numbers(2), path)] == ["failed"] * 2
    assert run_sweep(double, numbers(2), path, retry_failed=True, deadline=Deadline(0.0)) == []
    assert len(read_rows(path)) == 2


class Patient(Workers):
    """Two places, where each task ends when it is asked for."""

    def __init__(self):
        self.running = []

    def start(self, task, alone):
        if len(self.running) >= 2:
            return False
        self.running.append(task)
        return True

    def ended(self):
        return [(self.running.pop(0), {"status": "done"})]

    def close(self):
        pass


def test_workers_end_what_they_have_and_get_no_more():
    with Patient() as workers:
        done = [task.id for task, _ in spread(numbers(9), workers, looks(5))]
        assert not workers.running
    assert 2 <= len(done) < 9
    assert done == [f"x={i}" for i in range(len(done))]
    with Patient() as workers:
        assert list(spread(numbers(9), workers, Deadline(0.0))) == []


def test_a_search_that_shares_a_deadline_ends_by_it_and_by_its_own_rule():
    given = {"n_starts": 16, "verify": False, "slow_q": 0.0, "workers": 1}
    late, with_time, without = (
        find_fixed_points(bistable(), seconds=s, **given) for s in (Deadline(0.0), Deadline(1e6), None)
    )
    assert late.search.stopped == "the seconds given were used up"
    assert with_time.search.stopped == without.search.stopped
    np.testing.assert_array_equal(with_time.states, without.states)


def echo(steps=400, bits=1):
    return dataclasses.replace(default_recipe(bits, 40), steps=steps, test_steps=200)


def test_force_goes_on_where_time_was_over_to_the_same_weights(tmp_path):
    whole = run_training(echo(), tmp_path / "whole")
    parts = [run_training(echo(), tmp_path / "parts", deadline=looks(150)) for _ in range(2)]
    assert [part.cut.parts[0][:2] for part in parts] == [(150, 400), (300, 400)]
    assert read_checkpoint(tmp_path / "parts")[2]["about"]["cut"]["goes_on"]
    np.testing.assert_array_equal(load(tmp_path / "parts").W_out.numpy(), parts[1].record.W_out)
    last = run_training(echo(), tmp_path / "parts", deadline=Deadline(1e6))
    assert last.cut is None
    np.testing.assert_allclose(last.record.W_out, whole.record.W_out, rtol=1e-9)
    np.testing.assert_allclose(last.record.output, whole.record.output, rtol=1e-9, atol=1e-12)
    assert not (tmp_path / "parts" / STATE).exists()
    assert "cut" not in read_checkpoint(tmp_path / "parts")[2]["about"]


def test_an_unfinished_training_of_other_settings_is_refused(tmp_path):
    run_training(echo(), tmp_path, deadline=looks(20))
    with pytest.raises(CheckpointError, match="other settings"):
        run_training(echo(bits=2), tmp_path)


def course():
    """Validated every 10 steps."""
    made = flipflop_course("rnn", units=4, bits=1, steps=30, seed=3)
    lesson = dataclasses.replace(made.lesson, batch=4, steps=16, test_batch=4, test_steps=60)
    return dataclasses.replace(
        made, lesson=lesson, settings=dataclasses.replace(made.settings, validate_every=10, enough=0.0)
    )


def test_backpropagation_goes_on_where_time_was_over_to_the_same_weights(tmp_path):
    """Before its first validation, and between two of them."""
    whole = course().run(tmp_path / "whole")
    cuts = [course().run(tmp_path / "parts", deadline=looks(count)) for count in (4, 13)]
    assert [cut.cut.parts[0] for cut in cuts] == [(4, 30, "steps of training"), (17, 30, "steps of training")]
    last = course().run(tmp_path / "parts")
    assert last.cut is None
    for key, value in whole.network.arrays().items():
        np.testing.assert_array_equal(last.network.arrays()[key], value)
    assert last.metrics == whole.metrics


def test_a_training_makes_one_step_at_least_and_says_what_it_made(tmp_path):
    out = CliRunner().invoke(
        main, ["train", "flipflop", "rnn", "--units", "4", "--bits", "1", "--seconds", "1e-9", "-o", str(tmp_path)]
    )
    assert out.exit_code == 0, out.output
    assert "Cut by time: 1 of 3,000 steps of training" in out.stdout
    assert "did not learn" not in out.stdout
    trained = learner("flipflop", "rnn")(tmp_path, seconds=1e-9, units=4, bits=1)
    assert trained.steps == 2


def bistable(count=2):
    """Units that hold a bit each: three fixed points for each unit."""
    return LeakyRate(2 * np.eye(count), W_out=np.eye(count))


def test_a_noise_study_says_how_many_trials_it_did_and_goes_on(tmp_path):
    study = NoiseStudy(levels=(1e-3, 1e-2), trials=4, steps=20, points="none")
    networks = [("one", bistable())]
    with pytest.raises(CutShort, match="0 of 4 trials"):
        noise(study, networks, tmp_path, seconds=Deadline(0.0))
    assert results_in(tmp_path)["cut"]["reached"] == [{"done": 0, "of": 4, "what": "trials"}]
    assert "0 of 4 trials" in (tmp_path / "report.html").read_text()
    some = noise(study, networks, tmp_path, seconds=looks(3))
    done = len(some["networks"][0]["trials"])
    assert 0 < done < 4
    assert some["cut"]["reached"] == [{"done": done, "of": 4, "what": "trials"}]
    assert f"{done} of 4 trials" in (tmp_path / "report.html").read_text()
    whole = noise(study, networks, tmp_path)
    assert whole["cut"] is None
    assert whole["networks"][0]["trials"] == [0, 1, 2, 3]
    values = [results["networks"][0]["measures"]["mse"]["values"] for results in (whole, some)]
    assert values[0][:done] == values[1]


def test_a_noise_study_without_time_for_its_points_searches_them_again(tmp_path):
    study, networks = NoiseStudy(levels=(1e-3,), trials=1, steps=20, points="all"), [("one", bistable())]
    with pytest.raises(CutShort, match="0 of 1 searches for points"):
        noise(study, networks, tmp_path, seconds=looks(3))
    assert (tmp_path / "one" / "all" / "fixed_points.safetensors").is_file()
    assert kept_points(networks_of(networks)[0], "all", tmp_path / "one") is None


def test_a_table_of_trainings_says_how_many_it_did_and_goes_on(tmp_path, monkeypatch):
    def pretended(self, folder, on_progress=None, seconds=None):
        if seconds.is_over:
            raise CutShort(Cut(seconds.seconds, (Part(1, 3, "steps of training"),)))
        errors = {"validation_error": 0.5, "test_error": 0.5}
        return {**self.key(), **errors, "folder": self.name, "seconds": 1.0}

    monkeypatch.setattr(Trial, "run", pretended)
    monkeypatch.setattr(retrieval_report, "read_curves", lambda folder: {})
    monkeypatch.setattr("dynsys.plots.confusions", lambda *_, **__: go.Figure())
    monkeypatch.setattr("dynsys.plots.learning_curves", lambda *_, **__: go.Figure())
    tiny = Retrieve(models=("irnn", "lstm"), units=(3,), seeds=2, steps=3, batch=4)
    with pytest.raises(CutShort, match="0 of 4 trainings"):
        retrieve(tiny, tmp_path, silent, seconds=Deadline(0.0))
    some = retrieve(tiny, tmp_path, silent, seconds=looks(5))
    assert [entry["model"] for entry in some["entries"]] == ["irnn"]
    assert some["cut"]["reached"] == [{"done": 1, "of": 4, "what": "trainings"}]
    assert (tmp_path / "table.md").read_text().startswith("Cut by time: 1 of 4 trainings")
    whole = retrieve(tiny, tmp_path, silent)
    assert whole["cut"] is None
    assert [len(entry["trials"]) for entry in whole["entries"]] == [2, 2]


def test_a_comparison_without_time_keeps_what_it_has(tmp_path):
    small = Transfer(bits=2, units=20, steps=100, n_starts=8)
    with pytest.raises(CutShort, match="0 of 3 trainings and 0 of 3 searches"):
        transfer(small, tmp_path, silent, seconds=looks(40))
    assert (tmp_path / "small" / STATE).is_file()
    steps = read_checkpoint(tmp_path / "small")[2]["about"]["cut"]["reached"][0]["of"]
    with pytest.raises(CutShort, match="1 of 3 trainings"):
        transfer(small, tmp_path, silent, seconds=looks(steps))
    assert not (tmp_path / "small" / STATE).exists()
    assert results_in(tmp_path)["cut"]["goes_on"]


def test_a_demo_without_time_keeps_its_training(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "draw", lambda *_, **__: "")
    monkeypatch.setattr(demo, "PICTURES_SHOWN", {})
    with pytest.raises(CutShort, match=r"1 of [0-9,]+ steps of training"):
        demo.run(demo.Demo(bits=1, units=20), tmp_path, silent, seconds=Deadline(0.0))
    assert "steps of training" in results_in(tmp_path)["cut"]["sentence"]
    steps = results_in(tmp_path)["cut"]["reached"][0]["of"]
    found = demo.run(demo.Demo(bits=1, units=20, n_starts=8), tmp_path, silent, seconds=looks(steps + 1))
    assert found.cut.parts == (Part(1, 2, demo.PARTS),)
    assert results_in(tmp_path)["cut"]["sentence"] == found.cut.sentence


def growing():
    """dx/dt = -x + s tanh(x): one point up to s = 1, three above."""
    return FamilyOf(lambda s: LeakyRate(s * np.eye(1)), np.array([0.5, 0.8, 1.3, 1.6]))


def test_a_diagram_is_of_what_was_followed_in_time_and_says_what_was_not():
    clock = Readings()
    whole = follow(growing(), workers=1, seconds=Deadline(1e9, clock))
    assert whole.counts().sum(axis=1).tolist() == [1, 1, 3, 3]
    assert "cut" not in whole.about
    for count in (1, clock.count // 3, 2 * clock.count // 3, clock.count - 1):
        found = follow(growing(), workers=1, seconds=looks(count))
        assert (found.counts().sum(axis=1) <= [1, 1, 3, 3]).all()
        assert found.notes[0] == found.about["cut"]["sentence"]
        assert any(part["done"] < part["of"] for part in found.about["cut"]["reached"])
        told = follow(growing(), workers=1, seconds=looks(count), on_outlook=unwanted)
        assert told.counts().tolist() == found.counts().tolist()  # what is ahead is not measured where time is short


def unwanted(ahead):
    raise AssertionError("time is short")


def test_an_evolution_that_was_cut_is_followed_anew_and_one_without_pictures_is_not(tmp_path):
    learner("flipflop", "esn")(tmp_path, snapshots=400, bits=1, units=10, steps=800)
    with pytest.raises(CutShort, match="0 of 3 searches"):
        evolve.run(Evolve(jobs=1), tmp_path, None, silent, seconds=Deadline(0.0))
    assert results_in(tmp_path / "evolve")["cut"]["goes_on"] is False
    partly = evolve.run(Evolve(jobs=1), tmp_path, None, silent, seconds=looks(20))
    assert partly.cut_told["goes_on"] is False
    assert sentences(partly)[0].startswith(partly.cut_told["sentence"])
    whole = evolve.run(Evolve(jobs=1), tmp_path, None, silent)
    assert not whole.resumed
    assert whole.cut_told is None
    (tmp_path / "evolve" / evolve.FRAMES).unlink()
    bare = evolve.run(Evolve(jobs=1), tmp_path, None, silent, seconds=Deadline(0.0))
    assert bare.resumed
    assert bare.frames is None
    assert bare.cut.sentence in sentences(bare)
    assert results_in(tmp_path / "evolve")["cut"]["sentence"] == bare.cut.sentence


def test_claims_without_time_say_so(tmp_path):
    with pytest.raises(CutShort, match="networks and studies of them"):
        claims(Claims(units=10, seeds=1), tmp_path, silent, seconds=Deadline(0.0))


@pytest.mark.parametrize("verb", ["find", "basins", "evolve", "transfer", "noise", "retrieve", "grid", "demo", "train"])
def test_every_long_command_takes_seconds(verb):
    (option,) = (one for one in command_of(verb).params if one.name == "seconds")
    assert option.opts == ["--seconds"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_whose_time_was_over_says_how_far_it_came_and_has_not_failed(tmp_path, as_json):
    given = ["retrieve", "--models", "irnn", "--units", "3", "--seconds", "1e-9", "-o", str(tmp_path)]
    out = CliRunner().invoke(main, given + ["--json"] * as_json)
    assert out.exit_code == 0, out.output
    told = json.loads(out.stdout)["cut"]["sentence"] if as_json else out.stdout
    assert told.strip().startswith("Cut by time: 0 of 2 trainings were done when the 1e-09 s given were used up")
