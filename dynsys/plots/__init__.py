"""Pictures: a result in, a plotly figure out. Nothing is computed here but projections and thinning.

A new plot is a file with one function and a line in ``_HOME``; a file must not bear the name of its function, or
importing it would hide the function.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Panel": "dynsys.plots.solids",
    "PictureError": "dynsys.plots.export",
    "Solid": "dynsys.plots.solids",
    "Strip": "dynsys.plots.strips",
    "bifurcation_diagram": "dynsys.plots.bifurcation",
    "capacity_curves": "dynsys.plots.capacity",
    "confusions": "dynsys.plots.confusion",
    "drift_prediction": "dynsys.plots.noise",
    "energy_landscape": "dynsys.plots.landscape",
    "fading_curves": "dynsys.plots.fading",
    "fading_in_training": "dynsys.plots.fading",
    "flip_matrix": "dynsys.plots.flip",
    "home_shares": "dynsys.plots.homecoming",
    "learning_curves": "dynsys.plots.learning",
    "lyapunov_spectrum": "dynsys.plots.lyapunov",
    "lyapunov_surface": "dynsys.plots.lyapunov_surfaces",
    "memory_curves": "dynsys.plots.fading",
    "memory_graph": "dynsys.plots.graph",
    "memory_mistakes": "dynsys.plots.mistakes",
    "memory_solids": "dynsys.plots.solids",
    "modes": "dynsys.plots.time_constants",
    "network_map": "dynsys.plots.map_of_networks",
    "noise_curves": "dynsys.plots.noise",
    "origin_eigenvalues": "dynsys.plots.origin",
    "origin_spectrum": "dynsys.plots.origin",
    "phase_plane": "dynsys.plots.plane",
    "phase_portrait": "dynsys.plots.portrait",
    "point_counts": "dynsys.plots.counts",
    "portrait_animation": "dynsys.plots.evolution",
    "portrait_stills": "dynsys.plots.evolution",
    "readout_learning": "dynsys.plots.readouts",
    "retrieval_convergence": "dynsys.plots.retrieval",
    "retrieval_portrait": "dynsys.plots.retrieval",
    "retrieval_strips": "dynsys.plots.strips",
    "save_html": "dynsys.plots.export",
    "save_picture": "dynsys.plots.export",
    "shares_about_memories": "dynsys.plots.homecoming",
    "side_by_side": "dynsys.plots.beside",
    "spectrum": "dynsys.plots.eigenvalues",
    "training_curves": "dynsys.plots.training",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dynsys.plots' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
