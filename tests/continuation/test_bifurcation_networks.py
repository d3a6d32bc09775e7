"""Points followed through networks: the same as searching every snapshot afresh, and unstable directions as counted."""

import numpy as np
import pytest
import torch

from dynsys import Flow, find_fixed_points
from dynsys.continuation.curve import CLOSED, STUCK, Curve, Node
from dynsys.continuation.events.crossings import Crossing
from dynsys.continuation.events.junctions import Followed, junctions
from dynsys.continuation.events.reader import Reader
from dynsys.continuation.events.readings import nearest, read
from dynsys.continuation.family_curve import FamilyCurve
from dynsys.continuation.follow import follow
from dynsys.continuation.walk import Walk
from dynsys.models.rate.leaky_rate import LeakyRate
from dynsys.systems.family import FamilyOf
from dynsys.systems.held import Held


def random_network(n, gain, seed=0, bias=0.0):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n, n)) / np.sqrt(n)
    b = bias * rng.standard_normal(n)
    return LeakyRate(gain * W, b=b)


@pytest.mark.parametrize("bias", [0.0, 0.3], ids=["odd", "with a bias"])
def test_points_are_those_of_a_fresh_search_at_every_gain(bias):
    """x' = -x + g W tanh(x) + b of 30 units over the gain; all that a search finds is on a branch."""
    family = FamilyOf(lambda g: random_network(30, g, seed=3, bias=bias), np.linspace(0.6, 2.2, 9))
    diagram = follow(family, searches=3)
    assert diagram.about["odd"] is (bias == 0.0)
    assert diagram.index_sums.tolist() == [1] * 9
    for i in range(9):
        system = family.system(i)
        fresh = find_fixed_points(system, verify=False)
        fresh_states = fresh.states[fresh.verdict == "fixed"]
        followed = diagram.points_at(i)
        distance = np.linalg.norm(fresh_states[:, None] - followed.states, axis=2).min(axis=1)
        assert distance.max() < 1e-7
        F = system.velocity(torch.as_tensor(followed.states), torch.zeros(len(followed), 0, dtype=torch.float64))
        assert float(F.abs().max()) < 1e-9
        J = system.jacobian(torch.as_tensor(followed.states), torch.zeros(len(followed), 0, dtype=torch.float64))
        assert followed.n_unstable.tolist() == [int((np.linalg.eigvals(A).real > 0).sum()) for A in J.numpy()]


def test_unstable_directions_of_a_large_network_are_those_of_its_full_spectrum():
    system = random_network(300, 1.1)
    x = torch.as_tensor(np.random.default_rng(1).standard_normal((6, 300)) * np.linspace(0, 2, 6)[:, None])
    J = system.jacobian(x, torch.zeros(6, 0, dtype=torch.float64)).numpy()
    for reading, A in zip(read(Held(system, torch.zeros(6, 0, dtype=torch.float64)), x), J, strict=True):
        values = np.linalg.eigvals(A)
        assert reading.n_unstable == int((values.real > 0).sum())
        if len(reading.eigenvalues):
            assert reading.eigenvalues[0].real == pytest.approx(values.real.max(), abs=0.02)


@pytest.mark.parametrize("whole", [[True], None], ids=["all eigenvalues", "as cheaply as possible"])
def test_directions_that_single_precision_cannot_tell_are_counted(whole):
    """-x + W tanh(x) at 0, W symmetric with eigenvalues 1 + 1e-9, 1 + 2e-9, 1 - 1e-9, and the others below 1/2."""
    rng = np.random.default_rng(5)
    Q = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    values = np.concatenate([[1 + 1e-9, 1 + 2e-9, 1 - 1e-9], rng.uniform(-0.5, 0.5, 297)])
    system = LeakyRate((Q * values) @ Q.T)
    (reading,) = read(
        Held(system, torch.zeros(1, 0, dtype=torch.float64)), torch.zeros(1, 300, dtype=torch.float64), whole
    )
    assert reading.n_unstable == 2


