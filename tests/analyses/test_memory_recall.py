"""``dynsys memory recall``: patterns from files, cues, what each net makes of them, and one line where it cannot."""

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.analyses.landscape import point_names
from dynsys.analyses.memory.nets import NETS, Choices, in_words, net_of
from dynsys.analyses.memory.pattern_files import Patterns, read_cues, read_patterns
from dynsys.analyses.pictures import Asked, figure_of
from dynsys.analyses.run import load_run
from dynsys.cli import main
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.simple_rnn import SimpleRNN

HADAMARD = np.array([[1, 1], [1, -1]])
HADAMARD = np.kron(np.kron(HADAMARD, HADAMARD), HADAMARD)  # 8 orthogonal patterns


def patterns(S):
    return Patterns(tuple("abcdefgh"[: len(S)]), np.asarray(S, dtype=float), (1, len(S[0])))


def invoke(*arguments):
    return CliRunner().invoke(main, ["memory", *map(str, arguments)])


def test_there_are_26_different_letters_of_5_by_7():
    letters = read_patterns("letters")
    assert letters.names == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert letters.shape == (7, 5)
    assert len(np.unique(letters.S, axis=0)) == 26
    np.testing.assert_array_equal(letters.chosen(["T"]).S.reshape(7, 5)[:2], [[1] * 5, [-1, -1, 1, -1, -1]])


def test_a_text_grid_has_names_rows_and_missing_components(tmp_path):
    (tmp_path / "grid.txt").write_text("cross:\n# . #\n. X .\n# 0 1\n\n\n?##\n-_-\n***\n")
    found = read_cues(str(tmp_path / "grid.txt"), (3, 3))
    assert found.names == ("cross", "1")
    np.testing.assert_array_equal(found.S, [[1, -1, 1, -1, 1, -1, 1, -1, 1], [0, 1, 1, -1, -1, -1, 1, 1, 1]])


def test_arrays_of_0_and_1_become_bipolar(tmp_path):
    np.savez(tmp_path / "p.npz", patterns=[[[0, 1], [1, 1]]], names=["one"])
    np.savez(tmp_path / "q.npz", [[-1, 1, 1, 1]])
    assert read_patterns(str(tmp_path / "p.npz")).names == ("one",)
    assert read_patterns(str(tmp_path / "p.npz")).shape == (2, 2)
    for name in "pq":
        np.testing.assert_array_equal(read_patterns(str(tmp_path / f"{name}.npz")).S, [[-1, 1, 1, 1]])


