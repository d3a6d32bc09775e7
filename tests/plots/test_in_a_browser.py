"""Pages in a real browser: scripts run without an error, scenes are drawn, buttons work, nothing is cut off."""

from pathlib import Path

import numpy as np
import pytest
from browser import Browser, program
from described import described
from test_plots_evolution import pitchfork

from dynsys import plots
from dynsys.analyses.one_network.report import write
from dynsys.analyses.one_network.study import Told, Whole
from dynsys.models.examples.bistable import Bistable
from dynsys.stability.modes import linear_modes
from dynsys.trajectories.projection import Projection

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium on this machine")

WIDTHS = (1400, 700, 390)

# Texts of figures that lie outside of what can be scrolled to, and elements that make the page wider than its window.
CUT_OFF = """(() => {
  const found = [];
  for (const gd of document.querySelectorAll(".js-plotly-plot")) {
    const frame = gd.getBoundingClientRect();
    for (const text of gd.querySelectorAll("svg text")) {
      const box = text.getBoundingClientRect();
      if (!text.textContent.trim() || !box.width || text.closest(".hoverlayer")) continue;
      const out = box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      if (out) found.push(text.textContent);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than its window");
  return found;
})()"""  # noqa: E501

DRAWN = """(async () => {
  const gd = document.querySelector(".js-plotly-plot");
  const image = new Image();
  image.src = await gd._fullLayout.scene._scene.toImage("png");
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {width: 100, height: 100});
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 100, 100);
  const colours = new Set(), data = context.getImageData(0, 0, 100, 100).data;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0) colours.add(data.slice(i, i + 3).join());
  return colours.size;
})()"""

SHOWN = """axis => {
  const spectrum = [...document.querySelectorAll(".js-plotly-plot")].find(gd => gd.layout.xaxis?.autorangeoptions);
  const {range, autorangeoptions: ends} = spectrum.layout[axis];
  return (range[1] - range[0]) / (ends.maxallowed - ends.minallowed);
}"""

BUTTON = """(label => {
  const texts = [...document.querySelectorAll(".updatemenu-button")];
  const box = texts.find(one => one.textContent.trim().endsWith(label)).getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def points():
    system = Bistable(3)
    return described(system, system.fixed_points()[0])


@pytest.fixture(scope="module")
def report(browser, points, tmp_path_factory):
    """The browser with the page about a network, which the tests after it find as they are."""
    folder = tmp_path_factory.mktemp("report")
    known = {"model": "bistable", "recognised": ["by name"], "assumed": [], "unused": []}
    told = Told(Path("bistable"), folder, known, points, points.system, modes=linear_modes(points))
    browser.open(write(told, Whole(), folder / "page.html", "dynsys report bistable -o page.html"), 1400, 900)
    return browser


def fitted(browser, width, height):
    """The figures of the page in a window of that size, once they fit it."""
    browser.resize(width, height)
    fits = "!gd.dataset.fitting && gd.dataset.fitted?.startsWith(`${gd.clientWidth} `)"
    browser.wait(f"[...document.querySelectorAll('figure .js-plotly-plot')].every(gd => {fits})")
    return browser.evaluate(CUT_OFF)


def test_a_scene_is_drawn_and_its_views_turn_it(report):
    assert report.evaluate(DRAWN) > 3
    report.evaluate("document.querySelector('#phase-portrait').scrollIntoView()")
    report.click(*report.evaluate(f"{BUTTON}('PC 1 – PC 2')"))
    eye = "document.querySelector('.js-plotly-plot')._fullLayout.scene.camera.eye"
    report.wait(f"{eye}.x === 0 && {eye}.y === 0 && {eye}.z > 1")
    assert report.errors == []


def test_a_click_on_a_point_or_its_row_shows_it_everywhere(report):
    """The origin of three bistable units, point 26, has three unstable directions with eigenvalue 1."""
    assert report.evaluate("document.getElementById('chosen').dataset.point") == "0"
    report.evaluate("document.querySelectorAll('#points tbody tr')[26].click()")
    assert report.evaluate("document.getElementById('chosen-name').textContent").startswith("Point 26")
    assert report.evaluate("document.querySelector('tr.chosen th').textContent") == "26"
    drawn = "document.getElementById('chosen-spectrum')._fullData[1]"
    assert report.evaluate(f"[...{drawn}.x].concat([...{drawn}.y])") == pytest.approx([1, 1, 1, 0, 0, 0], abs=1e-4)
    portrait = "document.querySelector('#phase-portrait .js-plotly-plot')"
    ring = f"{portrait}._fullData.find(trace => trace.name === 'chosen')"
    assert report.evaluate(f"[{ring}.x[0], {ring}.y[0], {ring}.z[0]]") == pytest.approx([0, 0, 0], abs=1e-6)
    report.evaluate(f"{portrait}.emit('plotly_click', {{points: [{{customdata: 3}}]}})")
    assert report.evaluate("document.getElementById('chosen').dataset.point") == "3"
    assert report.errors == []


def test_nothing_is_cut_off_at_any_width(report):
    assert {width: fitted(report, width, 900) for width in WIDTHS} == {width: [] for width in WIDTHS}
    shares = [report.evaluate(f"({SHOWN})('{axis}')") for axis in ("xaxis", "yaxis")]
    assert min(shares) == pytest.approx(1)  # of the eigenvalues, whose axes no wider window has left wide
    assert report.errors == []


def test_an_animation_plays_and_its_buttons_are_in_the_window(browser, tmp_path):
    diagram = pitchfork()
    runs = [[np.zeros((2, 3))]] * len(diagram.steps)
    figure = plots.portrait_animation(diagram, runs, runs, Projection.fit(np.eye(4)), title="Training")
    browser.open(plots.save_html(figure, tmp_path / "page.html"), 1280, 720)
    for width, height in ((1280, 720), (390, 800)):
        assert fitted(browser, width, height) == []
        x, y = browser.evaluate(f"{BUTTON}('play')")
        assert 0 < x < width
        assert 0 < y < height
    browser.click(x, y)
    browser.wait("document.querySelector('.js-plotly-plot')._fullLayout.sliders[0].active > 0")
    assert browser.errors == []
