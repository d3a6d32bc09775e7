"""What the documentation shows is run: every command of the verbs' pages, and README's Python."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dynsys.cli import VERBS, main
from dynsys.cli import command as command_of

ROOT = Path(__file__).parents[2]


def options_of(verb):
    """Of a verb with verbs of its own, those of all."""
    command = command_of(verb)
    return [option for part in getattr(command, "commands", {"": command}).values() for option in part.params]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_every_verb_has_a_page_and_every_page_of_a_verb_its_command():
    assert all((ROOT / "docs" / f"{verb}.md").is_file() for verb in VERBS)
    readme = (ROOT / "README.md").read_text()
    which = (ROOT / "docs" / "which.md").read_text()
    assert all(f"dynsys {verb}" in readme and f"dynsys {verb}" in which for verb in VERBS)


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


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_shows_no_option_that_its_command_lacks(verb):
    page = (ROOT / "docs" / f"{verb}.md").read_text()
    names = {name for option in options_of(verb) for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= names


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_command_is_on_its_page(verb):
    """Those that say which network a file holds are told once, on the page about files."""
    pages = (ROOT / "docs" / f"{verb}.md").read_text() + (ROOT / "docs" / "checkpoints.md").read_text()
    options = [option for option in options_of(verb) if option.opts[0].startswith("-")]
    missing = [
        option.opts[-1]
        for option in options
        if not any(name in pages for name in (*option.opts, *option.secondary_opts))
    ]
    assert missing == []


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


def files_of_the_page_on_other_tools(folder):
    """Files that the examples of docs/checkpoints.md name, of six units."""
    import numpy as np
    import torch
    from scipy.io import savemat

    rng = np.random.default_rng(0)

    def W(*shape):
        return rng.standard_normal(shape) / 3

    rnn = {f"rnn.{key}": value for key, value in torch.nn.RNN(3, 6).state_dict().items()}
    torch.save(rnn, folder / "model.pt")
    u, h = W(1, 30, 3), np.zeros((1, 31, 6))
    weights = {key.removeprefix("rnn.").removesuffix("_l0"): value.numpy() for key, value in rnn.items()}
    for t in range(30):
        drive = weights["weight_ih"] @ u[0, t] + weights["bias_ih"] + weights["bias_hh"]
        h[0, t + 1] = np.tanh(weights["weight_hh"] @ h[0, t] + drive)
    np.savez(folder / "trials.npz", hidden=h[:, 1:])
    np.savez(folder / "net.npz", J=W(6, 6), B=W(6, 3), b=W(6))
    np.savez(folder / "lowrank.npz", m=W(6, 2), n=W(6, 2), wi=W(3, 6))
    np.savez(folder / "dale.npz", W_rec=W(6, 6), mask=np.eye(6), Dale_rec=np.diag([1, 1, 1, 1, -1, -1.0]))
    np.savez(folder / "esn.npz", W=W(6, 6), Win=W(6, 2), Wout=W(1, 6), Wfb=W(6, 1))
    savemat(folder / "lstm.mat", {f"U{gate}": W(6, 6) for gate in "ifgo"})
    state, net = [np.zeros(6)], np.load(folder / "net.npz")
    for t in range(30):
        state.append(np.maximum(net["J"] @ state[-1] + net["B"] @ u[0, t] + net["b"], 0))
    np.savez(folder / "trial.npz", inputs=u[0], states=np.array(state[1:]))


def test_the_examples_of_the_page_on_other_tools_files_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_of_the_page_on_other_tools(tmp_path)
    lines = [line for block in blocks(ROOT / "docs" / "checkpoints.md", "bash") for line in block.splitlines() if line]
    assert len(lines) >= 7
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}{result.stderr}"


def test_the_page_of_references_has_all_that_reports_cite():
    from dynsys.analyses.citations import CITATIONS

    page = (ROOT / "docs" / "references.md").read_text()
    assert [citation.key for citation in CITATIONS.values() if f"- {citation.text}\n" not in page] == []
