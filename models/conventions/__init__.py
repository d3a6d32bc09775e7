"""How other tools keep their recurrent layers: which array is which, in what order of gates, and from which side."""
