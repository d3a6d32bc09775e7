"""Points followed over the held input: folds where they are known in closed form, loops that move memories."""

import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dynsys
from dynsys import Flow, Map
from dynsys.cli import main
from dynsys.continuation.inputs import InputDiagram, InputPath, follow_inputs
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.systems.held import HeldInput
from dynsys.testing import check_system

SWITCH = Flow(lambda x, u: x - x**3 + u[:, :1], n_state=1, n_input=1, bounds=(-3, 3), name="switch")
FOLD = 2 / 27**0.5  # |u| at which x - x^3 + u has a double root


@pytest.fixture(scope="module")
def once_up():
    return follow_inputs(SWITCH, [[0.0], [1.0], [0.0]], searches=2)


class TestEvents:
    def test_folds_lie_where_the_cubic_has_a_double_root(self, once_up):
        assert [str(event.kind) for event in once_up.events] == ["fold", "fold"]
        for event in once_up.events:
            assert event.input == pytest.approx([FOLD], abs=1e-8)
            assert event.state == pytest.approx([-(3**-0.5)], abs=1e-4)
            assert event.sentence.startswith("At input (0.3849): ")

    def test_a_unit_with_tanh_turns_where_its_closed_form_says(self):
        """h' = tanh(w h + u): the fold is at |u| = w sqrt(1 - 1/w) - atanh sqrt(1 - 1/w)."""
        unit = Map(lambda x, u: torch.tanh(2 * x + u), n_state=1, n_input=1, bounds=(-1, 1))
        diagram = follow_inputs(unit, [[-1.0], [0.0]], searches=2)
        assert [event.input[0] for event in diagram.events] == pytest.approx([-0.532839975], abs=1e-8)
        figure = dynsys.plots.bifurcation_diagram(diagram)  # drawn over that input
        assert figure.layout.xaxis.title.text == "input 1"
        (fold,) = [trace.x for trace in figure.data if trace.name == "fold"]
        assert fold[0] == pytest.approx(-0.532839975, abs=1e-8)

    def test_states_far_from_the_origin_are_followed_all_the_same(self):
        far = Flow(lambda x, u: (x - 1e6) - (x - 1e6) ** 3 + u, n_state=1, n_input=1, bounds=(1e6 - 3, 1e6 + 3))
        diagram = follow_inputs(far, [[0.0], [1.0]], searches=2)
        assert [event.input[0] for event in diagram.events] == pytest.approx([FOLD], abs=1e-6)
        assert not any(branch.lost for branch in diagram.branches)

    def test_two_inputs_bend_the_path_at_a_vertex(self):
        system = Flow(lambda x, u: x - x**3 + (u[:, :1] + 2 * u[:, 1:]), n_state=1, n_input=2, bounds=(-3, 3))
        diagram = follow_inputs(system, [[0.0, 0.0], [0.2, 0.0], [0.2, 0.5]], searches=2)
        (event,) = diagram.events
        assert event.input == pytest.approx([0.2, (FOLD - 0.2) / 2], abs=1e-8)

    def test_a_pair_of_eigenvalues_crosses_at_its_input(self):
        """r' = u r - r^3, theta' = 1: Hopf at u = 0.25 - 0.25 = 0."""
        turned = Flow(
            lambda x, u: u[:, :1] * x + torch.stack([-x[:, 1], x[:, 0]], 1) - x * (x**2).sum(1, keepdim=True),
            n_state=2,
            n_input=1,
            bounds=(-2, 2),
        )
        (event,) = follow_inputs(turned, [[-0.3], [0.5]], searches=2).events
        assert str(event.kind) == "Hopf"
        assert event.input == pytest.approx([0.0], abs=1e-8)


