"""What boxes of latent variables tell of the zeros of a search: those that they prove, with their bounds."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from dynsys.proof.kantorovich import unmoved
from dynsys.proof.latent_boxes import BoxSearch
from dynsys.search.known.distinct import Catalogue
from dynsys.search.known.zeros import Zeros


def in_boxes(zeros: Zeros, catalogue: Catalogue, group: int, proof: BoxSearch) -> Zeros:
    """The zeros that boxes prove in place of those that a search met near them; where all boxes were decided, of all.

    A zero that was met belongs to a proved one where it lies within the latent box that holds no other.
    """
    mine = np.flatnonzero([g == group for g in zeros.groups])
    known = proof.owners(zeros.points.x[torch.as_tensor(mine)].cpu())
    gone = set(mine.tolist() if proof.complete else mine[known.numpy() >= 0].tolist())
    kept = zeros[[i for i in range(len(zeros)) if i not in gone]]
    if not len(proof):
        return kept
    x = proof.states.to(catalogue.inputs)
    held = catalogue.held(slice(group, group + 1)).expand(len(x))
    added = unmoved(held, x, catalogue.together > 0)
    added = dataclasses.replace(added, error_bound=proof.bound.to(x))
    joined = kept.joined(added, [group] * len(x), [""] * len(x))
    certified = joined.certified.copy()
    certified[len(kept) :] = True
    return dataclasses.replace(joined, certified=certified)
