"""What the documentation shows is run: every command of the verbs' pages, and README's Python."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dynsys.cli import main

ROOT = Path(__file__).parents[1]
VERBS = sorted(main.commands)


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_every_verb_has_a_page_and_every_page_of_a_verb_its_command():
    assert all((ROOT / "docs" / f"{verb}.md").is_file() for verb in VERBS)
    readme = (ROOT / "README.md").read_text()
    assert all(f"dynsys {verb}" in readme for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_page_work(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(ROOT / "docs" / f"{verb}.md", "bash") for line in block.splitlines() if line]
    assert any(f"dynsys {verb}" in line for line in lines)
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "dynsys"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}{result.stderr}"


def test_every_option_of_a_command_is_an_option_of_its_page_or_its_help():
    for verb in VERBS:
        page = (ROOT / "docs" / f"{verb}.md").read_text()
        for option in re.findall(r"`(--[a-z-]+)", page):
            names = {
                name
                for parameter in main.commands[verb].params
                for name in (*parameter.opts, *parameter.secondary_opts)
            }
            assert option in names, f"docs/{verb}.md shows {option}, which dynsys {verb} does not have"


def test_readme_python_runs(tmp_path):
    """On a small network in place of the demo's, in a fresh interpreter."""
    result = CliRunner().invoke(
        main, ["train", "flipflop", "esn", "--bits", "2", "--units", "100", "-o", str(tmp_path / "demo")]
    )
    assert result.exit_code == 0
    code = "\n".join(blocks(ROOT / "README.md", "python"))
    assert len(code.splitlines()) >= 15
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "portrait.html").is_file()


def test_ci_runs_exactly_the_two_commands_of_the_readme():
    (block,) = re.findall(r"<!-- commands -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(block.strip().splitlines()) == 2
    assert "README.md" in (ROOT / ".ci" / "run").read_text()
