"""Transfer: a network grows by a bit without forgetting, and the study that compares it with one from scratch."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys import FixedPoints, load, plots
from dynsys.analyses.report import REPORT, RESULTS
from dynsys.analyses.transfer import networks as transfer_networks
from dynsys.analyses.transfer.claims import claims
from dynsys.analyses.transfer.comparison import NETWORKS, Transfer
from dynsys.analyses.transfer.cube_projection import Shape
from dynsys.analyses.transfer.study import run
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import read_checkpoint, save_checkpoint
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.rate.echo_state import WEIGHTS, EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.by_force.grow import drawn_anew, grown, load_start, unlearned
from dynsys.models.training.run import read_curves

RANGES = EchoStateConfig(40, 3, 3, feedback=2.0, input_scale=0.5, seed=3)
SMALL = Transfer(bits=2, units=100, seed=1, n_starts=64)


def silent(stage, done, total):
    pass


@pytest.fixture
def two_bits():
    """A network of 40 units and 2 bits with a readout that is not zero."""
    random = EchoStateNetwork.random(EchoStateConfig(40, 2, 2, seed=5), FlipFlop(2))
    return random.with_readout(np.random.default_rng(0).standard_normal((2, 40)))


def test_growing_leaves_every_old_weight_as_it_was(two_bits):
    larger = grown(two_bits, FlipFlop(3), RANGES)
    assert torch.equal(larger.W_r, two_bits.W_r)
    assert torch.equal(larger.W_fb[:, :2], two_bits.W_fb)
    assert torch.equal(larger.B[:, :2], two_bits.B)
    assert torch.equal(larger.W_out[:2], two_bits.W_out)
    assert not larger.W_out[2].any()
    assert (larger.n_input, larger.n_output, larger.task) == (3, 3, FlipFlop(3))


def test_new_columns_are_random_in_their_ranges_and_differ_with_the_seed(two_bits):
    larger, other = (grown(two_bits, FlipFlop(3), EchoStateConfig(**{**vars(RANGES), "seed": s})) for s in (3, 4))
    assert 1.8 < larger.W_fb[:, 2].abs().max() <= 2.0
    assert 0.45 < larger.B[:, 2].abs().max() <= 0.5
    assert not torch.equal(larger.W_fb[:, 2], other.W_fb[:, 2])
    assert torch.equal(larger.W_fb, grown(two_bits, FlipFlop(3), RANGES).W_fb)


def test_a_grown_network_moves_as_it_did_until_its_new_input_is_pulsed(two_bits):
    larger = grown(two_bits, FlipFlop(3), RANGES)
    x, u = torch.randn(5, 40, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    with_new = torch.cat([u, torch.zeros(5, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(larger.velocity(x, with_new), two_bits.velocity(x, u), rtol=1e-13, atol=1e-13)
    with_new[:, 2] = 1
    assert (larger.velocity(x, with_new) - two_bits.velocity(x, u)).abs().min() > 0


def test_from_scratch_differs_in_the_readout_alone_or_in_feedback_and_input_as_well(two_bits):
    larger = grown(two_bits, FlipFlop(3), RANGES)
    blank = unlearned(larger)
    assert not blank.W_out.any()
    assert all(torch.equal(getattr(blank, key), getattr(larger, key)) for key in WEIGHTS if key != "W_out")
    fresh = drawn_anew(larger, RANGES)
    assert torch.equal(fresh.W_r, larger.W_r)
    for key in ("W_fb", "B"):
        drawn, old = getattr(fresh, key), getattr(larger, key)
        assert not torch.isclose(drawn, old).any()
    assert fresh.W_fb.abs().max() <= 2.0


def test_only_a_task_of_more_bits_lets_a_network_grow(two_bits):
    with pytest.raises(ValueError, match="2 outputs and the task 2 bits"):
        grown(two_bits, FlipFlop(2), RANGES)


def test_a_start_is_an_echo_state_network_of_one_bit_less(two_bits, tmp_path):
    save_checkpoint(tmp_path / FILE_NAME, two_bits, {"recipe": {"network": vars(RANGES)}})
    network, config = load_start(tmp_path, 2)
    assert torch.equal(network.W_out, two_bits.W_out)
    assert (config.feedback, config.input_scale, config.units, config.n_output) == (2.0, 0.5, 40, 2)
    with pytest.raises(CheckpointError, match="2 inputs and 2 outputs; 4 bits are learned from a network of 3"):
        load_start(tmp_path, 3)
    torch.manual_seed(0)
    torch.save(torch.nn.GRU(3, 4).state_dict(), tmp_path / "gru.pt")
    with pytest.raises(CheckpointError, match="of the kind gru"):
        load_start(tmp_path / "gru.pt", 3)


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="bits is 1"):
        Transfer(bits=1)
    with pytest.raises(ValueError, match="leave them out"):
        Transfer(start="somewhere", units=100)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    return folder, run(SMALL, folder, silent)


def test_both_larger_networks_hold_four_memories(done):
    """100 units hold 2 bits from any start: the report's own words for it."""
    for name in ("scratch", "transfer"):
        network = done[1].networks[name]
        assert network.learned
        assert network.memories.names == ["00", "01", "10", "11"]
        assert network.shape is not None


