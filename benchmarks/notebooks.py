"""Runs the notebooks of docs/notebooks, as Jupyter would, and keeps what cells show: text, tables, data of figures.

    python benchmarks/notebooks.py FOLDER [NAME ...]

FOLDER takes what the cells write. Jupyter itself is not needed.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"
MOST = 300_000  # bytes of a notebook


def code_of(notebook: dict[str, Any]) -> list[str]:
    """What its cells run, in their order."""
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(source: str, names: dict[str, Any]) -> tuple[str, Any]:
    """What a cell prints, and the value of its last line."""
    tree, printed, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return printed.getvalue(), value


def shown(value: Any) -> dict[str, Any]:
    """A value by its kinds, as notebooks keep it: a figure is its data, without plotly.js."""
    if hasattr(value, "to_plotly_json"):
        return {"application/vnd.plotly.v1+json": json.loads(value.to_json())}
    page = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return {"text/plain": repr(value).splitlines(True)} | ({"text/html": page.splitlines(True)} if page else {})


def executed(notebook: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        text, value = run("".join(cell["source"]), names)
        cell["execution_count"], cell["outputs"] = number, []
        if text:
            cell["outputs"].append({"output_type": "stream", "name": "stdout", "text": text.splitlines(True)})
        if value is not None:
            result = {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": shown(value)}
            cell["outputs"].append(result)
    return notebook


def main() -> None:
    folder, *wanted = sys.argv[1:]
    os.chdir(folder)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if wanted and path.stem not in wanted:
            continue
        text = json.dumps(executed(json.loads(path.read_text())), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if len(text.encode()) > MOST:
            raise SystemExit(f"{path.name} has {len(text):,} letters with its outputs; show less")
        path.write_text(text)
        print(f"{path.name:<20} {len(text):>8,} letters", flush=True)


if __name__ == "__main__":
    main()
