"""The rule that ends a search, sentence by sentence, and Chao's estimate of what was missed."""

import dataclasses

import numpy as np
import pytest

from dynsys import find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.search.known.stopping import Discovery, Source, Stop

MADE, OWN, SCATTERED, FIBER = Source.MADE, Source.OWN, Source.SCATTERED, Source.FIBER


def record(discovery, source, starts, *, failed=0, telling=None, points=3, seen_once=0):
    """One round in which every start that did not fail reached a known point, and none the most hit one."""
    telling = starts - failed if telling is None else telling
    discovery.record(source, starts, failed, telling, points, seen_once, known=points)
    return discovery


def quiet(rounds=2, starts=64, points=3):
    """A search that knows some points and has made some rounds of starts from them in vain."""
    discovery = record(Discovery(), OWN, 64, points=points)
    for _ in range(rounds):
        record(discovery, MADE, starts, points=points)
    return discovery


def test_two_rounds_from_the_points_must_bring_nothing_new():
    assert not quiet(rounds=1).closure_is_quiet(None)
    assert quiet(rounds=2).closure_is_quiet(None)


def test_the_two_rounds_must_follow_each_other():
    discovery = record(quiet(rounds=1), MADE, 64, points=4)  # the second one finds a point
    assert not discovery.closure_is_quiet(None)
    assert not record(discovery, MADE, 64, points=4).closure_is_quiet(None)
    assert record(discovery, MADE, 64, points=4).closure_is_quiet(None)


def test_a_new_point_from_any_source_begins_the_count_again():
    for source in (OWN, SCATTERED, FIBER):
        assert not record(quiet(), source, 64, points=4).closure_is_quiet(None)
        assert record(quiet(), source, 64, points=3).closure_is_quiet(None)


def test_as_many_starts_as_there_are_points_must_have_been_made_from_them():
    discovery = quiet(rounds=3, starts=64, points=200)
    assert not discovery.closure_is_quiet(None)  # 192 starts
    assert record(discovery, MADE, 8, points=200).closure_is_quiet(None)


@pytest.mark.parametrize(
    ("points", "seen_once", "index_sum", "rounds"),
    [(3, 0, None, 2), (3, 1, None, 4), (50, 1, None, 2), (49, 1, None, 4), (50, 1, 1, 1), (49, 1, 1, 3), (49, 1, 3, 4)],
)
def test_two_more_rounds_while_over_a_fiftieth_of_the_points_have_been_reached_only_once(
    points, seen_once, index_sum, rounds
):
    discovery = record(Discovery(), OWN, 64, points=points)
    for done in range(1, 6):
        record(discovery, MADE, 64, points=points, seen_once=seen_once)
        assert discovery.closure_is_quiet(index_sum) == (done >= rounds)


def test_one_round_is_enough_where_the_indices_sum_to_one():
    assert quiet(rounds=1).closure_is_quiet(1)
    assert not quiet(rounds=1).closure_is_quiet(3)
    assert not quiet(rounds=0).closure_is_quiet(1)


@pytest.mark.parametrize(
    ("points", "index_sum", "needed"),
    [(3, None, 128), (3, 1, 32), (3, -1, 512), (32, None, 128), (33, None, 132), (100, None, 400), (100, 1, 100)],
)
def test_128_starts_and_four_per_point_must_have_come_to_known_points(points, index_sum, needed):
    """A quarter of that where the indices sum to one, four times that where they prove that points are missing."""
    discovery = record(Discovery(), OWN, 64, points=points)
    assert discovery.lacking(index_sum) == needed
    record(discovery, OWN, needed - 1, points=points)
    assert discovery.lacking(index_sum) == 1
    record(discovery, SCATTERED, 1, points=points)
    assert discovery.lacking(index_sum) <= 0


def test_starts_made_from_points_do_not_count_as_independent_ones():
    discovery = record(Discovery(), OWN, 64)
    before = discovery.lacking(None)
    for source in (MADE, FIBER):
        record(discovery, source, 1000)
    assert discovery.lacking(None) == before


def test_a_start_that_failed_says_nothing():
    discovery = record(Discovery(), OWN, 64)
    before = discovery.lacking(None)
    assert record(discovery, OWN, 100, failed=90).lacking(None) == before - 10


def test_the_hits_are_counted_from_the_last_new_point_on():
    discovery = record(record(Discovery(), OWN, 64), OWN, 100)
    assert discovery.lacking(None) == 28
    assert record(discovery, MADE, 64, points=4).lacking(None) == 128


def test_the_second_engine_is_asked_where_most_starts_fail():
    """When 128 have brought nothing new, of which a failed one counts a quarter."""
    half = record(record(Discovery(), OWN, 64), OWN, 1000, failed=532)
    assert not half.is_doubtful(None)
    assert record(half, OWN, 64, failed=33).is_doubtful(1)
    few = record(record(Discovery(), OWN, 64), OWN, 508, failed=508)
    assert not few.is_doubtful(None)
    assert record(few, OWN, 4, failed=4).is_doubtful(None)


