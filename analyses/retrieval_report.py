"""The retrieval table in words and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynsys.files import write_text
from dynsys.models.learners import NAMES
from dynsys.models.training_run import read_curves

TABLE, CURVES, CONFUSION = "table.md", "curves.html", "confusion.html"


def write_report(results: dict[str, Any], folder: Path) -> None:
    """``table.md``, ``curves.html`` and ``confusion.html``, from the runs in the folder."""
    from dynsys.plots import confusions, learning_curves, save_html

    write_text(folder / TABLE, table(results) + "\n")
    entries = results["entries"]
    records = [read_curves(folder / entry["folder"]) for entry in entries]
    panels: dict[str, dict[str, Any]] = {}
    for entry, record in zip(entries, records, strict=True):
        panels.setdefault(f"R = {entry['units']}", {})[entry["model"]] = record
    names = [f"{entry['model']}, R = {entry['units']}" for entry in entries]
    save_html(learning_curves(panels, title="Associative retrieval: learning curves"), folder / CURVES)
    confused = confusions(
        dict(zip(names, records, strict=True)), title="Associative retrieval: what is answered wrongly"
    )
    save_html(confused, folder / CONFUSION)


def table(results: dict[str, Any]) -> str:
    """The entries as a table in Markdown, then the claims."""
    head = (
        "R",
        "network",
        "test error",
        "paper",
        "validation",
        "chosen",
        "trainings",
        "steps x strings",
        "CPU seconds",
    )
    rows = [head, *map(_row, results["entries"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, *(f"\n{claim['sentence']}." for claim in results["claims"])])


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    point = [f"{NAMES.get(key, key.replace('_', ' '))} {value:g}" for key, value in entry["point"].items()]
    return (
        str(entry["units"]),
        entry["model"],
        f"{entry['test_error']:.2%} ± {entry['standard_error']:.2%}",
        "" if entry["paper"] is None else f"{entry['paper']:.2%}",
        f"{entry['validation_error']:.2%}",
        ", ".join([f"seed {entry['seed']}", *point]),
        str(len(entry["trials"])),
        f"{entry['steps']:,} x {entry['batch']}",
        "not known" if entry["seconds"] is None else f"{entry['seconds']:.0f}",
    )
