"""Modes of the linearised system: vectors, times, what pushes and what shows them, how much they grow at first."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from described import linear, points_at
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.sparse.linalg import aslinearoperator

from dynsys import Flow, Map
from dynsys.io.errors import CheckpointError
from dynsys.models import MODELS
from dynsys.models.examples.bistable import Bistable
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.search.find import find_fixed_points
from dynsys.stability.eigenmodes import dense_modes, krylov_modes
from dynsys.stability.modes import Modes, linear_modes
from dynsys.systems.system import Kind
from dynsys.testing import check_system


def hidden(J, seed=0):
    """The same matrix in a basis turned at random."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal(np.shape(J)))[0]
    return Q @ np.array(J, dtype=float) @ Q.T


def spread(n, gain=0.9, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n)) * gain / np.sqrt(n)


class TestVectors:
    def test_a_triangular_flow_has_the_vectors_found_by_hand(self):
        """A = V diag(-1, -3) V^-1 with the columns (1, 0) and (1, 1) in V; the rows of V^-1 are (1, -1) and (0, 1)."""
        modes = linear_modes(linear([[-1, -2], [0, -3]], time_constant=10.0))
        np.testing.assert_allclose(modes.eigenvalues[0], [-1, -3])
        np.testing.assert_allclose(modes.right[0], [[1, 0], [0.5**0.5, 0.5**0.5]], atol=1e-15)
        np.testing.assert_allclose(modes.left[0], [[1, -1], [0, 2**0.5]], atol=1e-15)
        np.testing.assert_allclose(modes.condition[0], [2**0.5, 2**0.5])
        np.testing.assert_allclose(modes.time_constants[0], [10, 10 / 3])
        assert modes.frequencies[0].tolist() == [0, 0]

    @pytest.mark.parametrize("kind", [Flow, Map])
    def test_left_and_right_vectors_are_biorthogonal_and_belong_to_their_eigenvalue(self, kind):
        A = spread(30)
        modes = linear_modes(linear(A, kind=kind), count=30)
        r, left, values = modes.right[0], modes.left[0].conj(), modes.eigenvalues[0]
        np.testing.assert_allclose(left @ r.T, np.eye(30), atol=1e-11)
        np.testing.assert_allclose(r @ A.T, values[:, None] * r, atol=1e-13)
        np.testing.assert_allclose(left @ A, values[:, None] * left, atol=1e-11)
        np.testing.assert_allclose(np.linalg.norm(r, axis=1), 1)
        ahead = values.real if kind is Flow else np.abs(values)
        assert (np.diff(ahead) <= 1e-12).all()

    def test_condition_numbers_are_those_of_fifty_digits(self):
        A = spread(7, seed=3)
        with mpmath.workdps(50):
            values, L, R = mpmath.eig(mpmath.matrix(A.tolist()), left=True, right=True)
            expected = {}
            for i, value in enumerate(values):
                row, column = L[i, :], R[:, i]
                expected[complex(value)] = float(mpmath.norm(row) * mpmath.norm(column) / abs((row * column)[0]))
        modes = linear_modes(linear(A), count=7)
        for value, condition in zip(modes.eigenvalues[0], modes.condition[0], strict=True):
            nearest = min(expected, key=lambda other: abs(other - value))
            assert abs(nearest - value) < 1e-14
            assert condition == pytest.approx(expected[nearest], rel=1e-12)

    def test_real_modes_have_real_vectors(self):
        modes = linear_modes(linear(spread(31), np.ones((31, 2))), count=31)
        real = modes.eigenvalues.imag == 0
        assert real.any()
        for values in (modes.right, modes.left, modes.input_push):
            assert not values[real].imag.any()

    def test_a_symmetric_jacobian_has_perfectly_conditioned_modes_even_where_eigenvalues_repeat(self):
        """At a corner all units of the bistable network decay at one rate, and any basis holds eigenvectors."""
        corner = Bistable(6).fixed_points()[0][-1]
        modes = linear_modes(points_at(Bistable(6), corner), count=6)
        np.testing.assert_allclose(modes.condition, 1)
        np.testing.assert_allclose(modes.left[0] @ modes.right[0].T, np.eye(6), atol=1e-12)

    @pytest.mark.parametrize(("count", "width"), [(1, 1), (2, 3), (3, 3), (4, 5), (9, 5)])
    def test_a_complex_pair_is_never_cut(self, count, width):
        pair = [[-2, 5], [-5, -2]]
        A = np.zeros((5, 5))
        A[0, 0], A[1:3, 1:3], A[3:, 3:] = -1, pair, np.array(pair) - 1.5 * np.eye(2)
        modes = linear_modes(linear(hidden(A)), count=count)
        np.testing.assert_allclose(modes.eigenvalues[0], [-1, -2 + 5j, -2 - 5j, -3.5 + 5j, -3.5 - 5j][:width])
        np.testing.assert_array_equal(modes.right[0, 2::2], modes.right[0, 1:-1:2].conj())

    def test_pairs_of_one_decay_rate_stay_together(self):
        """Ordered by their real parts alone, +5i, +3i, -3i, -5i would be cut apart."""
        A = np.zeros((4, 4))
        A[:2, :2], A[2:, 2:] = [[-1, 3], [-3, -1]], [[-1, 5], [-5, -1]]
        modes = linear_modes(linear(A), count=2)
        np.testing.assert_allclose(modes.eigenvalues[0], [-1 + 5j, -1 - 5j])

    def test_points_with_fewer_modes_end_in_nan(self):
        system = Flow(lambda x, u: torch.stack([x[:, 1], -(x[:, 0] ** 3) + x[:, 0] - x[:, 1]], 1), n_state=2)
        modes = linear_modes(points_at(system, [[0, 0], [1, 0]]), count=1)  # a saddle and a focus
        assert np.isnan(modes.eigenvalues).tolist() == [[False, True], [False, False]]
        assert np.isnan(modes.right[0, 1]).all()
        assert len(modes.to_json(0)["modes"]) == 1


