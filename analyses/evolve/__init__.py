"""How the phase portrait forms in training (seed 003, section 6.1)."""
