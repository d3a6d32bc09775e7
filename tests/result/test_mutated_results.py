"""Result files with any value of their header or any array changed: read and told of, or refused in one clear line."""

import contextlib
import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import dynsys
from dynsys import plots
from dynsys.analyses.evolve.evolution import Evolve
from dynsys.analyses.evolve.frames import load_frames
from dynsys.analyses.evolve.study import run as evolve
from dynsys.attractors.basins import Basins, basins
from dynsys.attractors.connections import Connections, connections
from dynsys.continuation.diagram import Diagram
from dynsys.io.errors import CheckpointError
from dynsys.io.files import HEADER, read_tensors, write_tensors
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.training.learners import learner
from dynsys.stability.modes import Modes, linear_modes


def quiet(stage, done, total):
    pass


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One whole file of each kind."""
    folder = tmp_path_factory.mktemp("results")
    orbit = dynsys.Map(lambda x, u: -1.5 * x + x**3, n_state=1, bounds=(-1.5, 1.5))  # 0 is unstable, +-0.7 an orbit
    points = dynsys.find_fixed_points(orbit, n_starts=16)
    followed = connections(points)
    points.save(folder / "points")
    linear_modes(points).save(folder / "modes")
    followed.save(folder / "connections")
    basins(points, 16, others=followed.others).save(folder / "basins")
    learner("flipflop", "gru")(folder / "run", snapshots=40, bits=1, units=3, steps=120)
    evolve(Evolve(), folder / "run", None, quiet)
    (folder / "run" / "evolve" / "diagram.safetensors").rename(folder / "diagram")
    save_checkpoint(
        folder / "checkpoint", EchoStateNetwork.random(EchoStateConfig(units=4, n_input=1, n_output=1), FlipFlop(1))
    )
    return folder


def tell_points(path):
    points = dynsys.FixedPoints.load(path)
    points.summary(), points.to_json(), repr(points)
    plots.phase_portrait(points), plots.spectrum(points)


def tell_modes(path):
    modes = Modes.load(path)
    [modes.to_json(i, vectors=True) for i in range(len(modes))]
    plots.modes(modes)


def tell_connections(path):
    found = Connections.load(path)
    found.summary(), found.to_json(), plots.memory_graph(found)


def tell_basins(path):
    found = Basins.load(path)
    found.summary(), found.to_json()


def tell_diagram(path):
    diagram = Diagram.load(path)
    diagram.to_json(), plots.bifurcation_diagram(diagram), plots.point_counts(diagram)


def tell_network(path):
    system = dynsys.load(path)
    assert system.n_state == 4


TOLD = {
    "points": tell_points,
    "modes": tell_modes,
    "connections": tell_connections,
    "basins": tell_basins,
    "diagram": tell_diagram,
    "checkpoint": tell_network,
}
ODD = [None, "x", "", 3, -1, 2.5, 10**400, True, [], [1], ["x"], [[]], {}, {"x": 1}, "point 99", [["x", "y"]]]


def places(value, path=()):
    """The ways to every value within a header."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, item in inside for way in places(item, (*path, key)))]


def header_of(path):
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()[HEADER]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def changed(header, way, value):
    """The header with another value there, or without it (``...``)."""
    header = copy.deepcopy(header)
    there = header
    for key in way[:-1]:
        there = there[key]
    if value is ...:
        del there[way[-1]]
    else:
        there[way[-1]] = value
    return header


def refusal(kind, path):
    """What the error says that its reader raises, without the path that it begins with; None where there is none."""
    try:
        TOLD[kind](path)
    except CheckpointError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def assert_told_or_refused(kind, path):
    """Whatever the file says, it is told of, or the error is one line that names the file."""
    said = refusal(kind, path)
    assert said is None or (said and str(path) not in said and "\n" not in said)


@pytest.mark.parametrize("kind", TOLD)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_header_changed_anywhere_is_told_of_or_is_one_clear_error(kind, results, tmp_path, data):
    header, tensors = header_of(results / kind)
    kept = {"schema", "version", "sha256"}
    ways = [way for way in places(header) if way and way[0] not in kept]
    header = changed(header, data.draw(st.sampled_from(ways)), data.draw(st.sampled_from([..., *ODD])))
    write_tensors(tmp_path / "x", tensors, header)  # with its checksum: no damage, but nonsense
    assert_told_or_refused(kind, tmp_path / "x")


