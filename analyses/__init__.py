"""Studies: a frozen config, a run, a result on disk, figures. A new one is a file here and a line in ``STUDIES``."""

from __future__ import annotations

if __name__ == "analyses":
    raise ImportError("this folder is imported as dynsys.analyses: research code often has an 'analyses' of its own")

STUDIES = {
    "noise": "dynsys.analyses.noise.study",  # how much noise a network bears
    "flipflop": "dynsys.analyses.flipflop",  # train, search, classify, draw: the main job
    "memory_flow": "dynsys.analyses.memory_flow",  # branches from saddles, basins of attractors
    "evolve": "dynsys.analyses.evolve.study",  # how the phase portrait forms in training
    "settling_loop": "dynsys.analyses.retrieval.settling_loop",  # is retrieval convergence?
    "transfer": "dynsys.analyses.transfer.study",  # one bit more, from scratch and from a network that knows the others
    "retrieval_table": "dynsys.analyses.retrieval.table",  # the paper's table 1
    "claims": "dynsys.analyses.claims.study",  # which claims of the seed hold on other networks
}
