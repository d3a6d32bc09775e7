"""Bifurcations of normal forms: where they are and what they are is known (Kuznetsov 2004, chapters 2 to 4)."""

import numpy as np
import pytest
import torch

from dynsys import Flow, Map
from dynsys.continuation.diagram import Bifurcation, Diagram
from dynsys.continuation.follow import follow
from dynsys.io.errors import CheckpointError
from dynsys.systems.family import FamilyOf


def flows(F, n=1, bounds=(-3, 3)):
    return lambda s: Flow(lambda x, u: F(x, s), n_state=n, bounds=bounds)


def maps(G, n=1, bounds=(-0.5, 1.5)):
    return lambda s: Map(lambda x, u: G(x, s), n_state=n, bounds=bounds)


def embedded(F, n=20, seed=0):
    """F on one coordinate of n, the others decaying at rates between 1 and 2, all of it rotated."""
    rng = np.random.default_rng(seed)
    Q = torch.as_tensor(np.linalg.qr(rng.standard_normal((n, n)))[0])
    rates = torch.linspace(1, 2, n - 1, dtype=torch.float64)

    def velocity(x, s):
        y = x @ Q
        return torch.cat([F(y[:, :1], s), -rates * y[:, 1:]], dim=1) @ Q.T

    return lambda s: Flow(lambda x, u: velocity(x, s), n_state=n, bounds=(-3, 3)), Q[:, 0].numpy()


def followed(make, first, last, n=8, **options):
    return follow(FamilyOf(make, np.linspace(first, last, n)), **({"searches": [n - 1]} | options))


def hopf(x, s):
    r2 = x.square().sum(1, keepdim=True)
    return torch.cat([s * x[:, :1] - x[:, 1:], x[:, :1] + s * x[:, 1:]], dim=1) - r2 * x


def delayed_logistic(x, r):
    return torch.cat([r * x[:, :1] * (1 - x[:, 1:]), x[:, :1]], dim=1)


@pytest.mark.parametrize(
    ("make", "span", "kind", "time", "eigenvalue"),
    [
        (flows(lambda x, s: s - x**2), (-1, 1), "fold", 0, 0),
        (flows(lambda x, s: s * x - x**3), (-1, 1), "pitchfork", 0, 0),
        (flows(lambda x, s: s * x - x**2), (-1, 1), "transcritical", 0, 0),
        (flows(hopf, 2), (-1, 1), "Hopf", 0, 1j),
        (maps(lambda x, r: r * x * (1 - x)), (2.5, 3.4), "flip", 3, -1),
        (maps(delayed_logistic, 2), (1.5, 2.2), "Neimark-Sacker", 2, np.exp(1j * np.pi / 3)),
        (maps(lambda x, r: r * x * (1 - x)), (0.5, 1.6), "transcritical", 1, 1),
        (maps(lambda x, s: x + s - x**2, bounds=(-3, 3)), (-1, 1), "fold", 0, 1),
        (flows(lambda x, s: 0.1 + s * x - x**3), (-1, 1.5), "fold", 3 * 0.05 ** (2 / 3), 0),
    ],
    ids=["fold", "pitchfork", "transcritical", "Hopf", "flip", "torus", "of a map", "fold of a map", "imperfect"],
)  # fmt: skip
def test_each_normal_form_has_its_one_event(make, span, kind, time, eigenvalue):
    (event,) = followed(make, *span).events
    assert event.kind == kind
    assert event.time == pytest.approx(time, abs=1e-7)
    assert event.eigenvalue == pytest.approx(eigenvalue, abs=1e-4)
    assert event.between[0] <= time <= event.between[1]


def test_branches_of_a_fold_are_the_two_roots():
    diagram = followed(flows(lambda x, s: s - x**2), -1, 1, 12)
    for i, s in enumerate(diagram.steps):
        points = diagram.points_at(i)
        expected = [np.sqrt(s), -np.sqrt(s)] if s > 0 else []
        assert points.states.ravel() == pytest.approx(expected, abs=1e-9)
        assert points.n_unstable.tolist() == ([0, 1] if s > 0 else [])
    assert [(b.born, b.died) for b in diagram.branches] == [(0, None)] * 2
    assert diagram.events[0].sentence == "A stable point and a point with 1 unstable direction are born together."


