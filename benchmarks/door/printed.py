"""The line that a refusal prints, taken at its word: its options go through the parser of ``dynsys info``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

PIECE = r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"`])+"
OPTION = re.compile(
    rf"--(matrix|ignore|form|part|direction|activation|gate-activation|alpha|tau|convention|gates|replay)[ =]({PIECE})"
    r"|--(transposed)\b"
)
STANDS_FOR = re.compile(r"^[A-Z]{2,}$|\.\.\.|[<>]|^KEY|=KEY$|=EXPRESSION$|^(ROLE|NAME)=")
Options = list[tuple[str, str]]


def printed_lines(message: str) -> list[Options]:
    """The lines in a message, each a list of options: ("form", "rate"), ("matrix", "recurrent=J"), ...

    An option or a role that comes again begins another line, for another case. ``--form`` alone is no line, but the
    name of the option in a sentence, as is ``--matrix`` with a word that is no ROLE=KEY.
    """
    lines: list[Options] = [[]]
    for match in OPTION.finditer(message):
        name = match[1] or match[3]
        value = plain(match[2]) if match[2] else ""
        if STANDS_FOR.search(value) or (name == "matrix" and "=" not in value):
            continue
        if (name, of_one(name, value)) in [(n, of_one(n, v)) for n, v in lines[-1]]:
            lines.append([])
        lines[-1].append((name, value))
    return [line for line in lines if [name for name, _ in line] not in ([], ["form"])]


def of_one(name: str, value: str) -> str:
    """What an option can be given once for: itself, the role of a matrix, a key that plays no part."""
    return value.partition("=")[0] if name == "matrix" else value if name == "ignore" else ""


def plain(value: str) -> str:
    """A value without the quotes of the shell, and without the comma or bracket of the sentence around it."""
    quoted = value[-1] in "'\""
    if not quoted:
        value = value.rstrip(",;:.")
        while value.endswith(")") and value.count(")") > value.count("("):
            value = value[:-1].rstrip(",;:.")
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def parsed(path: Path, options: Options, known: Mapping[str, Any]) -> dict[str, Any]:
    """What ``dynsys info FILE <options>`` hands to ``load``, with what the owner adds. Raises click's errors."""
    from dynsys.cli.networks.info import info
    from dynsys.cli.options import choices_given

    words = [str(path)]
    for name, value in options:
        words += [f"--{name}"] + ([value] if name != "transposed" else [])
    for name, value in known.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    with click.Context(info):
        given = info.make_context("info", words).params
    return choices_given({key: value for key, value in given.items() if key not in ("checkpoint", "as_json")})
