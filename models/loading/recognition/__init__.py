"""Which network the arrays of a file are, told from names and shapes."""