def test_pair_that_is_lost_is_told_as_lost():
    diagram = followed(flows(lambda x, s: -s - x**2), -1, 1, searches=[0])
    assert diagram.events[0].sentence == "A stable point and a point with 1 unstable direction meet and are lost."
    assert [(b.born, b.died) for b in diagram.branches] == [(None, 0)] * 2


def test_supercritical_pitchfork_in_twenty_dimensions():
    make, axis = embedded(lambda y, s: s * y - y**3)
    diagram = followed(make, -1, 1)
    (event,) = diagram.events
    assert (event.kind, "supercritical" in event.sentence) == (Bifurcation.PITCHFORK, True)
    assert event.time == pytest.approx(0, abs=1e-7)
    assert len(event.branches) == 3
    last = diagram.points_at(7)
    assert sorted((last.states @ axis).tolist()) == pytest.approx([-1, 0, 1], abs=1e-9)
    assert last.n_unstable.tolist() == [0, 0, 1]


def test_subcritical_pitchfork_whose_arms_turn_in_folds():
    """s x + x^3 - x^5: arms from 0 back to the folds at s = -1/4, x^2 = 1/2, and from there on stable."""
    make, axis = embedded(lambda y, s: s * y + y**3 - y**5)
    diagram = followed(make, -0.5, 0.5, 10)
    folds = [e for e in diagram.events if e.kind == Bifurcation.FOLD]
    assert [e.time for e in folds] == pytest.approx([-0.25, -0.25], abs=1e-7)
    assert sorted(float(e.state @ axis) for e in folds) == pytest.approx([-(0.5**0.5), 0.5**0.5], abs=1e-4)
    (pitchfork,) = [e for e in diagram.events if e.kind == Bifurcation.PITCHFORK]
    assert pitchfork.time == pytest.approx(0, abs=1e-7)
    assert "subcritical" in pitchfork.sentence
    for i, s in enumerate(diagram.steps):
        squares = [0.0] + [q for q in np.roots([1, -1, -s]) if abs(q.imag) < 1e-12 and q.real > 0]
        expected = sorted({sign * np.sqrt(q) for q in squares for sign in (1, -1)})
        assert sorted((diagram.points_at(i).states @ axis).tolist()) == pytest.approx(expected, abs=1e-8)


def test_arms_of_a_pitchfork_are_followed_from_the_trunk_alone():
    """Searched only where s < 0 and there is one point: the two others are found at the branch point."""
    diagram = followed(flows(lambda x, s: s * x - x**3), -1, 1, searches=[0])
    assert diagram.events[0].kind == Bifurcation.PITCHFORK
    assert sorted(diagram.points_at(7).states.ravel().tolist()) == pytest.approx([-1, 0, 1], abs=1e-9)


def test_pitchfork_without_the_symmetry_of_the_origin():
    """The same one, moved: not odd, so that both arms are walked and none is mirrored."""
    diagram = followed(flows(lambda x, s: s * (x - 0.5) - (x - 0.5) ** 3), -1, 1, searches=[0])
    assert diagram.about["odd"] is False
    assert [e.kind for e in diagram.events] == [Bifurcation.PITCHFORK]
    assert sorted(diagram.points_at(7).states.ravel().tolist()) == pytest.approx([-0.5, 0.5, 1.5], abs=1e-8)


