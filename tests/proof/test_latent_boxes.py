"""All fixed points of networks of low rank: what is proved, against other ways of finding them; what is left open."""

import mpmath
import numpy as np
import pytest
import torch

import dynsys
from dynsys.models.associative.continuous import ContinuousHopfield
from dynsys.models.rate.leaky_map import LeakyMap
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.low_rank import LowRank
from dynsys.proof.latent_boxes import search_boxes
from dynsys.proof.latent_inputs import points_over_inputs
from dynsys.proof.latent_taylor import Equation, Expansion
from dynsys.stability.spectrum import spectra
from dynsys.systems.held import Held
from dynsys.systems.latent import factors
from dynsys.systems.system import Kind

SLOPES = {"tanh": lambda y: 1 - mpmath.tanh(y) ** 2, "logistic": lambda y: mpmath.exp(-y) / (1 + mpmath.exp(-y)) ** 2}
VALUES = {"tanh": mpmath.tanh, "logistic": lambda y: 1 / (1 + mpmath.exp(-y))}


def boxes_of(network, u=None, **options):
    return search_boxes(network.latent(torch.zeros(1, network.n_input).double() if u is None else u), **options)


def by_newton(M, N, c, starts=400, seed=0):
    """The solutions of kappa = N^T tanh(M kappa + c) that Newton meets from random states, in NumPy alone."""
    rng = np.random.default_rng(seed)
    reach = np.abs(N).sum(0)
    k = rng.uniform(-1, 1, (starts, M.shape[1])) * reach * rng.uniform(0, 1, (starts, 1))
    for _ in range(60):
        t = np.tanh(k @ M.T + c)
        J = np.eye(M.shape[1]) - np.einsum("bi,ia,ic->bac", 1 - t * t, N, M)
        step = np.linalg.solve(J, (k - t @ N)[:, :, None])[:, :, 0]
        k = k - np.clip(step, -reach, reach)
    found = []
    for x in k[(np.abs(step) < 1e-9).all(1)]:
        if not any(np.abs(x - y).max() < 1e-6 for y in found):
            found.append(x)
    return np.array(found)


