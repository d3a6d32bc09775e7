"""Eigenvalues and linear modes of the system at its points."""
