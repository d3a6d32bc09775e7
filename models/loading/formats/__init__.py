"""Files, read without running them: each format and what it holds."""