class TestPoints:
    def test_those_at_the_vertices_are_those_of_the_held_network(self, once_up):
        assert np.sort(once_up.points_at(0).states.ravel()) == pytest.approx([-1, 0, 1], abs=1e-10)
        (real,) = (root.real for root in np.roots([-1, 0, 1, 1]) if abs(root.imag) < 1e-9)
        assert once_up.points_at(1).states.ravel() == pytest.approx([real], abs=1e-10)
        assert np.sort(once_up.points_at(-1).states.ravel()) == pytest.approx([-1, 0, 1], abs=1e-10)
        with pytest.raises(IndexError, match="0 to 2"):
            once_up.points_at(3)

    def test_a_vertex_at_a_fold_has_a_marginal_point(self):
        """x' = u - x^2: two points for u > 0, which meet at u = 0."""
        fold = Flow(lambda x, u: u[:, :1] - x**2, n_state=1, n_input=1, bounds=(-3, 3))
        diagram = follow_inputs(fold, [[1.0], [0.0]], searches=2)
        assert sorted(diagram.points_at(0).stability) == ["stable", "unstable"]
        assert diagram.points_at(1).stability.tolist() == ["marginal"]

    def test_once_up_and_down_sets_the_memory(self, once_up):
        states = once_up.points_at(0).states.ravel()
        stable = np.flatnonzero(once_up.points_at(0).n_unstable == 0)
        assert len(once_up.carried) == len(stable) == 2
        assert once_up.points_at(-1).states.ravel()[once_up.carried] == pytest.approx([1.0, 1.0])
        assert states[stable].min() == pytest.approx(-1)
        assert once_up.sentence == "Once around, slowly, takes the stable points 0 to 0, 1 to 0."

    @pytest.mark.parametrize("peak", [0.3852, 0.3848])
    def test_whether_a_memory_is_lost_is_told_by_the_fold_and_not_by_a_speed(self, peak):
        diagram = follow_inputs(SWITCH, [[0.0], [peak], [0.0]], searches=2)
        before = diagram.points_at(0).states.ravel()
        after = diagram.points_at(-1).states.ravel()[diagram.carried]
        stay = before[diagram.points_at(0).n_unstable == 0]
        assert after == pytest.approx(np.ones(2) if peak > FOLD else stay)

    def test_a_branch_that_leaves_the_states_is_told_with_the_inputs_between_which_it_was(self):
        """x = 1 / u is beyond 3 for u below 1/3, and gone at 0; the path goes down from 1."""
        far = Flow(lambda x, u: 1 - u * x, n_state=1, n_input=1, bounds=(-3, 3))
        diagram = follow_inputs(far, [[1.0], [0.0]], searches=2)
        (note,) = [note for note in diagram.notes if "was lost" in note]
        found = re.fullmatch(r".*between input \(1\) and input \((.*)\): it left the states that can be reached", note)
        assert 0 < float(found[1]) < 1 / 3
        assert diagram.sentence == "0 events on the path, 1 point at its beginning, 0 at its end."

    def test_a_slow_network_keeps_up_all_the_same(self):
        slow = Map(lambda x, u: x + 1e-4 * (u - x), n_state=1, n_input=1, bounds=(-2, 2))
        assert follow_inputs(slow, [[0.0], [1.0], [0.0]], searches=2).carried.tolist() == [0]

    def test_where_a_branch_is_left_by_chance_nothing_is_said(self):
        """u x + x^3 - x^5: 0 is stable for u < 0 only, and which of the outer two it leaves for is not decided."""
        system = Flow(lambda x, u: u * x + x**3 - x**5, n_state=1, n_input=1, bounds=(-2, 2))
        diagram = follow_inputs(system, [[-0.1], [0.5], [-0.1]], searches=2)
        stable = diagram.points_at(0).states.ravel()[diagram.points_at(0).n_unstable == 0]
        carried = dict(zip(stable.round(3).tolist(), diagram.carried.tolist(), strict=True))
        assert carried[0.0] == -1
        for state, number in carried.items():
            if state:
                assert diagram.points_at(-1).states[number, 0] == pytest.approx(state, abs=1e-3)

    def test_the_same_stable_points_as_fresh_searches_of_a_network(self):
        rng = np.random.default_rng(0)
        patterns = np.sign(rng.standard_normal((2, 12)))
        network = LeakyRate(2 * patterns.T @ patterns / 12, B=rng.standard_normal((12, 1)))
        diagram = follow_inputs(network, [[0.0], [0.2], [0.4]])
        for k, u in enumerate([0.0, 0.2, 0.4]):
            fresh = dynsys.find_fixed_points(network, input=[u], n_starts=256, verify=False)
            wanted = fresh.states[fresh.n_unstable == 0]
            at = diagram.points_at(k)
            found = at.states[at.n_unstable == 0]
            assert len(found) == len(wanted)
            assert np.abs(found[:, None] - wanted[None]).max(axis=2).min(axis=0).max() < 1e-6


