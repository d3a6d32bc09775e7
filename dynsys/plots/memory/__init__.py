"""What memories recall: capacity, strips, landscapes, confusions, and which cues come home."""
