"""The study of a training: points at every snapshot, the origin, how memories came to be, and mistakes."""

import dataclasses
import json
import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dynsys
from dynsys.analyses.evolve import study
from dynsys.analyses.evolve.completeness import KINKS, of_the_indices, warnings
from dynsys.analyses.evolve.evolution import DIAGRAM, Evolution, Evolve
from dynsys.analyses.evolve.frames import RELEASES, Frames, Origin, make_frames, origin_of
from dynsys.analyses.evolve.report import chosen_stills
from dynsys.analyses.evolve.stable_points import stable_points
from dynsys.analyses.evolve.words import event_rows, of_the_list, results, sentences, stable_rows
from dynsys.analyses.evolve.words import way as way_of
from dynsys.analyses.portrait import states_released
from dynsys.analyses.report import scenes_of
from dynsys.cli import main
from dynsys.continuation.curve import STUCK
from dynsys.continuation.diagram import Bifurcation, Branch, Diagram, Event
from dynsys.continuation.events.stable import of_stable_points
from dynsys.models.training.snapshots import read_snapshots
from dynsys.search.find import SearchInterrupted
from dynsys.systems.family import FamilyOf
from dynsys.trajectories.projection import Projection


def quiet(stage, done, total):
    pass


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + result.stderr
    if code == 1:
        assert len([line for line in result.stderr.splitlines() if not line.endswith("%")]) == 1
    return result


@pytest.fixture(scope="module")
def esn(tmp_path_factory):
    """One bit on sixty units, and what the command printed about it."""
    folder = tmp_path_factory.mktemp("esn")
    run("train", "flipflop", "esn", "--units", 60, "--bits", 1, "--snapshots", "log:8", "-o", folder)
    result = run("evolve", folder, "--json", "--jobs", 1)
    return folder, json.loads(result.stdout) | {"told": result.stderr.splitlines()}


def test_the_points_are_those_that_a_search_of_the_snapshot_finds(esn):
    folder, printed = esn
    family = read_snapshots(folder)
    assert printed["steps"] == family.steps.tolist()
    for i in (0, 4, 7):
        found = dynsys.find_fixed_points(family.at(float(family.steps[i])), n_starts=64)
        assert found.search.index_sum == 1
        most = len(printed["counts"][i])
        assert printed["counts"][i] == np.bincount(found.n_unstable, minlength=most).tolist()


def test_it_says_first_how_many_snapshots_there_are_and_how_long_following_takes(esn):
    _, printed = esn
    lines = [line for line in printed["told"] if not line.endswith("%")]
    last, first, middle = (sum(printed["counts"][i]) for i in (7, 0, 4))
    assert lines == [
        "8 snapshots of a network of 60 units: 3 of them are searched, and the points followed through all.",
        lines[1],
    ]
    assert lines[1].startswith(f"The searches found {last}, {first} and {middle} fixed points; following them takes")
    assert re.search(r"takes about \d+ (s|min) more\.$", lines[1])


def test_the_origin_has_the_unstable_directions_of_its_weights(esn):
    """J = W_r + W_fb W_out - 1 at 0, since tanh'(0) is 1."""
    folder, printed = esn
    family = read_snapshots(folder)
    assert printed["origin"]["is_zero"]
    for i, step in enumerate(family.steps):
        weights = family.at(float(step)).W.numpy()
        values = np.linalg.eigvals(weights) - 1
        assert printed["origin"]["n_unstable"][i] == int((values.real > 0).sum())
        assert printed["origin"]["leading"][i][0] == pytest.approx(values.real.max())


def test_what_is_printed_says_how_many_directions_the_origin_has_at_first(esn):
    folder, printed = esn
    n = printed["origin"]["n_unstable"][0]
    lines = run("evolve", folder).stdout
    assert f"The origin has {n} unstable direction" in lines
    assert printed["claims"]["origin_stable_at_first"] is (n == 0)


def test_a_second_run_reads_what_the_first_has_left(esn, monkeypatch):
    folder, printed = esn

    def refuse(*arguments, **settings):
        raise AssertionError("it was computed again")

    for name in ("follow", "make_frames", "origin_of"):
        monkeypatch.setattr(study, name, refuse)
    result = run("evolve", folder, "--json")
    again = json.loads(result.stdout)
    assert again.pop("resumed") is True
    assert {key: value for key, value in printed.items() if key not in ("resumed", "told")} == again
    assert "had been followed before" in result.stderr
    for settings, again in ((Evolve(seed=1), False), (Evolve(), True)):
        with pytest.raises(AssertionError, match="computed again"):
            study.run(settings, folder, None, quiet, again)


