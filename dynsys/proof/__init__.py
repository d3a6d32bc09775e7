"""What is proved about a point: exact products, enclosures in intervals, certificates."""
