"""Lyapunov functions: ellipsoids that are proved to shrink, the kinds of stability, and what they prove of basins."""
