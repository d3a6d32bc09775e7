"""The benchmark of noisy runs: its ways do the same thing, and it prints a row for each."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import noise_runs


def test_a_row_is_printed_for_every_way_and_the_floor():
    result = CliRunner().invoke(noise_runs.main, ["--units", "40", "--levels", "3", "--steps", "5"])
    assert result.exit_code == 0, result.output
    rows = result.output.splitlines()[1:]
    assert len(rows) == len(noise_runs.WAYS) + 2
    assert all(float(row.split()[-1]) > 0 for row in rows)


def test_single_precision_scores_as_double_where_nothing_is_chaotic():
    from dynsys.models.registry import MODELS

    case = noise_runs.case_of(MODELS["esn"].example(), (1e-3, 1e-2), 60)
    for single, double in zip(*noise_runs.deviation(case), strict=True):
        assert single["mse"] == pytest.approx(double["mse"], rel=1e-4)
        assert single["settled_bit_accuracy"] == double["settled_bit_accuracy"]
