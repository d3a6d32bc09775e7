"""The closed forms of docs/backpropagation.md, written out plainly, against autodiff.

Symbols are those of the page: row vectors are Jacobians, vec stacks columns, x_tau, h_tau and a_tau begin at tau = 1
and h_0 is the first state.
"""

import numpy as np
import pytest
import torch
from torch import nn

from dynsys.models.networks.lstm_variants import LSTMVariant

EXACT = {"rtol": 1e-10, "atol": 1e-10}
T, n, m, k = 6, 3, 4, 5  # steps, inputs, units, classes

ACTIV = {
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2, torch.tanh),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float), torch.relu),
}


def vec(M):
    return M.reshape(-1, order="F")


def unvec(row, shape):
    return row.reshape(shape, order="F")


def softmax(o):
    e = np.exp(o - o.max())
    return e / e.sum()


def sigma(z):
    return 1 / (1 + np.exp(-z))


def weights_and_data(seed=0, first=True):
    """W, U, V, b, c of definition 5.1, x (T, n), one-hot y (T, k), and h_0."""
    rng = np.random.default_rng(seed)
    W, U, V = rng.normal(0, 0.6, (m, m)), rng.standard_normal((m, n)), rng.standard_normal((k, m))
    b, c, x = rng.standard_normal(m), rng.standard_normal(k), rng.standard_normal((T, n))
    y = np.eye(k)[rng.integers(k, size=T)]
    return {"W": W, "U": U, "V": V, "b": b, "c": c}, x, y, rng.standard_normal(m) if first else np.zeros(m)


def forward(p, x, h0, activ):
    """a_1 .. a_T and h_0 .. h_T."""
    a, h = [None], [h0]
    for x_t in x:
        a.append(p["b"] + p["W"] @ h[-1] + p["U"] @ x_t)
        h.append(activ(a[-1]))
    return a, h


def autodiff(p, x, y, h0, activ, times):
    """Gradients of the sum of E_t over ``times`` by torch, with its own softmax and cross-entropy."""
    q = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
    h, E = torch.tensor(h0), 0
    for t in range(1, T + 1):
        h = activ(q["b"] + q["W"] @ h + q["U"] @ torch.tensor(x[t - 1]))
        if t in times:
            E = E + nn.functional.cross_entropy(q["c"] + q["V"] @ h, torch.tensor(y[t - 1]))
    return {name: g.numpy() for name, g in zip(q, torch.autograd.grad(E, list(q.values())), strict=True)}


def test_softmax_and_cross_entropy_leave_the_difference_to_the_target():
    """J_o E = (J_yhat E)(J_o yhat) = (yhat - y)^T, the Jacobian of the softmax being diag(yhat) - yhat yhat^T."""
    rng = np.random.default_rng(1)
    o, y = rng.standard_normal(k), rng.dirichlet(np.ones(k))  # any y that sums to 1
    yhat = softmax(o)
    of_softmax = np.diag(yhat) - np.outer(yhat, yhat)
    expected = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, 0), torch.tensor(o)).numpy()
    np.testing.assert_allclose(of_softmax, expected, **EXACT)
    logits = torch.tensor(o, requires_grad=True)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, torch.tensor(y)), logits)
    np.testing.assert_allclose(-(y / yhat) @ of_softmax, gradient.numpy(), **EXACT)
    np.testing.assert_allclose(yhat - y, gradient.numpy(), **EXACT)
    with_y = -(y / yhat) @ (np.diag(y) - np.outer(y, y))  # as Wayman prints it
    assert np.abs(with_y - (yhat - y)).max() > 0.1


def test_the_jacobian_of_a_product_by_its_matrix_is_a_kronecker_product():
    """J_W (W h) = h^T (x) I_m: vec(W) = (columns of W), so that column j of the blocks multiplies h_j."""
    rng = np.random.default_rng(2)
    W, h = rng.standard_normal((m, m)), rng.standard_normal(m)

    def of_columns(v):
        return v.reshape(m, m).T @ torch.tensor(h)  # v holds the columns one after the other

    expected = torch.autograd.functional.jacobian(of_columns, torch.tensor(vec(W))).numpy()
    np.testing.assert_allclose(np.kron(h, np.eye(m)), expected, **EXACT)


