"""One step of a user's network: how it is called, and its derivatives."""
