"""Rate networks: flows and leaky maps, echo state networks, piecewise-linear networks."""
