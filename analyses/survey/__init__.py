"""The same search on many networks: one table, one page."""
