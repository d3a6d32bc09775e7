"""Memory that fades: products of derivatives and gradients, against closed forms and a second way of computing them."""

import math

import numpy as np
import pytest
import torch

import dynsys
from dynsys import Flow, Map, lyapunov_exponents
from dynsys.exponents.fading import fading, norm, trajectory
from dynsys.exponents.memory_curve import memory_curve
from dynsys.exponents.tangent import Stepper
from dynsys.models.rate.leaky_map import LeakyMap
from dynsys.models.recurrent.vanilla import RNN

DOUBLE = torch.float64
NONE = torch.zeros(0, dtype=DOUBLE)


def linear(A, B=None):
    A = torch.as_tensor(np.asarray(A, dtype=float))
    B = torch.zeros(len(A), 0, dtype=DOUBLE) if B is None else torch.as_tensor(np.asarray(B, dtype=float))
    return Map(lambda x, u: x @ A.T + u @ B.T, n_state=len(A), n_input=B.shape[1])


def along(system, x, inputs, delay, gradient=None, length=1.0):
    stepper = Stepper(system, length)
    inputs = torch.as_tensor(np.asarray(inputs, dtype=float))
    states = trajectory(stepper, torch.as_tensor(np.atleast_2d(x), dtype=DOUBLE), inputs)
    return fading(stepper, states, inputs, delay, gradient), states


def still(steps, m=0):
    return np.zeros((steps, 1, m))