def test_crossings_of_a_large_network_are_where_its_eigenvalues_say():
    """-x + g W tanh(x) at 0 changes at g = 1 / Re(l) for the eigenvalues l of W, nowhere else."""
    family = FamilyOf(lambda g: random_network(280, g, seed=4), np.linspace(0.9, 1.06, 5))
    W = np.asarray(random_network(280, 1.0, seed=4).W)
    values = np.linalg.eigvals(W)
    values = values[values.imag >= 0]
    expected = sorted(1 / v.real for v in values if v.real > 0 and 0.9 < 1 / v.real < 1.06)
    with torch.no_grad():
        newton = FamilyCurve(family, 1.0)
        curve = Walk(family, 1.0).from_snapshot(torch.zeros(280, dtype=torch.float64), 0, 1)
        reader = Reader(newton, workers=1)
        reader.read_curves([curve])
        crossings = reader.crossings(curve)
    assert sorted(0.9 + 0.04 * float(c.z[-1]) for c in crossings) == pytest.approx(expected, abs=1e-6)
    assert len(expected) > 0


def leading_at_frequency_2(held, x, guess):
    values = np.linalg.eigvals(held.jacobian(x)[0].numpy())
    return complex(values[np.abs(values - 2j).argmin()])


@pytest.mark.parametrize("lost", [False, True], ids=["each followed", "one taken for the other"])
def test_pairs_that_change_places_between_two_nodes_cross_each_where_it_does(lost, monkeypatch):
    """Pairs with real parts 5 (s - 0.45) and (s - 0.6) / 10: the first leads after, the second before they cross."""
    if lost:
        monkeypatch.setattr("dynsys.continuation.events.crossings.nearest", leading_at_frequency_2)
    rng = np.random.default_rng(2)
    Q = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    inside = -np.diag(rng.uniform(1, 3, 300))

    def at(s):
        blocks = inside.copy()
        for k, (real, frequency) in enumerate([(5 * (s - 0.45), 2.0), ((s - 0.6) / 10, 1.0)]):
            blocks[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[real, -frequency], [frequency, real]]
        A = torch.as_tensor(Q @ blocks @ Q.T)
        return Flow(lambda x, u: x @ A.T - 0.01 * x**3, n_state=300, bounds=(-1, 1))

    diagram = follow(FamilyOf(at, [0.0, 1.0, 2.0]), searches=[0])
    assert [event.time for event in diagram.events] == pytest.approx([0.45, 0.6], abs=1e-6)
    assert [abs(event.eigenvalue.imag) for event in diagram.events] == pytest.approx([2.0, 1.0], abs=1e-6)
    assert [str(event.kind) for event in diagram.events] == ["Hopf", "Hopf"]


def test_eigenvalues_of_a_map_are_those_of_its_step():
    """dG/dx, not dG/dx - I, and more unstable than stable ones are sorted by size."""
    A = np.diag([0.5, -2.0, 1.5])
    from dynsys import Map

    system = Map(lambda x, u: x @ torch.as_tensor(A), n_state=3)
    (reading,) = read(Held(system, torch.zeros(1, 0, dtype=torch.float64)), torch.zeros(1, 3, dtype=torch.float64))
    assert reading.n_unstable == 2
    assert reading.eigenvalues.tolist() == [-2.0, 1.5, 0.5]


def test_curve_through_several_points_of_a_snapshot_is_walked_once_from_all_of_them():
    """s = x^3 - x is one curve through the three zeros at s = 0, in the order of x."""
    family = FamilyOf(lambda s: Flow(lambda x, u: s + x - x**3, n_state=1), np.linspace(-1, 1, 9))
    starts = [torch.tensor([x], dtype=torch.float64) for x in (0.0, 1.0, -1.0)]
    ((first, curve),) = Walk(family, 1.0).through(starts, 4, lambda k: True).items()
    x, s = np.array([[float(node.x[0]), family.time(node.p)] for node in curve.nodes]).T
    assert first == 0
    assert curve.head == curve.tail == ""
    assert (np.diff(x) > 0).all() or (np.diff(x) < 0).all()
    assert {s[0], s[-1]} == {-1.0, 1.0}
    assert np.isin((-1.0, 0.0, 1.0), x.round(12)).all()
    assert s == pytest.approx(x**3 - x, abs=1e-9)


