"""The table and the page of a survey."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from dynsys.analyses.portrait import title_of_kind
from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.files import write_text
from dynsys.io.text import paragraphs

HERE = "dynsys.analyses.survey"
TABLE = "table.csv"
COLUMNS = (
    "name",
    "network",
    "kind",
    "state_variables",
    "fixed",
    "stable",
    "saddles",
    "marginal",
    "slow",
    "manifolds",
    "orbits",
    "certified",
    "least",
    "most",
    "complete",
    "index_sum",
    "slowest",
    "fastest",
    "reason",
)


def title(results: dict[str, Any]) -> str:
    return f"Survey of {len(results['networks']) + len(results['failed'])} networks"


def write_survey(results: dict[str, Any], folder: Path, command: str) -> None:
    """``table.csv``, ``report.html`` and ``results.json``."""
    from dynsys.plots import counts_of_networks

    write_text(folder / TABLE, as_csv(results))
    figures = [counts_of_networks(results["networks"])] if results["networks"] else []
    sections = [
        Section("Points", figures=figures),
        Section("Networks", paragraphs(HERE, "columns"), table_rows(results)),
    ]
    if results["failed"]:
        sections.append(Section("Not searched", "", results["failed"]))
    told, how = survey_sentences(results), results["settings"]
    write_report(Report(title(results), command, told, how, sections, ["sussillo2013"]), results, folder)


def survey_sentences(results: dict[str, Any]) -> list[str]:
    """How many networks have how many memories, what is proved, what could not be done."""
    networks = results["networks"]
    stable = sorted(Counter(row["stable"] for row in networks).items())
    complete = sum(row["complete"] for row in networks)
    fixed, certified = (sum(row[key] for row in networks) for key in ("fixed", "certified"))
    more = sum(row["most"] is None or row["most"] > row["fixed"] for row in networks if not row["complete"])
    cut = (results.get("cut") or {"sentence": ""})["sentence"]
    facts = (len(networks), stable, fixed, certified, complete, more, results["failed"], cut)
    return paragraphs(HERE, "summary", *facts)


def table_rows(results: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each network, as it is read."""
    return [_row(row) for row in results["networks"]]


def _row(row: dict[str, Any]) -> dict[str, str]:
    most = "any number" if row["most"] is None else str(row["most"])
    between = "complete" if row["complete"] else "" if row["least"] is None else f"{row['least']} to {most}"
    kinds = {key: str(row[key]) for key in ("fixed", "stable", "saddles", "marginal", "slow", "orbits")}
    time = "" if row["slowest"] is None else f"{row['slowest']:.3g}"
    return {
        "name": row["name"],
        "network": f"{title_of_kind(row['network'])}, {row['state_variables']}",
        **kinds,
        "certified": str(row["certified"]),
        "in all (95 %)": between,
        "slowest memory": time,
    }


def as_csv(results: dict[str, Any]) -> str:
    """All numbers, and the reason where there are none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*results["networks"], *results["failed"]])
    return text.getvalue()
