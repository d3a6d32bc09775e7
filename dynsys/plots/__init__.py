"""Pictures: a result in, a plotly figure out. Nothing is computed here but projections and thinning.

A new plot is a file with one function and a line in ``_HOME``; a file must not bear the name of its function, or
importing it would hide the function.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Panel": "dynsys.plots.portrait.solids",
    "PictureError": "dynsys.plots.export",
    "Solid": "dynsys.plots.portrait.solids",
    "Strip": "dynsys.plots.memory.strips",
    "bifurcation_diagram": "dynsys.plots.training.bifurcation",
    "capacity_curves": "dynsys.plots.memory.capacity",
    "confusions": "dynsys.plots.memory.confusion",
    "counts_of_networks": "dynsys.plots.training.many",
    "decay_times": "dynsys.plots.inputs.over_path",
    "drift_prediction": "dynsys.plots.stability.noise",
    "energy_landscape": "dynsys.plots.memory.landscape",
    "fading_curves": "dynsys.plots.stability.fading",
    "fading_in_training": "dynsys.plots.stability.fading",
    "flip_matrix": "dynsys.plots.stability.flip",
    "home_shares": "dynsys.plots.memory.homecoming",
    "learning_curves": "dynsys.plots.training.learning",
    "lyapunov_spectrum": "dynsys.plots.stability.lyapunov",
    "lyapunov_surface": "dynsys.plots.stability.lyapunov_surfaces",
    "memory_curves": "dynsys.plots.stability.fading",
    "memory_graph": "dynsys.plots.graphs.graph",
    "memory_mistakes": "dynsys.plots.memory.mistakes",
    "memory_solids": "dynsys.plots.portrait.solids",
    "modes": "dynsys.plots.stability.time_constants",
    "moving_portrait": "dynsys.plots.inputs.moving",
    "network_map": "dynsys.plots.graphs.map_of_networks",
    "noise_curves": "dynsys.plots.stability.noise",
    "origin_eigenvalues": "dynsys.plots.training.origin",
    "origin_spectrum": "dynsys.plots.training.origin",
    "phase_plane": "dynsys.plots.portrait.plane",
    "phase_portrait": "dynsys.plots.portrait.phase",
    "point_map": "dynsys.plots.stability.input_grid",
    "point_counts": "dynsys.plots.training.counts",
    "points_by_input": "dynsys.plots.inputs.over_path",
    "portrait_animation": "dynsys.plots.training.evolution",
    "portrait_stills": "dynsys.plots.training.evolution",
    "readout_learning": "dynsys.plots.training.learning",
    "retrieval_convergence": "dynsys.plots.memory.retrieval",
    "retrieval_portrait": "dynsys.plots.memory.retrieval",
    "retrieval_strips": "dynsys.plots.memory.strips",
    "save_html": "dynsys.plots.export",
    "save_picture": "dynsys.plots.export",
    "selection_vectors": "dynsys.plots.stability.selection",
    "shares_about_memories": "dynsys.plots.memory.homecoming",
    "side_by_side": "dynsys.plots.portrait.beside",
    "speed_along": "dynsys.plots.stability.speed_along",
    "spectrum": "dynsys.plots.stability.eigenvalues",
    "training_curves": "dynsys.plots.training.curves",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dynsys.plots' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
