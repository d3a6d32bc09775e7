"""Points where linear systems meet: stable where all ways of changing sides shrink, against iteration from all over."""

import numpy as np
import pytest
import torch

from dynsys import System, find_fixed_points
from dynsys.piecewise_linear.kinks import one_sided_jacobians, stability_at_kink
from dynsys.systems.pieces import Pieces
from dynsys.systems.system import Kind


class TwoSides(System):
    """x' = L x where x_0 < 0, and R x elsewhere; the two differ in their first column alone, so that x' is continuous.

    As a flow dx/dt = (L - 1) x, or (R - 1) x.
    """

    name, n_state = "two sides", 2

    def __init__(self, L, R, kind=Kind.MAP):
        self.kind, self.L, self.R = kind, np.array(L), np.array(R)

    def pieces(self, u):
        more = torch.as_tensor(self.R - self.L)[:, :1]
        none, one = torch.zeros(2).double(), torch.tensor([[1.0, 0.0]]).double()
        return Pieces(torch.as_tensor(self.L - np.eye(2)), more, none, one, torch.zeros(1, 1).double(), none[:1])

    def velocity(self, x, u):
        return self.pieces(u).velocity(x)


def companion(trace, determinant):
    return [[trace, 1.0], [-determinant, 0.0]]


def word_at_zero(system):
    kink = torch.tensor([True])
    return stability_at_kink(one_sided_jacobians(system.pieces(None), ~kink, kink), system.kind)


def growth(system, steps=500):
    """The largest log |x| after many steps from states of length 1 all around."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x, total = np.stack([np.cos(angle), np.sin(angle)], 1), np.zeros(48)
    for _ in range(steps):
        x = np.where(x[:, :1] < 0, x @ system.L.T, x @ system.R.T)
        size = np.linalg.norm(x, axis=1) + 1e-300
        x, total = x / size[:, None], total + np.log(size)
    return total.max()


# moduli of eigenvalues: the root of the determinant, as they are complex
DANGEROUS = TwoSides(companion(-1.918, 0.956), companion(-0.4416, 0.9043))


def test_two_stable_sides_can_make_a_point_that_nothing_stays_at():
    for side in (DANGEROUS.L, DANGEROUS.R):
        assert np.abs(np.linalg.eigvals(side)).max() < 0.98
    assert growth(DANGEROUS) > 20
    assert word_at_zero(DANGEROUS).word == "marginal"
    points = find_fixed_points(DANGEROUS, n_starts=8, slow_q=0.0)
    assert points.states.tolist() == [[0.0, 0.0]]
    assert points.stability.tolist() == ["marginal"]
    assert points.certified.all()


@pytest.mark.parametrize(
    ("L", "R", "word"),
    [
        (companion(0.5, 0.3), companion(-0.4, 0.2), "stable focus"),
        (companion(0.8, 0.9), companion(0.9, 0.8), "stable focus"),  # in no norm that one sees at once
        (companion(2.5, 1.2), companion(3.0, 0.9), "saddle"),
        (companion(0.1, 1.2), companion(0.2, 1.3), "unstable focus"),
        (companion(0.5, 0.3), companion(2.5, 0.3), "marginal"),  # one side stable, one not
    ],
)
def test_sides_that_agree_are_proved_by_a_norm_or_by_a_mode_that_stays_on_its_side(L, R, word):
    assert word_at_zero(TwoSides(L, R)).word == word


def test_no_word_is_false_of_random_pairs_of_sides():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        (a, b), (c, d) = rng.uniform(-2, 2, 2), rng.uniform(-0.9, 0.99, 2)
        system = TwoSides(companion(a, c), companion(b, d))
        word, grows = word_at_zero(system).word.split()[0], growth(system)
        assert word not in (("unstable", "saddle") if grows < -1 else ("stable",) if grows > 1 else ())
        seen.add(word)
    assert {"stable", "saddle", "marginal"} <= seen


@pytest.mark.parametrize(
    ("A", "B", "word"),
    [
        ([[-1.0, 3.0], [-3.0, -1.0]], [[-2.0, 3.0], [-4.0, -1.0]], "stable focus"),
        ([[1.0, 3.0], [-3.0, 1.0]], [[2.0, 3.0], [-4.0, 1.0]], "unstable focus"),
        ([[-1.0, 3.0], [-3.0, -1.0]], [[-1.0, 3.0], [3.0, -1.0]], "marginal"),
    ],
)
def test_flows_are_judged_by_their_rates(A, B, word):
    one = np.eye(2)
    assert word_at_zero(TwoSides(np.array(A) + one, np.array(B) + one, Kind.FLOW)).word == word
