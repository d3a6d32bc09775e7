"""The settling loop: what the study says of a query is what iterating it says."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from dynsys.analyses.retrieval import settling_loop
from dynsys.analyses.retrieval.settling_loop import SettlingLoop, Settlings, study, swapped
from dynsys.io.errors import CheckpointError
from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import save_checkpoint
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.retrieval import Retrieval

ASKED = Retrieval().sets(1, some=12)["some"]
QUICK = SettlingLoop(queries=12, iterations=6, elsewhere=2)


def network(rate=0.5, units=8, inner=2):
    return FastWeightsNetwork(FastWeightsConfig(units, inner, rate, embedding=5, hidden=7, seed=2)).double()


def test_without_fast_weights_the_loop_is_at_rest_from_its_first_step():
    """A = 0: h = f(LN(z)) whatever h was."""
    found = study(FastWeights.of(network(rate=0.0)), ASKED, QUICK)
    np.testing.assert_allclose(found.distance, 0, atol=1e-12)
    np.testing.assert_allclose(found.radius, 0, atol=1e-12)
    assert found.at_point.all()
    assert found.everywhere.all()
    assert (found.right == found.right_at_point).all()


def test_points_are_where_iteration_with_the_explicit_matrix_ends():
    net = network()
    system = FastWeights.of(net)
    found = study(system, ASKED, QUICK)
    inputs, h = system.context(ASKED)
    z, A = inputs[:, :8], inputs[:, 8:].view(-1, 8, 8)
    path = [h]
    for _ in range(3000):
        recalled = torch.einsum("bij,bj->bi", A, path[-1])
        path.append(torch.relu(functional.layer_norm(z + recalled, (8,), net.gain, net.shift)).detach())
    resting = ((path[-1] - path[-2]).norm(dim=1) <= 1e-13 * path[-1].norm(dim=1)).numpy()  # to the last digits
    assert resting.sum() >= 6
    assert found.at_point[resting].all()
    np.testing.assert_allclose(found.points[resting], path[-1][resting], atol=1e-9)
    for t in range(7):
        distance = (path[t] - path[-1]).norm(dim=1)
        np.testing.assert_allclose(found.distance[t][resting], distance[resting], atol=1e-8)
        said = net.read(path[t]).argmax(1).numpy()
        np.testing.assert_array_equal(found.right[t], said == ASKED.answers)
    said = net.read(path[-1]).argmax(1).numpy()
    np.testing.assert_array_equal(found.right_at_point[resting], (said == ASKED.answers)[resting])


def test_the_radius_is_that_of_the_loop_s_derivative():
    """The largest absolute eigenvalue, by autodiff and NumPy, and below 1 at what is called stable."""
    system = FastWeights.of(network())
    found = study(system, ASKED, QUICK)
    inputs, _ = system.context(ASKED)
    rows = np.flatnonzero(found.at_point)
    assert len(rows)
    for i in rows:
        step = torch.func.jacfwd(lambda x, u=inputs[i : i + 1]: system.velocity(x[None], u)[0])
        G = step(torch.as_tensor(found.points[i])).numpy() + np.eye(8)
        assert found.radius[i] == pytest.approx(np.abs(np.linalg.eigvals(G)).max(), abs=1e-9)
        assert found.radius[i] < 1


def test_swapping_asks_for_the_next_letter_of_the_string():
    task = Retrieval()
    others = swapped(task.parse("c9k8j3f1??c", "c9k8j3f1??f"))
    assert others.texts() == ["c9k8j3f1??k", "c9k8j3f1??c"]
    assert others.answers.tolist() == [8, 9]


def test_what_is_saved_comes_back(tmp_path):
    found = study(FastWeights.of(network()), ASKED, QUICK)
    found.save(tmp_path)
    again = Settlings.load(tmp_path)
    for key, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again, key), value)
    told = json.loads((tmp_path / "settling_loop.json").read_text())
    assert told["shares"] == found.shares
    assert told["shares"]["stable_and_right"] <= min(found.at_point.mean(), found.right_at_point.mean()) + 1e-12


def test_a_network_without_fast_weights_has_no_settling_loop(tmp_path):
    save_checkpoint(tmp_path / "gru.safetensors", StringNetwork("gru", 6).system(Retrieval()))
    with pytest.raises(CheckpointError, match="kind 'gru', and only fast weights have a settling loop"):
        settling_loop.run(QUICK, tmp_path / "gru.safetensors")
