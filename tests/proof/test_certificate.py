"""Certificates: the true point is within the bound, alone within its radius, and nothing is certified that is not.

Expected zeros come from exact arithmetic (polynomials with dyadic roots in exactly rotated coordinates) or from 50
digits (``exact_networks``, which knows the weights only).
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from exact_networks import DIGITS, Gated, Rate, distance_to_root
from hypothesis import given, settings
from hypothesis import strategies as st

from dynsys import Flow
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.numerics.threads import pieces_of
from dynsys.proof.certificate import Reason, certify
from dynsys.proof.kantorovich import assess
from dynsys.systems.held import Held
from dynsys.systems.system import Kind, System

HADAMARD = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64) / 2
WELL_CONDITIONED = 1e3  # |J^-1|, up to which the bound has to be below 1e-10


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(DIGITS):
        yield


def held(x, m=0):
    return x.new_zeros(len(x), m)


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


class Cubics(System):
    """dy_i/dt = -(y_i - a_i)(y_i - b_i)(y_i - c_i) in coordinates x = Q y: 81 zeros for four units, all exact."""

    kind, name, n_state = Kind.FLOW, "cubics", 4

    def __init__(self, roots):
        self.roots = torch.tensor(roots, dtype=torch.float64)  # (4, 3)

    def velocity(self, x, u):
        y = x @ HADAMARD.T
        return -((y.unsqueeze(2) - self.roots).prod(2)) @ HADAMARD.T

    def enclosure(self, y, u):
        z = y.affine(HADAMARD)
        a, b, c = (z + z.constant(-root[None]) for root in self.roots.T)
        return -(a * b * c).affine(HADAMARD)

    def zeros(self):
        return torch.tensor(list(itertools.product(*self.roots.tolist())), dtype=torch.float64) @ HADAMARD.T


class Fold(System):
    """dx/dt = r + x^2: zeros at +-sqrt(-r), none for r > 0."""

    kind, name, n_state = Kind.FLOW, "fold", 1

    def __init__(self, r):
        self.r = r

    def velocity(self, x, u):
        return self.r + x**2

    def enclosure(self, y, u):
        return y * y + y.constant(torch.full_like(y.value, self.r))


def distances(x, zeros):
    return torch.cdist(x, zeros, compute_mode="donot_use_mm_for_euclid_dist")


def exact_distance(x, zero):
    squares = ((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x.tolist(), zero.tolist(), strict=True))
    return mpmath.sqrt(mpmath.fsum(mpmath.mpf(s.numerator) / s.denominator for s in squares))


def test_exactly_known_points_are_within_their_bounds_and_alone_within_their_radii():
    """5184 zeros with neighbours at 2^-2 to 2^-26, each looked at from a little way off."""
    rng, counted = np.random.default_rng(0), 0
    for k in range(64):
        gap = 2.0 ** -rng.integers(2, 8 if k % 2 else 27, (4, 2))
        middle = rng.integers(-32, 33, (4, 1)) / 16
        system = Cubics(np.hstack([middle - gap[:, :1], middle, middle + gap[:, 1:]]).tolist())
        zeros = system.zeros()
        off = 10.0 ** -rng.integers(9, 17, (81, 1)) * rng.standard_normal((81, 4))
        x = zeros + torch.as_tensor(off * (np.arange(81) % 3 > 0)[:, None])
        found = certify(Held(system, held(x), 1.0), x)
        counted += int(found.certified.sum())
        for i in found.certified.nonzero().flatten().tolist():
            apart = distances(x[i : i + 1], zeros)[0]
            inside = (apart <= float(found.error_bound[i])).nonzero().flatten().tolist()
            near = int(apart.argmin())
            assert set(inside) <= {near}  # never two
            assert exact_distance(x[i], zeros[near]) <= float(found.error_bound[i])
            assert int((apart < float(found.unique_radius[i]) * (1 - 1e-12)).sum()) == 1
        if k % 2:  # gaps down to 1/128; those of 1e-8 are too near a fold for states 1e-9 away
            assert bool(found.certified.all())
    assert counted > 3200


def planted(W, x, form, activation):
    """Inputs that make each x (B, n) a zero to rounding of a network whose input is its bias."""
    n, f = W.shape[0], {"tanh": torch.tanh, "logistic": torch.sigmoid, "relu": torch.relu}[activation]
    if form is LeakyRate:
        return x - f(x) @ W.T
    inverse = {"tanh": torch.atanh, "logistic": torch.logit, "relu": lambda y: y}[activation]
    return inverse(x) - x @ W.T if n else x


@pytest.mark.parametrize("form", [LeakyRate, LeakyActivity])
@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
def test_planted_points_are_within_their_bounds(form, activation):
    """1200 states per kind of network, half of them up to 1e-2 away from the zero that their input puts there."""
    rng, checked = np.random.default_rng(3), 0
    for n in (1, 2, 3, 4):
        for gain in (0.5, 2.0, 8.0):
            W = torch.as_tensor(rng.standard_normal((n, n)) * gain / math.sqrt(n))
            system = form(W, np.eye(n), activation=activation)
            exact = Rate(system.W, system.B, system.b, activation, activity=form is LeakyActivity)
            low = -0.98 if activation == "tanh" else 0.02
            x = torch.as_tensor(rng.uniform(low, 0.98, (100, n)))
            u = planted(W, x, form, activation)
            off = 10.0 ** -rng.uniform(2, 18, (100, 1)) * rng.standard_normal((100, n))
            checked += check_all(system, exact, x[:50], u[:50])
            checked += check_all(system, exact, x[50:] + torch.as_tensor(off[50:]), u[50:], refined=False)
    assert checked >= 1100


def check_all(system, exact, x, u, refined=True):
    """How many of the states are certified, after a look at each of them in 50 digits."""
    found = certify(Held(system, u, 1.0), x)
    inverse = torch.linalg.inv_ex(system.jacobian(x, u))[0]
    for i in found.certified.nonzero().flatten().tolist():
        bound = float(found.error_bound[i])
        assert distance_to_root(exact, x[i].tolist(), u[i].tolist(), inverse[i].tolist()) <= bound
        assert bound <= float(found.unique_radius[i])
        if refined and float(found.inverse_norm[i]) < WELL_CONDITIONED:
            assert bound < 1e-10
    return int(found.certified.sum())


def newton(system, x, u, steps=40):
    """Zeros from random states, by plain Newton steps; whatever does not arrive is left out."""
    for _ in range(steps):
        step = torch.linalg.solve_ex(system.jacobian(x, u), system.velocity(x, u))[0]
        x = x - step.nan_to_num(0.0).clamp(-1, 1)
    kept = torch.linalg.vector_norm(system.velocity(x, u), dim=1) < 1e-11
    x, u = x[kept], u[kept]
    distinct = np.unique(torch.cat([x, u], 1).numpy().round(9), axis=0, return_index=True)[1]
    return x[distinct], u[distinct]


def random_network(kind, seed):
    rng = np.random.default_rng(seed)
    units, layers, gain = int(rng.integers(1, 4)), int(rng.integers(1, 3)), float(rng.uniform(0.5, 4))
    if kind == "lstm":
        projected = int(rng.integers(0, 2)) * (units - 1)
        system = LSTM.random(units, layers, seed, min(gain, 1.5), proj_size=projected)
    elif kind == "gru":
        system = GRU.random(units, layers, seed, gain)
    elif kind in ("vanilla", "relu"):
        system = RNN.random(units, layers, seed, gain, nonlinearity="relu" if kind == "relu" else "tanh")
    elif kind == "esn":
        system = EchoStateNetwork.random(EchoStateConfig(units=units + 1, gain=2 * gain, seed=seed))
        system = system.with_readout(rng.standard_normal((3, units + 1)) * 0.3)
        return system, Rate(system.W, system.B, torch.zeros(units + 1), "tanh")
    else:
        system = SimpleRNN.random(units + 1, gain=2 * gain, seed=seed, activation=kind)
        return system, Rate(system.W, torch.zeros(units + 1, 0), torch.zeros(units + 1), kind)
    if kind in ("gru", "lstm"):
        return system, Gated(kind, system.arrays())
    return system, Gated("vanilla", system.arrays(), "relu" if kind == "relu" else "tanh")


LEAST = {"vanilla": 600, "relu": 600, "gru": 600, "lstm": 600, "esn": 600, "tanh": 50, "logistic": 30}


@pytest.mark.parametrize("kind", LEAST)
def test_points_of_random_networks_are_within_their_bounds(kind):
    """With 32 inputs each, so that most of their zeros are different ones; two layers in half of them."""
    counted = []

    def check(seed):
        system, exact = random_network(kind, seed)
        rng = np.random.default_rng([seed, 1])
        u = torch.as_tensor(rng.standard_normal((32, system.n_input)))
        x, u = newton(system, torch.as_tensor(rng.uniform(-1, 1, (32, system.n_state))), u)
        with mpmath.workdps(DIGITS):
            counted.append(check_all(system, exact, x, u))

    settings(max_examples=40, derandomize=True, database=None)(given(st.integers(0, 10**6))(check))()
    assert sum(counted) >= LEAST[kind]


def test_no_two_zeros_of_one_network_share_a_radius():
    rng, pairs = np.random.default_rng(0), 0
    for seed in range(12):
        system = SimpleRNN.random(8, gain=7.0, seed=seed)
        x, u = newton(system, torch.as_tensor(rng.uniform(-8, 8, (600, 8))), torch.zeros(600, 0).double())
        found = certify(Held(system, u, 10.0), x)
        assert bool(found.certified.all())
        apart = distances(x, x).fill_diagonal_(torch.inf)
        assert bool((found.unique_radius.unsqueeze(1) < apart).all())
        pairs += len(x) * (len(x) - 1)
    assert pairs > 800


@given(st.floats(1e-20, 0.1), st.floats(-1.5, 1.5))
def test_beyond_a_fold_nothing_is_certified(r, near):
    x = column(near * math.sqrt(r), near, 0.0)
    found = certify(Held(Fold(r), held(x), 1.0), x)
    assert not bool(found.certified.any())
    assert set(found.reasons) <= {Reason.FOLD, Reason.SINGULAR}
    assert bool(torch.isinf(found.error_bound).all())


@given(st.floats(1e-20, 0.1), st.floats(-1.5, 1.5))
def test_before_a_fold_each_zero_is_certified_alone(r, near):
    with mpmath.workdps(DIGITS):
        root = mpmath.sqrt(mpmath.mpf(r))
        x = column(near * math.sqrt(r), math.sqrt(r), -math.sqrt(r))
        found = certify(Held(Fold(-r), held(x), 1.0), x)
        for at, bound, radius in zip(x.flatten(), found.error_bound, found.unique_radius, strict=True):
            apart = sorted(abs(mpmath.mpf(float(at)) - zero) for zero in (root, -root))
            if math.isfinite(bound):
                assert apart[0] <= float(bound)
                assert float(bound) < float(radius) < apart[1]
        if r > 1e-13:
            assert bool(found.certified[1:].all())
            assert float(found.unique_radius[1]) > 0.1 * math.sqrt(r)  # the other zero is at 2 sqrt(r)


def bisected(F, low, high):
    """The zero between two places where F has different signs."""
    rising = F(high) > 0
    while high - low > mpmath.mpf(10) ** -30:
        middle = (low + high) / 2
        low, high = (low, middle) if (F(middle) > 0) == rising else (middle, high)
    return low


@settings(max_examples=40)
@given(st.floats(1.2, 4.0), st.floats(-15, -1), st.booleans(), st.integers(0, 100))
def test_at_the_fold_of_a_network_only_zeros_that_are_there_are_certified(w, exponent, beyond, seed):
    """x' = -x + w tanh(x) + b folds where w sech^2 = 1; there are three zeros on one side and one on the other."""
    with mpmath.workdps(DIGITS):
        at = mpmath.acosh(mpmath.sqrt(mpmath.mpf(w)))
        b = float(at - w * mpmath.tanh(at) - (1 if beyond else -1) * mpmath.mpf(10) ** exponent)

        def F(x):
            return -x + w * mpmath.tanh(x) + b

        rng, ends = np.random.default_rng(seed), [mpmath.mpf(-20), -at, at, mpmath.mpf(20)]
        brackets = [pair for pair in itertools.pairwise(ends) if F(pair[0]) * F(pair[1]) < 0]
        zeros = [bisected(F, *pair) for pair in brackets]
        assert len(zeros) in (1, 3)
        system = LeakyRate([[w]], [[1.0]])
        x = column(float(at), *(float(at) + 10.0 ** rng.uniform(-9, 0, 8) * rng.standard_normal(8)), *map(float, zeros))
        found = certify(Held(system, torch.full_like(x, b), 1.0), x)
        for state, bound, radius in zip(x.flatten(), found.error_bound, found.unique_radius, strict=True):
            apart = [abs(mpmath.mpf(float(state)) - zero) for zero in zeros]
            if math.isfinite(bound):
                assert sum(d <= float(bound) for d in apart) == 1
                assert sum(d < float(radius) for d in apart) == 1


