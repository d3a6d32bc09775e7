"""What is known to be missing from a diagram, and what its indices can and cannot tell."""

from __future__ import annotations

from dynsys.analyses.evolve.stable_points import begins_lost, ends_lost
from dynsys.continuation.curve import STUCK
from dynsys.continuation.diagram import Branch, Diagram

KINKS = "kinks"  # in ``about`` of a diagram, where the system is piecewise linear
NAMED = 8  # steps and branches that are named; of more the number
NOT_SEEN = (
    "A pair of eigenvalues that crosses and comes back between two snapshots can go unseen, and is no event then."
)


KNOWN_BY_THEN = "What follows is of the points that were known by then."


def lost_branches(diagram: Diagram) -> list[Branch]:
    """Those that were lost from sight at one end or at both."""
    return [b for b in diagram.branches if b.lost or begins_lost(diagram, b) or ends_lost(diagram, b)]


def warnings(diagram: Diagram) -> list[str]:
    """What is to be read before anything else: branches that were lost, snapshots that are proved to miss points."""
    told = [f"{diagram.about['cut']['sentence']} {KNOWN_BY_THEN}"] if "cut" in diagram.about else []
    lost = lost_branches(diagram)
    if lost:
        number = f"1 of {len(diagram.branches)} branches was" if len(lost) == 1 else None
        told.append(
            f"Not whole: {number or f'{len(lost)} of {len(diagram.branches)} branches were'} lost from sight on the "
            f"way ({_named([str(b.id) for b in lost])}), so that some points and events are missing."
        )
    if diagram.about.get(KINKS) and any(STUCK in b.lost for b in lost):
        told.append(
            "This network is piecewise linear (ReLU), and walks stop at the kinks: of what becomes of a point there "
            "nothing is known."
        )
    wrong = [f"{step:,.0f}" for step in diagram.steps[diagram.index_sums != 1]] if diagram.index_known else []
    if wrong:
        told.append(f"Points are missing at step {_named(wrong)}: the indices do not add up to 1 there.")
    return told


def of_the_indices(diagram: Diagram) -> str:
    """How much a sum of indices says of completeness: nothing of pairs that cancel."""
    searched, total = int(diagram.searched.sum()), len(diagram.steps)
    afresh = f"{searched} of {total} snapshots were searched afresh"
    missed = (
        "not all of them could be looked at in the time given: points can be missing"
        if "cut" in diagram.about
        else "at the others states were released to come to rest, which finds no saddles: some of these can be missing"
        if searched < total
        else "a search can miss points"
    )
    if not diagram.index_known:
        return f"For this network no sum of indices is known that would prove points missing; {afresh}, {missed}."
    if (diagram.index_sums != 1).any():
        return f"Where the indices add up to 1, what is missing is missing in pairs that cancel; {afresh}, {missed}."
    return (
        "The indices add up to 1 at every snapshot, so that what is missing, if anything, is missing in pairs that "
        f"cancel; {afresh}, {missed}."
    )


def _named(what: list[str]) -> str:
    return ", ".join(what[:NAMED]) + (f" and {len(what) - NAMED} more" if len(what) > NAMED else "")
