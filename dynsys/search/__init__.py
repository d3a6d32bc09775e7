"""The search for fixed points: starts, descent, telling points apart, and when to stop."""
