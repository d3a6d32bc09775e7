"""A memory that could not be followed is neither kept nor lost from there on."""

import dataclasses

import numpy as np
import pytest

from dynsys import Flow
from dynsys.analyses.noise.failures import half_loss, lost_shares
from dynsys.analyses.noise.results import results_of
from dynsys.analyses.noise.tables import summary
from dynsys.continuation.persistence import survival
from dynsys.continuation.track import Fate

LEVELS = [0.1, 0.3, 0.5]


def bistable(level):
    return Flow(lambda x, u: x - x**3 + level, n_state=1)


@pytest.fixture(scope="module")
def known():
    """Of memories at -1 and 1 the first meets the point at 0 at 2 / 27^0.5 = 0.385."""
    return survival([[-1.0], [0.0], [1.0]], bistable(0.0), bistable, LEVELS)


def not_followed(found, from_level, rows=(0,)):
    """The same, had those points not been followed from that level on."""
    drift, memory, fate = found.drift.copy(), found.memory.copy(), found.fate.copy().astype("U60")
    drift[from_level:, rows], memory[from_level:, rows], fate[list(rows)] = np.nan, False, str(Fate.UNKNOWN)
    return dataclasses.replace(found, drift=drift, memory=memory, fate=fate)


def test_a_loss_that_is_known_lies_between_its_levels(known):
    assert known.first_loss == (0.3, 0.5)
    assert not known.unknown.any()


def test_a_memory_that_is_not_followed_may_be_lost_at_any_level_since(known):
    for_once = not_followed(known, 1)
    assert for_once.first_loss == (0.1, np.inf)
    assert for_once.unknown.tolist() == [[False] * 3, [True, False, False], [True, False, False]]
    assert not_followed(known, 0).first_loss == (0.0, np.inf)


def test_the_loss_of_another_memory_is_an_upper_end(known):
    """The memory at 1 is unknown from the first level on, that at -1 is lost at the third."""
    assert not_followed(known, 0, rows=(2,)).first_loss == (0.0, 0.5)
    assert not_followed(known, 2, rows=(2,)).first_loss == (0.3, 0.5)


def test_trials_count_in_a_share_at_the_levels_where_they_are_known():
    losses = [(0.1, 0.3), (0.1, 0.3), (0.3, np.inf), (0.1, np.inf), (0.0, np.inf)]
    shares = lost_shares(losses, LEVELS)
    assert [(s.lost, s.trials) for s in shares] == [(0, 4), (2, 3), (2, 2)]
    assert lost_shares([(0.0, np.inf)], LEVELS)[0].share is None
    found = half_loss(losses)
    assert (found.between, found.lost) == ((0.1, np.inf), 2)


def test_results_count_the_known_and_say_how_many_were_not():
    def row(number, kept, unknown, fate, first_loss):
        follow = {"of": {"exist": 2, "memories": 2}, "exist": kept, "memories": kept, "same_stability": kept}
        follow |= {"unknown": {"exist": unknown, "memories": unknown}, "fate": fate, "first_loss": first_loss}
        follow |= {"drift": [], "predicted": []}
        measures = {"measures": {"mse": [0.1, 0.2, 0.3]}, "noiseless": {"mse": 0.0}, "survival": follow}
        return {"id": f"bistable/trial={number}", "status": "done", "result": measures}

    from dynsys.analyses.noise.networks import networks_of

    rows = [
        row(0, [2, 2, 1], [0, 0, 0], {str(Fate.SURVIVES): 1, str(Fate.FOLD): 1}, [0.3, 0.5]),
        row(1, [2, 1, 1], [0, 1, 1], {str(Fate.SURVIVES): 1, str(Fate.UNKNOWN): 1}, [0.1, None]),
        row(2, [2, 0, 0], [0, 2, 2], {str(Fate.UNKNOWN): 2}, [0.1, None]),
    ]
    settings = {"on": "state", "levels": LEVELS, "trials": 3, "steps": 10}
    results = results_of(settings, networks_of(["bistable"]), rows)
    (network,) = results["networks"]
    assert network["survival"]["shares"]["memories"]["values"] == [[1, 1, 0.5], [1, 1, 1], [1, None, None]]
    assert network["survival"]["loss"]["lost"]["share"] == [0, 0, 1]
    assert network["survival"]["shares"]["same_stability"] is network["survival"]["named"] is None  # rows of old
    said = " ".join(summary(results))
    assert "in 2 of 3 trials points could not be followed" in said
    assert "2 survives; 1 met another fixed point in a fold; 3 could not be followed" in said