class TestTheHeldSystem:
    def test_is_a_system_as_every_other(self):
        network = LeakyRate(np.random.default_rng(0).standard_normal((5, 5)), B=np.ones((5, 2)))
        check_system(HeldInput(network, torch.tensor([[0.3, -0.1]], dtype=torch.float64)))

    def test_rate_of_change_along_the_path_is_that_of_f(self):
        network = LeakyRate(
            np.random.default_rng(0).standard_normal((5, 5)), B=np.random.default_rng(1).normal(size=(5, 2))
        )
        family = InputPath(network, np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 1.0]]))
        x = torch.linspace(-1, 1, 5, dtype=torch.float64)
        for p in (1.3, 7.7):
            differences = (family.velocity(x, p + 1e-6) - family.velocity(x, p - 1e-6)) / 2e-6
            assert family.rate(x, p, int(p)).numpy() == pytest.approx(differences.numpy(), abs=1e-8)


class TestFilesAndMistakes:
    def test_a_diagram_goes_to_disk_and_back(self, once_up, tmp_path):
        back = InputDiagram.load(once_up.save(tmp_path / "inputs.safetensors"))
        assert [event.sentence for event in back.events] == [event.sentence for event in once_up.events]
        assert back.events[0].input.tolist() == once_up.events[0].input.tolist()
        assert back.carried.tolist() == once_up.carried.tolist()
        assert len(back.points_at(1)) == 1

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ([[0.0, 1.0]], "give vertices"),
            ([[0.0]], "2 at least"),
            ([[0.0], [np.nan]], "NaN"),
            ([[0.0], [1.0], [1.0]], "vertices 1 and 2"),
            ([[0.0], [1.0, 0.0]], "have 1, 2 numbers; switch takes inputs of 1"),
        ],
    )
    def test_a_path_that_is_none_is_told(self, path, words):
        with pytest.raises(ValueError, match=words):
            follow_inputs(SWITCH, path)

    def test_a_system_without_inputs_is_told(self):
        with pytest.raises(ValueError, match="takes no input"):
            follow_inputs(Flow(lambda x, u: -x, n_state=1), [[0.0], [1.0]])

    def test_the_command_writes_the_diagram(self, tmp_path):
        np.savez(tmp_path / "net.npz", W=np.array([[2.0]]), B=np.ones((1, 1)))
        options = ["--form", "rnn", "--matrix", "recurrent=W", "--matrix", "input=B", "--activation", "tanh"]
        ends = ["--from", "-1", "--to", "0"]
        arguments = ["inputs", str(tmp_path / "net.npz"), "-o", str(tmp_path / "run"), *options, *ends]
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["events"][0]["input"] == pytest.approx([-0.532839975], abs=1e-8)
        files = sorted(path.name for path in (tmp_path / "run").iterdir())
        pages = ["inputs.html", "inputs.json", "inputs.safetensors", "points.html", "portrait.html", "times.html"]
        assert files == pages
        assert CliRunner().invoke(main, arguments[:-4]).exit_code == 2


@pytest.mark.parametrize(("path", "is_told"), [([[0.0], [-1.0]], True), ([[1.0], [0.5]], False)])
def test_a_fold_at_the_very_end_of_a_path_is_told(path, is_told):
    """x' = u - x^2 has a double zero at u = 0, which only half of the states beside it come to."""
    fold = Flow(lambda x, u: u[:, :1] - x**2, n_state=1, n_input=1, bounds=(-3, 3))
    notes = follow_inputs(fold, path, workers=1).notes
    assert any("very input (0) was not resolved" in note for note in notes) == is_told
