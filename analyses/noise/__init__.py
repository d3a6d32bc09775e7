"""How much noise networks bear (Jang, section 8)."""
