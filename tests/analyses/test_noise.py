"""The study of noise: what it measures on networks whose answer is known, what it refuses, what it writes."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import dynsys
from dynsys.analyses.noise.failures import of_bits
from dynsys.analyses.noise.networks import networks_of
from dynsys.analyses.noise.results import added, band, ratio
from dynsys.analyses.noise.study import NoiseStudy, run
from dynsys.cli import main
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.recipes import default_recipe
from dynsys.models.training.run import run_training
from dynsys.plots import drift_prediction, noise_curves


def command(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run_training(default_recipe(bits=2, units=120), folder / "tanh")
    return folder / "tanh"


@pytest.fixture(scope="module")
def studied(trained, tmp_path_factory):
    """The same network twice, noise that is nothing, some, and far too much."""
    study = NoiseStudy(levels=(1e-6, 0.03, 3.0), trials=3, steps=1500, points="none")
    folder = tmp_path_factory.mktemp("noise")
    return run(study, [("one", trained), ("two", trained)], folder, command="dynsys noise"), folder


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Two pairs of units that hold a bit each, and their nine points."""
    network = LeakyRate(2 * np.eye(2), W_out=np.eye(2))
    study = NoiseStudy(levels=(1e-6, 1e-5, 1.0, 8.0), trials=6, steps=20, points="all")
    folder = tmp_path_factory.mktemp("points")
    return run(study, [("bistable", network), ("again", network)], folder), folder


def esn(bits=2, units=30, **settings):
    config = EchoStateConfig(units=units, n_input=bits, n_output=bits)
    return EchoStateNetwork.random(config, FlipFlop(bits, **settings))


def test_hardly_any_noise_changes_nothing_and_too_much_leaves_chance(studied):
    network = studied[0]["networks"][0]
    accuracy, error = (network["measures"][name] for name in ("settled_bit_accuracy", "mse"))
    assert accuracy["mean"][0] == network["noiseless"]["settled_bit_accuracy"] > 0.95
    assert error["mean"][0] == pytest.approx(network["noiseless"]["mse"], rel=1e-3)
    assert abs(accuracy["mean"][2] - 0.5) < 0.25
    assert error["mean"][2] > 10 * error["mean"][0]


def test_every_network_meets_the_same_noise(studied):
    one, two = studied[0]["networks"]
    assert one["measures"] == two["measures"]
    told = studied[0]["comparisons"][0]["log10_added_mse_ratio"]
    assert told["mean"][1:] == told["low"][1:] == told["high"][1:] == [0.0, 0.0]


def test_hardly_any_noise_leaves_every_point_and_moves_memories_as_foreseen(followed):
    one, two = (network["survival"] for network in followed[0]["networks"])
    assert one == two
    assert one["of"] == {"exist": 9, "same_stability": 9, "memories": 4}
    for name in ("exist", "same_stability", "memories"):
        assert one["shares"][name]["mean"][:2] == [1.0, 1.0]
    drift, predicted = (np.array(one[key])[:, :2].astype(float) for key in ("drift", "predicted"))
    np.testing.assert_allclose(drift, predicted, rtol=1e-3)
    np.testing.assert_allclose(drift[:, 1], 10 * drift[:, 0], rtol=1e-3)


def test_memories_alone_are_found_by_coming_to_rest(followed, tmp_path):
    """With the same fate as among all points."""
    network = LeakyRate(2 * np.eye(2), W_out=np.eye(2))
    study = NoiseStudy(levels=(1e-6, 1e-5, 1.0, 8.0), trials=6, steps=20)
    (found,) = (entry["survival"] for entry in run(study, [("bistable", network)], tmp_path)["networks"])
    among_all = followed[0]["networks"][0]["survival"]
    assert found["of"] == {"exist": 4, "same_stability": 4, "memories": 4}
    assert found["shares"]["memories"] == among_all["shares"]["memories"]
    assert found["loss"] == among_all["loss"]


def test_far_too_much_noise_leaves_no_four_memories(followed):
    survival = followed[0]["networks"][0]["survival"]
    assert survival["shares"]["memories"]["mean"][3] < 1
    assert all(low < high for low, high in survival["first_loss"] if high is not None)


def test_half_of_the_trials_fail_where_the_fifth_of_ten_does():
    levels = (0.1, 0.2, 0.4, 0.8)
    rights = [[1.0, 0.95, 0.5, 0.5]] * 5 + [[1.0, 1.0, 0.95, 0.6]] * 4 + [[1.0] * 4]
    told = of_bits(rights, levels)
    assert told["half"]["between"] == [0.2, 0.4]
    assert told["lost"]["share"] == [0.0, 0.0, 0.5, 0.9]
    assert of_bits([[0.5, 0.5]], (1.0, 2.0))["half"]["between"] == [0.0, 1.0]
    assert of_bits([[1.0, 1.0]], (1.0, 2.0))["half"]["between"] == [2.0, None]
    assert of_bits([[None, 1.0]], (1.0, 2.0)) is None


