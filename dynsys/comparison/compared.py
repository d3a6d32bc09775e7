"""Two networks side by side: the same skeleton or not, and how far apart they are. Many: a map.

Topology and geometry are told apart (Maheswaranathan et al. 2019): networks that solve one task may share a skeleton
while their states do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsys.attractors.connections import Connections
from dynsys.comparison.matching import ROUNDING, SIMILARITIES, Matched, Pairing, spectral_differences
from dynsys.comparison.skeleton import Renaming, Skeleton, renamings
from dynsys.io.shown import Shown
from dynsys.io.text import sentence
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.known.missing import Missing

Array = NDArray[np.float64]

LEAST = 2  # pairs of points, from which representations are compared


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """``skeleton`` is "equal", "different" or "undecided"; ``distance`` the sum of ``parts``, each 0 where nothing
    differs and 1 at the most: "skeleton" (the share of points and connections without a counterpart), "spectra" (the
    mean relative difference of leading eigenvalues of points that stand for each other), "representation" (1 less the
    similarity of states); what cannot be compared is left out and named in ``left_out``.

    ``pairs`` (p, 2) are the numbers of points that stand for each other; ``only_a`` and ``only_b`` tell what has no
    counterpart, by kind; ``order`` and ``signs`` are the outputs of b by which labels agree best. ``proved`` says that
    both lists of points are proved to be whole.
    """

    skeleton: str
    parts: dict[str, float]
    pairs: NDArray[np.int64]
    only_a: dict[str, int]
    only_b: dict[str, int]
    order: tuple[int, ...]
    signs: tuple[int, ...]
    with_connections: bool
    proved: bool
    left_out: tuple[str, ...]

    def headline(self) -> str:
        return self.sentence

    @property
    def distance(self) -> float:
        return sum(self.parts.values())

    @property
    def renamed(self) -> bool:
        """Whether outputs had to be put in another order, or turned."""
        return self.order != tuple(range(len(self.order))) or any(sign < 0 for sign in self.signs)

    @property
    def sentence(self) -> str:
        """In plain words."""
        return sentence("dynsys.comparison", "compared", self)

    def to_json(self) -> dict[str, Any]:
        told = {"skeleton": self.skeleton, "distance": self.distance, "parts": self.parts, "sentence": self.sentence}
        only = {"only_a": self.only_a, "only_b": self.only_b}
        renaming = {"order": list(self.order), "signs": list(self.signs)}
        more = {"pairs": self.pairs.tolist(), "proved": self.proved, "with_connections": self.with_connections}
        return {**told, **only, **renaming, **more, "left_out": list(self.left_out)}


def compare(
    points_a: FixedPoints,
    points_b: FixedPoints,
    *,
    connections: tuple[Connections, Connections] | None = None,
    states: tuple[Array, Array] | None = None,
    representation: str = "cka",
) -> Comparison:
    """Two results of ``find_fixed_points`` compared.

    Points of both are nodes with their unstable directions and what they read out; with ``connections``, which saddle
    leads to which attractor counts as well. The skeletons are "undecided" where they look equal and a search is not
    known to have found all points, or where they differ by no more than such a search may have missed. Labels may be
    renamed: where another order or other signs of up to four outputs make the skeletons more alike, these count.

    Representations are compared at points that stand for each other, or at ``states``, (B, n_a) and (B, n_b), row by
    row; by "cka" or "procrustes". Raises ValueError for results of different
    tasks, as far as these are known (those of the systems at hand, numbers of outputs, periods).

    >>> import torch
    >>> from dynsys import Flow, compare, find_fixed_points
    >>> W = 2 * torch.eye(2, dtype=torch.float64)
    >>> a, b = (find_fixed_points(Flow(lambda x, u: torch.tanh(x @ V) - x, n_state=2, bounds=(-1, 1)))
    ...         for V in (W, 1.5 * W.flip(0).flip(1)))
    >>> compare(a, a).distance, compare(a, b).skeleton
    (0.0, 'equal')
    """
    _check(points_a, points_b, states, representation)
    a, b = (
        Skeleton.of(points, None if connections is None else connections[k])
        for k, points in enumerate((points_a, points_b))
    )
    renaming, alike, pairs = _best_renaming(points_a, points_b, a, b)
    b = b.renamed(renaming)
    missing = a.count - b.count, b.count - a.count
    spectra = _spectra(points_a, points_b, pairs)
    similarity = _representation(points_a, points_b, pairs, states, representation)
    parts = {"skeleton": _share_apart(a, b, alike), "spectra": spectra, "representation": similarity}
    return Comparison(
        skeleton=_verdict(alike, (points_a, points_b), (a, b)),
        parts={name: value if value > ROUNDING else 0.0 for name, value in parts.items() if value is not None},
        pairs=np.stack([pairs.a, pairs.b], 1),
        only_a={_told(*node): count for node, count in missing[0].items()},
        only_b={_told(*node): count for node, count in missing[1].items()},
        order=renaming[0],
        signs=renaming[1],
        with_connections=connections is not None,
        proved=points_a.search.complete and points_b.search.complete,
        left_out=tuple(name for name, value in parts.items() if value is None),
    )


def _check(a: FixedPoints, b: FixedPoints, states: tuple[Array, Array] | None, representation: str) -> None:
    if a.readouts.shape[1] != b.readouts.shape[1]:
        raise ValueError(
            f"the networks have {a.readouts.shape[1]} and {b.readouts.shape[1]} outputs; what is compared has to have "
            "learned one task"
        )
    learned = [type(getattr(points.system, "task", None)) for points in (a, b)]
    if type(None) not in learned and learned[0] is not learned[1]:
        raise ValueError(
            f"the networks learned two tasks, {learned[0].__name__} and {learned[1].__name__}; what is compared has to "
            "have learned one"
        )
    if a.search.period != b.search.period:
        raise ValueError(
            f"the points are of cycles of {a.search.period} and {b.search.period} steps; compare those of one period"
        )
    if representation not in SIMILARITIES:
        raise ValueError(f"representation is {representation!r}; it can be {', '.join(SIMILARITIES)}")
    if states is not None and (len(states[0]) != len(states[1]) or any(np.ndim(x) != 2 for x in states)):
        given = " and ".join(str(np.shape(x)) for x in states)
        raise ValueError(f"states have shapes {given}; rows that belong together need (B, n_a) and (B, n_b)")


def _best_renaming(
    points_a: FixedPoints, points_b: FixedPoints, a: Skeleton, b: Skeleton
) -> tuple[Renaming, bool, Matched]:
    """The order and signs of b's outputs by which most of its points have a counterpart, whether all have, and which:
    of several, the first by which one network is the other in other coordinates."""
    rows_a, rows_b = (np.array([i for i in of.rows if i >= 0], dtype=np.int64) for of in (a, b))
    pairing = Pairing.of(points_a, points_b, rows_a, rows_b)
    alike: Renaming | None = None
    best: tuple[int, Renaming] | None = None
    for renaming in renamings(points_a.readouts.shape[1]):
        other = b.renamed(renaming)
        lacking = (a.count - other.count).total() + (other.count - a.count).total()
        if lacking == 0 and a.is_like(other):
            alike = alike or renaming
            exact = pairing.exactly(_renamed(points_b.readouts, renaming))
            if exact is not None:
                return renaming, True, exact
        if best is None or lacking < best[0]:
            best = lacking, renaming
    assert best is not None
    chosen = alike or best[1]
    return chosen, alike is not None, pairing.nearest(_renamed(points_b.readouts, chosen))


def _renamed(readouts: Array, renaming: Renaming) -> Array:
    order, signs = renaming
    return np.asarray(readouts[:, list(order)] * np.array(signs)) if order else readouts


def _share_apart(a: Skeleton, b: Skeleton, alike: bool) -> float:
    """The share of nodes and edges without a counterpart; where they differ by no count, as if one edge did."""
    apart = sum((x - y).total() for x, y in ((a.count, b.count), (b.count, a.count)))
    apart += sum((x - y).total() for x, y in ((a.arrows, b.arrows), (b.arrows, a.arrows)))
    every = len(a) + len(b) + len(a.edges or ()) + len(b.edges or ())
    return (apart or 1 - alike) / max(every, 1)


def _spectra(a: FixedPoints, b: FixedPoints, pairs: Matched) -> float | None:
    """None for a map and a flow, whose eigenvalues mean different things, and where no points stand for each other."""
    if a.about.get("kind") != b.about.get("kind") or not len(pairs.a):
        return None
    each = [float(spectral_differences(a, b, i[None], j[None])[0, 0]) for i, j in zip(pairs.a, pairs.b, strict=True)]
    return min(float(np.mean(each)) / 2, 1.0)  # opposite numbers differ by 2


def _representation(
    a: FixedPoints, b: FixedPoints, pairs: Matched, states: tuple[Array, Array] | None, how: str
) -> float | None:
    x, y = (np.asarray(s, dtype=np.float64) for s in states) if states else (a.states[pairs.a], b.states[pairs.b])
    similarity = SIMILARITIES[how](x, y) if len(x) >= LEAST else None
    return None if similarity is None else 1 - min(similarity, 1.0)


def _verdict(alike: bool, points: tuple[FixedPoints, FixedPoints], skeletons: tuple[Skeleton, Skeleton]) -> str:
    whole = [_is_whole(each) for each in points]
    a, b = skeletons
    if alike:
        return "equal" if all(whole) and a.is_sure and b.is_sure else "undecided"
    more_in_a, more_in_b = bool(a.count - b.count), bool(b.count - a.count)
    if not (more_in_a or more_in_b):  # they differ in connections only
        return "different" if a.is_sure and b.is_sure else "undecided"
    return "different" if (more_in_a and whole[1]) or (more_in_b and whole[0]) else "undecided"


def _is_whole(points: FixedPoints) -> bool:
    """Whether its list of points is proved to be whole or seems so; a choice of points stands for itself."""
    search = points.search
    if search.complete or search.found != int((points.verdict == "fixed").sum()):
        return True
    return search.missing is not None and Missing.of_json(search.missing).seems_whole


def _told(kind: Any, label: tuple[int, ...]) -> str:
    word, unstable, _ = kind
    what = word if word != "point" else "stable point" if not unstable else f"point of index {unstable}"
    return f"{what} ({', '.join(f'{s:+d}' if s else '0' for s in label)})" if label else what


def embedded(table: Array) -> Array:
    """Places in the plane (k, 2) whose distances are near those of ``table`` (k, k): classical scaling (Torgerson
    1952)."""
    k = len(table)
    centre = np.eye(k) - 1 / k
    values, vectors = np.linalg.eigh(-0.5 * centre @ table**2 @ centre)
    order = np.argsort(values)[::-1][:2]
    places = np.zeros((k, 2))
    places[:, : len(order)] = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    return places * np.where(places[np.abs(places).argmax(0), range(2)] < 0, -1, 1)