def test_the_axes_of_the_bits_are_compared_with_the_feedback_weights(done):
    """Against QR and the singular values of the product of the bases, by definition."""
    network = done[1].networks["transfer"]
    states, bits = network.memories.states, network.memories.bits
    axes = np.stack([states[bits[:, i] == 1].mean(axis=0) - states[bits[:, i] == -1].mean(axis=0) for i in range(2)])
    bases = [np.linalg.qr(rows.T)[0] for rows in (axes, network.network.W_fb.T.numpy())]
    cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert network.feedback == pytest.approx(np.degrees(np.arccos(cosines)), rel=1e-6)
    assert max(network.feedback) < 45  # random planes among 100 units: 80 and more


def test_they_are_trained_from_the_weights_that_were_meant(done):
    folder, _ = done
    small, scratch, transferred = (load(folder / name) for name in NETWORKS)
    for one, other in ((scratch, transferred), (small, transferred)):
        assert torch.equal(one.W_r, other.W_r)
    assert torch.equal(scratch.W_fb, transferred.W_fb)
    assert torch.equal(scratch.B, transferred.B)
    assert torch.equal(small.W_fb, transferred.W_fb[:, :1])
    assert not torch.equal(scratch.W_out, transferred.W_out)
    recipes = [read_checkpoint(folder / name)[2]["about"]["recipe"] for name in ("scratch", "transfer")]
    assert recipes[0] == recipes[1]


def test_each_network_is_a_run_of_its_own(done):
    folder, compared = done
    for name in NETWORKS:
        points = FixedPoints.load(folder / name / "fixed_points.safetensors")
        assert len(points) == len(compared.networks[name].points)
        assert len(read_curves(folder / name)["mse"]) > 100


