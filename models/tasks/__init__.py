"""What networks learn: flip-flops, retrieval, sequences."""
