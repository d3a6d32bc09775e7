"""Many to one and one to many: what is read and asked, and what networks of many layers and two directions keep."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn.utils.rnn import pack_padded_sequence

import dynsys
from dynsys.cli import main
from dynsys.io.errors import CheckpointError
from dynsys.models.networks.recurrent import CELLS, RecurrentNetwork
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.patterns import HARMONICS, ManyToOne, OneToMany
from dynsys.models.tasks.retrieval import CHARACTERS, Retrieval
from dynsys.models.training.flipflop import flipflop_course
from dynsys.models.training.learners import learner
from dynsys.models.training.patterns import PatternsLesson
from dynsys.trajectories.simulate import simulate


def test_a_pattern_has_a_mean_square_of_one_and_no_more_than_its_harmonics():
    some = ManyToOne(5, 16, 3).sequences()
    assert some.shape == (5, 16, 3)
    np.testing.assert_allclose((some**2).mean(axis=(1, 2)), 1, rtol=1e-12)
    spectrum = np.abs(np.fft.rfft(some, axis=1))
    assert spectrum[:, 0].max() < 1e-12
    assert spectrum[:, HARMONICS + 1 :].max() < 1e-12


def test_a_pattern_is_read_with_noise_of_that_size_and_is_the_nearest():
    task = ManyToOne(4, 20, 2, noise=0.2)
    inputs, which = task.examples(500, 1)
    added = inputs - task.sequences()[which]
    n = added.size
    assert abs(added.mean()) < 5 * 0.2 / n**0.5
    assert abs(added.var() - 0.04) < 5 * 0.04 * (2 / n) ** 0.5  # of a normal law
    apart = ((inputs[:, None] - task.sequences()[None]) ** 2).sum(axis=(2, 3))
    np.testing.assert_array_equal(apart.argmin(axis=1), which)


def test_a_cue_is_read_once_and_the_pattern_is_told():
    task = OneToMany(4, 9, 3, noise=0.0)
    inputs, target = task.examples(20, 1)
    assert not inputs[:, 1:].any()
    assert (inputs[:, 0].sum(axis=1) == 1).all()
    np.testing.assert_array_equal(target, task.sequences()[inputs[:, 0].argmax(axis=1)])
    noisy, same = OneToMany(4, 9, 3, noise=0.5).examples(20, 1)
    np.testing.assert_array_equal(same, target)
    assert not noisy[:, 1:].any()
    assert np.ptp(noisy[:, 0]) > 1


def test_trials_are_examples_one_after_the_other():
    one, many = ManyToOne(3, 8, 2, noise=0.0), OneToMany(3, 8, 2, noise=0.0)
    trial = one.trial(30, 4)
    inputs, which = one.examples(4, 4)
    np.testing.assert_array_equal(trial.inputs, inputs.reshape(-1, 2)[:30])
    assert np.flatnonzero(trial.settled).tolist() == [7, 15, 23]
    assert trial.target[[7, 15, 23]].argmax(axis=1).tolist() == which[:3].tolist()
    trial = many.trial(30, 4)
    assert np.flatnonzero(trial.inputs.any(axis=1)).tolist() == [0, 8, 16, 24]
    np.testing.assert_array_equal(trial.target, many.examples(4, 4)[1].reshape(-1, 2)[:30])


@pytest.mark.parametrize("wrong", [{"patterns": 1}, {"length": 6}, {"channels": 0}, {"noise": -0.1}])
def test_patterns_that_there_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="needed are 2 patterns, 7 steps"):
        ManyToOne(**wrong)


class Nearest(RecurrentNetwork):
    """Says the nearest pattern, or tells the one of the largest cue."""

    def __init__(self, task):
        super().__init__("rnn", task.n_input, 2, task.n_output)
        self.task, self.readout = task, torch.nn.Identity()

    def whole(self, inputs, ends=None):
        patterns = torch.as_tensor(self.task.sequences()).float()
        return -((inputs[:, None] - patterns) ** 2).sum((2, 3))

    def forward(self, inputs):
        return torch.as_tensor(self.task.sequences())[inputs[:, 0].argmax(1)].float() + 0.1


def test_scores_are_shares_of_wrong_answers_and_mean_squares():
    """With as much noise as this the nearest pattern is the right one but for a share below 1e-3."""
    assert PatternsLesson(ManyToOne(4, 20, 2, noise=0.3)).score(Nearest(ManyToOne(4, 20, 2))) < 1e-3
    assert PatternsLesson(OneToMany(4, 20, 2, noise=0.1)).score(Nearest(OneToMany(4, 20, 2))) == pytest.approx(
        0.01, rel=1e-4
    )


def test_a_network_learns_which_sequence_it_read(tmp_path):
    learned = learner("many-to-one", "rnn")(tmp_path, patterns=3, length=8, units=8, batch=16, steps=100)
    assert learned.learned
    assert learned.metrics["test_error"] <= 0.05


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("both", [False, True])
def test_what_is_left_of_sequences_is_their_last_state_in_each_direction(cell, both):
    """Of packed sequences torch gives the last h of each; of a variant, that of each sequence alone."""
    network = RecurrentNetwork(cell, 3, 4, 2, layers=2, bidirectional=both, seed=2)
    inputs, ends = torch.randn(6, 9, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([8, 2, 5, 0, 5, 8])
    with torch.no_grad():
        found = network.whole(inputs, ends)
        if cell in ("lstm-peephole", "lstm-coupled"):
            last = torch.cat([network.rnn(inputs[i : i + 1, : end + 1])[1][0] for i, end in enumerate(ends)], dim=1)
        else:
            packed = pack_padded_sequence(inputs, ends + 1, batch_first=True, enforce_sorted=False)
            h = network.rnn(packed)[1]
            last = h[0] if isinstance(h, tuple) else h
    expected = torch.cat([last[-2], last[-1]], dim=1) if both else last[-1]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network.whole(inputs[:1]), network.whole(inputs[:1], torch.tensor([8])))


def test_the_halves_of_a_bidirectional_run_are_those_of_its_network(tmp_path):
    course = flipflop_course("lstm", bits=2, units=3, steps=2, bidirectional=True)
    learned = course.run(tmp_path, snapshots=1)
    assert learned.network is None
    x, u = torch.rand(5, 6, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64)
    for direction, half in course.network.directions().items():
        torch.testing.assert_close(dynsys.load(tmp_path, direction=direction).velocity(x, u), half.velocity(x, u))
    with pytest.raises(CheckpointError, match=r"bidirectional.*--direction forward"):
        dynsys.load(tmp_path)
    assert len(list((tmp_path / "snapshots").iterdir())) == 2


def test_a_deep_network_of_strings_is_the_system_of_all_of_its_layers():
    network, task = StringNetwork("gru", 4, layers=2, seed=3), Retrieval()
    system, strings = network.system(task), task.sets(1, some=5)["some"]
    assert system.n_state == 8
    inputs = torch.eye(len(CHARACTERS), dtype=torch.float64)[torch.as_tensor(strings.characters.T)]
    last = simulate(system, torch.zeros(5, 8, dtype=torch.float64), inputs)[-1]
    torch.testing.assert_close(
        system.readout(last).float(), network(torch.as_tensor(strings.characters)).detach(), rtol=1e-4, atol=1e-5
    )


def test_the_halves_of_a_bidirectional_network_of_strings_take_characters():
    network = StringNetwork("gru", 4, bidirectional=True, seed=3)
    weights = network.weights("rnn.")
    embedded = network.embedding.weight.detach().double()
    for end in ("", "_reverse"):
        own = getattr(network.network.rnn, f"weight_ih_l0{end}").detach().double()
        torch.testing.assert_close(weights[f"rnn.weight_ih_l0{end}"], own @ embedded.T)


def test_the_command_trains_both_kinds_and_says_how_to_go_on(tmp_path):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ["train", *map(str, arguments)])
        assert result.exit_code == code, result.output + result.stderr
        return result

    size = ["--units", 3, "--steps", 100, "--patterns", 3, "--length", 7, "--batch", 4]
    said = run("one-to-many", "irnn", "-o", tmp_path / "a", *size, "--bidirectional", "--layers", 2).stdout
    assert "test MSE" in said
    assert "--direction forward --activation relu" in said
    assert "test error" in run("many-to-one", "rnn", "-o", tmp_path / "b", *size, "--noise", 0.5).stdout
    assert dynsys.load(tmp_path / "b").task == ManyToOne(3, 7, 2, 0.5, 0)
    assert "noise is no choice" in run("flipflop", "rnn", "-o", tmp_path / "c", "--noise", 0.5, code=1).stderr
