"""Lyapunov exponents of systems whose spectra are known: in closed form, or as published with their errors."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.special import psi

import dynsys
from dynsys import Flow, Map
from dynsys.exponents.lyapunov import ExponentsInterrupted, lyapunov_exponents
from dynsys.exponents.statistics import batched, entropy_rate, kaplan_yorke
from dynsys.models.rate.leaky_map import LeakyMap
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.systems.system import Kind, System


def within(found, values, slack=0.0):
    """Whether the intervals hold the values, with a slack for what is only known to some digits."""
    low, high = found.interval.T
    return ((low - slack <= values) & (values <= high + slack)).all()


def linear_map(A, **settings):
    A = torch.as_tensor(np.asarray(A, dtype=float))
    return Map(lambda x, u: x @ A.T, n_state=len(A), **settings)


def network(W):
    """h' = tanh(W h)."""
    return LeakyMap(W, alpha=1.0)


class Given(System):
    """A system by its velocity and its Jacobian, which costs less than differentiating a function."""

    def __init__(self, kind, n, velocity, jacobian):
        self.kind, self.n_state, self._velocity, self._jacobian = kind, n, velocity, jacobian

    def velocity(self, x, u):
        return self._velocity(x)

    def jacobian(self, x, u):
        return self._jacobian(x)


def lorenz(x):
    a, b, c = x.T
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)


def of_lorenz(x):
    J = torch.tensor([[-10.0, 10, 0], [28, -1, 0], [0, 0, -8 / 3]], dtype=torch.float64).repeat(len(x), 1, 1)
    J[:, 1, 0] -= x[:, 2]
    J[:, 1, 2], J[:, 2, 0], J[:, 2, 1] = -x[:, 0], x[:, 1], x[:, 0]
    return J


LOGISTIC = Given(Kind.MAP, 1, lambda x: 4 * x * (1 - x) - x, lambda x: (3 - 8 * x).unsqueeze(2))
UNIFORM = np.random.default_rng(0).uniform(0.05, 0.95, (32, 1))
LORENZ = Given(Kind.FLOW, 3, lorenz, of_lorenz)
HENON = Map(lambda x, u: torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1), n_state=2, name="henon")
CAT = Map(
    lambda x, u: torch.stack([2 * x[:, 0] + x[:, 1], x[:, 0] + x[:, 1]], 1) % 1, n_state=2, periods={0: 1.0, 1: 1.0}
)


def ring(x, u):
    """r' = r (1 - r^2), theta' = 1: a cycle with exponents 0 and -2."""
    radius = (x**2).sum(1, keepdim=True)
    return x * (1 - radius) + torch.stack([-x[:, 1], x[:, 0]], 1)


