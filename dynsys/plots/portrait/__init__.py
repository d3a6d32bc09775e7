"""The phase portrait and the phase plane: points, modes, manifolds and trajectories in the state space."""