def random_network(seed):
    rng = np.random.default_rng(seed)
    r, n = 1 + seed % 3, (5, 20, 60)[seed // 3 % 3]
    M = rng.standard_normal((n, r))
    N = (rng.uniform(1, 5) * M + rng.standard_normal((n, r))) / n
    return M, N, rng.standard_normal(n) * (0, 0.3)[seed % 2]


@pytest.mark.parametrize("seed", range(9))
def test_every_point_that_newton_meets_is_proved_and_none_is_missing(seed):
    M, N, c = random_network(seed)
    found, others = boxes_of(LowRank(M, N, bias=c)), by_newton(M, N, c)
    assert found.complete
    assert found.left_out == ""
    apart = np.abs(found.kappa.numpy()[:, None] - others).max(2)
    assert len(found) == len(others)
    assert apart.min(0).max() < 1e-8


@pytest.mark.parametrize(("gains", "points"), [((0.9,), 1), ((1.5,), 3), ((2.0, 3.0), 9), ((1.5, 2.0, 4.0), 27)])
def test_units_that_excite_themselves_alone_have_three_points_each(gains, points):
    found = boxes_of(LowRank(np.diag(gains), np.eye(len(gains))))
    assert found.complete
    assert len(found) == points


def test_a_latent_variable_that_never_moves_is_no_trouble():
    found = boxes_of(LowRank(2 * np.eye(3), np.diag([1.0, 0.0, 0.0])))
    assert found.complete
    assert sorted(found.kappa[:, 0].sign().tolist()) == [-1.0, 0.0, 1.0]


def test_bounds_hold_the_true_points_in_40_digits():
    M, N, c = random_network(5)
    found = boxes_of(LowRank(M, N, bias=c))
    with mpmath.workdps(40):
        for kappa, state, bound in zip(found.kappa.tolist(), found.states.tolist(), found.bound.tolist(), strict=True):

            def g(*k):
                y = [mpmath.fdot(row, k) + b for row, b in zip(M.tolist(), c.tolist(), strict=True)]
                return [k[a] - mpmath.fdot(N[:, a].tolist(), map(mpmath.tanh, y)) for a in range(len(k))]

            k = mpmath.findroot(g, kappa)
            x = [mpmath.fdot(row, k) + b for row, b in zip(M.tolist(), c.tolist(), strict=True)]
            assert mpmath.norm([a - b for a, b in zip(x, state, strict=True)]) <= bound < 1e-10


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.parametrize("size", [0.5, 15.0])
def test_polynomials_and_their_halves_hold_the_equation_and_its_slope_at_every_drive(activation, size):
    rng = np.random.default_rng(1)
    M, N, c = size * rng.standard_normal((5, 2)), rng.standard_normal((5, 2)), rng.standard_normal(5)
    swing = 0.1 * rng.standard_normal(5)
    latent = LowRank(M, N, activation, bias=c).latent(torch.zeros(1, 0).double())
    equation = Equation(latent, torch.as_tensor(swing))
    rho, k = torch.tensor([0.3, 0.1]).double() / size, torch.tensor([[0.4, -0.2]]).double()
    p = Expansion(equation, rho).at(k).half(equation.basis, 1, 0)
    k, rho = k - torch.tensor([0.0, rho[1] / 2]), rho * torch.tensor([1.0, 0.5])
    powers = equation.basis.powers.tolist()
    with mpmath.workdps(40):
        for z in [*rng.uniform(-1, 1, (3, 3)), (1.0, -1.0, 1.0)]:
            at = [
                mpmath.mpf(float(m)) + mpmath.mpf(float(h)) * float(w) for m, h, w in zip(k[0], rho, z[:2], strict=True)
            ]
            drive = [
                mpmath.mpf(b) + mpmath.mpf(float(z[2])) * s for b, s in zip(c.tolist(), swing.tolist(), strict=True)
            ]
            y = [mpmath.fdot(row, at) + b for row, b in zip(M.tolist(), drive, strict=True)]
            of_s = [mpmath.mpf(z[2]) ** q[2] for q in powers]
            for a in range(2):
                terms = p.c[0, a].tolist()
                value = at[a] - mpmath.fdot(N[:, a].tolist(), map(VALUES[activation], y))
                near = sum(
                    t * mpmath.mpf(z[0]) ** i * mpmath.mpf(z[1]) ** j * v
                    for t, (i, j, _), v in zip(terms, powers, of_s, strict=True)
                )
                assert abs(value - near) <= float(p.rest[0, a])
                off = 0
                for b in range(2):
                    slope = sum(N[i, a] * M[i, b] * SLOPES[activation](y[i]) for i in range(5))
                    row = [
                        t * q[b] * mpmath.mpf(z[b]) ** (q[b] - 1) * mpmath.mpf(z[1 - b]) ** q[1 - b] * v
                        for t, q, v in zip(terms, powers, of_s, strict=True)
                        if q[b]
                    ]
                    off += abs(float(rho[b]) * ((a == b) - slope) - sum(row))
                assert off <= float(p.steep[0, a])


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.parametrize("size", [0.1, 3.0, 100.0])
def test_chords_hold_the_equation_in_a_box_at_every_drive(activation, size):
    rng = np.random.default_rng(2)
    M, N, c = size * rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), rng.standard_normal(6)
    swing = 0.2 * size * rng.standard_normal(6)
    latent = LowRank(M, N, activation, bias=c).latent(torch.zeros(1, 0).double())
    equation = Equation(latent, torch.as_tensor(swing))
    rho, k = torch.tensor([0.5, 0.2]).double(), torch.tensor([[0.3, -0.4]]).double()
    value, slope, along, off, rounding = equation.chords(k, rho)
    room = (off @ equation.N.abs() + rounding)[0].tolist()
    with mpmath.workdps(40):
        for z in [*rng.uniform(-1, 1, (20, 3)), (1.0, -1.0, 1.0), (-1.0, 1.0, 1.0)]:
            step = [mpmath.mpf(float(h)) * float(w) for h, w in zip(rho, z[:2], strict=True)]
            at = [mpmath.mpf(float(m)) + w for m, w in zip(k[0], step, strict=True)]
            drive = [
                mpmath.mpf(b) + mpmath.mpf(float(z[2])) * s for b, s in zip(c.tolist(), swing.tolist(), strict=True)
            ]
            y = [mpmath.fdot(row, at) + b for row, b in zip(M.tolist(), drive, strict=True)]
            for a in range(2):
                g = at[a] - mpmath.fdot(N[:, a].tolist(), map(VALUES[activation], y))
                near = float(value[0, a]) + mpmath.fdot(slope[0, a].tolist(), step) + float(along[0, a]) * float(z[2])
                assert abs(g - near) <= room[a]


