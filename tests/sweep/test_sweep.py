"""Sweeps: seeds of their own, rows that stay and are not mixed up, shards, disks that are full."""

import errno
import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sweep_work import alike, tasks, tries, work

from dynsys.cli import main
from dynsys.io.errors import OutputError
from dynsys.io.progress import _Lines
from dynsys.sweep import SweepError, Task, merge, read_objects, read_rows, run_sweep, summary


def double(arguments, seed):
    return {"twice": 2 * arguments["x"], "seed": seed}


def numbers(count):
    return [Task(f"x={x}", {"x": x}) for x in range(count)]


def test_every_task_has_a_seed_of_its_own_that_depends_on_root_and_id_alone():
    seeds = {Task(f"task {i}").seed(0) for i in range(1000)}
    assert len(seeds) == 1000
    assert Task("task 1", {"level": 0.5}).seed(0) == Task("task 1").seed(0) != Task("task 1").seed(1)
    assert all(0 <= seed < 2**53 for seed in seeds)  # what every JSON reader keeps


def test_the_order_of_the_tasks_does_not_change_their_numbers(tmp_path):
    there = run_sweep(double, numbers(6), tmp_path / "there.jsonl", seed=3)
    back = run_sweep(double, numbers(6)[::-1], tmp_path / "back.jsonl", seed=3)
    assert alike(there) == alike(back[::-1])
    assert [row["result"]["twice"] for row in there] == [0, 2, 4, 6, 8, 10]


def test_rows_come_back_as_they_are_on_the_disk(tmp_path):
    """Tuples as lists, numbers and arrays of NumPy and torch as plain ones."""

    def mixed(arguments, seed):
        return {"tuple": (1, 2), "numpy": np.float32(0.5), "array": np.arange(3), "tensor": torch.ones(2)}

    rows = run_sweep(mixed, [Task("a")], tmp_path / "rows.jsonl")
    assert rows == read_rows(tmp_path / "rows.jsonl")
    assert rows[0]["result"] == {"tuple": [1, 2], "numpy": 0.5, "array": [0, 1, 2], "tensor": [1.0, 1.0]}


def test_what_is_there_is_not_done_again_and_new_tasks_are(tmp_path):
    first = run_sweep(work, tasks(tmp_path, 3), tmp_path / "rows.jsonl")
    rows = run_sweep(work, tasks(tmp_path, 5), tmp_path / "rows.jsonl")
    assert rows[:3] == first
    assert [tries(tmp_path, f"task-{i}") for i in range(5)] == [1] * 5


def test_a_task_that_raises_is_a_row_with_its_error_and_the_others_go_on(tmp_path):
    rows = run_sweep(work, tasks(tmp_path, 3, {1: "raise"}), tmp_path / "rows.jsonl")
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["error"].startswith("ArithmeticError: task-1 cannot be done (at sweep_work.py:")
    assert rows[1]["error"].endswith(" in work)")
    assert summary(rows).startswith("3 tasks: 2 done, 1 failed (first task-1: ArithmeticError")


def test_a_result_that_json_has_no_word_for_is_a_failure_that_says_so(tmp_path):
    (row,) = run_sweep(lambda arguments, seed: {"made": object()}, [Task("a")], tmp_path / "rows.jsonl")
    assert row["status"] == "failed"
    assert "JSON has no word for object" in row["error"]


def test_failed_tasks_are_done_again_only_when_asked(tmp_path):
    failing = tasks(tmp_path, 2, {0: "raise"})
    for times, retry in ((1, False), (1, False), (2, True)):
        rows = run_sweep(work, failing, tmp_path / "rows.jsonl", retry_failed=retry)
        assert [tries(tmp_path, f"task-{i}") for i in range(2)] == [times, 1]
        assert [row["status"] for row in rows] == ["failed", "done"]


