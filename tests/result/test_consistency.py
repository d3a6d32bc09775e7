"""No two sentences of a result contradict each other, whatever its parts came to think by themselves."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.result.consistency import agreed
from dynsys.result.fixed_points import FixedPoints, SearchReport
from dynsys.search.known.missing import Missing
from dynsys.search.known.stopping import Stop
from dynsys.search.landing import Rejection
from dynsys.trajectories.settling import Ending

EIGENVALUES = {"stable node": [-1.0, -2.0], "saddle": [1.0, -2.0], "unstable node": [1.0, 2.0], "marginal": [0.0, -1.0]}
INDEX = {"stable node": 1, "saddle": -1, "unstable node": 1}  # sign det(-J)

# what is listed
LISTS = [(), ("stable node",), ("saddle",), ("stable node", "stable node", "saddle"), ("stable node", "marginal")]


def result(words, *, index_sum, complete, stopped, settling, missing, rejected, certified, found=None):
    """A flow's result as its parts might hand it over, not yet compared."""
    k = len(words)
    report = SearchReport(
        starts=100,
        closure_starts=0,
        solver="newton",
        seconds=1.0,
        found=k if found is None else found,
        slow=0,
        rejected=rejected,
        estimated_missed=missing.estimate,
        index_sum=index_sum,
        discovery=[(100, k)],
        seed=0,
        given=100,
        stopped=str(stopped),
        complete=complete,
        missing=missing.told(1),
        settling=settling,
        interrupted=stopped is Stop.INTERRUPTED,
    )
    bound = np.array([np.inf if word == "marginal" else 1e-12 for word in words])
    return FixedPoints(
        states=np.arange(2.0 * k).reshape(k, 2),
        q=np.zeros(k),
        verdict=np.array(["fixed"] * k, dtype=np.str_),
        stability=np.array(words, dtype=np.str_),
        n_unstable=np.array([sum(v > 0 for v in EIGENVALUES[word]) for word in words], dtype=np.int64),
        eigenvalues=np.array([EIGENVALUES[word] for word in words], dtype=complex).reshape(k, 2),
        modes=np.zeros((k, 2, 2), dtype=complex),
        error_bound=bound,
        readouts=np.zeros((k, 0)),
        inputs=np.zeros((k, 0)),
        search=report,
        about={"name": "flow", "kind": "flow", "n_state": 2, "time_constant": 1.0},
        certified=np.full(k, certified),
    )


def trajectories(words, unlisted, resting, unsettled):
    """Ten trajectories: at the stable points listed, at ``unlisted`` others, at rest elsewhere, not settled."""
    stable = [i for i, word in enumerate(words) if word.startswith("stable")]
    ends = [{"kind": str(Ending.POINT), "period": 0.0, "point": i, "trajectories": 1} for i in stable]
    ends += [{"kind": str(Ending.POINT), "period": 0.0, "point": None, "trajectories": 1}] * unlisted
    others = {str(Ending.RESTING): resting, str(Ending.UNSETTLED): unsettled}
    return {
        "trajectories": len(ends) + resting + unsettled,
        "stable_points": len(stable),
        "ends": ends,
        "not_settled": {kind: count for kind, count in others.items() if count},
        "max_steps": 1000,
        "unit": "time constants",
        "sentence": "",
    }


CALM = Missing(known=1, estimate=0.0, least=1, most=2, tests=40)
PARTS = {
    "index_sum": [None, 1, 0, 2],
    "complete": [False, True],
    "stopped": list(Stop),
    "settling": [None, (0, 0, 0), (1, 0, 0), (0, 3, 0), (2, 3, 4)],
    "missing": [CALM, dataclasses.replace(CALM, known=7, least=7, most=7), dataclasses.replace(CALM, estimate=None)],
    "rejected": [{}, {str(Rejection.NOT_FOLLOWED): 88}],
    "certified": [False, True],
}


