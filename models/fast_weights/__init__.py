"""Fast-weights networks (Ba et al. 2016)."""