def test_a_failed_task_that_succeeds_later_counts_as_done(tmp_path):
    def works_when(arguments, seed):
        return {"read": (tmp_path / "file").read_text()}

    assert run_sweep(works_when, [Task("a")], tmp_path / "rows.jsonl")[0]["status"] == "failed"
    (tmp_path / "file").write_text("there")
    again = run_sweep(works_when, [Task("a")], tmp_path / "rows.jsonl", retry_failed=True)
    assert again[0]["result"] == {"read": "there"}
    assert run_sweep(works_when, [Task("a")], tmp_path / "rows.jsonl") == again


@pytest.mark.parametrize(
    "other",
    [
        {"tasks": [Task("x=0", {"x": 0}), Task("x=1", {"x": 5})]},
        {"seed": 1},
    ],
)
def test_rows_of_other_settings_are_told_and_not_mixed_up(tmp_path, other):
    run_sweep(double, numbers(2), tmp_path / "rows.jsonl")
    before = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(SweepError, match=r"rows.jsonl holds \d tasks? done with other settings or another seed"):
        run_sweep(double, other.get("tasks", numbers(3)), tmp_path / "rows.jsonl", seed=other.get("seed", 0))
    assert (tmp_path / "rows.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ({"x": (1, 2)}, {"x": [1, 2]}, {"x": [2, 1]}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1}),
        ({"p": Path("a/b")}, {"p": "a/b"}, {"p": "a/c"}),
        ({"v": np.arange(3.0)}, {"v": np.arange(3.0)}, {"v": np.arange(3)}),
        ({"v": np.eye(3)[:, ::2]}, {"v": np.eye(3)[:, ::2].copy()}, {"v": np.eye(3)[:, 1:]}),
        ({"s": {"a", "b"}}, {"s": {"b", "a"}}, {"s": {"a"}}),
        ({"k": {(1, 2): 3}}, {"k": {(1, 2): 3}}, {"k": {(1, 3): 3}}),
    ],
)
def test_fingerprints_are_those_of_equal_arguments(one, same, other):
    assert Task("a", one).fingerprint() == Task("b", same).fingerprint() != Task("a", other).fingerprint()


def test_two_tasks_of_one_id_are_refused(tmp_path):
    with pytest.raises(SweepError, match="2 tasks have the id 'a'"):
        run_sweep(double, [Task("a", {"x": 1}), Task("a", {"x": 2})], tmp_path / "rows.jsonl")


@pytest.mark.parametrize("torn", ['{"id": "x=2", "status": "do', "\0\0\0\0", "{"])
def test_a_torn_last_line_is_dropped_and_done_again(tmp_path, torn):
    path = tmp_path / "rows.jsonl"
    rows = run_sweep(double, numbers(4), path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]) + torn)
    assert alike(run_sweep(double, numbers(4), path)) == alike(rows)
    assert alike(map(json.loads, path.read_text().splitlines())) == alike(rows)


def test_a_file_of_one_torn_line_is_an_empty_one(tmp_path):
    (tmp_path / "rows.jsonl").write_text("x" * 200_000)  # longer than a block of the reader
    run_sweep(double, numbers(1), tmp_path / "rows.jsonl")
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 1


