"""Pictures of what the input does: the portrait as it changes, points coloured by input, decay times over input."""
