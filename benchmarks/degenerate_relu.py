"""Degenerate networks of ReLUs: what a search says of them beside an enumeration over the rational numbers.

The fixed points of h' = max(W h + b, 0) are pieces of points, lines, planes, ..., one for every pattern of active
units. The enumeration solves each by Gauss and Jordan in fractions, and finds its corners as what any few inequalities
fix. It shares nothing with the package. Networks: all 5,625 of two units with weights in {-1, 0, 1/2, 1, 2} and biases
in {-1, 0, 1}, and random ones of up to 7 units whose weights make singular regions and points on kinks common.

python benchmarks/degenerate_relu.py
python benchmarks/degenerate_relu.py --stride 20 --random 50
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import click
import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.models.recurrent.vanilla import RNN
from dynsys.result.fixed_points import FixedPoints
from dynsys.search.find import find_fixed_points

Vector = tuple[Fraction, ...]
Weights = NDArray[np.float64]

WEIGHTS, BIASES = (-1.0, 0.0, 0.5, 1.0, 2.0), (-1.0, 0.0, 1.0)
LARGEST = 7  # units of the random networks


@dataclass(frozen=True)
class Piece:
    """Fixed points of one pattern of active units: corners, and directions in which they go on for ever."""

    dimension: int
    corners: tuple[Vector, ...]
    rays: tuple[Vector, ...]


def fixed_points_exactly(W: Weights, b: Weights) -> list[Piece]:
    """All fixed points of h' = max(W h + b, 0), each piece that is no part of another once."""
    rows = [tuple(Fraction(float(w)) for w in row) for row in W]
    drive = [Fraction(float(value)) for value in b]
    pieces: dict[tuple[bool, ...], Piece] = {}
    for active in itertools.product((False, True), repeat=len(drive)):
        piece = _piece(rows, drive, active)
        if piece is not None:
            pieces[active] = piece
    kept: list[tuple[tuple[bool, ...], Piece]] = []
    for active, piece in sorted(pieces.items(), key=lambda item: -item[1].dimension):
        if not any(_fits(rows, drive, piece, other) for other, _ in kept):
            kept.append((active, piece))
    return [piece for _, piece in kept]


def _piece(rows: list[Vector], drive: list[Fraction], active: Sequence[bool]) -> Piece | None:
    """h_i = (W h + b)_i >= 0 for active units, h_i = 0 >= (W h + b)_i for the others."""
    n = len(drive)
    equations = [
        [Fraction(int(i == j)) - rows[i][j] * active[i] for j in range(n)] + [drive[i] * active[i]] for i in range(n)
    ]
    solution = _solved(equations, n)
    if solution is None:
        return None
    start, along = solution
    d = len(along)

    def slacks(h: Vector, with_drive: int) -> list[Fraction]:
        return [h[i] if active[i] else -_dot(rows[i], h) - drive[i] * with_drive for i in range(n)]

    at_start, slopes = slacks(start, 1), list(zip(*(slacks(v, 0) for v in along), strict=True)) or [()] * n
    corners = {
        _moved(start, along, t)
        for few in itertools.combinations(range(n), d)
        for t in _fixed_by([[*slopes[i], -at_start[i]] for i in few], d)
        if all(a + _dot(slope, t) >= 0 for a, slope in zip(at_start, slopes, strict=True))
    }
    if not corners:
        return None
    rays = {
        _scaled(_moved((Fraction(0),) * n, along, t))
        for few in itertools.combinations(range(n), d - 1 if d else 0)
        for t in _directions([[*slopes[i], Fraction(0)] for i in few], d)
        if all(_dot(slope, t) >= 0 for slope in slopes)
    }
    first = min(corners)
    spread = [tuple(p - q for p, q in zip(corner, first, strict=True)) for corner in corners if corner != first]
    return Piece(_rank([*spread, *rays]), tuple(sorted(corners)), tuple(sorted(rays)))


def _fits(rows: list[Vector], drive: list[Fraction], piece: Piece, active: Sequence[bool]) -> bool:
    """Whether these units may be active, and the others inactive, all over the piece."""
    for points, with_drive in ((piece.corners, 1), (piece.rays, 0)):
        for h in points:
            y = [_dot(row, h) + value * with_drive for row, value in zip(rows, drive, strict=True)]
            if any(value < 0 if on else value > 0 for value, on in zip(y, active, strict=True)):
                return False
    return True


def _solved(equations: list[list[Fraction]], n: int) -> tuple[Vector, list[Vector]] | None:
    """A solution and what spans the solutions without the right-hand side; None where there is no solution."""
    rows, pivots = _reduced(equations, n)
    if any(row[n] != 0 for row in rows[len(pivots) :]):
        return None
    start = [Fraction(0)] * n
    for row, column in zip(rows, pivots, strict=False):
        start[column] = row[n]
    along = []
    for free in (column for column in range(n) if column not in pivots):
        v = [Fraction(int(column == free)) for column in range(n)]
        for row, column in zip(rows, pivots, strict=False):
            v[column] = -row[free]
        along.append(tuple(v))
    return tuple(start), along


