"""Recursive least squares on the readout of an echo state network, the recipes of it, and networks that grow."""
