"""Linearisation: eigenvalues, modes, and the words for them."""
