"""Associative retrieval: its strings, its sets, and what is counted of wrong answers."""

import numpy as np
import pytest

from dynsys.models.retrieval import CHARACTERS, SETS, Retrieval, Strings
from dynsys.models.retrieval_learning import strings
from dynsys.models.retrieval_mistakes import mistakes

PAPERS = ("c9k8j3f1??c", "j0a5s5z2??a")  # the examples of Ba et al. (2016), section 4.1


@pytest.fixture(scope="module")
def sets():
    return strings(Retrieval(), 0)


def test_the_sets_have_the_papers_sizes_and_share_no_string(sets):
    assert {name: len(some) for name, some in sets.items()} == SETS
    assert SETS == {"train": 100_000, "validation": 10_000, "test": 20_000}
    texts = [set(some.texts()) for some in sets.values()]
    assert len(set().union(*texts)) == 130_000


def test_every_string_is_four_different_letters_with_digits_and_asks_for_one_of_them(sets):
    for text, answer in zip(sets["test"].texts(), sets["test"].answers, strict=True):
        pairs = dict(zip(text[0:8:2], text[1:8:2], strict=True))
        assert len(pairs) == 4
        assert all(letter.isalpha() and digit.isdigit() for letter, digit in pairs.items())
        assert text[8:10] == "??"
        assert pairs[text[10]] == str(answer)


def test_letters_digits_and_places_are_drawn_evenly(sets):
    train = sets["train"]
    place = (train.characters[:, 0:8:2] == train.characters[:, -1:]).argmax(1)
    for drawn, kinds in ((train.answers, 10), (train.characters[:, -1], 26), (place, 4)):
        counts = np.bincount(drawn, minlength=kinds)
        expected = len(train) / kinds
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert chi2 < kinds - 1 + 5 * (2 * (kinds - 1)) ** 0.5  # five standard deviations


def test_the_seed_draws_the_strings():
    one, same, other = (Retrieval().sets(seed, some=50)["some"].texts() for seed in (1, 1, 2))
    assert one == same
    assert not set(one) & set(other)


def test_strings_of_the_paper_are_parsed_to_their_answers():
    some = Retrieval().parse(*PAPERS)
    assert some.texts() == list(PAPERS)
    assert some.answers.tolist() == [9, 5]
    np.testing.assert_array_equal(some.characters[0], [CHARACTERS.index(c) for c in PAPERS[0]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("C9k8j3f1??c", r"'C'.*legal are a to z, 0 to 9 and \?"),
        ("c9k8j3f1!?c", "'!'"),
        ("c9k8j3f1??z", "no string of 4"),
        ("c9c8j3f1??c", "different letters"),
        ("c9k8j3??c", "no string of 4"),
        ("9ck8j3f1??c", "no string of 4"),
        ("", "no string of 4"),
    ],
)
def test_a_text_that_is_no_string_of_the_task_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        Retrieval().parse(PAPERS[0], text)


@pytest.mark.parametrize("pairs", [0, 27, -1])
def test_more_pairs_than_letters_are_refused(pairs):
    with pytest.raises(ValueError, match=rf"pairs is {pairs}.*1 to 26"):
        Retrieval(pairs)


def test_all_letters_make_one_string():
    (text,) = Retrieval(26).sets(0, some=1)["some"].texts()
    assert sorted(text[0:52:2]) == [chr(c) for c in range(ord("a"), ord("z") + 1)]


def test_more_strings_than_there_are_are_refused():
    assert Retrieval(1).count() == 26 * 10
    assert Retrieval(2).count() == 26 * 25 * 100 * 2
    with pytest.raises(ValueError, match=r"200 different strings.*260"):
        Retrieval(1).sets(0, some=150, others=50)
    every = Retrieval(1).sets(0, some=100, others=30)
    assert len(set(every["some"].texts()) | set(every["others"].texts())) == 130


def test_mistakes_are_counted_by_digit_letter_and_place():
    some = Retrieval().parse("c9k8j3f1??c", "c9k8j3f1??k", "c9k8j3f1??j", "c9k8j3f1??f", "a5b5c1d2??b", "a5b5c1d2??c")
    found = mistakes(some, np.array([9, 9, 0, 1, 5, 5]))  # right, that of pair 1, none of the string's, right, right, 1
    confusion = np.zeros((10, 10))
    for right, given in ((9, 9), (8, 9), (3, 0), (1, 1), (5, 5), (1, 5)):
        confusion[right, given] += 1
    np.testing.assert_array_equal(found["confusion"], confusion)
    letters = dict.fromkeys("kj", 1) | {"c": 1}
    assert {chr(97 + i): n for i, n in enumerate(found["letter_missed"]) if n} == letters
    assert {chr(97 + i): n for i, n in enumerate(found["letter_asked"]) if n} == {
        "b": 1,
        "c": 2,
        "f": 1,
        "j": 1,
        "k": 1,
    }
    places = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    np.testing.assert_array_equal(found["places"], places)


def test_guessing_among_the_four_digits_gives_the_plateau(sets):
    """A digit of the string at random is wrong in 3/4 of strings of different digits, and less where digits recur."""
    test = sets["test"]
    digits = test.characters[:, 1:8:2] - 26
    given = digits[np.arange(len(test)), np.random.default_rng(0).integers(4, size=len(test))]
    found = mistakes(test, given)
    assert found["places"][:, 4].sum() == 0
    wrong = 1 - found["places"].trace() / len(test)
    assert wrong == pytest.approx(0.75 * 0.9, abs=0.02)  # another pair, and another digit than the right one


def test_a_part_of_the_strings_keeps_their_answers(sets):
    part = sets["test"][10:13]
    assert isinstance(part, Strings)
    assert part.texts() == sets["test"].texts()[10:13]
    assert part.answers.tolist() == sets["test"].answers[10:13].tolist()
