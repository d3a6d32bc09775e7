"""Networks compared: copies are no distance apart, what is lost is seen, and what is not known is not decided."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import dynsys
from dynsys.attractors.connections import Connections
from dynsys.cli import main
from dynsys.comparison.compared import embedded
from dynsys.comparison.dsa import dynamical_distances
from dynsys.comparison.matching import cka, procrustes
from dynsys.comparison.skeleton import Skeleton
from dynsys.io.provenance import digest
from dynsys.models.rate.low_rank import LowRank
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.tasks.sine import SineWave


@pytest.fixture(scope="module")
def points():
    """Of two units that excite themselves: four memories, four saddles between them, and the origin."""
    network = LowRank(np.diag([2.0, 3.0]), np.eye(2), readout=np.eye(2))
    return dynsys.find_fixed_points(network, n_starts=8, closure=False)


def copy_of(points, seed):
    """The same points in another order and other coordinates, their outputs in another order and with other signs."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0][: points.states.shape[1]]
    order, outputs = rng.permutation(len(points)), rng.permutation(points.readouts.shape[1])
    signs = rng.choice([-1.0, 1.0], len(outputs))
    copy = points[order]
    return dataclasses.replace(
        copy, states=copy.states @ Q + rng.standard_normal(5), readouts=copy.readouts[:, outputs] * signs
    )


@pytest.mark.parametrize("with_readouts", [True, False])
def test_rotated_permuted_and_renamed_copies_are_no_distance_apart(points, with_readouts):
    if not with_readouts:
        points = dataclasses.replace(points, readouts=points.readouts[:, :0])
    for seed in range(40):
        found = dynsys.compare(points, copy_of(points, seed))
        assert (found.distance, found.skeleton, len(found.pairs)) == (0.0, "equal", 9)


def test_units_in_another_order_give_an_equal_network(points):
    other = LowRank(np.diag([3.0, 2.0]), np.eye(2), readout=np.eye(2)[::-1])
    found = dynsys.compare(points, dynsys.find_fixed_points(other, n_starts=8, closure=False))
    assert (found.distance, found.skeleton, found.proved, found.renamed) == (0.0, "equal", True, False)


@pytest.mark.parametrize("lost", range(4))
def test_a_lost_memory_is_seen(points, lost):
    stable = np.flatnonzero(points.n_unstable == 0)
    rest = points[np.delete(np.arange(9), stable[lost])]
    for found in (dynsys.compare(points, rest), dynsys.compare(rest, points)):
        assert found.skeleton == "different"
        assert found.distance >= 1 / 17
        assert sorted([*found.only_a.values(), *found.only_b.values()]) == [1]


def test_what_a_search_may_have_missed_is_not_decided(points):
    missing = {**points.search.missing, "complete": False, "early": True}
    rest = points[1:]
    report = dataclasses.replace(points.search, complete=False, missing=missing, found=8)
    rest = dataclasses.replace(rest, search=report)
    assert dynsys.compare(points, rest).skeleton == "undecided"
    whole = dataclasses.replace(points, search=dataclasses.replace(report, found=9))
    found = dynsys.compare(points, whole)
    assert (found.skeleton, found.distance) == ("undecided", 0.0)
    assert "undecided" in found.sentence


def test_spectra_and_states_count_where_the_skeleton_is_the_same(points):
    stronger = LowRank(np.diag([2.5, 4.0]), np.eye(2), readout=np.eye(2))
    found = dynsys.compare(points, dynsys.find_fixed_points(stronger, n_starts=8, closure=False))
    assert found.skeleton == "equal"
    assert found.parts["skeleton"] == 0 < found.parts["spectra"]


def connected(points, pairs):
    n = len(pairs)
    source, end = zip(*pairs, strict=True)
    return Connections(
        source=np.array(source),
        mode=np.zeros(n, dtype=np.int64),
        part=np.array(["real"] * n),
        sign=np.ones(n, dtype=np.int64),
        end=np.array([f"point {i}" for i in end]),
        time=np.ones(n),
        paths=np.zeros((n, 2, points.states.shape[1]), dtype=np.float32),
        n_unstable=points.n_unstable,
        stability=points.stability,
        readouts=points.readouts,
        orbit=points.orbit,
        points=digest(points.states),
    )


