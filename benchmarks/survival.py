"""What it costs to follow the fixed points of a trained network through rising weight noise, and whether it is right.

    python benchmarks/survival.py RUN [--which all] [--trials 3] [--levels 20]

RUN is a folder with a checkpoint and fixed_points.safetensors. Prints CPU seconds per trial, what became of the points,
and two checks: every state is a zero of the perturbed F, and of the memories those counted stable are so by the whole
spectrum of the highest level with any.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import dynsys
from dynsys.continuation.persistence import Survival, survival
from dynsys.models.driven.perturbation import draw_noise, perturbed, weights_chosen, weights_of
from dynsys.result.fixed_points import FixedPoints
from dynsys.systems.system import Kind, System


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--which", choices=("memories", "all"), default="memories")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--levels", type=int, default=20)
    options = parser.parse_args()
    system = dynsys.load(options.run)
    points = FixedPoints.load(options.run / "fixed_points.safetensors")
    levels = np.geomspace(1e-4, 1.0, options.levels)
    for trial in range(options.trials):
        noise = draw_noise(weights_of(system), weights_chosen(system), trial)

        def at(level: float, noise: dict[str, np.ndarray] = noise) -> System:
            return perturbed(system, noise, level)

        before = time.process_time()
        found = survival(points, system, at, levels, which=options.which)
        seconds = time.process_time() - before
        fates = {str(word): int((found.fate == word).sum()) for word in np.unique(found.fate)}
        print(f"trial {trial}: {len(found.points)} points, {seconds:.1f} s of CPU; {fates}")
        print(f"  first memory lost between {found.first_loss[0]:.3g} and {found.first_loss[1]:.3g}")
        print(f"  exist at each level: {found.counts()['exist']}")
        print(f"  largest |F| / |x|: {_residual(found, at, points):.1e}; {_stability(found, at, points)}")


def _residual(found: Survival, at: object, points: FixedPoints) -> float:
    worst = 0.0
    for level, states, there in zip(found.levels, found.states, found.exists, strict=True):
        if there.any():
            x, u = _held(states, found.points, there, points)
            F = at(float(level)).velocity(x, u)  # type: ignore[operator]
            worst = max(worst, float((F.norm(dim=1) / x.norm(dim=1).clamp_min(1.0)).max()))
    return worst


def _stability(found: Survival, at: object, points: FixedPoints) -> str:
    kept = np.flatnonzero(found.memory.any(axis=1))
    if not len(kept):
        return "no memory at any level"
    asked = found.exists[kept[-1]] & (found.n_unstable[kept[-1]] >= 0)
    x, u = _held(found.states[kept[-1]], found.points, asked, points)
    network: System = at(float(found.levels[kept[-1]]))  # type: ignore[operator]
    values = torch.cat([torch.linalg.eigvals(network.jacobian(x[i : i + 1], u[i : i + 1])) for i in range(len(x))])
    beyond = values.real > 0 if network.kind is Kind.FLOW else (values + 1).abs() > 1
    wrong = int((beyond.sum(1).numpy() != found.n_unstable[kept[-1]][asked]).sum())
    return f"unstable directions wrong at {wrong} of {len(x)} points"


def _held(
    states: np.ndarray, rows: np.ndarray, there: np.ndarray, points: FixedPoints
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(states[there]), torch.as_tensor(points.inputs[rows[there]])


if __name__ == "__main__":
    main()
