"""The page about one network: what is known of it by mathematics is on it, and nothing is computed twice."""

import contextlib
import dataclasses
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from described import described

from dynsys import FixedPoints, Map, connections, find_fixed_points
from dynsys.analyses.one_network import study
from dynsys.analyses.one_network.pages import write_pages
from dynsys.analyses.one_network.report import memory_names, settling_section
from dynsys.analyses.one_network.study import Told, Whole
from dynsys.analyses.one_network.wandering import Wandering, exponents_of, wandering, wanders
from dynsys.analyses.report import Report, Section, page
from dynsys.cli import main
from dynsys.exponents.lyapunov import ExponentsInterrupted, lyapunov_exponents
from dynsys.exponents.spectrum import Exponents
from dynsys.io.errors import CheckpointError
from dynsys.result.memories import bits
from dynsys.trajectories.settling import Ending


def ignored(*_):
    """Progress that nobody looks at."""


def weights(path, *gains):
    """x' = tanh(gain x) of each of some units alone, whose outputs are the units: bistable where gain > 1."""
    n = len(gains)
    np.savez(path, **{"rnn.weight_hh_l0": np.diag(gains), "rnn.weight_ih_l0": np.ones((n, 1)),
                      "rnn.bias_hh_l0": np.zeros(n), "rnn.bias_ih_l0": np.zeros(n),
                      "readout.weight": np.eye(n), "readout.bias": np.zeros(n)})  # fmt: skip
    return path


