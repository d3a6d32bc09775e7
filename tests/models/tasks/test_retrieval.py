"""Associative retrieval: its strings, its sets, and what is counted of wrong answers."""

import math

import numpy as np
import pytest
import torch

from dynsys.analyses.retrieval.settling_loop import swapped
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.queries import queries, states_of
from dynsys.models.tasks.retrieval import CHARACTERS, SETS, Retrieval, Strings
from dynsys.models.training.retrieval import RetrievalLesson, mistakes, retrieval_course, strings

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


MIXED = Retrieval.of("1:5")


@pytest.fixture(scope="module")
def mixed():
    return MIXED.sets(2, train=400, validation=60, test=100)


def test_mixed_sets_have_every_number_of_pairs_equally_often_and_share_no_string(mixed):
    for some, size in zip(mixed.values(), (80, 12, 20), strict=True):
        most_of_one_pair = size * 5 * 130 // 560  # half of the 260 strings of one pair, each set its part
        expected = dict.fromkeys(range(1, 6), size) | {1: min(size, most_of_one_pair)}
        assert {int(k): int(n) for k, n in zip(*np.unique(some.pairs, return_counts=True), strict=True)} == expected
    texts = [set(some.texts()) for some in mixed.values()]
    assert len(set().union(*texts)) == sum(map(len, mixed.values()))


def test_the_papers_sets_are_halved_where_there_are_few_strings():
    total = sum(SETS.values())
    for k, there_are in ((1, 260), (2, 26 * 25 * 100 * 2)):
        sizes = {name: share[k] for name, share in Retrieval(k).sizes().items()}
        assert sizes == {name: min(size, size * (there_are // 2) // total) for name, size in SETS.items()}
    assert Retrieval(3).sizes() == {name: {3: size} for name, size in SETS.items()}
    assert {len(some) for some in Retrieval(1).sets().values()} == {100, 10, 20}


def test_mixed_strings_are_strings_of_their_own_task_and_are_parsed_again(mixed):
    some = mixed["validation"]
    for text, answer, asked in zip(some.texts(), some.answers, some.asked, strict=True):
        end = text.index("??")
        pairs = dict(zip(text[0:end:2], text[1:end:2], strict=True))
        assert len(pairs) == end // 2
        assert pairs[text[-1]] == str(answer)
        assert CHARACTERS[asked] == text[-1]
    again = MIXED.parse(*some.texts())
    assert again.texts() == some.texts()
    assert again.answers.tolist() == some.answers.tolist()
    with pytest.raises(ValueError, match="no string of 1 to 5"):
        MIXED.parse("a1b2c3d4e5f6??a")


@pytest.mark.parametrize("text", ["0", "27", "3:2", "a", "2:", ":3", "2:3:4", "-1"])
def test_numbers_of_pairs_that_there_are_not_are_refused(text):
    with pytest.raises(ValueError, match="pairs"):
        Retrieval.of(text)


def test_every_length_is_as_frequent_in_training_whatever_the_set_has(mixed):
    """Of 40 x 250 draws 1 in 5 each, to five standard deviations; the set itself has 80 of each, or fewer."""
    lesson = RetrievalLesson(mixed, batch=250)
    drawn = np.concatenate([mixed["train"][lesson.rows(step)].pairs for step in range(40)])
    counts = np.bincount(drawn, minlength=6)[1:]
    assert np.abs(counts - 2000).max() < 5 * math.sqrt(10_000 * 0.2 * 0.8)


NETWORKS = {
    "fast-weights": FastWeightsNetwork(FastWeightsConfig(5, 2, rate=0.4, seed=1)),
    "lstm": StringNetwork("lstm", 5, seed=1),
    "lstm-peephole": StringNetwork("lstm-peephole", 4, layers=2, seed=1),
    "irnn": StringNetwork("irnn", 5, seed=2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_says_of_mixed_strings_what_it_says_of_each_alone(name, mixed):
    some, network = mixed["validation"][:30], NETWORKS[name]
    with torch.no_grad():
        together = network(torch.as_tensor(some.characters), torch.as_tensor(some.ends))
        for row, text in zip(together, some.texts(), strict=True):
            alone = network(torch.as_tensor([[CHARACTERS.index(c) for c in text]]))
            torch.testing.assert_close(row, alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["fast-weights", "lstm"])
def test_mixed_strings_hold_a_network_at_what_each_alone_holds_it_at(name, mixed):
    some, network = mixed["test"][:12], NETWORKS[name]
    system = FastWeights.of(network, task=MIXED) if name == "fast-weights" else network.system(MIXED)
    inputs, x = queries(system, some, len(some), 0)
    states = states_of(system, some)
    for i, text in enumerate(some.texts()):
        alone = Retrieval((len(text) - 3) // 2).parse(text)
        own_inputs, own = queries(system, alone, 1, 0)
        torch.testing.assert_close(inputs[i], own_inputs[0], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(x[i], own[0], rtol=1e-12, atol=1e-13)
        own_states = states_of(system, alone)[:, 0]
        torch.testing.assert_close(states[: len(own_states), i], own_states, rtol=1e-12, atol=1e-13)
        assert (states[len(own_states) :, i] == states[len(own_states) - 1, i]).all()


def test_the_next_letter_of_mixed_strings_is_asked_for_with_its_digit():
    some = swapped(MIXED.parse("a1??a", "a1b2??b", "a1b2c3??b"))
    assert some.texts() == ["a1??a", "a1b2??a", "a1b2c3??c"]
    assert some.answers.tolist() == [1, 1, 3]


def test_places_of_mixed_strings_are_counted_in_the_columns_of_the_longest():
    some = MIXED.parse("a1??a", "a1b2??b", "a1b2c3??b", "a1b2c3??c")
    places = mistakes(some, np.array([7, 1, 2, 9]))["places"]
    assert places.tolist() == [[0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1]]


def test_errors_by_length_are_counted_and_their_mean_is_the_test_error(mixed):
    class First(torch.nn.Module):
        """Says the digit of the first pair, which is right where the first letter is asked for."""

        def forward(self, characters, ends):
            return torch.nn.functional.one_hot(characters[:, 1] - 26, 10).float()

    lesson = RetrievalLesson(mixed)
    found = lesson.wrong_by_pairs(First(), "test")
    texts, answers = mixed["test"].texts(), mixed["test"].answers
    for k in range(1, 6):
        own = [text[1] != str(a) for text, a in zip(texts, answers, strict=True) if len(text) == 2 * k + 3]
        assert found[k] == pytest.approx(sum(own) / len(own))
    assert lesson.share_wrong(First(), "test") == pytest.approx(sum(found.values()) / 5)


def test_a_trial_of_mixed_strings_is_a_row_of_them():
    trial = MIXED.trial(200, 3)
    text = "".join(CHARACTERS[i] for i in trial.inputs.argmax(axis=1))
    lengths = set()
    while "??" in text[:-1]:
        end = text.index("??") + 3
        MIXED.parse(text[:end])
        lengths.add(end)
        text = text[end:]
    assert len(lengths) == 5


def test_a_course_of_mixed_strings_is_scored_by_length(monkeypatch):
    few = MIXED.sets(0, train=50, validation=25, test=50)
    monkeypatch.setattr("dynsys.models.training.retrieval.strings", lambda task, seed: few)
    course = retrieval_course("irnn", units=3, pairs="1:5")
    metrics, _ = course.judge()
    assert [name for name in metrics if name.startswith("test_error_of_pairs_")] == [
        f"test_error_of_pairs_{k}" for k in range(1, 6)
    ]
    assert course.system().task == MIXED