def write_that_fails_after(monkeypatch, whole):
    """The disk takes so many writes, then half of one, then nothing."""
    written, write = [], os.write

    def limited(handle, content):
        written.append(handle)
        if len(written) <= whole:
            return write(handle, content)
        if len(written) == whole + 1:
            return write(handle, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", limited)


def test_a_full_disk_is_one_error_and_the_finished_rows_stay_whole(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    with monkeypatch.context() as patch:
        write_that_fails_after(patch, whole=2)
        with pytest.raises(OutputError, match=r"rows.jsonl cannot be written \(No space left on device\)"):
            run_sweep(double, numbers(5), path)
    assert path.read_text().endswith("}\n")
    assert [row["id"] for row in read_rows(path)] == ["x=0", "x=1"]
    assert [row["status"] for row in run_sweep(double, numbers(5), path)] == ["done"] * 5


def test_a_file_that_the_system_lets_grow_no_further_is_a_full_disk(tmp_path):
    """As with ``ulimit -f``: the system itself writes a part of the line, then refuses."""
    path, limits = tmp_path / "rows.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))
        with pytest.raises(OutputError, match=r"rows.jsonl cannot be written \(File too large\)"):
            run_sweep(double, numbers(9), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < len(path.read_text().splitlines()) == len(read_rows(path)) < 9
    assert path.read_text().endswith("}\n")


def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"rows.jsonl cannot be written"):
        run_sweep(work, tasks(tmp_path, 1), tmp_path / "file" / "rows.jsonl")
    assert tries(tmp_path, "task-0") == 0


def test_jobs_that_make_no_sense_are_refused(tmp_path):
    for jobs, cluster, says in ((0, None, "jobs is 0; it has"), (2, "tcp://127.0.0.1:8786", "2 jobs and a cluster")):
        with pytest.raises(SweepError, match=says):
            run_sweep(double, numbers(1), tmp_path / "rows.jsonl", jobs=jobs, cluster=cluster)


def test_two_runs_into_one_file_at_a_time_are_refused(tmp_path):
    def sweep_inside(arguments, seed):
        return run_sweep(double, numbers(1), tmp_path / "rows.jsonl")

    (row,) = run_sweep(sweep_inside, [Task("outer")], tmp_path / "rows.jsonl")
    assert "another run is writing it" in row["error"]


def test_tasks_of_one_process_have_one_thread_and_the_process_its_own_again(tmp_path):
    from threadpoolctl import threadpool_info

    def threads(arguments, seed):
        return {"torch": torch.get_num_threads(), "pools": [pool["num_threads"] for pool in threadpool_info()]}

    torch.set_num_threads(2)
    try:
        (row,) = run_sweep(threads, [Task("a")], tmp_path / "rows.jsonl")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert row["result"]["torch"] == 1
    assert set(row["result"]["pools"]) == {1}


def test_shards_are_disjoint_and_together_the_whole_after_merging(tmp_path):
    whole = run_sweep(double, numbers(7), tmp_path / "whole" / "rows.jsonl")
    parts = [run_sweep(double, numbers(7), tmp_path / f"{i}" / "rows.jsonl", shard=f"{i}/3") for i in (3, 1, 2)]
    assert sorted(len(part) for part in parts) == [2, 2, 3]
    (merged,) = merge([tmp_path / "1", tmp_path / "2", tmp_path / "3"], tmp_path / "all")
    assert merged.missing == ()
    by_name = {row["id"]: row for row in read_rows(tmp_path / "all" / "rows.jsonl")}
    assert alike(by_name[row["id"]] for row in whole) == alike(whole)
    assert run_sweep(double, numbers(7), tmp_path / "all" / "rows.jsonl") == [by_name[row["id"]] for row in whole]


def test_shards_in_one_folder_do_not_do_what_another_has_done(tmp_path):
    path = tmp_path / "rows.jsonl"
    run_sweep(work, tasks(tmp_path, 4), path, shard="1/2")
    assert [tries(tmp_path, f"task-{i}") for i in range(4)] == [1, 0, 1, 0]
    run_sweep(work, tasks(tmp_path, 4), path)
    assert [tries(tmp_path, f"task-{i}") for i in range(4)] == [1, 1, 1, 1]


def test_a_task_done_in_one_shard_and_failed_in_another_is_done(tmp_path):
    def when_there(arguments, seed):
        return {"read": (tmp_path / "file").read_text()}

    run_sweep(when_there, [Task("a")], tmp_path / "one" / "rows.jsonl")
    (tmp_path / "file").write_text("there")
    (done,) = run_sweep(when_there, [Task("a")], tmp_path / "two" / "rows.jsonl")
    for folders in (["one", "two"], ["two", "one"]):
        (merged,) = merge([tmp_path / name for name in folders], tmp_path / "all")
        assert merged.rows == (done,)


def test_shards_of_different_sweeps_are_not_merged(tmp_path):
    run_sweep(double, numbers(2), tmp_path / "one" / "rows.jsonl", seed=0)
    run_sweep(double, numbers(2), tmp_path / "two" / "rows.jsonl", seed=1)
    with pytest.raises(SweepError, match=r"'x=0' is done twice, with different settings or seeds, in"):
        merge([tmp_path / "one", tmp_path / "two"])


@pytest.mark.parametrize("shard", ["0/3", "4/3", "2", "a/b", "1/2/3", "-1/3", "1/0"])
def test_shards_that_make_no_sense_are_refused(tmp_path, shard):
    with pytest.raises(SweepError, match=r"is not of the form i/n with i from 1 to n, like 2/5"):
        run_sweep(double, numbers(3), tmp_path / "rows.jsonl", shard=shard)


@pytest.mark.parametrize("option", [["--shard", "3/2"], ["--shard", "half"], ["--jobs", "0"]])
def test_options_that_make_no_sense_are_a_mistake_of_usage(tmp_path, option):
    result = CliRunner().invoke(main, ["noise", "net", "-o", str(tmp_path / "out"), *option])
    assert result.exit_code == 2
    assert f"Invalid value for '{option[0]}'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_merge_tells_what_it_made_and_which_shard_is_missing(tmp_path):
    for i in (1, 3):
        run_sweep(double, numbers(6), tmp_path / "rows.jsonl", shard=f"{i}/3")
    result = CliRunner().invoke(main, ["merge", str(tmp_path), "--json"])
    (about,) = json.loads(result.stdout)["files"]
    assert (about["rows"], about["done"], about["missing_shards"]) == (4, 4, ["2/3"])
    again = CliRunner().invoke(main, ["merge", str(tmp_path)])
    assert "4 tasks: 4 done" in again.stdout
    assert "shard 2/3 is missing" in again.stdout


def test_merging_into_a_file_that_a_sweep_is_writing_is_refused(tmp_path):
    run_sweep(double, numbers(2), tmp_path / "rows.jsonl", shard="1/2")

    def merge_meanwhile(arguments, seed):
        return [str(file) for file in merge([tmp_path])]

    (row,) = run_sweep(merge_meanwhile, [Task("a")], tmp_path / "rows.jsonl")
    assert "another run is writing it" in row["error"]


def test_merge_leaves_lines_of_other_tools_alone(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"loss": 0.5}\n')
    run_sweep(double, numbers(4), tmp_path / "rows.jsonl", shard="1/2")
    (merged,) = merge([tmp_path])
    assert (merged.path.name, len(merged.rows)) == ("rows.jsonl", 2)
    assert (tmp_path / "log.jsonl").read_text() == '{"loss": 0.5}\n'


@pytest.mark.parametrize("folder", ["empty", "nowhere"])
def test_merge_of_nothing_is_one_clear_line(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["merge", str(tmp_path / folder)])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_progress_counts_earlier_rows_and_ends_at_all(tmp_path):
    told = []
    run_sweep(double, numbers(2), tmp_path / "rows.jsonl")
    run_sweep(double, numbers(4), tmp_path / "rows.jsonl", progress=lambda *now: told.append(now), stage="doubling")
    assert told == [("doubling", 2, 4), ("doubling", 3, 4), ("doubling", 4, 4)]


def test_plain_progress_tells_the_time_left_at_the_pace_so_far(capsys):
    """200 tasks, 100 of them of an earlier run: 20 in 30 seconds leave 80, which take 120."""
    now = [0.0]
    lines = _Lines(clock=lambda: now[0])
    lines("tasks", 100, 200)
    now[0] = 30.0
    lines("tasks", 120, 200)
    now[0] = 150.0
    lines("tasks", 200, 200)
    assert capsys.readouterr().err.splitlines() == ["tasks: 50 %", "tasks, about 2 min left: 60 %", "tasks: 100 %"]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"id": "x", "status": "failed", "seed": 1}', "9" * 10_000, '"x"'])
def test_a_line_that_is_no_row_ends_no_sweep(tmp_path, line):
    """Brackets nested by the thousand exhaust a parser's stack; a failure without its error cannot be told of."""
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n")
    (row,) = run_sweep(work, tasks(tmp_path, 1), path)
    assert row["status"] == "done"
    assert [one["id"] for one in read_rows(path)] == ["task-0"]
    assert len(read_objects(path)) == (2 if line.startswith("{") else 1)
    assert merge([tmp_path])[0].rows == tuple(read_rows(path))
