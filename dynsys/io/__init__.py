"""Files written whole or not at all, and the errors that a user is shown."""
