"""Directional fibers: curves through fixed points that lead to others."""
