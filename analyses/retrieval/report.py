"""The retrieval table in words and pictures."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynsys.analyses.grid.points import shown, told_choice
from dynsys.analyses.grid.report import markdown
from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.errors import typed
from dynsys.io.files import write_text
from dynsys.io.text import paragraphs, sentence
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.training.optimisers import ADAM
from dynsys.models.training.retrieval import OF_PAIRS
from dynsys.models.training.run import read_curves

if TYPE_CHECKING:
    from dynsys.analyses.retrieval.table import Retrieve

HERE = "dynsys.analyses.retrieval"
TITLE = "Associative retrieval: fast weights, LSTM and IRNN"
TABLE = "table.md"


def write_table(settings: Retrieve, results: dict[str, Any], folder: Path) -> None:
    """``table.md``, ``report.html`` and ``results.json``, from the runs in the folder."""
    from dynsys.plots import confusions, learning_curves

    write_text(folder / TABLE, table(results) + "\n")
    entries = results["entries"]
    lengths = (
        [Section("Test errors by length", paragraphs(HERE, "by_length"), length_rows(entries))]
        if length_rows(entries)
        else []
    )
    records = [read_curves(folder / entry["folder"]) for entry in entries]
    panels: dict[str, dict[str, Any]] = {}
    for entry, record in zip(entries, records, strict=True):
        panels.setdefault(f"R = {entry['units']}", {})[entry["model"]] = record
    names = [f"{entry['model']}, R = {entry['units']}" for entry in entries]
    wrong = confusions(dict(zip(names, records, strict=True)), title="What is answered wrongly")
    report = Report(
        TITLE,
        command(settings, folder),
        [*_cut(results), *(f"{claim['sentence']}." for claim in results["claims"])],
        dataclasses.asdict(settings),
        [
            Section(
                "Test errors",
                paragraphs(HERE, "beside"),
                [dict(zip(HEAD, _row(entry), strict=True)) for entry in entries],
            ),
            *lengths,
            Section("Every training", paragraphs(HERE, "every"), trial_rows(entries)),
            Section("Learning", figures=[learning_curves(panels, title="Learning curves")]),
            Section("Mistakes", paragraphs(HERE, "mistakes"), figures=[wrong]),
        ],
        ["ba2016"],
        [folder / entry["folder"] / FILE_NAME for entry in entries],
    )
    write_report(report, results, folder)


def command(settings: Retrieve, folder: Path) -> str:
    """The command that makes this table."""
    sizes = ",".join(map(str, settings.units))
    words: list[object] = ["-o", folder, "--models", ",".join(settings.models), "--units", sizes]
    words += ["--seeds", settings.seeds, "--grid", settings.grid, "--jobs", settings.jobs]
    for name, values in settings.over.items():
        words += ["--over", f"{told_choice(name).replace(' ', '-')}={','.join(map(shown, values))}"]
    words += ["--optimizer", settings.optimizer] if settings.optimizer != ADAM else []
    words += ["--pairs", settings.pairs] if settings.pairs != "4" else []
    for key in ("steps", "batch", "momentum"):
        words += [f"--{key}", getattr(settings, key)] if getattr(settings, key) is not None else []
    return typed("retrieve", *words)


HEAD = (
    "R",
    "network",
    "test error",
    "over seeds",
    "paper",
    "validation",
    "chosen",
    "trainings",
    "steps x strings",
    "CPU seconds",
)


def table(results: dict[str, Any]) -> str:
    """The entries as a table in Markdown, that of strings of each length where they are mixed, the claims, and every
    training."""
    entries = results["entries"]
    rows = [dict(zip(HEAD, _row(entry), strict=True)) for entry in entries]
    lengths = length_rows(entries)
    more = ["\nTest error of the strings of so many pairs:\n", markdown(lengths)] if lengths else []
    first = [f"{line}\n" for line in _cut(results)]
    said = [f"\n{claim['sentence']}." for claim in results["claims"]]
    every = (
        [f"\n{sentence(HERE, 'every')}\n", markdown(trial_rows(entries))]
        if any(len(e["trials"]) > 1 for e in entries)
        else []
    )
    return "\n".join([*first, markdown(rows), *more, *said, *every])


def trial_rows(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for every training: where in the grid, from which seed, and what it came to."""
    names = sorted({name for entry in entries for trial in entry["trials"] for name in trial["point"]})
    rows = []
    for entry in entries:
        for trial in entry["trials"]:
            point = {told_choice(name): shown(trial["point"][name]) if name in trial["point"] else "" for name in names}
            errors = [f"{trial[key]:.2%}" if key in trial else "diverged" for key in ("validation_error", "test_error")]
            is_it = (trial["seed"], trial["point"]) == (entry["seed"], entry["point"])
            rows.append(
                {"network": entry["model"], "R": str(entry["units"]), **point, "seed": str(trial["seed"])}
                | {"validation": errors[0], "test error": errors[1], "shown": "*" if is_it else ""}
            )
    return rows


def _over_seeds(entry: dict[str, Any]) -> str:
    """Mean and standard deviation of the test errors at the point that is shown, and of how many seeds."""
    errors = [t["test_error"] for t in entry["trials"] if t["point"] == entry["point"] and "test_error" in t]
    if len(errors) < 2:
        return "one seed"
    return f"{statistics.fmean(errors):.2%} ± {statistics.stdev(errors):.2%} of {len(errors)}"


def length_rows(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each network, a column for each number of pairs; none where all strings have one length."""
    rows = []
    for entry in entries:
        errors = {key.removeprefix(OF_PAIRS): entry[key] for key in entry if key.startswith(OF_PAIRS)}
        cells = {k: f"{errors[k]:.2%}" for k in sorted(errors, key=int)}
        rows += [{"R": str(entry["units"]), "network": entry["model"], **cells}] if cells else []
    return rows


def _cut(results: dict[str, Any]) -> list[str]:
    return [results["cut"]["sentence"]] if results.get("cut") else []


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    point = [f"{told_choice(key)} {shown(value)}" for key, value in entry["point"].items()]
    return (
        str(entry["units"]),
        entry["model"],
        f"{entry['test_error']:.2%} ± {entry['standard_error']:.2%}",
        _over_seeds(entry),
        "" if entry["paper"] is None else f"{entry['paper']:.2%}",
        f"{entry['validation_error']:.2%}",
        ", ".join([f"seed {entry['seed']}", *point]),
        str(len(entry["trials"])),
        f"{entry['steps']:,} x {entry['batch']}",
        "not known" if entry["seconds"] is None else f"{entry['seconds']:.{0 if entry['seconds'] >= 10 else 1}f}",
    )
