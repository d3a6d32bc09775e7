"""The page of a study: everything in it, nothing from the network, text never taken for markup."""

import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from dynsys.analyses.citations import CITATIONS
from dynsys.analyses.report import Report, Section, in_words, scenes_of, write_report


def solid(scenes=1):
    figure = go.Figure()
    for k in range(scenes):
        figure.add_trace(go.Scatter3d(x=[0], y=[0], z=[0], scene="scene" if k == 0 else f"scene{k + 1}"))
    return figure


@pytest.fixture
def written(tmp_path):
    table = [{"network": "a <b>", "error": 1.23456e-5}, {"network": "c", "points": 12345}]
    sections = [
        Section("Points & memories", "One paragraph.", table, [solid(), go.Figure(go.Scatter(x=[1], y=[2]))]),
        Section("More", ["First.", "Second."]),
    ]
    report = Report(
        "Noise", "dynsys noise x -o RUN", ["It held."], {"levels": (0.1, 1.0), "seed": 3}, sections, ["jang"]
    )
    page = write_report(report, {"schema": "dynsys.noise/1", "found": 7}, tmp_path)
    return page.read_text(), json.loads((tmp_path / "results.json").read_text())


def test_the_page_needs_no_network(written):
    page, _ = written
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert page.count("Plotly.newPlot(") >= 2  # one for each figure
    assert len(re.findall(r"plotly\.js v\d", page)) == 1


def test_text_is_not_markup(written):
    page, _ = written
    assert "a &lt;b&gt;" in page
    assert "Points &amp; memories" in page


def test_the_page_holds_what_is_needed_to_make_it_again(written):
    page, results = written
    assert "dynsys noise x -o RUN" in page
    assert "0.1, 1" in page
    assert "1.235e-05" in page
    assert "12,345" in page
    assert CITATIONS["jang"].title in page
    assert "@misc{jang" in page
    assert results["schema"] == "dynsys.noise/1"
    assert results["found"] == 7
    assert results["settings"] == {"levels": [0.1, 1.0], "seed": 3}
    assert results["versions"]["numpy"] == np.__version__


def test_scenes_are_counted_by_scene_and_not_by_trace():
    figure = solid(2)
    figure.add_trace(go.Scatter3d(x=[0], y=[0], z=[0], scene="scene2"))
    assert scenes_of(figure) == 2
    assert scenes_of(go.Figure(go.Scatter(x=[0], y=[0]))) == 0


def test_a_page_with_more_scenes_than_a_browser_draws_is_refused():
    Report("eight", "c", sections=[Section("s", figures=[solid(4), solid(4)])])
    with pytest.raises(ValueError, match="9 three-dimensional scenes; a page holds 8"):
        Report("nine", "c", sections=[Section("s", figures=[solid(4), solid(5)])])


def test_an_unknown_citation_is_refused():
    with pytest.raises(ValueError, match=r"no citation 'nobody'; the names are .*jang"):
        Report("t", "c", citations=["nobody"])


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "yes"), (0.5, "0.5"), (1000, "1,000"), ([1, None], "1, "), ("x", "x")]
)
def test_values_in_words(value, text):
    assert in_words(value) == text


@pytest.mark.parametrize("citation", CITATIONS.values(), ids=str)
def test_references_are_whole(citation):
    assert citation.title in citation.text
    assert citation.bibtex.startswith(f"@{citation.kind}{{{citation.key},")
    assert citation.bibtex.count("{") == citation.bibtex.count("}")
