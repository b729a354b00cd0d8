"""Learning, assembled from the trainer, the buffer and the registry."""
