"""A model on a benchmark: samples, measures and results."""
