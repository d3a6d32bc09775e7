"""What an animation over training has below its axes: a slider, and buttons that play it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynsys.plots import style
from dynsys.systems.family import TRAINING

PACE = 300  # milliseconds from one frame to the next


def slider(names: Sequence[str], top: int = 10, over: str = TRAINING) -> dict[str, Any]:
    """Over a parameter, ``top`` pixels under the axes; 60 pixels high."""
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": 0,
        "x": 0,
        "len": 1.0,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": top, "b": 0},
        "currentvalue": {"prefix": f"{over}: ", "xanchor": "left", "font": {"size": 14}},
        "font": {"size": 11, "color": style.GREY},
        "ticklen": 3,
        "bordercolor": style.PALE,
        "steps": [{"label": name, "method": "animate", "args": [[name], at_once]} for name in names],
    }


def player(top: int = 94) -> dict[str, Any]:
    """The buttons that play and stop, ``top`` pixels under the axes."""
    play = {"frame": {"duration": PACE, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": True}
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate", "transition": {"duration": 0}}
    return {
        "type": "buttons",
        "direction": "right",
        "showactive": False,
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": top},
        "bgcolor": "white",
        "bordercolor": style.PALE,
        "font": {"size": 13},
        "buttons": [
            {"label": "▶ play", "method": "animate", "args": [None, play]},
            {"label": "❚❚ pause", "method": "animate", "args": [[None], stop]},
        ],
    }
