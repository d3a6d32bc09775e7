"""Slow points: minima of q that are no zeros, within the states that can be reached."""