class TestTimes:
    def test_a_turning_and_shrinking_map(self):
        c, s = 0.9 * np.cos(2 * np.pi / 5), 0.9 * np.sin(2 * np.pi / 5)
        modes = linear_modes(linear([[c, -s], [s, c]], kind=Map))
        np.testing.assert_allclose(modes.time_constants, -1 / np.log(0.9))
        np.testing.assert_allclose(modes.frequencies, 1 / 5)
        np.testing.assert_allclose(modes.condition, 1)
        np.testing.assert_allclose(modes.step_gain, 0.9)
        assert not modes.transient_growth

    def test_a_mode_that_is_gone_in_one_step_and_one_that_alternates(self):
        modes = linear_modes(linear(np.diag([0.0, -0.5]), kind=Map))
        np.testing.assert_allclose(modes.eigenvalues[0], [-0.5, 0])
        np.testing.assert_allclose(modes.time_constants[0], [1 / np.log(2), 0])
        np.testing.assert_allclose(modes.frequencies[0], [0.5, 0])

    @pytest.mark.parametrize(("kind", "A"), [(Flow, np.diag([0.0, -1])), (Map, np.diag([-1.0, 0.5]))])
    def test_a_mode_on_the_boundary_lasts_for_ever(self, kind, A):
        assert linear_modes(linear(A, kind=kind)).time_constants[0, 0] == np.inf

    def test_growth_has_a_negative_time_constant(self):
        assert linear_modes(linear([[2.0]], kind=Map)).time_constants[0, 0] == pytest.approx(-1 / np.log(2))

    def test_a_mode_of_a_cycle_lasts_as_many_steps_as_it_takes(self):
        """x' = -tanh(2x) alternates between +-a with a = tanh(2a); each step multiplies a deviation by 2 (1 - a^2)."""
        a = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1.0, xtol=1e-15)
        system = Map(lambda x, u: -torch.tanh(2 * x), n_state=1)
        points = points_at(system, [[a], [-a]])
        modes = linear_modes(dataclasses.replace(points, search=SimpleNamespace(period=2)))
        np.testing.assert_allclose(modes.eigenvalues, (2 * (1 - a**2)) ** 2)
        np.testing.assert_allclose(modes.time_constants, -1 / np.log(2 * (1 - a**2)))


