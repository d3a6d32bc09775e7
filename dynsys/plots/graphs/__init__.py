"""Graphs: where memory flows between points, and networks as points of a map."""
