"""A file or folder as an argument: a string that is not empty."""

from __future__ import annotations

from typing import Any

import click


class Place(click.ParamType[str]):
    """A path. An empty one, as of a shell variable that was never set, would be the working directory."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not str(value).strip():
            self.fail("the path is empty; name a file or a folder", param, ctx)
        return str(value)


PLACE = Place()
