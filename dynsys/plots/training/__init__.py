"""What changes over training, or over another parameter: curves, counts, diagrams, animations."""