@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("above", [1e-15, 1e-10, 1e-2])
def test_near_a_pitchfork_the_zeros_keep_apart(n, above):
    """Units of weight 1 + above have three zeros within sqrt(3 above) of 0, in coordinates that do not show it."""
    system = Bistable(n, w=1 + above)
    x = torch.as_tensor(system.fixed_points()[0])
    found = certify(Held(system, held(x), 1.0), x)
    apart = distances(x, x).fill_diagonal_(torch.inf)
    assert bool((found.unique_radius.unsqueeze(1) < apart).all())
    assert bool(found.certified.all()) == (above > 1e-14)  # for 1e-15, rounding may take two of the three away


def test_reasons_are_told():
    x = column(0.0, 0.5)
    cases = [
        (RNN({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[1.0]]}), column(0.0, 0.0), Reason.SINGULAR),  # tanh'(0) = 1
        (Flow(lambda x, u: x - x**3, n_state=1, n_input=1), x, Reason.NO_CLOSED_FORM),
        (RNN({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[1e200]]}), column(1e-200, 1.0), Reason.OVERFLOW),
        (LeakyActivity([[1e300]], [[1.0]], activation="relu"), column(1e300, 1e20), Reason.OVERFLOW),
        (LeakyActivity([[1.0]], [[1.0]], activation="relu"), column(0.0, 0.0), Reason.KINK),
        (LeakyRate([[0.0]], [[1.0]], activation="relu"), column(0.0, -0.0), Reason.KINK),
    ]
    for system, states, reason in cases:
        found = certify(Held(system, torch.zeros_like(states), 1.0), states)
        assert not bool(found.certified.any())
        assert found.reasons == (reason,) * 2, system.name
        assert bool(torch.isinf(found.error_bound).all())
        assert bool((found.unique_radius == 0).all())


