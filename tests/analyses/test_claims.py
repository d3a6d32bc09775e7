"""Jang's claims, counted over seeds: from rows that are made up, and once from networks of toy size."""

import json

import pytest

from dynsys import FixedPoints
from dynsys.analyses.claims import study as claims
from dynsys.analyses.claims.study import Claims, run
from dynsys.analyses.claims.words import FAILS, HOLDS, OPEN, SOMETIMES, verdicts
from dynsys.models.loading.checkpoint import read_checkpoint
from dynsys.models.training.by_force.recipes import PRESETS


def formed(gain, seed, unstable, first, events):
    memories = [{"event": event, "born_in_it": True} for event in events]
    result = {
        "accuracy": 1.0,
        "at_the_origin": [{"step": 3.0, "kind": first}] if first else [],
        "origin": {"n_unstable": unstable},
        "counts": [[1, 0], [2, 1]],
        "memories": memories,
        "claims": {"memories_by_bifurcations": sum(e is not None for e in events), "memories": len(events)},
    }
    return {"id": f"formation/gain={gain}/seed={seed}", "status": "done", "result": result}


def noisy(seed, errors, losses):
    networks = [
        {
            "measures": {"mse": {"values": [[0.01, 0.01 + mse[0]], [0.01, 0.01 + mse[1]]]}},
            "survival": {"of": {"memories": 4}, "first_loss": loss, "loss": None},
            "bits": None,
            "noiseless": {"mse": 0.01},
        }
        for mse, loss in zip(errors, losses, strict=True)
    ]
    return {"id": f"noise/seed={seed}", "status": "done", "result": {"networks": networks}}


def found(rows):
    return {claim["claim"]: claim for claim in verdicts(rows)["claims"]}


def test_a_claim_holds_where_it_holds_for_every_seed():
    rows = [
        formed(0.9, 0, [0, 3], "pitchfork", ["fold", "pitchfork"]),
        formed(0.9, 1, [0, 0], None, ["fold", None]),
        formed(1.2, 0, [20, 22], "Hopf", ["fold"]),
    ]
    told = found(rows)
    assert told["The origin is stable at first (g = 0.9)."]["verdict"] == HOLDS
    assert told["The origin loses its stability in training (g = 0.9)."]["verdict"] == SOMETIMES
    assert told["The memories appear by bifurcations (g = 0.9)."]["held"] == 1
    assert told["The origin is stable at first (g = 1.2)."]["verdict"] == FAILS
    assert "20" in told["The origin is stable at first (g = 1.2)."]["found"]
    assert told["It does so by a transcritical bifurcation (g = 0.9)."]["verdict"] == FAILS
    assert len(verdicts(rows)["tables"]["Formation"]) == 3


def test_networks_are_compared_by_error_and_by_loss():
    """Ten times what noise adds is 1 in log10, where it adds any; lost between 0.1 and 0.4 it is 0.2, a fifth of 1."""
    losses = [[[0.5, 2.0]] * 2, [[0.1, 0.4]] * 2, [[0.5, 2.0]] * 2]
    told = found([noisy(seed, [[0.1, 0.1], [1.0, 1.0], [0.1, 0.1]], losses) for seed in range(3)])
    larger = told["After transfer the error under noise on the weights is larger than from scratch."]
    assert larger["verdict"] == HOLDS
    assert "+1.000" in larger["found"]
    lower = told["After transfer the first memory is lost at a lower level."]
    assert lower["verdict"] == HOLDS
    assert "-0.699" in lower["found"]
    assert told["Tanh and logistic networks bear noise about equally well."]["verdict"] == HOLDS
    assert told["Logistic networks bear it best."]["verdict"] == FAILS


def test_a_comparison_that_seeds_differ_in_is_not_decided():
    """log10 of 10, 0.1 and 1 has the mean 0; that of 1.1, 1.2 and 1.15 is positive, and up to 0.107 by its interval."""
    loss = [[[0.5, 2.0]] * 2] * 3
    errors = [(1.0, 0.11), (0.01, 0.12), (0.1, 0.115)]
    told = found([noisy(k, [[0.1, 0.1], [a, a], [b, b]], loss) for k, (a, b) in enumerate(errors)])
    larger = told["After transfer the error under noise on the weights is larger than from scratch."]
    assert (larger["verdict"], larger["held"], larger["of"]) == (OPEN, 1, 3)
    assert told["Tanh and logistic networks bear noise about equally well."]["verdict"] == OPEN
    assert told["Logistic networks bear it best."]["verdict"] == FAILS


def test_parts_that_failed_are_listed_and_counted_nowhere():
    failed = {"id": "transfer/seed=3", "status": "failed", "error": "ValueError: no"}
    told = verdicts([failed])
    assert told == {"claims": [], "tables": {}, "failed": [{"id": "transfer/seed=3", "error": "ValueError: no"}]}


def test_the_study_runs_at_toy_size_and_goes_on_from_what_is_there(tmp_path, monkeypatch):
    settings = Claims(
        units=40,
        seeds=1,
        bits=2,
        gains=(0.9,),
        snapshots=("log:6",),
        levels=(1e-3, 1e-1),
        trials=1,
        steps=100,
        preset="paper",
        memories_only=True,
    )
    results = run(settings, tmp_path, claims.silent)
    assert results["failed"] == []
    assert {"Formation", "Transfer", "Noise"} == set(results["tables"])
    assert {row["fixed points"] for row in results["tables"]["Transfer"]} == {None}
    for name in ("small", "scratch", "transfer"):
        points = FixedPoints.load(tmp_path / "seed_0" / "transfer" / name / "fixed_points.safetensors")
        assert len(points) > 0
        assert points.search.closure_starts == points.search.scattered_starts == 0
    assert {claim["section"] for claim in results["claims"]} >= {"6.1", "7", "8"}
    for part in ("transfer/scratch", "logistic", "gain_0.9"):
        recipe = read_checkpoint(tmp_path / "seed_0" / part)[2]["about"]["recipe"]
        assert recipe["steps"] == PRESETS["paper"]().steps == 30_000
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["claims"] == results["claims"]
    assert "The origin is stable at first" in (tmp_path / "report.html").read_text()
    for part in ("formation", "transferred", "noisy"):
        monkeypatch.setattr(claims, part, lambda *_: pytest.fail("it was done again"))
    assert run(settings, tmp_path, claims.silent)["claims"] == results["claims"]


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="seeds is 0"):
        Claims(seeds=0)