class TestKnownSpectra:
    def test_logistic_map_doubles_errors_in_the_mean(self):
        found = lyapunov_exponents(LOGISTIC, steps=512, burn_in=20, starts=UNIFORM)
        assert within(found, [math.log(2)])
        assert found.half_width[0] < 0.01
        assert found.motion == "chaotic"
        assert found.verdict == "converged"
        assert found.kaplan_yorke == 1

    def test_cat_map_has_those_of_its_matrix(self):
        found = lyapunov_exponents(CAT, steps=100, starts=2)
        assert found.values == pytest.approx([math.log((3 + 5**0.5) / 2), -math.log((3 + 5**0.5) / 2)], abs=1e-12)
        assert found.kaplan_yorke == pytest.approx(2)
        assert found.entropy == pytest.approx(found.values[0])

    def test_henon_map_as_published(self):
        starts = np.random.default_rng(0).uniform(-0.1, 0.1, (32, 2))
        found = lyapunov_exponents(HENON, steps=800, burn_in=100, starts=starts)
        assert within(found, [0.41929, -1.62327], 0.0005)
        assert found.values.sum() == pytest.approx(math.log(0.3), abs=1e-12)
        low, high = found.kaplan_yorke_interval
        assert low - 5e-4 < 1.25830 < high + 5e-4

    def test_products_of_gaussian_matrices_have_newmans_spectrum(self):
        """Newman (1986): log g + (log(2/N) + psi((N - i + 1)/2)) / 2 for entries of variance g^2 / N."""
        N, g, T = 8, 1.5, 1500
        product = Map(lambda x, u: (u.view(-1, N, N) @ x.unsqueeze(2)).squeeze(2), n_state=N, n_input=N * N)
        matrices = np.random.default_rng(0).standard_normal((T, N * N)) * g / N**0.5
        found = lyapunov_exponents(product, starts=np.zeros((1, N)), inputs=matrices, burn_in=100)
        exact = math.log(g) + (math.log(2 / N) + psi((N - np.arange(N)) / 2)) / 2
        assert exact[[0, -1]] == pytest.approx([0.3404, -1.2694], abs=1e-4)
        assert (np.abs(found.values - exact) < 2 * found.half_width).all()
        assert found.kind == "driven"
        assert "does not forget" in found.sentence

    def test_a_limit_cycle_has_one_zero_and_its_multiplier(self):
        starts = np.array([[1.0, 0.2], [-0.5, 0.5]])
        found = lyapunov_exponents(Flow(ring, n_state=2), steps=32, burn_in=150, starts=starts)
        assert found.values == pytest.approx([0, -2], abs=1e-9)
        assert found.motion == "periodic"
        assert found.kaplan_yorke == 1
        assert found.sum_rule < 1e-9

    def test_a_damped_oscillator_has_the_real_parts_and_time_is_the_users(self):
        A = torch.tensor([[-0.5, 3.0], [-3.0, -0.5]], dtype=torch.float64)
        for tau in (1.0, 20.0):
            system = Flow(lambda x, u: x @ A.T, n_state=2, time_constant=tau)
            found = lyapunov_exponents(system, steps=50, burn_in=700, starts=np.array([[1.0, 0.0]]))
            assert found.values == pytest.approx([-0.5 / tau] * 2, rel=1e-9)
            assert found.motion == "at rest"
            assert "eigenvalues" in found.sentence

    def test_lorenz_system_contracts_by_its_divergence(self):
        starts = np.random.default_rng(0).normal([0, 0, 25], 5, (64, 3))
        found = lyapunov_exponents(LORENZ, steps=40, burn_in=30, starts=starts)
        assert found.values.sum() == pytest.approx(-41 / 3, rel=1e-9)
        assert (np.abs(found.values - [0.9056, 0, -14.5723]) < 2 * found.half_width + 0.02).all()
        assert found.motion == "chaotic"

    def test_one_trajectory_that_begins_where_little_happens_is_followed_as_finely_as_others(self):
        """Its steps were once as long as suited that place, and missed the sum rule elsewhere: no ArithmeticError."""
        slow = [[-5.034422725142542, -8.511538069124603, 14.288014739407162]]
        found = lyapunov_exponents(LORENZ, 1, starts=slow, seed=7, steps=16, burn_in=20, workers=1)
        assert found.sum_rule <= 1e-9

    def test_random_network_with_a_stable_origin_has_its_spectrum(self):
        W = 0.7 * np.random.default_rng(0).standard_normal((40, 40)) / 40**0.5
        found = lyapunov_exponents(network(W), steps=400)
        assert found.values == pytest.approx(np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1], abs=1e-8)


