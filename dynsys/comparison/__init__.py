"""Networks compared: skeletons of points and connections, spectra, representations."""
