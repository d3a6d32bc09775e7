"""A choice by name out of a registry, which is imported when a command runs or its help is shown, and not before."""

from __future__ import annotations

import importlib
from typing import Any

import click


class OneOf(click.Choice[str]):
    """One of the names that ``registry`` of the module ``home`` holds, after those of ``more``.

    Where it is not ``checked`` here, whoever looks the name up says what is wrong with it.
    """

    case_sensitive = True

    def __init__(self, home: str, registry: str, more: tuple[str, ...] = (), checked: bool = True) -> None:
        self.home, self.registry, self.more, self.checked = home, registry, more, checked

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        return *self.more, *getattr(importlib.import_module(self.home), self.registry)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value, param, ctx) if self.checked else str(value)


TASKS = OneOf("dynsys.models.training.learners", "LEARNERS")
OPTIMISERS = OneOf("dynsys.models.training.optimisers", "OPTIMISERS")
