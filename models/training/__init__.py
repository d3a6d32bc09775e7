"""How networks learn, on disk."""
