"""Proved basins: true by 50 digits at states of the ellipsoids, never larger than the basin, and not idle."""

import json

import mpmath
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from exact_networks import DIGITS, Gated, Rate
from mpmath import mpf

from dynsys import FixedPoints, Flow, certified_basins, find_fixed_points
from dynsys.cli import main
from dynsys.lyapunov.around_point import Reason
from dynsys.lyapunov.basins import CertifiedBasins
from dynsys.lyapunov.ellipsoid import largest_ellipsoid, lyapunov_matrix
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.proof.functions.elementary import ELU, ERF, LOGISTIC, SOFTPLUS, TANH, power
from dynsys.proof.functions.secant import clipped_secants, secants
from dynsys.systems.system import Kind

EXACT = {  # what each network is in 50 digits, of its weights alone
    "rnn": (lambda: RNN.random(4, seed=1, gain=1.2), lambda net: Gated("vanilla", net.arrays())),
    "relu": (
        lambda: RNN.random(4, seed=1, gain=0.8, nonlinearity="relu"),
        lambda net: Gated("vanilla", net.arrays(), "relu"),
    ),
    "gru": (lambda: GRU.random(4, seed=0, gain=3.0), lambda net: Gated("gru", net.arrays())),
    "lstm": (lambda: LSTM.random(3, seed=0, gain=2.0), lambda net: Gated("lstm", net.arrays())),
    "rate": (lambda: LeakyRate.random(4, 1), lambda net: Rate(net.W, net.B, net.b, "tanh")),
    "activity": (lambda: LeakyActivity.random(4, 1), lambda net: Rate(net.W, net.B, net.b, "tanh", activity=True)),
}


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(DIGITS):
        yield


@pytest.mark.parametrize("name", EXACT)
def test_the_distance_falls_as_is_proved_at_states_of_the_ellipsoid_in_fifty_digits(name):
    make, exact = EXACT[name]
    net = make()
    found = certified_basins(find_fixed_points(net, n_starts=6, seed=0))
    proved = np.flatnonzero(found.radius > 0)
    assert len(proved)
    network, i, n = exact(net), proved[0], net.n_state
    X = mpmath.matrix(found.ellipsoids[i].tolist())
    inverse, x, u = X**-1, [mpf(v) for v in found.states[i]], [mpf(0)] * net.n_input
    J = net.jacobian(torch.as_tensor(found.states[i : i + 1]), torch.zeros(1, net.n_input, dtype=torch.float64))[0]
    A = -(mpmath.matrix(J.tolist()) ** -1)
    for _ in range(40):  # the true point, by chord steps
        x = list(mpmath.matrix(x) + A * mpmath.matrix(network.velocity(x, u)))
    assert mpmath.norm(mpmath.matrix(x) - mpmath.matrix(found.states[i].tolist())) <= found.error_bound[i]
    rng = np.random.default_rng(0)
    for size in [*[1.0] * 12, 0.7, 0.3, 1e-3]:
        y = rng.standard_normal(n)
        y = mpmath.matrix((size * y / np.linalg.norm(y)).tolist())
        y = y * min(mpf(1), size / mpmath.norm(y))
        F = inverse * mpmath.matrix(network.velocity(list(mpmath.matrix(x) + X * y), u))
        if net.kind is Kind.MAP:
            assert mpmath.norm(y + F) <= found.rate[i] * mpmath.norm(y)
        else:
            assert (y.T * F)[0] <= -found.rate[i] * mpmath.norm(y) ** 2


