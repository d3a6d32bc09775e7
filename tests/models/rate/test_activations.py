"""Every activation is its formula to the last digits, known by its usual names, and certified only where that is true.

Expected values are those of 60 digits (``exact_networks``, from formulas of its own).
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from exact_networks import FUNCTIONS, SLOPES, Rate, distance_to_root
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dynsys.models.activations import ACTIVATIONS, GATES, activation, activation_named
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.proof.certificate import Reason, certify
from dynsys.proof.exact import UNIT, up
from dynsys.proof.functions.elementary import ELU, ERF, LOGISTIC, SOFTPLUS, TANH, power
from dynsys.proof.functions.enclosure import Enclosed
from dynsys.systems.held import Held

DIGITS = 60
RADII = torch.tensor([1e-300, 1e-9, 1e-3, 0.3, 10.0, 100.0], dtype=torch.float64)
SMOOTH = {
    "tanh": TANH,
    "logistic": LOGISTIC,
    "softplus": SOFTPLUS,
    "erf": ERF,
    "elu": ELU,
    **{f"relu^{p:g}": power(p) for p in (1.5, 2, 2.5, 3)},
}
PLACES = [0.0, 5e-324, 1e-300, 1e-20, 1.0, 2.5, 3.0, 20.0, 30.0, 700.0, 745.0]  # breakpoints, and where exp ends
PLACES += [math.nextafter(x, 0) for x in (1.0, 2.5, 3.0, 20.0)] + [math.nextafter(x, 9e9) for x in (2.5, 3.0, 20.0)]
NUMBERS = st.sampled_from(PLACES + [-x for x in PLACES]) | st.floats(-4, 4) | st.floats(-750, 750)


@pytest.fixture(autouse=True)
def _sixty_digits():
    with mpmath.workdps(DIGITS):
        yield


def sampled():
    rng = np.random.default_rng(0)
    sizes = [rng.uniform(0, 4, 500), rng.uniform(0, 40, 300), 10 ** rng.uniform(-300, 2.87, 400), PLACES]
    return torch.as_tensor(np.concatenate([np.concatenate(sizes), -np.concatenate(sizes)]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_are_those_of_the_formula(name):
    f, x = activation(name), sampled()
    for at, value, slope in zip(x.tolist(), f.value(x).tolist(), f.slope(x, f.value(x)).tolist(), strict=True):
        exact, steep = FUNCTIONS[name](mpmath.mpf(at)), SLOPES[name](mpmath.mpf(at))
        assert abs(value - exact) <= 8 * UNIT * (abs(exact) + (1 if f.hinges else 0)) + 1e-290, at
        assert abs(slope - steep) <= 1e-14 * (1 + abs(steep)), at
        assert f.low <= value <= f.high


@pytest.mark.parametrize("name", FUNCTIONS)
def test_they_rise_and_come_as_near_to_the_ends_of_their_range_as_is_said(name):
    f = activation(name)
    x = torch.linspace(-50, 50, 4001, dtype=torch.float64)
    values = f.value(x)
    assert bool((values[1:] >= values[:-1]).all())
    for end, bound in ((values[0], f.low), (values[-1], f.high)):
        assert abs(float(end) - bound) < 1e-15 if math.isfinite(bound) else abs(float(end)) >= 49


def test_softplus_has_no_threshold():
    """torch's own is x itself above 20, 2e-9 too little."""
    x = torch.tensor([20.5, 30.0], dtype=torch.float64)
    assert bool((torch.nn.functional.softplus(x) == x).all())
    assert float(activation("softplus").value(x)[0] - x[0]) == pytest.approx(math.exp(-20.5), rel=1e-6)


