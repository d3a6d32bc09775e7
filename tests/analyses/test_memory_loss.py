"""The level at which half of the trials have lost a memory: against known distributions and counts done by hand."""

import numpy as np
import pytest
from scipy import stats

from dynsys.analyses.noise.failures import half_loss, lost_shares

LEVELS = np.geomspace(1e-3, 1.0, 20)


def interval(loss, levels):
    """The levels between which a loss lies, as a trial at these levels sees it."""
    edges = np.concatenate([[0.0], levels, [np.inf]])
    i = np.searchsorted(levels, loss)
    return edges[i], edges[i + 1]


def test_the_band_of_ten_trials_goes_from_the_second_to_the_ninth():
    losses = [(k, k + 0.5) for k in range(1, 11)]  # ranks 2 and 9 hold the median in 1 - 2 (1 + 10) / 2^10 = 97.9 %
    found = half_loss(losses)
    assert found.band == (2, 9.5)
    assert found.between == (5, 5.5)
    assert found.level == pytest.approx((5 * 5.5) ** 0.5)


def test_five_trials_are_too_few_for_a_band_of_95_percent():
    assert half_loss([(1, 2)] * 5).band == (0.0, np.inf)  # the first and the last hold it in 1 - 2 / 2^5 = 93.75 %
    assert half_loss([(1, 2)] * 6).band == (1, 2)  # 1 - 2 / 2^6 = 96.9 %


def test_trials_that_lost_none_leave_the_upper_end_open():
    found = half_loss([(0.1, 0.2)] * 4 + [(1.0, np.inf)] * 6)
    assert found.between == (1.0, np.inf)
    assert (found.level, found.lost, found.trials) == (1.0, 4, 10)
    assert found.to_json()["between"] == [1.0, None]


def test_losses_below_the_first_level_are_below_it():
    assert half_loss([(0.0, 0.1)] * 10).between == (0.0, 0.1)
    assert half_loss([(0.0, 0.1)] * 10).level == 0.1


@pytest.mark.parametrize("distribution", [stats.lognorm(s=0.5, scale=0.05), stats.weibull_min(2.0, scale=0.3)])
def test_the_band_holds_the_known_median_as_often_as_it_says(distribution):
    rng, runs = np.random.default_rng(0), 400
    held = 0
    for _ in range(runs):
        losses = distribution.rvs(size=10, random_state=rng)
        low, high = half_loss([interval(loss, LEVELS) for loss in losses]).band
        held += low <= distribution.median() <= high
    assert stats.binomtest(held, runs, 0.95, alternative="less").pvalue > 0.01


def test_the_share_and_its_interval_are_wilsons():
    losses = [(0.1, 0.2)] * 3 + [(0.2, 0.4)] * 5 + [(0.4, np.inf)] * 2
    shares = lost_shares(losses, [0.1, 0.2, 0.4])
    assert [s.lost for s in shares] == [0, 3, 8]
    n, p, z = 10, 0.3, stats.norm.ppf(0.975)  # Wilson 1927
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert (shares[1].low, shares[1].high) == pytest.approx((middle - half, middle + half))


@pytest.mark.parametrize("losses", [[], [(1.0, 1.0)], [(-1.0, 1.0)], [1.0, 2.0], [(np.nan, 1.0)]])
def test_what_is_no_interval_is_refused(losses):
    with pytest.raises(ValueError, match="levels"):
        half_loss(losses)