def test_results_and_report_are_written(done):
    folder, compared = done
    results = json.loads((folder / RESULTS).read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert results["schema"] == "dynsys.transfer/1"
    assert set(results["networks"]) == set(NETWORKS)
    held = results["networks"]["scratch"]["memories"]["held"]
    readouts = compared.networks["scratch"].points.readouts
    assert {bits: ["0" if z < 0 else "1" for z in readouts[i]] for bits, i in held.items()} == {
        b: list(b) for b in held
    }
    assert results["settings"]["units"] == 100
    assert results["command"].startswith("dynsys transfer -o ")
    text = (folder / REPORT).read_text()
    assert all(sentence[:40] in text for sentence in results["sentences"])
    assert 'src="http' not in (folder / "portraits.html").read_text()
    assert "Four axes" not in text  # of a tesseract, which two bits are not
    steps = int(read_curves(folder / "scratch")["step"][-1])
    assert f">steps</th><td>{steps:,}</td>" in text


def test_what_is_there_is_neither_trained_nor_searched_again(done, monkeypatch):
    folder, compared = done

    def never(*arguments, **settings):
        raise AssertionError("done again")

    monkeypatch.setattr(transfer_networks, "run_training", never)
    monkeypatch.setattr(transfer_networks, "search_and_save", never)
    again = run(SMALL, folder, silent)
    assert again.survival == compared.survival
    assert again.networks["transfer"].geometry == compared.networks["transfer"].geometry


def test_a_folder_of_other_settings_is_refused(done):
    with pytest.raises(ValueError, match=r"trained with network\.units 100, and network\.units 120 is asked for"):
        run(Transfer(bits=2, units=120, seed=1), done[0], silent)
    with pytest.raises(ValueError, match=r"scratch holds a network trained with from\.fresh False"):
        run(Transfer(bits=2, units=100, seed=1, n_starts=64, fresh=True), done[0], silent)


def test_a_run_that_is_there_can_be_the_start(done, tmp_path):
    """The networks come out as if it had been trained here."""
    folder, compared = done
    settings = Transfer(bits=2, seed=1, n_starts=64, start=str(folder / "small"))
    again = run(settings, tmp_path, silent)
    assert torch.equal(again.networks["transfer"].network.W_out, compared.networks["transfer"].network.W_out)
    assert again.networks["small"].metrics == compared.networks["small"].metrics
    other = EchoStateNetwork.random(EchoStateConfig(100, 1, 1, seed=8), FlipFlop(1))
    save_checkpoint(tmp_path / "other" / FILE_NAME, other)
    with pytest.raises(ValueError, match="holds another network than"):
        run(Transfer(bits=2, seed=1, start=str(tmp_path / "other")), tmp_path, silent)


def test_claims_are_judged_by_what_was_measured(done):
    """A square has a spread of its own: its diagonals are longer by the root of two. The 2-bit networks are squares."""
    said = {claim.claim: claim for claim in claims(done[1])}
    assert said["2 bits from scratch give 4 memories"].holds
    assert said["From scratch the memories are about equally far apart"].holds is False
    assert len(said) == 3  # no shape: two bits are seen whole


def test_lengths_that_hardly_differ_are_no_difference_and_bear_out_no_claim(done):
    _, compared = done
    for by, verdict, holds in ((0.3, "yes", True), (0.04, "no difference", False), (-0.3, "no", False)):
        placed = {
            name: dataclasses.replace(compared.survival[name], middle_shift=(0.5 + more,) * 2)
            for name, more in (("scratch", by), ("transfer", 0.0))
        }
        claim = claims(dataclasses.replace(compared, survival=placed))[-1]
        assert claim.claim.startswith("Transfer leaves")
        assert (claim.verdict, claim.holds) == (verdict, holds)


def test_how_memories_lie_is_not_judged_by_networks_that_did_not_learn(done):
    _, compared = done
    scratch = compared.networks["scratch"]
    failed = dataclasses.replace(scratch, metrics={**scratch.metrics, "settled_bit_accuracy": 0.5})
    few = dataclasses.replace(scratch, memories=dataclasses.replace(scratch.memories, missing=((1, 1),)))
    for one in (failed, few):
        said = claims(dataclasses.replace(compared, networks={**compared.networks, "scratch": one}))
        assert said[0].claim == "2 bits from scratch give 4 memories"
        assert said[0].holds is True  # counted, whatever else
        assert [(claim.holds, claim.verdict) for claim in said[1:]] == [(None, "did not learn")] * 2


@pytest.mark.parametrize(
    ("axes_seen_along", "ratio", "prism", "cuboid"), [(3, 0.5, True, False), (2, 0.5, False, True)]
)
def test_prism_and_cuboid_are_told_apart(done, axes_seen_along, ratio, prism, cuboid):
    shape = Shape((), (0.0,) * 4, (0.0,) * 4, float(axes_seen_along), axes_seen_along, 3.0, ratio)
    assert [claim.holds for claim in _claims_of(done[1], shape)] == [prism, cuboid]
    by_chance = dataclasses.replace(shape, ratio=0.99)
    assert [claim.holds for claim in _claims_of(done[1], by_chance)] == [False, False]
    far = dataclasses.replace(shape, angle=12.0)
    assert [claim.holds for claim in _claims_of(done[1], far)] == [False, False]


def _claims_of(compared, shape):
    """Of networks of four bits that are seen in this shape."""
    networks = {name: dataclasses.replace(network, shape=shape) for name, network in compared.networks.items()}
    four = dataclasses.replace(compared, settings=Transfer(bits=4), networks=networks)
    return [claim for claim in claims(four) if "prism" in claim.claim or "cuboid" in claim.claim]


def test_portraits_have_an_edge_for_every_pair_of_neighbours(done):
    from dynsys.analyses.transfer.report import picture

    figure = picture(done[1])
    assert {trace.scene for trace in figure.data} == {"scene", "scene2"}
    for scene, name in (("scene", "scratch"), ("scene2", "transfer")):
        of = {trace.name: trace for trace in figure.data if trace.scene == scene}
        assert list(of["memories, by their bits"].text) == ["00", "01", "10", "11"]
        for edges in ("one bit differs", "the last bit differs"):
            assert np.isnan(of[edges].x).sum() + 1 == 2  # two of the four edges of a square each
        assert len(of["memories, by their bits"].x) == len(done[1].networks[name].memories)
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert len(shown) == len(set(shown))
    for button in figure.layout.updatemenus[0].buttons:
        assert {"scene.camera", "scene2.camera"} <= set(button.args[0])


def test_points_that_are_not_stable_are_hidden_until_they_are_wanted(done):
    from dynsys.analyses.transfer.report import picture

    figure = picture(done[1])
    hidden = [i for i, trace in enumerate(figure.data) if trace.visible is False]
    unstable = sum(int((done[1].networks[name].points.n_unstable > 0).sum()) for name in ("scratch", "transfer"))
    assert sum(len(figure.data[i].x) for i in hidden) == unstable > 0
    only_stable, everything = figure.layout.updatemenus[1].buttons
    assert [b.args[0]["visible"] for b in (only_stable, everything)] == [False, True]
    assert all(list(b.args[1]) == hidden for b in (only_stable, everything))


def test_a_network_without_memories_has_no_solid(done):
    from dynsys.plots.portrait.solids import Panel, Solid

    points = done[1].networks["small"].points
    empty = Panel("empty", points, Solid(points.states[:0], [], []), [])
    with pytest.raises(ValueError, match="empty has 0 memories"):
        plots.memory_solids([empty])


def command(*arguments, code=0):
    result = CliRunner().invoke(main, ["transfer", *map(str, arguments)])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
    return result


def test_the_command_prints_tables_or_one_object(done):
    folder, _ = done
    options = ["-o", folder, "--bits", 2, "--units", 100, "--seed", 1, "--starts", 64]
    text = command(*options).stdout
    assert "4 of 4" in text
    assert "Is every pair of Hamming neighbours nearer to each other than every other pair? Yes." in text
    assert "report.html" in text
    printed = json.loads(command(*options, "--json").stdout)
    assert printed["networks"] == json.loads((folder / RESULTS).read_text())["networks"]


def test_mistakes_get_one_line(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    small = done[0] / "small"
    for arguments, words in (
        (["-o", "x", "--start", "nowhere"], "no such file"),
        (["-o", "x", "--start", small], "4 bits are learned from a network of 3 bits"),
        (["-o", "x", "--start", small, "--bits", "2", "--units", "50"], "leave them out"),
        (["-o", "file/x", "--bits", "2", "--units", "50"], "cannot be written"),
        (["-o", done[0], "--bits", "2", "--units", "50"], "another folder with -o"),
        (
            ["-o", done[0], "--bits", "2", "--units", "100", "--seed", "1", "--preset", "paper"],
            "another folder with -o",
        ),
        (["-o", done[0], "--bits", "3", "--units", "100", "--seed", "1"], "of 1 bit, and one of 2 is asked for"),
    ):
        error = command(*arguments, code=1).stderr
        assert words in error
        assert len(error.splitlines()) == 1
    assert not Path("x").exists()