def test_snapshots_of_another_training_are_followed_afresh(esn, tmp_path):
    folder, _ = esn
    shutil.copytree(folder, tmp_path / "run")
    first = study.fingerprint(Evolve(), folder)
    assert study.fingerprint(Evolve(jobs=7), tmp_path / "run") == first
    assert study.fingerprint(Evolve(input=(0.0,)), folder) != first
    sorted((tmp_path / "run" / "snapshots").iterdir())[3].unlink()
    assert study.fingerprint(Evolve(), tmp_path / "run") != first


CODE = ["continuation/walk.py", "search/find.py", "stability/spectrum.py", "models/rate/echo_state.py"]


@pytest.mark.parametrize("changed", CODE)
def test_another_version_of_any_code_follows_afresh(esn, tmp_path, monkeypatch, changed):
    folder, _ = esn
    first = study.fingerprint(Evolve(), folder)
    shutil.copytree(dynsys.__path__[0], tmp_path / "dynsys", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(dynsys, "__path__", [str(tmp_path / "dynsys")])
    assert study.fingerprint(Evolve(), folder) == first
    with (tmp_path / "dynsys" / changed).open("a") as file:
        file.write("# another step\n")
    assert study.fingerprint(Evolve(), folder) != first
    monkeypatch.undo()
    monkeypatch.setattr(study, "version", lambda name: "0.0.0")
    assert study.fingerprint(Evolve(), folder) != first


def test_a_narrow_terminal_shows_step_and_kind_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "52")
    sentence = "A stable point and a point with 1 unstable direction are born together."
    lines = import_module("dynsys.cli.studies.evolve").event_line("29,688.1", "Neimark-Sacker", sentence).splitlines()
    assert lines[0].split()[:3] == ["29,688.1", "Neimark-Sacker", "A"]
    assert max(map(len, lines)) <= 52
    assert [line[:28].strip() for line in lines[1:]] == [""] * (len(lines) - 1)
    assert " ".join(line[28:] for line in lines) == sentence


def test_the_report_is_one_page_with_all_pictures(esn):
    folder, _ = esn
    page = (folder / "evolve" / "report.html").read_text()
    assert page.count("Plotly.newPlot(") == 6
    assert page.count("Plotly.addFrames(") == 2
    assert "dynsys evolve" in page
    diagram = Diagram.load(folder / "evolve" / DIAGRAM)
    saved = json.loads((folder / "evolve" / "results.json").read_text())
    assert saved["schema"] == "dynsys.evolution/1"
    assert saved["points"] == diagram.counts().sum(axis=1).tolist()


def test_five_scenes_are_on_the_page(esn):
    from dynsys.analyses.evolve.report import sections

    evolution = study.run(Evolve(), esn[0], None, quiet)
    figures = [figure for section in sections(evolution) for figure in section.figures]
    assert sum(map(scenes_of, figures)) == 1 + len(chosen_stills(evolution.diagram)) <= 5


def test_every_snapshot_starts_from_the_same_states_and_ends_where_its_own_network_leads(esn):
    evolution = study.run(Evolve(), esn[0], None, quiet)
    released = evolution.frames.releases
    assert np.isfinite(released).all()
    assert np.abs(released[:, :, 0] - released[0, :, 0]).max() < 1e-5 * np.abs(released[0, :, 0]).max()
    assert np.abs(released[-1, :, -1] - released[0, :, -1]).max() > 0.1
    family, last = read_snapshots(esn[0]), evolution.diagram.steps[-1]
    system = family.at(float(last))
    task = system.task_trajectories(1000, 3, 0).numpy()
    ends = evolution.frames.axes.transform(task[-1])
    assert np.allclose(evolution.frames.trajectories[-1, :, -1], ends, atol=1e-4)


def moving(steps):
    """tau x' = -(x - s): one stable point that is at s, and at the origin for s = 0 only."""
    return FamilyOf(lambda s: dynsys.Flow(lambda x, u: s - x, n_state=2), steps)