class TestDirectionsThatAreLost:
    def test_dead_units_are_counted_and_not_averaged(self):
        """Two units of five never fire: what they held is gone after a step."""
        W = np.array([[0.6, 0.5, 0, 0.3, 0.1], [-0.4, 0.7, 0.2, 0, 0], [0, -0.3, 0.5, 0, 0.2], [0] * 5, [0] * 5])
        b = np.array([0.3, 0.4, 0.5, -1.0, -1.0])
        relu = LeakyMap(W, None, b, alpha=1.0, activation="relu")
        found = lyapunov_exponents(relu, steps=300, starts=np.full((1, 5), 0.5))
        assert found.lost == 2
        assert np.isneginf(found.values[-2:]).all()
        alive = np.sort(np.log(np.abs(np.linalg.eigvals(W[:3, :3]))))[::-1]
        assert found.values[:3] == pytest.approx(alive, abs=1e-3)

    def test_along_a_driven_trajectory_too(self):
        A = np.zeros((6, 6))
        core = A[:4, :4] = np.random.default_rng(1).standard_normal((4, 4))
        A[4:, :4] = 1.0
        system = Map(lambda x, u: x @ torch.as_tensor(A).T + 0 * u[:, :1], n_state=6, n_input=1)
        found = lyapunov_exponents(system, starts=np.zeros((2, 6)), inputs=np.zeros((600, 1)))
        assert found.lost == 2
        assert math.isnan(found.sum_rule)
        assert found.values[0] == pytest.approx(np.log(np.abs(np.linalg.eigvals(core)).max()), abs=0.02)


class TestSeveralAttractors:
    def test_the_one_that_most_trajectories_end_on_comes_first(self):
        system = Flow(lambda x, u: -x * (x + 1) * (x - 2), n_state=1)  # -1 and 2, with rates of -3 and -6
        found = lyapunov_exponents(system, steps=4, burn_in=200, starts=np.array([[1.0], [1.5], [-0.5], [3.0]]))
        assert found.values == pytest.approx([-6])
        assert found.starts == 3
        assert [other.values[0] for other in found.others] == pytest.approx([-3])
        assert (
            "3 of 4 trajectories; the others end on 1 more attractor, whose first exponents are -3 (1)."
            in found.sentence
        )

    def test_those_that_leave_are_told(self):
        system = Map(lambda x, u: x**2, n_state=1)
        found = lyapunov_exponents(system, steps=50, starts=np.array([[0.1], [3.0]]))
        assert found.gone == 1
        assert "1 of 2 trajectories left" in found.sentence


