"""Figures to disk: one HTML file that needs no network, or a still picture by kaleido and a Chrome."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import plotly.graph_objects as go

from dynsys.io.files import check_drawn, write_drawn
from dynsys.plots.page import CONFIG, part, script
from dynsys.plots.still import HEIGHT, WIDTH, Size, still

PAGES, PICTURES = (".html", ".htm"), (".png", ".pdf", ".svg")  # what their names may end in


# Kaleido draws scenes in as many pixels as the layout has; a PDF is scaled down and needs more.
SHARP = """<script>{const draw = Plotly.toImage; Plotly.toImage = (figure, options) =>
  draw({...figure, config: {...figure.config, plotGlPixelRatio: %g}}, options);}</script>"""


class PictureError(ValueError):
    """A picture that cannot be drawn on this machine, and what to install."""


def check_page(path: str | Path) -> None:
    """Raise ValueError unless a page may be written there, by its name and by what is there already."""
    _check(path, PAGES, "a page")


def check_picture(path: str | Path) -> None:
    """As ``check_page``, of a still picture; PictureError where what draws it is not installed."""
    _check(path, PICTURES, "a picture")


def check_drawing(path: str | Path) -> None:
    """As ``check_page``, of a page or a still picture, as its name says."""
    _check(path, PAGES + PICTURES, "a page or a picture")


def check_drawings(path: str | Path | None, png: str | Path | None = None) -> None:
    """Raise ValueError now where a page or still, or a further still, could not be written in the end."""
    for place, check in ((path, check_drawing), (png, check_picture)):
        if place is not None:
            check(place)


def _check(path: str | Path, endings: tuple[str, ...], what: str) -> None:
    if Path(path).suffix.lower() not in endings:
        listed = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise ValueError(f"{str(path)!r} is no name for {what}; it has to end in {listed}")
    check_drawn(path)
    if Path(path).suffix.lower() in PICTURES and find_spec("kaleido") is None:
        raise PictureError(
            "a still picture needs the package kaleido: pip install 'dynsys-rnn[static]' (or save the picture as HTML)"
        )


def save_html(figure: go.Figure, path: str | Path, below: Sequence[go.Figure] = ()) -> Path:
    """One self-contained page that fills its window; plotly.js is inside (about 5 MB).

    The figures ``below`` follow, each as high as the window. Titles and captions are text of the page.
    Raises ValueError for a name that is not .html, and where something else than a page or picture is there.
    """
    check_page(path)
    body = "\n".join(_section(one, first=one is figure) for one in (figure, *below))
    title = html.escape(figure.layout.title.text or Path(path).stem)
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n<script>{script()}</script>\n</body>\n</html>\n"
    )
    return write_drawn(path, page.encode())


STYLE = """
body { margin: 0; font: 14px/1.4 Helvetica, Arial, "Liberation Sans", sans-serif; color: #222; }
figure { margin: 0; min-height: 100vh; box-sizing: border-box; padding: 10px 14px 12px; }
figure { display: flex; flex-direction: column; }
h1 { font-size: 19px; font-weight: 400; line-height: 1.25; margin: 0 200px 0 0; min-height: 24px; }
h1:empty { display: none; }
.scroll { flex: 1 1 auto; overflow-x: auto; display: flex; }
.drawn { flex: 1 1 auto; min-height: 380px; min-width: 0; position: relative; }
.drawn > div { position: absolute; inset: 0; }
figcaption { font-size: 13px; color: #6e6e6e; margin: 0 8px; }
figcaption p { margin: 2px 0 0; }
@media (max-width: 700px) { h1 { font-size: 17px; margin-right: 0; } }
@media print {
  .modebar { display: none !important; }
  figure { break-inside: avoid; min-height: 0; }
  .drawn { min-height: 640px; }
}
"""


def _section(figure: go.Figure, *, first: bool) -> str:
    """A figure with its title above and its caption below; one that has a height of its own keeps it as its least."""
    one = part(figure)
    height = one.figure.layout.height
    if height is not None:
        one.figure.layout.height = None
    drawn: str = one.figure.to_html(
        full_html=False,
        include_plotlyjs=first,
        include_mathjax=False,
        auto_play=False,  # of an animation: the reader starts it
        default_width="100%",
        default_height="100%",
        config=CONFIG,
    )
    least = {"min-width": one.least, "min-height": height if height and not figure.frames else 0}
    style = "; ".join(f"{name}: {size:g}px" for name, size in least.items() if size)
    caption = "".join(f"<p>{line}</p>" for line in one.caption)
    return (
        f"<figure>\n<h1>{one.title}</h1>\n"
        f'<div class="scroll"><div class="drawn" role="img" aria-label="{html.escape(one.alt)}" style="{style}">'
        f"{drawn}</div></div>\n<figcaption>{caption}</figcaption>\n</figure>"
    )


def save_drawings(figure: go.Figure, path: str | Path | None, png: str | Path | None = None) -> str:
    """The figure as a page or a still, as the name of ``path`` says, and as a further still where asked; says what was
    written: nothing where no place is given.
    """
    check_drawings(path, png)
    for place in (path, png):
        if place is not None:
            (save_html if is_page(place) else save_picture)(figure, place)
    places = [str(place) for place in (path, png) if place is not None]
    return f"Wrote {' and '.join(places)}." if places else ""


def is_page(path: str | Path) -> bool:
    return Path(path).suffix.lower() in PAGES


def save_picture(
    figure: go.Figure,
    path: str | Path,
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    size: str | None = None,
    font: float | None = None,
    caption: bool = True,
) -> Path:
    """A still picture, .png, .pdf or .svg by its name, without the buttons of the page.

    It has ``width`` x ``height`` layout pixels, a PNG twice as many each way. ``size`` says instead how large it is in
    print, like 85mm or 85mmx60mm: a PDF or SVG is as large, a PNG has 600 pixels to the inch. ``font`` are points of
    its text (8 in print), by which lines and markers are scaled as well. Without ``caption`` title and caption are left
    out. Kaleido draws it with the Chrome or Chromium on the PATH, or the one that the variable BROWSER_PATH names.
    Raises PictureError where either is missing or fails, and ValueError as ``save_html`` does.
    """
    check_picture(path)
    ending = Path(path).suffix.lower()
    one = still(figure, Size.read(size or f"{width}x{height}px"), font, caption, ending)
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    pages = kaleido.PageGenerator(mathjax=False)  # by default it is fetched from the network
    pages.footer = SHARP % one.sharp + pages.footer
    try:
        image: bytes = kaleido.calc_fig_sync(
            one.figure.to_dict(),
            opts={"format": ending[1:], "width": one.width, "height": one.height, "scale": one.scale},
            kopts={"page_generator": pages},
        )
    except ChromeNotFoundError as error:
        raise PictureError(
            "a still picture needs Chrome or Chromium, and none was found: install one, run kaleido_get_chrome, or "
            "name its program in BROWSER_PATH (or save the picture as HTML)"
        ) from error
    except Exception as error:  # whatever goes wrong in another program: kaleido lists no errors
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise PictureError(f"Chrome could not draw the picture ({reason}); save it as HTML instead") from error
    return write_drawn(path, image)
