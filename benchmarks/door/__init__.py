"""Files as other people's tools write them, each with its own NumPy equation of one step: the truth of the door."""
