"""Systems whose fixed points are known from mathematics: the fixture ``known`` runs a test on each of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import settings
from scipy.optimize import brentq

from dynsys import Flow, Map, System
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D

settings.register_profile("dynsys", deadline=None)
settings.load_profile("dynsys")
torch.set_num_threads(1)


@dataclass(frozen=True)
class Known:
    """A system with all of its fixed points: states (k, n), and the word and unstable directions of each."""

    name: str
    make: Callable[[], System]
    states: np.ndarray
    words: list[str]
    n_unstable: list[int]


def _word(n_unstable, n):
    return "stable node" if n_unstable == 0 else "unstable node" if n_unstable == n else "saddle"


def _bistable(n):
    states, n_unstable = Bistable(n).fixed_points()
    words = [_word(k, n) for k in n_unstable]
    return Known(f"bistable-{n}", lambda: Bistable(n), states, words, n_unstable.tolist())


def _column(*values):
    return np.array(values, dtype=float)[:, None]


TANH_ROOT = brentq(lambda x: np.tanh(2 * x) - x, 0.5, 1.0, xtol=1e-15)
DOTTIE = 0.73908513321516064  # the zero of cos(x) - x, OEIS A003957
SPIRAL = torch.tensor([[-1.0, -2.0], [2.0, -1.0]], dtype=torch.float64)
SPIRAL_DRIVE = torch.tensor([3.0, 1.0], dtype=torch.float64)

KNOWN = [
    Known("simple2d", Simple2D, Simple2D().fixed_points(), ["saddle", "stable node", "stable node"], [1, 0, 0]),
    Known(
        "cubic flow",
        lambda: Flow(lambda x, u: x - x**3, n_state=1, bounds=(-2, 2)),
        _column(0, 1, -1),
        ["unstable node", "stable node", "stable node"],
        [1, 0, 0],
    ),
    _bistable(1),
    _bistable(2),
    _bistable(3),
    Known(
        "linear flow",
        lambda: Flow(lambda x, u: x @ SPIRAL.T + SPIRAL_DRIVE, n_state=2),
        np.array([[0.2, 1.4]]),  # -x - 2y = -3, 2x - y = -1
        ["stable focus"],
        [0],
    ),
    Known(
        "logistic map",
        lambda: Map(lambda x, u: 2.8 * x * (1 - x), n_state=1, bounds=(-0.5, 1.5)),
        _column(0, 1 - 1 / 2.8),  # slopes 2.8 and 2 - 2.8
        ["unstable node", "stable node"],
        [1, 0],
    ),
    Known(
        "tanh map",
        lambda: Map(lambda x, u: torch.tanh(2 * x), n_state=1, bounds=(-1, 1)),
        _column(0, TANH_ROOT, -TANH_ROOT),
        ["unstable node", "stable node", "stable node"],
        [1, 0, 0],
    ),
    Known(
        "cosine map",
        lambda: Map(lambda x, u: torch.cos(x), n_state=1, bounds=(-1, 1)),
        _column(DOTTIE),
        ["stable node"],  # slope -sin(0.739) = -0.67
        [0],
    ),
]


@pytest.fixture(params=KNOWN, ids=[known.name for known in KNOWN])
def known(request):
    return request.param
