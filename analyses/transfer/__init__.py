"""One more bit from scratch and on top of the others, and the geometry of the memories (Jang, section 7)."""
