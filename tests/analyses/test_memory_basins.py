"""``dynsys memory basins``: where cues end, by name, against what exact enumeration and geometry say."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.analyses.memory.distances import Distances, Fate, attractors_of, fate, fates, results_of
from dynsys.analyses.memory.nets import Choices, net_of
from dynsys.analyses.memory.pattern_files import Patterns
from dynsys.cli import main
from dynsys.plots import home_shares

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
