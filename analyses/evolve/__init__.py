"""How the phase portrait forms in training (Jang, section 6.1)."""