def test_above_the_size_of_a_jacobian_nothing_is_formed():
    def refuse(x, u):
        raise AssertionError("it is not to be evaluated")

    x = torch.zeros(1, 2049, dtype=torch.float64)
    assert certify(Held(Flow(refuse, n_state=2049), held(x), 1.0), x).reasons == (Reason.TOO_LARGE,)


@pytest.mark.parametrize("speed", [1e-9, 1.0])
def test_a_steady_drift_has_no_point(speed):
    """x' = x + speed: F is constant."""
    system = LeakyRate([[1.0]], [[1.0]], activation="relu")  # -x + relu(x) + u, for x > 0
    x = column(1.0, 2.0, 1e6)
    found = certify(Held(system, torch.full_like(x, speed), 1.0), x)
    assert set(found.reasons) == {Reason.SINGULAR}


def test_a_line_of_points_is_not_certified():
    """-x + relu(x) is zero for every x > 0, and -y + relu(y) / 2 - 1 is zero at -1."""
    system = LeakyRate([[1.0, 0.0], [0.0, 0.5]], b=[0.0, -1.0], activation="relu")
    x = torch.tensor([[0.5, -1.0], [3.0, -1.0]], dtype=torch.float64)
    assert certify(Held(system, held(x), 1.0), x).reasons == (Reason.SINGULAR,) * 2


