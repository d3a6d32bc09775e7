"""A course on disk: what it leaves, how it goes on, and what is left when it diverges."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import dynsys
from dynsys import plots
from dynsys.io.errors import CheckpointError, OutputError
from dynsys.io.files import read_tensors
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.loading.snapshot import Snapshot
from dynsys.models.training.backprop import STATE, Progress, TrainingDiverged
from dynsys.models.training.flipflop import flipflop_course
from dynsys.models.training.learning import learning_curves
from dynsys.models.training.retrieval import Recipe, retrieval_course
from dynsys.models.training.run import CURVE_POINTS, SNAPSHOTS, read_curves


def flipflop(steps=30, cell="gru", **changes):
    course = flipflop_course(cell, units=4, bits=2, steps=steps, seed=3)
    lesson = dataclasses.replace(course.lesson, batch=4, steps=16, test_batch=4, test_steps=60)
    return dataclasses.replace(
        course, lesson=lesson, settings=dataclasses.replace(course.settings, validate_every=10, **changes)
    )


def retrieval(model="irnn", steps=30, **choices):
    course = retrieval_course(model, units=5, recipe=Recipe(steps, 16), seed=3, **choices)
    return dataclasses.replace(course, settings=dataclasses.replace(course.settings, validate_every=10))


COURSES = {"flipflop": flipflop, "irnn": retrieval, "fast-weights": lambda **k: retrieval("fast-weights", **k)}


def about(folder):
    return read_tensors(folder / FILE_NAME, "dynsys.checkpoint/1")[1]["about"]


def same_arrays(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", COURSES)
def test_an_interrupted_course_goes_on_to_the_same_bits(name, tmp_path):
    def interrupt(done, total):
        if done == 17:
            raise KeyboardInterrupt

    whole = COURSES[name]().run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        COURSES[name]().run(tmp_path / "halved", on_progress=interrupt)
    assert [path.name for path in (tmp_path / "halved").iterdir()] == [STATE]
    seen = []
    again = COURSES[name]().run(tmp_path / "halved", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (11, 30)
    assert same_arrays(again.network.arrays(), whole.network.arrays())
    assert again.metrics == whole.metrics
    assert same_arrays(read_curves(tmp_path / "halved"), read_curves(tmp_path / "whole"))
    assert not (tmp_path / "halved" / STATE).exists()


@pytest.mark.parametrize("name", COURSES)
def test_the_checkpoint_is_the_network_and_tells_how_it_was_trained(name, tmp_path):
    learned = COURSES[name]().run(tmp_path)
    loaded = dynsys.load(tmp_path)
    assert same_arrays(loaded.arrays(), learned.network.arrays())
    noted = about(tmp_path)
    assert noted["metrics"] == learned.metrics
    assert noted["learned"] == learned.learned
    assert noted["recipe"]["model"] == {"flipflop": "gru"}.get(name, name)
    assert json.dumps(noted["recipe"])  # no value that a header cannot hold


def test_snapshots_hold_the_weights_as_they_were(tmp_path):
    states = []
    course = flipflop()
    course.run(tmp_path, snapshots=15, on_progress=lambda done, total: states.append(course.system().arrays()))
    files = sorted((tmp_path / SNAPSHOTS).iterdir())
    assert [path.name for path in files] == ["step_00000015.safetensors", "step_00000030.safetensors"]
    for path, step in zip(files, (15, 30), strict=True):
        arrays, header = read_tensors(path, Snapshot.schema)
        assert header["step"] == step
        assert same_arrays(arrays, states[step - 1])


def diverging():
    """The learning rate leaps after the second validation, so far that single precision ends."""
    course = flipflop(cell="irnn")

    class Leaping(type(course.settings)):
        def rate(self, step):
            return 1e30 if step >= 22 else super().rate(step)

    settings = Leaping(**dataclasses.asdict(course.settings))
    return dataclasses.replace(course, settings=settings)


def test_a_course_that_diverges_leaves_the_best_network_before(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"learning rate.*clipped.*weights of step (10|20) are kept") as told:
        diverging().run(tmp_path)
    until = flipflop(cell="irnn")
    kept = []
    until.run(tmp_path / "usual", on_progress=lambda done, total: kept.append(until.system().arrays()))
    assert same_arrays(dynsys.load(tmp_path).arrays(), kept[told.value.kept - 1])
    assert set(about(tmp_path)["metrics"]) == {"mse", "mse_after_pulses", "settled_mse", "settled_bit_accuracy"}


def test_a_folder_that_holds_the_state_of_another_course_is_refused(tmp_path):
    def interrupt(done, total):
        if done == 10:
            raise KeyboardInterrupt

    # the state is written before progress is told
    with pytest.raises(KeyboardInterrupt):
        retrieval().run(tmp_path, on_progress=interrupt)
    with pytest.raises(CheckpointError, match=r"another.*identity"):
        retrieval(identity=0.5).run(tmp_path)
    with pytest.raises(CheckpointError, match=r"another.*practice"):
        flipflop().run(tmp_path)


def test_a_folder_that_cannot_be_made_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        flipflop().run(tmp_path / "file" / "run", on_progress=lambda done, total: pytest.fail("it trained"))


def test_curves_are_means_over_stretches_that_cover_the_training():
    losses = np.random.default_rng(0).normal(size=1700).tolist()
    progress = Progress(torch.nn.Identity(), losses=losses, validated=[(800, 0.5), (1700, 0.25)])
    curves = learning_curves(progress)
    assert len(curves["step"]) == len(curves["loss"]) == CURVE_POINTS
    assert curves["step"][-1] == 1700
    starts = np.concatenate([[0], curves["step"][:-1]])
    expected = [np.mean(losses[a:b]) for a, b in zip(starts, curves["step"], strict=True)]
    np.testing.assert_allclose(curves["loss"], expected, rtol=1e-12)
    assert curves["validated_step"].tolist() == [800, 1700]
    assert curves["validation_error"].tolist() == [0.5, 0.25]


def test_training_leaves_threads_and_gradients_as_they_were(tmp_path):
    before = torch.get_num_threads(), torch.is_grad_enabled()
    flipflop().run(tmp_path)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_the_curves_of_backpropagation_are_drawn_below_the_test(tmp_path):
    flipflop().run(tmp_path)
    record = read_curves(tmp_path)
    traces = {one.name: one for one in plots.training_curves(record).data}
    np.testing.assert_allclose(traces["loss"].y, record["loss"], rtol=1e-6)
    np.testing.assert_array_equal(traces["loss"].x, record["step"])
    np.testing.assert_allclose(traces["validation error"].y, record["validation_error"], rtol=1e-6)
    np.testing.assert_array_equal(traces["validation error"].x, record["validated_step"])
    with pytest.raises(ValueError, match="lacks validated_step"):
        plots.training_curves({key: value for key, value in record.items() if key != "validated_step"})
