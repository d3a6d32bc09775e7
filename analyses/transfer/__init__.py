"""One more bit from scratch and on top of the others, and the geometry of the memories (seed 003, section 7)."""