@pytest.mark.parametrize("kind", TOLD)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_array_changed_in_shape_or_kind_is_told_of_or_is_one_clear_error(kind, results, tmp_path, data):
    header, tensors = header_of(results / kind)
    if not tensors:
        return
    key = data.draw(st.sampled_from(sorted(tensors)))
    value = tensors.pop(key)
    change = data.draw(st.sampled_from(["gone", "other name", "shorter", "flat", "deeper", "int", "float", "bool"]))
    others = {
        "other name": {"odd": value},
        "shorter": {key: value[:-1]} if value.ndim else {},
        "flat": {key: value.ravel()},
        "deeper": {key: value[..., None]},
        "int": {key: np.zeros(value.shape, dtype=np.int64)},
        "float": {key: np.zeros(value.shape)},
        "bool": {key: np.zeros(value.shape, dtype=bool)},
    }
    write_tensors(tmp_path / "x", {**tensors, **others.get(change, {})}, header)
    assert_told_or_refused(kind, tmp_path / "x")


@pytest.mark.parametrize("kind", TOLD)
def test_a_header_that_does_not_fit_its_checksum_is_refused(kind, results, tmp_path):
    header, tensors = header_of(results / kind)
    for way in [way for way in places(header) if way and way[0] not in ("schema", "sha256")][::7]:
        text = json.dumps(changed(header, way, "nonsense"), sort_keys=True)
        save_file(tensors, tmp_path / "x", metadata={HEADER: text})
        with pytest.raises(CheckpointError, match="does not match its checksum"):
            TOLD[kind](tmp_path / "x")


@pytest.mark.parametrize("kind", TOLD)
def test_a_file_of_the_version_before_whose_checksum_is_of_the_arrays_alone_is_read(kind, results, tmp_path):
    import hashlib

    header, tensors = header_of(results / kind)
    whole = hashlib.sha256()
    for key in sorted(tensors):
        whole.update(f"{key}{tensors[key].dtype}{tensors[key].shape}".encode() + tensors[key].tobytes())
    text = json.dumps({**header, "sha256": whole.hexdigest()}, sort_keys=True)
    save_file(tensors, tmp_path / "x", metadata={HEADER: text})
    assert type(TOLD[kind](tmp_path / "x")) is type(TOLD[kind](results / kind))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_frames_that_make_no_sense_are_made_anew(results, tmp_path, data):
    path = results / "run" / "evolve" / "frames.safetensors"
    tensors, header = read_tensors(path, "dynsys.evolution_frames/1")
    assert load_frames(path, header["made_from"]) is not None
    key = data.draw(st.sampled_from(sorted(tensors)))
    tensors[key] = data.draw(st.sampled_from([tensors[key][None], tensors[key].ravel()[:-1], np.zeros(0, dtype=bool)]))
    write_tensors(tmp_path / "x", tensors, header)
    assert load_frames(tmp_path / "x", header["made_from"]) is None


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_state_of_a_training_that_makes_no_sense_is_one_clear_error(results, tmp_path, data):
    from dynsys.models.training.backprop import STATE, State

    begun = results / "begun"
    if not begun.exists():
        with contextlib.suppress(KeyboardInterrupt):
            learner("flipflop", "gru")(begun, on_progress=interrupt, bits=1, units=3, steps=300)
    tensors, header = read_tensors(begun / STATE, State.schema)
    key = data.draw(st.sampled_from(["settings", "step", "best_step", "finished", "losses", "validated"]))
    if key in header:
        header[key] = data.draw(st.sampled_from([None, "x", [1], 2.5, 10**400]))
    else:
        tensors[key] = data.draw(st.sampled_from([np.zeros((2, 2)), np.zeros((2, 3), dtype=bool)]))
    (tmp_path / "run").mkdir(exist_ok=True)
    write_tensors(tmp_path / "run" / STATE, tensors, header)
    with pytest.raises(CheckpointError):
        learner("flipflop", "gru")(tmp_path / "run", bits=1, units=3, steps=300)


def interrupt(done, total):
    if done >= 200:
        raise KeyboardInterrupt
