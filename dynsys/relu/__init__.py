"""Piecewise-linear systems: their regions, solved one by one, and what happens at the kinks."""
