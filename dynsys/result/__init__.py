"""What a search returns: the points, its report, and both in words."""
