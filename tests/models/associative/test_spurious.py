"""What states are called: a pattern before a negative, where a state is both."""

import itertools

import numpy as np

from dynsys.models.associative.spurious import Name, named


def test_a_pattern_whose_negative_is_stored_too_is_stored():
    assert named([-1, -1, -1], [[1, 1, 1], [-1, -1, -1]]).text == "stored pattern 1"
    assert named([-1, 1], [[1, 1], [1, -1]]).text == "the negative of pattern 1"


def test_every_state_of_three_units_is_stored_where_it_is_among_the_patterns():
    states = list(itertools.product((-1, 1), repeat=3))
    for S in itertools.combinations(states, 3):
        for y in states:
            found = named(y, S)
            assert (found.name is Name.STORED) == (y in S)
            assert (found.name is Name.NEGATIVE) == (y not in S and tuple(-c for c in y) in S)
            if found.name in (Name.STORED, Name.NEGATIVE):
                np.testing.assert_array_equal(np.multiply(found.signs[0], S[found.patterns[0]]), y)
