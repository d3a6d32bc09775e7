"""What happens along curves of fixed points: eigenvalues that cross, branch points, named events."""
