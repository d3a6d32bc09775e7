"""The estimate of the missed: published numbers, exact counts, populations that are known, and the words for them."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from dynsys import find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.search.known.distinct import NOBODY, Catalogue
from dynsys.search.known.missing import (
    Missing,
    Tally,
    chao,
    chao_least,
    chao_most,
    chapman,
    estimated,
    milestones,
    recapture_limits,
)
from dynsys.search.known.stopping import Source, Stop

# Abundance


@pytest.mark.parametrize(
    ("once", "twice", "unseen"), [(0, 0, 0.0), (1, 5, 0.0), (4, 2, 2.0), (5, 0, 10.0), (2, 0, 1.0)]
)
def test_chaos_bound_is_f1_f1_less_1_over_twice_f2_plus_1(once, twice, unseen):
    assert chao(once, twice) == unseen


def test_the_lower_end_of_chaos_interval_is_that_of_the_papers_formula():
    """Chao (1987), log-normal: S + T / K, K = exp(1.96 sqrt(log(1 + var / T^2))), with f1 = 9, f2 = 4 and 7 more.

    The variance of the bias-corrected estimate, written out with these numbers.
    """
    hits = np.array([1] * 9 + [2] * 4 + [5] * 7)
    T = 9 * 8 / (2 * 5)
    variance = 9 * 8 / (2 * 5) + 9 * 17**2 / (4 * 5**2) + 9**2 * 4 * 8**2 / (4 * 5**4)
    K = math.exp(1.959964 * math.sqrt(math.log(1 + variance / T**2)))
    assert chao_least(hits) == pytest.approx(20 + T / K, rel=1e-6)


def test_where_no_point_was_hit_twice_the_variance_is_the_one_for_that_case():
    hits = np.array([1] * 5 + [7] * 3)
    T = 5 * 4 / 2
    variance = 5 * 4 / 2 + 5 * 9**2 / 4 - 5**4 / (4 * (8 + T))
    K = math.exp(1.959964 * math.sqrt(math.log(1 + variance / T**2)))
    assert chao_least(hits) == pytest.approx(8 + T / K, rel=1e-6)


def test_points_that_were_all_hit_often_say_no_more_than_that_they_are_there():
    assert chao_least(np.array([5, 9, 12])) == 3.0


def test_the_upper_end_takes_garwoods_limits_of_the_counts():
    """Garwood (1936), 95 %: 4 counted, so 1.0899 to 10.2416; 1 counted, so 0.0253 to 5.5716; 0 counted, to 3.6889."""
    assert chao_most(np.array([1] * 4 + [2] + [6] * 5)) == pytest.approx(10 + 10.2416 * 9.2416 / (2 * 1.0253), rel=1e-3)
    assert chao_most(np.array([6] * 5)) == pytest.approx(5 + 3.6889 * 2.6889 / 2, rel=1e-3)


@pytest.mark.parametrize("hits", [[], [2, 2], [1] * 30, [1] * 9 + [8]])
def test_abundance_bounds_nothing_from_few_hits_or_where_most_were_new(hits):
    """4 hits are too few; of 30 none fell on a known point, of 17 fewer than half."""
    assert chao_most(np.array(hits, dtype=np.int64)) is None


@pytest.mark.parametrize("population", [20, 100, 400])
@pytest.mark.parametrize("per_point", [1.5, 3.0, 6.0])
def test_of_points_equally_easy_to_hit_both_ends_hold_nineteen_times_in_twenty(population, per_point):
    rng = np.random.default_rng(population)
    held = []
    for _ in range(200):
        hits = rng.multinomial(round(population * per_point), np.full(population, 1 / population))
        most = chao_most(hits)
        held.append(math.floor(chao_least(hits)) <= population and (most is None or most >= population))
    assert np.mean(held) >= 0.93


def test_of_points_unequally_easy_to_hit_the_estimate_is_a_lower_bound_in_the_mean():
    """Chao (1984): whatever the probabilities."""
    rng = np.random.default_rng(0)
    for spread in (0.5, 1.0, 2.0):
        p = np.exp(spread * rng.standard_normal(200))
        draws = rng.multinomial(300, p / p.sum(), size=200)
        estimates = [(hits > 0).sum() + chao((hits == 1).sum(), (hits == 2).sum()) for hits in draws]
        assert np.mean(estimates) <= 200


# Recapture


def test_chapmans_estimate_is_that_of_a_worked_example():
    """10 turtles marked, 15 caught, 5 of them marked: 28 (Wikipedia, Mark and recapture)."""
    assert chapman(10, 15, 5) == pytest.approx(28.33, abs=0.01)


def test_chapmans_estimate_has_no_bias_where_the_two_catches_hold_everyone():
    """The mean over the hypergeometric distribution is N if first + second >= N (Chapman 1951)."""
    for N, first, second in [(12, 7, 6), (30, 20, 15), (9, 9, 9)]:
        both = np.arange(max(0, first + second - N), min(first, second) + 1)
        weights = stats.hypergeom.pmf(both, N, first, second)
        mean = sum(w * chapman(first, second, int(b)) for w, b in zip(weights, both, strict=True))
        assert mean == pytest.approx(N)


@pytest.mark.parametrize(
    ("first", "second", "both"), [(10, 15, 5), (27, 27, 27), (8, 3, 3), (40, 12, 7), (2, 2, 2), (5, 5, 1)]
)
def test_the_limits_are_those_of_every_population_tried_in_turn(first, second, both):
    """Brute force by ratios of binomial coefficients in whole numbers."""

    def tail(N, counts):
        ways = [math.comb(first, b) * math.comb(N - first, second - b) for b in counts if second - b <= N - first]
        return sum(ways) / math.comb(N, second)

    union = first + second - both
    every = range(union, 3000)
    least = next(N for N in every if tail(N, range(both + 1)) >= 0.025)
    most = max(N for N in every if tail(N, range(both, min(first, second) + 1)) >= 0.025 or union == N)
    assert recapture_limits(first, second, both) == (least, most)


def test_no_overlap_bounds_nothing_from_above():
    assert recapture_limits(7, 9, 0)[1] is None


@pytest.mark.parametrize(("N", "first", "second"), [(27, 26, 20), (80, 60, 30), (300, 100, 50)])
def test_the_limits_hold_nineteen_times_in_twenty(N, first, second):
    """Exactly: summed over every overlap with its probability."""
    held = 0.0
    for both in range(max(0, first + second - N), min(first, second) + 1):
        least, most = recapture_limits(first, second, both)
        held += stats.hypergeom.pmf(both, N, first, second) * (least <= N and (most is None or most >= N))
    assert held >= 0.95


# The whole


def tally(hits, tests=None, crossings=None, fresh=None):
    none = [0] * len(hits)
    counts = (np.array(part if part is not None else none, dtype=np.int64) for part in (hits, tests, crossings))
    return Tally(*counts, fresh=np.array(fresh if fresh is not None else none, dtype=bool))


def test_the_point_that_is_hit_most_says_nothing():
    few, many = [3, 1, 1, 1, 2, 0], [3000, 1, 1, 1, 2, 0]
    assert estimated([tally(few)]) == estimated([tally(many)])
    tested = [2, 1, 0, 1, 1, 0]
    assert estimated([tally(many, [2000, *tested[1:]])]).interval == estimated([tally(few, tested)]).interval


def test_points_that_others_found_are_known_and_so_not_missing():
    """5 x 4 / 2 = 10 unseen by the starts, 3 of which are known; with 12 known none is left."""
    assert estimated([tally([9] + [1] * 5 + [0] * 3)]).estimate == 7.0
    assert estimated([tally([9] + [1] * 5 + [0] * 12)]).estimate == 0.0


def test_what_tests_find_that_was_not_known_counts_as_missed_before():
    """Of 10 points met besides the dominant one 5 were known, as were 20 others: 26 x 11 / 6 - 1 in all of them."""
    hits = [50] + [3] * 10 + [0] * 20
    tested = tally(hits, [30] + [1] * 10 + [0] * 20, fresh=[0] + [1] * 5 + [0] * 25)
    missing = estimated([tested])
    assert missing.estimate == pytest.approx(chapman(25, 10, 5) - 30)
    assert missing.interval[0] == 1 + recapture_limits(25, 10, 5)[0]
    assert missing.tests == 40


def test_a_limit_below_what_others_have_found_is_refuted_and_so_no_limit():
    """Six points hit five times each speak for 11 at most, yet 40 are known."""
    assert estimated([tally([9] + [5] * 6)]).most == 1 + 6 + 5
    assert estimated([tally([9] + [5] * 6 + [0] * 33)]).most is None


@pytest.mark.parametrize("index_sum", [0, 2, -4, 7])
def test_the_index_sum_proves_as_many_missing_as_it_is_away_from_1(index_sum):
    missing = estimated([tally([5, 4, 6], [5, 4, 6])], index_sum)
    lacking = abs(index_sum - 1)
    assert missing.certain == lacking
    assert missing.estimate >= lacking
    without = estimated([tally([5, 4, 6], [5, 4, 6])], 1)
    assert missing.interval == (without.interval[0] + lacking, without.interval[1] + lacking)
    assert f"At least {lacking} for certain" in missing.sentence


def test_inputs_are_estimated_one_by_one_and_add_up():
    """Points hit once at one input and twice at another are no evidence against each other."""
    first, second = tally([9, 1, 1, 1]), tally([8, 2, 2, 1, 1])
    both = estimated([first, second])
    apart = [estimated([first]), estimated([second])]
    assert both.estimate == apart[0].estimate + apart[1].estimate == 3.0 + 1 / 3
    assert both.known == 9
    assert both.most is None  # nearly all of the first's hits were new
    assert both.least == apart[0].least + apart[1].least


def test_an_input_at_which_nothing_was_found_leaves_the_total_without_limit():
    assert estimated([tally([9, 9, 9], [9, 9, 9]), tally([])]).most is None
    assert estimated([tally([9, 9, 9], [9, 9, 9])]).most is not None


def test_the_engines_overlap_is_chapmans_without_the_dominant_point():
    """4 hit, 6 crossed, 3 both: 5 x 7 / 4 - 1, and the dominant one."""
    hits, crossings = [90, 1, 1, 1, 2, 0, 0, 0], [5, 1, 1, 1, 0, 2, 1, 1]
    assert estimated([tally(hits, crossings=crossings)]).overlap == pytest.approx(5 * 7 / 4 - 1 + 1)
    assert estimated([tally(hits)]).overlap is None


@pytest.mark.parametrize("hits", [[], [0, 0]])
def test_without_a_hit_nothing_can_be_said(hits):
    missing = estimated([tally(hits)])
    assert (missing.estimate, missing.most) == (None, None)
    assert missing.sentence == "Nothing can be said of what is missing: no independent start led to an isolated point."


def test_one_hit_bounds_nothing():
    missing = estimated([tally([1])])
    assert (missing.known, missing.estimate, missing.interval) == (1, 0.0, (1, np.inf))
    assert missing.sentence.startswith("Points may be missing: 1 known, at least 1 in all")


def test_a_single_point_that_every_start_led_to_seems_to_be_all():
    """It is the dominant one as well; left out, nothing would be left to judge by."""
    missing = estimated([tally([300], [200])])
    assert missing.interval == (1, 6)
    assert missing.sentence == "All points seem to be found: 1 known, between 1 and 6 in all (95%)."


# In plain words


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (Missing(27, 0.0, 27, 28, tests=60), "All points seem to be found: 27 known, between 27 and 28 in all (95%)."),
        (
            Missing(173, 0.0, 173, 239, tests=60),
            "Points may be missing: 173 known, between 173 and 239 in all (95%).",
        ),
        (Missing(40, 6.0, 40, 61), "Points seem to be missing: 40 known, between 40 and 61 in all (95%)."),
        (Missing(40, 6.0, 43, 61), "Points are missing: 40 known, between 43 and 61 in all (95%)."),
        (
            Missing(593, 4211.0, 2140, 23456),
            "Most points are missing: 593 known, between 2,100 and 23,000 in all (95%).",
        ),
        (
            Missing(593, 3407.0, 593, None, certain=3),
            "Most points are missing: 593 known, at least 4,000 in all; too few starts met a point again for a limit. "
            "At least 3 for certain, by their indices.",
        ),
        (
            Missing(2195, 1931.7, 3178, 6397, certain=38),
            "Most points are missing: 2,195 known, between 3,200 and 6,400 in all (95%). "
            "At least 38 for certain, by their indices.",
        ),
        (Missing(5, 0.0, 5, 5, complete=True), "Complete: 5 known, and every region was solved."),
        (
            Missing(1, 0.0, 1, 1, complete=True, manifolds=1),
            "Complete: 1 isolated point and 1 line of points known, and every region was solved.",
        ),
        (
            Missing(0, 0.0, 0, 0, complete=True, manifolds=2, has_surfaces=True),
            "Complete: 2 lines or surfaces of points known, and every region was solved.",
        ),
        (
            Missing(27, 1.5, 27, 31, tests=60, balanced=True),
            "All points seem to be found: 27 known, between 27 and 31 in all (95%).",
        ),
        (
            Missing(27, 3.0, 27, 31, tests=60, balanced=True),
            "Points may be missing: 27 known, between 27 and 31 in all (95%).",
        ),
        (
            Missing(27, 1.5, 27, 31, tests=60),
            "Points seem to be missing: 27 known, between 27 and 31 in all (95%).",
        ),
        (
            Missing(27, 1.5, 27, 60, tests=60, balanced=True),
            "Points seem to be missing: 27 known, between 27 and 60 in all (95%).",
        ),
    ],
)
def test_the_sentence_of_each_situation(missing, sentence):
    assert missing.sentence == sentence


def test_that_the_indices_sum_to_1_is_known_where_they_do():
    counts = [tally([9, 3, 1, 1, 1, 0], [4, 1, 0, 0, 1, 0])]
    assert [estimated(counts, index_sum).balanced for index_sum in (None, 3, 1)] == [False, False, True]


def test_what_is_proved_complete_is_not_estimated():
    missing = estimated([tally([4, 1, 1, 1, 1, 1])], complete=True)
    assert (missing.estimate, missing.interval) == (0.0, (6, 6))


def test_it_goes_through_json_and_back():
    missing = estimated([tally([9, 3, 1, 1, 1, 0], [4, 1, 0, 0, 1, 0])], 3)
    told = json.loads(json.dumps(missing.to_json(), allow_nan=False))
    assert told.pop("sentence") == missing.sentence
    assert Missing(**told) == missing
    assert json.loads(json.dumps(dataclasses.asdict(estimated([tally([])])), allow_nan=False))["most"] is None


def test_the_curve_in_one_line():
    curve = [(64, 12), (128, 20), (256, 26), (512, 27), (1024, 27)]
    assert milestones(curve) == "points known after 128, 256, 512, 1,024 starts: 20, 26, 27, 27"
    assert milestones([(16, 3)]) == "points known after 16 starts: 3"
    assert milestones([]) == "no starts tried"


# As a search keeps count


def entered(points):
    x = torch.as_tensor(points)
    catalogue = Catalogue(Bistable(1), torch.zeros(1, 0, dtype=torch.float64), unit=1.0)
    catalogue.add(x, catalogue.system.velocity(x, catalogue.inputs), torch.zeros(len(x), dtype=torch.long))
    return catalogue


def test_hits_test_what_made_starts_have_found_only_after_there_were_such():
    catalogue = entered(Bistable(1).fixed_points()[0])
    catalogue.visit(torch.tensor([0, 0, 1]), Source.OWN)
    assert catalogue.tests == [0, 0, 0]
    catalogue.visit(torch.tensor([1, NOBODY]), Source.MADE)
    catalogue.visit(torch.tensor([0, 2, 2]), Source.SCATTERED)
    catalogue.visit(torch.tensor([1]), Source.FIBER)
    assert catalogue.tests == [1, 0, 2]
    assert catalogue.fresh == [False, False, True]
    (counts,) = catalogue.tallies()
    assert (counts.hits.tolist(), counts.crossings.tolist()) == ([3, 1, 2], [0, 1, 0])
    assert counts.fresh.tolist() == [False, False, True]


def test_each_input_has_a_tally_of_its_own_and_an_input_without_points_an_empty_one():
    system, inputs = Bistable(1), torch.zeros(2, 0, dtype=torch.float64)
    catalogue = Catalogue(system, inputs, unit=1.0)
    x, groups = torch.as_tensor(system.fixed_points()[0]), torch.tensor([0, 0, 0])
    catalogue.add(x, system.velocity(x, inputs[groups]), groups)
    catalogue.visit(torch.tensor([1, 1]), Source.OWN)
    assert [counts.hits.tolist() for counts in catalogue.tallies()] == [[0, 2, 0], []]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_interval_of_a_search_holds_the_3_to_the_n_points_of_n_bistable_units(n):
    for seed in range(5):
        told = find_fixed_points(Bistable(n), seed=seed, workers=1, verify=False).search.missing
        assert told["least"] <= 3**n <= told["most"] < 1.3 * 3**n + 3


def test_a_search_of_a_few_starts_alone_says_that_points_are_missing():
    """24 to 32 starts for 243 points: they cannot have met a tenth of them twice."""
    for seed in range(5):
        told = find_fixed_points(Bistable(5), n_starts=32, closure=False, seed=seed, workers=1, verify=False).search
        assert told.missing["known"] <= 32
        assert "missing" in told.missing["sentence"]
        assert told.missing["most"] is None or told.missing["most"] >= 60
        assert told.estimated_missed >= told.missing["known"] / 4


def test_a_search_that_is_given_up_still_tests_how_much_it_knows(monkeypatch):
    """After the first round of starts made from points, with most of 243 points unknown."""
    monkeypatch.setattr("dynsys.search.known.stopping.EFFORT", 0.1)
    search = find_fixed_points(Bistable(5), n_starts=16, workers=1, verify=False).search
    assert search.stopped == str(Stop.SPENT)
    assert search.scattered_starts > 0
    assert search.missing["tests"] >= 32
    assert search.missing["known"] < 243 <= search.missing["most"]
    assert search.missing["estimate"] > 0