def test_a_dark_pixel_of_an_image_is_1(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, grey in {"a": [[0, 255], [255, 0]], "b": [[10, 20], [250, 200]]}.items():
        image.fromarray(np.array(grey, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    found = read_patterns(str(tmp_path))
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.S, [[1, -1, -1, 1], [1, 1, -1, -1]])


@pytest.mark.parametrize("model", [name for name in NETS if name != "descent"])
def test_one_wrong_unit_of_two_orthogonal_patterns_is_put_right(model):
    """By the table of single flips for n = 8, P = 2, which is all right; the others store at least as much."""
    stored = patterns(HADAMARD[1:3])
    net = net_of(model, stored, Choices())
    for p, s in enumerate(stored.S):
        cue = s * np.where(np.arange(8) == 5, -1, 1)
        layers = net.course(cue, 0).layers
        assert in_words(layers[0].states[-1] if model != "associator" else layers[-1].states[-1], stored) == "ab"[p]


def test_energies_never_rise_in_any_net_that_has_one():
    stored, rng = patterns(HADAMARD[1:4]), np.random.default_rng(0)
    for model in ("hopfield", "bam", "polynomial", "dense", "continuous", "descent"):
        energies = net_of(model, stored, Choices()).course(np.sign(rng.standard_normal(8)), 0).energies
        assert (np.diff(energies) <= 1e-9 * np.abs(energies).max()).all(), model


def test_states_are_named():
    stored = patterns(HADAMARD[1:4])
    a, b, c = stored.S
    assert in_words(-a, stored) == "the negative of a"
    assert in_words(np.sign(a + b - c), stored) == "the mixture +a +b -c"
    assert in_words(0.9 * b, stored) == "b"
    assert in_words(b * (np.arange(8) > 1), stored) == "+b where it is not 0, 2 units left at 0"
    assert in_words(0 * a, stored) == "all units at 0"


def test_a_bam_answers_with_the_partner(tmp_path):
    np.savez(tmp_path / "s.npz", patterns=HADAMARD[1:3], names=["a", "b"])
    np.savez(tmp_path / "t.npz", patterns=[[-1, 1], [1, 1]], names=["left", "right"])
    where = ("recall", tmp_path / "s.npz", "-o", tmp_path / "run", "--model", "bam", "--targets", tmp_path / "t.npz")
    result = invoke(*where, "--flip", 1, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["end"] for one in found["recalls"]] == [{"x": "a", "y": "left"}, {"x": "b", "y": "right"}]
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_continuous_net_leaves_a_run_whose_points_can_be_found(tmp_path):
    """Two orthogonal patterns and gain 4: V = s is stable for both and both negatives, and the sign of their sum or
    difference, 0 where they disagree, is a saddle between two of them."""
    np.savez(tmp_path / "s.npz", patterns=HADAMARD[1:3], names=["a", "b"])
    run = tmp_path / "run"
    assert invoke("recall", tmp_path / "s.npz", "-o", run, "--model", "continuous").exit_code == 0
    result = CliRunner().invoke(main, ["find", str(run), "-o", str(run), "--starts", "64", "--no-verify", "--json"])
    assert result.exit_code == 0, result.output
    stable = [p for p in json.loads(result.stdout)["points"] if p["stability"].startswith("stable")]
    signs = {tuple(np.sign(p["readout"])) for p in stable}
    assert signs == {tuple(sign * s) for s in HADAMARD[1:3] for sign in (1.0, -1.0)}
    found, system = load_run(run)
    names = np.array(point_names(system, found, ["a", "b"]))
    assert sorted(names[found.n_unstable == 0]) == ["a", "b", "the negative of a", "the negative of b"]
    mixtures = [f"the mixture {a}a {b}b, 4 units at 0" for a in "+-" for b in "+-"]
    assert sorted(names[found.n_unstable == 1]) == mixtures
    assert names[found.n_unstable == 2].tolist() == ["all units at 0"]
    assert mixtures[0] in str(figure_of("phase", Asked(run))[0].to_dict())


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        ("##\n#\n", [], "row 2 of the pattern 0 has 1 characters and row 1 has 2"),
        ("##\n\n###\n", [], "0 has 1 rows and 2 columns, 1 1 and 3"),
        ("#a\n", [], "row 1 of the pattern 0 holds 'a'"),
        ("#?\n", [], "the pattern 0 has missing components"),
        ("", [], "it holds no pattern"),
        ("##\n", ["--only", "z"], "there is no pattern 'z'; there are 0"),
        ("##\n", ["--flip", "3"], "mistakes is 3 and missing 0; the pattern has 2 components"),
        ("##\n", ["--beta", "2"], "--beta makes no difference to hopfield; it does to dense"),
        ("##\n", ["--model", "dense", "--beta", "0"], "beta is 0.0; it must be positive"),
        ("##\n", ["--rule", "modified"], "rule is 'modified'; a Hopfield net learns by hebb, pseudo-inverse, storkey"),
        ("##\n", ["--targets", "letters"], "--targets makes no difference to hopfield; it does to associator, bam"),
        ("##\n", ["--cue", "letters", "--flip", "1"], "--cue gives the cues as they are"),
        ("##\n", ["--cue", "letters"], "its cues are of 7 rows and 5 columns, the patterns of 1 and 2"),
        ("##\n", ["--model", "bam", "--targets", "letters"], "there are 1 patterns and 26 targets"),
        (
            "#.\n\n.#\n\n##\n",
            ["--rule", "pseudo-inverse"],
            "the pseudo-inverse takes fewer than n = 2 independent patterns",
        ),
        ("##\n", ["--model", "polynomial", "--order", "two"], "'two' is neither a whole number, like 3, nor exp"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, content, arguments, told):
    (tmp_path / "p.txt").write_text(content)
    result = invoke("recall", tmp_path / "p.txt", "-o", tmp_path / "run", *arguments)
    assert result.exit_code != 0
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"patterns": [[1.0, np.nan]]}, "patterns holds 1 values that are NaN or infinite"),
        ({"patterns": [[1, 2]]}, "patterns holds 1, 2"),
        ({"patterns": np.zeros((0, 4))}, "patterns has shape (0, 4)"),
        ({"a": [[1, -1]], "b": [[1, -1]]}, "it holds a, b"),
        ({"patterns": [[1, -1]], "names": ["a", "b"]}, "names holds 2"),
    ],
)
def test_arrays_that_are_no_patterns_are_told_in_one_line(tmp_path, arrays, told):
    np.savez(tmp_path / "p.npz", **arrays)
    result = invoke("recall", tmp_path / "p.npz", "-o", tmp_path / "run")
    assert result.exit_code != 0
    assert told in result.stderr


def test_a_cue_with_nan_is_told_in_one_line(tmp_path):
    np.savez(tmp_path / "cue.npz", patterns=[[1.0, np.nan]])
    (tmp_path / "p.txt").write_text("#.\n")
    told = invoke("recall", tmp_path / "p.txt", "-o", tmp_path / "run", "--cue", tmp_path / "cue.npz").stderr
    assert "cue.npz: patterns holds 1 values that are NaN or infinite" in told


def test_what_is_no_image_is_told(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "a.png").write_bytes(b"no image")
    assert "a.png: it is no image" in invoke("recall", tmp_path, "-o", tmp_path / "run").stderr


def test_images_without_pillow_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "a.png").write_bytes(b"")
    told = invoke("recall", tmp_path, "-o", tmp_path / "run").stderr
    assert "images need the package Pillow; pip install 'dynsys-rnn[images]'" in told


def test_a_trained_network_is_not_written_over(tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    save_checkpoint(checkpoint, SimpleRNN.random(4))
    before = checkpoint.read_bytes()
    recall = ("recall", "letters", "--only", "E,J", "--model", "continuous", "-o")
    assert "another network" in invoke(*recall, tmp_path).stderr
    assert checkpoint.read_bytes() == before
    for _ in range(2):  # one of its own is made again
        assert invoke(*recall, tmp_path / "own").exit_code == 0
