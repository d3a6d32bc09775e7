"""Draws the pictures of docs/gallery.md: every script of that page is run, and its figure photographed by Chromium.

    python benchmarks/gallery.py FOLDER [NAME ...]

FOLDER holds model.pt and trials.npz of docs/tutorial.md, and takes what the scripts write.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dynsys.plots.still import Size, still

PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"
WIDTH, HEIGHT = 900, 640
SECTION = re.compile(r"```python\n(.*?)```\n\n!\[[^\]]*\]\(gallery/(\w+)\.png\)", re.DOTALL)


def scripts() -> dict[str, str]:
    """By the name of the picture."""
    return {name: code for code, name in SECTION.findall(PAGE.read_text())}


def photograph(figure: Any, place: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on the PATH; install one to draw the pictures")
    printed = still(figure, Size.read(f"{WIDTH}x{HEIGHT}px"), None, True, ".png").figure
    printed.update_layout(width=WIDTH, height=HEIGHT, autosize=False)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        shown = printed.to_html(full_html=False, include_plotlyjs=True, config={"displayModeBar": False})
        page.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{shown}</body>')
        options = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        options += ["--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=20000"]
        options += [f"--user-data-dir={folder}/profile", f"--screenshot={place}"]
        subprocess.run([chromium, *options, page.as_uri()], check=True, capture_output=True, timeout=240)


def main() -> None:
    folder, *wanted = sys.argv[1:]
    os.chdir(folder)
    for name, code in scripts().items():
        if wanted and name not in wanted:
            continue
        began, found = time.perf_counter(), {}
        exec(compile(code, f"{name}.py", "exec"), found)
        took = time.perf_counter() - began
        photograph(found["figure"], PAGE.parent / "gallery" / f"{name}.png")
        print(f"{name:<12} {took:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
