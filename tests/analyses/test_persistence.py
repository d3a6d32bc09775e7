"""The comparison of memories: what each network is driven by, what is told of it, and what goes wrong in one line."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import Map
from dynsys.analyses.persistence import study
from dynsys.analyses.persistence.report import rows
from dynsys.analyses.persistence.study import Persistence, compare, fresh, horizon, loss_gradient, run
from dynsys.cli import main
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.loading.snapshot import Snapshot
from dynsys.models.networks.recurrent import RecurrentNetwork
from dynsys.models.tasks.flipflop import FlipFlop

QUICK = Persistence(delay=10, windows=2, points=False, capacity=False)


def network(cell="gru"):
    return RecurrentNetwork(cell, 2, 4, 2).system(FlipFlop(bits=2))


def test_an_orthogonal_network_keeps_more_of_a_gradient_than_a_random_one():
    results = compare(QUICK, [network()], beside=["irnn", "orthogonal", "random"])
    assert [entry["name"] for entry in results["networks"]][1:] == [
        "irnn (fresh)",
        "orthogonal (fresh)",
        "random (fresh)",
    ]
    gru, irnn, orthogonal, random = (entry["drives"][study.RANDOM] for entry in results["networks"])
    assert orthogonal["contracting"] == 1
    assert random["contracting"] < 1
    assert all(told["product"][-1] <= told["bound"][-1] + 1e-9 for told in (gru, irnn, orthogonal, random))
    assert irnn["product"][-1] <= 1e-12
    assert irnn["exponent"] == pytest.approx(0, abs=0.05)


def test_a_network_that_knows_its_task_is_driven_by_it_with_the_error_as_loss():
    (entry,) = compare(QUICK, [network()])["networks"]
    assert list(entry["drives"]) == [study.RANDOM, study.TASK]
    assert [told["loss"] for told in entry["drives"].values()] == ["squared outputs", "squared error of the outputs"]


def test_the_gradient_of_the_loss_is_that_of_its_formula():
    system, x, target = network(), torch.randn(3, 4).double(), torch.randn(3, 2).double()
    W, b = system.arrays()["readout.weight"], system.arrays()["readout.bias"]
    wanted = (x.numpy() @ W.T + b - target.numpy()) @ W
    assert loss_gradient(system, x, target).numpy() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("left", "first"), [([1, 0.5, 0.02, 0.009], 3), ([1, 0.001, 0.5, 0.001], 3), ([1, 0.5], None)])
def test_the_horizon_is_where_little_is_left_for_good(left, first):
    assert horizon(np.log(left)) == first


def test_what_diverges_is_told_and_the_others_go_on(tmp_path):
    grows = Map(lambda x, u: 1e9 * (x + u), n_state=1, n_input=1, name="explosion")
    results = run(QUICK, [grows, network()], tmp_path)
    assert "explosion grow beyond all bounds" in results["networks"][0]["drives"][study.RANDOM]["reason"]
    assert "reason" not in results["networks"][1]["drives"][study.RANDOM]
    assert "grow beyond all bounds" in rows(results)[0]["not told, as"]


def test_ctrl_c_leaves_the_report_of_what_is_done(tmp_path):
    def interrupt(stage, done, total):
        if stage.startswith("second"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after 1 of the networks"):
        run(QUICK, [("first", network()), ("second", network())], tmp_path, progress=interrupt)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [entry["name"] for entry in kept["networks"]] == ["first"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beside": ["lsmt"]}, "'lsmt' is no network to put beside another; there are rnn, irnn"),
        ({"inputs": "short.npy"}, "short.npy holds 5 steps; products over 10 need 11"),
    ],
)
def test_one_clear_line(wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("short.npy", np.zeros((5, 2)))
    with pytest.raises(ValueError, match=message):
        compare(QUICK, [network()], **wrong)


def test_fast_weights_are_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match="no sequence of inputs drives it; leave it out"):
        compare(QUICK, [network(), FastWeights.random()], finished=lambda entry: pytest.fail("something was computed"))


def test_fresh_networks_have_the_sizes_of_the_first():
    lstm = RecurrentNetwork("lstm", 3, 5, 2).system()
    for name in study.BESIDE:
        made = fresh(name, lstm, 0)
        assert (made.n_state, made.n_input) == (10 if "lstm" in name else 5, 3)
    W = fresh("orthogonal", lstm, 0).W.numpy()
    np.testing.assert_allclose(W @ W.T, np.eye(5), atol=1e-12)


def test_the_command_tells_a_run_with_its_snapshots(tmp_path):
    folder = tmp_path / "gru"
    system = network()
    save_checkpoint(folder / "checkpoint.safetensors", system)
    for step, scale in ((0, 0.5), (7, 1.0)):
        weights = {key: scale * value for key, value in system.arrays().items()}
        Snapshot(step, weights).save(folder / "snapshots" / f"step_{step:06d}.safetensors")
    study_of = ["--delay", 5, "--windows", 2, "--no-points", "--snapshots", 2, "--seed", 3]
    told = CliRunner().invoke(main, list(map(str, ["persistence", folder, "-o", tmp_path / "out", *study_of])))
    assert told.exit_code == 0, told.output
    assert "gru, its task: " in told.stdout
    assert "memory capacity" in told.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Memory capacity" in page
    assert "reduced attracting set" in page
    (kept,) = json.loads((tmp_path / "out" / "results.json").read_text())["networks"]
    assert [row["step"] for row in kept["snapshots"]["rows"]] == [0, 7]
    assert kept["snapshots"]["rows"][1]["exponent"] == pytest.approx(kept["drives"][study.TASK]["exponent"])
