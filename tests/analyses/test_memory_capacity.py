"""``dynsys memory capacity``: the sweep keeps what is done, and what is said of the rows is what they hold."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dynsys.analyses.memory.loads import Capacity, curves_of, named_loads, results_of, sentences, theory_of
from dynsys.cli import main
from dynsys.plots import capacity_curves


def invoke(*arguments):
    return CliRunner().invoke(main, ["memory", "capacity", *map(str, arguments)])


def row(n, P, errors):
    result = {"model": "hebb", "n": n, "P": P, "first": [0.0] * len(errors), "errors": errors}
    return {"id": f"hebb/n={n}/P={P}", "result": {**result, "settled": [True] * len(errors)}}


def test_a_study_goes_on_where_it_was_and_shards_join(tmp_path):
    asked = ("-o", tmp_path, "--sizes", "20,40", "--loads", "0.05,0.2", "--trials", 3)
    assert invoke(*asked, "--shard", "1/2").exit_code == 0
    assert not (tmp_path / "report.html").exists()
    assert CliRunner().invoke(main, ["merge", str(tmp_path)]).exit_code == 0
    whole = invoke(*asked, "--json")
    assert whole.exit_code == 0, whole.output
    (net,) = json.loads(whole.stdout)["nets"]
    assert [(one["n"], one["P"]) for one in net["loads"]] == [(20, 1), (20, 4), (40, 2), (40, 8)]
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 4
    assert invoke(*asked[:-1], 4).exit_code != 0  # other trials in the same folder


def test_median_mean_and_collapses_are_told_apart():
    (one,) = results_of(Capacity(sizes=(10,), loads=(0.1,)), [row(10, 1, [0.0, 0.0, 0.0, 0.5])])["nets"][0]["loads"]
    assert (one["median"], one["mean"], one["collapses"], one["overlap_kept"]) == (0.0, 0.125, 0.25, 1.0)


def test_the_load_at_which_half_collapse_lies_on_the_line_between_two():
    rows = [row(100, 10, [0.0] * 4), row(100, 14, [0.0, 0.3, 0.3, 0.3])]
    results = results_of(Capacity(sizes=(100,), loads=(0.1, 0.14)), rows)
    assert results["nets"][0]["half_lost"]["100"] == pytest.approx(0.1 + 0.04 * (0.5 / 0.75))


def test_a_line_in_1_over_n_is_drawn_through_three_sizes():
    """Overlaps of 0.9 + 1 / n exactly, scattered evenly about: the line meets 0 at 0.9."""
    settings = Capacity(sizes=(100, 200, 400), loads=(0.1,))
    rows = [row(n, n // 10, [(1 - 0.9 - 1 / n + d) / 2 for d in (-0.01, 0.0, 0.01)]) for n in settings.sizes]
    (end,) = results_of(settings, rows)["nets"][0]["to_infinity"]
    assert end["overlap"] == pytest.approx(0.9, abs=1e-12)
    assert results_of(settings, rows[:2])["nets"][0]["to_infinity"] == []


def test_all_sizes_have_the_same_usual_loads():
    settings = Capacity(models=("hebb", "bidirectional"), sizes=(100, 300))
    for model in settings.models:
        small, large = ([P / n for P in settings.counts(model, n)] for n in settings.sizes)
        np.testing.assert_allclose(small, large, rtol=1e-12)


def test_what_is_called_the_capacity_is_named():
    """n = 1000, from the table of the theory: 150, 72.38 and 50.17 patterns."""
    named = sorted(load * 1000 for load in named_loads("hebb", 1000, 1.0).values())
    np.testing.assert_allclose(named, [36.19, 50.17, 72.38, 137.9056, 150], atol=5e-3)
    (pairs,) = named_loads("bidirectional", 1000, 2.0).values()
    assert pairs == pytest.approx(0.27234, abs=5e-6)


def test_the_picture_has_the_mean_field_and_every_size():
    settings = Capacity(sizes=(50, 100), loads=(0.1, 0.2))
    rows = [row(n, round(a * n), [0.0, 0.02, 0.4]) for n in settings.sizes for a in settings.loads]
    results = results_of(settings, rows)
    figure = capacity_curves(results["nets"][0]["loads"], theory_of(settings, "hebb", 0.2))
    traces = {trace.name: trace for trace in figure.data}
    assert {"n = 50", "n = 100", "mean field"} <= set(traces)
    x, y = np.array(traces["mean field"].x), np.array(traces["mean field"].y)
    assert x[-1] == pytest.approx(0.1379056, abs=1e-6)
    assert np.interp(0.12, x, y) == pytest.approx(0.003389, abs=1e-4)
    assert len(curves_of(settings, "hebb", [r["result"] for r in rows])) == 2
    told = "Hebb: at none of the loads tried do half of the trials lose the pattern."
    assert told in sentences({**results, "cut": None})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--models", "hopfeld"], "model is 'hopfeld'; capacity is simulated of hebb"),
        (["--loads", "0.2:0.1:3"], "'0.2:0.1:3' is neither LOW:HIGH:COUNT"),
        (["--loads", "0.001"], "a load is 0.001; P / n has to be positive and to make one pattern at every size"),
        (["--loads", "nan"], "a load is nan"),
        (["--sizes", "100,100"], "sizes is 100, 100; give each value once"),
        (["--mistakes", "0.5"], "mistakes is 0.5; the share of wrong units in a cue is 0 or more, below 0.5"),
        (["--ratio", "2"], "--ratio makes no difference to these nets; it does to bidirectional"),
        (["--models", "bidirectional", "--ratio", "-1"], "ratio is -1.0"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, arguments, told):
    result = invoke("-o", tmp_path / "run", *arguments)
    assert result.exit_code != 0
    assert told in result.stderr
    assert not (tmp_path / "run").exists()