class TestInitialGrowth:
    def test_a_stable_shear_grows_at_first_at_the_rate_known_in_closed_form(self):
        """The symmetric part [[-1, 50], [50, -2]] has the eigenvalues -3/2 +- sqrt(1/4 + 2500)."""
        A, tau = np.array([[-1.0, 100.0], [0.0, -2.0]]), 5.0
        modes = linear_modes(linear(A, time_constant=tau))
        np.testing.assert_allclose(modes.numerical_abscissa, -1.5 + 2500.25**0.5)
        np.testing.assert_allclose(modes.reactivity, (-1.5 + 2500.25**0.5) / tau)
        assert modes.transient_growth
        dt = 1e-7  # and by the definition: the slope of |exp(tA)| at 0
        slope = (np.linalg.norm(expm(dt * A / tau), 2) - 1) / dt
        np.testing.assert_allclose(modes.reactivity, slope, rtol=1e-4)
        assert np.isnan(modes.step_gain)

    def test_a_stable_map_can_lengthen_a_deviation_in_one_step(self):
        A = np.array([[0.5, 10.0], [0.0, 0.2]])
        modes = linear_modes(linear(A, kind=Map))
        s = 0.25 + 100 + 0.04  # |A|_2^2 is the larger root of y^2 - s y + det^2
        gain = np.sqrt((s + np.sqrt(s**2 - 4 * 0.1**2)) / 2)
        np.testing.assert_allclose(modes.step_gain, gain)
        np.testing.assert_allclose(modes.reactivity, np.log(gain))
        np.testing.assert_allclose(modes.numerical_abscissa, -0.65 + np.sqrt(0.15**2 + 25))  # of A - I
        assert modes.transient_growth

    def test_a_normal_system_grows_only_where_it_is_unstable(self):
        modes = linear_modes(linear(np.diag([0.3, -2.0])))
        np.testing.assert_allclose(modes.numerical_abscissa, 0.3)
        assert not modes.transient_growth  # it grows in the end as well

    @pytest.mark.parametrize("kind", [Flow, Map])
    def test_large_and_small_systems_are_measured_alike(self, kind):
        """Above 256 units by Lanczos; here against singular values and eigenvalues of the whole matrix."""
        A = spread(280)
        modes = linear_modes(linear(A, kind=kind), count=2)
        expected = np.linalg.eigvalsh((A + A.T) / 2)[-1] - (kind is Map)
        np.testing.assert_allclose(modes.numerical_abscissa, expected, rtol=1e-10)
        if kind is Map:
            np.testing.assert_allclose(modes.step_gain, np.linalg.svd(A)[1][0], rtol=1e-10)

    def test_a_map_that_forgets_its_state_in_one_step(self):
        modes = linear_modes(linear(np.zeros((300, 300)), kind=Map), dense=False)
        assert (modes.step_gain, modes.reactivity) == (0, -np.inf)
        assert not modes.time_constants.any()


