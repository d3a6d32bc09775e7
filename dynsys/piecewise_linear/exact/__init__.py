"""Linear equations and inequalities without rounding: what holds of a network of ReLUs exactly."""
