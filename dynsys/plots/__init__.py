"""Pictures: a result in, a plotly figure out. Nothing is computed here but projections and thinning.

A new plot is a file with one function and a line in ``_HOME``; a file must not bear the name of its function, or
importing it would hide the function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynsys.plots.beside import side_by_side
    from dynsys.plots.bifurcation import bifurcation_diagram
    from dynsys.plots.confusion import confusions
    from dynsys.plots.counts import point_counts
    from dynsys.plots.eigenvalues import spectrum
    from dynsys.plots.evolution import portrait_animation, portrait_stills
    from dynsys.plots.export import PictureError, save_html, save_picture
    from dynsys.plots.graph import memory_graph
    from dynsys.plots.learning import learning_curves
    from dynsys.plots.mistakes import memory_mistakes
    from dynsys.plots.noise import drift_prediction, noise_curves
    from dynsys.plots.origin import origin_eigenvalues, origin_spectrum
    from dynsys.plots.plane import phase_plane
    from dynsys.plots.portrait import phase_portrait
    from dynsys.plots.readouts import readout_learning
    from dynsys.plots.retrieval import retrieval_convergence, retrieval_portrait
    from dynsys.plots.solids import Panel, Solid, memory_solids
    from dynsys.plots.time_constants import modes
    from dynsys.plots.training import training_curves

_HOME = {
    "Panel": "dynsys.plots.solids",
    "PictureError": "dynsys.plots.export",
    "Solid": "dynsys.plots.solids",
    "bifurcation_diagram": "dynsys.plots.bifurcation",
    "confusions": "dynsys.plots.confusion",
    "drift_prediction": "dynsys.plots.noise",
    "learning_curves": "dynsys.plots.learning",
    "memory_graph": "dynsys.plots.graph",
    "memory_mistakes": "dynsys.plots.mistakes",
    "memory_solids": "dynsys.plots.solids",
    "modes": "dynsys.plots.time_constants",
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
    "save_html": "dynsys.plots.export",
    "save_picture": "dynsys.plots.export",
    "side_by_side": "dynsys.plots.beside",
    "spectrum": "dynsys.plots.eigenvalues",
    "training_curves": "dynsys.plots.training",
}

__all__ = [
    "Panel",
    "PictureError",
    "Solid",
    "bifurcation_diagram",
    "confusions",
    "drift_prediction",
    "learning_curves",
    "memory_graph",
    "memory_mistakes",
    "memory_solids",
    "modes",
    "noise_curves",
    "origin_eigenvalues",
    "origin_spectrum",
    "phase_plane",
    "phase_portrait",
    "point_counts",
    "portrait_animation",
    "portrait_stills",
    "readout_learning",
    "retrieval_convergence",
    "retrieval_portrait",
    "save_html",
    "save_picture",
    "side_by_side",
    "spectrum",
    "training_curves",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dynsys.plots' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
