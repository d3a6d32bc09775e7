"""How memory flows: from saddles along their branches to attractors, and the attractors' basins."""
