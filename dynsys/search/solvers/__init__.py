"""The solvers, by name. A new one is one file here and one line below."""

from dynsys.search.solvers.adam import Adam
from dynsys.search.solvers.base import Info, Solver
from dynsys.search.solvers.conjugate_gradient import ConjugateGradient
from dynsys.search.solvers.gauss_newton import GaussNewton
from dynsys.search.solvers.gradient_descent import GradientDescent
from dynsys.search.solvers.newton import DENSE_LIMIT, LU_LIMIT, Newton
from dynsys.search.solvers.trust_region import TrustRegion

SOLVERS: dict[str, type[Solver]] = {
    solver.name: solver for solver in (GaussNewton, ConjugateGradient, Newton, TrustRegion, GradientDescent, Adam)
}

__all__ = ["DENSE_LIMIT", "LU_LIMIT", "SOLVERS", "Adam", "ConjugateGradient", "GaussNewton", "GradientDescent", "Info"]
__all__ += ["Newton", "Solver", "TrustRegion", "solver_named"]


def solver_named(name: str | Solver) -> Solver:
    """The solver of that name; ``auto`` is Newton, for which a search puts Gauss-Newton where it mostly fails."""
    if isinstance(name, Solver):
        return name
    if name == "auto":
        return Newton()
    if name not in SOLVERS:
        raise ValueError(f"solver is {name!r}; the solvers are auto, {', '.join(SOLVERS)}")
    return SOLVERS[name]()