def test_two_crossings_of_the_origin_that_hide_each_other_are_found_by_the_arms_that_end_there():
    """x (s - 0.3 - x^2), y (0.6 - s - y^2): det J at 0 has the same sign at 0 and at 1, and one unstable direction."""

    def F(x, s):
        a, b = x[:, :1], x[:, 1:]
        return torch.cat([a * (s - 0.3 - a**2), b * (0.6 - s - b**2)], dim=1)

    family = FamilyOf(flows(F, n=2), np.arange(-2.0, 4.0))
    diagram = follow(family, searches=[0, 5])
    assert [e.kind for e in diagram.events] == [Bifurcation.PITCHFORK] * 6  # three points at each, one of them at 0
    assert [e.time for e in diagram.events] == pytest.approx([0.3] * 3 + [0.6] * 3, abs=1e-6)
    assert sum(float(np.linalg.norm(e.state)) < 1e-6 for e in diagram.events) == 2
    assert len(diagram.branches) == 9  # 0, two on each axis, and four that live between the two times only
    assert not any(branch.lost for branch in diagram.branches)
    assert diagram.counts().sum(axis=1).tolist() == [3] * 6


def test_points_that_two_eigenvalues_bear_at_once_are_each_one_point_and_the_event_is_told_as_not_simple():
    """x (s - x^2 - 2 y^2), y (s - y^2 - 2 x^2): for s > 0 four points on the axes, four on the diagonals, and 0."""

    def F(x, s):
        a, b = x[:, :1], x[:, 1:]
        return torch.cat([a * (s - a**2 - 2 * b**2), b * (s - b**2 - 2 * a**2)], dim=1)

    diagram = followed(flows(F, n=2), -1, 1)
    assert diagram.index_sums.tolist() == [1] * 8
    for i, s in enumerate(diagram.steps):
        r, d = np.sqrt(max(s, 0)), np.sqrt(max(s, 0) / 3)
        eight = [(r, 0), (-r, 0), (0, r), (0, -r), (d, d), (d, -d), (-d, d), (-d, -d)] if s > 0 else []
        expected = np.array([(0, 0), *eight])
        states = diagram.points_at(i).states
        assert len(states) == len(expected)
        assert np.linalg.norm(states[:, None] - expected, axis=2).min(axis=0).max() < 1e-8
    assert sum("several eigenvalues of one point cross at once" in note for note in diagram.notes) == 1


def test_other_branch_of_a_transcritical_is_found_at_the_crossing():
    """y (s - y): y = 0 and y = s, which pass through each other at s = 0."""
    make, axis = embedded(lambda y, s: s * y - y**2)
    family = FamilyOf(make, np.linspace(-1, 1, 8))
    diagram = follow(family, searches=2)
    (event,) = diagram.events
    assert event.kind == Bifurcation.TRANSCRITICAL
    for i, s in enumerate(diagram.steps):
        assert sorted((diagram.points_at(i).states @ axis).tolist()) == pytest.approx(sorted([0, s]), abs=1e-8)


@pytest.mark.parametrize("first", [0.55])
def test_point_of_a_curve_that_leapt_is_known_once_the_curve_is_walked_again(first):
    """r x (1 - x): 0 and 1 - 1 / r, which pass through each other at r = 1, from grids on which a walk leaps there."""
    diagram = followed(maps(lambda x, r: r * x * (1 - x), bounds=(-2, 2)), first, 3.6, searches=3)
    for i, r in enumerate(diagram.steps):
        assert sorted(diagram.points_at(i).states.ravel().tolist()) == pytest.approx(sorted([0, 1 - 1 / r]), abs=1e-8)
    assert not any(branch.lost for branch in diagram.branches)


def test_cusp_has_two_folds_where_its_formula_says():
    """h + x - x^3 over h: folds at h = -+2 / (3 sqrt 3), between which there are three points."""
    diagram = followed(flows(lambda x, h: h + x - x**3), -1, 1, searches=[0])
    fold = 2 / 27**0.5
    assert [e.kind for e in diagram.events] == [Bifurcation.FOLD] * 2
    assert [e.time for e in diagram.events] == pytest.approx([-fold, fold], abs=1e-7)
    assert diagram.counts().sum(axis=1).tolist() == [3 if abs(h) < fold else 1 for h in diagram.steps]


