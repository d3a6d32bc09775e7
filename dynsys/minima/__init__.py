"""Slow points: minima of q that are no zeros, inside the reachable states and on their border."""
