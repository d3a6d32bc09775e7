"""Which memory is mistaken for which under noise: counted by hand, and as a study and its page tell it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys import plots
from dynsys.analyses.noise.folder import kept_points
from dynsys.analyses.noise.mistakes import level_shown, matrix, mistakes, names, rows, sentences, summed
from dynsys.analyses.noise.networks import networks_of
from dynsys.cli import main
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop, Trial
from dynsys.models.training.by_force.recipes import PRESETS
from dynsys.models.training.run import run_training

UP, DOWN = 1.0, -1.0


def trial():
    """Six steps of two bits: one before the second bit is set, one that has not settled, and four that count."""
    target = np.array([[UP, 0.0], [UP, DOWN], [UP, DOWN], [UP, DOWN], [UP, UP], [DOWN, UP]])
    settled = np.array([True, False, True, True, True, True])
    return Trial(np.zeros((6, 2)), target, settled)


def test_counted_are_settled_steps_with_every_bit_set_and_unclear_outputs_say_no_memory():
    output = np.array([[0.9, 0.0], [0.9, 0.9], [1.1, -0.8], [0.9, 0.7], [0.4, 0.9], [np.nan, 0.9]])
    # 10 right, 10 taken for 11, 11 unclear, 01 not a number
    assert mistakes(trial(), output) == [[1, 4, 1], [2, 2, 1], [2, 3, 1], [3, 4, 1]]
    assert trial().confusion(output, 0.5).sum() == 4
    assert names(2) == ["00", "01", "10", "11", "none"]


def test_trials_that_fail_without_noise_are_not_counted():
    able = {"noiseless": {"settled_bit_accuracy": 1.0}, "mistakes": [[[0, 0, 5]], [[0, 1, 2]]]}
    failing = {"noiseless": {"settled_bit_accuracy": 0.5}, "mistakes": [[[0, 3, 7]], [[0, 3, 7]]]}
    assert summed([able, failing, able], 1) == [[[0, 0, 10]], [[0, 1, 4]]]
    assert summed([able, {"noiseless": {}}], 1) is None  # of an earlier version
    np.testing.assert_array_equal(matrix([[0, 1, 4], [1, 2, 3]], 1), [[0, 4, 0], [0, 0, 3]])


def study(*levels):
    network = {"name": "one", "outputs": 2, "mistakes": [[[0, 0, 10]], *levels]}
    return {"settings": {"levels": [0.1, 0.2]}, "networks": [network]}


def test_the_words_tell_how_much_is_wrong_and_by_how_many_bits():
    """At 0.2 of 20 steps 5 go to one bit away, 5 to two bits away, and 2 to no memory."""
    told = study([[0, 0, 19], [0, 1, 1]], [[0, 0, 8], [0, 1, 5], [0, 3, 5], [0, 4, 2]])
    assert level_shown(told) == 1
    (said,) = sentences(told)
    assert said == (
        "one: at a level of 0.2 another memory is given at 50.0% of the settled steps, 50% of them in one bit, and "
        "none at 10.0%."
    )
    listed = [(row["right memory"], row["given"], row["bits that differ"], row["of its steps"]) for row in rows(told)]
    assert listed == [("00", "01", 1, "25.0%"), ("00", "11", 2, "25.0%"), ("00", "none", None, "10.0%")]
    assert sentences(study([[0, 0, 9]], [[0, 0, 9]]))[0].endswith("no memory is mistaken for another.")


def test_the_picture_has_a_matrix_for_each_level_of_which_one_is_seen():
    counts = [matrix([[0, 0, 3], [1, 0, 1], [1, 1, 3]], 1), matrix([[0, 2, 4], [1, 1, 4]], 1)]
    figure = plots.memory_mistakes({"a": counts, "b": counts[::-1]}, names(1), [0.0, 0.5], shown=1)
    assert [one.visible for one in figure.data] == [False, False, True, True]
    np.testing.assert_allclose(figure.data[0].z, [[1, 0, 0], [0.25, 0.75, 0]])
    np.testing.assert_allclose(figure.data[2].z, [[0, 0, 1], [0, 1, 0]])
    (slider,) = figure.layout.sliders
    assert slider.active == 1
    assert list(slider.steps[0].args[0]["visible"]) == [True, True, False, False]
    with pytest.raises(ValueError, match="shape"):
        plots.memory_mistakes({"a": counts[:1]}, names(1), [0.0, 0.5])


def test_a_study_counts_them_and_its_page_shows_them(tmp_path):
    run_training(PRESETS["default"](bits=2, units=80), tmp_path / "net")
    arguments = ["noise", tmp_path / "net", "-o", tmp_path / "noise", "--levels", "1e-3,0.5", "--trials", 2]
    result = CliRunner().invoke(main, [*map(str, arguments), "--steps", "600", "--no-points"])
    assert result.exit_code == 0, result.output
    (network,) = json.loads((tmp_path / "noise" / "results.json").read_text())["networks"]
    totals = {sum(count for _, _, count in level) for level in network["mistakes"]}
    assert len(totals) == 1  # every level has the same settled steps
    wrong = [sum(count for i, j, count in level if i != j) for level in network["mistakes"]]
    right = network["measures"]["settled_bit_accuracy"]["mean"]
    assert wrong[0] == 0
    assert right[0] == network["noiseless"]["settled_bit_accuracy"] == 1.0
    assert wrong[2] > 0
    assert right[1] < 1.0
    page = (tmp_path / "noise" / "report.html").read_text()
    assert "Which memory is mistaken for which" in page


def test_points_that_were_counted_by_tolerance_are_not_followed(tmp_path):
    """Some of them may be none; a whole search leaves points that are."""
    network = EchoStateNetwork.random(EchoStateConfig(12, 1, 1, gain=0.5, seed=0), FlipFlop(1))
    save_checkpoint(tmp_path / "net" / "checkpoint.safetensors", network)
    (known,) = networks_of([tmp_path / "net"])
    for option, taken in (["--tol-q", "1e-3"], False), (["--no-verify"], True):
        result = CliRunner().invoke(main, ["find", str(tmp_path / "net"), "-o", str(tmp_path / "net"), *option])
        assert result.exit_code == 0, result.output
        assert (kept_points(known, "all", tmp_path / "study") is not None) == taken
