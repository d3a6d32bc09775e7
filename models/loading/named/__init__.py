"""Matrices that the user names, the equations they belong to, and the proof by replay."""
