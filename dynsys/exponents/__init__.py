"""Lyapunov exponents, and the directions that grow and shrink along a trajectory."""