def test_where_0_is_no_fixed_point_the_nearest_branch_stands_for_the_origin():
    steps = np.array([1.0, 2.0, 3.0])
    states = np.stack([steps, steps], axis=1)
    values = np.full((3, 2), -1.0 + 0j)
    rows = (np.zeros(3, dtype=np.int64), values, np.zeros((3, 0)), np.arange(3))
    near, far = Branch(4, steps, states, *rows), Branch(5, steps, states + 9, *rows)
    diagram = diagram_of(steps, [far, near], [])
    found = origin_of(moving(steps), diagram, quiet)
    assert found.branch == 4
    assert not found.is_zero
    assert np.allclose(found.eigenvalues, -1)
    assert found.n_unstable.tolist() == [0, 0, 0]


def test_a_branch_that_ends_has_no_eigenvalues_from_there_on():
    steps = np.array([1.0, 2.0, 3.0])
    some = Branch(0, steps[:2], np.stack([steps[:2]] * 2, axis=1), np.zeros(2, dtype=np.int64),
                  np.full((2, 2), -1.0 + 0j), np.zeros((2, 0)), np.arange(2))  # fmt: skip
    found = origin_of(moving(steps), diagram_of(steps, [some], []), quiet)
    assert found.n_unstable.tolist() == [0, 0, -1]
    assert np.isnan(found.eigenvalues[2]).all()


def test_releases_end_where_they_leave_for_infinity_and_the_axes_do_not_mind():
    steps = np.array([0.0, 1.0])
    family = FamilyOf(lambda s: dynsys.Flow(lambda x, u: 6 * x, n_state=3), steps)
    frames = make_frames(family, diagram_of(steps, [], []), 0, quiet)
    kept = frames.runs("releases")
    assert all(1 <= len(one) < frames.releases.shape[2] for one in kept[0])
    assert all(np.isfinite(one).all() for one in kept[0])
    assert frames.runs("trajectories") == [[], []]  # no task is known


def test_a_run_that_leaves_does_not_outweigh_all_others_in_the_axes():
    """x' = -x from random states but for one, x' = 3 x: the way out of one run is no component of the picture."""
    steps, n = np.array([0.0, 1.0]), 6
    rest = FamilyOf(lambda s: dynsys.Flow(lambda x, u: -x, n_state=n), steps)
    starts = states_released(rest.at(0.0), rest.u, RELEASES, 0)
    way = starts[starts.norm(dim=1).argmax()]
    along = way / way.norm()

    def velocity(x, u):
        leaves = ((x @ along) / x.norm(dim=1) > 1 - 1e-6).unsqueeze(1)
        return torch.where(leaves, 3 * x, -x)

    frames = make_frames(
        FamilyOf(lambda s: dynsys.Flow(velocity, n_state=n), steps), diagram_of(steps, [], []), 0, quiet
    )
    ended = ~np.isfinite(frames.releases).all(axis=(2, 3))
    assert ended.sum(axis=1).tolist() == [1, 1]
    calm = make_frames(rest, diagram_of(steps, [], []), 0, quiet)
    assert frames.axes.explained_variance_ratio[0] < 1.3 * calm.axes.explained_variance_ratio[0] < 0.95


def diagram_of(steps, branches, events):
    about = {"kind": "flow", "n_state": 2, "time_constant": 1.0}
    sums, searched = np.ones(len(steps), dtype=np.int64), np.zeros(len(steps), dtype=bool)
    return Diagram(np.array(steps), tuple(branches), tuple(events), sums, searched, 0.0, (), True, about)


def line(number, steps, first, n_unstable, **ends):
    """A branch that is there from the snapshot ``first`` on."""
    n = np.array(n_unstable, dtype=np.int64)
    s, at = np.array(steps[first : first + len(n)]), np.arange(first, first + len(n))
    return Branch(
        number, s, np.zeros((len(n), 2)), n, np.zeros((len(n), 2), complex), np.zeros((len(n), 1)), at, **ends
    )


def event(number, kind, time, branches):
    return Event(number, kind, time, (np.floor(time), np.ceil(time)), branches, np.zeros(2), 0j, "so it was")


