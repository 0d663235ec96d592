"""Training: methods, curricula, weights and rewards, and the tiny model made from scratch."""
