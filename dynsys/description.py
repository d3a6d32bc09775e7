"""From the states that a search found to the points that it reports: eigenvalues, words, readouts, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynsys.catalogue import Catalogue
from dynsys.points import FixedPoints, SearchReport
from dynsys.slow import Minima
from dynsys.spectrum import MODES, excess, spectra
from dynsys.stability import classify, classify_slow, eigenvalue_uncertainty
from dynsys.system import System

Progress = Callable[[str, int, int], None]


def describe(
    system: System,
    catalogue: Catalogue,
    minima: Minima,
    report: SearchReport,
    full_spectrum: bool,
    workers: int,
    progress: Progress,
) -> FixedPoints:
    """Classify every point and put them in order: fixed before slow, then by unstable directions and readout."""
    known = catalogue.points
    x = torch.cat([known.x] + [m.x for m in minima.points])
    groups = torch.tensor(catalogue.groups + minima.groups, dtype=torch.long, device=x.device)
    u = catalogue.inputs[groups]
    done = 0

    def tell(finished: int) -> None:
        nonlocal done
        done += finished
        progress("classify", done, len(x))

    n_fixed = len(catalogue)
    noise = known.F.norm(dim=1) + known.noise
    accuracy = list(zip(known.curvature.tolist(), known.error_bound.tolist(), noise.tolist(), strict=True))
    accuracy += [(0.0, m.error_bound, 0.0) for m in minima.points]
    unsure = torch.tensor([not np.isfinite(bound) for _, bound, _ in accuracy], dtype=torch.bool)
    unsure[n_fixed:] = True
    found = spectra(system, x, u, full=unsure | full_spectrum, workers=workers, on_done=tell)
    uncertain = [eigenvalue_uncertainty(s, *known) for s, known in zip(found, accuracy, strict=True)]
    judged = [
        classify(s, error, system) if i < n_fixed else classify_slow(s, error, system)
        for i, (s, error) in enumerate(zip(found, uncertain, strict=True))
    ]
    F, readouts = system.velocity(x, u), _array(system.readout(x))
    stability = np.array([j.word for j in judged], dtype=np.str_)
    points = FixedPoints(
        states=_array(x),
        q=_array(0.5 * (F * F).sum(1)),
        verdict=np.array(["fixed"] * n_fixed + ["slow"] * len(minima.points), dtype=np.str_),
        stability=stability,
        n_unstable=np.array([j.n_unstable for j in judged], dtype=np.int64),
        eigenvalues=_padded([s.eigenvalues for s in found]),
        modes=_modes([s.modes for s in found], system.n_state),
        error_bound=np.array([bound for _, bound, _ in accuracy], dtype=np.float64),
        readouts=readouts,
        inputs=_array(u),
        search=report,
        about=about(system),
        system=system.to(device="cpu"),
    )
    leads = excess(torch.as_tensor(points.leading_eigenvalue), system.kind).numpy().round(9)
    order = sorted(
        range(len(points)),
        key=lambda i: (i >= n_fixed, points.n_unstable[i], tuple(readouts[i].round(6)), leads[i], tuple(_array(x[i]))),
    )
    return points[np.array(order, dtype=np.int64)]


def about(system: System) -> dict[str, Any]:
    """What a result says of its system."""
    return {
        "name": system.name,
        "kind": str(system.kind),
        "n_state": system.n_state,
        "n_input": system.n_input,
        "n_output": system.n_output,
        "time_constant": system.time_constant,
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
