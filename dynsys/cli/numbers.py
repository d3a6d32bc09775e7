"""A list of numbers as one argument, like 0,0,1."""

from __future__ import annotations

from typing import Any

import click


class Numbers(click.ParamType[list[float]]):
    """Numbers of one type, separated by commas."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], example: str) -> None:
        self.kind, self.example = kind, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        try:
            return [self.kind(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list like {self.example}", param, ctx)
