"""What a pickle may call: functions of ours that stand for those of Python, NumPy and torch that only make values.

They are found by name in one table. A function that is not in it is never called, whatever it is; nor is one of these
that is given other arguments than it takes.
"""

from __future__ import annotations

from typing import Any

from dynsys.models.loading.pickles.arrays import NUMPY
from dynsys.models.loading.pickles.machine import Known, plain_key
from dynsys.models.loading.pickles.stand_ins import LONGEST_NAME, Made, Named
from dynsys.models.loading.pickles.tensors import TORCH
from dynsys.models.loading.values import Allowance


def mapping(allowance: Allowance, content: Any = ()) -> Any:
    """An OrderedDict or Counter: of a dict, or of pairs as Python 2 pickles it."""
    pairs = list(content.items()) if isinstance(content, dict) else content
    if not isinstance(pairs, list | tuple) or any(not isinstance(p, list | tuple) or len(p) != 2 for p in pairs):
        raise TypeError("a mapping is made of what are no pairs")
    allowance.take(100 * len(pairs))
    return {plain_key(key, allowance): value for key, value in pairs}


def sequence(allowance: Allowance, content: Any = (), *rest: Any) -> Any:
    """A set or deque: a list is as good."""
    if not isinstance(content, list | tuple):
        raise TypeError("a set is made of what is no list")
    allowance.take(8 * len(content))
    return list(content)


def raw_bytes(allowance: Allowance, content: Any = b"", encoding: Any = None, *rest: Any) -> Any:
    """Bytes out of text of which every letter is one byte, as protocols before 3 have them; or bytes themselves."""
    if isinstance(content, str) and encoding in ("latin1", "latin-1", "iso-8859-1", None):
        allowance.take(len(content))
        return content.encode("latin-1")
    if not isinstance(content, bytes):
        raise TypeError("bytes are made of what is neither bytes nor text")
    return content


def attribute(allowance: Allowance, owner: Any, name: Any) -> Any:
    """How functions that live in a class are named; the two names are joined, and nothing is looked up."""
    if not isinstance(owner, Named) or not isinstance(name, str) or len(owner.path) + len(name) >= LONGEST_NAME:
        raise TypeError("an attribute of what is no name")
    return Named(owner.path, name)


def bare_object(allowance: Allowance, kind: Any, base: Any = None, state: Any = None) -> Any:
    """``copyreg._reconstructor``: an object of a class that may be a dict, list, tuple or number beneath."""
    made = Made(kind)
    if isinstance(state, dict):
        made.entries = state
    elif isinstance(state, list):
        made.items = state
    elif state is not None:
        made.arguments = state if isinstance(state, tuple) else (state,)
    return made


def new_object(allowance: Allowance, kind: Any, *arguments: Any) -> Any:
    """``copyreg.__newobj__``, a constructor called by a function."""
    return Made(kind, arguments)


def of_type(allowance: Allowance, function: Any, kind: Any, arguments: Any, *rest: Any) -> Any:
    """``_rebuild_from_type_v2``: a tensor of a subclass or with attributes of its own, by a function that it names."""
    inner: Known | None = TORCH.get(function.path) if isinstance(function, Named) else None
    return inner(allowance, *arguments) if inner is not None else Made(kind, arguments)


def complex_number(allowance: Allowance, real: Any = 0.0, imaginary: Any = 0.0) -> Any:
    if not all(isinstance(part, int | float) for part in (real, imaginary)):
        raise TypeError("a complex number is made of what are no numbers")
    return complex(real, imaginary)


PYTHON: dict[str, Known] = {
    "collections.OrderedDict": mapping,
    "collections.Counter": mapping,
    "collections.defaultdict": lambda allowance, factory=None, *rest: mapping(allowance, *rest),
    "collections.deque": sequence,
    "builtins.set": sequence,
    "builtins.frozenset": sequence,
    "builtins.list": sequence,
    "builtins.dict": mapping,
    "builtins.bytearray": raw_bytes,
    "builtins.bytes": raw_bytes,
    "builtins.complex": complex_number,
    "builtins.getattr": attribute,
    "codecs.encode": raw_bytes,
    "copyreg._reconstructor": bare_object,
    "copyreg.__newobj__": new_object,
}
SUBCLASSES: dict[str, Known] = {
    f"torch._tensor.{name}": of_type for name in ("_rebuild_from_type_v2", "_rebuild_from_type")
}
KNOWN: dict[str, Known] = PYTHON | NUMPY | TORCH | SUBCLASSES
