"""Lines, rings and surfaces of fixed points, and points at which F is flatter than linear."""