def told_points(text):
    return json.loads(re.search(r'id="points-data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page of two bistable units, beside one at rest, as the command writes it."""
    folder = tmp_path_factory.mktemp("made")
    file = weights(folder / "two.npz", 2.0, 2.0, 0.5)
    result = CliRunner().invoke(main, ["report", str(file), "-o", str(folder / "two.html"), "--shared-js"])
    assert result.exit_code == 0, result.output
    return folder, (folder / "two.html").read_text()


def test_a_cycle_in_which_trajectories_settle_is_called_as_the_saddles_call_it(tmp_path):
    """x' = tanh(-2 x) jumps between two states, to which the origin, its only fixed point, leads."""
    points = find_fixed_points(Map(lambda x: (-2 * x).tanh(), n_state=1, bounds=(-1, 1)), n_starts=16, seed=0)
    told = Told(tmp_path, tmp_path, {}, points, points.system, connections=connections(points))
    (row,) = settling_section(told, memory_names(told)).table
    assert (row["they do"], row["memory"]) == ("settle in a cycle", told.connections.others[0].name)


def test_two_bistable_units_have_nine_points_and_four_memories_named_by_their_bits(made):
    _, text = made
    names = [point["name"] for point in told_points(text)["points"]]
    assert len(names) == 9
    assert {name.split(", ")[1].split(":")[0] for name in names[:4]} == {"− − 0", "− + 0", "+ − 0", "+ + 0"}
    assert "4 stable, 4 saddles with 1 unstable direction" in text


def test_a_saddle_of_the_page_has_the_slopes_of_its_two_units(made):
    """tanh(2x) has slope 2 at 0, and 2 (1 - x^2) at the root of x = tanh(2x), which is 0.9575."""
    _, text = made
    saddle = next(point for point in told_points(text)["points"] if ": saddle" in point["name"])
    values = [re for re, _ in saddle["eigenvalues"]]
    assert values == pytest.approx([2.0, 0.5, 2 * (1 - 0.9575040240772687**2)], abs=1e-4)


def test_the_page_tells_the_file_its_checksum_the_date_and_only_methods_that_were_used(made):
    import hashlib

    folder, text = made
    assert hashlib.sha256((folder / "two.npz").read_bytes()).hexdigest() in text
    assert re.search(r"\d+ \w+ 20\d\d, \d\d:\d\d UTC", text)
    assert 'href="https://doi.org/10.1162/NECO_a_00409"' in text
    assert "Benettin" not in text  # everything settles, and no exponent was computed


def test_plotly_js_lies_beside_a_page_that_shares_it(made):
    folder, text = made
    (name,) = re.findall(r'<script src="(plotly-[\d.]+min\.js)"', text)
    assert (folder / name).stat().st_size > 1e6
    assert len(text) < 1e6


def test_a_second_call_computes_nothing(made, monkeypatch):
    folder, text = made
    for part in ("search_and_save", "linear_modes", "branches", "shares"):
        monkeypatch.setattr(study, part, pytest.fail)
    write_pages(folder / "two.npz", folder / "two.html", Whole(), ignored, shared_js=True)
    assert told_points((folder / "two.html").read_text()) == told_points(text)


def test_ctrl_c_leaves_what_was_finished_and_a_page_that_says_so(made, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    path = tmp_path / "page.html"
    file = weights(tmp_path / "two.npz", 2.0, 0.5, 0.5)
    with monkeypatch.context() as patched:
        patched.setattr(study, "branches", interrupted)
        written = write_pages(file, path, Whole(), ignored, shared_js=True)
    assert written.interrupted
    assert "Interrupted" in path.read_text()
    assert "branches (it was interrupted)" in path.read_text()
    monkeypatch.setattr(study, "search_and_save", pytest.fail)
    written = write_pages(file, path, Whole(), ignored, shared_js=True)
    assert not written.interrupted
    assert "nterrupted" not in path.read_text().split("</header>")[0]


def test_a_page_is_not_written_over_the_points_of_another_network(tmp_path):
    assert CliRunner().invoke(main, ["find", "simple2d", "-o", str(tmp_path / "page_run")]).exit_code == 0
    with pytest.raises(CheckpointError, match="the points of another network"):
        write_pages(weights(tmp_path / "one.npz", 0.5), tmp_path / "page.html", Whole(), ignored)


def test_a_folder_has_a_page_for_each_network_and_says_what_is_none(tmp_path):
    (tmp_path / "in").mkdir()
    weights(tmp_path / "in" / "a.npz", 0.5)
    (tmp_path / "in" / "notes.txt").write_text("not a network")
    result = CliRunner().invoke(main, ["report", str(tmp_path / "in"), "-o", str(tmp_path / "all.html"), "--shared-js"])
    assert result.exit_code == 0, result.output
    index = (tmp_path / "all.html").read_text()
    (link,) = re.findall(r'<a href="(all_pages/[^"]+)">a\.npz</a>', index)
    assert (tmp_path / link).is_file()
    assert "notes.txt" in index
    assert len(list((tmp_path / "all_pages").glob("plotly*.js"))) == 1


def test_exponents_are_those_of_the_motion_that_does_not_settle(monkeypatch):
    """The logistic map at 4 is chaotic with exponent log 2."""
    monkeypatch.setattr("dynsys.analyses.one_network.wandering.MOST", 4)  # trajectories, to be quick
    logistic = Map(lambda x, u: 4 * x * (1 - x), n_state=1, bounds=(0, 1))
    points = described(logistic, [[0.0], [0.75]])
    found = exponents_of(wandering(points, logistic, 0), points, logistic, 0, None, ignored)
    assert found.values[0] == pytest.approx(np.log(2), abs=0.01)


def test_ctrl_c_keeps_the_exponents_of_the_longer_run(tmp_path, monkeypatch):
    """Growth of the logistic map over 40 steps, over 20, and over all: the first, again the first, and the last."""
    logistic = Map(lambda x, u: 4 * x * (1 - x), n_state=1, bounds=(0, 1))
    told = study.Told(tmp_path, tmp_path, {}, described(logistic, [[0.0], [0.75]]), logistic)
    kept = study.Kept(tmp_path, None)
    monkeypatch.setattr(study, "wanders", lambda *_: True)
    monkeypatch.setattr(study, "wandering", lambda *_: Wandering(np.array([[0.3]]), 1))
    runs = [(40, "interrupted"), (20, "interrupted"), (80, "")]

    def exponents(*_):
        steps, stopped = runs.pop(0)
        found = lyapunov_exponents(logistic, steps=steps, burn_in=20, starts=2)
        if stopped:
            raise ExponentsInterrupted(dataclasses.replace(found, stopped=stopped))
        return found

    monkeypatch.setattr(study, "exponents_of", exponents)
    for steps in (40, 40, 80):
        with contextlib.suppress(ExponentsInterrupted):
            study.PARTS["exponents"](told, Whole(), kept, ignored)
        assert told.exponents.steps == steps
        assert Exponents.load(tmp_path / "exponents.safetensors").steps == steps
    study.PARTS["exponents"](told, Whole(), kept, ignored)  # and nothing is computed again


def test_a_search_that_was_interrupted_goes_on_from_its_points(tmp_path):
    """The 27 points of three bistable units; Ctrl-C at once in the second search loses none of them."""
    file, path = weights(tmp_path / "three.npz", 2.0, 2.0, 2.0), tmp_path / "page.html"
    found = []
    for rounds in (2, 1):
        left = iter(range(rounds))

        def interrupting(stage, *_, left=left):
            if stage == "search" and next(left, None) is None:
                raise KeyboardInterrupt

        assert write_pages(file, path, Whole(), interrupting, shared_js=True).interrupted
        found.append(len(FixedPoints.load(tmp_path / "page_run" / "fixed_points.safetensors")))
    assert 0 < found[0] <= found[1]
    assert not write_pages(file, path, Whole(), ignored, shared_js=True).interrupted
    points = FixedPoints.load(tmp_path / "page_run" / "fixed_points.safetensors")
    assert (len(points), points.search.before) == (27, found[1])


def test_exponents_are_asked_for_where_a_trajectory_did_not_settle_and_nowhere_else():
    points = described(Map(lambda x, u: 0.5 * x, n_state=1, bounds=(-1, 1)), [[0.0]])
    for missed, asked in (({}, False), ({str(Ending.ESCAPED): 2}, False), ({str(Ending.UNSETTLED): 1}, True)):
        search = dataclasses.replace(points.search, settling={"not_settled": missed})
        assert wanders(dataclasses.replace(points, search=search), None) is asked


def test_memories_that_share_their_bits_have_none():
    assert bits({0: np.array([1.0, -1.0]), 1: np.array([-1.0, 1.0])}) == {0: "+ −", 1: "− +"}
    assert bits({0: np.array([1.0]), 1: np.array([0.9])}) == {}
    assert bits({0: np.zeros(0)}) == {}


def test_tables_have_heads_and_figures_have_words():
    import plotly.graph_objects as go

    from dynsys.plots import style

    figure = style.captioned(go.Figure(go.Scatter(x=[1], y=[2])), "A <b>title", ["One fact. q < 1."])
    text = page(Report("t", "c", sections=[Section("Facts", table=[{"name": "a", "n": 1}], figures=[figure])]))
    assert '<th scope="col"' in text
    assert '<th scope="row"' in text
    (alt,) = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert "One fact. q &lt; 1." in alt
    assert '<p class="title">A <b>title</p>' in text
    assert "break-inside: avoid" in text