def test_in_a_straight_piece_the_only_zero_is_alone_as_far_as_the_piece_goes():
    """relu(x / 2 + 1) - x: its zero 2 lies 4 from the kink at -2."""
    system = LeakyActivity([[0.5]], b=[1.0], activation="relu")
    found = certify(Held(system, torch.zeros(1, 0).double(), 1.0), column(2.0))
    assert bool(found.certified)
    assert 1.0 < float(found.unique_radius) < 8.0
    assert float(found.error_bound) < 1e-15


def test_points_are_certified_alike_alone_and_in_company():
    system = GRU.random(6, seed=3)
    u = torch.as_tensor(np.random.default_rng(0).standard_normal((20, 2)))
    x, u = newton(system, torch.zeros(20, 6).double(), u)
    together, apart = certify(Held(system, u, 1.0), x), certify(Held(system, u, 1.0), x, memory=1)
    assert together.reasons == apart.reasons
    torch.testing.assert_close(together.error_bound, apart.error_bound, rtol=1e-2, atol=0)
    assert len(certify(Held(system, u[:0], 1.0), x[:0])) == 0


def test_pieces_of_large_networks_are_certified_alike_by_one_thread_and_by_three():
    rng = np.random.default_rng(0)
    n = 260
    zeros = {"weight_ih_l0": np.zeros((n, 1)), "bias_ih_l0": np.zeros(n), "bias_hh_l0": np.zeros(n)}
    net = RNN({**zeros, "weight_hh_l0": 0.5 * rng.standard_normal((n, n)) / np.sqrt(n)})
    x = torch.as_tensor(1e-9 * rng.standard_normal((20, n)))
    assert len(pieces_of(x, 20)) == 3
    u = torch.zeros(20, 1, dtype=torch.float64)
    one, three = (certify(Held(net, u, 1.0), x, workers=workers) for workers in (1, 3))
    assert one.certified.all()
    for name in ("error_bound", "unique_radius", "inverse_norm"):
        assert torch.equal(getattr(one, name), getattr(three, name))


