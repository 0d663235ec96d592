"""Weights & Biases: a run's numbers and its workspace."""
