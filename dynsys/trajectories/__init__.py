"""Motion: simulation, where trajectories settle, sections, and projections."""
