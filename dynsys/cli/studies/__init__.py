"""Commands that train networks, or study many: training, noise, memories, grids of choices."""