def orthogonal(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


class TestOneUnit:
    """h' = tanh(w h + u), all in closed form: h* = tanh(w h*), M'(h) = w (1 - h'^2)."""

    CASES = (  # w, h*, M'(h*), edge of the reduced attracting set, u_c, dh(t)/dh(t-10), dh(t)/dh(t-50) at h*
        (1.25, 0.710411783, 0.619143872, 0.384969460, 0.077805169, 8.277816e-3, 3.886682e-11),
        (2.0, 0.957504024, 0.166372088, 0.440686794, 0.532839975, 1.624818e-8, 1.132461e-39),
        (4.0, 0.999325673, 0.005392797, 0.329239474, 2.147143718, 2.080371e-23, 3.896760e-114),
    )

    @pytest.fixture(params=CASES, ids=lambda case: f"w={case[0]:g}")
    def case(self, request):
        w, *known = request.param
        return LeakyMap([[w]], [[1.0]], alpha=1.0), w, *known

    def test_the_gradient_fades_as_the_power_of_the_slope(self, case):
        system, w, h, slope, *_, ten, fifty = case
        for _ in range(60):  # of Newton's steps on h - tanh(w h), far more than are needed
            h = h - (h - math.tanh(w * h)) / (1 - w * (1 - math.tanh(w * h) ** 2))
        found, _ = along(system, [[h]], still(50, 1), 50, lambda x, t: torch.ones_like(x))
        assert h == pytest.approx(case[2], abs=1e-9)
        assert np.exp(found.steps[0, 0]) == pytest.approx(slope, abs=1e-9)
        for log, j, exact in ((found.product, 10, ten), (found.gradient, 50, fifty)):
            assert np.exp(log[j, 0]) == pytest.approx(exact, rel=1e-6)

    def test_the_edge_of_the_reduced_attracting_set(self, case):
        system, w, *_, edge, _, _, _ = case
        assert edge == pytest.approx(math.atanh(math.sqrt(1 - 1 / w)) / w, abs=1e-9)
        for h, inside in ((edge - 1e-8, 0.0), (edge + 1e-8, 1.0)):
            assert along(system, [[h]], still(1, 1), 1)[0].contracting == inside

    def test_a_held_input_below_the_fold_does_not_flip_the_bit_and_one_beyond_does(self, case):
        system, w, h, _, _, fold, _, _ = case
        assert fold == pytest.approx(w * math.sqrt(1 - 1 / w) - math.atanh(math.sqrt(1 - 1 / w)), abs=1e-9)
        ends = {1.25: (0.479768, -0.786149), 2.0: (0.748329, -0.986930), 4.0: (0.901617, -0.999991)}[w]
        for push, end in zip((-0.99, -1.01), ends, strict=True):
            inputs = torch.full((400, 1, 1), push * fold, dtype=DOUBLE)
            assert float(trajectory(Stepper(system), torch.tensor([[h]]).double(), inputs)[-1]) == pytest.approx(
                end, abs=1e-6
            )


class TestTwoUnits:
    """The complete example: tanh, five inputs, softmax of V h at the end, cross entropy with the third class."""

    W = np.array([[0.5, -0.3], [0.2, 0.4]])
    V = np.array([[1.0, -1.0], [0.5, 2.0], [-1.0, 0.3]])
    INPUTS = np.array([0.8, -0.4, 0.3, 0.0, 0.9]).reshape(5, 1, 1)

    @pytest.fixture
    def found(self):
        system = RNN({"weight_ih_l0": [[1.0], [0.5]], "weight_hh_l0": self.W, "bias_ih_l0": [0.1, -0.1]})
        found, states = along(system, [[0.0, 0.0]], self.INPUTS, 5, self.gradient)
        return found, states[:, 0].numpy()

    def gradient(self, h, t):
        V = torch.as_tensor(self.V)
        return (torch.softmax(h @ V.T, 1) - torch.tensor([0.0, 0.0, 1.0])) @ V

    def test_state_and_loss(self, found):
        h = found[1][5]
        assert h == pytest.approx([0.8146263305, 0.3794161226], abs=1e-9)
        y = np.exp(self.V @ h) / np.exp(self.V @ h).sum()
        assert y == pytest.approx([0.2942804327, 0.6112269730, 0.0944925943], abs=1e-9)
        assert -math.log(y[2]) == pytest.approx(2.359233815, abs=1e-8)

    def test_norms_of_products_and_of_single_factors(self, found):
        product, single = np.exp(found[0].product[1:, 0]), np.exp(found[0].steps[::-1, 0])
        assert product == pytest.approx(
            [0.3832336816, 0.1727223512, 0.0819286914, 0.0479258779, 0.0168857951], abs=1e-9
        )
        assert single == pytest.approx([0.410365, 0.584983, 0.505151, 0.542870, 0.383234], abs=1e-6)
        assert np.exp(found[0].bound[-1, 0]) == pytest.approx(0.02523, abs=1e-5)

    def test_gradients_of_the_weights_from_those_of_the_states(self, found):
        """delta_t = dE/da_t, a_t the input of the tanh; dE/dW is the sum of delta_t h_{t-1}^T."""
        h = found[1]
        g = self.gradient(torch.as_tensor(h[5:]), None).numpy()[0]
        total, terms = np.zeros((2, 2)), []
        known = [
            (0.5063928314, 0.5620107225),
            (0.3382852075, 0.0728736997),
            (0.1575009146, -0.0722790958),
            (0.0642396808, -0.0760388705),
            (0.0082347787, -0.0454708243),
        ]
        for j, t in enumerate(range(5, 0, -1)):
            assert np.exp(found[0].gradient[j, 0]) == pytest.approx(np.linalg.norm(g), rel=1e-12)
            delta = g * (1 - h[t] ** 2)
            assert delta == pytest.approx(known[j], abs=1e-9)
            total += np.outer(delta, h[t - 1])
            terms.append(np.linalg.norm(np.outer(delta, h[t - 1])))
            g = self.W.T @ delta
        assert total == pytest.approx(np.array([[0.3076110339, 0.0151832781], [0.1287888769, -0.0246307630]]), abs=1e-9)
        assert terms == pytest.approx([0.2070144703, 0.1310811821, 0.0086130921, 0.0769729322, 0.0], abs=1e-9)


class TestProducts:
    def test_a_norm_of_ten_forgets_none_the_less(self):
        found, _ = along(linear([[0.5, 10.0], [0.0, 0.5]]), [[0.0, 0.0]], still(60), 60)
        assert np.exp(found.steps[0, 0]) == pytest.approx(10.0248, abs=1e-3)  # its greatest singular value
        assert found.contracting == 0
        assert found.product[-1, 0] < math.log(1e-13)
        exact = np.linalg.norm(np.linalg.matrix_power([[0.5, 10.0], [0.0, 0.5]], 60), 2)
        assert np.exp(found.product[-1, 0]) == pytest.approx(exact, rel=1e-10)

    def test_a_stable_point_need_not_lie_in_the_reduced_attracting_set(self):
        found, _ = along(linear([[0.5, 2.0], [0.0, 0.5]]), [[0.0, 0.0]], still(8), 8)
        known = [2.118034, 2.031, 1.510, 1.004, 0.627, 0.376, 0.219, 0.125]
        assert np.exp(found.product[1:, 0]) == pytest.approx(known, abs=6e-4)
        assert found.contracting == 0

    def test_an_orthogonal_linear_network_keeps_all_singular_values_at_one(self):
        found, _ = along(linear(orthogonal(12)), np.ones(12), still(200), 200)
        assert np.abs(found.singular).max() < 1e-12
        assert np.abs(found.product).max() < 1e-12

    def test_an_irnn_at_its_start_keeps_positive_states_and_their_gradients(self):
        network = LeakyMap(np.eye(5), np.ones((5, 1)), alpha=1.0, activation="relu")
        found, _ = along(network, np.full(5, 0.3), np.full((50, 1, 1), 0.01), 50, lambda x, t: x)
        assert np.abs(found.singular).max() == 0
        assert np.abs(found.left()).max() < 1e-14

    def test_norm_of_product_is_at_most_product_of_norms_and_its_rate_goes_to_the_first_exponent(self):
        W = np.random.default_rng(3).standard_normal((20, 20)) * 3 / 20**0.5
        system = LeakyMap(W, np.ones((20, 1)), alpha=1.0)
        inputs = np.random.default_rng(4).standard_normal((1600, 1, 1)) * 0.3
        found, _ = along(system, np.full(20, 0.1), inputs, 400)
        assert (found.product <= found.bound + 1e-9).all()
        exponents = lyapunov_exponents(system, 1, inputs=inputs[:, 0], starts=np.full((1, 20), 0.1), burn_in=200)
        assert found.rate.mean() == pytest.approx(exponents.values[0], abs=0.02 + exponents.half_width[0])

    def test_singular_values_below_rounding_are_not_told(self):
        found, _ = along(linear(np.diag([1.0, 0.5, 0.1])), np.ones(3), still(30), 30)
        assert found.singular[0, :2] == pytest.approx([0.0, 30 * math.log(0.5)], abs=1e-9)
        assert np.isnan(found.singular[0, 2])

    def test_a_dead_network_has_a_product_of_exactly_nothing(self):
        network = LeakyMap(np.eye(3), np.ones((3, 1)), alpha=1.0, activation="relu")
        found, _ = along(network, -np.ones(3), np.full((5, 1, 1), -1.0), 5, lambda x, t: torch.ones_like(x))
        assert np.isneginf(found.product[1:]).all()
        assert np.isneginf(found.gradient[1:]).all()
        assert found.contracting == 1

    def test_long_products_do_not_leave_the_range_of_numbers(self):
        found, _ = along(linear([[1e-3]]), [[0.0]], still(150), 150, lambda x, t: torch.ones_like(x))
        assert found.product[-1, 0] == pytest.approx(150 * math.log(1e-3), rel=1e-12)
        assert found.gradient[-1, 0] == pytest.approx(150 * math.log(1e-3), rel=1e-12)

    def test_windows_do_not_depend_on_how_many_are_done_at_a_time(self, monkeypatch):
        system, inputs = linear(orthogonal(4) * 0.9, np.ones((4, 1))), np.ones((30, 2, 1))
        whole, _ = along(system, np.eye(4)[:2], inputs, 10, lambda x, t: x)
        monkeypatch.setattr("dynsys.exponents.fading.ROOM", 16)
        single, _ = along(system, np.eye(4)[:2], inputs, 10, lambda x, t: x)
        assert whole.product.shape == (11, 6)
        for name in ("steps", "product", "singular", "gradient"):
            assert getattr(single, name) == pytest.approx(getattr(whole, name), abs=1e-12)

    def test_a_flow_fades_by_its_own_exponential(self):
        A = np.array([[-1.0, 5.0], [0.0, -2.0]])
        flow = Flow(lambda x, u: x @ torch.as_tensor(A).T, n_state=2, time_constant=4.0)
        found, _ = along(flow, [[1.0, 1.0]], still(10), 10, length=0.1)
        assert np.exp(found.product[-1, 0]) == pytest.approx(1.2263, abs=1e-4)  # |exp(A)|, it first grows
        assert found.time == pytest.approx(0.4)


class TestGradients:
    def test_backpropagation_is_the_transposed_product(self):
        """By torch's own chain rule through the network as it is written, step after step."""
        torch.manual_seed(0)
        for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
            module = kind(2, 6).double()
            inputs = torch.randn(12, 1, 2, dtype=DOUBLE)
            parts = 2 if kind is torch.nn.LSTM else 1
            first = [torch.randn(1, 1, 6, dtype=DOUBLE).requires_grad_() for _ in range(parts)]
            h = tuple(first) if parts == 2 else first[0]
            for u in inputs:
                _, h = module(u[None], h)
            end = torch.cat(h if parts == 2 else (h,), dim=2)
            wanted = torch.cat(torch.autograd.grad((end[..., :6] ** 2).sum() / 2, first), dim=2)

            def gradient(x, t):
                return torch.cat([x[:, :6], torch.zeros_like(x[:, 6:])], 1)

            x = torch.cat(first, dim=2)[0].detach().numpy()
            found, _ = along(dynsys.wrap(module), x, inputs, 12, gradient)
            assert np.exp(found.gradient[-1, 0]) == pytest.approx(float(wanted.norm()), rel=1e-12)


class TestMemoryCurve:
    def test_a_line_of_delays_remembers_as_many_steps_as_it_is_long(self):
        curve = memory_curve(Stepper(linear(np.eye(8, k=-1), np.eye(8)[:, :1])), 20, steps=1000)
        assert curve.told[:8, 0] == pytest.approx(1.0)
        assert (curve.memory[8:] == 0).all()
        assert curve.capacity == pytest.approx([8.0])
        assert not curve.truncated

    def test_shuffled_inputs_are_told_by_as_much_as_rank_over_steps(self):
        curve = memory_curve(Stepper(linear(orthogonal(30), np.ones((30, 1)))), 3, steps=600)
        assert curve.rank == 30
        assert curve.floor[0] == pytest.approx(30 / 599, rel=0.1)

    def test_a_linear_reservoir_has_the_curve_of_its_covariance(self):
        """m(k) = w_k^T C^-1 w_k with w_k = A^k b and C their sum over k (White, Lee & Sompolinsky 2004)."""
        A, b = 0.8 * orthogonal(6, 1), np.random.default_rng(2).standard_normal(6)
        w = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(200)])
        exact = np.einsum("ki,ij,kj->k", w, np.linalg.inv(w.T @ w), w)
        curve = memory_curve(Stepper(linear(A, b[:, None])), 30, steps=6000)
        assert curve.told[:15, 0] == pytest.approx(exact[:15], abs=0.03)
        assert exact.sum() == pytest.approx(6)
        assert curve.capacity[0] == pytest.approx(6, abs=0.3)

    def test_a_network_without_inputs_has_nothing_to_remember(self):
        with pytest.raises(ValueError, match="no inputs, so there are none to remember"):
            memory_curve(Stepper(linear(np.eye(2))), 5)

    def test_as_many_steps_as_numbers_read_out_fit_anything(self):
        with pytest.raises(ValueError, match="12 steps are too few: a readout of 12 numbers"):
            memory_curve(Stepper(linear(orthogonal(12), np.ones((12, 1)))), 5, steps=12)


def test_the_norm_is_the_greatest_singular_value():
    A = np.random.default_rng(0).standard_normal((4, 7, 7)) * np.array([1e-200, 1.0, 1e200, 0.0])[:, None, None]
    assert norm(torch.as_tensor(A)).numpy() == pytest.approx(np.linalg.norm(A, 2, axis=(1, 2)), rel=1e-12)


def test_a_delay_longer_than_the_trajectory_is_refused():
    with pytest.raises(ValueError, match="delay is 9; a trajectory of 5 steps"):
        along(linear(np.eye(2)), [[0.0, 0.0]], still(5), 9)


def test_states_that_diverge_are_told():
    with pytest.raises(ArithmeticError, match="grow beyond all bounds"):
        along(linear([[1e200]]), [[1.0]], still(5), 5)