def contradictions(points: FixedPoints) -> list[str]:
    """Read off the result alone, by what its words say."""
    search = points.search
    missing, sentence = search.missing, search.missing["sentence"]
    fixed = points[points.verdict == "fixed"]
    stable = [i for i, word in enumerate(points.stability) if word.startswith("stable")]
    regular = all(word in INDEX for word in fixed.stability)
    told = search.settling or {"ends": [], "not_settled": {}, "stable_points": len(stable), "sentence": ""}
    beside = sum(end["point"] is None for end in told["ends"] if end["kind"] == Ending.POINT)
    at_rest = told["not_settled"].get(str(Ending.RESTING), 0)
    holds = any(not word.startswith("stable") for word in fixed.stability)
    calm = "All points seem to be found" in sentence or sentence.startswith("Complete")
    early = search.stopped in (Stop.TIME, Stop.LONG, Stop.INTERRUPTED)
    wrong = {
        "found is not what is listed": search.found != len(fixed),
        "a proof without a bound": bool((points.certified & ~np.isfinite(points.error_bound)).any()),
        "the index sum is not that of the points": regular
        and len(fixed) > 0
        and search.index_sum is not None
        and search.index_sum != sum(INDEX[word] for word in fixed.stability),
        "an end that is no stable point": any(end["point"] not in [None, *stable] for end in told["ends"]),
        "stable points miscounted": told["stable_points"] != len(stable),
        "all, and a point beside": calm and beside > 0,
        "all, and states at rest nowhere": sentence.startswith("All") and at_rest > 0 and not holds,
        "all, and indices that prove more": calm and search.index_sum not in (1, None),
        "all, and ended early": sentence.startswith("All") and early,
        "all, and most starts lost": sentence.startswith("All") and bool(search.rejected),
        "complete in one place only": not search.complete == missing["complete"] == sentence.startswith("Complete"),
        "complete, and one to come": search.complete and not missing["least"] == missing["most"] == missing["known"],
        "flat, and indices that prove more": search.stopped == Stop.FLAT and search.index_sum not in (1, None),
        "proved at the end, and not complete": search.stopped == Stop.PROVED and not search.complete and beside > 0,
        "more known than listed": missing["known"] > len(fixed),
        "fewer in all than known": missing["least"] < missing["known"],
        "an empty interval": missing["most"] is not None and missing["most"] < missing["least"],
        "certain, and not in the interval": missing["least"] < missing["known"] + missing["certain"],
        "certain without an index": missing["certain"] > 0 and search.index_sum in (1, None),
        "balanced without an index of 1": missing["balanced"] != (search.index_sum == 1),
        "two estimates": missing["estimate"] != search.estimated_missed,
        "fewer estimated than certain": missing["estimate"] is not None and missing["estimate"] < missing["certain"],
    }
    return [what for what, is_so in wrong.items() if is_so]


@pytest.mark.parametrize("words", LISTS, ids=lambda words: ", ".join(words) or "none")
def test_every_combination_of_statements_is_made_to_agree(words):
    broken = 0
    for values in itertools.product(*PARTS.values()):
        parts = dict(zip(PARTS, values, strict=True))
        seen = None if parts["settling"] is None else trajectories(words, *parts["settling"])
        given = result(words, **{**parts, "settling": seen})
        broken += bool(contradictions(given))
        told = agreed(given)
        assert contradictions(told) == [], parts
        assert told.search == given.search or agreed(told).search == told.search
        assert np.array_equal(told.states, given.states)
    assert broken > 1000  # the table is not one of harmless results


def test_statements_that_agree_stay_as_they_are():
    words = ("stable node", "stable node", "saddle")
    missing = Missing(known=3, estimate=0.0, least=3, most=5, tests=40, balanced=True)
    seen = trajectories(words, 0, 0, 0)
    seen["sentence"] = "All 2 trajectories settle at the 2 stable points."
    parts = {"index_sum": 1, "complete": False, "stopped": Stop.FLAT, "rejected": {}, "certified": True}
    given = result(words, settling=seen, missing=missing, **parts)
    assert contradictions(given) == []
    assert agreed(given).search == given.search
    assert given.search.missing["sentence"].startswith("All points seem to be found: 3 known, between 3 and 5")


def test_a_complete_list_gives_way_to_a_stable_point_that_is_not_on_it():
    words = ("stable node",)
    missing = Missing(known=1, estimate=0.0, least=1, most=1, complete=True)
    given = result(
        words,
        index_sum=None,
        complete=True,
        stopped=Stop.PROVED,
        settling=trajectories(words, 1, 0, 0),
        missing=missing,
        rejected={},
        certified=True,
    )
    told = agreed(given).search
    assert not told.complete
    assert told.stopped == Stop.OVERRULED
    assert told.missing["sentence"].startswith("Points are missing: 1 known, between 2 and")
    assert any("trajectories rest where none is listed" in what for what in told.left_out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [((), "Nothing can be said"), (("stable node",), "All points seem to be found: 1 known, between 1 and 6")],
)
def test_a_point_counted_by_the_search_that_turns_out_to_end_a_line_is_not_missing(words, sentence):
    k = len(words) + 1
    missing = Missing(known=k, estimate=0.0, least=k, most=k + 5, tests=40)
    parts = {"index_sum": None, "complete": False, "stopped": Stop.FLAT, "rejected": {}, "certified": False}
    told = agreed(result(words, settling=None, missing=missing, **parts)).search
    assert told.missing["sentence"].startswith(sentence)


def test_a_search_on_a_slow_ring_agrees_with_itself():
    """A ring of fixed points, broken by a push of 1e-6 into slow drift with two points left."""

    def velocity(x, u):
        r2 = (x**2).sum(1, keepdim=True)
        return x * (1 - r2) + 1e-6 * torch.tensor([1.0, 0.0], dtype=x.dtype)

    points = find_fixed_points(Flow(velocity, 2), n_starts=64, workers=1, verify=False)
    assert contradictions(points) == []
