"""Associative memories, from Hebb's rule to Hopfield, BAM and dense nets: docs/associative.md has the theory.

>>> from dynsys.models.associative import Hopfield
>>> Hopfield.hebb([[1, 1, 1, 0]], binary=True).run([0, 0, 1, 0], order=[0, 3, 2, 1]).states[-1]
array([1., 1., 1., 0.])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynsys.models.associative.associator import Associator
    from dynsys.models.associative.bidirectional import BidirectionalMemory
    from dynsys.models.associative.continuous import ContinuousHopfield
    from dynsys.models.associative.dense import DenseMemory
    from dynsys.models.associative.descent import PatternDescent
    from dynsys.models.associative.hopfield import Hopfield
    from dynsys.models.associative.linear import LinearAssociator
    from dynsys.models.associative.polynomial import PolynomialMemory
    from dynsys.models.associative.recurrent import RecurrentAssociator
    from dynsys.models.associative.theory.mean_field_theory import mean_field

_HOME = {
    "Associator": "associator",
    "BidirectionalMemory": "bidirectional",
    "ContinuousHopfield": "continuous",
    "DenseMemory": "dense",
    "Hopfield": "hopfield",
    "LinearAssociator": "linear",
    "PatternDescent": "descent",
    "PolynomialMemory": "polynomial",
    "RecurrentAssociator": "recurrent",
    "mean_field": "theory.mean_field_theory",
}

__all__ = [
    "Associator",
    "BidirectionalMemory",
    "ContinuousHopfield",
    "DenseMemory",
    "Hopfield",
    "LinearAssociator",
    "PatternDescent",
    "PolynomialMemory",
    "RecurrentAssociator",
    "mean_field",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"dynsys.models.associative.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dynsys.models.associative' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
