"""Networks of ReLUs of low rank: their regions in the latent variables are few, so that all can be searched."""
