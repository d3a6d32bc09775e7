"""How results show themselves: a line in a terminal, a table in a notebook, a bar while they are made."""

import importlib
import pkgutil
import sys
import types

import numpy as np
import pytest
import torch

import dynsys
from dynsys.attractors.basins import basins
from dynsys.attractors.connections import connections
from dynsys.io.progress import progress
from dynsys.io.shown import LONGEST, as_html

ODD = "a <b> & c"  # a name that has to be escaped


def bistable(n, **more):
    """n bistable units that an input each pushes, and that are read out as they are."""
    return dynsys.Map(lambda x, u: torch.tanh(2 * x + u), n, n, bounds=(-1, 1), readout=lambda x: x, n_output=n, **more)


@pytest.fixture(scope="module")
def results():
    """Of one unit, with two stable points and one between."""
    system = bistable(1, name=ODD)
    points = dynsys.find_fixed_points(system, n_starts=16)
    diagram = dynsys.follow_inputs(system, [[0], [1]], searches=2)
    return {
        "system": system,
        "points": points,
        "report": points.search,
        "diagram": diagram,
        "branch": diagram.branches[0],
        "event": diagram.events[0],
        "points at": diagram.points_at(0),
        "basins": basins(points, 16),
        "connections": connections(points),
        "exponents": dynsys.lyapunov_exponents(system, steps=100, burn_in=10),
        "modes": dynsys.linear_modes(points),
        "proved": dynsys.certified_basins(points),
        "comparison": dynsys.compare(points, points),
        "settled": dynsys.settle(system, points.states),
        "projection": dynsys.Projection.fit(points.states),
    }


def test_a_result_shows_itself_in_a_line_and_in_a_notebook(results):
    for name, result in results.items():
        line, page = repr(result), result._repr_html_()
        assert "\n" not in line, name
        assert 20 < len(line) <= LONGEST + 30, name
        assert "array(" not in line, name
        assert ODD not in page, name
        assert page.startswith(("<table>", "<p>")), name


def test_what_holds_arrays_tells_their_shapes():
    net = dynsys.models.associative.Hopfield.hebb([[1, 1, -1], [1, -1, 1]])
    assert repr(net).startswith("<Hopfield W (3, 3), S (2, 3), binary False")


def test_tables_hold_what_was_found(results):
    assert results["points"]._repr_html_().count("<tr>") == 1 + 3
    assert results["connections"]._repr_html_().count("<tr>") == 1 + len(results["connections"].edges())
    assert results["basins"]._repr_html_().count("<tr>") == 1 + len(results["basins"].box.counts)
    assert "2 more" in as_html([{"a": "1"}] * 42, [])


def test_arrays_of_numpy_go_in_and_come_out():
    """J = diag(w sech^2(w x + u)) - 1 by hand, for states with an input each, with one input, and with none."""
    system = bistable(3)
    x, u = np.array([[0.1, 0.2, 0.3], [0.0, -1.0, 0.5]]), np.array([0.5, 0.0, 0.0])
    for given in ((), (u,), (np.stack([u, u]),)):
        y = 2 * x + (u if given else 0.0)
        expected = np.stack([np.diag(2 / np.cosh(row) ** 2 - 1) for row in y])
        np.testing.assert_allclose(system.jacobian(x, *given), expected, atol=1e-12)
        np.testing.assert_allclose(system.velocity(x, *given), np.tanh(y) - x, atol=1e-12)
    assert system.jacobian(x[0]).shape == (3, 3)
    np.testing.assert_array_equal(system.readout(x[0]), x[0])
    assert isinstance(system.readout(torch.as_tensor(x)), torch.Tensor)
    np.testing.assert_allclose(dynsys.simulate(system, x, 2)[1], np.tanh(2 * np.tanh(2 * x)), atol=1e-12)
    assert len(dynsys.settle(system, x[0])) == 1
    with pytest.raises(ValueError, match=r"x has shape \(4,\).*give \(B, 3\) or \(3,\)"):
        system.jacobian(np.zeros(4))
    with pytest.raises(ValueError, match="u has 3 rows and x 2"):
        system.velocity(x, np.zeros((3, 3)))


def test_progress_is_a_line_on_a_pipe_and_a_bar_in_a_notebook(capsys, monkeypatch):
    with progress() as show:
        show("search", 1, 2)
    assert capsys.readouterr().err == "search: 50 %\n"

    class ZMQInteractiveShell:
        pass

    pages = []
    handle = types.SimpleNamespace(update=pages.append)
    display = types.SimpleNamespace(HTML=str, display=lambda page, display_id: pages.append(page) or handle)
    fake = types.SimpleNamespace(get_ipython=ZMQInteractiveShell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    unit = dynsys.Map(lambda x: torch.tanh(2 * x), n_state=1, bounds=(-1, 1))
    dynsys.find_fixed_points(unit, n_starts=8, progress=True)
    assert 'value="1" max="1"></progress> settling: 1 of 1' in pages[-1]
    assert capsys.readouterr().err == ""


def test_a_module_may_give_the_velocity_of_a_flow():
    """tau dx/dt = -x + tanh(2 x): x* = tanh(2 x*) by iteration, eigenvalue -1 + 2 (1 - x*^2)."""

    class Velocity(torch.nn.Module):
        def forward(self, x, u):
            return -x + torch.tanh(2 * x) + u

    system = dynsys.wrap(Velocity(), n_state=1, n_input=1, kind="flow", tau=10)
    assert (system.kind, system.time_constant) == ("flow", 10.0)
    points = dynsys.find_fixed_points(system, n_starts=16)
    x = 1.0
    for _ in range(200):
        x = np.tanh(2 * x)
    np.testing.assert_allclose(sorted(points.states[:, 0]), [-x, 0, x], atol=1e-12)
    slope = -1 + 2 * (1 - x**2)
    assert [row["time_constant"] for row in points.stable.rows()] == pytest.approx([-10 / slope] * 2)
    for wrong in ({"kind": "ode"}, {"tau": 2.0}, {"kind": "flow", "tau": 0.0}):
        with pytest.raises(ValueError, match=r"kind|tau"):
            dynsys.wrap(Velocity(), n_state=1, n_input=1, **wrong)
    with pytest.raises(ValueError, match="is a map; leave kind and tau out"):
        dynsys.wrap(torch.nn.GRU(1, 2), kind="flow")


def packages():
    found = [module.name for module in pkgutil.walk_packages(dynsys.__path__, "dynsys.") if module.ispkg]
    return ["dynsys", *found]


def test_every_package_lists_its_public_names_and_nothing_else():
    """What else there is are modules of its own that have been imported."""
    for name in packages():
        package = importlib.import_module(name)
        listed, public = set(dir(package)), set(getattr(package, "__all__", ()))
        assert public <= listed, name
        assert all(hasattr(package, one) for one in public), name
        inside = {module.name for module in pkgutil.iter_modules(package.__path__)}
        strange = {one for one in listed - public - inside if not one.startswith("_")}
        assert strange <= {"analyses", "models", "plots", "solvers", "testing"}, (name, strange)
