"""A grid search: a network trained at every point of the product of lists of choices."""
