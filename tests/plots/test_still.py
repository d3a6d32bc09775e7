"""Pictures in print: as large as asked, with text of the points asked for, seen from where it is asked."""

import numpy as np
import pytest
from described import described

from dynsys import plots
from dynsys.models.examples.bistable import Bistable
from dynsys.plots.page import part, unbroken
from dynsys.plots.portrait.turned import turned
from dynsys.plots.still import Size, still
from dynsys.plots.style import logarithmic, powers


@pytest.fixture(scope="module")
def points():
    system = Bistable(2)
    return described(system, system.fixed_points()[0])


@pytest.fixture
def portrait(points):
    return plots.phase_portrait(points, title="Two units")


@pytest.mark.parametrize("font", [5, 8, 12])
def test_a_pdf_is_as_wide_as_asked_and_its_text_has_the_points_asked(portrait, font):
    """An inch has 25.4 mm, 96 pixels and 72 points; a figure's text has 14 pixels before it is scaled."""
    one = still(portrait, Size.read("85mmx90mm"), font, False, ".pdf")
    assert one.width * one.scale / 96 * 25.4 == pytest.approx(85, rel=2e-3)
    assert one.height * one.scale / 96 * 25.4 == pytest.approx(90, rel=2e-3)
    assert 14 * one.scale / 96 * 72 == pytest.approx(font)


def test_a_png_in_print_has_600_pixels_to_the_inch(portrait):
    one = still(portrait, Size.read("2in"), None, True, ".png")
    assert one.width * one.scale == pytest.approx(1200, rel=2e-3)
    assert still(portrait, None, None, True, ".png").width == 1400


@pytest.mark.parametrize("text", ["85", "85mmx", "wide", "-3mm", "0.1mm", "85pt", "1mx2m", "mm"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="no size"):
        Size.read(text)


def test_one_unit_is_enough_for_both_sides():
    sizes = [Size.read(text) for text in ("85x60mm", "85mmx6cm", "85mmx60")]
    assert [(one.width, one.height) for one in sizes] == [pytest.approx((85 / 25.4, 60 / 25.4))] * 3


def test_text_that_leaves_no_room_is_refused(portrait):
    with pytest.raises(ValueError, match="leaves no room"):
        still(portrait, Size.read("20mm"), 12, True, ".pdf")


def test_a_still_without_caption_has_neither_words_nor_buttons_and_the_figure_keeps_them(portrait):
    bare = still(portrait, None, None, False, ".png").figure
    assert bare.layout.title.text is None
    assert not bare.layout.annotations
    assert not bare.layout.updatemenus
    assert portrait.layout.title.text == "Two units"
    assert portrait.layout.updatemenus


def test_the_words_of_a_figure_become_those_of_the_page(portrait):
    one = part(portrait)
    assert one.title == "Two units"
    assert one.caption[0].startswith("9 points: 4 stable")
    assert one.figure.layout.title.text is None
    assert unbroken("One sentence in<br>two lines. And<br>so on.<br>More.") == ["One sentence in two lines. And so on.",
                                                                          "More."]  # fmt: skip


def test_an_animation_keeps_its_title_which_changes(portrait):
    import plotly.graph_objects as go

    portrait.frames = [go.Frame(name="1", layout={"title": {"text": "one"}})]
    assert part(portrait).figure.layout.title.text == "Two units"


@pytest.mark.parametrize(("view", "eye"), [("0,0", (1, 0, 0)), ("90,0", (0, 1, 0)), ("45,30", (0.6124, 0.6124, 0.5))])
def test_a_scene_is_seen_from_azimuth_and_elevation(portrait, view, eye):
    seen = turned(portrait, view).layout.scene.camera.eye
    found = np.array([seen.x, seen.y, seen.z])
    assert found / np.linalg.norm(found) == pytest.approx(eye, abs=1e-4)


def test_a_scene_is_turned_as_its_buttons_do_and_the_button_is_pressed(points):
    figure = plots.phase_portrait(described(Bistable(3), Bistable(3).fixed_points()[0]))
    turned(figure, "23")
    (menu,) = figure.layout.updatemenus
    assert menu.buttons[menu.active].label == "PC 2 – PC 3"
    assert figure.layout.scene.camera.eye.y == figure.layout.scene.camera.eye.z == 0
    with pytest.raises(ValueError, match="oblique, 12, 13, 23, or AZIMUTH,ELEVATION"):
        turned(figure, "up")
    with pytest.raises(ValueError, match="no scene of its own"):
        turned(plots.spectrum(points), "12")


@pytest.mark.parametrize(("low", "high"), [(0.8, 4.7), (0.03, 2.0), (1.0, 1.01), (5.0, 5.0)])
def test_few_decades_have_ticks_of_one_size(low, high):
    """Plotly makes those between powers of ten smaller unless they are given one by one."""
    axis = logarithmic(low, high)
    assert all(0.99 * low <= value <= 1.01 * high for value in axis["tickvals"])
    assert [float(text) for text in axis["ticktext"]] == axis["tickvals"]
    assert logarithmic(1e-5, 1.0)["dtick"] == 1


def test_powers_of_ten_are_written_out():
    axis = powers(2)
    told = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert told[1e-4] == "10<sup>−4</sup>"
    assert told[1.0] == "1"
    assert 1e-3 not in told
