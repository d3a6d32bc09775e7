"""Which claims of Jang hold on other networks."""
