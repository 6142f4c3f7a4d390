"""Training objectives, one file each: from a model, a batch and the clock to a scalar loss."""
