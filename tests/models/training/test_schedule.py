"""At which steps of training the weights are kept, and that they are kept then."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.cli import main
from dynsys.io.files import read_tensors
from dynsys.models.loading.snapshot import Snapshot
from dynsys.models.training.learners import learner
from dynsys.models.training.schedule import every_or_at, geometric, read_schedule


def kept(folder):
    return [int(re.findall(r"\d+", path.name)[0]) for path in sorted((folder / "snapshots").iterdir())]


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 1000, 36_000])
def test_any_number_of_different_steps_from_the_first_to_the_last(steps):
    for count in {2, min(3, steps + 1), min(60, steps + 1), min(steps + 1, 500)}:
        found = geometric(count, steps)
        assert len(set(found)) == count
        assert list(found) == sorted(found)
        assert (found[0], found[-1]) == (0, steps)


def test_steps_lie_one_factor_apart_where_they_can():
    found = np.array(geometric(60, 36_000)[1:])
    factors = found[1:] / found[:-1]
    late = factors[found[1:] > 100]
    assert len(late) > 30
    assert late.max() / late.min() < 1.02
    assert np.diff(found)[:5].tolist() == [1] * 5


def test_more_snapshots_than_steps_are_refused():
    with pytest.raises(ValueError, match="log:60 asks for 60 snapshots of a training of 50 steps; it can have 2 to 51"):
        every_or_at("log:60", 50)


@pytest.mark.parametrize("text", ["log", "log:", "log:x", "log:1", "log:-3", "-5", "1.5", "every", "", "log:²"])
def test_nonsense_gets_one_line_that_names_the_forms(text, tmp_path):
    with pytest.raises(ValueError, match="log:"):
        read_schedule(text)
    result = CliRunner().invoke(main, ["train", "flipflop", "esn", "-o", str(tmp_path / "run"), f"--snapshots={text}"])
    assert result.exit_code == 2
    assert "log:" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("steps", [(-1, 3), (0, 21)])
def test_steps_outside_the_training_are_refused(steps, tmp_path):
    with pytest.raises(ValueError, match="the training has steps 0 to 20"):
        learner("flipflop", "esn")(tmp_path, snapshots=steps, steps=20, units=10, bits=1)


def test_an_echo_state_network_keeps_the_steps_asked_for(tmp_path):
    learner("flipflop", "esn")(tmp_path, snapshots="log:12", steps=200, units=20, bits=1)
    assert kept(tmp_path) == list(geometric(12, 200))
    first, _ = read_tensors(tmp_path / "snapshots" / "step_00000000.safetensors", Snapshot.schema)
    assert not first["W_out"].any()
    last, _ = read_tensors(tmp_path / "snapshots" / "step_00000200.safetensors", Snapshot.schema)
    learned, _ = read_tensors(tmp_path / "checkpoint.safetensors", "dynsys.checkpoint/1")
    assert np.array_equal(last["W_out"], learned["W_out"])


def test_snapshots_of_an_earlier_training_do_not_stay_between_the_new_ones(tmp_path):
    learner("flipflop", "esn")(tmp_path, snapshots=50, steps=200, units=20, bits=1)
    assert kept(tmp_path) == [0, 50, 100, 150, 200]
    learner("flipflop", "esn")(tmp_path, snapshots=(0, 70), steps=200, units=20, bits=1)
    assert kept(tmp_path) == [0, 70]


@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_backpropagation_keeps_the_untrained_network_as_step_0_and_its_end(model, tmp_path):
    learner("flipflop", model)(tmp_path, snapshots="log:5", steps=100, units=4, bits=1)
    assert kept(tmp_path) == list(geometric(5, 100))
    untrained = learner("flipflop", model)(tmp_path / "other", snapshots=1, steps=1, units=4, bits=1)
    arrays, header = read_tensors(tmp_path / "snapshots" / "step_00000000.safetensors", Snapshot.schema)
    assert header["step"] == 0
    after_one, _ = read_tensors(tmp_path / "other" / "snapshots" / "step_00000001.safetensors", Snapshot.schema)
    moved = max(float(np.abs(after_one[key] - arrays[key]).max()) for key in arrays)
    assert 0 < moved <= 0.05 / 4**0.5 * 1.01  # one step of Adam moves no weight by more than its rate
    assert untrained.steps == 1


def test_training_that_ends_early_keeps_its_end(tmp_path):
    learned = learner("flipflop", "gru")(tmp_path, snapshots=(0, 3000), steps=3000, units=8, bits=1)
    assert learned.steps < 3000
    assert kept(tmp_path) == [0, learned.steps]
