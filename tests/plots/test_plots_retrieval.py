"""Pictures of retrieval hold what they were given, and the commands that draw them work on a fresh network."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dynsys.analyses.retrieval.settling_pictures import convergence_picture, held_strings, retrieval_picture
from dynsys.cli import main
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.queries import queries, states_of
from dynsys.models.tasks.retrieval import CHARACTERS, Retrieval
from dynsys.plots import retrieval_convergence, retrieval_portrait
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import find_fixed_points

TASK = Retrieval()
STRING = "c9k8j3f1??c"


def fast(inner=2):
    return FastWeights.of(
        FastWeightsNetwork(FastWeightsConfig(8, inner, 0.3, embedding=5, hidden=7, seed=3)), task=TASK
    )


@pytest.fixture
def run(tmp_path):
    """A folder with an untrained network of two inner steps that says it began from one of a single step."""
    save_checkpoint(tmp_path / "one" / "checkpoint.safetensors", fast(1))
    about = {"recipe": {"start": str(tmp_path / "gone" / "one")}}
    save_checkpoint(tmp_path / "two" / "checkpoint.safetensors", fast(2), about)
    return tmp_path / "two"


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    return result


def coordinates(trace):
    return np.stack([trace.x, trace.y, trace.z], axis=1).astype(float)


def test_every_string_ends_in_a_dot_of_its_answer():
    rng = np.random.default_rng(0)
    answers = np.arange(20) % 10
    said = 5 * np.eye(10)[answers] + 0.01 * rng.standard_normal((4, 20, 10))
    figure = retrieval_portrait(said, answers)
    dots = {t.name: coordinates(t) for t in figure.data if t.mode == "markers"}
    assert sorted(dots) == [f"answer {d}" for d in range(10)]
    middles = {name: places.mean(axis=0) for name, places in dots.items()}
    for places in dots.values():
        assert len(places) == 2
        assert np.ptp(places, axis=0).max() < 0.2
    written = [t for t in figure.data if t.mode == "text"]
    for trace in written:
        digit = trace.text[0].strip("</b>")
        np.testing.assert_allclose(coordinates(trace)[0], middles[f"answer {digit}"], atol=0.1)


def test_what_is_added_to_all_logits_alike_moves_nothing():
    rng = np.random.default_rng(1)
    said, answers = rng.standard_normal((3, 30, 10)), np.arange(30) % 10
    shifted = said + rng.standard_normal((3, 30, 1))
    for one, other in zip(
        retrieval_portrait(said, answers).data, retrieval_portrait(shifted, answers).data, strict=True
    ):
        np.testing.assert_allclose(coordinates(one), coordinates(other), atol=1e-5)


def test_convergence_shows_the_share_that_is_right_and_the_median_distance():
    right = np.array([[0, 0, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool)
    distance = np.array([[4.0, 2.0, 3.0, np.nan], [0.4, 0.2, 0.3, np.nan], [0.04, 0.02, 0.03, np.nan]])
    figure = retrieval_convergence({"S = 1": {"inner": 1, "right": right, "distance": distance}})
    lines = [t for t in figure.data if t.line.width]
    np.testing.assert_allclose(lines[0].y, [0.25, 0.75, 1.0])
    np.testing.assert_allclose(lines[1].y, [3.0, 0.3, 0.03])
    assert [t.text for t in figure.data if t.mode == "text"] == [("75.0 %", "100.0 %")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: retrieval_portrait(np.zeros((3, 4, 10)), [1, 2]), r"\(T, B, n\) and \(B,\) are needed"),
        (lambda: retrieval_portrait(np.zeros((3, 1, 10)), [1], space="logits"), "space is 'logits'"),
        (lambda: retrieval_convergence({}), "there is no record to draw"),
        (
            lambda: retrieval_convergence({"a": {"inner": 1}}),
            "the record of a has inner; it needs inner, right",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_find_and_portrait_need_no_option(run, tmp_path):
    invoke("find", run, "-o", run, "--starts", 48)
    points = FixedPoints.load(run / "fixed_points.safetensors")
    system = fast(2)
    held = system.context(held_strings(points, system))[0].numpy()
    assert {tuple(row) for row in points.inputs} <= {tuple(row) for row in held}
    said = invoke("portrait", run, "-o", tmp_path / "a.html").output
    assert "300 strings coloured by the right answer" in said
    invoke("portrait", run, "-o", tmp_path / "b.html", "--fit", "trajectories", "--points", 0)


def test_points_are_named_after_the_strings_they_were_found_at(run):
    invoke("find", run, "-o", run, "--strings", f"{STRING},c9k8j3f1??f", "--starts", 24)
    points = FixedPoints.load(run / "fixed_points.safetensors")
    figure = retrieval_picture(points, fast(2))
    texts = [text for t in figure.data if t.text and t.mode == "markers" for text in t.text]
    assert len(texts) == len(points)
    starts = {text.split("<br>")[0] for text in texts}
    assert starts == {f"{STRING}, right: 9", "c9k8j3f1??f, right: 1"}


def test_convergence_stands_beside_the_network_that_training_began_from(run):
    figure = convergence_picture(run)
    titles = [note.text for note in figure.layout.annotations if note.name != "caption"]
    assert [title for title in titles if title.startswith("trained")] == ["trained with S = 1", "trained with S = 2"]


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ("c9k8j3f1?!c", "'!'; legal are a to z, 0 to 9 and ?"),
        ("c9k8??c", "is no string of 4 different letters"),
    ],
)
def test_a_string_that_is_none_of_the_task_gets_one_line(run, tmp_path, strings, message):
    result = invoke("find", run, "-o", tmp_path / "no", "--strings", strings, code=1)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "no").exists()


def test_strings_bring_their_own_inputs_and_belong_to_retrieval(run, tmp_path):
    result = invoke("find", run, "-o", tmp_path / "no", "--strings", STRING, "--input", "1,0", code=2)
    assert "leave out --input" in result.stderr
    result = invoke("find", "simple2d", "-o", tmp_path / "no", "--strings", STRING, code=1)
    assert "this one, 'simple2d', did not" in result.stderr


def test_an_lstm_is_held_at_the_letter_that_is_asked_for():
    system = StringNetwork("lstm", 5, seed=1).system(TASK)
    asked = TASK.parse(STRING, "c9k8j3f1??f")
    inputs, starts = queries(system, asked, 6, seed=0)
    assert [CHARACTERS[int(row.argmax())] for row in inputs] == list("cfcfcf")
    states = states_of(system, asked)
    np.testing.assert_array_equal(starts[:2], states[-2])
    letter = torch.eye(len(CHARACTERS), dtype=torch.float64)[torch.as_tensor(asked.characters[:, -1])]
    np.testing.assert_allclose(states[-2] + system.velocity(states[-2], letter), states[-1], atol=1e-14)
    points = find_fixed_points(system, starts, inputs)
    assert len(retrieval_picture(points, system).data) > 10