@pytest.mark.parametrize("name", [name for name, f in ACTIVATIONS.items() if f.hinges is not None])
def test_hinges_are_the_function_in_fractions(name):
    h = ACTIVATIONS[name].hinges
    slope = Fraction({"hard-sigmoid": 1 / 6, "hard-sigmoid-0.2": 0.2}.get(name, 1))
    for x in map(Fraction, (-1e9, -4, -3, -2.5, -0.3, 0, 1e-9, 0.7, 2.5, 3, 4, 1e9)):
        units = zip(h.bends, h.places, strict=True)
        made = Fraction(h.slope) * x + sum(
            Fraction(bend) * max(Fraction(h.steep) * x - Fraction(place), Fraction(0)) for bend, place in units
        )
        hard = min(max(slope * x + Fraction(1, 2), Fraction(0)), Fraction(1))
        assert made == {"relu": max(x, Fraction(0)), "identity": x}.get(name, hard)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_and_its_mirror_image_sum_to_one(name):
    x = sampled()
    torch.testing.assert_close(ACTIVATIONS[name].value(x) + ACTIVATIONS[name].value(-x), torch.ones_like(x))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tanh", "tanh"),
        ("nn.Tanh()", "tanh"),
        ("tansig", "tanh"),
        ("sigmoid", "logistic"),
        ("Sigmoid", "logistic"),
        ("logsig", "logistic"),
        ("ReLU(inplace=True)", "relu"),
        ("torch.nn.functional.relu", "relu"),
        ("rectify", "relu"),
        ("relu^1", "relu"),
        ("Softplus(beta=1.0, threshold=20.0)", "softplus"),
        ("Linear", "identity"),
        ("purelin", "identity"),
        ("hard_sigmoid", "hard-sigmoid"),
        ("torch.nn.Hardsigmoid", "hard-sigmoid"),
        ("hard-sigmoid-0.2", "hard-sigmoid-0.2"),
        ("torch.erf", "erf"),
        ("ELU(alpha=1.0)", "elu"),
        ("rectified tanh", "retanh"),
        ("relu**2", "relu^2"),
        ("ReLU^2.0", "relu^2"),
        ("relu^1.5", "relu^1.5"),
        ("relu^1.2345678901", "relu^1.2345678901"),
    ],
)
def test_usual_names_are_known_in_any_case(text, name):
    assert activation_named(text) == name
    assert activation(text).name == name
    assert activation_named(name) == name


