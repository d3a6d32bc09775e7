"""Functions with what a proof has to know of them: rounding, secants, sectors, gradients."""
