"""The layout of DESIGN: which way imports go, what is packaged, what the command line imports."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVEL = {"dynsys": 0, "dynsys.models": 1, "dynsys.analyses": 2, "dynsys.cli": 3}
FACADE = {"dynsys", "dynsys.__main__"}  # these look upward
FILES = [p for top in ("dynsys", "models", "analyses") for p in sorted((ROOT / top).glob("**/*.py"))]
SOURCES = [p for p in FILES if not {"models", "analyses"} & set(p.relative_to(ROOT).parts[1:])]


def package_of(module: str) -> str:
    return next(
        (p for p in ("dynsys.models", "dynsys.analyses", "dynsys.cli") if (module + ".").startswith(p + ".")), "dynsys"
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("dynsys", *parts) if parts[0] in ("models", "analyses") else parts
    return ".".join(parts).removesuffix(".__init__")


def imports(path: Path) -> list[str]:
    """What a file imports of the project, by ``import``, ``from`` of either kind, or ``import_module``."""
    found = []
    here = module_of(path).split(".")
    folder = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return [name for name in found if name.split(".")[0] == "dynsys"]


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from dynsys import models", "dynsys.models"),
        ("from dynsys import load, analyses", "dynsys.analyses"),
        ("from .models import registry", "dynsys.models"),
        ("from . import analyses", "dynsys.analyses"),
        ("import importlib\nimportlib.import_module('dynsys.models.recurrent.gru')", "dynsys.models.recurrent.gru"),
        ("def f():\n    import dynsys.cli.networks.find", "dynsys.cli.networks.find"),
    ],
)
def test_no_way_to_import_goes_unseen(line, module, monkeypatch):
    path = ROOT / "dynsys" / "new.py"
    monkeypatch.setattr(Path, "read_text", lambda self: line)
    assert module in imports(path)


def test_no_modules_import_each_other_not_even_inside_functions():
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    modules = house.files()
    assert house.circles({name: house.imports(name, path, modules) for name, path in modules.items()}) == []


@pytest.mark.parametrize("path", [p for p in SOURCES if module_of(p) not in FACADE], ids=str)
def test_imports_go_from_analyses_to_models_to_engine(path):
    module = module_of(path)
    upward = [name for name in imports(path) if LEVEL[package_of(name)] > LEVEL[package_of(module)]]
    assert upward == []


ORDER = ["systems", "search"]


@pytest.mark.parametrize(("lower", "higher"), [(a, b) for i, a in enumerate(ORDER) for b in ORDER[i + 1 :]])
def test_engine_layers_do_not_look_up(lower, higher):
    files = [p for p in SOURCES if module_of(p).startswith(f"dynsys.{lower}")]
    assert files
    assert not [p for p in files for name in imports(p) if name.startswith(f"dynsys.{higher}")]


def test_solvers_know_nothing_of_the_search_that_uses_them():
    files = [p for p in SOURCES if module_of(p).startswith("dynsys.search.solvers")]
    others = [name for p in files for name in imports(p) if name.startswith("dynsys.search.")]
    assert files
    assert [name for name in others if not name.startswith("dynsys.search.solvers")] == []


@pytest.mark.parametrize("name", ["result.fixed_points", "stability", "trajectories.projection", "plots"])
def test_results_know_nothing_of_the_search(name):
    files = [p for p in SOURCES if module_of(p).startswith(f"dynsys.{name}")]
    assert files
    assert not [p for p in files for module in imports(p) if module.startswith("dynsys.search")]


def test_packages_listed_are_the_packages_on_disk():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    assert listed == {module_of(p) for p in SOURCES if p.name == "__init__.py"}


@pytest.mark.parametrize("name", ["models", "analyses"])
def test_folders_refuse_their_short_name(name):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1
    assert f"imported as dynsys.{name}" in ran.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from dynsys.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'numpy', 'scipy', 'sklearn', 'plotly'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_what_every_command_needs_leaves_scipy_on_the_disk():
    code = (
        "import sys, dynsys.models.loading.checkpoint, dynsys.search.find, dynsys.analyses.pictures; "
        "print({f'scipy.{part}' for part in ('linalg', 'optimize', 'sparse', 'special', 'stats')} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"


def test_wheel_and_sdist_hold_models_and_analyses(tmp_path):
    """Built without network, by the setuptools that is installed; the wheel is made out of the sdist."""
    import tarfile
    import zipfile

    build = "from setuptools import build_meta as b; import sys; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    source = tmp_path / "source"
    for name in tracked.stdout.splitlines():
        here, there = ROOT / name, source / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            there.symlink_to(here.readlink())
        elif here.exists():
            there.write_bytes(here.read_bytes())
    pytest.importorskip("setuptools")
    subprocess.run([sys.executable, "-c", build, "sdist", str(tmp_path)], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    subprocess.run([sys.executable, "-c", build, "wheel", str(tmp_path)], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(Path(*module_of(p).split("."))) for p in SOURCES if p.name == "__init__.py"}
    assert {f"{package}/__init__.py" for package in expected} <= names
    assert {"dynsys/models/rate/echo_state.py", "dynsys/analyses/memory/letters.txt"} <= names
    templates = {p.relative_to(ROOT) for top in ("dynsys", "analyses") for p in (ROOT / top).rglob("*.jinja")}
    assert {str(p if p.parts[0] == "dynsys" else "dynsys" / p) for p in templates} <= names


def test_tests_lie_in_the_folder_of_what_they_test():
    chapters = {"project"} | {f.parent.relative_to(ROOT / "dynsys").as_posix() for f in (ROOT / "dynsys").rglob("*.py")}
    chapters |= {
        f.parent.relative_to(ROOT).as_posix() for top in ("models", "analyses") for f in (ROOT / top).rglob("*.py")
    }
    for test in (ROOT / "tests").rglob("test_*.py"):
        assert test.parent.relative_to(ROOT / "tests").as_posix() in chapters, test