UNKNOWN = ["gelu", "", "ELU(alpha=0.5)", "LeakyReLU", "relu6", "relu^0.5", "relu^1000", "relu(x, 3)", " " * 90, None, 3]
UNKNOWN += ["relu^-1", "-relu"]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_is_laid_to_the_option_and_the_legal_ones_are_listed(text):
    with pytest.raises(
        ValueError, match=r"^gate_activation is .*; it can be tanh, logistic \(sigmoid\), relu, .* relu\^3"
    ):
        activation_named(text, "gate_activation")
    with pytest.raises(ValueError, match=r"it can be logistic \(sigmoid\), hard-sigmoid, hard-sigmoid-0.2$"):
        activation_named("tanh", "gate", GATES)


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_slopes_are_within_the_rounding_that_proofs_allow(name):
    """In rows of 1000 and of 3, so that vector and scalar code are both tried."""
    phi, x = SMOOTH[name], sampled()
    for rows in (x.view(2, -1), x[: len(x) // 3 * 3].view(-1, 3)):
        value, slope = (torch.cat([g(row.clone()) for row in rows]) for g in (phi.value, phi.slope))
        allowed, loose, at = up(phi.rounding(value)), phi.loose(rows.flatten()), rows.flatten()
        for i in range(len(at)):
            x_i = mpmath.mpf(float(at[i]))
            assert abs(mpmath.mpf(float(value[i])) - FUNCTIONS[name](x_i)) <= float(allowed[i]), float(at[i])
            off = abs(mpmath.mpf(float(slope[i])) - SLOPES[name](x_i))
            assert off <= float(loose[i]) * float(slope[i]) + 1e-290, float(at[i])


PEAKS = (0.0, 0.6585, -0.6585, 1.317, -1.317, 0.7071, -0.7071)


def test_the_bend_of_a_power_is_no_less_at_minus_zero():
    ends = torch.tensor([-0.0, 0.0], dtype=torch.float64)
    assert (SMOOTH["relu^1.5"].bend(ends, ends + 1) == torch.inf).all()


@given(st.data(), NUMBERS, st.floats(0, 1e3) | st.sampled_from([0.0, 1e-300, 1e-17, 1.0, 5.0]))
def test_no_slope_in_an_interval_exceeds_its_bound_nor_any_change_of_slope(data, low, width):
    """And the bounds are not idle: some place comes near each."""
    with mpmath.workdps(DIGITS):
        high = low + width
        ends = torch.tensor([low], dtype=torch.float64), torch.tensor([high], dtype=torch.float64)
        for name, phi in SMOOTH.items():
            steepest, bend = up(phi.steepest(*ends)).item(), up(phi.bend(*ends)).item()
            shares = (*np.linspace(0, 1, 9), data.draw(st.floats(0, 1)))
            places = {mpmath.mpf(low) + (mpmath.mpf(high) - mpmath.mpf(low)) * mpmath.mpf(s) for s in shares}
            places |= {mpmath.mpf(p) for p in PEAKS if low <= p <= high}
            slopes = [(place, SLOPES[name](place)) for place in sorted(places)]
            assert max(slope for _, slope in slopes) <= steepest
            assert steepest <= 2 * max(slope for _, slope in slopes) + 1e-289 or width > 1
            for (a, at_a), (b, at_b) in itertools.pairwise(slopes):
                assert abs(at_b - at_a) <= bend * (b - a) * (1 + mpmath.mpf(10) ** -30) + mpmath.mpf(10) ** -50


def test_second_derivatives_are_at_most_those_of_mathematics():
    """Over all numbers: sigma' = 1/4 for softplus, 2 sqrt(2 / (pi e)) for erf, 1 for ELU, p (p - 1) x^(p - 2)."""
    ends = torch.tensor([-50.0], dtype=torch.float64), torch.tensor([4.0], dtype=torch.float64)
    expected = {
        "softplus": 0.25,
        "erf": 2 * math.sqrt(2 / (math.pi * math.e)),
        "elu": 1.0,
        "relu^2": 2.0,
        "relu^3": 24.0,
    }
    for name, bound in expected.items():
        assert SMOOTH[name].bend(*ends).item() == pytest.approx(bound, rel=1e-12), name
    assert SMOOTH["relu^1.5"].bend(*ends).item() == math.inf
    assert SMOOTH["relu^1.5"].bend(torch.tensor([1.0], dtype=torch.float64), ends[1]).item() == pytest.approx(0.75)


W = [[1.0, 0.5], [-2.0, 0.25]]


def composed(x, name):
    """phi(x0 + x1 / 2) x1 + phi(-2 x0 + x1 / 4)."""
    y = x.affine(torch.tensor(W, dtype=torch.float64))
    first, second = activation(name).enclosed(y).chunk(2)
    return first * x.chunk(2)[1] + second


def exact_composed(x, name):
    """Its value and its gradient."""
    f, slope = FUNCTIONS[name], SLOPES[name]
    a, b = (w[0] * x[0] + w[1] * x[1] for w in W)
    gradient = [slope(a) * x[1] * W[0][j] + slope(b) * W[1][j] + (f(a) if j else 0) for j in (0, 1)]
    return f(a) * x[1] + f(b), gradient


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=40)
@given(a=NUMBERS, b=NUMBERS, k=st.integers(0, 5), angle=st.floats(0, 6.3), share=st.floats(0, 1))
@example(a=0.0, b=0.0, k=0, angle=0.0, share=1.0)
@example(a=3.0, b=0.0, k=1, angle=3.2, share=1.0)
@example(a=1.25, b=0.0, k=1, angle=0.0, share=1.0)
def test_what_an_enclosure_says_is_true(name, a, b, k, angle, share):
    """Value and gradient at the state, and gradients elsewhere in a ball, of a composed function of two variables."""
    with mpmath.workdps(DIGITS):
        f = composed(Enclosed.state(torch.tensor([[a, b]], dtype=torch.float64), RADII), name)
        away = mpmath.mpf(float(RADII[k])) * mpmath.mpf(share)
        there = mpmath.mpf(a) + away * mpmath.cos(angle), mpmath.mpf(b) + away * mpmath.sin(angle)
        value, gradient = exact_composed((mpmath.mpf(a), mpmath.mpf(b)), name)
        _, elsewhere = exact_composed(there, name)
        assert abs(mpmath.mpf(f.value.item()) - value) <= f.error.item()
        error = f.gradient_error.item()
        if math.isfinite(error):
            computed = f.gradient.dense()[0, 0].tolist()
            assert mpmath.norm([c - g for c, g in zip(computed, gradient, strict=True)]) <= error
            change, bend = mpmath.norm([t - g for t, g in zip(elsewhere, gradient, strict=True)]), f.curvature[k, 0, 0]
            most = (mpmath.mpf(float(bend)) * away if away else 0) * (1 + mpmath.mpf(10) ** -30)
            assert change <= most + mpmath.mpf(10) ** -50  # what sixty digits of numbers of this size are good for
        assert mpmath.norm(elsewhere) <= float(f.steepness[k, 0, 0])


def test_where_a_slope_jumps_there_is_no_bound_and_where_it_only_turns_there_is_one():
    at = {
        "relu": 0.0,
        "retanh": 0.0,
        "hard-sigmoid": 3.0,
        "hard-sigmoid-0.2": -2.5,
        "relu^1.5": 0.0,
        "elu": 0.0,
        "relu^2": 0.0,
    }
    for name, x in at.items():
        y = Enclosed.state(torch.tensor([[x]], dtype=torch.float64), RADII[1:3])
        f = activation(name).enclosed(y)
        smooth = name in ("elu", "relu^2")
        assert bool(torch.isfinite(f.curvature).all()) == smooth, name
        beside = activation(name).enclosed(y + y.constant(torch.tensor([[0.01]], dtype=torch.float64)))
        assert bool(torch.isfinite(beside.curvature).all()), name
    hard = activation("hard-sigmoid").enclosed(
        Enclosed.state(torch.tensor([[3.5, -3.5]], dtype=torch.float64), RADII[1:3])
    )
    assert hard.value.tolist() == [[1.0, 0.0]]
    assert not bool(hard.error.any() | hard.steepness.any())  # saturated, and proved to be


INVERSE = {  # some x with f(x) = y, in float64
    "tanh": torch.atanh,
    "logistic": torch.logit,
    "relu": lambda y: y,
    "softplus": lambda y: y + torch.log(-torch.expm1(-y)),
    "identity": lambda y: y,
    "hard-sigmoid": lambda y: 6 * (y - 0.5),
    "hard-sigmoid-0.2": lambda y: 5 * (y - 0.5),
    "erf": torch.erfinv,
    "elu": lambda y: torch.where(y > 0, y, torch.log1p(y)),
    "retanh": torch.atanh,
    "relu^2": torch.sqrt,
    "relu^3": lambda y: y ** (1 / 3),
    "relu^1.5": lambda y: y ** (2 / 3),
    "relu^2.5": lambda y: y**0.4,
}


@pytest.mark.parametrize("form", [LeakyRate, LeakyActivity])
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("tanh", "logistic", "relu")])
def test_planted_points_are_within_their_bounds(form, name):
    """States that their inputs make zeros, some looked at from a little way off; all digits by chord steps."""
    rng, checked = np.random.default_rng(3), 0
    for n in (1, 3):
        for gain in (0.5, 3.0):
            W = torch.as_tensor(rng.standard_normal((n, n)) * gain / math.sqrt(n))
            system = form(W, np.eye(n), activation=name)
            exact = Rate(system.W, system.B, system.b, name, activity=form is LeakyActivity)
            x = torch.as_tensor(rng.uniform(-0.95 if name in ("identity", "erf", "elu") else 0.03, 0.97, (30, n)))
            u = x - system.f.value(x) @ W.T if form is LeakyRate else INVERSE[name](x) - x @ W.T
            x = x + torch.as_tensor(10.0 ** -rng.uniform(2, 18, (30, 1)) * rng.standard_normal((30, n)))
            found = certify(Held(system, u, 1.0), x)
            A = torch.linalg.inv(system.jacobian(x, u))
            for i in found.certified.nonzero().flatten().tolist():
                checked += 1
                off = distance_to_root(exact, x[i].tolist(), u[i].tolist(), A[i].tolist())
                assert off <= float(found.error_bound[i])
    assert checked > 90


