"""A matrix said as an expression of the arrays of a file: ``m @ n.T / 512``, ``abs(W * mask) @ Dale``.

The text is read as a tree in which nothing but arrays of the file, numbers, ``+ - * @ /``, comparisons, ``.T``, slices
and the functions of ``FUNCTIONS`` may stand; nothing is ever evaluated as Python. The keys of a file may hold dots,
slashes and colons: the longest key that stands at a place is meant there, and a key in quotes is taken as it is.

>>> import numpy as np
>>> evaluate("2 * W.T[:, 0]", {"W": np.array([[1.0, 2.0], [3.0, 4.0]])})
array([2., 4.])
>>> keys_in("abs(layer-1.W * mask)", {"layer-1.W": 0, "mask": 0, "W": 0})
('layer-1.W', 'mask')
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 4000  # characters of a text: a longer one is no matrix that a person named
LARGEST = 2**28  # entries of a result: two GiB in float64
NAMES = re.compile(r"(?<![\w.])[^\W\d]\w*")  # an identifier that is no attribute
PLACE = "_array_{}_"

Arrays = Mapping[str, Any]


def _norm(values: Any, axis: int | None = None) -> Any:
    """The 2-norm of all entries, or along an axis that is kept, so that ``g * v / norm(v, 1)`` is a weight norm."""
    return np.sqrt((np.square(values)).sum(axis=axis, keepdims=axis is not None))


def _concatenate(parts: Any, axis: int = 0) -> Any:
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=axis)


def _abs(values: Any) -> Any:
    return np.abs(values)  # whose second argument would be written to


def _relu(values: Any) -> Any:
    return np.maximum(values, 0.0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "relu": _relu,
    "diag": np.diag,
    "norm": _norm,
    "where": np.where,
    "concatenate": _concatenate,
}
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
}
WRITTEN: dict[type[ast.AST], str] = {ast.Pow: "**", ast.Mod: "%", ast.FloorDiv: "//", ast.BitAnd: "&", ast.BitOr: "|"}
COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
LEGAL = f"arrays of the file, numbers, + - * @ /, .T, slices and {', '.join(FUNCTIONS)}"


class ExpressionError(ValueError):
    """A text that is no expression of the arrays, or one that cannot be worked out."""


def evaluate(text: str, arrays: Arrays) -> NDArray[np.float64]:
    """The value of ``text`` in float64; raises ExpressionError, which says what is wrong with it."""
    tree, places = _parsed(text, arrays)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused where the matrix is used, by its name
            value = np.asarray(_value(tree, places, arrays, text), dtype=np.float64)
    except ExpressionError:
        raise
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        shapes = ", ".join(f"{key} {np.shape(arrays[key])}" for key in dict.fromkeys(places.values()))
        raise ExpressionError(f"{text!r} cannot be worked out with {shapes}: {_first_line(error)}") from error
    return value


def keys_in(text: str, arrays: Arrays) -> tuple[str, ...]:
    """The keys that the text names, each once; raises ExpressionError where it is no expression of the arrays."""
    return tuple(dict.fromkeys(_parsed(text, arrays)[1].values()))


def _parsed(text: str, arrays: Arrays) -> tuple[ast.expr, dict[str, str]]:
    """The tree of the text with a plain name for each array, and which key each such name stands for."""
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression of {len(text)} characters is too long; at most {LONGEST} are read")
    plain, places = _with_places(text.strip(), arrays)
    try:
        tree = ast.parse(plain, mode="eval").body
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text!r} is no expression; it may hold {LEGAL}") from error
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in places and node.id not in FUNCTIONS:
            raise ExpressionError(f"there is no array {_dotted(plain, node)!r}")
    return tree, places


def _dotted(plain: str, node: ast.Name) -> str:
    """The name with the attributes behind it, as the user wrote it."""
    match = re.match(r"[\w.:/]+", plain[node.col_offset :])
    return match[0].removesuffix(".T") if match else node.id


def _with_places(text: str, arrays: Arrays) -> tuple[str, dict[str, str]]:
    """The text with each key of the file replaced by a name that Python can read."""
    by_length = sorted((key for key in arrays if key), key=len, reverse=True)
    places: dict[str, str] = {}
    out: list[str] = []
    at = 0
    while at < len(text):
        quote = text[at] if text[at] in "'\"" else ""
        end = text.find(quote, at + 1) if quote else -1
        inside = text[at + 1 : end] if end > 0 else ""
        if inside in arrays and inside:
            key, length = inside, len(inside) + 2
        else:
            key = next((k for k in by_length if text.startswith(k, at) and _stands_alone(text, at, k)), "")
            length = len(key)
        if key:
            name = PLACE.format(len(places))
            places[name] = key
            out.append(f" {name} " if not (at + length < len(text) and text[at + length] in ".[(") else f" {name}")
            at += length
        else:
            out.append(text[at])
            at += 1
    return "".join(out).strip(), places


def _stands_alone(text: str, at: int, key: str) -> bool:
    """Whether the key at that place is a whole word of the text, and no function that is called."""
    before, after = text[at - 1 : at], text[at + len(key) : at + len(key) + 1]
    word_before = bool(re.match(r"[\w.]", before)) and bool(re.match(r"[\w.]", key[0]))
    word_after = bool(re.match(r"\w", after)) and bool(re.match(r"\w", key[-1]))
    called = key in FUNCTIONS and text[at + len(key) :].lstrip().startswith("(")
    number = re.fullmatch(r"[\d.]+", key) is not None  # an array called "0" needs its quotes
    return not (word_before or word_after or called or number)


def _value(node: ast.expr, places: Mapping[str, str], arrays: Arrays, text: str) -> Any:
    def of(inside: ast.expr) -> Any:
        return _value(inside, places, arrays, text)

    match node:
        case ast.Name() if node.id in places:
            return np.asarray(arrays[places[node.id]], dtype=np.float64)
        case ast.Constant() if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return float(node.value) if abs(node.value) > 2**53 else node.value
        case ast.BinOp() if type(node.op) in BINARY:
            return _bounded(BINARY[type(node.op)], of(node.left), of(node.right))
        case ast.UnaryOp() if isinstance(node.op, ast.USub | ast.UAdd):
            value = of(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
            return COMPARED[type(node.ops[0])](of(node.left), of(node.comparators[0]))
        case ast.Attribute() if node.attr == "T":
            return np.transpose(of(node.value))
        case ast.Subscript():
            return np.asarray(of(node.value))[_index(node.slice)]
        case ast.Call() if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            return _called(node, of)
        case ast.Tuple() | ast.List():
            return [of(entry) for entry in node.elts]
        case _:
            raise ExpressionError(f"{text!r} holds {_described(node)}; an expression may hold {LEGAL}")


def _called(node: ast.Call, of: Callable[[ast.expr], Any]) -> Any:
    assert isinstance(node.func, ast.Name)
    if any(word.arg != "axis" for word in node.keywords):
        raise ExpressionError(f"{node.func.id} takes arrays and axis=, nothing else")
    words = {str(word.arg): of(word.value) for word in node.keywords}
    values = [of(value) for value in node.args]
    function = FUNCTIONS[node.func.id]
    if node.func.id == "diag" and values and np.ndim(values[0]) == 2 and 1 in np.shape(values[0]):
        values = [np.ravel(values[0])]  # a vector of MATLAB
    return _bounded(function, *values, **words)


def _bounded(function: Callable[..., Any], *values: Any, **words: Any) -> Any:
    """The result, unless it is larger than any network's matrix: two vectors make a matrix by broadcasting."""
    shapes = [np.shape(value) for value in values if not isinstance(value, list)]
    if function is operator.matmul:
        entries = np.prod([*shapes[0][:-1], *shapes[1][-1:]], dtype=float)
    elif function is np.diag:
        entries = float(max(shapes[0], default=1)) ** 2
    elif function is _concatenate or function is _norm:
        entries = 0.0
    else:
        entries = float(np.prod(np.broadcast_shapes(*shapes), dtype=float))
    if entries > LARGEST:
        raise ExpressionError(f"a result of {entries:.0e} entries is larger than any network's matrix")
    return function(*values, **words)


def _index(node: ast.expr) -> Any:
    """The index of a subscript: whole numbers, slices of them, or a tuple of the two."""
    if isinstance(node, ast.Tuple):
        return tuple(_index(entry) for entry in node.elts)
    if isinstance(node, ast.Slice):
        return slice(*(None if end is None else _whole(end) for end in (node.lower, node.upper, node.step)))
    return _whole(node)


def _whole(node: ast.expr) -> int:
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    inside = node.operand if isinstance(node, ast.UnaryOp) else node
    if isinstance(inside, ast.Constant) and type(inside.value) is int:
        return sign * inside.value
    raise ExpressionError("an index is a whole number or a slice of them, like W[:, 3:]")


def _described(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return f"a call of {ast.unparse(node.func)[:40]}"
    if isinstance(node, ast.Attribute):
        return f".{node.attr}"
    if isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in WRITTEN:
        return WRITTEN[type(node.op)]
    return f"a {type(node).__name__.lower()}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