def test_the_second_engine_is_asked_later_where_only_the_indices_speak_against_it():
    """When four times 128 starts have brought nothing new: these rarely fail, and so cost little."""
    discovery = record(record(Discovery(), OWN, 64), MADE, 511)
    assert not discovery.is_doubtful(3)
    more = record(discovery, MADE, 1)
    assert more.is_doubtful(3)
    assert more.is_doubtful(-1)
    assert not more.is_doubtful(1)
    assert not more.is_doubtful(None)
    assert not record(more, MADE, 64, points=4).is_doubtful(3)


def test_failures_of_starts_made_from_points_are_no_reason_to_doubt():
    assert not record(quiet(), MADE, 1000, failed=1000).is_doubtful(None)


@pytest.mark.parametrize(("given", "index_sum", "patience"), [(64, None, 512), (2000, 1, 2000), (64, 3, 2048)])
def test_it_gives_up_after_as_many_starts_in_vain_as_were_given(given, index_sum, patience):
    """512 if fewer were given, and four times that while points are known to be missing."""
    discovery = record(Discovery(), OWN, 64)
    record(discovery, MADE, patience - 1)
    assert not discovery.is_spent(given, index_sum)
    assert record(discovery, SCATTERED, 1).is_spent(given, index_sum)


def test_a_new_point_gives_new_patience():
    discovery = record(record(Discovery(), OWN, 64), MADE, 511)
    assert not record(discovery, MADE, 64, points=4).is_spent(64, None)
    assert not record(discovery, MADE, 511, points=4).is_spent(64, None)


def test_failed_starts_use_up_a_quarter_of_the_patience():
    discovery = record(record(Discovery(), OWN, 64), SCATTERED, 2044, failed=2044)
    assert not discovery.is_spent(64, None)
    assert record(discovery, SCATTERED, 4, failed=4).is_spent(64, None)


def test_it_gives_up_after_64_times_the_starts_given_whatever_they_bring():
    discovery = Discovery()
    for points in range(1, 64):
        record(discovery, MADE, 512, points=points)
        assert not discovery.is_spent(100, None)
    assert record(discovery, MADE, 512, points=64).is_spent(100, None)


def test_starts_that_were_given_do_not_count_as_effort():
    discovery = Discovery()
    for points in range(1, 70):
        record(discovery, OWN, 512, points=points)
    assert not discovery.is_spent(100, None)


def test_the_curve_holds_all_starts_tried_and_all_points_known():
    discovery = Discovery()
    record(discovery, OWN, 64, points=3)
    discovery.record(MADE, 10, 2, 0, points=4, seen_once=1, known=6)  # two of the six are degenerate
    assert discovery.curve == [(64, 3), (74, 6)]
    assert discovery.tried == {OWN: 64, SCATTERED: 0, MADE: 10, FIBER: 0}


# The rule as a search keeps it: what is told here is read off the report.


def test_no_more_starts_are_used_than_discovery_needs():
    points = find_fixed_points(Bistable(2), n_starts=4096, workers=1)
    search = points.search
    assert search.stopped == str(Stop.FLAT)
    assert search.starts < 512 < search.given == 4096
    assert search.scattered_starts == 0


def test_scattered_starts_follow_where_the_given_ones_are_used_up():
    points = find_fixed_points(Bistable(2), [[0.1, 0.1]], workers=1)
    search = points.search
    assert len(points) == 9
    assert (search.starts, search.given, search.stopped) == (1, 1, str(Stop.FLAT))
    assert search.scattered_starts >= 32


def test_without_made_starts_the_given_ones_are_all_there_are():
    search = find_fixed_points(Bistable(2), [[0.1, 0.1]], closure=False, workers=1).search
    assert search.stopped == str(Stop.USED_UP)
    assert (search.starts, search.scattered_starts, search.closure_starts, search.fiber_starts) == (1, 0, 0, 0)


def test_the_curve_of_a_search_ends_at_its_starts_and_points():
    search = find_fixed_points(Bistable(3), n_starts=256, workers=1).search
    tried, known = np.array(search.discovery).T
    assert tried[-1] == search.starts + search.scattered_starts + search.closure_starts + search.fiber_starts
    assert known[-1] == search.found == 27
    assert (np.diff(tried) >= 0).all()
    assert (np.diff(known) >= 0).all()


def test_the_report_names_only_what_it_knows():
    search = find_fixed_points(Bistable(1), n_starts=64, workers=1).search
    assert search.stopped in {str(stop) for stop in Stop}
    assert {field.name for field in dataclasses.fields(search)} >= {"starts", "given", "stopped", "index_sum"}