@given(st.floats(-12, -1), st.sampled_from([-1.0, 1.0]), st.sampled_from([0.0, 1e-3, -1e-3, 0.3, -0.3]))
def test_two_points_on_two_sides_of_a_soft_kink_are_never_one(decade, sign, share):
    """-r + ELU(2 r + u) - ... has zeros below 0 and above: a certificate holds exactly one of them in its ball."""
    with mpmath.workdps(DIGITS):
        u = sign * 10.0**decade
        net = LeakyActivity([[2.0]], [[1.0]], activation="elu")
        root = -u  # r = 2 r + u where 2 r + u > 0, so that r = -u > 0
        x = torch.tensor([[root * (1 + share)]], dtype=torch.float64)
        found = certify(Held(net, torch.tensor([[u]], dtype=torch.float64), 1.0), x)
        if not bool(found.certified[0]):
            return
        zeros = [mpmath.mpf(-u)] if u < 0 else []
        lower = mpmath.findroot(lambda r: mpmath.expm1(2 * r + u) - r, -0.8)
        zeros.append(lower)
        if u > 0:  # the middle one has come below the kink: expm1(2 r + u) = r near r = -u
            zeros.append(mpmath.findroot(lambda r: mpmath.expm1(2 * r + u) - r, -u))
        near = [z for z in zeros if abs(z - mpmath.mpf(float(x))) <= float(found.error_bound[0])]
        alone = [z for z in zeros if abs(z - mpmath.mpf(float(x))) < float(found.unique_radius[0])]
        assert len(near) == len(alone) == 1


def test_a_point_on_a_kink_is_not_certified_and_one_beside_it_is():
    net = LeakyActivity([[0.5]], [[1.0]], activation="hard-sigmoid")
    u = torch.tensor([[2.5], [2.4]], dtype=torch.float64)  # r = 1 where 0.5 r + u = 3, and below
    r = torch.tensor([[1.0], [(0.5 + 2.4 / 6) / (1 - 0.5 / 6)]], dtype=torch.float64)
    found = certify(Held(net, u, 1.0), r)
    assert found.certified.tolist() == [False, True]
    assert found.reasons[0] == Reason.KINK