def test_two_basins_of_the_plane_with_their_lyapunov_matrix_and_level():
    """P and the largest level 0.612548533 of V at (1, 1/2), at which V' = 0 at (1.97052392, -0.21624538)."""
    system, x = Simple2D(), torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    A = np.asarray(system.jacobian(x, x[:, :0])[0])
    P = lyapunov_matrix(A, Kind.FLOW)
    np.testing.assert_allclose(P, [[0.5625, 0.125], [0.125, 0.5]], rtol=1e-14)
    found = largest_ellipsoid(system, x[0], x[0, :0], 0.0, A, 1.0, P)
    inverse = np.linalg.inv(found.X)
    level = P[0, 0] / (inverse.T @ inverse)[0, 0]
    np.testing.assert_allclose(level * inverse.T @ inverse, P, atol=1e-12)
    assert 0.2 < level < 0.612548533
    basins = certified_basins(find_fixed_points(system, seed=0))
    at = np.abs(basins.states[:, 0]) > 0.5
    assert (basins.radius[at] > 0.5).all()
    assert basins.radius[~at] == 0
    assert basins.reasons[~at] == Reason.UNSTABLE
    assert (basins.radius < np.sqrt(1.25)).all()  # the saddle is at the origin
    x = basins.states[at][0] * 3.0
    assert not basins.contains(int(np.flatnonzero(at)[0]), -x)


def test_the_matrix_of_a_linear_map():
    P = lyapunov_matrix(np.array([[0.5, 0.4], [0.0, 0.3]]), Kind.MAP)
    np.testing.assert_allclose(P, [[1.33333333, 0.31372549], [0.31372549, 1.41607412]], atol=1e-8)


def test_one_unit_is_proved_to_hold_its_bit_up_to_the_point_between():
    """h' = tanh(2 h) rests at +-0.957504024 and leaves 0."""
    weights = {"weight_ih_l0": np.zeros((1, 1)), "weight_hh_l0": np.array([[2.0]])}
    net = RNN({**weights, "bias_ih_l0": np.zeros(1), "bias_hh_l0": np.zeros(1)})
    found = certified_basins(find_fixed_points(net, seed=0))
    proved = found.radius[found.radius > 0]
    assert len(proved) == 2
    assert proved[0] == proved[1]  # the network is odd
    assert ((proved > 0.9 * 0.957504024) & (proved < 0.957504024)).all()


def test_a_memory_of_many_units_is_held_against_every_start_on_the_border():
    rng = np.random.default_rng(0)
    S = np.sign(rng.standard_normal((3, 48)))
    net = SimpleRNN(2.0 * S.T @ S / 48)
    points = find_fixed_points(net, starts=np.concatenate([S, -S]), n_starts=6, seed=0)
    found = certified_basins(points)
    i = int(np.argmax(found.radius))
    y = rng.standard_normal((2000, 48))
    starts = found.states[i] + (y / np.linalg.norm(y, axis=1, keepdims=True)) @ found.ellipsoids[i].T
    ends = torch.as_tensor(starts)
    for _ in range(200):
        ends = ends + 0.2 * net.velocity(ends, ends[:, :0])
    assert float((ends - torch.as_tensor(found.states[i])).norm(dim=1).max()) < 1e-3
    nearest = np.linalg.norm(found.states - found.states[i], axis=1)
    nearest = nearest[found.reasons == Reason.UNSTABLE].min()  # a saddle: the way out is no longer
    assert 0.1 * nearest < found.radius[i] < nearest


def test_reasons_and_what_is_kept(tmp_path):
    kept = certified_basins(find_fixed_points(Simple2D(), seed=0), budget_seconds=0)
    assert set(kept.reasons) == {Reason.UNSTABLE, Reason.OUT_OF_TIME}
    decay = Flow(lambda x, u: -x, n_state=1, bounds=(-1, 1))
    other = certified_basins(find_fixed_points(decay, n_starts=4, seed=0))
    assert list(other.reasons) == [Reason.NO_CLOSED_FORM]
    assert "No basin is proved" in other.summary()
    again = CertifiedBasins.load(kept.save(tmp_path / "basins.safetensors"))
    np.testing.assert_array_equal(again.ellipsoids, kept.ellipsoids)
    points = find_fixed_points(Simple2D(), seed=0)
    with pytest.raises(ValueError, match="without their system"):
        certified_basins(FixedPoints.load(points.save(tmp_path / "points.safetensors")))


