"""Keras's layers, read out of its files: by configuration, or by the names of the arrays."""