class TestInputs:
    @pytest.mark.parametrize("name", sorted(MODELS))
    def test_the_input_jacobian_of_every_network_is_the_slope_of_its_velocity(self, name):
        system, rng, h = MODELS[name].example(), np.random.default_rng(0), 1e-5
        x = torch.as_tensor(rng.uniform(-0.5, 0.5, (3, system.n_state)))
        u = torch.as_tensor(rng.standard_normal((3, system.n_input)))
        J = np.asarray(system.input_jacobian(x, u))
        assert J.shape == (3, system.n_state, system.n_input)
        for j in range(system.n_input):
            step = torch.zeros_like(u)
            step[:, j] = h
            slope = (system.velocity(x, u + step) - system.velocity(x, u - step)) / (2 * h)
            np.testing.assert_allclose(J[:, :, j], slope, atol=1e-8)

    def test_one_row_seen_many_times_is_an_input_like_any_other(self):
        B = torch.as_tensor(np.random.default_rng(0).standard_normal((4, 2)))
        system = Map(lambda x, u: torch.tanh(x + u @ B.T), n_state=4, n_input=2)
        x, u = torch.zeros(5, 4, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
        slope = 1 - torch.tanh(u @ B.T).T ** 2
        np.testing.assert_allclose(system.input_jacobian(x, u.expand(5, -1)), (slope * B).expand(5, -1, -1))

    def test_check_system_names_a_wrong_input_jacobian(self):
        class Wrong(EchoStateNetwork):
            def input_jacobian(self, x, u):
                return 2 * super().input_jacobian(x, u)

        system = Wrong.random(EchoStateConfig(units=5))
        with pytest.raises(AssertionError, match=r"^input_jacobian, times a direction, differs from central"):
            check_system(system)

    @pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
    def test_a_pulse_moves_each_mode_by_its_push_and_then_by_its_eigenvalue(self, name):
        """One step of a small input at a fixed point of a trained kind of network, followed in the nonlinear map."""
        system = MODELS[name].example()
        held = np.array([0.3, -0.2])
        points = find_fixed_points(system, input=held, n_starts=64, seed=0)
        modes = linear_modes(points[:1], count=4)
        x, u = torch.as_tensor(points.states[:1]), torch.as_tensor(held)[None]
        for j, pulse in enumerate(1e-6 * torch.eye(2, dtype=torch.float64)):
            y = x + system.velocity(x, u + pulse)
            for t in range(4):
                amplitude = modes.left[0].conj() @ (y - x).numpy()[0]
                expected = 1e-6 * modes.input_push[0, :, j] * modes.eigenvalues[0] ** t
                np.testing.assert_allclose(amplitude, expected, atol=1e-10)
                y = y + system.velocity(y, u)

    def test_a_held_input_moves_a_flow_as_its_modes_say(self):
        """a(t) = p (exp(lambda t / tau) - 1) / lambda, against the exponential of the whole system with its input."""
        rng, tau, t = np.random.default_rng(1), 3.0, 2.0
        A, B = spread(6) - np.eye(6), rng.standard_normal((6, 2))
        modes = linear_modes(linear(A, B, time_constant=tau), count=6)
        whole = np.zeros((8, 8))
        whole[:6, :6], whole[:6, 6:] = A / tau, B / tau
        response = expm(t * whole)[:6, 6:]
        values = modes.eigenvalues[0][:, None]
        expected = modes.input_push[0] * (np.exp(values * t / tau) - 1) / values
        np.testing.assert_allclose(modes.left[0].conj() @ response, expected, atol=1e-12)

    def test_visibility_is_how_the_readout_moves_along_a_mode(self):
        system = EchoStateNetwork.random(EchoStateConfig(units=20, n_output=2, seed=3))
        system = system.with_readout(np.random.default_rng(0).standard_normal((2, 20)))
        x = np.random.default_rng(1).standard_normal((2, 20))
        modes, h = linear_modes(points_at(system, x), count=3), 1e-5
        for i in range(2):
            for j in range(modes.right.shape[1]):
                ways = modes.right[i, j]
                slope = [
                    (
                        system.readout(torch.as_tensor(x[[i]] + h * way))
                        - system.readout(torch.as_tensor(x[[i]] - h * way))
                    )
                    / (2 * h)
                    for way in (ways.real, ways.imag)
                ]
                np.testing.assert_allclose(modes.visibility[i, j], (slope[0] + 1j * slope[1])[0], atol=1e-9)


class TestDefective:
    @pytest.mark.parametrize("size", [2, 3])
    @pytest.mark.parametrize("basis", ["plain", "turned"])
    def test_a_jordan_block_has_no_left_vector_and_says_so(self, size, basis):
        A = -0.5 * np.eye(5)
        A[range(size - 1), range(1, size)] = 1.0
        A[range(size, 5), range(size, 5)] = -1.0 - np.arange(5 - size)  # simple ones beside it
        A = A if basis == "plain" else hidden(A)
        modes = linear_modes(linear(A, np.ones((5, 1))), count=5)
        block = np.abs(modes.eigenvalues[0] + 0.5) < 1e-3
        assert block.sum() == size
        np.testing.assert_array_equal(modes.condition[0, block], np.inf)
        assert np.isnan(modes.left[0, block]).all()
        assert np.isnan(modes.input_push[0, block]).all()
        np.testing.assert_allclose(modes.condition[0, ~block], 1, rtol=1e-6)
        assert np.isfinite(modes.input_push[0, ~block]).all()
        assert np.isfinite(modes.right).all()
        told = modes.to_json(0)["modes"]
        assert [mode["defective"] for mode in told] == block.tolist()
        assert told[int(block.argmax())]["input_push"] == [[None, None]]

    def test_a_strongly_skewed_but_simple_eigenvalue_is_not_defective(self):
        modes = linear_modes(linear([[-1.0, 1e5], [0.0, -2.0]]))
        np.testing.assert_allclose(modes.condition, 1e5, rtol=1e-6)

    def test_a_repeated_eigenvalue_with_vectors_enough_is_not_defective(self):
        V = np.random.default_rng(0).standard_normal((4, 4))
        modes = linear_modes(linear(V @ np.diag([-1.0, -1.0, -2.0, -3.0]) @ np.linalg.inv(V)), count=4)
        assert np.isfinite(modes.condition).all()
        np.testing.assert_allclose(modes.left[0].conj() @ modes.right[0].T, np.eye(4), atol=1e-6)


class TestLargeSystems:
    @pytest.mark.parametrize("kind", [Flow, Map])
    def test_products_alone_give_the_modes_of_the_whole_matrix(self, kind):
        A, B = spread(300, gain=1.2), np.random.default_rng(5).standard_normal((300, 2))
        points = linear(A, B, kind=kind)
        sparse, dense = (linear_modes(points, count=8, dense=way) for way in (False, True))
        np.testing.assert_allclose(sparse.eigenvalues, dense.eigenvalues, atol=1e-10)
        np.testing.assert_allclose(sparse.right, dense.right, atol=1e-8)
        np.testing.assert_allclose(sparse.input_push, dense.input_push, atol=1e-7)
        np.testing.assert_allclose(sparse.condition, dense.condition, rtol=1e-8)

    def test_repeated_eigenvalues_are_found_with_biorthogonal_vectors(self):
        V = np.eye(120) + spread(120, gain=0.3)
        A = V @ np.diag(np.concatenate([[-0.1, -0.1, -0.2], -1 - np.arange(117.0)])) @ np.linalg.inv(V)
        modes = linear_modes(linear(A), count=4, dense=False)
        np.testing.assert_allclose(modes.eigenvalues[0, :4], [-0.1, -0.1, -0.2, -1], atol=1e-8)
        np.testing.assert_allclose(modes.left[0].conj() @ modes.right[0].T, np.eye(4), atol=1e-6)

    def test_a_jordan_block_is_found_from_products_as_well(self):
        A = np.diag(-1 - np.arange(60.0) / 10)
        A[1, 1], A[0, 1] = -1.0, 1.0
        assert np.isinf(linear_modes(linear(hidden(A)), count=2, dense=False).condition).all()


@pytest.fixture(scope="module")
def modes() -> Modes:
    return linear_modes(find_fixed_points(MODELS["gru"].example(), n_starts=64, seed=0), count=5)


class TestResult:
    def test_eigenvalues_are_those_of_the_search(self):
        points = find_fixed_points(MODELS["lstm"].example(), n_starts=64, seed=0)
        modes = linear_modes(points, count=6)
        for own, others in zip(modes.eigenvalues, points.eigenvalues, strict=True):
            own = own[~np.isnan(own)]
            np.testing.assert_allclose(np.sort_complex(own), np.sort_complex(others[: len(own)]), atol=1e-9)

    def test_saved_and_read_back_it_is_the_same(self, modes, tmp_path):
        again = Modes.load(modes.save(tmp_path / "modes.safetensors"))
        for field in dataclasses.fields(Modes):
            np.testing.assert_equal(getattr(again, field.name), getattr(modes, field.name))

    def test_a_file_that_holds_something_else_is_refused(self, modes, tmp_path):
        find_fixed_points(Bistable(1), n_starts=8).save(tmp_path / "points.safetensors")
        with pytest.raises(CheckpointError, match=r"dynsys\.modes/1"):
            Modes.load(tmp_path / "points.safetensors")

    def test_json_holds_plain_numbers_and_vectors_on_request(self, modes):
        told = json.loads(json.dumps(modes.to_json(0), allow_nan=False))
        first = told["modes"][0]
        assert first["eigenvalue"] == [modes.eigenvalues[0, 0].real, modes.eigenvalues[0, 0].imag]
        assert first["time_constant"] == modes.time_constants[0, 0]
        assert np.shape(first["input_push"]) == (2, 2)  # two inputs, [re, im]
        assert "right" not in first
        full = modes.to_json(0, vectors=True)["modes"][0]
        assert np.shape(full["left"]) == np.shape(full["right"]) == (8, 2)

    def test_chosen_points_keep_their_numbers(self):
        points = points_at(Bistable(2), Bistable(2).fixed_points()[0])
        assert linear_modes(points, np.arange(9) % 4 == 3).ids.tolist() == [3, 7]
        assert linear_modes(points, [5]).to_json(0)["id"] == 5

    def test_no_points_have_no_modes(self):
        modes = linear_modes(points_at(Bistable(2), np.zeros((2, 2))), [])
        assert (len(modes), modes.right.shape, modes.input_jacobian.shape) == (0, (0, 0, 2), (0, 2, 0))
        assert modes.transient_growth.shape == (0,)

    @pytest.mark.parametrize(("kind", "n"), [(Flow, 1), (Map, 3), (Map, 300)])
    @pytest.mark.parametrize("dense", [True, False])
    def test_a_point_without_a_derivative_has_no_modes_and_spoils_no_other(self, kind, n, dense):
        """sqrt(x) has a zero at 0 and a vertical tangent there."""
        system = kind(lambda x, u: torch.sqrt(x) - x, n_state=n)
        modes = linear_modes(points_at(system, [[0.0] * n, [1.0] * n]), count=1, dense=dense)
        assert np.isnan(modes.eigenvalues[0]).all()
        assert np.isnan(modes.reactivity[0])
        assert np.isfinite(modes.left[1]).all()
        assert modes.to_json(0)["modes"] == []
        assert not modes.transient_growth.any()

    def test_threads_change_nothing(self):
        points = points_at(MODELS["lstm"].example(), np.random.default_rng(0).uniform(-0.5, 0.5, (5, 12)))
        alone, together = linear_modes(points), linear_modes(points, workers=2)
        np.testing.assert_equal(alone.left, together.left)

    def test_without_the_system_it_says_how_to_give_it(self):
        points = dataclasses.replace(points_at(Bistable(2), [[0, 0]]), system=None)
        with pytest.raises(ValueError, match=r"FixedPoints.load\(path, system\)"):
            linear_modes(points)
        assert len(linear_modes(points, system=Bistable(2))) == 1

    def test_a_count_of_nothing_is_refused(self):
        with pytest.raises(ValueError, match="count is 0; give at least one mode"):
            linear_modes(points_at(Bistable(2), [[0, 0]]), count=0)


def test_both_ways_to_the_vectors_order_ties_alike():
    A = np.kron(np.diag([1.0, 1.0, 0.5]), np.eye(20))
    A[0, 59] = 1.0  # not symmetric
    dense, sparse = dense_modes(A, 3, Kind.FLOW), krylov_modes(aslinearoperator(A), 3, Kind.FLOW)
    np.testing.assert_allclose(dense.values, sparse.values, atol=1e-10)


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs/modes.md").read_text(), re.DOTALL)
    exec(compile(code, "docs/modes.md", "exec"), {})
    assert (tmp_path / "modes.html").stat().st_size > 1e6
    assert len(Modes.load(tmp_path / "modes.safetensors")) > 0


class TestOnTheBoundary:
    """A mode whose eigenvalue is on the boundary of stability neither fades nor grows, whatever its last digits are."""

    def test_a_slow_point_has_one_mode_that_lasts_for_ever(self):
        """x' = 1e-4 + x^4 is slowest at 0, where its slope 4 x^3 is 0; y fades in 1/2."""
        F = Flow(lambda x, u: torch.stack([1e-4 + x[:, 0] ** 4, -2 * x[:, 1]], 1), n_state=2, bounds=(-1, 1))
        points = find_fixed_points(F, n_starts=16)
        slow = np.flatnonzero(points.verdict == "slow")
        assert len(slow) == 1
        found = linear_modes(points, slow)
        np.testing.assert_allclose(sorted(found.time_constants[0]), [0.5, np.inf])
        assert found.to_json(0)["modes"][0]["time_constant"] is None

    def test_a_slow_point_of_a_map_as_well(self):
        """x + 1e-4 + x^2 / 2 has slope 1 at 0, where it moves least; y halves in every step."""
        step = Map(lambda x, u: torch.stack([x[:, 0] + 1e-4 + x[:, 0] ** 2 / 2, x[:, 1] / 2], 1), 2, bounds=(-1, 1))
        points = find_fixed_points(step, n_starts=16)
        (slow,) = np.flatnonzero(points.verdict == "slow")
        np.testing.assert_allclose(sorted(linear_modes(points, [slow]).time_constants[0]), [1 / np.log(2), np.inf])

    def test_a_pair_on_the_imaginary_axis_lasts_for_ever_both_halves(self):
        found = linear_modes(linear(np.array([[1e-17, 2.0, 0], [-2.0, -1e-17, 0], [0, 0, -1.0]])))
        assert np.isinf(found.time_constants[0][:2]).all()
        assert found.time_constants[0][2] == pytest.approx(1.0)

    def test_what_is_slow_but_sure_keeps_its_time_constant(self):
        found = linear_modes(linear(np.diag([-1e-12, -1.0])))
        np.testing.assert_allclose(found.time_constants[0], [1e12, 1.0])
