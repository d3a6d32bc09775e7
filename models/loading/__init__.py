"""Files of other tools and our own: read without running them, recognised, made into a system."""
