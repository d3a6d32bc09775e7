"""Everything that one file of a network can tell, on one page."""