class TestNothingFalseIsSaid:
    """Cases in which a plausible rule would say what is not so."""

    @pytest.mark.parametrize(("size", "offset"), [(1e-11, 0.0), (0.05, 1e9), (1e-5, 1e6)])
    def test_chaos_of_any_size_and_place_is_no_rest(self, size, offset):
        def step(x):
            y = (x - offset) / size
            return offset + size * 4 * y * (1 - y) - x

        system = Given(Kind.MAP, 1, step, lambda x: (3 - 8 * (x - offset) / size).unsqueeze(2))
        found = lyapunov_exponents(system, steps=256, burn_in=60, starts=offset + size * UNIFORM[:8])
        assert found.motion == "chaotic"
        assert found.values[0] == pytest.approx(math.log(2), abs=0.1)

    def test_a_state_on_its_way_out_is_not_at_rest(self):
        """x' = 0.01 x (1 - x^2) leaves 0, however slowly; the other variable has come to rest long ago."""
        system = Given(
            Kind.FLOW,
            2,
            lambda x: torch.stack([0.01 * x[:, 0] * (1 - x[:, 0] ** 2), -x[:, 1]], 1),
            lambda x: torch.diag_embed(torch.stack([0.01 * (1 - 3 * x[:, 0] ** 2), -torch.ones(len(x))], 1)),
        )
        found = lyapunov_exponents(system, steps=64, burn_in=400, starts=np.array([[1e-9, 0.5]]))
        assert found.period == 0
        assert found.verdict == "not yet"

    def test_states_that_rounding_puts_on_a_point_which_others_leave_are_no_converged_result(self):
        """Slopes of 2 and 4 on halves that are met equally often grow by 3/2 log 2; but every float64 ends at 0."""
        system = Map(lambda x, u: torch.where(x < 0.5, 2 * x, 4 * x - torch.floor(4 * x)), n_state=1, bounds=(0, 1))
        found = lyapunov_exponents(system, steps=64, burn_in=200, starts=4)
        assert found.motion == "unstable at rest"
        assert found.verdict == "not yet"
        there = lyapunov_exponents(system, steps=64, burn_in=64, starts=np.zeros((1, 1)))  # what 0 has itself
        assert there.verdict == "converged"
        assert there.values[0] == pytest.approx(np.log(2))

    def test_slow_motion_is_not_called_converged(self):
        slow = Given(Kind.MAP, 1, lambda x: 1e-5 * (torch.tanh(0.5 * x) - x), lambda x: 0 * x.unsqueeze(2) - 0.5e-5)
        found = lyapunov_exponents(slow, steps=200, burn_in=50, starts=np.array([[0.9], [-0.4]]))
        assert found.verdict == "not yet"
        assert "periodic" not in found.sentence

    def test_two_memories_of_a_driven_unit_are_no_echo_state(self):
        """tanh(3 x + u / 100) keeps its sign under any small input."""
        unit = Map(lambda x, u: torch.tanh(3 * x + 0.01 * u), n_state=1, n_input=1, bounds=(-1, 1))
        u = np.random.default_rng(0).normal(size=(300, 1))
        kept = lyapunov_exponents(unit, inputs=u, starts=np.array([[0.5], [-0.5], [0.8]]))
        assert kept.values[0] < 0
        assert [kept.starts, *(other.starts for other in kept.others)] == [2, 1]
        assert "echo-state" not in kept.sentence
        assert "not forgotten" in kept.sentence
        alone = lyapunov_exponents(unit, inputs=u, starts=np.array([[0.5]]))
        assert "echo-state" not in alone.sentence

    def test_what_is_small_beside_a_large_stretch_is_not_lost(self):
        """Determinant 1: a step stretches one direction by 1e7 and leaves 1e-7 of the other."""
        D = torch.tensor([[1e7, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        system = Given(
            Kind.MAP, 2, lambda x: torch.remainder(x @ D.T, 1) - x, lambda x: (D - torch.eye(2)).repeat(len(x), 1, 1)
        )
        found = lyapunov_exponents(system, steps=64, burn_in=20, starts=np.array([[0.3, 0.1], [0.7, 0.6]]))
        assert found.lost == 0
        assert found.values == pytest.approx([math.log(1e7), -math.log(1e7)], abs=1e-3)

    def test_a_rotation_neither_grows_nor_shrinks(self):
        turn = Map(
            lambda x, u: torch.stack([0.6 * x[:, 0] - 0.8 * x[:, 1], 0.8 * x[:, 0] + 0.6 * x[:, 1]], 1), n_state=2
        )
        found = lyapunov_exponents(turn, steps=100, burn_in=20, starts=np.array([[1.0, 0.0]]))
        assert found.values == pytest.approx([0, 0], abs=1e-12)
        assert found.motion == "undecided"


class TestTheQuestion:
    def test_a_flow_on_a_torus_is_neither_chaotic_nor_periodic_by_rounding(self):
        """x' = 1, y' = sqrt 2 has the derivative 0; of one exponent nobody knows whether there is another of 0."""
        winding = Given(
            Kind.FLOW, 2, lambda x: 0 * x + torch.tensor([1.0, 2**0.5]), lambda x: x.new_zeros(len(x), 2, 2)
        )
        winding.periods = torch.ones(2, dtype=torch.float64)
        found = lyapunov_exponents(winding, steps=32, burn_in=8, starts=3)
        assert (found.motion, found.verdict, found.others) == ("neutral", "converged", [])
        assert within(found, [0, 0])
        assert lyapunov_exponents(winding, k=1, steps=32, burn_in=8, starts=1).motion == "undecided"

    def test_states_on_a_line_of_points_are_at_rest_and_go_round_nothing(self):
        """x' = 0, y' = -y: from near the line they have hardly moved when they are there."""
        line = Given(Kind.FLOW, 2, lambda x: x * torch.tensor([0.0, -1.0]), lambda x: A.expand(len(x), 2, 2))
        A = torch.diag(torch.tensor([0.0, -1.0], dtype=torch.float64))
        found = lyapunov_exponents(line, steps=64, burn_in=400, starts=[[-0.4, 1e-14], [0.7, 2.0]])
        assert {one.motion for one in (found, *found.others)} == {"at rest"}

    def test_fast_modes_that_decay_do_not_blow_up(self, monkeypatch):
        """x' = -x, y' = -200 y, by steps of 0.1 that are cut; it is told where they are not cut enough."""
        A = torch.diag(torch.tensor([-1.0, -200.0], dtype=torch.float64))
        stiff = Given(Kind.FLOW, 2, lambda x: x @ A, lambda x: A.expand(len(x), 2, 2))
        found = lyapunov_exponents(stiff, steps=4, burn_in=4, starts=1)
        assert found.values == pytest.approx([-1, -200], rel=1e-9)
        monkeypatch.setattr("dynsys.exponents.lyapunov.MOST_PARTS", 2)
        with pytest.raises(ValueError, match="change at a rate of 200 per time constant"):
            lyapunov_exponents(stiff, steps=4, burn_in=10, starts=1)

    def test_fewer_exponents_are_the_first_of_all(self):
        W = 2.0 * np.random.default_rng(3).standard_normal((20, 20)) / 20**0.5
        system = network(W)
        x = np.random.default_rng(0).uniform(-1, 1, (2, 20))
        few, all_ = (lyapunov_exponents(system, k, steps=1000, starts=x) for k in (3, None))
        assert few.values == pytest.approx(all_.values[:3], abs=0.03)
        assert few.sum_rule < 1e-9
        assert all_.sum_rule < 1e-9

    def test_a_dimension_that_too_few_exponents_leave_open_is_said_to_be_so(self):
        found = lyapunov_exponents(CAT, 1, steps=100, starts=1)
        assert math.isnan(found.kaplan_yorke)
        assert "not defined" in found.sentence

    def test_the_same_on_any_number_of_workers(self):
        W = 1.5 * np.random.default_rng(0).standard_normal((48, 48)) / 48**0.5
        system = LeakyRate(W)
        one, two = (lyapunov_exponents(system, 4, steps=20, burn_in=20, starts=4, workers=w).values for w in (1, 2))
        assert one.tolist() == two.tolist()

    def test_a_driven_unit_forgets_or_not(self):
        W, B, b = np.array([[3.0]]), np.array([[1.0]]), np.zeros(1)
        u = np.random.default_rng(0).normal(0, 0.1, (2000, 1))
        found = lyapunov_exponents(LeakyMap(W, B, b, alpha=1.0), inputs=u, starts=np.array([[0.5]]))
        assert found.kind == "driven"
        assert found.values[0] < 0
        assert "come together" in found.sentence

    def test_euler_steps_are_said_to_be_a_map(self):
        euler = LeakyMap(2 * np.random.default_rng(0).standard_normal((10, 10)) / 10**0.5, alpha=0.1)
        assert "Euler" in lyapunov_exponents(euler, 1, steps=100, starts=1).sentence

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"k": 3}, "1 to 2 of them"),
            ({"k": 0}, "1 to 2 of them"),
            ({"steps": 1}, "at least 2 steps"),
            ({"interval": 1.5}, "interval is 1.5"),
            ({"starts": np.zeros((1, 3))}, "takes (B, 2)"),
            ({"starts": np.full((1, 2), np.nan)}, "NaN"),
            ({"starts": 0}, "at least one"),
            ({"inputs": np.zeros((10, 2))}, "takes (0,) held"),
            ({"step": 0.0}, "step is 0"),
        ],
    )
    def test_what_makes_no_sense_is_one_clear_line(self, settings, words):
        with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
            lyapunov_exponents(HENON, **settings)

    def test_trajectories_that_all_leave_are_an_error(self):
        with pytest.raises(ArithmeticError, match="leave for infinity"):
            lyapunov_exponents(Map(lambda x, u: 2 * x, n_state=1), steps=100, starts=np.array([[1.0]]))

    def test_too_few_steps_leave_no_interval(self):
        found = lyapunov_exponents(LOGISTIC, steps=3, starts=UNIFORM[:1])
        assert np.isnan(found.half_width).all()
        assert found.verdict == "not yet"
        assert "no interval yet" in found.sentence
        assert "too few" in found.sentence

    def test_a_jacobian_that_is_wrong_is_refused(self):
        class Rough(Flow):
            def jacobian(self, x, u):
                return super().jacobian(x, u) * (1 + 1e-3 * torch.sin(1e6 * x).unsqueeze(2))

        with pytest.raises(ArithmeticError, match="divergence"):
            lyapunov_exponents(Rough(ring, n_state=2), steps=4, burn_in=4, starts=np.array([[1.0, 0.0]]))

    def test_what_was_done_before_ctrl_c_is_kept(self):
        def interrupt(stage, done, total):
            if stage == "growth" and done == 40:
                raise KeyboardInterrupt

        def at_once(stage, done, total):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as nothing:
            lyapunov_exponents(LOGISTIC, steps=64, starts=UNIFORM, progress=at_once)
        assert not isinstance(nothing.value, ExponentsInterrupted)
        with pytest.raises(ExponentsInterrupted) as caught:
            lyapunov_exponents(LOGISTIC, steps=640, starts=UNIFORM, progress=interrupt)
        assert caught.value.exponents.steps == 400
        assert within(caught.value.exponents, [math.log(2)], 0.02)

    def test_the_result_goes_to_disk_and_back(self, tmp_path):
        found = lyapunov_exponents(CAT, steps=50, starts=2)
        back = type(found).load(found.save(tmp_path / "exponents.safetensors"))
        assert back.values.tolist() == found.values.tolist()
        assert back.sentence == found.sentence

    def test_it_is_a_public_name(self):
        assert dynsys.lyapunov_exponents is lyapunov_exponents


