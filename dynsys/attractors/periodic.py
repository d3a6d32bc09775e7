"""What is known of an orbit of a map, or of a cycle of a flow, that trajectories end in: where, how stable, how sure.

The phases of an orbit of period k are fixed points of G applied k times, and each is proved like any point; the orbit
is where all of them are. Its multipliers are the eigenvalues of the product of the Jacobians along it.

A cycle of a flow, phi_T(x) = x, is refined by one step of Newton's method in x and T, with F(x) . dx = 0. Its (Floquet)
multipliers are the eigenvalues of d phi_T / dx but the one that is 1, along the cycle: how far that one is from 1 as it
is computed tells how exact they are. Numbers, and no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsys.attractors.attractor import Attractor
from dynsys.proof.certificate import certify
from dynsys.stability.spectrum import spectra
from dynsys.systems.angles import nearest
from dynsys.systems.held import Held
from dynsys.systems.iterated import Iterated
from dynsys.systems.system import Kind, System

Array = NDArray[np.float64]

SHOWN = 4  # leading multipliers that are told
LARGEST = 64  # variables of a flow, up to which the derivative along a cycle is followed
TOLERANCE = 1e-9  # of each step along it, relative
SHUT = 1e-6  # of a state's usual size, within which a refined cycle comes back
MOVED = 0.01  # of the period, by which it may be refined
KEPT = 16  # states of a cycle
NOT_PROVED = "cycles of flows are computed, not proved"
TOO_LARGE = f"its multipliers are not computed above {LARGEST} variables; {NOT_PROVED}"
NOT_SHUT = f"it was not found to come back within rounding; {NOT_PROVED}"


def periodic(system: System, attractors: Sequence[Attractor], unit: float) -> list[dict[str, Any]]:
    """Of each, as JSON can hold it: ``states``, ``multipliers`` (leading first, [re, im] each; None where they are not
    known), ``proved`` and ``reason`` where it is not, ``error_bound``, and the refined ``period`` of a flow.

    ``unit`` is the usual size of a state. Orbits of one length are proved together.
    """
    if system.kind is Kind.FLOW:
        held = [Held(system, torch.as_tensor(a.input).reshape(1, -1), unit) for a in attractors]
        return [_cycle(at, torch.as_tensor(a.states), a.period) for at, a in zip(held, attractors, strict=True)]
    told: dict[int, dict[str, Any]] = {}
    for k in sorted({len(a.states) for a in attractors}):
        some = [i for i, a in enumerate(attractors) if len(a.states) == k]
        told |= zip(some, _orbits(system, [attractors[i] for i in some], k, unit), strict=True)
    return [told[i] for i in range(len(attractors))]


def _orbits(system: System, attractors: Sequence[Attractor], k: int, unit: float) -> list[dict[str, Any]]:
    """Orbits of k states each."""
    iterated = Iterated(system, k)
    x = torch.as_tensor(np.stack([a.states for a in attractors]))
    u = torch.as_tensor(np.stack([a.input for a in attractors]))
    proof = certify(Held(iterated, u.repeat_interleave(k, dim=0), unit), x.flatten(0, 1))
    proved = proof.certified.view(-1, k).all(dim=1).tolist()
    bounds = proof.error_bound.view(-1, k).amax(dim=1).tolist()
    found = spectra(Held(iterated, u), x[:, 0])
    return [
        {
            "states": x[i].tolist(),
            "multipliers": _leading(found[i].eigenvalues.numpy()),
            "proved": proved[i],
            "reason": next((str(reason) for reason in proof.reasons[i * k : (i + 1) * k] if reason), ""),
            "error_bound": bounds[i] if proved[i] else None,
        }
        for i in range(len(attractors))
    ]


def _cycle(held: Held, x: Tensor, period: float) -> dict[str, Any]:
    told = {"states": x.tolist(), "multipliers": None, "proved": False, "reason": TOO_LARGE, "error_bound": None}
    if held.system.n_state > LARGEST:
        return told
    refined = _refined(held, x[0], period)
    if refined is None:
        return told | {"reason": NOT_SHUT}
    states, period, M = refined
    multipliers = np.linalg.eigvals(M)
    along = int(np.abs(multipliers - 1).argmin())
    return told | {
        "states": states.tolist(),
        "period": period,
        "multipliers": _leading(np.delete(multipliers, along)),
        "along": [multipliers[along].real, multipliers[along].imag],
        "reason": NOT_PROVED,
    }


def _refined(held: Held, x: Tensor, period: float) -> tuple[Array, float, Array] | None:
    """States (KEPT, n) of the cycle near x (n,), its period, and the derivative (n, n) of one turn; None in doubt."""
    found = _turn(held, np.asarray(x), period)
    if found is None:
        return None
    states, M, F = found
    gap, start = _back(held.system, states), F[0]
    bordered = np.block([[M - np.eye(len(M)), F[-1][:, None]], [start[None], np.zeros((1, 1))]])
    try:
        change = np.linalg.solve(bordered, -np.append(gap, 0.0))
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(change).all() or abs(change[-1]) > MOVED * period:
        return None
    period += float(change[-1])
    found = _turn(held, np.asarray(x) + change[:-1], period)
    if found is None or not np.linalg.norm(_back(held.system, found[0])) <= SHUT * held.unit:
        return None
    return found[0][:-1], period, found[1]


def _back(system: System, states: Array) -> Array:
    way = torch.as_tensor(states[-1] - states[0])
    return np.asarray(nearest(way, system.periods))


def _turn(held: Held, x: Array, period: float) -> tuple[Array, Array, Array] | None:
    """States (KEPT + 1, n) at equal times of one turn from x (n,), the derivative of its end, F at both ends."""
    n = len(x)

    def slope(t: float, y: Array) -> Array:
        state = torch.as_tensor(y[None, :n])
        J = np.asarray(held.jacobian(state)[0])
        return np.concatenate([np.asarray(held.velocity(state)[0]), (J @ y[n:].reshape(n, n)).ravel()])

    begin = np.concatenate([x, np.eye(n).ravel()])
    size = np.concatenate([np.full(n, TOLERANCE * held.unit), np.full(n * n, TOLERANCE)])
    times = np.linspace(0.0, period, KEPT + 1)
    with np.errstate(all="ignore"):
        found = scipy.integrate.solve_ivp(slope, (0.0, period), begin, "DOP853", times, rtol=TOLERANCE, atol=size)
    if not found.success or not np.isfinite(found.y).all():
        return None
    ends = np.stack([slope(0.0, found.y[:, i])[:n] for i in (0, -1)])
    return found.y[:n].T, found.y[n:, -1].reshape(n, n), ends


def _leading(multipliers: NDArray[np.complex128]) -> list[list[float]]:
    order = np.argsort(-np.abs(multipliers), kind="stable")[:SHOWN]
    return [[float(multipliers[i].real), float(multipliers[i].imag)] for i in order]
