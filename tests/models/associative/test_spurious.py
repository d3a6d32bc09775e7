"""What states are called: a pattern before a negative, where a state is both."""

import itertools

import numpy as np

from dynsys.models.associative.theory.spurious import Name, named


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


def test_a_pattern_may_be_in_a_mixture_that_it_is_unlike():
    """sign(s0 + s1 + s2), where s2 decides units 6 and 7 and is against all others."""
    S = np.array([[1] * 8, [1] * 6 + [-1, -1], [-1] * 6 + [1, -1]])
    y = np.sign(S.sum(axis=0))
    assert y @ S[2] < 0
    assert named(y, S).text == "the mixture sign(+s0 +s1 +s2)"


def test_states_of_four_units_are_mixtures_where_some_signs_make_them_so():
    S = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, 1]])
    mixed = {tuple(np.sign(np.array(signs) @ S).tolist()) for signs in itertools.product((-1, 1), repeat=3)}
    for y in itertools.product((-1, 1), repeat=4):
        found = named(y, S).name
        assert (found is Name.OTHER) == (
            not any((y == sign * s).all() for s in S for sign in (1, -1)) and y not in mixed
        )