def test_a_shut_gate_does_not_loosen_the_bound():
    """With an update gate at 1 - 1e-12 the step is 1e-12 of the way, and so is its rounding."""
    bounds = []
    for bias in (0.0, 27.0):
        weights = {key: value.copy() for key, value in GRU.random(4, seed=1).arrays().items()}
        weights["bias_hh_l0"][4:8] += bias
        without_gate = GRU(weights).reduction().system
        x, u = newton(without_gate, torch.zeros(1, 4).double(), torch.zeros(1, 2).double())
        bounds.append(float(certify(Held(GRU(weights), u, 1.0), x).error_bound))
    assert max(bounds) < 1e-13


def test_estimates_hold_where_no_closed_form_is_known():
    """The same planted points, with nothing but the velocity to go by: none is certified, and every bound holds."""
    rng, checked = np.random.default_rng(5), 0
    for n in (1, 2, 3):
        W = torch.as_tensor(rng.standard_normal((n, n)) * 2)
        known = LeakyRate(W, np.eye(n))
        hidden = Flow(known.velocity, n_state=n, n_input=n)
        exact = Rate(known.W, known.B, known.b, "tanh")
        x = torch.as_tensor(rng.uniform(-1, 1, (200, n)))
        u = planted(W, x, LeakyRate, "tanh")
        assert not bool(certify(Held(hidden, u, 1.0), x).certified.any())
        found = assess(Held(hidden, u, 1.0), x)
        inverse = torch.linalg.inv_ex(known.jacobian(found.x, u))[0]
        for i in torch.isfinite(found.error_bound).nonzero().flatten().tolist():
            away = distance_to_root(exact, found.x[i].tolist(), u[i].tolist(), inverse[i].tolist())
            assert away <= float(found.error_bound[i])
            checked += 1
    assert checked > 550


@pytest.mark.parametrize("least", [1e-2, 1e-9])
def test_large_networks_are_certified_well_conditioned_or_not(least):
    """-x + (I + M) tanh(x) at the origin, M with singular values from 1 down to ``least``: J is M, |J^-1| 1 / least."""
    rng, n = np.random.default_rng(0), 150
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    system = SimpleRNN(np.eye(n) + left @ np.diag(np.logspace(np.log10(least), 0, n)) @ right)
    found = certify(Held(system, torch.zeros(1, 0).double(), 1.0), torch.zeros(1, n).double())
    assert bool(found.certified)
    assert float(found.error_bound) < 1e-100  # F(0) is exactly 0
    assert 0.99 / least <= float(found.inverse_norm) <= 100 / least
    assert float(found.unique_radius) > 1e-3 * least