@pytest.mark.parametrize("t", [1, 2, T])
@pytest.mark.parametrize("name", ACTIV)
def test_J_W_E_t_is_the_sum_over_tau_of_delta_and_the_kronecker_product(name, t):
    activ, slope, of_torch = ACTIV[name]
    p, x, y, h0 = weights_and_data()
    a, h = forward(p, x, h0, activ)
    yhat = softmax(p["c"] + p["V"] @ h[t])
    delta = {t: (yhat - y[t - 1]) @ p["V"] @ np.diag(slope(a[t]))}
    for tau in range(t - 1, 0, -1):
        delta[tau] = delta[tau + 1] @ p["W"] @ np.diag(slope(a[tau]))
    taus = range(1, t + 1)
    J = {
        "W": sum(delta[tau] @ np.kron(h[tau - 1], np.eye(m)) for tau in taus),
        "U": sum(delta[tau] @ np.kron(x[tau - 1], np.eye(m)) for tau in taus),
        "V": (yhat - y[t - 1]) @ np.kron(h[t], np.eye(k)),
        "b": sum(delta.values()),
        "c": yhat - y[t - 1],
    }
    expected = autodiff(p, x, y, h0, of_torch, {t})
    for name_, row in J.items():
        np.testing.assert_allclose(row, vec(expected[name_]), **EXACT)
    outer = np.einsum("ti,tj->ij", [delta[tau] for tau in taus], h[:t])
    np.testing.assert_allclose(unvec(J["W"], (m, m)), outer, **EXACT)


@pytest.mark.parametrize("first", [True, False])
def test_the_sum_begins_at_2_only_where_the_first_state_is_zero(first):
    """The sum of Wayman leaves out tau = 1, whose term is delta_1 (h_0^T (x) I)."""
    activ, slope, of_torch = ACTIV["tanh"]
    p, x, y, h0 = weights_and_data(first=first)
    a, h = forward(p, x, h0, activ)
    delta, from_2 = (softmax(p["c"] + p["V"] @ h[T]) - y[-1]) @ p["V"] @ np.diag(slope(a[T])), 0
    for tau in range(T, 1, -1):
        from_2 = from_2 + np.outer(delta, h[tau - 1])
        delta = delta @ p["W"] @ np.diag(slope(a[tau - 1]))
    missing = autodiff(p, x, y, h0, of_torch, {T})["W"] - from_2
    np.testing.assert_allclose(missing, np.outer(delta, h0), **EXACT)
    assert np.abs(missing).max() > 1e-4 if first else np.abs(missing).max() < 1e-12


def test_one_sweep_backward_gives_the_gradient_of_all_errors_together():
    activ, slope, of_torch = ACTIV["tanh"]
    p, x, y, h0 = weights_and_data(seed=3)
    a, h = forward(p, x, h0, activ)
    d, W = np.zeros(m), 0
    for tau in range(T, 0, -1):
        d = (d @ p["W"] + (softmax(p["c"] + p["V"] @ h[tau]) - y[tau - 1]) @ p["V"]) * slope(a[tau])
        W = W + np.outer(d, h[tau - 1])
    np.testing.assert_allclose(W, autodiff(p, x, y, h0, of_torch, range(1, T + 1))["W"], **EXACT)


def lstm_forward(w, x, h0, c0, coupled=False):
    """All that the backward pass needs, for one sequence x (T, n); without peepholes p is 0."""
    p_i, p_f, p_o = w["p"]
    states, h, c = [], h0, c0
    for x_t in x:
        z = w["W"] @ x_t + w["b"] + w["U"] @ h
        *inward, z_g, z_o = np.split(z, 3 if coupled else 4)
        f, g = sigma(inward[-1] + p_f * c), np.tanh(z_g)
        i = 1 - f if coupled else sigma(inward[0] + p_i * c)
        new_c = i * g + f * c
        o = sigma(z_o + p_o * new_c)
        states.append({"x": x_t, "h": h, "c": c, "i": i, "f": f, "g": g, "o": o, "new_c": new_c})
        h, c = o * np.tanh(new_c), new_c
    return states


def lstm_backward(w, states, of_h, coupled=False):
    """The gradients by the weights, from ``of_h`` (T, m), dE/dh_t by the cost at t alone, as the lecture notes do."""
    p_i, p_f, p_o = w["p"]
    grad = {name: np.zeros_like(value) for name, value in w.items()}
    dh_next, dc_next = np.zeros(m), np.zeros(m)
    for s, cost in zip(reversed(states), reversed(of_h), strict=True):
        dh = cost + dh_next  # what the cost at t says, and what comes back from t + 1
        t = np.tanh(s["new_c"])
        dz_o = dh * t * s["o"] * (1 - s["o"])
        dc = dc_next + dh * s["o"] * (1 - t**2) + p_o * dz_o
        dz_g = dc * s["i"] * (1 - s["g"] ** 2)
        if coupled:
            dz_i, dz_f = np.zeros(m), dc * (s["c"] - s["g"]) * s["f"] * (1 - s["f"])
        else:
            dz_i, dz_f = dc * s["g"] * s["i"] * (1 - s["i"]), dc * s["c"] * s["f"] * (1 - s["f"])
        dz = np.concatenate([dz_f, dz_g, dz_o] if coupled else [dz_i, dz_f, dz_g, dz_o])
        grad["W"] += np.outer(dz, s["x"])
        grad["U"] += np.outer(dz, s["h"])
        grad["b"] += dz
        grad["p"] += np.stack([dz_i * s["c"], dz_f * s["c"], dz_o * s["new_c"]])
        dh_next, dc_next = w["U"].T @ dz, dc * s["f"] + p_i * dz_i + p_f * dz_f
    return grad, dh_next, dc_next