def _reduced(equations: list[list[Fraction]], n: int) -> tuple[list[list[Fraction]], list[int]]:
    """Gauss and Jordan on the first n columns."""
    rows, pivots = [list(row) for row in equations], list[int]()
    for column in range(n):
        k = len(pivots)
        pivot = next((i for i in range(k, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            continue
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][column] for value in rows[k]]
        for i in range(len(rows)):
            if i != k and rows[i][column] != 0:
                factor = rows[i][column]
                rows[i] = [value - factor * base for value, base in zip(rows[i], rows[k], strict=True)]
        pivots.append(column)
    return rows, pivots


def _fixed_by(equations: list[list[Fraction]], d: int) -> list[Vector]:
    """Their only solution, if there is one."""
    solution = _solved(equations, d)
    return [] if solution is None or solution[1] else [solution[0]]


def _directions(equations: list[list[Fraction]], d: int) -> list[Vector]:
    """Both directions of the line that they leave, if they leave one."""
    solution = _solved(equations, d) if d else None
    if solution is None or len(solution[1]) != 1:
        return []
    return [solution[1][0], tuple(-value for value in solution[1][0])]


def _moved(start: Vector, along: list[Vector], t: Vector) -> Vector:
    return tuple(
        value + sum((share * v[j] for share, v in zip(t, along, strict=True)), Fraction(0))
        for j, value in enumerate(start)
    )


def _scaled(v: Vector) -> Vector:
    largest = max(abs(value) for value in v)
    return tuple(value / largest for value in v)


def _rank(vectors: list[Vector]) -> int:
    return len(_reduced([list(v) for v in vectors], len(vectors[0]))[1]) if vectors else 0


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def rectified(W: Weights, b: Weights) -> RNN:
    """h' = max(W h + b, 0) as a trained network is given."""
    arrays = {"weight_ih_l0": np.zeros((len(b), 1)), "weight_hh_l0": W, "bias_ih_l0": b}
    return RNN(arrays, nonlinearity="relu")


def all_of_two_units() -> list[tuple[Weights, Weights]]:
    """All 5,625 of them."""
    weights, biases = itertools.product(WEIGHTS, repeat=4), itertools.product(BIASES, repeat=2)
    return [(np.array(w).reshape(2, 2), np.array(b)) for w, b in itertools.product(weights, biases)]


def random_networks(count: int, seed: int, largest: int = LARGEST) -> Iterator[tuple[Weights, Weights]]:
    """Of up to ``largest`` units: sparse, near the identity, permutations, units alike, dead ones, points on kinks."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        n, halves = int(rng.integers(2, largest + 1)), rng.integers(-4, 5, (largest, largest)) / 2
        W, b = halves[:n, :n], rng.integers(-2, 3, n) / 2
        if k % 6 == 1:
            W = W * (rng.random((n, n)) < 0.4)
        elif k % 6 == 2:
            W = np.eye(n) + W * (rng.random((n, n)) < 0.15)
        elif k % 6 == 3:
            W = np.eye(n)[rng.permutation(n)] * rng.choice([1.0, 1.0, -1.0, 0.5, 2.0], n)
        elif k % 6 == 4:
            W, (i, j) = W * (rng.random((n, n)) < 0.6), rng.integers(0, n, 2)
            W[i], b[i] = W[j], b[j]
        elif k % 6 == 5:
            W[rng.integers(n)] = 0.0
        if rng.random() < 0.5:  # some h is a fixed point, with units on their kink
            h = rng.integers(0, 3, n) / 1.0
            b = np.where(h > 0, h - W @ h, -W @ h - rng.integers(0, 2, n) * rng.integers(0, 2, n))
        yield W, b * (rng.random(n) < 0.8)


def agree(points: FixedPoints, truth: list[Piece]) -> bool:
    """Whether isolated points and lines, planes, ... are those of the enumeration, and none is there twice."""
    fixed = points.states[(points.verdict == "fixed") & (points.manifold < 0)]
    isolated = np.array([[float(value) for value in p.corners[0]] for p in truth if not p.dimension])
    if len(fixed) != len(isolated):
        return False
    if len(fixed):
        apart = np.abs(fixed[:, None] - isolated[None]).max(2)
        scale = 1e-9 * np.maximum(np.abs(isolated).max(1), 1e-300)
        if sorted(apart.argmin(1)) != list(range(len(fixed))) or (apart.min(0) > scale).any():
            return False
    told = sorted(line["dimension"] for line in points.manifolds)
    return told == sorted(p.dimension for p in truth if p.dimension)


@click.command()
@click.option("--stride", default=1, show_default=True, help="Look at every so many of the networks of two units.")
@click.option("--random", "count", default=300, show_default=True, help="Random networks of up to 7 units.")
@click.option("--seed", default=0, show_default=True, help="Of the random networks.")
def main(stride: int, count: int, seed: int) -> None:
    """Print the table of docs/relu.md."""
    torch.set_num_threads(1)
    click.echo("| networks | | with lines or planes | right and complete | right, not called complete | wrong | time |")
    click.echo("|---|---|---|---|---|---|---|")
    for name, networks in (
        ("all of 2 units", all_of_two_units()[::stride]),
        ("random, 2 to 7 units", list(random_networks(count, seed))),
    ):
        found, began = Counter[str](), time.process_time()
        for W, b in networks:
            truth = fixed_points_exactly(W, b)
            points = find_fixed_points(rectified(W, b), n_starts=8)
            right, complete = agree(points, truth), points.search.complete
            found["lines"] += any(piece.dimension for piece in truth)
            found["sure" if right and complete else "right" if right else "wrong" if complete else "open"] += 1
        seconds = (time.process_time() - began) / max(1, len(networks))
        counts = [len(networks), *(found[key] for key in ("lines", "sure", "right", "wrong"))]
        click.echo(f"| {name} | " + " | ".join(f"{value:,}" for value in counts) + f" | {seconds:.3f} s each |")


if __name__ == "__main__":
    main()
