"""Several results as one: contexts, inputs or networks beside each other, each point under the label of its own."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.record import per

if TYPE_CHECKING:
    from dynsys.result.fixed_points import FixedPoints, SearchReport

ALIKE = ("kind", "time_constant")  # without which eigenvalues are not of one scale
PADDED = {
    "eigenvalues": complex(np.nan, np.nan),
    "modes": complex(np.nan, np.nan),
    "readouts": np.nan,
    "inputs": np.nan,
}


def joined(parts: Sequence[FixedPoints], labels: Sequence[str] | None) -> FixedPoints:
    """The points of all parts in their order; raises ValueError where they cannot stand in one table."""
    parts = list(parts)
    _check(parts, labels)
    if labels is None:
        labels = [_called(part, i) for i, part in enumerate(parts)]
    kind: Any = type(parts[0])
    values = {key: _stacked([getattr(part, key) for part in parts], PADDED.get(key)) for key in per(kind, "k")}
    values["label"] = np.repeat(np.array(labels, dtype=str), [len(part) for part in parts])
    orbits, manifolds = [int(part.orbit.max(initial=-1)) + 1 for part in parts], [len(part.manifolds) for part in parts]
    values |= {"orbit": _renumbered([part.orbit for part in parts], orbits)}
    values |= {"manifold": _renumbered([part.manifold for part in parts], manifolds)}
    searches = [part.search for part in parts]
    return dataclasses.replace(
        parts[0],
        **values,
        search=_report(searches, labels) if all(searches) else searches[0],
        about=_about(parts, labels),
        system=parts[0].system if _one_network(parts) else None,
        manifolds=tuple(manifold for part in parts for manifold in part.manifolds),
        starts=np.concatenate([part.starts for part in parts]),
    )


def _check(parts: list[FixedPoints], labels: Sequence[str] | None) -> None:
    if not parts:
        raise ValueError("there are no results to join; give at least one")
    if labels is not None and (len(labels) != len(parts) or len(set(labels)) < len(parts)):
        raise ValueError(f"the labels are {list(labels)}; {len(parts)} results need as many, each another")
    sizes = sorted({part.states.shape[1] for part in parts})
    if len(sizes) > 1:
        raise ValueError(
            f"the results are of networks of {' and '.join(map(str, sizes))} state variables, which have no states in "
            "common; dynsys.compare takes them two by two"
        )
    for key in ALIKE:
        found = sorted({str(part.about.get(key, 1.0)) for part in parts})
        if len(found) > 1:
            raise ValueError(
                f"the results differ in {key.replace('_', ' ')} ({', '.join(found)}): not one scale of time"
            )
    periods = sorted({part.search.period for part in parts if part.search})
    if len(periods) > 1:
        raise ValueError(f"the results are of cycles of periods {periods}; join those of one period")


def _called(part: FixedPoints, i: int) -> str:
    """A label where none is given: the input held, if it is one, else a number."""
    u = part.search.inputs if part.search else []
    return f"input {', '.join(f'{value:g}' for value in u[0])}" if len(u) == 1 and 0 < len(u[0]) <= 4 else str(i + 1)


def _stacked(arrays: list[NDArray[Any]], padding: Any) -> NDArray[Any]:
    """One after the other; axes after the first are filled up to the longest."""
    if padding is not None:
        shape = np.max([array.shape[1:] for array in arrays], axis=0)
        widths = [[(0, 0), *((0, int(n)) for n in shape - array.shape[1:])] for array in arrays]
        arrays = [np.pad(array, width, constant_values=padding) for array, width in zip(arrays, widths, strict=True)]
    return np.concatenate(arrays)


def _renumbered(numbers: list[NDArray[np.int64]], counts: list[int]) -> NDArray[np.int64]:
    """Numbers of orbits or manifolds, those of each part after those of the parts before; -1 stays."""
    before = np.cumsum([0, *counts[:-1]])
    return np.concatenate([np.where(own >= 0, own + first, -1) for own, first in zip(numbers, before, strict=True)])


def _one_network(parts: list[FixedPoints]) -> bool:
    """Whether all systems do the same to the last bit, wherever one of them was looked at."""
    systems = [part.system for part in parts]
    if None in systems or len({part.inputs.shape[1] for part in parts}) > 1:
        return False
    states, inputs = (np.concatenate([getattr(part, key) for part in parts]) for key in ("states", "inputs"))
    moved = states + np.random.default_rng(0).standard_normal(states.shape)
    x, u = torch.as_tensor(np.concatenate([states, moved])), torch.as_tensor(np.concatenate([inputs, inputs]))
    steps = [system.velocity(x, u) for system in systems if system is not None]
    return all(torch.equal(step, steps[0]) for step in steps)


def _about(parts: list[FixedPoints], labels: Sequence[str]) -> dict[str, Any]:
    """That of one network; else only what all say, and their names. What was found in each part is kept in words."""
    first = dict(parts[0].about)
    about = {key: value for key, value in first.items() if all(part.about.get(key) == value for part in parts)}
    about["name"] = ", ".join(dict.fromkeys(str(part.about.get("name", "a system")) for part in parts))
    about["parts"] = [
        {
            "label": label,
            "points": len(part),
            "summary": part.summary() if part.search else "",
            "beside": part.search.met_beside if part.search else 0,
        }
        for label, part in zip(labels, parts, strict=True)
    ]
    return about


def _report(reports: list[SearchReport], labels: Sequence[str]) -> SearchReport:
    """What was done in all; what only one search can say (index, missing, settling) is in the words of its part."""
    counted = ["starts", "closure_starts", "scattered_starts", "fiber_starts", "given", "before", "seconds"]
    counted += ["found", "slow", "boxes", "open_boxes"]
    rejected: Counter[str] = Counter()
    for report in reports:
        rejected.update(report.rejected)
    return dataclasses.replace(
        reports[0],
        **{key: sum(getattr(report, key) for report in reports) for key in counted},
        rejected=dict(rejected),
        solver=", ".join(dict.fromkeys(report.solver for report in reports)),
        inputs=[list(u) for u in dict.fromkeys(tuple(u) for report in reports for u in report.inputs)],
        interrupted=any(report.interrupted for report in reports),
        complete=all(report.complete for report in reports),
        stopped="; ".join(f"{label}: {report.stopped}" for label, report in zip(labels, reports, strict=True)),
        left_out=[
            f"{label}: {what}" for label, report in zip(labels, reports, strict=True) for what in report.left_out
        ],
        discovery=[],
        estimated_missed=None,
        index_sum=None,
        missing=None,
        settling=None,
        tolerances=reports[0].tolerances if len({report.tolerances for report in reports}) == 1 else "several",
    )