class TestCovariantVectors:
    def test_those_of_a_matrix_are_its_eigenvectors(self):
        A = np.array([[0.5, 2.0, 0.3], [0.0, 1.5, -1.0], [0.0, 0.0, 0.9]])
        found = lyapunov_exponents(linear_map(A), steps=200, starts=np.zeros((1, 3)), covariant=True)
        values, vectors = np.linalg.eig(A)
        order = np.argsort(-np.abs(values))
        for j, column in enumerate(order):
            cosine = np.abs(found.covariant.vectors[:, :, j] @ vectors[:, column])
            assert cosine == pytest.approx(np.ones(len(cosine)), abs=1e-9)

    def test_stable_and_unstable_directions_of_the_cat_map_are_at_right_angles(self):
        found = lyapunov_exponents(CAT, steps=100, starts=1, covariant=True)
        assert found.covariant.angle(1) == pytest.approx(np.full(len(found.covariant.states), np.pi / 2), abs=1e-9)


class TestStatistics:
    def test_the_interval_holds_as_often_as_it_says(self):
        """The mean of an AR(1) series, whose neighbours depend on each other: in 95 of 100 runs, give or take."""
        held = 0
        for seed in range(200):
            noise = np.random.default_rng(seed).standard_normal(512)
            series = np.zeros(512)
            for t in range(1, 512):
                series[t] = 0.7 * series[t - 1] + noise[t]
            batches = batched(series[:, None, None])
            held += abs(batches.mean()[0]) <= batches.half_width(0.95)[0]
        assert 180 <= held <= 199

    def test_dimension_by_hand(self):
        assert kaplan_yorke(np.array([0.5, 0.0, -1.0])) == 2.5
        assert kaplan_yorke(np.array([-0.1, -0.2])) == 0
        assert kaplan_yorke(np.array([0.5, -0.5])) == 2
        assert kaplan_yorke(np.array([1.0, -np.inf])) == 1
        assert math.isnan(kaplan_yorke(np.array([1.0, 0.5]), complete=False))
        assert entropy_rate(np.array([1.0, 0.5, -2.0])) == 1.5
        assert math.isnan(entropy_rate(np.array([1.0, 0.5]), complete=False))


