"""How much noise networks bear (seed 003, section 8)."""
