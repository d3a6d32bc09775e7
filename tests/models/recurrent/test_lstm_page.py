"""The page on the LSTM: its Python, which is its equations, against torch."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = Path(__file__).parents[3] / "docs" / "lstm.md"


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
