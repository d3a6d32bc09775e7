"""Pulses of the input and changes of the weights that flip a memory, against thresholds that are known exactly."""

import json

import numpy as np
import torch
from click.testing import CliRunner
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from dynsys import find_fixed_points
from dynsys.analyses.memory_flow import hebb_direction
from dynsys.attractors.flip import Flips, flips
from dynsys.attractors.pulses import _moved
from dynsys.cli import main
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.vanilla import RNN

H = 0.957504024079  # where h = tanh 2 h


def one_unit(w=2.0, drive=1.0):
    weights = {"weight_ih_l0": [[drive]], "weight_hh_l0": [[w]], "bias_ih_l0": [0.0], "bias_hh_l0": [0.0]}
    return RNN({name: np.array(value) for name, value in weights.items()})


def test_a_pulse_of_one_step_flips_a_unit_from_where_it_cancels_the_memory():
    """From h = H one step under p leads to tanh(2 H + p), on the other side of 0 for p < -2 H = -1.915008048."""
    found = flips(find_fixed_points(one_unit(), seed=0), pulse=1.0)
    np.testing.assert_allclose(found.pulse_upper[[0, 1], [1, 0]], 2 * H, rtol=2e-6)
    assert (found.pulse_upper[[0, 1], [1, 0]] >= 2 * H * (1 - 1e-9)).all()
    # A pulse is held as long as it leaves the state in the proved ball, tanh(2 H - p) >= H - radius, at once or later
    assert (found.pulse_lower >= 0.98 * (2 * H - np.arctanh(H - found.lower))).all()
    assert (found.pulse_lower <= 2 * H).all()


def test_a_pulse_that_the_weights_forget_is_held_although_it_leaves_the_proved_ball():
    """Of h' = tanh(W h + B p), W with the memory s alone, what p does across s is gone after the second step."""
    s, across = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    none = {"bias_ih_l0": np.zeros(4), "bias_hh_l0": np.zeros(4)}
    net = RNN({**none, "weight_hh_l0": 0.4 * np.outer(s, s), "weight_ih_l0": 3.0 * across[:, None]})
    points = find_fixed_points(net, starts=np.stack([s, -s]), n_starts=2, seed=0)
    found = flips(points, pulse=1.0)
    p = torch.as_tensor(found.pulse_lower[:, None] * [[0.999]])
    states = torch.as_tensor(points.states[found.memories])
    home = states
    for step in range(100):
        states = states + net.velocity(states, p if step == 0 else 0 * p)
        if step == 0:
            assert (np.asarray((states - home).norm(dim=1)) > found.lower).all()
    np.testing.assert_allclose(states, home, atol=1e-6)


def test_a_pulse_of_a_flow_flips_from_where_the_state_is_at_the_edge_when_it_ends():
    """x' = -x + 2 tanh x + 0.5 p from a: the p at which x is 0 after 1.5, by SciPy."""
    net = LeakyRate([[2.0]], [[0.5]])
    found = flips(find_fixed_points(net, seed=0), pulse=1.5)

    def end(p):
        run = solve_ivp(lambda t, x: -x + 2 * np.tanh(x) + 0.5 * p, (0, 1.5), [2 * H], rtol=1e-10, atol=1e-12)
        return run.y[0, -1]

    exact = -brentq(end, -20, 0)
    np.testing.assert_allclose(found.pulse_upper[[0, 1], [1, 0]], exact, rtol=1e-3)
    assert (found.pulse_lower > 0).all()
    assert (found.pulse_lower < exact).all()


def test_the_least_change_of_the_weight_is_that_to_the_fold():
    """x' = -x + w tanh x - 0.2: the upper memory is lost below the w where w sech^2 x = 1 too, by SciPy (a little
    later, as states pass a fold slowly). The lower one is not: x' < 0 at 0 for every w."""
    net = LeakyRate([[2.0]], None, [-0.2])
    x = brentq(lambda x: x - np.sinh(x) * np.cosh(x) + 0.2, 1e-3, 3)
    exact = np.cosh(x) ** 2 - 2.0
    points = find_fixed_points(net, seed=0)
    found = flips(points, weights=hebb_direction(net))
    assert "along Hebb's direction" in found.summary()
    states = points.states[found.memories, 0]
    upper, lower = int(states.argmax()), int(states.argmin())
    assert -exact <= found.weight_upper[upper, lower] <= -1.01 * exact
    assert np.isinf(found.weight_upper[lower, upper])


def test_no_pulse_moves_a_gated_state_further_than_its_bound():
    net = GRU.random(5, seed=1, gain=2.0)
    rng = np.random.default_rng(0)
    x, u = torch.tanh(torch.as_tensor(rng.standard_normal(5))), torch.as_tensor(rng.standard_normal((1, net.n_input)))
    for size in (1e-3, 0.3, 2.0):
        p = rng.standard_normal((400, net.n_input))
        pulses = torch.as_tensor(size * p / np.linalg.norm(p, axis=1, keepdims=True))
        states = x.expand(400, -1)
        moved = (net.velocity(states, u + pulses) - net.velocity(states, u.expand(400, -1))).norm(dim=1)
        bound = _moved(net, x, u, 0.0, size)
        assert float(moved.max()) <= bound <= 4 * float(moved.max())


def test_the_command_tells_of_pulses(tmp_path):
    folder = tmp_path / "run"
    save_checkpoint(tmp_path / "unit.safetensors", one_unit())
    for line in (
        ["find", str(tmp_path / "unit.safetensors"), "-o", str(folder)],
        ["flip", str(folder), "--pulses", "--json"],
    ):
        ran = CliRunner().invoke(main, line)
        assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    kept = Flips.load(folder / "flip.safetensors")
    assert [row["pulse_upper"] for row in told["pairs"]] == kept.pulse_upper[[0, 1], [1, 0]].tolist()
    assert "A pulse of the input that flips was found for 2 of 2 ordered pairs" in told["summary"]
