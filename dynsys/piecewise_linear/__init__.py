"""Networks of ReLUs: linear regions, their zeros in exact arithmetic, kinks, and a proof that none is missing."""
