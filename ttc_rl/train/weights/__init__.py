"""Which weights are trained, and what is kept of them."""