class TestCommand:
    def run(self, *arguments):
        from click.testing import CliRunner

        from dynsys.cli import main

        return CliRunner().invoke(main, ["exponents", *map(str, arguments)])

    def test_a_driven_network_from_files(self, tmp_path):
        W = np.array([[0.5, -0.3], [0.2, 0.4]])
        np.savez(tmp_path / "net.npz", W=W, B=np.ones((2, 1)))
        np.savez(tmp_path / "trial.npz", inputs=np.zeros((400, 1)))
        options = ["--form", "rnn", "--matrix", "recurrent=W", "--matrix", "input=B", "--activation", "tanh"]
        result = self.run(tmp_path / "net.npz", *options, "--inputs", tmp_path / "trial.npz", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["kind"] == "driven"
        assert found["exponents"] == pytest.approx([np.log(np.sqrt(np.linalg.det(W)))] * 2, abs=0.01)

    def test_the_picture_has_the_spectrum_and_the_running_means(self, tmp_path):
        result = self.run(
            "bistable", "--steps", 50, "-o", tmp_path / "page.html", "--save", tmp_path / "all.safetensors"
        )
        assert result.exit_code == 0, result.output
        assert "fixed point" in result.output
        page = (tmp_path / "page.html").read_text()
        assert "xaxis2" not in page.split("Plotly.newPlot")[-1]  # nothing was averaged
        assert self.run("bistable", "--steps", 50, "--save", tmp_path / "all.safetensors").exit_code == 0

    def test_a_network_is_not_written_over(self, tmp_path):
        network = tmp_path / "net.safetensors"
        network.write_bytes(b"a network")
        result = self.run("bistable", "--save", network)
        assert result.exit_code == 1
        assert "give another name" in result.output
        assert network.read_bytes() == b"a network"

    def test_many_trials_are_refused(self, tmp_path):
        np.savez(tmp_path / "net.npz", W=np.eye(2) / 2, B=np.ones((2, 1)))
        np.savez(tmp_path / "trials.npz", inputs=np.zeros((5, 40, 1)))
        options = ["--form", "rnn", "--matrix", "recurrent=W", "--matrix", "input=B", "--activation", "tanh"]
        result = self.run(tmp_path / "net.npz", *options, "--inputs", tmp_path / "trials.npz")
        assert result.exit_code == 1
        assert "many trials" in result.output


def test_where_nothing_grows_or_fades_all_exponents_are_zero():
    """A ReLU network with W = 1 on positive states: the sum rule has nothing to compare but rounding."""
    network = LeakyMap(np.eye(3), np.ones((3, 1)), alpha=1.0, activation="relu")
    found = lyapunov_exponents(network, inputs=np.full((60, 1), 0.01), starts=np.ones((1, 3)))
    assert np.abs(found.values).max() < 1e-14


def test_a_dead_network_has_no_exponent_but_minus_infinity():
    dead = LeakyMap(np.eye(3), np.ones((3, 1)), alpha=1.0, activation="relu")
    found = lyapunov_exponents(dead, 1, inputs=np.full((200, 1), -1.0), starts=np.ones((1, 3)))
    assert np.isneginf(found.values).all()
    assert found.lost == 1
    assert "First exponent minus infinity (driven)" in found.sentence


def test_a_direction_that_nearly_vanishes_is_no_fault_of_the_jacobian():
    """Rounding leaves six digits of a factor of 1e-10: the sum of the exponents is right to those, not to 1e-9."""
    rng = np.random.default_rng(0)
    first, second = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    A = first @ np.diag([1.1, 1.0, 0.9, 1e-10]) @ second
    found = lyapunov_exponents(linear_map(A), inputs=np.zeros((200, 0)), starts=1)
    assert found.values.sum() == pytest.approx(math.log(1.1 * 0.9e-10), abs=1e-4)
    assert found.lost == 0
