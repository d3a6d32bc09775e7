"""Which claims of seed 003 hold on other networks."""
