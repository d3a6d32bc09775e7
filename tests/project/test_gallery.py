"""The pages that teach: every script of the gallery, the tutorial, the how-to pages and the notebooks, at toy size."""

import functools
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import dynsys
from dynsys import find_fixed_points, follow_inputs, load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINES = 12  # of a script
# What a new user wants done.
JOBS = ["contexts", "twelve", "amplitude", "notebook", "sine", "dale", "slice", "export"]

SMALL = {  # choices that make a training a toy
    "integration": {"units": 4, "steps": 2, "options": {"stimulus": "4", "response": "2"}},
    "sine": {"units": 10, "steps": 60, "options": {"waves": "2", "steps": "30"}},
    "flipflop": {"units": 10, "steps": 2},
}


def benchmark(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPTS = benchmark("gallery").scripts()
NOTEBOOKS = benchmark("notebooks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of one bistable unit and two that forget, with trials of it, where the scripts run."""
    folder = tmp_path_factory.mktemp("gallery")
    rnn, readout = torch.nn.RNN(2, 3), torch.nn.Linear(3, 2)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.tensor([[2.0, 0.2, 0.0], [-0.1, 0.6, 0.0], [0.3, 0.0, 0.5]]))
        for bias in (rnn.bias_ih_l0, rnn.bias_hh_l0):
            bias.zero_()
    named = {"rnn": rnn, "readout": readout}
    weights = {f"{name}.{key}": value for name, module in named.items() for key, value in module.state_dict().items()}
    torch.save(weights, folder / "model.pt")
    u = np.random.default_rng(0).standard_normal((4, 9, 2)).astype(np.float32)
    with torch.no_grad():
        hidden = rnn(torch.as_tensor(u).swapaxes(0, 1))[0].numpy().swapaxes(0, 1)
    np.savez(folder / "trials.npz", hidden=hidden, inputs=u, last=np.sign(u[:, -1]))
    return folder


@pytest.fixture
def toy(folder, monkeypatch):
    """What takes long is done with less."""
    monkeypatch.chdir(folder)
    smaller = {
        "train": lambda task, model, place, **more: train(task, model, place, **{**more, **SMALL[task]}),
        "load": loaded,
        "find_fixed_points": lambda *given, **more: find(*given, **{"n_starts": 8, "verify": False, **more}),
        "basins": lambda points, n: basins(points, 16),
        "follow_inputs": lambda system, path: followed(tuple(map(tuple, path))),
        "lyapunov_exponents": lambda system, **more: exponents(system, **{**more, "steps": 50, "burn_in": 10}),
    }
    train, find, exponents, basins = dynsys.train, found_once, dynsys.lyapunov_exponents, dynsys.basins
    for name, function in smaller.items():
        monkeypatch.setattr(dynsys, name, function, raising=False)


@functools.cache
def followed(path):
    """Two scripts draw this."""
    return follow_inputs(load("model.pt"), path, searches=2)


loaded = functools.cache(load)


def found_once(system, progress=None, **settings):
    """Many scripts begin with the points of the one network."""
    alone = system is loaded("model.pt") and set(settings) == {"n_starts", "verify"}
    return points_of_the_network() if alone else find_fixed_points(system, progress=progress, **settings)


@functools.cache
def points_of_the_network():
    return find_fixed_points(loaded("model.pt"), n_starts=32)


def test_the_gallery_has_twenty_pictures_and_the_eight_jobs_of_a_new_user():
    assert len(SCRIPTS) >= 20
    assert [job for job in JOBS if job not in SCRIPTS] == []
    assert [name for name in SCRIPTS if not (DOCS / "gallery" / f"{name}.png").is_file()] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_the_gallery_draws_its_picture_in_a_few_lines(name, toy):
    code = SCRIPTS[name].replace("range(12)", "range(3)")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= LINES
    assert not re.search(r"\b_[a-z]\w*", code.replace("_repr_html_", ""))  # public names only
    found = {}
    exec(compile(code, f"{name}.py", "exec"), found)
    assert isinstance(found["figure"], go.Figure)
    assert len(found["figure"].data) > 0


def blocks(name):
    return "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL))


def test_the_tutorial_goes_from_a_network_to_a_page(toy):
    """Trained for two steps, on the points of a few starts."""
    found = {}
    exec(compile(blocks("tutorial.md").replace("range(500)", "range(2)"), "tutorial.md", "exec"), found)
    assert Path("portrait.html").is_file()
    assert found["states"].shape == (60, 32, 24)


def test_what_the_how_to_pages_show_runs(toy):
    """FORCE on the last hundredth of the steps learns nothing yet, and has the shapes of the whole."""
    found = {}
    exec(compile(blocks("howto.md").replace("8000", "80").replace("units=200", "units=10"), "howto.md", "exec"), found)
    assert found["network"].n_output == 2


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_was_executed_without_an_error_and_runs(path, toy):
    notebook = json.loads(path.read_text())
    assert path.stat().st_size < 300_000
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    shown = [kind for cell in cells for output in cell["outputs"] for kind in output.get("data", {})]
    assert {"text/html", "application/vnd.plotly.v1+json"} <= set(shown)
    names = {}
    for source in NOTEBOOKS.code_of(notebook):
        NOTEBOOKS.run(source, names)
