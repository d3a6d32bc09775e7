"""Marginal points: lines, rings and surfaces of them, and points that rounding blurs."""
