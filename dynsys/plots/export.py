"""Figures to disk: one HTML file that needs no network, or a still picture by kaleido and a Chrome."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from dynsys.io.files import check_drawn, write_drawn

PAGES, PICTURES = (".html", ".htm"), (".png", ".pdf", ".svg")  # what their names may end in


class PictureError(ValueError):
    """A picture that cannot be drawn on this machine, and what to install."""


def check_page(path: str | Path) -> None:
    """Raise ValueError unless a page may be written there, by its name and by what is there already."""
    _check(path, PAGES, "a page")


def check_picture(path: str | Path) -> None:
    """As ``check_page``, of a still picture."""
    _check(path, PICTURES, "a picture")


def _check(path: str | Path, endings: tuple[str, ...], what: str) -> None:
    if Path(path).suffix.lower() not in endings:
        raise ValueError(f"{str(path)!r} is no name for {what}; it has to end in {' or '.join(endings)}")
    check_drawn(path)


def save_html(figure: go.Figure, path: str | Path, below: Sequence[go.Figure] = ()) -> Path:
    """One self-contained page that fills its window; plotly.js is inside (about 5 MB).

    The figures ``below`` follow, each as high as the window.
    Raises ValueError for a name that is not .html, and where something else than a page or picture is there.
    """
    check_page(path)
    body = "\n".join(_division(one, first=one is figure) for one in (figure, *below))
    title = html.escape(figure.layout.title.text or Path(path).stem)
    overflow = "overflow-x" if below else "overflow"
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>body {{ margin: 0; {overflow}: hidden }}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
    return write_drawn(path, page.encode())


def _division(figure: go.Figure, *, first: bool) -> str:
    found: str = figure.to_html(
        full_html=False,
        include_plotlyjs=first,
        include_mathjax=False,
        auto_play=False,  # of an animation: the reader starts it
        default_width="100vw",
        default_height="100vh",
        config={
            "displaylogo": False,
            "showSendToCloud": False,
            "responsive": True,
            "toImageButtonOptions": {"scale": 2},
        },
    )
    return found


def save_picture(figure: go.Figure, path: str | Path, width: int = 1400, height: int = 1000) -> Path:
    """A still picture, .png, .pdf or .svg by its name, without the buttons of the page.

    It has ``width`` x ``height`` layout pixels, a PNG twice as many each way. Kaleido draws it with the Chrome or
    Chromium on the PATH, or the one that the variable BROWSER_PATH names. Raises PictureError where either is missing
    or fails, and ValueError as ``save_html`` does.
    """
    check_picture(path)
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError as error:
        raise PictureError(
            "a still picture needs the package kaleido: pip install 'dynsys-rnn[static]' (or save the picture as HTML)"
        ) from error
    still = go.Figure(figure)
    still.layout.updatemenus = still.layout.sliders = ()
    try:
        image: bytes = kaleido.calc_fig_sync(
            still.to_dict(),
            opts={"format": Path(path).suffix[1:].lower(), "width": width, "height": height, "scale": 2},
            kopts={"mathjax": False},  # by default it is fetched from the network
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
