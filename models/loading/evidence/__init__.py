"""What else a file holds, and whether it shows that the network is another one."""
