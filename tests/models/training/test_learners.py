"""What can learn which task: every network of the register, its choices, and mistakes at the command line."""

import json

import pytest
import torch
from click.testing import CliRunner

import dynsys
from dynsys.cli import main
from dynsys.models.networks.recurrent import CELLS
from dynsys.models.training.learners import LEARNERS, learner

TINY = {
    "flipflop": {"units": 3, "bits": 1},
    "retrieval": {"units": 3, "batch": 4},
    "many-to-one": {"units": 3, "patterns": 3, "length": 7, "batch": 4},
    "one-to-many": {"units": 3, "patterns": 3, "length": 7, "batch": 4},
    "sine": {"units": 3, "batch": 4, "options": {"waves": "3", "slowest": "0.5", "fastest": "1", "steps": "9"}},
    "moving-average": {"units": 3, "batch": 4, "options": {"steps": "70"}},
    "match-to-sample": {"units": 3, "batch": 4, "options": {"shown": "1", "shortest": "1", "longest": "3"}},
    "ready-set-go": {"units": 3, "batch": 4, "options": {"shortest": "3", "longest": "5"}},
    "integration": {"units": 3, "batch": 4, "options": {"stimulus": "5", "response": "2"}},
}


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    if code == 1:
        assert len([line for line in result.stderr.splitlines() if not line.endswith("%")]) == 1
    return result


def test_all_tasks_are_learned_by_every_cell():
    assert set(LEARNERS["many-to-one"]) == set(LEARNERS["one-to-many"]) == set(CELLS)
    assert set(LEARNERS["flipflop"]) == {"esn", *CELLS}
    assert set(LEARNERS["sine"]) == {"esn", "leaky", "leaky-rate", *CELLS}
    assert set(LEARNERS["retrieval"]) == {"fast-weights", *CELLS}


@pytest.mark.parametrize(("task", "model"), [(t, m) for t, models in LEARNERS.items() for m in models if m != "esn"])
def test_every_network_trains_and_comes_back_as_the_same_system(task, model, tmp_path):
    learned = learner(task, model)(tmp_path, steps=2, **TINY[task])
    loaded = dynsys.load(tmp_path)
    assert type(loaded) is type(learned.network)
    assert loaded.task == learned.network.task
    n, m = loaded.n_state, loaded.n_input
    x, u = torch.rand(5, n, dtype=torch.float64), torch.rand(5, m, dtype=torch.float64)
    assert torch.equal(loaded.velocity(x, u), learned.network.velocity(x, u))


@pytest.mark.parametrize(("task", "model"), [("flipflop", "gru"), ("retrieval", "lstm"), ("retrieval", "fast-weights")])
def test_the_seed_decides(task, model, tmp_path):
    one, same, other = (
        learner(task, model)(tmp_path / str(i), steps=2, seed=seed, **TINY[task]).network.arrays()
        for i, seed in enumerate((4, 4, 5))
    )
    assert all((one[key] == same[key]).all() for key in one)
    assert any((one[key] != other[key]).any() for key in one)


def test_the_gain_is_the_size_of_the_recurrent_weights(tmp_path):
    """N(0, g^2 / n) has the standard deviation g / sqrt(n), of 400 x 400 draws known to 0.2 %."""
    for gain in (0.5, 1.4):
        network = learner("flipflop", "esn")(tmp_path / str(gain), bits=1, units=400, gain=gain, steps=100).network
        assert float(network.W_r.std()) * 20 == pytest.approx(gain, rel=0.01)


def test_what_there_is_not_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"no task 'copy'.*flipflop, retrieval"):
        learner("copy", "gru")
    with pytest.raises(ValueError, match=r"retrieval is learned by fast-weights.*not by 'esn'"):
        learner("retrieval", "esn")
    with pytest.raises(ValueError, match=r"eta is no choice of this network.*units, steps"):
        learner("retrieval", "lstm")("x", rate=0.1)
    with pytest.raises(ValueError, match="identity is no choice"):
        learner("retrieval", "gru")("x", identity=0.5)


MISTAKES = {
    "lambda of an LSTM": (["train", "retrieval", "lstm", "--lambda", "0.9"], 1, ["lambda is no choice"]),
    "bits of strings": (["train", "retrieval", "gru", "--bits", "2"], 1, ["bits is no choice", "units"]),
    "lambda of one": (["train", "retrieval", "fast-weights", "--lambda", "1"], 2, ["lambda"]),
    "a task that there is not": (["train", "copy", "gru"], 2, ["'copy'", "flipflop"]),
    "a rate that diverges": (
        ["train", "retrieval", "irnn", "--units", "3", "--batch", "4", "--steps", "100", "--learning-rate", "1e30"],
        1,
        ["diverged", "learning rate (1e+30)", "clipped (5)"],
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_training_get_one_line(case, tmp_path):
    arguments, code, says = MISTAKES[case]
    result = run(*arguments, "-o", tmp_path / "x", code=code)
    assert all(part in result.stderr for part in says), result.stderr


def test_another_kind_of_checkpoint_handed_to_a_command_gets_one_line(tmp_path):
    run("train", "retrieval", "lstm", "-o", tmp_path / "lstm", "--units", 3, "--batch", 4, "--steps", 100)
    start = ["--start", tmp_path / "lstm", "--units", 3]
    assert "lstm" in run("train", "retrieval", "fast-weights", "-o", tmp_path / "x", *start, code=1).stderr
    curves = tmp_path / "lstm" / "training.safetensors"
    for command in (["info", curves], ["find", curves, "-o", tmp_path / "y"]):
        assert str(curves) in run(*command, code=1).stderr
    run("train", "flipflop", "gru", "-o", tmp_path / "gru", "--units", 3, "--steps", 100)
    asked = ["portrait", tmp_path / "gru", "--picture", "confusion", "-o", tmp_path / "x.html"]
    assert "lacks confusion" in run(*asked, code=1).stderr


@pytest.mark.parametrize(("task", "model", "metric"), [("flipflop", "rnn", "mse"), ("retrieval", "gru", "test_error")])
def test_train_prints_what_was_reached_and_draws_its_training(task, model, metric, tmp_path):
    size = ["--units", 3, "--steps", 100, *([] if task == "flipflop" else ["--batch", 4])]
    printed = json.loads(run("train", task, model, "-o", tmp_path, *size, "--json").stdout)
    assert (printed["task"], printed["model"], printed["learned"]) == (task, model, False)
    assert metric in printed["metrics"]
    said = run("portrait", tmp_path, "--picture", "training", "-o", tmp_path / "t.html").stdout
    assert {"flipflop": "mean absolute error", "retrieval": "1 training"}[task] in said
    page = (tmp_path / "t.html").read_text()
    assert "validation error" in page


def test_a_wrong_answers_picture_of_a_retrieval_run(tmp_path):
    run("train", "retrieval", "irnn", "-o", tmp_path, "--units", 3, "--batch", 4, "--steps", 100)
    said = run("portrait", tmp_path, "--picture", "confusion", "-o", tmp_path / "c.html").stdout
    assert "20,000 strings" in said
    chosen = ["--points", "0", "-o", tmp_path / "c.html"]
    assert "--points makes no difference" in run("portrait", tmp_path, "--picture", "confusion", *chosen, code=1).stderr
