"""From the states that a search found to the points that it reports: eigenvalues, words, readouts, order."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.io.progress import Progress
from dynsys.piecewise_linear.kinks import stability_at_kink
from dynsys.result.fixed_points import FixedPoints, SearchReport
from dynsys.search.known.zeros import Zeros
from dynsys.search.slow_points.slow import Minima
from dynsys.search.slow_points.slowness import DRIFT, drift_time
from dynsys.stability.classification import Stability, classify, classify_slow, eigenvalue_uncertainty
from dynsys.stability.spectrum import MODES, Spectrum, excess, spectra
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import System

SLOW = "it is no fixed point"
UNBOUNDED = f"{SLOW}; no bound: along some direction q hardly bends there, or less and less"


def describe(
    system: System,
    zeros: Zeros,
    minima: Minima,
    report: SearchReport,
    full_spectrum: bool,
    workers: int,
    progress: Progress,
) -> FixedPoints:
    """Every point classified, with all that is known of it, in order."""
    x = torch.cat([zeros.points.x] + [m.x for m in minima.points])
    u = minima.inputs[torch.tensor(zeros.groups + minima.groups, dtype=torch.long, device=x.device)]
    held = Held(system, u, minima.unit)
    found, judged = _judged(held, x, zeros, minima, full_spectrum, workers, progress)
    F, n_fixed = held.velocity(x), len(zeros)
    points = FixedPoints(
        states=_array(x),
        q=_array(0.5 * (F * F).sum(1)),
        verdict=np.array(["fixed"] * n_fixed + ["slow"] * len(minima.points), dtype=np.str_),
        stability=np.array([j.word for j in judged], dtype=np.str_),
        n_unstable=np.array([j.n_unstable for j in judged], dtype=np.int64),
        eigenvalues=_padded([s.eigenvalues for s in found]),
        modes=_modes([s.modes for s in found], system.n_state),
        readouts=_array(system.readout(x)),
        inputs=_array(u),
        search=report,
        about=about(system),
        system=system.to(device="cpu"),
        manifolds=zeros.manifolds,
        **_of_zeros_and_minima(system, zeros, minima),
    )
    points = points[_order(points, system)]
    return dataclasses.replace(points, orbit=_renumbered(points.orbit))


def _judged(
    held: Held,
    x: Tensor,
    zeros: Zeros,
    minima: Minima,
    full_spectrum: bool,
    workers: int,
    progress: Progress,
) -> tuple[list[Spectrum], list[Stability]]:
    """The spectrum and the stability of every point, zeros first."""
    system, done = held.system, 0

    def tell(finished: int) -> None:
        nonlocal done
        done += finished
        progress("classify", done, len(x))

    known, n_fixed = zeros.points, len(zeros)
    noise = known.F.norm(dim=1) + known.noise
    accuracy = list(zip(known.curvature.tolist(), known.error_bound.tolist(), noise.tolist(), strict=True))
    accuracy += [(0.0, m.error_bound, 0.0) for m in minima.points]
    unsure = torch.tensor([not np.isfinite(bound) for _, bound, _ in accuracy], dtype=torch.bool)
    unsure[n_fixed:] = True
    found = spectra(held, x, full=unsure | full_spectrum, workers=workers, on_done=tell)
    uncertain = [eigenvalue_uncertainty(s, *known) for s, known in zip(found, accuracy, strict=True)]
    judged = [
        classify(s, error, system) if i < n_fixed else classify_slow(s, error, system)
        for i, (s, error) in enumerate(zip(found, uncertain, strict=True))
    ]
    for i, sides in enumerate(zeros.sides):
        if sides is not None:
            judged[i] = stability_at_kink(sides, system.kind)
        elif zeros.kinks[i]:  # too large for Jacobians on all sides
            judged[i] = Stability("marginal", 0)
    for i in np.flatnonzero(zeros.manifold >= 0).tolist():  # at its end one side may see nothing of a line
        judged[i] = Stability("marginal", judged[i].n_unstable)
    return found, judged


def _of_zeros_and_minima(system: System, zeros: Zeros, minima: Minima) -> dict[str, Any]:
    """What is known of one of the two kinds only, with what stands for the other."""
    n_fixed, n_slow = len(zeros), len(minima.points)
    none = np.full(n_slow, -1, dtype=np.int64)
    q = np.array([m.q for m in minima.points], dtype=np.float64)
    active = [np.zeros(system.n_state, dtype=np.int8)] * n_fixed + [m.active for m in minima.points]
    bounds = [*zeros.points.error_bound.tolist(), *(m.error_bound for m in minima.points)]
    reasons = [SLOW if np.isfinite(m.error_bound) else UNBOUNDED for m in minima.points]
    return {
        "error_bound": np.array(bounds, dtype=np.float64),
        "certified": np.concatenate([zeros.certified, none > 0]),
        "reasons": np.array(zeros.reasons + reasons, dtype=np.str_),
        "uncertainty": np.concatenate([zeros.uncertainty, np.full(n_slow, np.nan)]),
        "kinks": np.concatenate([zeros.kinks, 0 * none]),
        "active_bounds": np.array(active, dtype=np.int8).reshape(n_fixed + n_slow, system.n_state),
        "drift_time": np.concatenate([np.full(n_fixed, np.nan), drift_time(system, q, DRIFT * minima.unit)]),
        "orbit": np.concatenate([zeros.orbit, none]),
        "manifold": np.concatenate([zeros.manifold, none]),
    }


def _order(points: FixedPoints, system: System) -> np.ndarray:
    """Fixed before slow, then by unstable directions, manifold, cycle and readout."""
    leads = excess(torch.as_tensor(points.leading_eigenvalue), system.kind).numpy().round(9)
    order = sorted(
        range(len(points)),
        key=lambda i: (
            points.verdict[i] == "slow",
            points.n_unstable[i],
            points.manifold[i],
            points.orbit[i],
            i if points.orbit[i] >= 0 or points.manifold[i] >= 0 else 0,  # in the order of time, or along the line
            tuple(points.readouts[i].round(6)),
            leads[i],
            tuple(points.states[i]),
        ),
    )
    return np.array(order, dtype=np.int64)


def _renumbered(orbit: np.ndarray) -> np.ndarray:
    """Cycles by the order in which they come; -1 stays."""
    numbers = {old: new for new, old in enumerate(dict.fromkeys(i for i in orbit.tolist() if i >= 0))}
    return np.array([numbers.get(i, -1) for i in orbit.tolist()], dtype=np.int64)


def about(system: System) -> dict[str, Any]:
    """What a result says of its system, which may be a map applied ``period`` times."""
    applied = system.system if isinstance(system, Iterated) else system
    cycles = {"name": applied.name, "period": system.k} if isinstance(system, Iterated) else {}
    return {
        "name": system.name,
        "kind": str(system.kind),
        "n_state": system.n_state,
        "n_input": system.n_input,
        "n_output": system.n_output,
        "time_constant": system.time_constant,
        **({} if system.periods is None else {"periods": [p if p < np.inf else 0.0 for p in system.periods.tolist()]}),
        **cycles,
        **(applied.read_from or {}),
    }


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.detach().cpu())


def _padded(rows: list[Tensor]) -> np.ndarray:
    """Rows of different length as one array that ends in NaN."""
    width = max((len(row) for row in rows), default=0)
    out = np.full((len(rows), width), np.nan + 0j)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row.numpy()
    return out


def _modes(rows: list[Tensor], n: int) -> np.ndarray:
    width = min(MODES, max((len(row) for row in rows), default=0))
    out = np.full((len(rows), width, n), np.nan + 0j)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row.numpy()
    return out
