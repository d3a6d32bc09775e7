"""The exponents of each attractor that was met, with everything that is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dynsys.exponents.attractors import Together, together
from dynsys.exponents.judgement import as_zero, motion_of, sum_rule, told_from
from dynsys.exponents.spectrum import Exponents
from dynsys.exponents.statistics import Batches, batched, entropy_rate, exactly, kaplan_yorke
from dynsys.systems.system import Kind

if TYPE_CHECKING:
    from dynsys.exponents.lyapunov import _Run

Array = NDArray[np.float64]


def apart(run: _Run, seconds: float, stopped: str) -> Exponents:
    """The exponents of the attractor that most trajectories are on, with those of the others."""
    lengths = np.asarray(run.lengths) * run.asked.step * run.asked.system.time_constant
    moved = torch.stack(run.logs).numpy() if run.logs else np.zeros((0, 0, run.asked.k))
    groups = together(run, moved / lengths[:, None, None])
    found = [_exponents(run, group, lengths, seconds, stopped) for group in groups]
    found[0].others.extend(found[1:])
    return found[0]


def _exponents(run: _Run, group: Together, lengths: Array, seconds: float, stopped: str) -> Exponents:
    asked, system, series = run.asked, run.asked.system, group.rates
    if group.orbit is None:
        batches, (rule, rate) = batched(series), sum_rule(run, group)
    else:
        values = group.orbit.rates[: asked.k]
        series, lengths = np.broadcast_to(values, (1, 1, len(values))), np.ones(1)
        batches, rule, rate = exactly(values), 0.0, float(group.orbit.rates.sum())
    order = np.argsort(-batches.mean(), kind="stable")
    batches, series = Batches(batches.means[:, order], batches.correlation), series[:, :, order]
    values = batches.mean()
    half = (
        batches.half_width(asked.level) if group.orbit else np.maximum(batches.half_width(asked.level), told_from(run))
    )
    zero, whole = as_zero(values, half, system.kind is Kind.FLOW and group.orbit is None), asked.k == system.n_state
    ky, ky_interval = batches.of(lambda row: kaplan_yorke(np.where(zero, 0.0, row), whole), asked.level)
    entropy, entropy_interval = batches.of(lambda row: entropy_rate(np.where(zero, 0.0, row), whole), asked.level)
    with np.errstate(invalid="ignore"):
        interval = np.stack([values - half, values + half], axis=1)
    motion, reasons = motion_of(run, group, series, batches, half)
    return Exponents(
        values=values,
        interval=interval,
        curve=np.cumsum(series.mean(axis=1) * lengths[:, None], axis=0) / np.cumsum(lengths)[:, None],
        times=np.cumsum(lengths),
        ends=group.x.numpy(),
        level=asked.level,
        kaplan_yorke=ky,
        kaplan_yorke_interval=ky_interval,
        entropy=entropy,
        entropy_interval=entropy_interval,
        sum_rule=rule,
        volume_rate=rate,
        lost=int(np.isneginf(values).sum()),
        kind="driven" if asked.inputs is not None else "closed loop" if system.closed_loop else "autonomous",
        is_map=system.kind is Kind.MAP,
        motion=motion,
        period=0 if group.orbit is None else len(group.orbit.states),
        reasons=tuple(reasons),
        name=system.name,
        n_state=system.n_state,
        steps=int(np.sum(run.lengths)),
        burn_in=asked.burn_in,
        step_time=asked.step * system.time_constant,
        correlation=batches.correlation,
        asked=run.begun,
        gone=run.begun - len(run.x) - len(run.rested),
        seconds=seconds,
        stopped=stopped,
        euler=system.flow() is not None,
    )
