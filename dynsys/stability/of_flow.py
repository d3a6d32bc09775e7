"""A leaky network's points as those of the flow of which its map is the Euler step.

Both have the same fixed points. With J the Jacobian of the flow, in steps, the map's is I + J: what decays slowly is
stable in both, but where J turns fast, or decays faster than e^-2 a step, the step is too long and the map is not.
"""

from __future__ import annotations

import torch

from dynsys.result.fixed_points import FixedPoints
from dynsys.stability.classification import classify, eigenvalue_uncertainty
from dynsys.stability.spectrum import spectra
from dynsys.systems.held import Held


def stability_of_flow(points: FixedPoints) -> list[str] | None:
    """The word for each point in the flow; None where the network is no Euler step of one, or for its cycles.

    Slow points keep their word. Raises ValueError for points that were loaded without their system.
    """
    if points.system is None:
        raise ValueError("these points were loaded without their system; give it: FixedPoints.load(path, system)")
    flow = points.system.flow()
    if flow is None or len(points) == 0:
        return None
    x, held = torch.as_tensor(points.states), Held(flow, torch.as_tensor(points.inputs))
    words = []
    for i, found in enumerate(spectra(held, x, full=True)):
        bound = float(points.error_bound[i])
        error = eigenvalue_uncertainty(found, found.norm, bound, float(points.q[i]) ** 0.5)
        fixed = points.verdict[i] == "fixed"
        words.append(classify(found, error, flow).word if fixed else str(points.stability[i]))
    return words


def told_of_flow(points: FixedPoints) -> list[str]:
    """A sentence on the flow of a leaky network; none for any other network."""
    words = stability_of_flow(points)
    if words is None:
        return []
    differ = [i for i, word in enumerate(words) if word != points.stability[i]]
    if not differ:
        return ["As points of the flow of which it is the Euler step they have the same words."]
    shown = ", ".join(f"{i} ({points.stability[i]}; as a flow {words[i]})" for i in differ[:6])
    more = f" and {len(differ) - 6} more" if len(differ) > 6 else ""
    return [
        f"The words are those of the map. As points of the flow of which it is the Euler step differ {shown}{more}."
    ]
