"""Memory that fades: how long networks remember, by gradients, products, exponents, slow modes and linear readouts."""