def test_closed_curve_is_put_together_of_the_ways_along_it():
    """x^2 + s^2 = 1 on both sides of s = 0."""
    family = FamilyOf(lambda s: Flow(lambda x, u: 1 - x**2 - s**2, n_state=1), np.linspace(-1.5, 1.5, 8))
    starts = [torch.tensor([x * (1 - family.time(3.0) ** 2) ** 0.5], dtype=torch.float64) for x in (1.0, -1.0)]
    ((_, curve),) = Walk(family, 1.0).through(starts, 3, lambda k: True).items()
    z = np.array([[float(node.x[0]), family.time(node.p)] for node in curve.nodes])
    turned = np.unwrap(np.arctan2(*z.T))
    assert curve.tail == CLOSED
    assert abs(turned[-1] - turned[0]) == pytest.approx(2 * np.pi, abs=1e-9)
    assert np.linalg.norm(z, axis=1) == pytest.approx(1.0, abs=1e-9)


def test_walk_keeps_to_its_curve_where_two_come_close():
    """x^2 = s^2 + 1e-6: two hyperbola branches 2e-3 apart; a walk that leapt across would change the sign of x."""
    family = FamilyOf(lambda s: Flow(lambda x, u: s**2 + 1e-6 - x**2, n_state=1), np.linspace(-1, 1, 4))
    x = torch.tensor([(1 + 1e-6) ** 0.5], dtype=torch.float64)
    with torch.no_grad():
        curve = Walk(family, 1.0).from_snapshot(x, 3, -1)
    assert curve.tail == ""
    assert min(float(node.x[0]) for node in curve.nodes) >= 1e-3 - 1e-9


def test_signs_of_the_nodes_are_those_of_the_determinants():
    family = FamilyOf(lambda g: random_network(12, g), np.linspace(0.5, 2.5, 5))
    with torch.no_grad():
        curve = Walk(family, 3.0).from_snapshot(torch.zeros(12, dtype=torch.float64), 0, 1)
        newton = FamilyCurve(family, 3.0)
        for node in curve.nodes:
            J = family.jacobian(node.x, node.p).numpy()
            assert node.det == np.sign(np.linalg.det(J))
            t = torch.cat([node.t_x, torch.tensor([node.t_p], dtype=torch.float64)])
            assert newton.length(t) == pytest.approx(1, abs=1e-12)
            along = torch.as_tensor(J) @ node.t_x + node.t_p * family.rate(node.x, node.p, node.cell)
            assert float(along.norm()) < 1e-6


def test_eigenvalue_next_to_a_guess_is_one_of_the_full_spectrum():
    system = random_network(300, 1.1)
    x = torch.as_tensor(np.random.default_rng(2).standard_normal((1, 300)))
    u = torch.zeros(1, 0, dtype=torch.float64)
    values = np.linalg.eigvals(system.jacobian(x, u)[0].numpy())
    for value in values[np.argsort(-values.real)[:6]]:
        found = nearest(Held(system, u), x, complex(value) + 1e-4 * (1 + 1j))
        assert found == pytest.approx(values[np.abs(values - value - 1e-4 * (1 + 1j)).argmin()], abs=1e-9)


@pytest.mark.parametrize(("apart", "arms"), [(1e-6, [-1]), (1e-3, [])])
def test_a_walk_that_gets_stuck_beside_a_branch_point_came_to_it(apart, arms):
    """s x - x^3 at its pitchfork: rounding hides the tangents of the parabola s = x^2 where it meets x = 0."""
    family = FamilyOf(lambda s: Flow(lambda x, u: s * x - x**3, n_state=1, bounds=(-2, 2)), [-1.0, 1.0, 3.0])
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    trunk = Curve([Node(zero, 0.0, zero, 1.0, -1, 0, 0), Node(zero, 1.0, zero, 1.0, 1, 0, 1)])
    z, t = torch.tensor([0.0, 0.5], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    crossing = Crossing(0, 0.5, z, t, 0j, np.empty(0, dtype=complex), False, False, 0, 1)
    arm = Curve([Node(one, 1.0, one, -0.5, -1, 0, 1), Node(apart * one, 0.5, one, 0.0, -1, 0)], tail=STUCK)
    ((joint,), _) = junctions([Followed(trunk, [crossing]), Followed(arm, [])], FamilyCurve(family, 1.0), flips=False)
    assert [end for _, end in joint.arms] == arms
