"""Text out of templates: a package keeps its sentences in ``text.jinja``, a macro for each thing that is said.

In a macro a paragraph is what stands between blank lines; line breaks and indents within it are one space. The facts it
is given are numbers, enum values and dataclasses.
"""

from __future__ import annotations

import functools
import re
from typing import Any

TEMPLATE = "text.jinja"


def paragraphs(package: str, macro: str, *facts: Any) -> list[str]:
    """What the macro of that package says of the facts, a string a paragraph; nothing where it says nothing."""
    text = getattr(_template(package), macro)(*facts)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def sentence(package: str, macro: str, *facts: Any) -> str:
    """The same in one paragraph."""
    return " ".join(paragraphs(package, macro, *facts))


@functools.cache
def _template(package: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, ""), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"capital": capital, "count": count, "fmt": format, "percent": percent, "some": some}
    return environment.get_template(TEMPLATE).module


def count(n: int, noun: str, nouns: str | None = None) -> str:
    """The number with the noun in its number.

    >>> count(1, "branch", "branches"), count(2000, "point")
    ('1 branch', '2,000 points')
    """
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def some(names: list[Any], most: int = 8) -> str:
    """The first of them, and how many more there are.

    >>> some([1, 2, 3], 2)
    '1, 2 and 1 more'
    """
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def capital(text: str) -> str:
    """With a capital letter, as a sentence begins, and the rest as it is."""
    return text[:1].upper() + text[1:]


def percent(share: float | None) -> str:
    """A share to a tenth of a percent, and without it where it is whole.

    >>> percent(0.5), percent(0.123)
    ('50%', '12.3%')
    """
    return "" if share is None else f"{share:.1%}".replace(".0%", "%")