def test_pictures_of_what_survives_are_in_the_report(followed):
    page = (followed[1] / "report.html").read_text()
    assert "Which fixed points survive" in page
    assert "How far memories drift" in page


def test_the_page_and_the_numbers_are_written(studied):
    results, folder = studied
    written = json.loads((folder / "results.json").read_text())
    assert written["schema"] == "dynsys.noise/1"
    assert written["networks"] == json.loads(json.dumps(results["networks"]))
    page = (folder / "report.html").read_text()
    assert "Error under noise" in page
    assert 'src="http' not in page


def test_a_study_goes_on_where_it_ended_and_further_trials_do_not_change_the_first(trained, tmp_path):
    study = {"levels": (0.01, 0.1), "steps": 300, "points": "none"}
    run(NoiseStudy(trials=1, **study), [trained], tmp_path / "a")
    first = (tmp_path / "a" / "rows.jsonl").read_text()
    more = run(NoiseStudy(trials=2, **study), [trained], tmp_path / "a")
    assert (tmp_path / "a" / "rows.jsonl").read_text().startswith(first)
    at_once = run(NoiseStudy(trials=2, **study), [trained], tmp_path / "b")
    assert more["networks"] == at_once["networks"]


def test_shards_together_are_the_whole(trained, tmp_path):
    study = NoiseStudy(levels=(0.01, 0.1), trials=3, steps=200, points="none")
    for shard in ("1/2", "2/2"):
        run(study, [trained], tmp_path / "a", shard=shard)
    assert not (tmp_path / "a" / "report.html").exists()
    command("merge", tmp_path / "a")
    merged, whole = (run(study, [trained], tmp_path / name) for name in ("a", "b"))
    assert merged["networks"] == whole["networks"]


@pytest.mark.parametrize("on", ["state", "input"])
def test_noise_on_state_and_input_leaves_small_errors_small(trained, tmp_path, on):
    study = NoiseStudy(on=on, levels=(1e-5, 30.0), trials=2, steps=600)
    (network,) = run(study, [trained], tmp_path)["networks"]
    assert network["survival"] is None
    assert network["measures"]["mse"]["mean"][0] == pytest.approx(network["noiseless"]["mse"], rel=1e-2)
    assert network["measures"]["settled_bit_accuracy"]["mean"][1] < 0.9


def test_a_module_without_a_task_is_compared_with_itself(tmp_path):
    torch.manual_seed(0)
    gru = nn.GRU(2, 6)
    study = NoiseStudy(levels=(1e-5, 1.0), trials=2, steps=300, points="none")
    (network,) = run(study, [gru], tmp_path)["networks"]
    assert network["compared_with"] == "its own run without noise"
    assert network["noiseless"] == {"mse": 0.0}
    assert 0 < network["measures"]["mse"]["mean"][0] < 1e-6 < network["measures"]["mse"]["mean"][1]
    assert network["weights"] == ["weight_hh_l0"]


def test_the_error_of_a_linear_network_is_the_square_of_the_noise_on_its_input(tmp_path):
    system = dynsys.Map(lambda x, u: u, n_state=3, n_input=3)
    study = NoiseStudy(on="input", levels=(0.1, 0.2), trials=4, steps=4000)
    (network,) = run(study, [("copy", system)], tmp_path)["networks"]
    np.testing.assert_allclose(network["measures"]["mse"]["mean"], [0.01, 0.04], rtol=0.03)


def test_a_run_that_leaves_the_finite_numbers_is_told_as_none_and_the_page_is_still_drawn(tmp_path):
    system = dynsys.Map(lambda x, u: x * x + 0.1, n_state=1)
    study = NoiseStudy(on="state", levels=(1e-3, 10.0), trials=2, steps=200)
    (network,) = run(study, [("square", system)], tmp_path)["networks"]
    assert network["measures"]["mse"]["mean"][1] is None
    assert network["measures"]["mse"]["trials"] == [2, 0]
    assert "null" in (tmp_path / "results.json").read_text()


def test_bands_cover_the_mean_of_a_known_distribution():
    rng = np.random.default_rng(0)
    covered = 0
    for k in range(100):
        told = band(rng.standard_normal((20, 1)) + 3, seed=k)
        covered += told["low"][0] <= 3 <= told["high"][0]
    assert 86 <= covered <= 99  # the percentile bootstrap of 20 values covers some 93 %


