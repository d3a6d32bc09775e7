"""What the benchmarks rest on: the counting of operations, the judge of reported points, and runs at toy size."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cost
import operations
import peers
import recurrent
import trained_large

from dynsys import find_fixed_points
from dynsys.models.examples.bistable import Bistable
from dynsys.numerics.threads import in_order

DOUBLE = torch.float64


def matrices(*shape, dtype=DOUBLE):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda: matrices(3, 4) @ matrices(4, 5), 2 * 3 * 4 * 5),
        (lambda: torch.bmm(matrices(7, 3, 4), matrices(7, 4, 5)), 7 * 2 * 3 * 4 * 5),
        (lambda: torch.addmm(matrices(3, 5), matrices(3, 4), matrices(4, 5)), 2 * 3 * 4 * 5),
        (lambda: matrices(3, 4) @ matrices(4), 2 * 3 * 4),
        (lambda: matrices(3, 4, dtype=torch.complex128) @ matrices(4, 5, dtype=torch.complex128), 4 * 2 * 3 * 4 * 5),
        (lambda: torch.linalg.lu_factor_ex(matrices(2, 6, 6)), 2 * 2 / 3 * 6**3),
        (lambda: torch.linalg.solve_ex(matrices(2, 6, 6), matrices(2, 6, 3)), 2 * (2 / 3 * 6**3 + 2 * 6**2 * 3)),
        (lambda: torch.linalg.solve_triangular(matrices(6, 6), matrices(6, 2), upper=True), 6**2 * 2),
        (lambda: torch.linalg.eig(matrices(2, 6, 6)), 2 * 25 * 6**3),
        (lambda: torch.linalg.eigvals(matrices(2, 6, 6)), 2 * 10 * 6**3),
        (lambda: torch.linalg.svdvals(matrices(8, 6)), 4 * 8 * 6**2 - 4 / 3 * 6**3),
        (lambda: torch.linalg.matrix_norm(matrices(6, 6), 2), (4 - 4 / 3) * 6**3),
        (lambda: torch.linalg.matrix_norm(matrices(6, 6)), 0),
        (lambda: torch.tanh(matrices(6, 6)) + 1, 0),
    ],
)
def test_counts_are_those_of_golub_and_van_loan(run, expected):
    with operations.counted() as tally:
        run()
    assert tally.flops() == pytest.approx(expected, rel=1e-12)
    assert not tally.unknown


def test_orders_of_magnitude_follow_from_column_operations():
    """QR by Householder vectors: column k costs 4 (m - k) (n - k), and as much again for forming thin Q."""
    m, n = 300, 200
    by_column = sum(4 * (m - k) * (n - k) for k in range(n))
    assert operations.FACTORISATIONS["linalg_qr"](m, n, 0) == pytest.approx(2 * by_column, rel=0.02)


def test_precisions_are_counted_apart():
    with operations.counted() as tally:
        matrices(3, 3) @ matrices(3, 3)
        matrices(5, 5, dtype=torch.float32) @ matrices(5, 5, dtype=torch.float32)
    assert tally.flops(torch.float32) == 2 * 5**3
    assert tally.flops(DOUBLE) == 2 * 3**3


def test_work_of_the_threads_of_the_engine_is_counted():
    with operations.counted() as tally:
        list(in_order(lambda A: torch.linalg.eigvals(A @ A), [matrices(4, 4)] * 3, workers=2))
    assert tally.flops() == 3 * (2 * 4**3 + 10 * 4**3)


def test_linear_algebra_without_a_formula_is_named():
    with operations.counted() as tally:
        torch.linalg.ldl_factor_ex(matrices(3, 3))
    assert tally.unknown == {"linalg_ldl_factor_ex"}


def test_counting_changes_no_result():
    plain = find_fixed_points(Bistable(2), n_starts=32, workers=1)
    with operations.counted() as tally:
        counted = find_fixed_points(Bistable(2), n_starts=32, workers=1)
    assert tally.flops() > 0
    np.testing.assert_array_equal(counted.states, plain.states)


@pytest.fixture(params=[nn.RNN, nn.GRU, nn.LSTM], ids=["tanh", "gru", "lstm"])
def module(request, tmp_path):
    torch.manual_seed(0)
    network = nn.ModuleDict({"rnn": request.param(2, 5)})
    torch.save(network.state_dict(), tmp_path / "network.pt")
    return network["rnn"].double(), recurrent.recurrent(tmp_path / "network.pt")


def test_the_judge_steps_as_torch_does(module):
    layer, judge = module
    x = np.random.default_rng(0).standard_normal((4, judge.n_state))
    state = tuple(part[None].contiguous() for part in torch.tensor(x).split(5, dim=1))
    with torch.no_grad():
        after = layer(torch.zeros(1, 4, 2, dtype=DOUBLE), state if len(state) == 2 else state[0])[1]
    after = torch.cat(after, dim=-1) if len(state) == 2 else after
    np.testing.assert_allclose(judge.velocity(x), after[0].numpy() - x, atol=1e-7)  # weights saved in single precision


def test_the_jacobian_of_the_judge_is_its_slope(module):
    judge = module[1]
    x = np.random.default_rng(1).standard_normal((1, judge.n_state))
    h = 1e-6 * np.eye(judge.n_state)
    slope = (judge.velocity(x + h) - judge.velocity(x - h)) / 2e-6
    np.testing.assert_allclose(judge.jacobian(x)[0], slope.T, atol=1e-8)


def test_the_judge_counts_each_zero_once_and_nothing_far_from_one():
    """x = tanh(2 x) at 0 and at +-0.9575040240772688, by bisection to the last digit."""
    judge = recurrent.Recurrent("one unit", np.array([[2.0]]), np.zeros(1), np.zeros(1))
    reported = np.array([[1e-3], [-1e-3], [0.9575], [0.5], [40.0]])
    np.testing.assert_allclose(judge.real_points(reported), [[0.0], [0.9575040240772688]], atol=1e-14)


def test_the_best_rate_finds_most_and_then_is_the_fastest():
    def run(points, seconds):
        return peers.Judged(peers.Outcome(np.zeros((0, 1)), seconds, seconds), np.zeros((points, 1)), 0.0)

    assert peers.best_rate({0.1: [run(26, 1.0)], 0.3: [run(27, 3.0)], 1.0: [run(27, 2.0)]}) == 1.0


@pytest.fixture
def three_bits(tmp_path):
    """Three blocks that do not know of each other, x = tanh(2 mean x) in each: 3^3 fixed points."""
    cost.planted(9, tmp_path, randomness=0.0).rename(tmp_path / "bits.pt")
    np.savez(tmp_path / "bits_trajectories.npz", hidden=cost.planted_starts(9, 256).reshape(16, 16, 9))
    return tmp_path


def test_the_comparison_runs_without_the_peer(three_bits):
    arguments = ["--networks", "bits", "--seeds", "1", "--starts", "256", "--scipy-seconds", "0.2"]
    ran = CliRunner().invoke(peers.main, ["--checkpoints", str(three_bits), *arguments], catch_exceptions=False)
    assert "27 points known" in ran.output
    for tool in ("dynsys", "scipy root", "scipy least_squares"):
        assert re.search(rf"^{tool} +[\d.]+ ", ran.output, re.MULTILINE)


def test_the_cost_is_printed_against_starts_and_units():
    arguments = ["--starts", "16,64", "--units", "6", "--units-of-starts", "6", "--repeats", "1"]
    ran = CliRunner().invoke(cost.main, [*arguments, "--starts-of-units", "16", "--parts"], catch_exceptions=False)
    assert re.search(r"tanh6: 64 starts cost [\d.]+ times 16", ran.output)
    assert len(re.findall(r"^tanh\d+ +\d+ ", ran.output, re.MULTILINE)) == 3


def test_targets_of_the_flipflop_are_the_last_pulses():
    inputs, targets = trained_large.trials(3, 20, torch.Generator().manual_seed(0))
    for trial, target in zip(inputs, targets, strict=True):
        held = torch.zeros(3)
        for pulse, wanted in zip(trial, target, strict=True):
            held = torch.where(pulse != 0, pulse, held)
            assert torch.equal(held, wanted)
