"""Networks that are stepped have no bounds: gates that shut far out make neither points nor an endless descent."""

import numpy as np
import pytest
import torch
from torch import nn

import dynsys
from dynsys import Flow, Map, find_fixed_points
from dynsys.search.landing import Rejection
from dynsys.search.starts import visited

NONE = torch.zeros(1, 0, dtype=torch.float64)


class Cell(nn.Module):
    """A GRU whose reset gate acts before the product, as torch's does not, or after it as torch's does."""

    def __init__(self, n: int, before: bool) -> None:
        super().__init__()
        self.n, self.before = n, before
        self.W, self.U, self.b = (nn.Parameter(torch.randn(*shape)) for shape in ((3 * n, 3), (3 * n, n), (3 * n,)))

    def forward(self, input, hx):
        n = self.n
        a, h = nn.functional.linear(input, self.W, self.b), nn.functional.linear(hx, self.U)
        r, z = torch.sigmoid(a[:, :n] + h[:, :n]), torch.sigmoid(a[:, n : 2 * n] + h[:, n : 2 * n])
        reset = nn.functional.linear(r * hx, self.U[2 * n :]) if self.before else r * h[:, 2 * n :]
        return (1 - z) * torch.tanh(a[:, 2 * n :] + reset) + z * hx


def stepped(seed, before, n=6):
    torch.manual_seed(seed)
    cell = Cell(n, before)
    return cell, dynsys.wrap(cell, n_state=n, n_input=3)


def closed_form(cell):
    torch_s = nn.GRUCell(3, cell.n)
    torch_s.load_state_dict(
        {"weight_ih": cell.W.data, "weight_hh": cell.U.data, "bias_ih": cell.b.data, "bias_hh": torch.zeros(3 * cell.n)}
    )
    return dynsys.wrap(torch_s)


@pytest.mark.parametrize("seed", range(3))
def test_a_gru_that_is_stepped_has_the_points_of_its_closed_form(seed):
    cell, system = stepped(seed, before=False)
    points, truth = find_fixed_points(system, workers=1), find_fixed_points(closed_form(cell), workers=1)
    fixed, known = (p.states[p.verdict == "fixed"] for p in (points, truth))
    assert len(fixed) == len(known) >= 1
    np.testing.assert_allclose(fixed[np.lexsort(fixed.T)], known[np.lexsort(known.T)], atol=1e-9)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_stepped_gru_has_no_points_where_its_gates_are_shut_to_rounding(seed):
    """Every state of a GRU comes to within 1, and stays there: h' = (1 - z) n + z h, |n| < 1."""
    _, system = stepped(seed, before=True, n=10)
    points = find_fixed_points(system, verify=False, workers=1)
    fixed = points.states[points.verdict == "fixed"]
    assert len(fixed)
    assert (abs(fixed) < 1).all()
    assert points.search.rejected.get(str(Rejection.NOT_FOLLOWED), 0) == 0


def test_a_gate_that_shuts_holds_a_state_where_trajectories_do_not_bring_it():
    """h' = h + (1 - s(30 h)) (-0.5 - h), s the logistic function: at h = 2 it changes by 1e-26; the zero is -0.5."""
    gate = Map(lambda h, u: h + torch.sigmoid(-30 * h) * (-0.5 - h), 1)
    points = find_fixed_points(gate, np.linspace(-3, 30, 200)[:, None], slow_q=0.0, workers=1)
    assert points.states.ravel() == pytest.approx([-0.5])
    assert points.search.rejected[str(Rejection.HELD)] > 0


def test_what_a_variable_keeps_wherever_it_is_put_is_a_line_of_points():
    """x' = x - x^3, y' = 0: three lines, two of them stable, though y never moves."""
    flow = Flow(lambda x, u: torch.stack([x[:, 0] - x[:, 0] ** 3, 0 * x[:, 1]], 1), 2)
    points = find_fixed_points(flow, workers=1)
    assert sorted(round(float(points.states[points.manifold == k][0, 0]), 6) for k in range(3)) == [-1.0, 0.0, 1.0]


def test_the_range_of_a_variable_is_what_it_comes_to_and_not_where_it_was_put():
    far = visited(Map(lambda h, u: h + torch.sigmoid(-30 * h) * (-0.5 - h), 1), NONE)
    low, high = map(float, far.late)
    assert low <= -0.5 < high < 3  # put at up to 20
    low, high = map(float, visited(Flow(lambda x, u: -(x - 40), 1), NONE).reach)
    assert low < 0 < 40 < high  # on its way to 40
    assert float(visited(Flow(lambda x, u: 1 + x**2, 1), NONE).reach[1]) == torch.inf  # every trajectory leaves