def test_how_a_memory_came_to_be_is_told_from_its_branch_and_its_events():
    steps = [0.0, 1.0, 2.0, 3.0]
    old = line(0, steps, 0, [0, 0, 0, 0])
    born = line(1, steps, 2, [0, 0], born=7)
    tamed = line(2, steps, 0, [1, 1, 0, 0])
    lost = line(3, steps, 0, [0, 0], died=9)
    saddle = line(4, steps, 0, [1, 1, 1, 1])
    events = [event(7, Bifurcation.FOLD, 1.5, (1,)), event(8, Bifurcation.PITCHFORK, 1.25, (2, 5)),
              event(9, Bifurcation.FOLD, 1.75, (3,)), event(6, Bifurcation.HOPF, 0.5, (2,))]  # fmt: skip
    found = stable_points(diagram_of(steps, [old, born, tamed, lost, saddle], events), False)
    assert {p.branch: (way_of(p), p.since) for p in found} == {
        0: ("there from the start", 0.0),
        1: ("born in a fold", 1.5),
        2: ("made stable by a pitchfork", 1.25),
    }


def test_where_a_branch_was_lost_nothing_is_claimed_of_what_came_before_or_after():
    """A branch that begins at step 2 without an event was not there from the start, as far as is known."""
    steps = [0.0, 1.0, 2.0, 3.0]
    some, gone = line(0, steps, 2, [0, 0], lost="no step was short enough"), line(1, steps, 0, [0, 0], lost="so too")
    diagram = diagram_of(steps, [some, gone], [])
    (point,) = stable_points(diagram, False)
    assert way_of(point) == "not known, its branch was lost"
    assert warnings(diagram)[0].startswith("Not whole: 2 of 2 branches were lost from sight on the way (0, 1)")
    n_unstable = np.array([0, 0, -1, -1])
    evolution = evolution_of(diagram, Origin(1, np.where(n_unstable < 0, np.nan, -1.0)[:, None] + 0j, n_unstable))
    told = " ".join(sentences(evolution))
    assert told.startswith("Not whole")
    assert "is stable at first, and for as long as it was followed." in told
    assert "lost from sight after step 1: what became of it is not known" in told
    assert "stays so" not in told
    assert "is no more" not in told


def test_where_all_branches_of_a_relu_network_stop_nothing_is_said_of_events():
    steps = [0.0, 1.0, 2.0]
    some, other = line(0, steps, 0, [0, 0], lost=STUCK), line(1, steps, 1, [0, 0], lost=STUCK)
    smooth = diagram_of(steps, [some, other], [])
    relu = dataclasses.replace(smooth, about={**smooth.about, KINKS: True})
    assert len(warnings(smooth)) == 1
    assert "walks stop at the kinks" in warnings(relu)[1]
    told = " ".join(sentences(evolution_of(relu, None)))
    assert "all branches were lost: of events nothing is known." in told
    assert "No event. " not in told
    whole = diagram_of(steps, [line(0, steps, 0, [0, 0, 0])], [])
    assert "No event. A pair of eigenvalues that crosses and comes back" in " ".join(
        sentences(evolution_of(whole, None))
    )


def test_a_relu_network_is_known_to_have_kinks(tmp_path):
    run("train", "flipflop", "irnn", "-o", tmp_path, "--bits", 1, "--units", 4, "--steps", 100, "--snapshots", "log:3")
    told = run("evolve", tmp_path, "--searches", 2).stdout
    about = json.loads((tmp_path / "evolve" / "results.json").read_text())["system"]
    assert about[KINKS] is True
    assert "kinks" not in told or "Not whole" in told  # a branch may be lost in another way


def test_a_point_that_is_lost_in_an_event_is_no_more_from_there_on():
    steps = [0.0, 1.0, 2.0, 3.0]
    diagram = diagram_of(steps, [line(1, steps, 0, [0, 0], died=4)], [event(4, Bifurcation.FOLD, 1.5, (1,))])
    origin = Origin(1, np.array([-1, -1, np.nan, np.nan])[:, None] + 0j, np.array([0, 0, -1, -1]))
    assert "is no more from step 1.5 on, where it is lost in a fold." in " ".join(
        sentences(evolution_of(diagram, origin))
    )
    assert warnings(diagram) == []


