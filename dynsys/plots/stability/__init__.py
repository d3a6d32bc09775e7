"""How stable a network is: eigenvalues, time constants, exponents, noise, and what flips a memory."""