def test_the_command_proves_besides_what_it_samples(tmp_path):
    folder = str(tmp_path / "run")
    for line in (["find", "simple2d", "-o", folder], ["basins", folder, "--samples", "1", "--certify", "--json"]):
        ran = CliRunner().invoke(main, line)
        assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)["certified"]
    assert "2 of 3 points have a basin that is proved" in told["summary"]
    kept = CertifiedBasins.load(tmp_path / "run" / "certified.safetensors")
    assert [row["radius"] for row in told["points"]] == kept.radius.tolist()
    assert "border of what is proved" in (tmp_path / "run" / "graph.html").read_text()


def test_a_weak_network_forgets_and_one_that_holds_a_bit_is_not_said_to():
    """|W| = 0.9, and tanh is no steeper than 1: any two states come nearer by 0.9 a step. The plane has two points."""
    rng = np.random.default_rng(0)
    W = np.linalg.qr(rng.standard_normal((5, 5)))[0] * 0.9
    shape = {"weight_ih_l0": np.zeros((5, 1)), "bias_ih_l0": np.zeros(5), "bias_hh_l0": np.zeros(5)}
    weak = certified_basins(find_fixed_points(RNN({**shape, "weight_hh_l0": W}), n_starts=8, seed=0))
    rho = 0.9  # at the origin, where tanh' is 1, and nowhere more
    assert rho <= weak.contraction < rho + 0.05
    assert "globally asymptotically stable" in weak.summary()
    assert "not proved" not in weak.kinds(0).values()
    held = certified_basins(find_fixed_points(Simple2D(), seed=0))
    assert held.contraction is None
    kinds = held.kinds(int(np.argmax(held.radius)))
    assert kinds.pop("globally asymptotically stable in the reachable box") == "not proved"
    assert "not proved" not in kinds.values()


PHI = {
    "tanh": (TANH, mpmath.tanh),
    "logistic": (LOGISTIC, lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": (SOFTPLUS, lambda x: mpmath.log1p(mpmath.exp(x))),
    "erf": (ERF, mpmath.erf),
    "elu": (ELU, lambda x: x if x > 0 else mpmath.expm1(x)),
    "relu^1.5": (power(1.5), lambda x: max(x, mpf(0)) ** mpf(1.5)),
}


@pytest.mark.parametrize("name", PHI)
def test_no_secant_is_steeper_or_flatter_than_its_bounds(name):
    phi, exact = PHI[name]
    rng = np.random.default_rng(5)
    for k in range(12):
        a, reach, error = rng.normal() * 2, 10 ** rng.uniform(-3, 1), (k % 2) * 10 ** rng.uniform(-14, -3)
        ends = a - reach * rng.uniform(0, 1), a + reach * rng.uniform(0, 1)
        least, most = (
            float(v) for v in secants(phi, *(torch.tensor([v], dtype=torch.float64) for v in (a, error, *ends)))
        )
        for at in (mpf(a) - mpf(error), mpf(a) + mpf(error)):
            slopes = [(exact(b) - exact(at)) / (b - at) for b in map(mpf, np.linspace(*ends, 9)) if b != at]
            assert least <= min(slopes)
            assert max(slopes) <= most
            room = 1.0 if name == "relu^1.5" else 0.02 + 3 * error  # its slope has no Lipschitz constant at 0
            assert most - least <= 1.05 * (max(slopes) - min(slopes)) + room


def test_secants_of_a_clipped_line_are_exact():
    def bounds(a, low, high):
        each = (torch.tensor([v], dtype=torch.float64) for v in (a, 0.0, low, high))
        return [float(v) for v in clipped_secants(*each, (0.0, 1.0))]

    np.testing.assert_allclose(bounds(0.5, -0.5, 0.9), [0.5, 1.0])  # from 1/2 to -1/2: half of the way is flat
    np.testing.assert_allclose(bounds(-1.0, -2.0, 3.0), [0.0, 0.5])  # the steepest goes to 1
    np.testing.assert_allclose(bounds(0.5, 0.1, 0.9), [1.0, 1.0])
    np.testing.assert_allclose(bounds(2.0, 1.5, 3.0), [0.0, 0.0])
    np.testing.assert_allclose(bounds(0.5, 0.1, 3.0), [0.2, 1.0])