def test_a_pitchfork_is_left_open():
    found = boxes_of(LowRank([[1.0]], [[1.0]]))  # x = tanh x, whose zero is a triple one
    assert not found.complete
    assert len(found.open)
    assert "left open" in found.left_out


def test_a_fold_is_left_open_and_so_are_its_two_sides_only_while_they_are_not_apart():
    t = np.sqrt(0.5)  # of x = 2 tanh x + b at its fold: 2 (1 - t^2) = 1
    fold = np.arctanh(t) - 2 * t
    assert not boxes_of(LowRank([[2.0]], [[1.0]], bias=[fold])).complete
    for b, points in ((fold - 1e-6, 1), (fold + 1e-6, 3)):
        found = boxes_of(LowRank([[2.0]], [[1.0]], bias=[b]))
        assert found.complete
        assert len(found) == points


def test_a_ring_of_points_is_left_open():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    M = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = boxes_of(LowRank(M, 4 * M / 200), work=200_000)  # a ring to within exp(-200)
    assert not found.complete
    assert "more points may lie" in found.left_out


def test_a_search_of_a_network_of_low_rank_says_that_it_is_complete_and_why():
    points = dynsys.find_fixed_points(LowRank(np.diag([2.0, 3.0]), np.eye(2), tau=0.1), n_starts=16)
    assert points.search.complete
    assert points.search.boxes > 9
    assert points.search.open_boxes == 0
    assert points.certified.all()
    assert (points.error_bound < 1e-12).all()
    assert (
        points.search.missing["sentence"] == f"Complete: 9 known, and each of {points.search.boxes} boxes was decided."
    )
    assert sorted(points.n_unstable.tolist()) == [0] * 4 + [1] * 4 + [2]


def test_a_search_that_leaves_boxes_open_does_not_claim_to_be_complete():
    points = dynsys.find_fixed_points(LowRank([[1.0]], [[1.0]]), n_starts=16, closure=False)
    assert not points.search.complete
    assert points.search.open_boxes
    assert any("boxes of the latent variables are left open" in line for line in points.search.left_out)


def test_each_input_is_proved_by_itself():
    network = LowRank(2 * np.eye(2), np.eye(2), input=[[1.0], [0.0]])
    inputs = np.repeat([[0.0], [5.0]], 8, axis=0)  # the second leaves the first unit no choice
    points = dynsys.find_fixed_points(network, np.zeros((16, 2)), inputs, closure=False)
    assert points.search.complete
    assert [int((points.inputs == u).sum()) for u in (0.0, 5.0)] == [9, 3]


@pytest.mark.parametrize("kind", ["flow", "map"])
def test_the_spectrum_of_a_low_rank_jacobian_is_that_of_the_whole_matrix(kind):
    network = LowRank.random(300, rank=3)
    network.kind = Kind(kind)
    x, u = torch.randn(1, 300, generator=torch.Generator().manual_seed(0)).double(), torch.zeros(1, 2).double()
    whole = network.jacobian(x, u)[0] + (kind == "map") * torch.eye(300).double()
    (found,) = spectra(Held(network, u), x)
    expected = np.linalg.eigvals(whole.numpy())
    apart = np.abs(found.eigenvalues.numpy()[:, None] - expected).min(1)
    assert apart.max() < 1e-9
    for value, mode in zip(found.eigenvalues[:3], found.modes, strict=False):
        assert torch.linalg.vector_norm(whole.to(mode.dtype) @ mode - value * mode) < 1e-9
    assert np.isclose(found.norm, torch.linalg.matrix_norm(network.jacobian(x, u)[0]))
    assert len(spectra(Held(network, u), x, full=True)[0].eigenvalues) == 300


@pytest.mark.parametrize("form", [LeakyRate, LeakyActivity, LeakyMap])
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_a_network_whose_whole_weights_have_low_rank_gets_the_same_proof(form, activation):
    M, N, c = random_network(4)
    options = {"alpha": 0.5} if form is LeakyMap else {"tau": np.linspace(1, 2, len(M))}
    network = form(M @ N.T * 2, b=c, activation=activation, **options)
    found, known = boxes_of(network), boxes_of(LowRank(M, 2 * N, activation, bias=c))
    assert found.complete
    assert len(found) == len(known)
    currents = known.states if form is LeakyRate else known.latent.phi.value(known.states)
    apart = (found.states[:, None] - currents).norm(dim=2).amin(1)
    assert float(apart.max()) < 1e-9  # the two have weights that differ by rounding
    assert bool((network.velocity(found.states, torch.zeros(1, 0).double()).abs() < 1e-12).all())


