"""What a search knows of the zeros it has met: each once, which are twins, how many may be missing."""
