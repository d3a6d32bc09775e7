"""Systems whose fixed points are known."""
