"""The table of a grid, every point with its scores, and the best in a sentence."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from dynsys.analyses.grid.points import shown, told_choice
from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.files import write_text
from dynsys.io.text import paragraphs, sentence
from dynsys.models.loading.run_folder import FILE_NAME
from dynsys.models.training.run import read_curves

HERE = "dynsys.analyses.grid"
TABLE = "table.md"
DRAWN = 6  # points whose curves are drawn, the best of them
LEFT_OUT = ("point", "seed", "folder", "enough", "diverged", "validation_error", "steps", "seconds")


def write_grid(results: dict[str, Any], folder: Path, command: str) -> None:
    """``table.md``, ``report.html`` and ``results.json``."""
    from dynsys.plots import learning_curves

    rows = grid_rows(results)
    write_text(folder / TABLE, markdown(rows) + f"\n\n{best_sentence(results)}\n")
    ranked = sorted((e for e in results["points"] if e["score"]), key=lambda entry: entry["score"])[:DRAWN]
    curves = {_told(entry["point"]): read_curves(folder / entry["trials"][0]["folder"]) for entry in ranked}
    figures = [learning_curves({"": curves}, title="The best points of the grid")] if curves else []
    report = Report(
        title(results),
        command,
        [best_sentence(results)],
        results["settings"],
        [Section("Points", paragraphs(HERE, "scores"), rows), Section("Learning", figures=figures)],
        networks=[folder / row["folder"] / FILE_NAME for entry in results["points"] for row in entry["trials"]],
    )
    write_report(report, results, folder)


def title(results: dict[str, Any]) -> str:
    return f"Grid search: {results['settings']['task']}, {results['settings']['model']}"


def grid_rows(results: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each point, the best marked."""
    trials = [row for entry in results["points"] for row in entry["trials"]]
    metrics = sorted({name for row in trials for name in row if name not in LEFT_OUT})
    return [
        {**_row(entry, metrics), "best": "*" if i == results["best"] else ""}
        for i, entry in enumerate(results["points"])
    ]


def _row(entry: dict[str, Any], metrics: list[str]) -> dict[str, str]:
    learned = [row for row in entry["trials"] if "diverged" not in row]
    row = {told_choice(name): shown(value) for name, value in entry["point"].items()}
    row["trainings"] = str(len(entry["trials"]))
    row["diverged"] = str(len(entry["trials"]) - len(learned))
    for name in ("validation_error", *metrics, "steps", "seconds"):
        values = [trial[name] for trial in learned if trial.get(name) is not None]
        row[name.replace("_", " ")] = f"{statistics.fmean(values):.4g}" if values else "-"
    return row


def best_sentence(results: dict[str, Any]) -> str:
    """Which point is the best, by how much, and what was not done."""
    entries, number = results["points"], results["best"]
    best = {"point": {}, "score": None} if number is None else entries[number]
    trainings, cut = sum(len(entry["trials"]) for entry in entries), results.get("cut") or {"sentence": ""}
    facts = (len(entries), trainings, _told(best["point"]), best["score"], len(results["failed"]), cut["sentence"])
    return sentence(HERE, "best", *facts)


def _told(point: dict[str, Any]) -> str:
    return ", ".join(f"{told_choice(name)} {shown(value)}" for name, value in point.items())


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a table in Markdown."""
    head = list(rows[0])
    cells = [head, *([row[name] for name in head] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