def lstm_case(module):
    """Inputs, costs of h that are random, first states, and torch's gradients of sum_t cost_t . h_t + |h_t|^2 / 2."""
    rng = np.random.default_rng(4)
    x, cost = torch.tensor(rng.standard_normal((T, n))), torch.tensor(rng.standard_normal((T, m)))
    first = [torch.tensor(rng.standard_normal((1, 1, m)), requires_grad=True) for _ in range(2)]
    h = module(x.unsqueeze(0), tuple(first))[0][0]
    ((cost * h).sum() + (h**2).sum() / 2).backward()
    h0, c0 = (value.detach().numpy().ravel() for value in first)
    return x.numpy(), (cost + h).detach().numpy(), h0, c0, [value.grad.numpy().ravel() for value in first]


def numpy_of(module, name):
    return getattr(module, name).detach().numpy()


def test_the_backward_pass_of_the_lstm_is_torchs():
    torch.manual_seed(0)
    module = nn.LSTM(n, m, batch_first=True, dtype=torch.float64)
    w = {"W": numpy_of(module, "weight_ih_l0"), "U": numpy_of(module, "weight_hh_l0"), "p": np.zeros((3, m))}
    w["b"] = numpy_of(module, "bias_ih_l0") + numpy_of(module, "bias_hh_l0")
    x, of_h, h0, c0, of_first = lstm_case(module)
    grad, dh, dc = lstm_backward(w, lstm_forward(w, x, h0, c0), of_h)
    for key, name in {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_ih_l0"}.items():
        np.testing.assert_allclose(grad[key], getattr(module, name).grad.numpy(), **EXACT)
    np.testing.assert_allclose(dh, of_first[0], **EXACT)
    np.testing.assert_allclose(dc, of_first[1], **EXACT)


@pytest.mark.parametrize("coupled", [False, True])
def test_peepholes_and_coupled_gates_add_their_own_terms(coupled):
    torch.manual_seed(1)
    module = LSTMVariant(n, m, coupled=coupled, dtype=torch.float64)
    nn.init.normal_(module.peephole_l0)
    p = numpy_of(module, "peephole_l0")
    w = {"W": numpy_of(module, "weight_ih_l0"), "U": numpy_of(module, "weight_hh_l0")}
    w |= {"b": numpy_of(module, "bias_ih_l0") + numpy_of(module, "bias_hh_l0")}
    w |= {"p": np.stack([np.zeros(m), *p]) if coupled else p}
    x, of_h, h0, c0, of_first = lstm_case(module)
    grad, dh, dc = lstm_backward(w, lstm_forward(w, x, h0, c0, coupled), of_h, coupled)
    for key, name in {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_hh_l0"}.items():
        np.testing.assert_allclose(grad[key], getattr(module, name).grad.numpy(), **EXACT)
    np.testing.assert_allclose(grad["p"][coupled:], module.peephole_l0.grad.numpy(), **EXACT)
    np.testing.assert_allclose(dh, of_first[0], **EXACT)
    np.testing.assert_allclose(dc, of_first[1], **EXACT)


def test_along_c_the_gradient_is_the_product_of_the_forget_gates():
    """Without U, dc_T / dc_0 = f_1 ... f_T: it stays near 1 while the forget gates are open."""
    torch.manual_seed(2)
    module = nn.LSTM(n, m, batch_first=True, dtype=torch.float64)
    nn.init.zeros_(module.weight_hh_l0)
    x, c0 = torch.randn(1, T, n, dtype=torch.float64), torch.zeros(1, 1, m, dtype=torch.float64, requires_grad=True)
    c_T = module(x, (torch.zeros_like(c0), c0))[1][1]
    (slope,) = torch.autograd.grad(c_T.sum(), c0)
    z = x[0] @ module.weight_ih_l0.T + module.bias_ih_l0 + module.bias_hh_l0
    np.testing.assert_allclose(slope.ravel(), torch.sigmoid(z[:, m : 2 * m]).prod(0).detach(), **EXACT)
