"""The result of a search: fixed and slow points, everything known about each, and what was done to find them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.io.checked import checked
from dynsys.io.errors import CheckpointError
from dynsys.io.provenance import digest_of
from dynsys.io.record import ABSENT, NOT_SAVED, Record, axes, per, said
from dynsys.io.shown import Shown, Sight, facts
from dynsys.result.header import About, Manifold, Settled, Told
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import System
from dynsys.trajectories.recorded import remembering

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

SCHEMA = "dynsys.fixed_points/1"
LONG = 100  # numbers of an input, above which the JSON leaves it to the tensors


@dataclass(frozen=True, repr=False)
class SearchReport(Shown):
    """What was done: starts by kind, the solver, why it stopped, what became of every start, the discovery curve.

    ``starts`` of the ``given`` ones were needed; the others were scattered in the box, made from points found, or
    crossings of directional fibers.
    ``discovery`` holds pairs (starts tried, distinct points known). ``estimated_missed`` is Chao's (1984) lower
    bound on the number of points, from the starts that were not made out of points found, less the points known; None
    where no such start converged. ``index_sum`` is 1 when
    all points of a network with a trapping box are known; another value proves that some are missing; None: unknown.
    """

    starts: int
    closure_starts: int
    solver: str
    seconds: float
    found: int
    slow: int
    rejected: dict[str, int]
    estimated_missed: float | None
    index_sum: int | None
    discovery: list[tuple[int, int]]
    seed: int
    inputs: list[list[float]] = field(default_factory=list)  # those held, each once
    interrupted: bool = False
    given: int = 0  # 0 in files of version 0.1, which used all
    scattered_starts: int = 0
    fiber_starts: int = 0
    stopped: str = "the starts were used up"
    period: int = 1  # times the map was applied; the points are those of cycles of this length where it is more
    complete: bool = False  # whether it is proved that there are no more points
    boxes: int = 0  # of latent variables, that the proof for a network of low rank looked at
    open_boxes: int = 0  # those of them that it could not decide
    before: int = 0  # points that it began with, of a search that was cut short
    missing: dict[str, Any] | None = None  # ``dynsys.search.known.missing.Missing`` and its sentence
    settling: dict[str, Any] | None = None  # where trajectories settle (``attractors.settlement``), its sentence
    tolerances: str = ""  # by which points were counted (``dynsys.search.tolerances``), if they were
    left_out: list[str] = field(default_factory=list)  # what was not done, for want of time or of a way to do it

    @property
    def met_beside(self) -> int:
        """How many attractors trajectories settle at that are none of the points."""
        return 0 if self.settling is None else sum(end["point"] is None for end in self.settling["ends"])

    def headline(self) -> str:
        points = f"{self.found:,} fixed and {self.slow:,} slow points"
        return f"{points} from {self.starts:,} starts by {self.solver} in {self.seconds:.1f} s; {self.stopped}"

    def sight(self) -> Sight:
        told = [one["sentence"] for one in (self.settling, self.missing) if one]
        rows = facts(
            fixed_points=self.found,
            slow_points=self.slow,
            known_before=self.before or None,
            starts=self.starts,
            scattered=self.scattered_starts,
            made_from_points=self.closure_starts,
            solver=self.solver,
            seconds=f"{self.seconds:.1f}",
            stopped=self.stopped,
            sum_of_indices=self.index_sum,
            left_out="; ".join(self.left_out),
        )
        rows += [{"": f"no point: {why}", " ": f"{n:,}"} for why, n in self.rejected.items()]
        return Sight(rows, told, right=[" "])


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(Shown, Record, schema=SCHEMA, what="result", remedy="run the search again"):
    """k points of a system of n state variables, the most stable first.

    Shapes: ``states`` (k, n), ``q`` (k,), ``verdict`` (k,) of "fixed" or "slow", ``stability`` (k,) of the words of
    ``dynsys.stability.classification``, ``n_unstable`` (k,), ``eigenvalues`` (k, m) leading first, where m = n with the
    full spectrum and rows end in NaN otherwise, ``modes`` (k, j, n) the unit right eigenvectors of the first j of them,
    ``error_bound`` (k,) the distance within which the true point lies (inf: none could be given), ``readouts``
    (k, n_output), ``inputs`` (k, n_input) held during the search.

    Of a marginal point without a bound ``uncertainty`` (k,) is the distance along its null direction within which F
    cannot be told from zero (NaN elsewhere).

    ``certified`` (k,): that a point lies within the bound, and one only, is proved; ``reasons`` (k,) says why not.
    ``kinks`` (k,) counts the units of a ReLU network whose preactivation is zero there, to rounding. Of slow points
    ``active_bounds`` (k, n) are -1 where the lower and +1 where the upper bound of the reachable box holds them, and
    ``drift_time`` (k,) is the time in which the state moves by a hundredth of its usual size. ``orbit`` (k,) numbers
    the cycles of a search with ``period``, ``manifold`` (k,) those of ``manifolds``, which are lines, rings and planes
    of marginal points of which a few represent the rest; -1 stands for neither. ``starts`` (B, n) are the states that
    the search used of those it was given or drew itself, in single precision; those made from points are not kept.
    ``label`` (k,) says of which result a point is, where several were joined (``concatenate``).
    """

    states: Array = field(metadata=axes("f k n"))
    q: Array = field(metadata=axes("f k"))
    verdict: NDArray[np.str_] = field(metadata=axes("s k"))
    stability: NDArray[np.str_] = field(metadata=axes("s k"))
    n_unstable: NDArray[np.int64] = field(metadata=axes("i k"))
    eigenvalues: ComplexArray = field(metadata=axes("c k m"))
    modes: ComplexArray = field(metadata=axes("c k j n"))
    error_bound: Array = field(metadata=axes("f k"))
    readouts: Array = field(metadata=axes("f k o"))
    inputs: Array = field(metadata=axes("f k u"))
    search: SearchReport
    # of the system: name, kind, sizes, time constant, checkpoint
    about: dict[str, Any] = field(default_factory=dict, metadata=said(About, "system", needed=True))
    system: System | None = field(default=None, metadata=NOT_SAVED)
    certified: NDArray[np.bool_] = field(default=ABSENT, metadata=axes("b k", False))
    reasons: NDArray[np.str_] = field(default=ABSENT, metadata=axes("s k", ""))
    uncertainty: Array = field(default=ABSENT, metadata=axes("f k", np.nan))
    kinks: NDArray[np.int64] = field(default=ABSENT, metadata=axes("i k", 0))
    active_bounds: NDArray[np.int8] = field(default=ABSENT, metadata=axes("i k n", np.int8(0)))
    drift_time: Array = field(default=ABSENT, metadata=axes("f k", np.nan))
    orbit: NDArray[np.int64] = field(default=ABSENT, metadata=axes("i k", -1))
    manifold: NDArray[np.int64] = field(default=ABSENT, metadata=axes("i k", -1))
    manifolds: tuple[dict[str, Any], ...] = field(default=(), metadata=said(tuple[Manifold, ...]))
    starts: NDArray[np.float32] = field(default=ABSENT, metadata=axes("f s n", np.float32(0)))
    label: NDArray[np.str_] = field(default=ABSENT, metadata=axes("s k", ""))

    def __len__(self) -> int:
        return len(self.states)

    def __getitem__(self, which: Any) -> FixedPoints:
        """Some of the points, by mask, slice or list of indices."""
        rows = np.atleast_1d(np.arange(len(self))[which])
        return dataclasses.replace(self, **{key: getattr(self, key)[rows] for key in per(FixedPoints, "k")})

    def headline(self) -> str:
        kinds = [f"{int((self.verdict == verdict).sum())} {verdict}" for verdict in ("fixed", "slow")]
        return f"of {self.about.get('name', 'a system')}: {', '.join(kinds)}"

    def sight(self) -> Sight:
        """The table of points with the summary below."""
        from dynsys.result.table import RIGHT, point_rows

        return Sight(point_rows(self), self.summary().split("\n"), RIGHT)

    def summary(self, *, course: bool = False) -> str:
        """What ``dynsys find`` says: what was found, where the network goes, what may be missing, how sure that is;
        with ``course`` also how the search went."""
        from dynsys.result.summary import course_lines, search_lines, summary

        if "parts" in self.about:
            return "\n".join(f"{part['label']}: {part['summary']}" for part in self.about["parts"])
        return "\n".join([f"Found {summary(self)}.", *search_lines(self), *(course_lines(self) if course else [])])

    @classmethod
    def concatenate(cls, parts: Sequence[FixedPoints], labels: Sequence[str] | None = None) -> FixedPoints:
        """Several results as one: contexts or inputs of a network, or networks of one size, each point labelled.

        Without ``labels`` they are the inputs held, else numbers. Raises ValueError for networks of different sizes,
        time constants or kinds of time, which no table has room for.
        """
        from dynsys.result.joined import joined

        return joined(parts, labels)

    @property
    def leading_eigenvalue(self) -> ComplexArray:
        """(k,) the eigenvalue that grows fastest or decays slowest."""
        return self.eigenvalues[:, 0] if self.eigenvalues.shape[1] else np.full(len(self), np.nan + 0j)

    @property
    def jacobians(self) -> Array:
        """The linearised system at each point, (k, n, n), whose eigenvalues are ``eigenvalues``.

        dF/dx of a flow, dG/dx of a map. Computed afresh, so the system must be at hand.
        """
        if self.system is None:
            raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
        J = self.system.jacobian(torch.as_tensor(self.states), torch.as_tensor(self.inputs))
        return np.asarray(J) + np.eye(self.states.shape[1]) * (self.about["kind"] == "map")

    def to_json(self) -> dict[str, Any]:
        """The object that ``dynsys find --json`` prints."""
        return {
            "schema": SCHEMA,
            "system": self.about,
            "input": self._inputs(),
            "points": [self._row(i) for i in range(len(self))],
            "manifolds": list(self.manifolds),
            "search": dataclasses.asdict(self.search) | ({} if self.inputs.shape[1] <= LONG else {"inputs": None}),
        }

    def _inputs(self) -> Any:
        """The input held, or all of them; None where they are too long to be read."""
        if self.inputs.shape[1] > LONG:
            return None
        return self.search.inputs[0] if len(self.search.inputs) == 1 else self.search.inputs

    def _row(self, i: int) -> dict[str, Any]:
        leading = self.leading_eigenvalue[i]
        bound = float(self.error_bound[i])
        return {
            "id": i,
            "verdict": str(self.verdict[i]),
            "q": float(self.q[i]),
            "error_bound": bound if np.isfinite(bound) else None,
            "stability": str(self.stability[i]),
            "n_unstable": int(self.n_unstable[i]),
            "leading_eigenvalue": [float(leading.real), float(leading.imag)],
            "readout": self.readouts[i].tolist(),
            "input": self.inputs[i].tolist() if self.inputs.shape[1] <= LONG else None,
            "certified": bool(self.certified[i]),
            "reason": str(self.reasons[i]),
            "uncertainty": float(self.uncertainty[i]) if np.isfinite(self.uncertainty[i]) else None,
            "kinks": int(self.kinks[i]),
            "active_bounds": self.active_bounds[i].tolist() if self.active_bounds[i].any() else [],
            "drift_time": float(self.drift_time[i]) if np.isfinite(self.drift_time[i]) else None,
            "orbit": int(self.orbit[i]) if self.orbit[i] >= 0 else None,
            "manifold": int(self.manifold[i]) if self.manifold[i] >= 0 else None,
            **({"label": str(self.label[i])} if self.label[i] else {}),
        }

    @property
    def stable(self) -> FixedPoints:
        """The fixed points without an unstable direction that are not marginal."""
        return self[(self.verdict == "fixed") & (self.n_unstable == 0) & (self.stability != "marginal")]

    @property
    def fixed(self) -> FixedPoints:
        """Those at which F is zero."""
        return self[self.verdict == "fixed"]

    @property
    def slow(self) -> FixedPoints:
        """Those at which it is only small."""
        return self[self.verdict == "slow"]

    def counts(self) -> dict[str, int]:
        """How many points there are by the word for their stability, slow ones as "slow", the most frequent first."""
        words = Counter(np.where(self.verdict == "slow", "slow", self.stability).tolist())
        return dict(words.most_common())

    def rows(self, *, states: bool = False) -> list[dict[str, Any]]:
        """One flat mapping per point, of what ``to_frame`` and CSV files have as columns."""
        from dynsys.result.table import flat_rows

        return flat_rows(self, states)

    def to_frame(self, *, states: bool = False) -> Any:
        """A pandas DataFrame with one row per point and a number or a word in each column; needs the extra ``pandas``.

        Among them ``eig_re``, ``eig_im`` and ``time_constant`` of the leading eigenvalue, ``readout_1``, ...,
        ``input_1``, ..., and with ``states`` also ``x_1``, ...
        """
        import pandas as pd

        rows = self.rows(states=states)
        return pd.DataFrame(rows, index=pd.RangeIndex(len(self), name="id")).drop(columns="id", errors="ignore")

    @classmethod
    def load(cls, path: str | Path, system: System | None = None, *, find_system: bool = True) -> Self:
        """Read a result back; raises CheckpointError where the file is not one.

        Its system is the one given, else the network that it was found in, if that lies beside the file or where it
        was and has not changed since; None otherwise, or unless it is to be found.
        """
        points = super().load(path)
        if system is None and find_system:
            system = points._network(Path(path).parent)
        return dataclasses.replace(points, system=system)

    def _network(self, folder: Path) -> System | None:
        import dynsys  # here, as the engine knows no file of a network

        if "sha256" not in self.about:
            return None
        noted = Path(self.about["checkpoint"])
        for candidate in (folder / noted.name, noted):
            if candidate.exists() and digest_of(candidate) == self.about["sha256"]:
                try:
                    system: System = remembering(dynsys.load(candidate, **self.about.get("loading", {})), folder)
                except CheckpointError:  # a file that has to be told more than was noted
                    return None
                return Iterated(system, self.search.period) if self.search.period > 1 else system
        return None

    def check(self) -> None:
        checked(Told | None, self.search.missing, "search.missing")  # type: ignore[arg-type]
        checked(Settled | None, self.search.settling, "search.settling")  # type: ignore[arg-type]
        if (self.manifold >= len(self.manifolds)).any():
            raise ValueError("its points are on manifolds that it does not tell of")
        if not set(self.verdict.tolist()) <= {"fixed", "slow"}:
            raise ValueError("its verdicts are not of fixed and slow points")
