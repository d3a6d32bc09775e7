"""What is known to be missing from a diagram, and what its indices can and cannot tell."""

from __future__ import annotations

from dynsys.analyses.evolve.stable_points import begins_lost, ends_lost
from dynsys.continuation.curve import STUCK
from dynsys.continuation.diagram import Branch, Diagram
from dynsys.io.text import paragraphs, sentence

HERE = "dynsys.analyses.evolve"
KINKS = "kinks"  # in ``about`` of a diagram, where the system is piecewise linear


def lost_branches(diagram: Diagram) -> list[Branch]:
    """Those that were lost from sight at one end or at both."""
    return [b for b in diagram.branches if b.lost or begins_lost(diagram, b) or ends_lost(diagram, b)]


def warnings(diagram: Diagram) -> list[str]:
    """What is to be read before anything else: branches that were lost, snapshots that are proved to miss points."""
    lost = lost_branches(diagram)
    cut = diagram.about["cut"]["sentence"] if "cut" in diagram.about else None
    stuck = bool(diagram.about.get(KINKS)) and any(STUCK in b.lost for b in lost)
    wrong = [f"{step:,.0f}" for step in diagram.steps[diagram.index_sums != 1]] if diagram.index_known else []
    return paragraphs(HERE, "warnings", cut, [b.id for b in lost], len(diagram.branches), stuck, wrong)


def of_the_indices(diagram: Diagram) -> str:
    """How much a sum of indices says of completeness."""
    searched, add_up = int(diagram.searched.sum()), bool((diagram.index_sums == 1).all())
    known, total, cut = diagram.index_known, len(diagram.steps), "cut" in diagram.about
    return sentence(HERE, "indices", known, add_up, searched, total, cut)
