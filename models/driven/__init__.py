"""Networks driven at random and under noise."""