def test_a_stable_point_with_an_output_near_zero_is_no_memory():
    steps = [0.0, 1.0]
    outputs = [(0.9, -1.1), (0.4, 1.0), (0.7, -0.6), (-1.0, 1.0)]  # the third has the bits of the first
    branches = [
        dataclasses.replace(line(i, steps, 0, [0, 0]), readouts=np.tile(z, (2, 1))) for i, z in enumerate(outputs)
    ]
    diagram = diagram_of(steps, branches, [])
    assert [point.memory for point in stable_points(diagram, True)] == [True, False, False, True]
    assert {point.memory for point in stable_points(diagram, False)} == {None}
    evolution = evolution_of(diagram, None)
    assert "2 memories at step 1: 2 there from the start." in sentences(evolution)
    assert "2 points that are stable but no memory at step 1: 2 there from the start." in sentences(evolution)
    found = results(evolution)
    assert [m["branch"] for m in found["memories"]] == [0, 3]
    assert [m["branch"] for m in found["stable_no_memory"]] == [1, 2]


def test_indices_that_add_up_are_not_said_to_prove_that_all_is_there():
    steps = [0.0, 1.0, 2.0]
    diagram = diagram_of(steps, [], [])
    assert "missing in pairs that cancel; 0 of 3 snapshots were searched afresh" in of_the_indices(diagram)
    wrong = dataclasses.replace(diagram, index_sums=np.array([1, 3, 1]))
    assert warnings(wrong) == ["Points are missing at step 1: the indices do not add up to 1 there."]
    assert "every snapshot" not in of_the_indices(wrong)


def evolution_of(diagram, origin):
    nothing = np.zeros((len(diagram.steps), 0, 0, 3), dtype=np.float32)
    frames = Frames(Projection.fit(np.eye(3)), nothing, nothing)
    return Evolution(diagram, frames, origin, "esn", True, Path(), False)


def test_stills_are_the_first_the_last_and_those_where_memories_have_come():
    steps = list(map(float, range(8)))
    corners = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)]  # two of them lie as far apart as all four

    def square(firsts):
        made = [line(i, steps, first, [0] * (8 - first)) for i, first in enumerate(firsts)]
        placed = [dataclasses.replace(b, states=np.tile(x, (len(b), 1))) for b, x in zip(made, corners, strict=True)]
        return diagram_of(steps, placed, [])

    assert chosen_stills(square((1, 4, 5, 6))) == [0, 4, 5, 7]
    assert chosen_stills(square((0, 0, 4, 6))) == [0, 2, 4, 7]  # apart from the first on: a quarter of the way


@pytest.mark.parametrize("picture", ["evolution", "bifurcations"])
def test_its_pictures_are_drawn_again_from_the_folder(esn, tmp_path, picture):
    run("portrait", esn[0], "-o", tmp_path / "a.html", "--picture", picture)
    run("portrait", esn[0] / "evolve", "-o", tmp_path / "b.html", "--picture", picture)
    pages = [(tmp_path / name).read_text() for name in ("a.html", "b.html")]
    assert all("Echo state network, 60 state variables" in page for page in pages)
    assert ("Plotly.addFrames(" in pages[0]) == (picture == "evolution")


def test_pictures_of_a_run_that_was_not_studied(tmp_path):
    assert "dynsys evolve" in run("portrait", tmp_path, "--picture", "evolution", code=1).stderr


def test_the_help_names_the_number_of_searches_that_is_usual():
    assert f"[{Evolve().searches}]" in run("evolve", "--help").stdout


def test_events_are_those_of_stable_points_or_all_and_mirror_images_share_a_row():
    steps = [0.0, 1.0, 2.0, 3.0]
    branches = [line(0, steps, 0, [0, 1, 1, 1]), line(1, steps, 0, [0, 1, 1, 1]), line(2, steps, 0, [5, 5, 3, 3])]
    events = [event(0, Bifurcation.FLIP, 0.5, (0,)), event(1, Bifurcation.FLIP, 0.5, (1,)),
              event(2, Bifurcation.HOPF, 1.5, (2,)), event(3, Bifurcation.HOPF, 2.5, (0,))]  # fmt: skip
    diagram = diagram_of(steps, branches, events)
    assert of_stable_points(diagram).tolist() == [True, True, False, False]
    assert [row["what"] for row in event_rows(diagram, stable_only=True)] == ["so it was (2 times)"]
    assert [row["step"] for row in event_rows(diagram)] == ["0.5", "1.5", "2.5"]
    assert of_the_list(diagram).startswith("Listed are the events at which a point is stable: 2 of 4,")


