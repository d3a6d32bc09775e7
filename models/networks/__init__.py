"""Networks to be trained, as torch modules, and the systems that they become."""
