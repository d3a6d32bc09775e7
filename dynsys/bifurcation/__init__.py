"""Points followed through a one-parameter family of systems: branches, and the events at which they begin or change."""
