"""Associative retrieval: the table of Ba et al. (2016), and whether retrieval is convergence."""
