"""What fails without noise is not laid to noise, and each memory is named with the level at which it ends."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.optimize import brentq

from dynsys.analyses.noise.failures import placed
from dynsys.analyses.noise.networks import networks_of
from dynsys.analyses.noise.pictures import write
from dynsys.analyses.noise.results import results_of
from dynsys.analyses.noise.study import NoiseStudy, run
from dynsys.analyses.noise.tables import by_memory, failing, summary
from dynsys.analyses.noise.trial import NOISE
from dynsys.cli import main
from dynsys.models.driven.perturbation import draw_noise
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.plots import noise_curves
from dynsys.result.fixed_points import FixedPoints
from dynsys.sweep import SweepError

LEVELS = (0.1, 0.2)
SETTINGS = {"on": "state", "weights": (), "levels": LEVELS, "trials": 3, "steps": 10, "points": "none"}


def row(name, number, *, floor, adds, right):
    """A trial whose error is ``floor`` without noise, and to which the levels add ``adds`` and 2 ``adds``."""
    measures = {"mse": [floor + adds, floor + 2 * adds], "settled_bit_accuracy": [right, 0.5]}
    noiseless = {"mse": floor, "settled_bit_accuracy": right}
    result = {"measures": measures, "noiseless": noiseless, "survival": None}
    return {"id": f"{name}/trial={number}", "status": "done", "result": result}


def results(failing_of_second):
    """Two networks: noise adds ten times as much to the error of the second, which fails those trials by itself."""
    system = EchoStateNetwork.random(EchoStateConfig(units=5, n_input=2, n_output=2), FlipFlop(2))
    rows = [row("first", k, floor=1.0, adds=1.0, right=1.0) for k in range(3)]
    for k in range(3):
        failed = k in failing_of_second
        rows.append(
            row("second", k, floor=50.0 if failed else 2.0, adds=-7.0 if failed else 10.0, right=0.6 if failed else 1.0)
        )
    return results_of(SETTINGS, networks_of([("first", system), ("second", system)]), rows)


def test_trials_that_fail_without_noise_are_not_compared():
    (compared,) = results({0})["comparisons"]
    assert compared["trials"] == [1, 2]
    assert compared["log10_added_mse_ratio"]["mean"] == pytest.approx([1.0, 1.0])
    assert compared["log10_added_mse_ratio"]["trials"] == [2, 2]


def test_trials_that_fail_without_noise_are_not_failed_by_noise():
    first, second = results({0})["networks"]
    assert (first["fails_without_noise"], second["fails_without_noise"]) == ([], [0])
    assert second["bits"]["half"]["trials"] == 2
    assert second["bits"]["half"]["between"] == [0.1, 0.2]
    assert second["bits"]["lost"]["share"] == [0.0, 1.0]
    assert second["noiseless_trials"]["mse"] == [50.0, 2.0, 2.0]
    assert [one["fail without noise"] for one in failing(results({0}))] == [0, 1]


def test_the_first_lines_and_the_page_say_which_network_fails_by_itself(tmp_path):
    found = results({0})
    said = summary(found)
    assert said[1].startswith("second fails 1 of 3 trials without any noise")
    assert "compared in 2 of 3 trials" in said[2]
    page = write(found, tmp_path, "").read_text()
    assert "failed ones too: second fails 1 of 3 trials" in page
    assert "no network can" not in page


def test_where_none_fails_by_itself_nothing_is_said_of_it(tmp_path):
    found = results(())
    assert len(summary(found)) == 3
    assert "without any noise" not in " ".join(summary(found))
    assert "fail without noise" not in failing(found)[0]
    assert "Dotted: the MSE without noise." in write(found, tmp_path, "").read_text()


def test_a_network_that_always_fails_is_neither_compared_nor_said_to_fail_by_noise(tmp_path):
    found = results({0, 1, 2})
    (compared,) = found["comparisons"]
    assert compared["trials"] == []
    assert compared["log10_added_mse_ratio"]["mean"] == [None, None]
    assert found["networks"][1]["bits"] is None
    said = " ".join(summary(found))
    assert "second fails all 3 trials without any noise" in said
    assert "there is no trial in which both do the task without noise" in said
    write(found, tmp_path, "")
    json.dumps(found, allow_nan=False)


def test_a_network_without_a_curve_is_told_and_in_no_legend():
    known, unknown = ({"mean": [v, v], "low": [v, v], "high": [v, v], "values": []} for v in (1.0, None))
    named = [{"name": "a", **known}, {"name": "b", **unknown}, {"name": "c", **known}]
    figure = noise_curves(named, LEVELS, ylabel="y", xlabel="x")
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["a", "c"]
    assert "No curve for b" in " ".join(one.text for one in figure.layout.annotations)
    alone = noise_curves([named[0], named[2]], LEVELS, ylabel="y", xlabel="x")
    assert figure.data[-1].line.color != alone.data[-1].line.color


def test_each_memory_is_named_and_ends_where_the_fold_is(tmp_path):
    """One unit, dx/dt = -x + w tanh(x) + b: of its two memories the one below zero ends where w sech(x)^2 = 1.

    There w = 2 + level E; for b > 0 the other one is never lost.
    """
    b, levels = 0.2, (0.3, 0.6, 1.2, 2.4, 4.8)
    system = LeakyRate([[2.0]], b=[b], W_out=[[1.0]])
    study = NoiseStudy(levels=levels, trials=16, steps=5)
    (network,) = run(study, [("unit", system)], tmp_path)["networks"]
    found = network["survival"]
    below, above = np.argsort([memory["readout"][0] for memory in found["named"]])
    stored = FixedPoints.load(tmp_path / "unit" / "memories" / "fixed_points.safetensors")
    for memory in found["named"]:
        assert memory["bits"] is None
        assert memory["readout"] == pytest.approx(stored.readouts[memory["number"]], rel=1e-4)

    x = brentq(lambda x: -x + np.cosh(x) ** 2 * np.tanh(x) + b, -3.0, -0.01)
    falls = np.cosh(x) ** 2 - 2.0
    draws = [draw_noise({"W": torch.zeros(1, 1)}, ("W",), (0, k, NOISE))["W"].item() for k in range(16)]
    edges = [0.0, *levels, np.inf]
    lost = 0
    for k, e in enumerate(draws):
        at = falls / e if e < 0 else np.inf
        low, high = next((a, b) for a, b in pairwise(edges) if a <= at < b or b == np.inf)
        assert found["lost_between"][k][below] == [low, None if high == np.inf else high]
        assert found["lost_between"][k][above] == [levels[-1], None]
        assert found["lost_at"][k][above] is None
        if high < np.inf:
            lost += 1
            assert found["lost_at"][k][below] == pytest.approx(at, rel=0.02)
    assert lost >= 3


def test_memories_of_a_flipflop_are_called_by_their_bits(tmp_path):
    """Two units that hold a bit each, as the readout says."""
    system = LeakyRate(2 * np.eye(2), B=np.eye(2), W_out=np.eye(2))
    system.task = FlipFlop(2)
    (network,) = run(NoiseStudy(levels=(1e-6,), trials=1, steps=200), [("two", system)], tmp_path)["networks"]
    named = network["survival"]["named"]
    assert sorted(memory["bits"] for memory in named) == ["00", "01", "10", "11"]
    assert all(memory["bits"] == "".join("01"[value > 0] for value in memory["readout"]) for memory in named)
    page = (tmp_path / "report.html").read_text()
    assert "of each memory the trials in which it is lost" in page


def test_the_stability_of_saddles_is_counted_too(tmp_path):
    """Nine points of two bistable units, four of them stable: hardly any noise changes none."""
    study = NoiseStudy(levels=(1e-6,), trials=2, steps=5, points="all")
    (network,) = run(study, [("two", LeakyRate(2 * np.eye(2)))], tmp_path)["networks"]
    assert network["survival"]["of"] == {"exist": 9, "same_stability": 9, "memories": 4}
    assert network["survival"]["shares"]["same_stability"]["values"] == [[1.0], [1.0]]


def test_rows_of_an_earlier_version_go_on_with_new_ones(tmp_path):
    """Those did not note which memories were followed, nor where each ended, nor the stability of saddles."""
    settings = {"levels": (1e-6, 0.1), "steps": 5, "points": "all"}
    network = [("two", LeakyRate(2 * np.eye(2)))]
    run(NoiseStudy(trials=1, **settings), network, tmp_path)
    rows = tmp_path / "rows.jsonl"
    old = json.loads(rows.read_text())
    followed = old["result"]["survival"]
    for key in ("named", "lost_between", "lost_at"):
        del followed[key]
    del followed["of"]["same_stability"], followed["unknown"]["same_stability"]
    rows.write_text(json.dumps(old) + "\n")
    found = run(NoiseStudy(trials=2, **settings), network, tmp_path)
    survival = found["networks"][0]["survival"]
    assert survival["shares"]["same_stability"] is None
    assert survival["shares"]["exist"]["trials"] == [2, 2]
    assert survival["lost_at"][0] is survival["lost_between"][0] is None
    assert len(survival["lost_at"][1]) == len(survival["named"]) == 4
    assert [one["lost in"].endswith("of 1 trial") for one in by_memory(found)] == [True] * 4


def test_levels_are_counted_and_placed_in_words():
    told = [placed({"between": ends, "band": [0.0, None]}).partition(" (")[0] for ends in ([0.0, 0.1], [0.1, 0.2])]
    assert told == ["below 0.1", "of 0.1 to 0.2"]
    assert (
        "at 1 level, 1 trial of 1 step each"
        in summary(
            {"settings": {**SETTINGS, "levels": (0.1,), "trials": 1, "steps": 1}, "networks": [], "comparisons": []}
        )[0]
    )


def test_a_cluster_that_does_not_answer_leaves_no_folder(tmp_path):
    np.savez(tmp_path / "net.npz", A=2 * np.eye(2))
    given = ["noise", tmp_path / "net.npz", "-o", tmp_path / "out", "--matrix", "recurrent=A", "--form", "rate"]
    given += ["--trials", 1, "--steps", 5, "--cluster", "nowhere"]
    result = CliRunner().invoke(main, [str(one) for one in [*given, "--no-points"]])
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(SweepError, match="no address"):
        run(NoiseStudy(trials=1), [("m", LeakyRate(2 * np.eye(2)))], tmp_path / "out", cluster="nowhere")
    assert not (tmp_path / "out").exists()