def test_connections_count_and_are_told_by_their_form(points):
    stable, saddles = np.flatnonzero(points.n_unstable == 0), np.flatnonzero(points.n_unstable == 1)
    square = connected(
        points, [(s, a) for s in saddles for a in stable if (points.readouts[s] * points.readouts[a]).sum() > 0.1]
    )
    assert len(square) == 8
    found = dynsys.compare(points, points, connections=(square, square))
    assert (found.skeleton, found.distance) == ("equal", 0.0)
    other = connected(
        points,
        [
            (s, a)
            for s in saddles
            for a in stable
            if (points.readouts[s] * points.readouts[a]).sum() > 0.1 or s == saddles[0]
        ],
    )
    found = dynsys.compare(points, points, connections=(square, other))
    assert found.skeleton == "different"
    assert found.distance > 0
    order = np.random.default_rng(0).permutation(9)
    place = np.argsort(order)
    again = connected(
        points[order], [(place[s], place[int(a.split()[1])]) for s, a in zip(square.source, square.end, strict=True)]
    )
    assert Skeleton.of(points, square).form == Skeleton.of(points[order], again).form != Skeleton.of(points, other).form


def test_similarities_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 6))
    X, Y = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(Y.T @ X) ** 2 / (np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y))  # Kornblith's eq. 3
    assert np.isclose(cka(x, y), expected)
    nuclear = np.linalg.svd(X.T @ Y, compute_uv=False).sum() / (np.linalg.norm(X) * np.linalg.norm(Y))
    assert np.isclose(procrustes(x, y), nuclear)


def test_a_map_keeps_distances_that_fit_into_a_plane():
    places = np.random.default_rng(0).standard_normal((6, 2))
    table = np.linalg.norm(places[:, None] - places, axis=2)
    drawn = embedded(table)
    assert np.allclose(np.linalg.norm(drawn[:, None] - drawn, axis=2), table)
    assert embedded(np.zeros((1, 1))).shape == (1, 2)


def test_networks_of_different_tasks_are_refused_in_one_line(points):
    with pytest.raises(ValueError, match="2 and 0 outputs"):
        dynsys.compare(points, dataclasses.replace(points, readouts=points.readouts[:, :0]))
    systems = [SimpleNamespace(task=task) for task in (FlipFlop(2), SineWave(), FlipFlop(2, gap=9.0), None)]
    flip, sine, slower, unknown = (dataclasses.replace(points, system=system) for system in systems)
    with pytest.raises(ValueError, match="learned two tasks, FlipFlop and SineWave; what"):
        dynsys.compare(flip, sine)
    assert {dynsys.compare(flip, other).distance for other in (slower, unknown)} == {0.0}
    with pytest.raises(ValueError, match="cka, procrustes"):
        dynsys.compare(points, points, representation="rsa")


def linear_motion(eigenvalues, rng):
    Q = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    x = [rng.standard_normal((20, 2))]
    for _ in range(15):
        x.append(x[-1] @ Q @ np.diag(eigenvalues) @ Q.T)
    return np.stack(x, 1)


def test_motions_of_linear_maps_are_as_far_apart_as_their_eigenvalues():
    """(0.1^2 + 0) / 2 between spectra {0.9, 0.5} and {0.8, 0.5}, in whatever coordinates."""
    pytest.importorskip("DSA")
    rng = np.random.default_rng(1)
    motions = [linear_motion(values, rng) for values in ([0.9, 0.5], [0.8, 0.5], [0.9, 0.5])]
    found = dynamical_distances(motions, delays=1, rank=2)
    assert np.allclose(found, [[0, 0.005, 0], [0.005, 0, 0.005], [0, 0.005, 0]], atol=1e-6)


def test_without_its_package_dsa_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"dynsys-rnn\[dsa\]"):
        dynamical_distances([np.zeros((1, 3, 2))] * 2)
    with pytest.raises(ValueError, match="can be angular, wasserstein"):
        dynamical_distances([np.zeros((1, 3, 2))] * 2, metric="cka")


def test_the_command_compares_runs_and_draws_a_map(points, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, some in zip(folders, (points, points[::-1], points[1:]), strict=True):
        folder.mkdir()
        some = dataclasses.replace(some, search=dataclasses.replace(some.search, found=len(some)))
        some.save(folder / "fixed_points.safetensors")
    page = tmp_path / "map.html"
    ran = CliRunner().invoke(main, ["compare", *map(str, folders), "-o", str(page), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    assert [pair["skeleton"] for pair in told["pairs"]] == ["equal", "different", "different"]
    assert "3 networks" in page.read_text()
    two = CliRunner().invoke(main, ["compare", str(folders[0]), str(folders[1])])
    assert two.output.startswith("The skeletons are equal, of points that are proved to be all")
    one = CliRunner().invoke(main, ["compare", str(folders[0])])
    assert one.exit_code == 1
    assert "a comparison needs two or more" in one.output
