"""``dynsys memory basins``: where cues end, by name, against what exact enumeration and geometry say."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.analyses.memory.distances import Distances, Fate, attractors_of, fate, fates, results_of
from dynsys.analyses.memory.nets import Choices, net_of
from dynsys.analyses.memory.pattern_files import Patterns
from dynsys.analyses.memory.proved import proved_basins, wrong_units
from dynsys.cli import main
from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.numerics.deadline import Deadline
from dynsys.plots import home_shares, shares_about_memories

H2 = np.array([[1.0, 1.0], [1.0, -1.0]])
H16 = np.kron(np.kron(np.kron(H2, H2), H2), H2)  # 16 orthogonal patterns
STORED = Patterns(("a", "b", "c"), H16[1:4], (1, 16))


def invoke(*arguments):
    return CliRunner().invoke(main, ["memory", "basins", *map(str, arguments)])


def test_every_fate_is_told():
    a, b, c = STORED.S
    told = {
        Fate.HOME: a,
        Fate.ANOTHER: c,
        Fate.NEGATIVE: -b,
        Fate.MIXTURE: np.sign(a + b + c),
        Fate.UNFINISHED: a * (np.arange(16) > 3),
        Fate.OTHER: H16[8],
    }
    assert {one: fate(end, STORED.S, 0, True) for one, end in told.items()} == {one: one for one in told}
    assert fate(a, STORED.S, 0, False) is Fate.MOVING
    assert fate(0 * a, STORED.S, 0, True) is Fate.UNFINISHED


def test_a_single_pattern_draws_in_exactly_its_half_of_the_cube():
    """One stored pattern of 9 units: the sign of the overlap decides, that is fewer than half of the units wrong."""
    one = Patterns(("s",), np.array([[1.0, -1, 1, 1, -1, 1, -1, -1, 1]]), (3, 3))
    given = {"S": one.S, "names": one.names, "shape": one.shape, "own": "s", "cues": 4}
    row = fates(
        {"model": "hopfield", "choices": Choices(), "shares": [k / 9 for k in (0, 1, 2, 3, 6, 7, 9)], **given}, 0
    )
    assert row["wrong"] == [0, 1, 2, 3, 6, 7, 9]
    assert [count.get("home", 0) for count in row["counts"]] == [4, 4, 4, 4, 0, 0, 0]
    assert [count.get("the negative of a pattern", 0) for count in row["counts"]] == [0, 0, 0, 0, 4, 4, 4]


@pytest.mark.parametrize("model", ["dense", "continuous"])
def test_ends_of_many_cues_are_those_of_each_alone(model):
    net = net_of(model, STORED, Choices())
    cues = STORED.S * np.where(np.arange(16) < 3, -1, 1)
    ends, rested = net.ends(cues, 0)
    alone = [net.course(cue, 0).layers[0].states[-1] for cue in cues]
    assert rested.all()
    np.testing.assert_allclose(ends, alone, atol=1e-3)


def test_all_attractors_of_a_small_net_are_listed_by_name():
    """Of three orthogonal patterns all of them, their negatives, and mixtures of three: 8, with every sign."""
    found = attractors_of(net_of("hopfield", STORED, Choices()), STORED)
    names = [one["state"] for one in found]
    assert {"a", "b", "c", "the negative of a", "the negative of b", "the negative of c"} <= set(names)
    assert sum(one["basin"] for one in found) == pytest.approx(1)
    assert len(set(names)) == len(names)
    assert attractors_of(net_of("dense", STORED, Choices()), STORED) is None


def test_half_is_met_on_the_line_between_two_distances():
    counts = [{"home": 4}, {"home": 3, "none of these": 1}, {"home": 1, "none of these": 3}]
    row = {"group": "P = 1", "P": 1, "n": 10, "wrong": [0, 2, 4], "counts": counts, "exact": [4, 3, 0]}
    (group,) = results_of(Distances(), [{"id": "x", "result": row}])["groups"]
    assert group["home"] == [1.0, 0.75, 0.25]
    assert group["half"] == pytest.approx(0.3)
    assert group["low"][0] < 1.0 == group["high"][0]
    figure = home_shares([group])
    areas = [trace for trace in figure.data if trace.stackgroup]
    np.testing.assert_allclose(np.sum([trace.y for trace in areas], axis=0), 1)


def test_a_study_of_patterns_tells_fates_and_lists_attractors(tmp_path):
    np.savez(tmp_path / "p.npz", patterns=H16[1:3, :8])
    asked = (tmp_path / "p.npz", "-o", tmp_path / "run", "--distances", "0,0.125,1", "--trials", 2, "--json")
    first = invoke(*asked)
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert [group["fates"]["home"] for group in found["groups"]] == [[1, 1, 0]] * 2  # P < n/3: a wrong unit is righted
    assert [group["fates"]["the negative of a pattern"] for group in found["groups"]] == [[0, 0, 1]] * 2
    assert found["attractors"]
    assert len((tmp_path / "run" / "rows.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("radius", [0.1, 0.5, 2.0, 2.6, 3.4])
def test_cues_that_are_proved_to_come_home_are_those_of_which_the_worst_is_in_the_ball(radius):
    """Against every cue with k wrong units, for a memory that is not quite its pattern."""
    s, x = H16[3, :8], H16[3, :8] * np.array([0.9, 0.8, 0.95, 1.0, 0.85, 0.9, 1.05, 0.7])
    basins = CertifiedBasins(
        x[None], np.array([radius]), radius * np.eye(8)[None], np.ones(1), np.zeros(1), np.array([""]), "flow"
    )
    farthest = [
        max(np.linalg.norm(s * np.where(np.isin(np.arange(8), flipped), -1, 1) - x) for flipped in chosen)
        for chosen in (list(itertools.combinations(range(8), k)) for k in range(9))
    ]
    proved = [k for k in range(9) if farthest[k] < radius]
    assert wrong_units(basins, 0, s) == (max(proved) if proved else None)


def test_what_is_proved_of_a_memory_is_within_what_was_measured():
    """The memory is x = c s with c = (1 - P/n) tanh(gain c), as W s = (1 - P/n) s."""
    stored = Patterns(("a", "b"), H16[1:3, :8], (1, 8))
    found = proved_basins(net_of("continuous", stored, Choices()), stored, 0, Deadline())
    c = 1.0
    for _ in range(200):
        c = (1 - 2 / 8) * np.tanh(4 * c)
    for row in found:
        assert 0 < row["proved"] < row["nearest"]
        assert row["nearest"] <= c * np.sqrt(8)  # the origin is one, too
        assert all(share == 1 for d, share in zip(row["distance"], row["share"], strict=True) if d < row["proved"])
        assert row["itself"] == (row["wrong"] is not None)
    drawn = shares_about_memories(found).data
    assert [trace.x[-1] for trace in drawn if trace.line.width == 7] == [row["proved"] for row in found]
    assert [trace.x[0] for trace in drawn if trace.mode == "markers"] == [row["nearest"] for row in found]
    held = net_of("continuous", stored, Choices(hold=True))
    assert proved_basins(held, stored, 0, Deadline()) is None
    assert proved_basins(net_of("hopfield", stored, Choices()), stored, 0, Deadline()) is None
    late = proved_basins(net_of("dense", stored, Choices()), stored, 0, Deadline(0.0))
    assert [row["reason"] for row in late] == ["the time was over before its turn came"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["letters", "--units", "50"], "--units is of random patterns; leave it out, or PATTERNS"),
        (["--only", "A"], "--only chooses among PATTERNS"),
        (["--distances", "0,2"], "distances are (0.0, 2.0); each is the share of wrong units, between 0 and 1"),
        (["--loads", "0.001"], "a load is 0.001"),
        (["--model", "dense", "--beta", "-1"], "beta is -1.0; it must be positive"),
        (["--order", "3"], "--order makes no difference to hopfield; it does to polynomial"),
        (["letters", "--rule", "pseudo-inverse", "--model", "associator", "--ties", "x"], "'x' is not one of"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, arguments, told):
    result = invoke(*arguments, "-o", tmp_path / "run")
    assert result.exit_code != 0
    assert told in result.stderr
    assert not (tmp_path / "run").exists()
