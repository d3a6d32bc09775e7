"""What associative memories hold: capacity by simulation and theory, basins, spurious states."""