def test_bands_leave_out_what_is_none():
    told = band([[1.0, None], [3.0, None], [2.0, 5.0]])
    assert told["mean"] == [2.0, 5.0]
    assert told["trials"] == [3, 1]
    assert told["low"][1] is None
    assert ratio([[1.0]], [[100.0]])["mean"] == [-2.0]


def test_what_noise_adds_is_the_error_beyond_the_networks_own():
    """Two networks of floors 1 and 10 to which the same noise adds the same: neither suffers more."""
    ours, theirs = ([[floor + 1e-9, floor + 2.0, None]] * 3 for floor in (1.0, 10.0))
    told = ratio(added(ours, [1.0] * 3), added(theirs, [10.0] * 3))
    assert told["mean"] == [None, pytest.approx(0.0, abs=1e-12), None]


def test_a_level_at_which_one_trial_gains_by_noise_is_compared_in_none():
    assert added([[1.5], [0.5]], [1.0, 1.0]) == [[None], [None]]
    assert added([[1.5], [None]], [1.0, 1.0]) == [[0.5], [None]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"levels": ()}, "levels are none"),
        ({"levels": (0.1, 0.1)}, "positive and rising"),
        ({"levels": (0.0, 0.1)}, "positive and rising"),
        ({"levels": (0.1, float("inf"))}, "positive and rising"),
        ({"levels": (float("nan"),)}, "positive and rising"),
        ({"levels": (0.1, 1e101)}, "at most 1e.100"),
        ({"levels": 0.1}, "give a sequence"),
        ({"levels": "12"}, "give a sequence"),
        ({"trials": 2.5}, "trials is 2.5; it has to be a whole number"),
        ({"seed": -1}, "0 or more"),
        ({"trials": 0}, "1 or more"),
        ({"steps": 0}, "1 or more"),
        ({"on": "readout"}, "weights, state, input"),
        ({"on": "state", "weights": ("W_r",)}, "the noise is on the state"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        NoiseStudy(**wrong)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (esn(bits=3), "networks of one task"),
        (esn(pulse=10), "networks of one task"),
        (esn(units=40), "equal sizes"),
        (dynsys.wrap(nn.RNN(2, 30)), "a task that is not known"),
    ],
)
def test_networks_of_different_task_or_size_are_not_compared(other, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        run(NoiseStudy(trials=1), [esn(), other], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_noise_on_inputs_needs_inputs(tmp_path):
    with pytest.raises(ValueError, match="has no inputs"):
        run(NoiseStudy(on="input"), ["bistable"], tmp_path)


def test_a_file_of_another_tool_is_read_with_the_choices_made_for_it(tmp_path):
    np.savez(tmp_path / "net.npz", A=2 * np.eye(3))
    options = ["--levels", "1e-3,1e-2", "--trials", 1, "--steps", 50, "--points", "memories", "--json"]
    named = ["--matrix", "recurrent=A", "--form", "rate"]
    found = json.loads(command("noise", tmp_path / "net.npz", "-o", tmp_path / "out", *named, *options).stdout)
    (network,) = found["networks"]
    assert not found["failed"]
    assert network["survival"]["of"]["memories"] == 8


def test_one_name_of_weights_need_not_be_in_a_sequence():
    assert NoiseStudy(weights="W_r") == NoiseStudy(weights=["W_r"])


def test_a_module_whose_sizes_are_not_known_is_to_be_wrapped(tmp_path):
    with pytest.raises(ValueError, match=r"pass dynsys.wrap\(module, n_state="):
        run(NoiseStudy(trials=1), [nn.Sequential(nn.Linear(3, 3))], tmp_path)


def test_an_error_of_zero_is_zero_and_every_level_is_in_a_table(tmp_path):
    np.savez(tmp_path / "net.npz", A=0.5 * np.eye(3), B=np.eye(3))
    named = ["--matrix", "recurrent=A", "--matrix", "input=B", "--form", "rnn"]
    options = ["--on", "state", "--levels", "1e-200,0.1", "--trials", 2, "--steps", 50]
    printed = command("noise", tmp_path / "net.npz", "-o", tmp_path / "out", *named, *options).stdout
    assert "at the lowest level is 0." in printed
    assert "fail at these levels" not in printed
    assert next(line.split()[1:3] for line in printed.splitlines() if line.startswith("net ")) == ["1e-200", "0"]


def test_different_models_without_a_readout_are_said_to_have_other_scales(tmp_path):
    torch.manual_seed(0)
    study = NoiseStudy(on="state", levels=(0.1,), trials=1, steps=20)
    run(study, [nn.RNN(2, 6), nn.GRU(2, 6)], tmp_path)
    assert "heights do not compare" in (tmp_path / "report.html").read_text()


def test_too_few_steps_for_a_bit_are_said_so(trained, tmp_path):
    options = ["--levels", "0.1", "--trials", 1, "--steps", 1, "--no-points"]
    assert "no bit could be judged in runs of 1 step," in command("noise", trained, "-o", tmp_path, *options).stdout


def test_weights_of_different_shape_cannot_get_the_same_noise(tmp_path):
    with pytest.raises(ValueError, match="equal shapes"):
        run(NoiseStudy(trials=1), [nn.RNN(2, 6), nn.GRU(2, 6)], tmp_path)


def test_networks_have_names_of_their_own(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name / "checkpoint.safetensors", esn())
    save_checkpoint(tmp_path / "c" / "a.safetensors", esn())
    given = [tmp_path / "a", tmp_path / "b" / "checkpoint.safetensors", tmp_path / "c" / "a.safetensors", nn.RNN(2, 3)]
    assert [network.name for network in networks_of(given)] == ["a-1", "b", "a-2", "RNN"]


def test_the_command_prints_a_table_and_goes_on(trained, tmp_path):
    options = ["-o", tmp_path, "--levels", "0.001:0.1:3", "--trials", 2, "--steps", 200]
    printed = command("noise", trained, *options, "--no-points").stdout
    assert "half < 90% of bits" in printed
    assert "report.html" in printed
    found = json.loads(command("noise", trained, *options, "--no-points", "--json").stdout)
    np.testing.assert_allclose(found["settings"]["levels"], [0.001, 0.01, 0.1])


def test_a_shard_says_what_comes_next_and_networks_without_a_trial_are_told(trained, tmp_path):
    options = ["-o", tmp_path, "--levels", "0.01,0.1", "--trials", 1, "--steps", 100, "--no-points"]
    printed = command("noise", trained, trained, *options, "--shard", "2/2").stdout
    assert "tanh-1: no trial was done" in printed
    assert "dynsys merge" in printed


def test_where_every_trial_fails_the_reason_is_told(tmp_path):
    def small_batches_only(x, u):
        if len(x) > 10:
            raise FloatingPointError("as it was meant to")
        return x / 2

    system = dynsys.Map(small_batches_only, n_state=2)
    with pytest.raises(ValueError, match="as it was meant to"):
        run(NoiseStudy(on="state", trials=2), [("map", system)], tmp_path)


@pytest.mark.parametrize("levels", ["0:1:5", "1:0.1:5", "0.1:1:1", "0.1:1", "a,b", "1e-4:inf:3", "-1:1:3"])
def test_levels_that_are_no_levels_are_a_usage_error(trained, tmp_path, levels):
    assert "1e-4:1:20" in command("noise", trained, "-o", tmp_path, "--levels", levels, code=2).stderr


def test_mistakes_are_one_line(trained, tmp_path):
    save_checkpoint(tmp_path / "other.safetensors", esn(bits=3))
    for arguments, said in {
        (trained, tmp_path / "other.safetensors"): "networks of one task",
        (trained, "--weights", "W_x"): "it has W_r, W_fb, W_out, B",
        (tmp_path / "nothing.pt",): "there is no such file",
        (trained, "--levels", "0.2,0.1"): "positive and rising",
    }.items():
        text = command("noise", *arguments, "-o", tmp_path / "out", code=1).stderr
        assert said in text
        assert len(text.strip().splitlines()) == 1


def test_pictures_have_a_curve_for_every_network_and_leave_out_what_is_not_known():
    network = {"mean": [1.0, None], "low": [0.5, None], "high": [2.0, None], "values": [[1.0, None]], "floor": 0.1}
    figure = noise_curves([{"name": "a", **network}, {"name": "b", **network}], [0.1, 1.0], ylabel="y", xlabel="x")
    named = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert named == ["a", "b"]
    curve = next(trace for trace in figure.data if trace.name == "a")
    assert list(curve.x) == [0.1, 1.0]
    assert list(curve.y) == [1.0, None]
    with pytest.raises(ValueError, match="no network"):
        noise_curves([], [0.1], ylabel="y", xlabel="x")


def test_drift_is_drawn_against_its_prediction_where_both_are_known():
    figure = drift_prediction([{"name": "a", "predicted": [1.0, 2.0, None, 0.0], "drift": [1.5, None, 3.0, 1.0]}])
    markers, diagonal = figure.data
    assert (list(markers.x), list(markers.y)) == ([1.0], [1.5])
    assert list(diagonal.x) == list(diagonal.y) == [1.0, 1.5]
