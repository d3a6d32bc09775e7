"""Commands that look at networks: what a file holds, its points, pictures, basins, exponents, inputs."""
