"""Where trajectories settle: at points, in cycles, or not at all."""
