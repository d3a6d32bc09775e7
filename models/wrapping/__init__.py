"""A user's own PyTorch network as a system, and back."""
