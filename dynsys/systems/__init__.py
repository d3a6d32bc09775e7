"""What a system is: F and its derivatives, systems made of others, and the speed q."""
