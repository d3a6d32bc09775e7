"""How finely the house is cut: lines, files, folders, imports, constants and hand-made text, counted from the code.

Product code is ``dynsys``, ``models`` and ``analyses``; the engine is ``dynsys`` without its plots and command line.

python benchmarks/house.py
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import click

ROOT = Path(__file__).parents[1]
TOPS = ("dynsys", "models", "analyses")
NO_ENGINE = ("plots", "cli")


def files() -> dict[str, Path]:
    """Every product file by the name of its module; the folders that are linked into dynsys count once."""
    found = {}
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if top == "dynsys" and len(parts) > 1 and parts[1] in TOPS[1:]:
                continue
            name = ".".join(parts if top == "dynsys" else ("dynsys", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


def is_engine(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] == "dynsys" and parts[1] not in NO_ENGINE


def imports(module: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """The project's modules that one imports, those inside functions too, without what only types need."""
    found: set[str] = set()
    for node in _walked(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dynsys":
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules)
            found |= inner or ({node.module} & set(modules))
    return found - {module}


def _walked(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _walked(node)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The sets of modules that import each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            part = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(part) > 1:
                found.append(sorted(part))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def depth(graph: dict[str, set[str]]) -> list[str]:
    """The longest chain of imports, a circle counted as one of its modules."""
    merged = {name: part[0] for part in circles(graph) for name in part}
    joined: dict[str, set[str]] = defaultdict(set)
    for name, others in graph.items():
        here = merged.get(name, name)
        joined[here] |= {merged.get(other, other) for other in others} - {here}
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            chains[name] = [name, *max((chain(other) for other in sorted(joined[name])), key=len, default=[])]
        return chains[name]

    return max((chain(name) for name in sorted(joined)), key=len)


def constants(tree: ast.Module) -> list[tuple[str, float]]:
    """The numbers that a module names in capitals."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        (target, *_) = node.targets
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = node.value.elts if isinstance(node.value, ast.Tuple) and len(names) > 1 else [node.value] * len(names)
        for name, value in zip(names, values, strict=False):
            number = _number(value)
            if isinstance(name, ast.Name) and name.id.isupper() and number is not None:
                found.append((name.id, number))
    return found


def _number(node: ast.AST) -> float | None:
    try:
        value = eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})
    except Exception:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def makes_text(function: ast.FunctionDef) -> bool:
    told = "" if function.returns is None else ast.unparse(function.returns)
    return told in ("str", "list[str]", "tuple[str, ...]", "str | None")


def passes_on(function: ast.FunctionDef) -> bool:
    names = [argument.arg for argument in function.args.args]
    return {"system", "x", "u"} <= set(names)


def entered() -> tuple[int, int]:
    """Product files and functions that a search of two variables enters."""
    sys.path.insert(0, str(ROOT))  # the code that is counted, be it installed or not
    from dynsys.models.examples.bistable import Bistable
    from dynsys.search.find import find_fixed_points

    system, seen = Bistable(2), set()
    tops = tuple(str(ROOT / top) for top in TOPS)

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(tops):
            seen.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(look)
    try:
        find_fixed_points(system, n_starts=32, workers=1)
    finally:
        sys.setprofile(None)
    return len({path for path, _ in seen}), len(seen)


@click.command()
def main() -> None:
    """Print the table."""
    modules = files()
    trees = {name: ast.parse(path.read_text()) for name, path in modules.items()}
    lines = {name: len(path.read_text().splitlines()) for name, path in modules.items()}
    folders = Counter(path.parent for path in modules.values())
    (folder, most) = folders.most_common(1)[0]
    graph = {name: imports(name, path, modules) for name, path in modules.items()}
    numbers = [each for name, path in modules.items() if is_engine(path) for each in constants(trees[name])]
    values: dict[str, set[float]] = defaultdict(set)
    for name, value in numbers:
        values[name].add(value)
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    texts = sum((node.end_lineno or 0) - node.lineno + 1 for node in functions if makes_text(node))
    found_files, found_functions = entered()
    rows = [
        ("product lines", f"{sum(lines.values()):,}"),
        ("product files", f"{len(modules):,}"),
        ("median file", f"{median(lines.values()):.0f} lines"),
        ("largest folder of files side by side", f"{most} ({folder.relative_to(ROOT)})"),
        ("files entered by one search of two variables", f"{found_files} ({found_functions} functions)"),
        ("import depth", str(len(depth(graph)))),
        ("circles of imports, lazy ones included", str(len(circles(graph)))),
        ("numeric constants of the engine as globals", str(len(numbers))),
        ("names of those with several values", str(sum(len(each) > 1 for each in values.values()))),
        ("functions that pass (system, x, u) on", str(sum(map(passes_on, functions)))),
        ("lines of functions that return text", f"{texts:,}"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")
    for part in circles(graph):
        click.echo(f"circle: {', '.join(part)}")


if __name__ == "__main__":
    main()