def test_events_name_the_branches_of_the_table_of_stable_points_and_what_they_say():
    """Readouts on the line s and its mirror image -s: at an event at s = 1.25 they are +-1.25."""
    steps = [0.0, 1.0, 2.0, 3.0]
    up = dataclasses.replace(line(4, steps, 0, [1, 1, 0, 0]), readouts=np.array([[s, -2 * s] for s in steps]))
    down = dataclasses.replace(up, id=7, readouts=-up.readouts)
    events = [event(i, Bifurcation.PITCHFORK, 1.25, (name,)) for i, name in enumerate((4, 7))]
    evolution = evolution_of(diagram_of(steps, [up, down], events), None)
    (row,) = event_rows(evolution.diagram, stable_only=True)
    assert (row["branches"], row["readout"]) == ("4; 7", "+1.25 -2.50")
    assert {str(point["branch"]) for point in stable_rows(evolution)} == set(row["branches"].split("; "))


class TestMistakes:
    def copy(self, esn, tmp_path):
        shutil.copytree(esn[0], tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "evolve")
        return tmp_path / "run", sorted((tmp_path / "run" / "snapshots").iterdir())

    def test_a_run_that_there_is_not(self, tmp_path):
        assert "nowhere" in run("evolve", tmp_path / "nowhere", code=1).stderr

    def test_a_run_without_snapshots_is_told_how_to_get_some(self, esn, tmp_path):
        folder, _ = self.copy(esn, tmp_path)
        shutil.rmtree(folder / "snapshots")
        assert "--snapshots" in run("evolve", folder, code=1).stderr
        assert not (folder / "evolve").exists()

    def test_a_cut_snapshot_is_named(self, esn, tmp_path):
        folder, files = self.copy(esn, tmp_path)
        files[2].write_bytes(files[2].read_bytes()[:-40])
        assert files[2].name in run("evolve", folder, code=1).stderr

    def test_snapshots_of_another_network(self, esn, tmp_path):
        folder, files = self.copy(esn, tmp_path)
        run(
            "train",
            "flipflop",
            "esn",
            "--units",
            40,
            "--bits",
            1,
            "--steps",
            100,
            "--snapshots",
            50,
            "-o",
            tmp_path / "b",
        )
        shutil.copy(tmp_path / "b" / "snapshots" / "step_00000050.safetensors", files[1])
        assert "of another run" in run("evolve", folder, code=1).stderr

    def test_an_input_of_the_wrong_length(self, esn):
        assert "takes 1" in run("evolve", esn[0], "--input", "0,0", code=1).stderr

    def test_a_search_that_is_interrupted_claims_no_points_that_are_written(self, esn, tmp_path, monkeypatch):
        def interrupted(*arguments, **settings):
            raise SearchInterrupted(points)

        points = dynsys.find_fixed_points(dynsys.load("simple2d"), n_starts=8)
        monkeypatch.setattr(study, "follow", interrupted)
        result = run("evolve", esn[0], "-o", tmp_path / "new", code=130)
        assert "Interrupted." in result.stderr
        assert "written." not in result.stderr.replace("half-written.", "")
        assert list((tmp_path / "new").iterdir()) == []

    def test_a_place_that_cannot_be_written(self, esn, tmp_path):
        (tmp_path / "file").write_text("")
        assert "cannot be written" in run("evolve", esn[0], "-o", tmp_path / "file" / "x", code=1).stderr


def test_a_gated_network_is_studied_with_a_held_input(tmp_path):
    folder = tmp_path / "gru"
    run("train", "flipflop", "gru", "--units", 4, "--bits", 1, "--steps", 100, "--snapshots", "log:5", "-o", folder)
    printed = json.loads(run("evolve", folder, "--input", "0.5", "--searches", 2, "--json").stdout)
    system = dynsys.load(folder)
    assert printed["network"] == "gru"
    assert not printed["origin"]["is_zero"]
    found = dynsys.find_fixed_points(system, input=[0.5], n_starts=64)
    last = read_snapshots(folder).at(100.0)
    assert torch.equal(last.layers[0].weight_hh, system.layers[0].weight_hh)  # validated once, at its end
    assert printed["points"][-1] == len(found)
    written = json.loads((folder / "evolve" / "results.json").read_text())
    assert "--input 0.5 --searches 2" in written["command"]