def test_two_events_close_together_stay_apart():
    """Two independent units whose folds are 1e-4 apart, in one step of a walk."""

    def two(x, s):
        return torch.cat([s * x[:, :1] - x[:, :1] ** 3, (s - 1e-4) * x[:, 1:] - x[:, 1:] ** 3], dim=1)

    trunk = [e for e in followed(flows(two, 2), -1, 1, searches=[0]).events if np.abs(e.state).max() < 1e-6]
    assert [e.time for e in trunk] == pytest.approx([0, 1e-4], abs=1e-7)
    assert all(e.kind == Bifurcation.PITCHFORK for e in trunk)


def test_hopf_and_real_crossing_in_one_step_are_two_events():
    def G(x, s):
        return torch.cat([hopf(x[:, :2], s), (s - 1e-3) * x[:, 2:] - x[:, 2:] ** 3], dim=1)

    events = [e for e in followed(flows(G, 3), -1, 1, searches=[0]).events if np.abs(e.state).max() < 1e-6]
    assert [e.kind for e in events] == [Bifurcation.HOPF, Bifurcation.PITCHFORK]
    assert [e.time for e in events] == pytest.approx([0, 1e-3], abs=1e-7)


def test_branch_that_runs_away_is_lost_with_its_reason():
    """x = 1 / s from s = 1 down to -1: the point goes to infinity at 0, and comes from there on the other side."""
    diagram = followed(lambda s: Flow(lambda x, u: 1 - s * x, n_state=1), -1, 1, searches=[7])
    (branch,) = (branch for branch in diagram.branches if branch.s[-1] == 1)
    assert branch.lost
    assert branch.born is None
    assert any("was lost" in note for note in diagram.notes)
    assert branch.s[0] > 0
    assert all(other.lost and other.s[-1] < 0 for other in diagram.branches if other is not branch)


def test_branch_that_leaves_the_box_ends_inside_it():
    """x = s in the box from -1 to 1, which is the whole of what can be reached."""
    diagram = followed(lambda s: Flow(lambda x, u: s - x, n_state=1, bounds=(-1, 1)), 0, 2, 9, searches=[0])
    (branch,) = diagram.branches
    assert float(np.abs(branch.states).max()) <= 1 + 1e-9
    assert branch.lost == "it left the states that can be reached"
    assert not any("at the very" in note for note in diagram.notes)


def test_isola_is_found_where_the_system_comes_to_rest():
    """x^2 + s^2 = 1/4 has points for |s| < 1/2 only, so that both ends of the range know nothing of them."""
    diagram = followed(flows(lambda x, s: 0.25 - s**2 - x**2), -1.1, 1.2, 8)
    assert [e.time for e in diagram.events] == pytest.approx([-0.5, 0.5], abs=1e-7)
    assert len(diagram.branches) == 2
    assert all((b.born, b.died) == (0, 1) for b in diagram.branches)
    assert any("led to 1 point that was on no branch of the searches" in note for note in diagram.notes)


def test_isola_of_saddles_is_found_only_where_it_is_searched_for():
    """The same in x, with y' = y: nothing comes to rest there."""

    def F(x, s):
        return torch.cat([0.25 - s**2 - x[:, :1] ** 2, x[:, 1:]], dim=1)

    assert not followed(flows(F, n=2), -1.1, 1.2, 8).branches
    diagram = followed(flows(F, n=2), -1.1, 1.2, 8, searches=[3])
    assert [e.time for e in diagram.events] == pytest.approx([-0.5, 0.5], abs=1e-7)
    assert len(diagram.branches) == 2


@pytest.mark.parametrize("F", [lambda x, s: s - x**2, lambda x, s: s * x - x**3], ids=["fold", "pitchfork"])
def test_event_at_the_very_value_of_a_snapshot_is_told_as_not_resolved(F):
    """Both are at 0, the middle of nine values."""
    diagram = followed(flows(F), -1, 1, 9)
    assert any(note.startswith("an event at the very place 0 was not resolved") for note in diagram.notes)


def test_same_diagram_with_any_number_of_workers():
    make, _ = embedded(lambda y, s: s * y + y**3 - y**5)
    one, two = (followed(make, -0.5, 0.5, workers=w) for w in (1, 2))
    assert [e.time for e in one.events] == [e.time for e in two.events]
    assert all(np.array_equal(a.states, b.states) for a, b in zip(one.branches, two.branches, strict=True))


