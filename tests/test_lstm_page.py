"""The page on the LSTM: its Python and its equations, forward and backward, against torch."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = Path(__file__).parents[1] / "docs" / "lstm.md"


@pytest.fixture(scope="module")
def page():
    """What the page's Python leaves, with weights of double precision."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = {}
        exec(code, found)
    finally:
        torch.set_default_dtype(before)
    return found


def test_the_update_of_the_page_is_torchs(page):
    with torch.no_grad():
        h, (last, cell) = page["lstm"](torch.as_tensor(page["sequence"])[None])
    np.testing.assert_allclose(page["h"], h[0, -1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(page["h"], last[0, 0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(page["C"], cell[0, 0], rtol=1e-12, atol=1e-14)


def test_the_way_back_of_the_page_is_that_of_autograd(page):
    """E = a . h_t + b . C_t after one step, whose derivatives by h and C before it and by W autograd knows."""
    H, n, sigma = page["H"], page["n"], page["sigma"]
    rng = np.random.default_rng(1)
    h, C, x = rng.standard_normal(H), rng.standard_normal(H), rng.standard_normal(n)
    dh, later = rng.standard_normal(H), rng.standard_normal(H)  # what E and the next step ask of h_t and C_t
    W, b = page["W"], np.concatenate([page[f"b_{gate}"] for gate in "ifCo"])
    hx = np.concatenate([h, x])
    z_i, z_f, z_C, z_o = np.split(W @ hx + b, 4)
    i, f, o, candidate = sigma(z_i), sigma(z_f), sigma(z_o), np.tanh(z_C)
    now = f * C + i * candidate

    do, dC = dh * np.tanh(now), later + dh * o * (1 - np.tanh(now) ** 2)
    di, df, dcandidate, before = dC * candidate, dC * C, dC * i, dC * f
    dz = np.concatenate([di * i * (1 - i), df * f * (1 - f), dcandidate * (1 - candidate**2), do * o * (1 - o)])

    lstm = page["lstm"]
    state = [torch.tensor(s[None, None], requires_grad=True) for s in (h, C)]
    out, (_, cell) = lstm(torch.as_tensor(x[None, None]), tuple(state))
    E = (torch.as_tensor(dh) * out[0, 0]).sum() + (torch.as_tensor(later) * cell[0, 0]).sum()
    lstm.zero_grad()
    E.backward()
    np.testing.assert_allclose((W.T @ dz)[:H], state[0].grad[0, 0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(before, state[1].grad[0, 0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(np.outer(dz, hx)[:, :H], lstm.weight_hh_l0.grad, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(np.outer(dz, hx)[:, H:], lstm.weight_ih_l0.grad, rtol=1e-10, atol=1e-13)
