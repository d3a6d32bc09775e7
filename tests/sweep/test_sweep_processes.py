"""Sweeps on real processes: workers that are killed, parents that are killed, clusters that go away."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep_work import tasks, tries, work

from dynsys.sweep import SweepError, Task, read_rows, run_sweep
from dynsys.sweep import cluster as connection
from dynsys.sweep.local import LocalWorkers

TESTS = Path(__file__).parent
ENDS = {1: "kill once", 4: "kill", 6: "raise"}


@contextlib.contextmanager
def environment_kept():
    """Dask sets the number of threads of this process too."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def cluster():
    """Two Dask workers on this machine."""
    from distributed import LocalCluster

    with environment_kept(), LocalCluster(2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as two:
        yield two.scheduler_address


@pytest.fixture
def undisturbed(tmp_path):
    """The rows of tasks without any that ends its process: another folder, and the same ids and seeds."""

    def run(names):
        rows = run_sweep(work, tasks(tmp_path / "calm", 10), tmp_path / "calm.jsonl")
        return [(row["id"], row["seed"], row["result"]) for row in rows if row["id"] in names]

    (tmp_path / "calm").mkdir()
    return run


def done(rows):
    return [(row["id"], row["seed"], row["result"]) for row in rows if row["status"] == "done"]


def assert_survived(rows, folder, undisturbed):
    """One task killed its worker once, one kills it always, one raises: the others are as if nothing had been."""
    names = [f"task-{i}" for i in range(10)]
    statuses = {row["id"]: row["status"] for row in rows}
    assert list(statuses) == names
    assert {name for name in names if statuses[name] != "done"} == {"task-4", "task-6"}
    assert (statuses["task-4"], statuses["task-6"]) == ("crashed", "failed")
    assert done(rows) == undisturbed(set(names) - {"task-4", "task-6"})
    assert all(row["result"]["threads"] == [1] for row in rows if row["status"] == "done")
    assert [tries(folder, name) for name in names] == [1, 2, 1, 1, 2, 1, 1, 1, 1, 1]  # no innocent is blamed


def test_workers_killed_on_this_machine_cost_no_row(tmp_path, undisturbed):
    rows = run_sweep(work, tasks(tmp_path, 10, ENDS, seconds=0.02), tmp_path / "rows.jsonl", jobs=2)
    assert_survived(rows, tmp_path, undisturbed)
    assert "the second time alone: it ended with SIGKILL" in rows[4]["error"]
    assert sorted(row["id"] for row in read_rows(tmp_path / "rows.jsonl")) == [row["id"] for row in rows]


def test_workers_killed_on_a_cluster_cost_no_row(tmp_path, undisturbed, cluster):
    rows = run_sweep(work, tasks(tmp_path, 10, ENDS, seconds=0.02), tmp_path / "rows.jsonl", cluster=cluster)
    assert_survived(rows, tmp_path, undisturbed)
    assert "the second time alone: worker tcp://127.0.0.1" in rows[4]["error"]


def test_tasks_on_the_threads_of_a_worker_that_is_killed_are_not_lost(tmp_path, undisturbed):
    """What they gave may be lost with the worker, even where they had ended."""
    from distributed import LocalCluster

    with environment_kept(), LocalCluster(1, threads_per_worker=3, dashboard_address=":0", silence_logs=50) as one:
        rows = run_sweep(work, tasks(tmp_path, 5, {1: "kill once"}, 0.05), tmp_path / "rows.jsonl", cluster=one)
    assert done(rows) == undisturbed({f"task-{i}" for i in range(5)})
    assert tries(tmp_path, "task-1") == 2


def sweep_in_a_process(folder, jobs, count=12, ends=None, seconds=0.0):
    """A sweep in a process (and a group) of its own."""
    code = (
        "import signal\n"  # as in a terminal of one's own: nohup and the like hand on that signals are ignored
        "for asked in (signal.SIGHUP, signal.SIGTERM): signal.signal(asked, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from pathlib import Path; from sweep_work import tasks, work; from dynsys.sweep import run_sweep\n"
        f"folder = Path({str(folder)!r})\n"
        f"run_sweep(work, tasks(folder, {count}, {ends!r}, {seconds}), folder / 'rows.jsonl', jobs={jobs})"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def begun_in(folder):
    """The processes that began a task."""
    return {int(line) for file in folder.glob("task-*") for line in file.read_text().split()}


def is_there(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_parent_takes_its_workers_with_it_and_the_next_goes_on(tmp_path, undisturbed):
    path = tmp_path / "rows.jsonl"
    parent = sweep_in_a_process(tmp_path, jobs=2, count=10, seconds=0.2)
    wait_for(lambda: len(read_rows(path)) >= 3)
    parent.kill()
    parent.communicate()
    finished = [row["id"] for row in read_rows(path)]
    wait_for(lambda: not any(map(is_there, begun_in(tmp_path))), seconds=10)
    rows = run_sweep(work, tasks(tmp_path, 10, seconds=0.2), path)
    assert 3 <= len(finished) < 10
    assert done(rows) == undisturbed({row["id"] for row in rows})
    assert {tries(tmp_path, name) for name in finished} == {1}


def test_ctrl_c_keeps_the_finished_rows_and_ends_the_workers(tmp_path):
    """The terminal sends it to all processes of the group: no task takes it for an error of its own."""
    path = tmp_path / "rows.jsonl"
    parent = sweep_in_a_process(tmp_path, jobs=2, seconds=0.2)
    wait_for(lambda: len(read_rows(path)) >= 2)
    os.killpg(parent.pid, signal.SIGINT)
    said = parent.communicate(timeout=20)[1]
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert {row["status"] for row in read_rows(path)} == {"done"}
    wait_for(lambda: not any(map(is_there, begun_in(tmp_path))), seconds=10)


def test_a_task_that_ends_the_only_process_is_tried_once_more_alone_and_recorded(tmp_path):
    """With one job tasks are done in the process itself: it ends, and the next one knows with what."""
    path, ends = tmp_path / "rows.jsonl", {2: "exit"}
    parent = sweep_in_a_process(tmp_path, jobs=1, count=4, ends=ends)
    parent.communicate()
    assert parent.returncode == 7
    rows = run_sweep(work, tasks(tmp_path, 4, ends), path)
    assert [row["status"] for row in rows] == ["done", "done", "crashed", "done"]
    assert "it ended with EXIT(7)" in rows[2]["error"]
    assert [tries(tmp_path, f"task-{i}") for i in range(4)] == [1, 1, 2, 1]


def test_a_process_killed_in_the_middle_of_a_task_does_not_make_it_a_crash(tmp_path):
    path = tmp_path / "rows.jsonl"
    parent = sweep_in_a_process(tmp_path, jobs=1, count=4, seconds=0.3)
    wait_for(lambda: tries(tmp_path, "task-1") == 1)
    parent.kill()
    parent.communicate()
    assert [row["status"] for row in run_sweep(work, tasks(tmp_path, 4, seconds=0.3), path)] == ["done"] * 4


class Unknown:
    """What only this process can make."""

    def __reduce__(self):
        raise TypeError("it stays here")


def test_work_that_cannot_be_handed_over_is_one_clear_line(tmp_path, cluster):
    task = Task("a", {"thing": Unknown()})
    for where in ({"jobs": 2}, {"cluster": cluster}):
        with pytest.raises(SweepError, match=r"task 'a' cannot be handed to .*it stays here"):
            run_sweep(work, [task], tmp_path / "rows.jsonl", **where)
    assert read_rows(tmp_path / "rows.jsonl") == []


def test_a_worker_with_other_versions_is_refused_in_one_line(tmp_path, cluster, monkeypatch):
    there = connection.versions()
    monkeypatch.setattr("dynsys.sweep.cluster.versions", lambda: {**there, "torch": "1.0"})
    with pytest.raises(
        SweepError, match=rf"worker tcp.*it has torch {there['torch']} where this process has 1.0; inst"
    ):
        run_sweep(work, tasks(tmp_path, 2), tmp_path / "rows.jsonl", cluster=cluster)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://127.0.0.1:9", r"no Dask scheduler answers at tcp://127.0.0.1:9 .*start one with 'dask scheduler'"),
        ("my-cluster", r"'my-cluster' is no address of a Dask scheduler; give one like tcp://host:8786"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch, address, says):
    monkeypatch.setattr(connection, "TIMEOUT", 0.5)
    with pytest.raises(SweepError, match=says):
        run_sweep(work, tasks(tmp_path, 2), tmp_path / "rows.jsonl", cluster=address)


def test_without_dask_the_extra_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match=r"pip install 'dynsys-rnn\[cluster\]'"):
        run_sweep(work, tasks(tmp_path, 2), tmp_path / "rows.jsonl", cluster="tcp://127.0.0.1:8786")


@pytest.fixture
def small_cluster():
    """Of threads of this process, without a worker yet: what comes and goes is seen at once."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0") as none_yet:
        yield none_yet


def test_a_cluster_without_workers_is_waited_for_and_told(tmp_path, small_cluster):
    told = []

    def show(stage, done, total):
        told.append((stage, done))
        if (stage, done) == ("waiting for a worker", 0):
            small_cluster.scale(1)

    rows = run_sweep(work, tasks(tmp_path, 3), tmp_path / "rows.jsonl", cluster=small_cluster, progress=show)
    assert [row["status"] for row in rows] == ["done"] * 3
    assert told[:3] == [("tasks", 0), ("waiting for a worker", 0), ("waiting for a worker", 1)]


def test_a_cluster_that_lost_all_workers_is_not_waited_for_forever(tmp_path, small_cluster, monkeypatch):
    monkeypatch.setattr("dynsys.sweep.cluster.RETURN", 0.5)
    small_cluster.scale(1)

    def lose(stage, done, total):
        if (stage, done) == ("tasks", 2):
            small_cluster.scale(0)

    path = tmp_path / "rows.jsonl"
    with pytest.raises(SweepError, match=r"lost all of its workers, .* start workers, and the same command goes on"):
        run_sweep(work, tasks(tmp_path, 200), path, cluster=small_cluster, progress=lose)
    assert 2 <= len(read_rows(path)) < 200


def test_a_scheduler_that_is_lost_leaves_the_rows_and_says_so(tmp_path, small_cluster):
    path = tmp_path / "rows.jsonl"
    small_cluster.scale(1)

    def lose(stage, done, total):
        if (stage, done) == ("tasks", 3):
            small_cluster.close()

    with pytest.raises(SweepError, match=r"does not answer any more .*the same command goes on from there"):
        run_sweep(work, tasks(tmp_path, 50), path, cluster=small_cluster, progress=lose)
    assert len(read_rows(path)) >= 3
    assert {row["status"] for row in read_rows(path)} == {"done"}


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_sweep_that_is_asked_to_end_ends_its_workers_at_once(tmp_path, number):
    parent = sweep_in_a_process(tmp_path, jobs=2, seconds=60)
    wait_for(lambda: len(begun_in(tmp_path)) == 2)
    parent.send_signal(getattr(signal, number))
    parent.communicate(timeout=60)
    assert parent.returncode == 128 + getattr(signal, number)
    wait_for(lambda: not any(map(is_there, begun_in(tmp_path))), seconds=10)


def test_a_second_ctrl_c_at_whatever_moment_leaves_no_worker(tmp_path):
    parents = {}
    for gap in (0.001, 0.01, 0.03, 0.1):
        folder = tmp_path / str(gap)
        folder.mkdir()
        parents[gap] = sweep_in_a_process(folder, jobs=2, seconds=60)
    for gap, parent in parents.items():
        wait_for(lambda folder=tmp_path / str(gap): len(begun_in(folder)) == 2)
        os.killpg(parent.pid, signal.SIGINT)
        time.sleep(gap)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGINT)
    for gap, parent in parents.items():
        parent.communicate(timeout=60)
        wait_for(lambda folder=tmp_path / str(gap): not any(map(is_there, begun_in(folder))), seconds=10)


def test_a_signal_is_answered_as_before_after_a_sweep_and_not_at_all_where_it_was_ignored(tmp_path):
    before = {name: signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with LocalWorkers(work, 0, 2):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != before["SIGTERM"]
    finally:
        signal.signal(signal.SIGHUP, before["SIGHUP"])
    assert {name: signal.getsignal(getattr(signal, name)) for name in before} == before