def test_diagram_comes_back_from_its_file(tmp_path):
    diagram = followed(flows(lambda x, s: s * x - x**3), -1, 1)
    back = Diagram.load(diagram.save(tmp_path / "diagram.safetensors"))
    assert back.to_json() == diagram.to_json()
    for a, b in zip(diagram.branches, back.branches, strict=True):
        for key in ("s", "states", "n_unstable", "eigenvalues", "readouts", "snapshot"):
            assert np.array_equal(getattr(a, key), getattr(b, key), equal_nan=True)
    assert all(np.array_equal(a.state, b.state) for a, b in zip(diagram.events, back.events, strict=True))


def test_other_file_is_no_diagram(tmp_path):
    path = tmp_path / "diagram.safetensors"
    path.write_text("nothing")
    with pytest.raises(CheckpointError, match="no safetensors"):
        Diagram.load(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"searches": 1}, "at least 2"), ({"searches": [9]}, "0 to 7"), ({"searches": []}, "0 to 7")],
)
def test_snapshots_to_search_that_there_are_not(options, said):
    with pytest.raises(ValueError, match=said):
        followed(flows(lambda x, s: s - x), -1, 1, **options)


@pytest.mark.parametrize("steps", [[0.0], [0.0, 0.0], [1.0, 0.0], [0.0, np.nan]])
def test_steps_that_are_no_range(steps):
    with pytest.raises(ValueError, match="steps"):
        FamilyOf(flows(lambda x, s: s - x), steps)


def test_a_large_system_has_rows_between_its_snapshots_too():
    """Above 64 units eigenvalues are read at snapshots and events only; the curve is known between them as well.

    y' = s - y^2: the roots +-sqrt(s), and lines from row to row that stay near them.
    """
    make, axis = embedded(lambda y, s: s - y**2, n=66)
    diagram = followed(make, -1, 1, 4)  # after the fold at 0 there are two snapshots
    assert len(diagram.branches) == 2
    for branch in diagram.branches:
        y = branch.states @ axis
        assert y**2 == pytest.approx(branch.s, abs=1e-8)
        assert (np.diff(branch.s) > 0).all()
        assert set(branch.n_unstable[1:].tolist()) == ({0} if y[-1] > 0 else {1})
        s = np.linspace(0, 1, 500)
        assert np.abs(np.interp(s, branch.s, np.abs(y)) - np.sqrt(s)).max() < 0.07  # from snapshots alone: 0.14
        between = (branch.snapshot < 0) & (branch.s > 1e-6)
        assert between.any()
        assert np.isnan(branch.eigenvalues[between]).sum() > 0
    assert diagram.counts().sum(axis=1).tolist() == [0, 0, 2, 2]


def test_a_branch_has_a_row_where_its_stability_changes():
    """x' = s - x^2 beside a pair x^2 - 1/4 +- i, which crosses at s = 1/4 on both roots: one curve that goes back
    through one event and on through the other."""

    def F(x, s):
        a, b, c = x[:, :1], x[:, 1:2], x[:, 2:]
        growth = a**2 - 0.25 - b**2 - c**2
        return torch.cat([s - a**2, growth * b - c, b + growth * c], dim=1)

    diagram = followed(flows(F, 3), -1, 1, 7)
    assert [e.time for e in diagram.events if e.kind == Bifurcation.HOPF] == pytest.approx([0.25, 0.25], abs=1e-7)
    for branch in diagram.branches:
        (event,) = [e for e in diagram.events if e.kind == Bifurcation.HOPF and branch.id in e.branches]
        n = int(branch.states[-1, 0] < 0)
        assert (np.diff(branch.s) > 0).all()
        assert set(branch.n_unstable[branch.s < event.time].tolist()) == {n}
        assert set(branch.n_unstable[branch.s >= event.time].tolist()) == {n + 2}
        assert event.time in branch.s