def test_weights_of_a_higher_rank_are_left_to_the_plain_search():
    assert LeakyRate.random(30).latent(torch.zeros(1, 2).double()) is None
    assert factors(torch.eye(20).double(), 3) is None


def test_rates_of_another_form_are_not_taken_for_those_of_the_equation():
    pattern = np.sign(np.random.default_rng(0).standard_normal((1, 20)))
    assert ContinuousHopfield.hebb(pattern).latent(torch.zeros(1, 20).double()) is None  # f(gain x)


def test_the_number_of_points_is_proved_over_an_interval_of_inputs_and_the_fold_between_bracketed():
    t = np.sqrt(0.5)
    fold = 2 * t - np.arctanh(t)  # of x = 2 tanh x + u, at 0.5328...
    network = LowRank([[2.0]], [[1.0]], input=[[1.0]])
    found = points_over_inputs(network, [0.25], [0.75], width=0.01)
    assert [part.points for part in found.parts] == [3, None, 1]
    assert found.complete
    ((a, b),) = found.brackets
    assert found.input(a)[0] < fold < found.input(b)[0]
    assert found.sentence.startswith("Proved: 3 points at every input from 0.25 to ")
    assert [(part.start, part.end) for part in found.parts] == [(0.0, a), (a, b), (b, 1.0)]


def test_an_interval_that_ends_at_a_fold_is_left_open_there():
    t = np.sqrt(0.5)
    found = points_over_inputs(
        LowRank([[2.0]], [[1.0]], input=[[1.0]]), [0.4], [2 * t - np.arctanh(t)], width=0.1, seconds=60
    )
    assert [part.points for part in found.parts] == [3, None]
    assert not found.complete
    assert found.open[0][1] == 1.0
    assert found.sentence.startswith("Not complete: 3 points")


@pytest.mark.parametrize(("activation", "start", "end"), [("tanh", 0.2, 0.4), ("logistic", 1.0, 1.5)])
def test_numbers_over_inputs_are_those_of_newton_at_every_one(activation, start, end):
    rng = np.random.default_rng(3)
    M = rng.standard_normal((16, 2))
    N = (3.5 * M + rng.standard_normal((16, 2))) / 16
    scale = 1.0 if activation == "tanh" else 2.0  # 2 logistic(2 y) - 1 = tanh y
    bias = None if activation == "tanh" else -scale * M @ N.sum(0)
    network = LowRank(scale * M, scale * N, activation, bias=bias, input=scale * M[:, :1])
    found = points_over_inputs(network, [start], [end], width=0.02, seconds=None)
    assert found.complete
    assert len(found.brackets) == 1
    for part in found.parts:
        for s in (part.start, (part.start + part.end) / 2, part.end) if part.points is not None else ():
            assert len(by_newton(M, N, M[:, 0] * found.input(s)[0], starts=200)) == part.points


def test_what_time_or_the_user_cuts_off_is_left_open():
    switch = LowRank([[2.0]], [[1.0]], input=[[1.0]])
    found = points_over_inputs(switch, [0.0], [1.0], seconds=0.0)
    assert found.sentence == "Not complete (the time given is over): left open from 0 to 1."
    assert found.open == ((0.0, 1.0),)


def test_networks_without_a_latent_equation_have_no_proof_over_inputs():
    with pytest.raises(ValueError, match="follow_inputs"):
        points_over_inputs(LeakyRate.random(30), [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="takes 1 input values"):
        points_over_inputs(LowRank([[2.0]], [[1.0]], input=[[1.0]]), [0.0], [1.0, 2.0])


def test_above_the_ranks_that_boxes_are_for_one_line_says_so_beside_the_answer_of_the_plain_search():
    points = dynsys.find_fixed_points(LowRank(0.5 * np.eye(4), np.eye(4)), n_starts=16)
    assert len(points) == 1
    assert not points.search.complete
    (line,) = [line for line in points.search.left_out if "rank" in line]
    assert "the weights have rank 4" in line
    assert "ranks up to 3" in line
